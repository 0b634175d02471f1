//! Requests that name a thing twice, or too much, or what no client names.
//! The answers are Apache Kafka 4.3.1's, but for what a repetition could be used for: there, each
//! thing is told once, so that a small request cannot ask for an answer that fills the memory.

#![allow(clippy::unwrap_used)]

mod node;

use std::net::TcpStream;

use node::{ask, batch, connect, create_topic, produce};
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use strandline_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use strandline_wire::messages::metadata_request::MetadataRequestTopic;
use strandline_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use strandline_wire::messages::{
    DeleteRecordsRequest, DescribeGroupsRequest, DescribeProducersRequest, FindCoordinatorRequest,
    InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, OffsetFetchRequest,
    describe_producers_request,
};

/// A broker with the topic `t` of two partitions and three records in the first.
async fn with_client(work: impl FnOnce(&mut TcpStream)) {
    let dir = tempfile::tempdir().unwrap();
    let broker = node::start(dir.path(), &[("offsets.topic.num.partitions", "1")]).await;
    tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        create_topic(&mut conn, "t", 2, &[]);
        produce(&mut conn, "t", 0, batch(&[&b"x"[..]; 3]));
        work(&mut conn);
    });
    broker.stop().await.unwrap();
}

fn list_offsets(
    conn: &mut TcpStream,
    version: i16,
    topics: &[(&str, &[(i32, i64)])],
) -> Vec<(String, i32, ErrorCode, i64)> {
    let topic = |(name, partitions): &(&str, &[(i32, i64)])| ListOffsetsTopic {
        name: (*name).into(),
        partitions: partitions
            .iter()
            .map(|&(partition_index, timestamp)| ListOffsetsPartition {
                partition_index,
                current_leader_epoch: -1,
                timestamp,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let topics = topics.iter().map(topic).collect();
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    let answers = ask(conn, &request, version).topics.into_iter();
    answers
        .flat_map(|topic| {
            let name = topic.name;
            let partitions = topic.partitions.into_iter();
            partitions.map(move |it| (name.clone(), it.partition_index, it.error_code, it.offset))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_offsets_answers_each_partition_once() {
    const LATEST: i64 = -1;
    const EARLIEST: i64 = -2;
    with_client(|conn| {
        let refused = ("t".to_owned(), 0, ErrorCode::INVALID_REQUEST, -1);
        let told = ("t".to_owned(), 1, ErrorCode::NONE, 0);
        let within = [("t", &[(0, LATEST), (0, EARLIEST), (1, LATEST)][..])];
        assert_eq!(list_offsets(conn, 7, &within), [refused.clone(), told.clone()]);
        let across = [("t", &[(0, LATEST)][..]), ("t", &[(0, LATEST), (1, LATEST)][..])];
        assert_eq!(list_offsets(conn, 7, &across), [refused, told]);
        assert_eq!(list_offsets(conn, 7, &[("t", &[])]), []);

        // What cannot be asked in this version is told before anybody looks for the topic.
        for (version, timestamp) in [(7, -7), (6, -3), (7, -4), (10, -6)] {
            let found = list_offsets(conn, version, &[("nowhere", &[(0, timestamp)])]);
            assert_eq!(found, [("nowhere".into(), 0, ErrorCode::UNSUPPORTED_VERSION, -1)]);
        }
    })
    .await;
}

fn metadata(
    conn: &mut TcpStream,
    version: i16,
    topics: &[(Option<&str>, Uuid)],
) -> Vec<(Option<String>, ErrorCode, usize)> {
    let asked = topics.iter().map(|(name, topic_id)| MetadataRequestTopic {
        name: name.map(str::to_owned),
        topic_id: *topic_id,
        ..Default::default()
    });
    let request = MetadataRequest {
        topics: Some(asked.collect()),
        allow_auto_topic_creation: topics.len() > 1,
        ..Default::default()
    };
    let topics = ask(conn, &request, version).topics.into_iter();
    topics.map(|topic| (topic.name, topic.error_code, topic.partitions.len())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_describes_each_topic_once() {
    with_client(|conn| {
        let t = (Some("t"), Uuid::ZERO);
        assert_eq!(metadata(conn, 12, &[t, t]), [(Some("t".into()), ErrorCode::NONE, 2)]);
        let new = (Some("new"), Uuid::ZERO);
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(metadata(conn, 12, &[new, new]), [(Some("new".into()), unknown, 0)]);
        // It was created all the same, and appears in its own time.
        while metadata(conn, 12, &[new]) != [(Some("new".into()), ErrorCode::NONE, 1)] {}

        // Before version 12 there is no asking by id.
        let by_id = (None, Uuid::from_u128(5));
        let refused = |name: &str| (Some(name.to_owned()), ErrorCode::INVALID_REQUEST, 0);
        assert_eq!(metadata(conn, 11, &[t, by_id]), [refused("t"), refused("")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_producers_are_told_once() {
    with_client(|conn| {
        let find =
            FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
        while ask(conn, &find, 4).coordinators[0].error_code != ErrorCode::NONE {}
        let groups = vec!["g".to_owned(), "g".to_owned(), "h".to_owned()];
        let described = loop {
            let request = DescribeGroupsRequest { groups: groups.clone(), ..Default::default() };
            let answer = ask(conn, &request, 5).groups;
            if answer[0].error_code != ErrorCode::COORDINATOR_LOAD_IN_PROGRESS {
                break answer;
            }
        };
        let ids: Vec<_> = described.iter().map(|group| group.group_id.as_str()).collect();
        assert_eq!(ids, ["g", "h"]);

        let topic = |partition_indexes: &[i32]| OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: partition_indexes.to_vec(),
            ..Default::default()
        };
        let group =
            |topics| OffsetFetchRequestGroup { group_id: "g".into(), topics, ..Default::default() };
        let groups =
            vec![group(Some(vec![topic(&[0, 0, 1]), topic(&[1])])), group(None), group(None)];
        let request = OffsetFetchRequest { groups, ..Default::default() };
        let fetched = ask(conn, &request, 8).groups;
        assert_eq!(fetched.len(), 2, "all offsets of a group are told once");
        let told = fetched[0].topics.iter().flat_map(|topic| &topic.partitions);
        assert_eq!(told.map(|partition| partition.partition_index).collect::<Vec<_>>(), [0, 1]);

        let groups = vec![group(Some(vec![topic(&[0])])), group(Some(vec![topic(&[0, 1])]))];
        let fetched =
            ask(conn, &OffsetFetchRequest { groups, ..Default::default() }, 8).groups.into_iter();
        let told = fetched.flat_map(|group| group.topics).flat_map(|topic| topic.partitions);
        assert_eq!(told.map(|partition| partition.partition_index).collect::<Vec<_>>(), [0, 1]);

        let topic = describe_producers_request::TopicRequest {
            name: "t".into(),
            partition_indexes: vec![0, 0, 1],
            ..Default::default()
        };
        let request =
            DescribeProducersRequest { topics: vec![topic.clone(), topic], ..Default::default() };
        let topics = ask(conn, &request, 0).topics;
        let told = topics.iter().flat_map(|topic| &topic.partitions);
        assert_eq!(told.map(|partition| partition.partition_index).collect::<Vec<_>>(), [0, 1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_word_on_a_partition_deletes_its_records() {
    with_client(|conn| {
        let partition =
            |offset| DeleteRecordsPartition { partition_index: 0, offset, ..Default::default() };
        let topic = DeleteRecordsTopic {
            name: "t".into(),
            partitions: vec![partition(3), partition(1)],
            ..Default::default()
        };
        let request =
            DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() };
        let answer = ask(conn, &request, 2);
        let partitions = &answer.topics[0].partitions;
        assert_eq!(partitions.len(), 1);
        assert_eq!((partitions[0].error_code, partitions[0].low_watermark), (ErrorCode::NONE, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_id_has_a_name() {
    with_client(|conn| {
        let request = InitProducerIdRequest {
            transactional_id: Some(String::new()),
            transaction_timeout_ms: 1_000,
            ..Default::default()
        };
        assert_eq!(ask(conn, &request, 4).error_code, ErrorCode::INVALID_REQUEST);
    })
    .await;
}
