//! Producing to a real broker: codecs, order, retries over cut connections, refusals.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{client, new_topic, unique, with_broker};
use strandline_client::admin::OffsetSpec;
use strandline_client::producer::{
    Acks, ProduceError, Producer, ProducerConfig, ProducerRecord, partition_of_key,
};
use strandline_client::{Admin, Client, ClientConfig};
use strandline_types::{ErrorCode, Offset, PartitionId, TopicPartition};

fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionId(index) }
}

async fn end_offset(client: &Client, topic: &str) -> Offset {
    let specs = BTreeMap::from([(partition(topic, 0), OffsetSpec::Latest)]);
    let listed = Admin::new(client.clone()).list_offsets(&specs, false).await.unwrap();
    listed[0].1.clone().unwrap().offset
}

#[test]
fn records_are_stored_in_order() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "order", 1).await;
        let producer = Producer::new(client.clone(), ProducerConfig::default());
        let mut deliveries = Vec::new();
        for number in 0..5_000 {
            let record = ProducerRecord::new(&topic).value(format!("value {number}"));
            deliveries.push(producer.send(record).await.unwrap());
        }
        for (number, delivery) in deliveries.into_iter().enumerate() {
            let delivered = delivery.await.unwrap();
            assert_eq!(delivered.offset, Offset(number as i64));
            assert_eq!(delivered.partition, partition(&topic, 0));
            assert!(delivered.timestamp.as_millis() > 0);
        }
        assert_eq!(end_offset(&client, &topic).await, Offset(5_000));
    });
}

#[test]
fn keys_choose_partitions() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "keys", 7).await;
        let producer = Producer::new(client, ProducerConfig::default());
        for key in ["a", "b", "foobar", "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"] {
            let record = ProducerRecord::new(&topic).key(key).value("v");
            let delivered = producer.send(record).await.unwrap().await.unwrap();
            assert_eq!(delivered.partition.partition, partition_of_key(key.as_bytes(), 7));
        }
        let nowhere = ProducerRecord::new(&topic).partition(PartitionId(7));
        let error = producer.send(nowhere).await.unwrap_err();
        let expected = ProduceError::NoSuchPartition { partition: partition(&topic, 7), count: 7 };
        assert_eq!(error, expected);
    });
}

#[test]
fn acks_of_every_kind() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "acks", 1).await;
        for (count, acks, offset) in [(1, Acks::All, 0), (2, Acks::Leader, 1), (3, Acks::None, -1)]
        {
            let config = ProducerConfig { acks, ..ProducerConfig::default() };
            let producer = Producer::new(client.clone(), config);
            let record = ProducerRecord::new(&topic).value("v");
            let delivered = producer.send(record).await.unwrap().await.unwrap();
            assert_eq!(delivered.offset, Offset(offset));
            common::eventually(async || end_offset(&client, &topic).await == Offset(count)).await;
        }
    });
}

#[test]
fn what_the_broker_refuses_fails_alone() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "refused", 1).await;
        let config = ProducerConfig { request_bytes_max: 8 << 20, ..ProducerConfig::default() };
        let producer = Producer::new(client.clone(), config);
        let small = || ProducerRecord::new(&topic).value("small");
        let first = producer.send(small()).await.unwrap().await.unwrap();
        let large = ProducerRecord::new(&topic).value(vec![b'x'; 2 << 20]);
        let refused = producer.send(large).await.unwrap();
        let second = producer.send(small()).await.unwrap();
        match refused.await.unwrap_err() {
            ProduceError::Refused { partition: subject, refusal } => {
                assert_eq!(subject, partition(&topic, 0));
                assert_eq!(refusal.code, ErrorCode::MESSAGE_TOO_LARGE);
            }
            other => panic!("{other}"),
        }
        assert_eq!(second.await.unwrap().offset, first.offset + 1);
        let huge = ProducerRecord::new(&topic).value(vec![b'x'; 9 << 20]);
        assert!(matches!(producer.send(huge).await, Err(ProduceError::TooLarge { .. })));
        let impossible = ProducerRecord::new("no/slash").value("v");
        let error = producer.send(impossible).await.unwrap_err();
        let ProduceError::Client(error) = error else { panic!("{error}") };
        assert_eq!(error.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION));
    });
}

#[test]
fn cut_connections_lose_nothing_and_repeat_nothing() {
    with_broker(async |bootstrap| {
        let direct = client(&bootstrap);
        let topic = new_topic(&direct, "cut", 1).await;
        let proxy = common::proxy::Proxy::start(&bootstrap).await;
        let through = Client::new(proxy.world(), ClientConfig::new(&bootstrap));
        let producer = Producer::new(through, ProducerConfig::default());
        let mut deliveries = Vec::new();
        for number in 0..2_000_usize {
            let record = ProducerRecord::new(&topic).value(format!("{number}"));
            deliveries.push(producer.send(record).await.unwrap());
            if number % 200 == 199 {
                // Some are stored and confirmed, some on their way, some not sent.
                (&mut deliveries[number - 100]).await.unwrap();
                proxy.cut();
            }
        }
        for (number, delivery) in deliveries.into_iter().enumerate() {
            let delivered = delivery.await.unwrap();
            let offset = delivered.offset.get();
            assert!(offset == number as i64 || offset == -1, "record {number} at {offset}");
        }
        assert!(proxy.cuts() > 1, "connections were cut");
        assert_eq!(end_offset(&direct, &topic).await, Offset(2_000));
    });
}

#[test]
fn a_broker_that_never_answers_times_records_out() {
    with_broker(async |bootstrap| {
        let direct = client(&bootstrap);
        let topic = new_topic(&direct, "mute", 1).await;
        let proxy = common::proxy::Proxy::start(&bootstrap).await;
        let through = Client::new(proxy.world(), ClientConfig::new(&bootstrap));
        let config = ProducerConfig {
            // The first record must make it on a busy machine.
            delivery_timeout: Duration::from_secs(5),
            buffer_bytes: 200,
            block_max: Duration::from_millis(100),
            ..ProducerConfig::default()
        };
        let producer = Producer::new(through, config);
        let record = |value: &'static str| ProducerRecord::new(&topic).value(value);
        let stored = producer.send(record("seen")).await.unwrap().await.unwrap();
        assert_eq!(stored.offset, Offset(0));
        proxy.mute();
        let timed_out = producer.send(record("unseen")).await.unwrap();
        let more = producer.send(ProducerRecord::new(&topic).value(vec![0; 200])).await;
        assert!(matches!(more, Err(ProduceError::BufferFull { .. })), "{more:?}");
        let error = timed_out.await.unwrap_err();
        assert!(matches!(error, ProduceError::TimedOut { .. }), "{error}");
    });
}

#[test]
fn unknown_topics_are_created_only_if_wanted() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let name = unique("auto");
        let config = ProducerConfig {
            may_create_topics: false,
            block_max: Duration::from_millis(300),
            ..ProducerConfig::default()
        };
        let strict = Producer::new(client.clone(), config);
        let error = strict.send(ProducerRecord::new(&name).value("v")).await.unwrap_err();
        let ProduceError::Client(error) = error else { panic!("{error}") };
        assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        let producer = Producer::new(client, ProducerConfig::default());
        let record = ProducerRecord::new(&name).value("v");
        assert_eq!(producer.send(record).await.unwrap().await.unwrap().offset, Offset(0));
    });
}
