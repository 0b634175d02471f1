//! Topics are created, grown, led and deleted.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use story::{Story, registration};
use strandline_metadata::describe::{self, Listening, MetadataVersionQuirks};
use strandline_metadata::image::ConfigResource;
use strandline_types::{PartitionId, Uuid};
use strandline_wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use strandline_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use strandline_wire::messages::delete_topics_request::DeleteTopicState;
use strandline_wire::messages::elect_leaders_request::TopicPartitions;
use strandline_wire::messages::{
    BrokerHeartbeatRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    ElectLeadersRequest,
};

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic { name: name.into(), num_partitions, replication_factor, ..Default::default() }
}

fn with(mut topic: CreatableTopic, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    topic.configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: value.map(Into::into),
            ..Default::default()
        })
        .collect();
    topic
}

fn by_hand(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    CreatableTopic {
        assignments: assignments
            .iter()
            .map(|(partition_index, broker_ids)| CreatableReplicaAssignment {
                partition_index: *partition_index,
                broker_ids: broker_ids.to_vec(),
                ..Default::default()
            })
            .collect(),
        ..topic(name, -1, -1)
    }
}

fn create(topics: Vec<CreatableTopic>, validate_only: bool) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, validate_only, ..Default::default() }
}

/// The answer without the list of settings.
fn short(text: String) -> String {
    let mut short = String::new();
    for line in text.lines() {
        let line = match (line.find(", configs: Some([CreatableTopicConfigs"), line.find("}])")) {
            (Some(from), Some(to)) => format!("{}, configs: …{}", &line[..from], &line[to + 3..]),
            _ => line.to_string(),
        };
        short.push_str(&line);
        short.push('\n');
    }
    short
}

#[test]
fn topics_are_created() {
    let mut story = Story::with_brokers(3);
    let settings = [("retention.ms", Some("1000")), ("cleanup.policy", Some("compact"))];
    let request = create(vec![with(topic("events", 2, 3), &settings)], false);
    check(
        short(story.ask(request)),
        expect![[r#"
            TopicRecord { name: "events", topic_id: 29tzWgzeR4-Jomwt4tyMgg }
            ConfigRecord { resource_type: 2, resource_name: "events", name: "cleanup.policy", value: Some("compact") }
            ConfigRecord { resource_type: 2, resource_name: "events", name: "retention.ms", value: Some("1000") }
            PartitionRecord { partition_id: 0, topic_id: 29tzWgzeR4-Jomwt4tyMgg, replicas: [1, 3, 2], isr: [1, 3, 2], leader: 1, leader_epoch: 0, partition_epoch: 0, directories: [AAAAAAAAAAAAAAAAAAAD6Q, AAAAAAAAAAAAAAAAAAAD6w, AAAAAAAAAAAAAAAAAAAD6g] }
            PartitionRecord { partition_id: 1, topic_id: 29tzWgzeR4-Jomwt4tyMgg, replicas: [3, 2, 1], isr: [3, 2, 1], leader: 3, leader_epoch: 0, partition_epoch: 0, directories: [AAAAAAAAAAAAAAAAAAAD6w, AAAAAAAAAAAAAAAAAAAD6g, AAAAAAAAAAAAAAAAAAAD6Q] }
            → CreateTopicsResponse { topics: [CreatableTopicResult { name: "events", topic_id: 29tzWgzeR4-Jomwt4tyMgg, num_partitions: 2, replication_factor: 3, configs: … }] }
        "#]],
    );
    check(
        short(story.ask(create(vec![topic("defaults", -1, -1)], false))),
        expect![[r#"
            TopicRecord { name: "defaults", topic_id: 9V8ukZTjTJeqr4F8V8GF7w }
            PartitionRecord { partition_id: 0, topic_id: 9V8ukZTjTJeqr4F8V8GF7w, replicas: [2], isr: [2], leader: 2, leader_epoch: 0, partition_epoch: 0, directories: [AAAAAAAAAAAAAAAAAAAD6g] }
            → CreateTopicsResponse { topics: [CreatableTopicResult { name: "defaults", topic_id: 9V8ukZTjTJeqr4F8V8GF7w, num_partitions: 1, replication_factor: 1, configs: … }] }
        "#]],
    );
    let request = create(vec![by_hand("by-hand", &[(1, &[2, 3]), (0, &[3, 1])])], false);
    check(
        short(story.ask(request)),
        expect![[r#"
            TopicRecord { name: "by-hand", topic_id: p6oIWWzWQrGxJ1rRvxHHrg }
            PartitionRecord { partition_id: 0, topic_id: p6oIWWzWQrGxJ1rRvxHHrg, replicas: [3, 1], isr: [3, 1], leader: 3, leader_epoch: 0, partition_epoch: 0, directories: [AAAAAAAAAAAAAAAAAAAD6w, AAAAAAAAAAAAAAAAAAAD6Q] }
            PartitionRecord { partition_id: 1, topic_id: p6oIWWzWQrGxJ1rRvxHHrg, replicas: [2, 3], isr: [2, 3], leader: 2, leader_epoch: 0, partition_epoch: 0, directories: [AAAAAAAAAAAAAAAAAAAD6g, AAAAAAAAAAAAAAAAAAAD6w] }
            → CreateTopicsResponse { topics: [CreatableTopicResult { name: "by-hand", topic_id: p6oIWWzWQrGxJ1rRvxHHrg, num_partitions: 2, replication_factor: 2, configs: … }] }
        "#]],
    );
    let before = story.log.len();
    check(
        short(story.ask(create(vec![topic("only-asked", 4, 1)], true))),
        expect![[r#"
            → CreateTopicsResponse { topics: [CreatableTopicResult { name: "only-asked", topic_id: xnR3fup8TB2ziTCeT6xw0w, num_partitions: 4, replication_factor: 1, configs: … }] }
        "#]],
    );
    assert_eq!(story.log.len(), before);
}

#[test]
fn what_cannot_be_created_says_why() {
    let mut story = Story::with_brokers(3);
    story.ask(create(vec![topic("t", 1, 1), topic("a.b", 1, 1)], false));
    let fenced = BrokerHeartbeatRequest { want_fence: true, ..story.heartbeat(3) };
    story.ask(fenced);
    let long = "x".repeat(250);
    let topics = vec![
        topic("t", 1, 1),
        topic("a_b", 1, 1),
        topic("", 1, 1),
        topic("..", 1, 1),
        topic("a b", 1, 1),
        topic(&long, 1, 1),
        topic("__cluster_metadata", 1, 1),
        topic("no-partitions", 0, 1),
        topic("no-replicas", 1, 0),
        topic("too-few-brokers", 1, 4),
        topic("twice", 1, 1),
        topic("twice", 2, 1),
        with(topic("unknown-key", 1, 1), &[("no.such.key", Some("1"))]),
        with(topic("bad-value", 1, 1), &[("segment.bytes", Some("1"))]),
        with(topic("no-value", 1, 1), &[("segment.bytes", None)]),
        by_hand("gap", &[(0, &[1]), (2, &[1])]),
        by_hand("unknown-broker", &[(0, &[9])]),
        by_hand("same-broker", &[(0, &[1, 1])]),
        by_hand("nobody", &[(0, &[])]),
        by_hand("uneven", &[(0, &[1]), (1, &[1, 2])]),
        by_hand("same-partition", &[(0, &[1]), (0, &[2])]),
        by_hand("only-fenced", &[(0, &[3])]),
        CreatableTopic { num_partitions: 1, ..by_hand("count-and-assignment", &[(0, &[1])]) },
        CreatableTopic { replication_factor: 1, ..by_hand("rf-and-assignment", &[(0, &[1])]) },
    ];
    let before = story.log.len();
    let answer = story.ask(create(topics, false));
    assert_eq!(story.log.len(), before);
    let lines: Vec<&str> = answer.split("CreatableTopicResult { name: ").skip(1).collect();
    let reasons = lines.iter().map(|line| {
        let (head, _) = line.split_once(", num_partitions").unwrap();
        let head = head.replace("topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: ", "");
        format!("{}\n", head.replace(&long, "xxx…").replace("error_message: ", ""))
    });
    check(
        reasons.collect(),
        expect![[r#"
            "t", TOPIC_ALREADY_EXISTS(36), Some("there is a topic t already")
            "a_b", INVALID_TOPIC_EXCEPTION(17), Some("`a_b` looks like topic a.b where metrics write `_` for `.`")
            "", INVALID_TOPIC_EXCEPTION(17), Some("a topic name has at least one character")
            "..", INVALID_TOPIC_EXCEPTION(17), Some("`..` cannot be a topic name")
            "a b", INVALID_TOPIC_EXCEPTION(17), Some("a topic name has only the characters a-z, A-Z, 0-9, `.`, `_` and `-`; `a b` has others")
            "xxx…", INVALID_TOPIC_EXCEPTION(17), Some("a topic name has at most 249 characters; `xxx…` has more")
            "__cluster_metadata", INVALID_REQUEST(42), Some("__cluster_metadata belongs to the cluster: nobody can create it")
            "no-partitions", INVALID_PARTITIONS(37), Some("a topic has at least 1 partition, or -1 for the broker's default")
            "no-replicas", INVALID_REPLICATION_FACTOR(38), Some("a replication factor is at least 1, or -1 for the broker's default")
            "too-few-brokers", INVALID_REPLICATION_FACTOR(38), Some("replication factor 4 cannot be met: brokers that take replicas: 3")
            "unknown-key", INVALID_CONFIG(40), Some("unknown topic setting `no.such.key`")
            "bad-value", INVALID_CONFIG(40), Some("topic setting `segment.bytes` is `1`; it must be a whole number from 1048576 to 2147483647")
            "no-value", INVALID_CONFIG(40), Some("these settings come without a value: segment.bytes")
            "gap", INVALID_REPLICA_ASSIGNMENT(39), Some("the partitions whose replicas are named must count up from 0 without a gap")
            "unknown-broker", INVALID_REPLICA_ASSIGNMENT(39), Some("no broker is registered as 9")
            "same-broker", INVALID_REPLICA_ASSIGNMENT(39), Some("broker 1 is named twice for one partition")
            "nobody", INVALID_REPLICA_ASSIGNMENT(39), Some("a partition needs at least one replica")
            "uneven", INVALID_REPLICA_ASSIGNMENT(39), Some("a partition would have 2 replicas where others of its topic have 1")
            "same-partition", INVALID_REPLICA_ASSIGNMENT(39), Some("the replicas of partition 0 are named twice")
            "only-fenced", INVALID_REPLICA_ASSIGNMENT(39), Some("none of the brokers named for partition 0 is active")
            "count-and-assignment", INVALID_REQUEST(42), Some("the number of partitions must be -1 where the replicas are named")
            "rf-and-assignment", INVALID_REQUEST(42), Some("the replication factor must be -1 where the replicas are named")
            "twice", INVALID_REQUEST(42), Some("this topic is named twice in one request")
        "#]],
    );
    let huge = create(vec![topic("p", 10_000, 1), topic("q", 1, 1)], false);
    check(
        story.ask(huge),
        expect![[r#"
            → CreateTopicsResponse { topics: [CreatableTopicResult { name: "p", topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: POLICY_VIOLATION(44), error_message: Some("one request makes at most 10000 partitions"), num_partitions: -1, replication_factor: -1, configs: Some([]) }, CreatableTopicResult { name: "q", topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: POLICY_VIOLATION(44), error_message: Some("one request makes at most 10000 partitions"), num_partitions: -1, replication_factor: -1, configs: Some([]) }] }
        "#]],
    );
}

#[test]
fn partitions_are_added() {
    let mut story = Story::with_brokers(3);
    story.ask(create(vec![topic("t", 2, 2)], false));
    let more = |count, assignments: Option<&[&[i32]]>| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: "t".into(),
            count,
            assignments: assignments.map(|lists| {
                let assignment = |ids: &&[i32]| CreatePartitionsAssignment {
                    broker_ids: ids.to_vec(),
                    ..Default::default()
                };
                lists.iter().map(assignment).collect()
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    check(
        story.ask(more(3, None)),
        expect![[r#"
        PartitionRecord { partition_id: 2, topic_id: 29tzWgzeR4-Jomwt4tyMgg, replicas: [2, 3], isr: [2, 3], leader: 2, leader_epoch: 0, partition_epoch: 0, directories: [AAAAAAAAAAAAAAAAAAAD6g, AAAAAAAAAAAAAAAAAAAD6w] }
        → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t" }] }
    "#]],
    );
    check(
        story.ask(more(4, Some(&[&[3, 1]]))),
        expect![[r#"
        PartitionRecord { partition_id: 3, topic_id: 29tzWgzeR4-Jomwt4tyMgg, replicas: [3, 1], isr: [3, 1], leader: 3, leader_epoch: 0, partition_epoch: 0, directories: [AAAAAAAAAAAAAAAAAAAD6w, AAAAAAAAAAAAAAAAAAAD6Q] }
        → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t" }] }
    "#]],
    );
    check(
        story.ask(more(4, None)),
        expect![[r#"
            → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t", error_code: INVALID_PARTITIONS(37), error_message: Some("topic t has 4 partitions already") }] }
        "#]],
    );
    check(
        story.ask(more(1, None)),
        expect![[r#"
            → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t", error_code: INVALID_PARTITIONS(37), error_message: Some("topic t has 4 partitions, which cannot shrink to 1") }] }
        "#]],
    );
    check(
        story.ask(more(6, Some(&[&[1, 2]]))),
        expect![[r#"
            → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t", error_code: INVALID_REPLICA_ASSIGNMENT(39), error_message: Some("2 partitions are to be added, and replicas are named for 1") }] }
        "#]],
    );
    check(
        story.ask(more(5, Some(&[&[1]]))),
        expect![[r#"
            → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t", error_code: INVALID_REPLICA_ASSIGNMENT(39), error_message: Some("a partition would have 1 replicas where others of its topic have 2") }] }
        "#]],
    );
    check(
        story.ask(more(2_000_000, None)),
        expect![[r#"
            → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t", error_code: POLICY_VIOLATION(44), error_message: Some("one request makes at most 10000 partitions") }] }
        "#]],
    );
    let mut request = more(5, None);
    request.validate_only = true;
    request.topics.push(CreatePartitionsTopic {
        name: "none".into(),
        count: 2,
        ..Default::default()
    });
    check(
        story.ask(request.clone()),
        expect![[r#"
        → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t" }, CreatePartitionsTopicResult { name: "none", error_code: UNKNOWN_TOPIC_OR_PARTITION(3) }] }
    "#]],
    );
    request.topics = vec![request.topics[0].clone(), request.topics[0].clone()];
    check(
        story.ask(request),
        expect![[r#"
            → CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t", error_code: INVALID_REQUEST(42), error_message: Some("this topic is named twice in one request") }] }
        "#]],
    );
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut story = Story::with_brokers(1);
    let settings = [("retention.ms", Some("1000"))];
    let topics = ["a", "b", "c"].map(|name| with(topic(name, 1, 1), &settings));
    story.ask(create(topics.into(), false));
    let id = |story: &Story, name| story.image().topics.by_name(name).unwrap().id;
    let state = |name: Option<&str>, topic_id| DeleteTopicState {
        name: name.map(Into::into),
        topic_id,
        ..Default::default()
    };
    let request = DeleteTopicsRequest {
        topics: vec![
            state(Some("a"), Uuid::ZERO),
            state(None, id(&story, "b")),
            state(Some("c"), Uuid::ZERO),
            state(None, id(&story, "c")),
            state(Some("none"), Uuid::ZERO),
            state(None, Uuid::ONE),
            state(None, Uuid::ZERO),
            state(Some("a"), Uuid::ONE),
            state(Some("twice"), Uuid::ZERO),
            state(Some("twice"), Uuid::ZERO),
        ],
        ..Default::default()
    };
    check(
        story.ask(request).replace("DeletableTopicResult", "\n  "),
        expect![[r#"
            RemoveTopicRecord { topic_id: yEBsPfXUQLaIYvB9ECq60w }
            RemoveTopicRecord { topic_id: fEqtITzsSxukz4ysS6fwGQ }
            → DeleteTopicsResponse { responses: [
               { name: Some("a"), topic_id: yEBsPfXUQLaIYvB9ECq60w }, 
               { name: Some("b"), topic_id: fEqtITzsSxukz4ysS6fwGQ }, 
               { name: Some("c"), topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: INVALID_REQUEST(42), error_message: Some("this topic is named twice, by its name and by its id") }, 
               { name: None, topic_id: PSjElaNHRgmC8kpPBpintA, error_code: INVALID_REQUEST(42), error_message: Some("this topic is named twice, by its name and by its id") }, 
               { name: Some("none"), topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: UNKNOWN_TOPIC_OR_PARTITION(3) }, 
               { name: None, topic_id: AAAAAAAAAAAAAAAAAAAAAQ, error_code: UNKNOWN_TOPIC_ID(100) }, 
               { name: None, topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: INVALID_REQUEST(42), error_message: Some("give the name or the id of a topic") }, 
               { name: Some("a"), topic_id: AAAAAAAAAAAAAAAAAAAAAQ, error_code: INVALID_REQUEST(42), error_message: Some("give a name or an id, not both") }, 
               { name: Some("twice"), topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: INVALID_REQUEST(42), error_message: Some("this topic is named twice in one request") }] }
        "#]],
    );
    let left: Vec<_> = story.image().topics.iter().map(|topic| topic.name.as_ref()).collect();
    assert_eq!(left, ["c"]);
    assert!(story.image().configs.settings(&ConfigResource::topic("a")).is_none());
}

#[test]
fn leaders_are_elected_on_request() {
    let mut story = Story::with_brokers(2);
    story.ask(create(vec![by_hand("t", &[(0, &[1, 2]), (1, &[2, 1])])], false));
    let elect = |election_type, partitions: Option<&[i32]>| ElectLeadersRequest {
        election_type,
        topic_partitions: partitions.map(|ids| {
            vec![TopicPartitions {
                topic: "t".into(),
                partitions: ids.into(),
                ..Default::default()
            }]
        }),
        ..Default::default()
    };
    check(
        story.ask(elect(0, Some(&[0, 7]))),
        expect![[r#"
            → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0, error_code: ELECTION_NOT_NEEDED(84) }, PartitionResult { partition_id: 7, error_code: UNKNOWN_TOPIC_OR_PARTITION(3), error_message: Some("topic t has no partition 7") }] }] }
        "#]],
    );
    let leave = BrokerHeartbeatRequest { want_fence: true, ..story.heartbeat(1) };
    story.ask(leave);
    check(
        story.ask(elect(0, None)),
        expect![[r#"
        → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0, error_code: PREFERRED_LEADER_NOT_AVAILABLE(80) }] }] }
    "#]],
    );
    check(
        story.ask(elect(1, Some(&[0]))),
        expect![[r#"
        → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0, error_code: ELECTION_NOT_NEEDED(84) }] }] }
    "#]],
    );
    check(
        story.ask(elect(2, None)),
        expect![[r#"
        → ElectLeadersResponse { error_code: INVALID_REQUEST(42), replica_election_results: [] }
    "#]],
    );
}

#[test]
fn replicas_are_spread_over_racks_and_leaders_over_brokers() {
    let mut story = Story::with_brokers(9);
    story.ask(create(vec![topic("t", 90, 3)], false));
    let topic = story.image().topics.by_name("t").unwrap().clone();
    let (mut led, mut held) = (BTreeMap::new(), BTreeMap::new());
    for partition in topic.partitions.values() {
        let racks = partition.replicas.iter().map(|id| (id.get() - 1) % 3);
        assert_eq!(racks.collect::<std::collections::BTreeSet<_>>().len(), 3);
        *led.entry(partition.leader).or_insert(0) += 1;
        for id in &partition.replicas {
            *held.entry(*id).or_insert(0) += 1;
        }
    }
    assert!(led.len() == 9 && led.values().all(|count| (9..=11).contains(count)), "{led:?}");
    assert!(held.len() == 9 && held.values().all(|count| (28..=32).contains(count)), "{held:?}");
}

#[test]
fn topics_are_described() {
    let mut story = Story::with_brokers(2);
    story.ask(registration(3, 1));
    let topics = [("b", [3, 1]), ("a", [1, 2]), ("c", [2, 1])];
    for (name, replicas) in topics {
        story.ask(create(vec![by_hand(name, &[(0, &replicas), (1, &replicas)])], false));
    }
    let image = story.image();
    let listening = Listening { listener: "PLAINTEXT" };
    let brokers: Vec<_> = describe::live_brokers(image, listening).map(|b| b.node_id).collect();
    assert_eq!(brokers, [1, 2]);
    let quirks = MetadataVersionQuirks::of(13);
    let b = image.topics.by_name("b").unwrap();
    check(
        story::brief(&describe::topic(image, listening, quirks, b).partitions[0]),
        expect![
            "MetadataResponsePartition { partition_index: 0, leader_id: 1, leader_epoch: 0, replica_nodes: [3, 1], isr_nodes: [1], offline_replicas: [3] }"
        ],
    );
    let old = MetadataVersionQuirks::of(0);
    check(
        story::brief(&describe::topic(image, listening, old, b).partitions[0]),
        expect![
            "MetadataResponsePartition { error_code: REPLICA_NOT_AVAILABLE(9), partition_index: 0, leader_id: 1, leader_epoch: 0, replica_nodes: [1], isr_nodes: [1], offline_replicas: [3] }"
        ],
    );
    let elsewhere = Listening { listener: "OTHER" };
    check(
        story::brief(&describe::topic(image, elsewhere, quirks, b).partitions[0]),
        expect![
            "MetadataResponsePartition { error_code: LISTENER_NOT_FOUND(72), partition_index: 0, leader_id: -1, leader_epoch: 0, replica_nodes: [3, 1], isr_nodes: [1], offline_replicas: [3, 1] }"
        ],
    );

    let page = |names: &[&str], cursor: Option<(&str, i32)>, limit| {
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        let cursor = cursor.map(|(name, id)| (name, PartitionId(id)));
        let seen = |name: &str| name != "c" || names.is_empty();
        let page =
            describe::describe_topic_partitions(image, listening, &names, cursor, limit, seen);
        let topics = page.topics.iter().map(|topic| {
            let ids: Vec<_> = topic.partitions.iter().map(|p| p.partition_index).collect();
            format!("{} {ids:?} {}", topic.name.clone().unwrap(), topic.error_code)
        });
        let next = page.next_cursor.clone().map(|next| (next.topic_name, next.partition_index));
        format!("{:?} next {next:?}", topics.collect::<Vec<_>>())
    };
    check(
        page(&[], None, 3),
        expect![[r#"["a [0, 1] NONE(0)", "b [0] NONE(0)"] next Some(("b", 1))"#]],
    );
    check(
        page(&[], Some(("b", 1)), 3),
        expect![[r#"["b [1] NONE(0)", "c [0, 1] NONE(0)"] next None"#]],
    );
    check(
        page(&[], None, 2),
        expect![[r#"["a [0, 1] NONE(0)", "b [] NONE(0)"] next Some(("b", 0))"#]],
    );
    check(
        page(&["b", "none", "c", "a b", "b"], None, 9),
        expect![[
            r#"["a b [] INVALID_TOPIC_EXCEPTION(17)", "b [0, 1] NONE(0)", "c [] TOPIC_AUTHORIZATION_FAILED(29)", "none [] UNKNOWN_TOPIC_OR_PARTITION(3)"] next None"#
        ]],
    );
    check(page(&["a", "b"], Some(("b", 0)), 9), expect![[r#"["b [0, 1] NONE(0)"] next None"#]]);
}
