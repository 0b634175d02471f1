//! A metadata log and a snapshot that Apache Kafka 4.3.1 wrote: topics created, grown, configured
//! and deleted, features changed, access control, credentials and quotas, a clean restart, and a
//! start after kill −9.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

use std::collections::BTreeSet;

use bytes::Bytes;
use strandline_metadata::{Image, Record};
use strandline_types::{NodeId, Offset, PartitionId};

const LOG: &str = include_str!("data/kafka-metadata-log.txt");
const SNAPSHOT: &str = include_str!("data/kafka-metadata-snapshot.txt");
const SNAPSHOT_END: Offset = Offset(5096);

fn values(text: &str) -> Vec<(Offset, Bytes)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (offset, hex) = line.split_once(' ').unwrap();
            let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            let bytes = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap());
            (Offset(offset.parse().unwrap()), bytes.collect::<Vec<u8>>().into())
        })
        .collect()
}

fn image_of(records: &[(Offset, Bytes)]) -> Image {
    let mut image = Image::default();
    for (offset, value) in records {
        image.apply(Record::decode(value).unwrap(), *offset).unwrap();
    }
    image
}

/// Kafka lists a broker's features in the order of a hash map.
fn normal(mut record: Record) -> Record {
    if let Record::RegisterBroker(broker) = &mut record {
        broker.features.sort_by(|a, b| a.name.cmp(&b.name));
    }
    record
}

fn before_snapshot() -> Vec<(Offset, Bytes)> {
    values(LOG).into_iter().filter(|(offset, _)| *offset < SNAPSHOT_END).collect()
}

/// Each record comes out of our codec as it went in, in the version that we would choose.
#[test]
fn every_record_is_written_back_to_the_byte() {
    let version = image_of(&values(LOG)).features.metadata_version();
    for (offset, value) in values(LOG).into_iter().chain(values(SNAPSHOT)) {
        let record = Record::decode(&value).unwrap();
        assert_eq!(record.encode(version).unwrap(), value, "at {offset}: {record:?}");
    }
}

#[test]
fn the_log_tells_what_the_cluster_is() {
    let image = image_of(&values(LOG));
    let names: Vec<_> = image.topics.iter_by_name().map(|topic| topic.name.as_ref()).collect();
    assert_eq!(names, ["__consumer_offsets", "a.b", "manual", "t1"]);
    let topic = image.topics.by_name("t1").unwrap();
    assert_eq!(topic.partitions.len(), 6);
    let partition = topic.partition(PartitionId(5)).unwrap();
    assert_eq!((partition.leader, partition.isr.as_slice()), (NodeId(1), &[NodeId(1)][..]));
    assert_eq!((partition.leader_epoch.get(), partition.partition_epoch), (4, 5));
    let broker = image.cluster.broker(NodeId(1)).unwrap();
    // Before its own record stand those that took its dead incarnation out of the partitions.
    assert_eq!((broker.epoch().get(), broker.registered_at()), (5083, Offset(5094)));
    assert!(broker.is_active());
    assert_eq!(image.next_producer_id(), 1000);
    assert_eq!(image.topics.colliding_with("a_b"), Some("a.b"));
}

/// Our snapshot says, to the byte, what Kafka's says. Kafka's says more in one place: it keeps the
/// settings of a topic that it saw created and deleted while it caught up.
#[test]
fn our_snapshot_is_kafkas() {
    let image = image_of(&before_snapshot());
    let version = image.features.metadata_version();
    let encode = |record: Record| normal(record).encode(version).unwrap();
    let ours: BTreeSet<Bytes> = image.snapshot().into_iter().map(encode).collect();
    let kafkas: BTreeSet<Bytes> =
        values(SNAPSHOT).iter().map(|(_, value)| encode(Record::decode(value).unwrap())).collect();
    let describe = |values: BTreeSet<&Bytes>| -> Vec<String> {
        values.into_iter().map(|value| format!("{:?}", Record::decode(value).unwrap())).collect()
    };
    let missing = describe(kafkas.difference(&ours).collect());
    let added = describe(ours.difference(&kafkas).collect());
    assert_eq!(added, Vec::<String>::new());
    assert_eq!(missing.len(), 3, "{missing:#?}");
    assert!(missing.iter().all(|record| record.contains(r#"resource_name: "conf""#)));
}

#[test]
fn kafkas_snapshot_builds_the_image_that_its_log_builds() {
    let from_log = image_of(&before_snapshot());
    let kafkas: Vec<_> = values(SNAPSHOT)
        .into_iter()
        .filter(|(_, value)| {
            let record = Record::decode(value).unwrap();
            !matches!(record, Record::Config(config) if config.resource_name == "conf")
        })
        .collect();
    let from_snapshot = image_of(&kafkas);
    let normal = |image: Image| image.snapshot().into_iter().map(normal).collect::<Vec<_>>();
    assert_eq!(normal(from_snapshot), normal(from_log));
}
