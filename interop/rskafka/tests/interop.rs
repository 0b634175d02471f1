//! `rskafka`: one partition at a time, no groups: produce, fetch, stream, look up, delete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use rskafka::chrono::{DateTime, TimeDelta, Utc};
use rskafka::client::consumer::{StartOffset, StreamConsumerBuilder};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::producer::{BatchProducerBuilder, aggregator::RecordAggregator};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

async fn client() -> Client {
    let bootstrap = std::env::var("BOOTSTRAP").unwrap_or("127.0.0.1:9092".into());
    ClientBuilder::new(vec![bootstrap]).build().await.expect("connected")
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

fn fresh() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("rskafka-{}-{}-{number}", now(), std::process::id())
}

async fn create_topic(partitions: i32) -> String {
    let name = fresh();
    let controller = client().await.controller_client().expect("a controller");
    controller.create_topic(&name, partitions, 1, 5_000).await.expect("created");
    name
}

async fn partition(topic: &str, index: i32) -> PartitionClient {
    client()
        .await
        .partition_client(topic, index, UnknownTopicHandling::Retry)
        .await
        .expect("a leader")
}

/// An hour ago, to the millisecond: no retention reaches it while a test runs.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(now() - 3_600_000).expect("a time")
}

fn record(number: i64, value: Vec<u8>, start: DateTime<Utc>) -> Record {
    Record {
        key: Some(format!("k{number}").into_bytes()),
        value: Some(value),
        headers: BTreeMap::from([("trace".to_string(), vec![0, 255])]),
        timestamp: start + TimeDelta::seconds(number),
    }
}

async fn read_all(partition: &PartitionClient, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        let offset = records.len() as i64;
        let (more, _) =
            partition.fetch_records(offset, 1..1_000_000, 1_000).await.expect("fetched");
        assert!(!more.is_empty(), "only {} of {count} records", records.len());
        for (i, one) in more.into_iter().enumerate() {
            assert_eq!(one.offset, offset + i as i64);
            records.push(one.record);
        }
    }
    records
}

#[tokio::test]
async fn records_come_back_as_sent() {
    for codec in [
        Compression::NoCompression,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let partition = partition(&create_topic(1).await, 0).await;
        let begin = start();
        let mut sent: Vec<_> = (0..200).map(|i| record(i, vec![i as u8; 300], begin)).collect();
        sent.push(Record { key: None, ..record(200, b"no key".to_vec(), begin) });
        sent.push(Record { value: None, ..record(201, Vec::new(), begin) });
        let offsets = partition.produce(sent.clone(), codec).await.expect("produced");
        assert_eq!(offsets, (0..202).collect::<Vec<_>>());
        assert_eq!(read_all(&partition, 202).await, sent);
    }
}

#[tokio::test]
async fn offsets_are_found_by_time() {
    let partition = partition(&create_topic(1).await, 0).await;
    let begin = start();
    let records = (0..100).map(|i| record(i, b"x".to_vec(), begin)).collect();
    partition.produce(records, Compression::NoCompression).await.expect("produced");
    let at = async |at| partition.get_offset(at).await.expect("an offset");
    assert_eq!(at(OffsetAt::Earliest).await, 0);
    assert_eq!(at(OffsetAt::Latest).await, 100);
    assert_eq!(at(OffsetAt::Timestamp(begin + TimeDelta::milliseconds(41_001))).await, 42);
    assert_eq!(at(OffsetAt::Timestamp(begin + TimeDelta::milliseconds(99_001))).await, -1);

    let (from_the_middle, high_watermark) =
        partition.fetch_records(95, 1..1_000_000, 1_000).await.expect("fetched");
    assert_eq!(high_watermark, 100);
    let rest: Vec<_> =
        from_the_middle.iter().map(|one| one.offset).filter(|offset| *offset >= 95).collect();
    assert_eq!(rest, [95, 96, 97, 98, 99]);
}

#[tokio::test]
async fn a_batching_producer_and_a_stream() {
    let partition = Arc::new(partition(&create_topic(1).await, 0).await);
    let mut stream = StreamConsumerBuilder::new(partition.clone(), StartOffset::Earliest)
        .with_max_wait_ms(500)
        .build();
    let producer = BatchProducerBuilder::new(partition)
        .with_linger(Duration::from_millis(5))
        .build(RecordAggregator::new(10_000));
    let begin = start();
    let offsets = futures::future::join_all(
        (0..100).map(|i| producer.produce(record(i, b"x".to_vec(), begin))),
    )
    .await;
    let mut offsets: Vec<_> = offsets.into_iter().map(|offset| offset.expect("produced")).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    for expected in 0..100 {
        let (one, high_watermark) = stream.next().await.expect("endless").expect("fetched");
        assert_eq!(one.offset, expected);
        assert!(high_watermark > expected);
    }
}

#[tokio::test]
async fn an_empty_partition_waits_and_answers_nothing() {
    let partition = partition(&create_topic(2).await, 1).await;
    let (records, high_watermark) =
        partition.fetch_records(0, 1..1_000_000, 300).await.expect("fetched");
    assert_eq!((records.len(), high_watermark), (0, 0));
}

#[tokio::test]
async fn records_are_deleted_up_to_an_offset() {
    let partition = partition(&create_topic(1).await, 0).await;
    let records = (0..10).map(|i| record(i, b"x".to_vec(), start())).collect();
    partition.produce(records, Compression::NoCompression).await.expect("produced");
    partition.delete_records(4, 5_000).await.expect("deleted");
    assert_eq!(partition.get_offset(OffsetAt::Earliest).await.expect("an offset"), 4);
    let refused = partition.fetch_records(2, 1..1_000_000, 300).await.map(|_| ());
    assert_eq!(code(refused), ProtocolError::OffsetOutOfRange);
}

fn code(answer: Result<(), Error>) -> ProtocolError {
    match answer {
        Err(Error::ServerError { protocol_error, .. }) => protocol_error,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn refusals_have_their_codes() {
    let name = create_topic(1).await;
    let client = client().await;
    let controller = client.controller_client().expect("a controller");
    let create =
        async |name: &str, replicas| code(controller.create_topic(name, 1, replicas, 5_000).await);
    assert_eq!(create(&name, 1).await, ProtocolError::TopicAlreadyExists);
    assert_eq!(create("not/allowed", 1).await, ProtocolError::InvalidTopicException);
    assert_eq!(create(&fresh(), 3).await, ProtocolError::InvalidReplicationFactor);

    let partition = partition(&name, 0).await;
    let big = record(0, vec![0; 1_000_000], start());
    partition.produce(vec![big], Compression::NoCompression).await.expect("below the limit");
    let bigger = record(0, vec![0; 1_100_000], start());
    let refused = partition.produce(vec![bigger], Compression::NoCompression).await.map(|_| ());
    assert_eq!(code(refused), ProtocolError::MessageTooLarge);
    let absent = client.partition_client(fresh(), 0, UnknownTopicHandling::Error).await.map(|_| ());
    assert_eq!(code(absent), ProtocolError::UnknownTopicOrPartition);

    let topics = client.list_topics().await.expect("listed");
    assert!(topics.iter().any(|topic| topic.name == name && topic.partitions.len() == 1));
    controller.delete_topic(&name, 5_000).await.expect("deleted");
}
