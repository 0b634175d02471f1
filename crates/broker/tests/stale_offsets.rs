//! Offsets in the log of a topic that is gone, of whose end its coordinator never heard.

#![allow(clippy::unwrap_used)]

mod node;

use std::net::TcpStream;
use std::path::Path;

use bytes::Bytes;
use node::{ask, ask_as, connect, create_topic};
use strandline_coordinator::Core;
use strandline_coordinator::groups::{Record, Shard};
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::{
    FindCoordinatorRequest, MetadataRequest, OffsetCommitKey, OffsetCommitValue,
    OffsetFetchRequest, ProduceRequest, Records,
};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord};

const GROUP: &str = "readers";

/// What the log holds when the group has committed this.
fn commit(topic: &str, topic_id: Uuid, offset: i64) -> Bytes {
    let key = OffsetCommitKey { group: GROUP.into(), topic: topic.into(), partition: 0 };
    let value = OffsetCommitValue { offset, topic_id, ..Default::default() };
    let (key, value) = Shard::encode(&Record::OffsetCommit(key, Some(value))).unwrap();
    let mut batch = BatchBuilder::new(BatchOptions::default());
    batch
        .append(&NewRecord { key: Some(&key), value: value.as_deref(), ..Default::default() })
        .unwrap();
    batch.build()
}

/// Kafka's own tools may write there.
fn write_to_log(conn: &mut TcpStream, batch: Bytes) {
    let partition =
        PartitionProduceData { index: 0, records: Records::Bytes(batch), ..Default::default() };
    let topic = TopicProduceData {
        name: "__consumer_offsets".into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..Default::default()
    };
    let answer = ask_as(conn, "__admin_client", &request, 11);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
}

fn topic_id(conn: &mut TcpStream, name: &str) -> Uuid {
    let topics = ask(conn, &MetadataRequest { topics: None, ..Default::default() }, 12).topics;
    topics.iter().find(|topic| topic.name.as_deref() == Some(name)).unwrap().topic_id
}

/// Offsets of each topic asked for, once the coordinator has read its log.
fn committed(
    conn: &mut TcpStream,
    version: i16,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
) -> Vec<Vec<i64>> {
    let group = OffsetFetchRequestGroup { group_id: GROUP.into(), topics, ..Default::default() };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    loop {
        let answer = ask(conn, &request, version).groups.remove(0);
        // It may not have heard yet that it is the one.
        let comes_to_it = [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::NOT_COORDINATOR];
        if !comes_to_it.contains(&answer.error_code) {
            assert_eq!(answer.error_code, ErrorCode::NONE);
            let offsets = answer.topics.into_iter().map(|topic| topic.partitions.into_iter());
            return offsets.map(|it| it.map(|it| it.committed_offset).collect()).collect();
        }
    }
}

async fn life(dir: &Path, work: impl FnOnce(&mut TcpStream)) {
    let broker = node::start(dir, &[("offsets.topic.num.partitions", "1")]).await;
    tokio::task::block_in_place(|| work(&mut connect(&broker)));
    broker.stop().await.unwrap();
}

/// The files alone: a directory stays locked for as long as the process lives that used it.
fn copied(from: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                std::fs::create_dir(&to).unwrap();
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    copy(from, dir.path());
    dir
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_of_another_topic_of_that_name_are_none() {
    let dir = tempfile::tempdir().unwrap();
    life(dir.path(), |conn| {
        ["anew", "old"].iter().for_each(|name| create_topic(conn, name, 1, &[]));
        let find =
            FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
        while ask(conn, &find, 4).coordinators[0].error_code != ErrorCode::NONE {}
        let old = topic_id(conn, "old");
        write_to_log(conn, commit("anew", Uuid::from_u128(77), 5));
        write_to_log(conn, commit("old", old, 6));
    })
    .await;
    let dir = copied(dir.path());
    life(dir.path(), |conn| {
        let asked = |name: &str, topic_id| OffsetFetchRequestTopics {
            name: name.into(),
            topic_id,
            partition_indexes: vec![0],
            ..Default::default()
        };
        let by_name = ["anew", "old"].map(|name| asked(name, Uuid::ZERO));
        assert_eq!(committed(conn, 9, Some(by_name.into())), [[-1], [6]]);
        let by_id = ["anew", "old"].map(|name| asked("", topic_id(conn, name)));
        assert_eq!(committed(conn, 10, Some(by_id.into())), [[-1], [6]]);
        assert_eq!(committed(conn, 9, None), [[6]]);
    })
    .await;
}
