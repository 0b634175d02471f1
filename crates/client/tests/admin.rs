//! Admin calls against a real broker, with what it refuses and how.

mod common;

use std::collections::BTreeMap;

use common::{client, eventually, new_topic, unique, with_broker};
use strandline_client::admin::{
    CommittedOffset, ConfigChange, ConfigResource, ConfigSource, NewTopic, OffsetSpec,
};
use strandline_client::{Admin, Client, ClientConfig, ClientError};
use strandline_types::{ErrorCode, Offset, PartitionId, TopicPartition};

fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionId(index) }
}

fn codes<K, T>(results: &[(K, Result<T, strandline_client::Refusal>)]) -> Vec<ErrorCode> {
    let code = |(_, result): &(K, Result<T, strandline_client::Refusal>)| {
        result.as_ref().err().map_or(ErrorCode::NONE, |refusal| refusal.code)
    };
    results.iter().map(code).collect()
}

#[test]
fn topics_are_made_grown_and_deleted() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let admin = Admin::new(client.clone());
        let name = new_topic(&client, "topics", 2).await;
        let again = admin.create_topics(&[NewTopic::new(&name, 1, 1)], false).await.unwrap();
        let (subject, refusal) = (&again[0].0, again[0].1.clone().unwrap_err());
        assert_eq!((subject, refusal.code), (&name, ErrorCode::TOPIC_ALREADY_EXISTS));
        assert!(refusal.message.unwrap().contains(&name), "the broker's words name the topic");

        let wrong = [
            NewTopic::new("no/slash", 1, 1),
            NewTopic::new(unique("none"), 0, 1),
            NewTopic::new(unique("wide"), 1, 7),
            NewTopic::new(unique("config"), 1, 1).config("retention.ms", "soon"),
        ];
        let refused = admin.create_topics(&wrong, true).await.unwrap();
        let expected = [
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            ErrorCode::INVALID_PARTITIONS,
            ErrorCode::INVALID_REPLICATION_FACTOR,
            ErrorCode::INVALID_CONFIG,
        ];
        assert_eq!(codes(&refused), expected);

        let grown = admin.create_partitions(&[(name.clone(), 5)], false).await.unwrap();
        assert_eq!(codes(&grown), [ErrorCode::NONE]);
        eventually(async || client.fresh_topic(&name, false).await.unwrap().partitions.len() == 5)
            .await;
        let shrunk = admin.create_partitions(&[(name.clone(), 3)], false).await.unwrap();
        assert_eq!(codes(&shrunk), [ErrorCode::INVALID_PARTITIONS]);

        assert!(admin.list_topics().await.unwrap().iter().any(|topic| topic.name == name));
        let deleted = admin.delete_topics(&[name.clone(), unique("never")]).await.unwrap();
        assert_eq!(codes(&deleted), [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]);
        eventually(async || {
            let gone = admin.describe_topics(std::slice::from_ref(&name)).await.unwrap();
            codes(&gone) == [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]
        })
        .await;
    });
}

#[test]
fn configs_change_one_at_a_time() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let admin = Admin::new(client.clone());
        let name = new_topic(&client, "configs", 1).await;
        let resource = ConfigResource::topic(&name);
        let change = vec![ConfigChange::set("retention.ms", "60000")];
        let results = admin.alter_configs(&[(resource.clone(), change)], false).await.unwrap();
        assert_eq!(codes(&results), [ErrorCode::NONE]);
        eventually(async || {
            let results =
                admin.describe_configs(std::slice::from_ref(&resource), false).await.unwrap();
            let entries = results[0].1.clone().unwrap();
            let entry = entries.iter().find(|entry| entry.name == "retention.ms").unwrap();
            entry.value.as_deref() == Some("60000") && entry.source == ConfigSource::Topic
        })
        .await;
        let both = ["1", "2"]
            .map(|value| (resource.clone(), vec![ConfigChange::set("retention.ms", value)]));
        let twice = admin.alter_configs(&both, false).await.unwrap_err();
        assert_eq!(twice.code(), Some(ErrorCode::INVALID_REQUEST));
        let bad = vec![ConfigChange::set("retention.ms", "soon")];
        let refused = admin.alter_configs(&[(resource, bad)], false).await.unwrap();
        assert_eq!(codes(&refused), [ErrorCode::INVALID_CONFIG]);
        let brokers = client.brokers();
        let broker = ConfigResource::broker(brokers[0].id.to_string());
        let results = admin.describe_configs(&[broker], true).await.unwrap();
        let entries = results[0].1.clone().unwrap();
        let entry = entries.iter().find(|entry| entry.name == "log.retention.hours").unwrap();
        assert!(entry.documentation.is_some(), "documentation was asked for");
    });
}

#[test]
fn offsets_are_listed_and_groups_moved() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let admin = Admin::new(client.clone());
        let topic = new_topic(&client, "offsets", 2).await;
        let specs = BTreeMap::from([
            (partition(&topic, 0), OffsetSpec::Earliest),
            (partition(&topic, 1), OffsetSpec::MaxTimestamp),
            (partition(&topic, 2), OffsetSpec::Latest),
        ]);
        let listed = admin.list_offsets(&specs, false).await.unwrap();
        assert_eq!(listed[0].1.clone().unwrap().offset, Offset(0));
        assert_eq!(listed[1].1.clone().unwrap().offset, Offset(-1));
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(codes(&listed), [ErrorCode::NONE, ErrorCode::NONE, unknown]);

        let group = unique("group");
        assert_eq!(admin.group_offsets(&group, None).await.unwrap(), []);
        let commits = BTreeMap::from([
            (partition(&topic, 0), CommittedOffset::new(Offset(7))),
            (partition(&topic, 1), CommittedOffset::new(Offset(9))),
        ]);
        let results = admin.alter_group_offsets(&group, &commits).await.unwrap();
        assert_eq!(codes(&results), [ErrorCode::NONE; 2]);
        let held: BTreeMap<_, _> = admin
            .group_offsets(&group, None)
            .await
            .unwrap()
            .into_iter()
            .map(|(partition, committed)| (partition, committed.unwrap()))
            .collect();
        assert_eq!(held, commits);
        assert!(admin.list_groups().await.unwrap().iter().any(|listed| listed.id == group));
        let described = admin.describe_groups(std::slice::from_ref(&group)).await.unwrap();
        assert_eq!(described[0].1.clone().unwrap().state, "Empty");

        let dropped = admin.delete_group_offsets(&group, &[partition(&topic, 0)]).await.unwrap();
        assert_eq!(codes(&dropped), [ErrorCode::NONE]);
        assert_eq!(admin.group_offsets(&group, None).await.unwrap().len(), 1);
        let results = admin.delete_groups(std::slice::from_ref(&group)).await.unwrap();
        assert_eq!(codes(&results), [ErrorCode::NONE]);
        let results = admin.delete_groups(std::slice::from_ref(&group)).await.unwrap();
        assert_eq!(codes(&results), [ErrorCode::GROUP_ID_NOT_FOUND]);
        let gone = admin.describe_groups(&[group]).await.unwrap();
        assert_eq!(codes(&gone), [ErrorCode::GROUP_ID_NOT_FOUND]);
    });
}

#[test]
fn the_cluster_describes_itself() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let admin = Admin::new(client.clone());
        let cluster = admin.describe_cluster().await.unwrap();
        assert_eq!(cluster.nodes.len(), 1);
        assert_eq!(cluster.controller, Some(cluster.nodes[0].id));
        let topic = new_topic(&client, "cluster", 1).await;
        assert_eq!(client.cluster_id(), Some(cluster.id));
        let quorum = admin.describe_quorum().await.unwrap();
        assert_eq!(quorum.voters.len(), 1);
        assert_eq!(quorum.leader, quorum.voters[0].id);
        let features = admin.describe_features().await.unwrap();
        assert!(features.finalized.contains_key("metadata.version"), "{features:?}");
        let unknown = BTreeMap::from([("no.such.feature".to_owned(), 1)]);
        let refused = admin.update_features(&unknown, false, true).await;
        let code = match refused {
            Ok(results) => results[0].1.clone().unwrap_err().code,
            Err(error) => error.code().unwrap(),
        };
        assert_eq!(code, ErrorCode::INVALID_UPDATE_VERSION);
        let dirs = admin.describe_log_dirs().await.unwrap();
        let dir = dirs[0].1[0].1.clone().unwrap();
        assert!(dir.replicas.iter().any(|replica| replica.partition == partition(&topic, 0)));
        let producers = admin.describe_producers(&[partition(&topic, 0)]).await.unwrap();
        assert_eq!(producers[0].1, Ok(vec![]));
    });
}

#[test]
fn nobody_there_is_said_plainly() {
    with_broker(async |_| {
        let mut config = ClientConfig::new("127.0.0.1:1");
        config.operation_timeout = std::time::Duration::from_millis(300);
        let admin = Admin::new(Client::new(common::world(), config));
        let error = admin.describe_cluster().await.unwrap_err();
        assert!(error.to_string().starts_with("cannot connect to 127.0.0.1:1: "), "{error}");
        let admin = Admin::new(client("nowhere"));
        let bad = ClientError::BadAddress { address: "nowhere".into() };
        assert_eq!(admin.describe_cluster().await.unwrap_err(), bad);
    });
}
