//! librdkafka through `rdkafka`: produce, consume, share a group, administrate.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use interop_rdkafka::{LIMIT, admin, config, create_topic, eventually, fresh, now};
use rdkafka::Timestamp;
use rdkafka::admin::{
    AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

fn producer(settings: &[(&str, &str)]) -> FutureProducer {
    let mut config = config();
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().expect("a producer")
}

/// A consumer of partitions that it is given, which reports where they end.
fn reader(topic: &str, partitions: i32, from: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = config()
        .set("group.id", "never-committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment.add_partition_offset(topic, partition, from).expect("a valid offset");
    }
    consumer.assign(&assignment).expect("assigned");
    consumer
}

/// Everything up to the end of each of the partitions.
fn read_to_end(consumer: &BaseConsumer, partitions: usize) -> Vec<OwnedMessage> {
    let (mut messages, mut ended, deadline) = (Vec::new(), 0, Instant::now() + LIMIT);
    while ended < partitions {
        assert!(Instant::now() < deadline, "no end after {} messages", messages.len());
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => messages.push(message.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    messages
}

async fn fill(topic: &str, numbers: std::ops::Range<i32>, partitions: i32) {
    let producer = producer(&[]);
    for number in numbers {
        let value = number.to_string();
        let record =
            FutureRecord::<(), _>::to(topic).partition(number % partitions).payload(&value);
        producer.send(record, LIMIT).await.expect("delivered");
    }
}

async fn come_back_as_sent(codec: &str) {
    let topic = create_topic(1, &[]).await;
    let producer = producer(&[("compression.type", codec), ("linger.ms", "20")]);
    let start = now() - 3_600_000;
    let mut answers = Vec::new();
    for i in 0..300 {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "trace", value: Some(&[0u8, 255][..]) })
            .insert(Header { key: "none", value: None::<&[u8]> });
        let (key, value) = (format!("k{i}"), vec![i as u8; 300]);
        let record = FutureRecord::to(&topic)
            .key(&key)
            .payload(&value)
            .timestamp(start + i)
            .headers(headers);
        answers.push(producer.send_result(record).map_err(|(error, _)| error).expect("queued"));
    }
    for (i, answer) in answers.into_iter().enumerate() {
        let delivery =
            answer.await.expect("not cancelled").map_err(|(error, _)| error).expect("delivered");
        assert_eq!((delivery.partition, delivery.offset), (0, i as i64));
    }
    let messages = read_to_end(&reader(&topic, 1, Offset::Beginning), 1);
    assert_eq!(messages.len(), 300);
    for (i, message) in messages.iter().enumerate() {
        assert_eq!(message.offset(), i as i64);
        assert_eq!(message.key(), Some(format!("k{i}").as_bytes()));
        assert_eq!(message.payload(), Some(&vec![i as u8; 300][..]));
        assert_eq!(message.timestamp(), Timestamp::CreateTime(start + i as i64));
        let headers = message.headers().expect("headers");
        assert_eq!(headers.get(0), Header { key: "trace", value: Some(&[0u8, 255][..]) });
        assert_eq!(headers.get(1), Header { key: "none", value: None });
    }
}

#[tokio::test]
async fn records_come_back_as_sent() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        come_back_as_sent(codec).await;
    }
}

#[tokio::test]
async fn a_key_goes_where_java_would_send_it() {
    let topic = create_topic(6, &[]).await;
    let producer = producer(&[("partitioner", "murmur2_random")]);
    let mut homes = Vec::new();
    for i in 0..50 {
        let key = format!("key-{i}");
        let record = FutureRecord::to(&topic).key(&key).payload("x");
        homes.push(producer.send(record, LIMIT).await.expect("delivered").partition);
    }
    assert_eq!(homes[..4], [1, 0, 2, 5]);
    assert_eq!(homes.into_iter().collect::<BTreeSet<_>>().len(), 6);
}

#[tokio::test]
async fn seek_to_an_offset_and_to_a_time() {
    let topic = create_topic(1, &[]).await;
    let start = now() - 3_600_000;
    let producer = producer(&[]);
    for i in 0..100 {
        let record = FutureRecord::<(), _>::to(&topic).payload("x").timestamp(start + 1000 * i);
        producer.send(record, LIMIT).await.expect("delivered");
    }
    let consumer = reader(&topic, 1, Offset::Offset(95));
    assert_eq!(read_to_end(&consumer, 1).len(), 5);
    consumer.seek(&topic, 0, Offset::OffsetTail(2), LIMIT).expect("sought");
    assert_eq!(read_to_end(&consumer, 1).iter().map(Message::offset).collect::<Vec<_>>(), [98, 99]);
    for (time, expected) in [(-1, 0), (41_001, 42), (42_000, 42)] {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, 0, Offset::Offset(start + time)).expect("a valid time");
        let found = consumer.offsets_for_times(asked, LIMIT).expect("an answer");
        assert_eq!(found.elements()[0].offset(), Offset::Offset(expected));
    }
    assert_eq!(consumer.fetch_watermarks(&topic, 0, LIMIT).expect("an answer"), (0, 100));
}

#[tokio::test]
async fn an_empty_topic_has_an_end() {
    let topic = create_topic(3, &[]).await;
    assert_eq!(read_to_end(&reader(&topic, 3, Offset::Beginning), 3).len(), 0);
}

fn join(group: &str, topic: &str, strategy: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config()
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200")
        .set("partition.assignment.strategy", strategy)
        .create()
        .expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribed");
    consumer
}

fn owned(member: &BaseConsumer) -> Vec<i32> {
    member
        .assignment()
        .expect("known")
        .elements()
        .iter()
        .map(|element| element.partition())
        .collect()
}

/// Each partition has exactly one owner, and everyone has a share.
fn shared_fairly(members: &[BaseConsumer], partitions: i32) -> bool {
    let mut all: Vec<i32> = members.iter().flat_map(owned).collect();
    all.sort_unstable();
    members.iter().all(|member| !owned(member).is_empty())
        && all == (0..partitions).collect::<Vec<_>>()
}

/// Everyone has read its partitions up to `end`.
fn have_read(members: &[BaseConsumer], end: i64) -> bool {
    members.iter().all(|member| {
        let positions = member.position().expect("known");
        positions.elements().iter().all(|element| element.offset() == Offset::Offset(end))
    })
}

/// Polls all members in turn until it is settled; returns the numbers that they read.
fn poll_until(
    members: &[BaseConsumer],
    settled: impl Fn(&[BaseConsumer], &[i32]) -> bool,
) -> Vec<i32> {
    let (mut numbers, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(40));
    while !settled(members, &numbers) {
        assert!(
            Instant::now() < deadline,
            "never settled: {:?}",
            members.iter().map(owned).collect::<Vec<_>>()
        );
        for member in members {
            if let Some(Ok(message)) = member.poll(Duration::from_millis(20)) {
                let text = std::str::from_utf8(message.payload().expect("a value")).expect("text");
                numbers.push(text.parse().expect("a number"));
            }
        }
    }
    numbers.sort_unstable();
    numbers
}

async fn share_leave_and_resume(strategy: &str) {
    let (topic, group) = (create_topic(6, &[]).await, fresh("group"));
    fill(&topic, 0..60, 6).await;
    let mut members: Vec<_> = (0..3).map(|_| join(&group, &topic, strategy)).collect();
    // Who was given a partition by the last rebalance reads it anew: nothing is committed yet.
    let read =
        poll_until(&members, |members, _| shared_fairly(members, 6) && have_read(members, 10));
    assert_eq!(read.iter().collect::<BTreeSet<_>>().len(), 60);
    for member in &members {
        member.commit_consumer_state(CommitMode::Sync).expect("committed");
    }
    drop(members.pop());
    assert_eq!(
        poll_until(&members, |members, _| shared_fairly(members, 6)),
        Vec::<i32>::new(),
        "nothing is delivered again"
    );
    for member in members {
        drop(member);
    }
    fill(&topic, 60..66, 6).await;
    let late = [join(&group, &topic, strategy)];
    assert_eq!(poll_until(&late, |_, numbers| numbers.len() >= 6), [60, 61, 62, 63, 64, 65]);
}

#[tokio::test]
async fn eager_members_share_leave_and_resume() {
    share_leave_and_resume("range").await;
}

#[tokio::test]
async fn cooperative_members_share_leave_and_resume() {
    share_leave_and_resume("cooperative-sticky").await;
}

#[tokio::test]
async fn a_commit_from_outside_an_active_group_is_refused() {
    let (topic, group) = (create_topic(1, &[]).await, fresh("group"));
    let insider = [join(&group, &topic, "range")];
    poll_until(&insider, |members, _| shared_fairly(members, 1));
    let outsider: BaseConsumer = config().set("group.id", &group).create().expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(5)).expect("a valid offset");
    let refused = outsider.commit(&offsets, CommitMode::Sync).expect_err("refused");
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownMemberId));
}

#[tokio::test]
async fn an_idempotent_producer_writes_once_and_in_order() {
    let topic = create_topic(1, &[]).await;
    let producer = producer(&[("enable.idempotence", "true"), ("batch.num.messages", "50")]);
    let values: Vec<String> = (0..2000).map(|i| i.to_string()).collect();
    let answers: Vec<_> = values
        .iter()
        .map(|value| {
            producer
                .send_result(FutureRecord::<(), _>::to(&topic).payload(value))
                .map_err(|(error, _)| error)
                .expect("queued")
        })
        .collect();
    for answer in answers {
        answer.await.expect("not cancelled").map_err(|(error, _)| error).expect("delivered");
    }
    let got = read_to_end(&reader(&topic, 1, Offset::Beginning), 1);
    assert!(
        got.iter()
            .map(|message| message.payload().expect("a value"))
            .eq(values.iter().map(String::as_bytes))
    );
}

async fn refusal(topic: &str, bytes: usize, settings: &[(&str, &str)]) -> Option<RDKafkaErrorCode> {
    let value = vec![0u8; bytes];
    let record = FutureRecord::<(), _>::to(topic).payload(&value);
    producer(settings)
        .send(record, LIMIT)
        .await
        .err()
        .and_then(|(error, _)| error.rdkafka_error_code())
}

#[tokio::test]
async fn errors_have_their_codes() {
    let small = create_topic(1, &[("max.message.bytes", "2000")]).await;
    assert_eq!(refusal(&small, 1800, &[]).await, None);
    assert_eq!(refusal(&small, 2100, &[]).await, Some(RDKafkaErrorCode::MessageSizeTooLarge));
    let big = [("message.max.bytes", "2000000")];
    assert_eq!(refusal(&fresh("auto"), 1_000_000, &big).await, None, "it is created by producing");
    assert_eq!(
        refusal(&fresh("auto"), 1_100_000, &big).await,
        Some(RDKafkaErrorCode::MessageSizeTooLarge)
    );
    assert_eq!(refusal("no spaces allowed", 1, &[]).await, Some(RDKafkaErrorCode::InvalidTopic));

    let (admin, options) = (admin(), AdminOptions::new());
    for (name, replicas, code) in [
        (small.as_str(), 1, RDKafkaErrorCode::TopicAlreadyExists),
        ("not/allowed", 1, RDKafkaErrorCode::InvalidTopic),
        (fresh("topic").as_str(), 3, RDKafkaErrorCode::InvalidReplicationFactor),
    ] {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(replicas));
        let answers = admin.create_topics(&[topic], &options).await.expect("an answer");
        assert_eq!(answers, vec![Err((name.to_string(), code))]);
    }
}

#[tokio::test]
async fn admin_calls() {
    let (topic, admin, options) = (create_topic(1, &[]).await, admin(), AdminOptions::new());
    let grown = admin
        .create_partitions(&[NewPartitions::new(&topic, 3)], &options)
        .await
        .expect("an answer");
    assert_eq!(grown, vec![Ok(topic.clone())]);
    let what = ResourceSpecifier::Topic(&topic);
    admin
        .alter_configs(&[AlterConfig::new(what).set("retention.ms", "1234")], &options)
        .await
        .expect("an answer");
    eventually("the new setting", async || {
        let described = admin.describe_configs([&what], &options).await.expect("an answer");
        let entries = &described[0].as_ref().expect("described").entries;
        let value = |key| {
            entries.iter().find(|entry| entry.name == key).and_then(|entry| entry.value.as_deref())
        };
        assert_eq!(value("cleanup.policy"), Some("delete"));
        value("retention.ms") == Some("1234")
    })
    .await;

    fill(&topic, 0..10, 1).await;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(4)).expect("a valid offset");
    admin.delete_records(&before, &options).await.expect("deleted");
    let consumer = reader(&topic, 1, Offset::Beginning);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, LIMIT).expect("an answer"), (4, 10));

    let group = fresh("group");
    let alone: BaseConsumer = config().set("group.id", &group).create().expect("a consumer");
    alone.commit(&before, CommitMode::Sync).expect("committed");
    let committed = alone.committed_offsets(before, LIMIT).expect("an answer");
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(4));
    let groups = consumer.fetch_group_list(Some(&group), LIMIT).expect("an answer");
    assert_eq!(groups.groups()[0].state(), "Empty");
    let deleted = admin.delete_groups(&[&group], &options).await.expect("an answer");
    assert_eq!(deleted, vec![Ok(group)]);
    let gone = admin.delete_topics(&[&topic], &options).await.expect("an answer");
    assert_eq!(gone, vec![Ok(topic)]);
}
