//! Transactions on a real broker: read as a whole or not at all, one producer per id, exactly once
//! from topic to topic.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{client, new_topic, new_topic_with, unique, with_broker};
use strandline_client::Client;
use strandline_client::admin::{NewTopic, OffsetSpec};
use strandline_client::consumer::{Consumer, ConsumerConfig, GroupConfig, Reset};
use strandline_client::producer::{
    AbortCause, Producer, ProducerConfig, ProducerRecord, TransactionError, TransactionalConfig,
    TransactionalProducer,
};
use strandline_types::{PartitionId, TopicPartition};

const SOON: Duration = Duration::from_millis(100);

async fn open(client: &Client, id: &str) -> TransactionalProducer {
    // Nothing here ends by itself.
    let timeout = Duration::from_secs(600);
    let config = TransactionalConfig { timeout, ..TransactionalConfig::new(id) };
    TransactionalProducer::open(client.clone(), config).await.unwrap()
}

fn record(topic: &str, partition: i32, value: &str) -> ProducerRecord {
    ProducerRecord::new(topic).partition(PartitionId(partition)).value(value.to_owned())
}

/// All that a reader of committed records sees, up to where the partitions end for everybody.
async fn committed(client: &Client, topic: &str, partitions: i32) -> Vec<String> {
    let all: Vec<_> = (0..partitions)
        .map(|index| TopicPartition { topic: topic.to_owned(), partition: PartitionId(index) })
        .collect();
    let config = |is_read_committed| ConsumerConfig {
        is_read_committed,
        reset: Reset::Earliest,
        ..ConsumerConfig::default()
    };
    let everybody = Consumer::new(client.clone(), config(false));
    let ends = everybody.offsets(&all, OffsetSpec::Latest).await.unwrap();
    let mut consumer = Consumer::new(client.clone(), config(true));
    consumer.assign(all);
    let mut values = Vec::new();
    while ends.iter().any(|(partition, end)| consumer.position(partition).unwrap() < *end) {
        for record in consumer.poll(SOON).await.unwrap() {
            values.push(String::from_utf8(record.value.unwrap().into()).unwrap());
        }
    }
    values.sort();
    values
}

#[test]
fn a_transaction_is_read_as_a_whole_or_not_at_all() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "whole", 2).await;
        let mut producer = open(&client, &unique("whole")).await;
        for number in 0..30 {
            let transaction = producer.begin().await.unwrap();
            for partition in 0..2 {
                let value = format!("{number:02}-{partition}");
                drop(transaction.send(record(&topic, partition, &value)).await.unwrap());
            }
            match number % 3 {
                0 => transaction.commit().await.unwrap(),
                1 => transaction.abort().await.unwrap(),
                // The next one begins by aborting it.
                _ => drop(transaction),
            }
        }
        producer.begin().await.unwrap().commit().await.unwrap();
        let transaction = producer.begin().await.unwrap();
        transaction.send(record(&topic, 0, "dropped")).await.unwrap().await.unwrap();
        drop(transaction);
        producer.settle().await.unwrap();
        let expected: Vec<_> = (0..30)
            .step_by(3)
            .flat_map(|number| [format!("{number:02}-0"), format!("{number:02}-1")])
            .collect();
        assert_eq!(committed(&client, &topic, 2).await, expected);
    });
}

#[test]
fn a_former_producer_of_the_id_commits_nothing() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "former", 1).await;
        let id = unique("former");
        let mut first = open(&client, &id).await;
        let transaction = first.begin().await.unwrap();
        transaction.send(record(&topic, 0, "of the first")).await.unwrap().await.unwrap();
        let mut second = open(&client, &id).await;
        assert_eq!(
            transaction.commit().await,
            Err(TransactionError::Fenced { transactional_id: id.clone() })
        );
        let transaction = second.begin().await.unwrap();
        drop(transaction.send(record(&topic, 0, "of the second")).await.unwrap());
        transaction.commit().await.unwrap();
        assert!(first.begin().await.is_err(), "it stays a former one");
        assert_eq!(committed(&client, &topic, 1).await, ["of the second"]);
    });
}

#[test]
fn a_record_that_fails_fails_its_transaction_and_no_other() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let compacted =
            NewTopic::new(unique("compacted"), 1, 1).config("cleanup.policy", "compact");
        let topic = new_topic_with(&client, compacted).await;
        let mut producer = open(&client, &unique("fails")).await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(record(&topic, 0, "good").key("a")).await.unwrap().await.unwrap();
        drop(transaction.send(record(&topic, 0, "without a key")).await.unwrap());
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(error, TransactionError::Aborted { .. }), "{error:?}");
        let transaction = producer.begin().await.unwrap();
        drop(transaction.send(record(&topic, 0, "good").key("a")).await.unwrap());
        assert!(transaction.send(record(&topic, 1, "nowhere").key("a")).await.is_err());
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(error, TransactionError::Aborted { .. }), "{error:?}");
        let transaction = producer.begin().await.unwrap();
        drop(transaction.send(record(&topic, 0, "better").key("a")).await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(committed(&client, &topic, 1).await, ["better"]);
    });
}

#[test]
fn what_is_read_is_committed_with_what_is_written() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let source = new_topic(&client, "source", 1).await;
        let target = new_topic(&client, "target", 1).await;
        let producer = Producer::new(client.clone(), ProducerConfig::default());
        for number in 0..50 {
            drop(producer.send(record(&source, 0, &format!("{number:02}"))).await.unwrap());
        }
        producer.flush().await;
        let group = GroupConfig { auto_commit: None, ..GroupConfig::new(unique("chain")) };
        let config = ConsumerConfig {
            group: Some(group),
            reset: Reset::Earliest,
            poll_records_max: 7,
            ..ConsumerConfig::default()
        };
        let mut consumer = Consumer::new(client.clone(), config);
        consumer.subscribe([source.as_str()]);
        let mut producer = open(&client, &unique("chain")).await;
        let (mut rounds, mut done) = (0, 0);
        while done < 50 {
            let records = consumer.poll(SOON).await.unwrap();
            if records.is_empty() {
                continue;
            }
            let transaction = producer.begin().await.unwrap();
            for record in &records {
                let copy =
                    ProducerRecord { value: record.value.clone(), ..ProducerRecord::new(&target) };
                drop(transaction.send(copy).await.unwrap());
            }
            let member = consumer.group_member().unwrap();
            transaction.commit_offsets(&member, &consumer.positions()).await.unwrap();
            rounds += 1;
            if rounds % 3 == 0 {
                transaction.abort().await.unwrap();
                consumer.rewind();
            } else {
                transaction.commit().await.unwrap();
                done += records.len();
            }
        }
        let expected: Vec<_> = (0..50).map(|number| format!("{number:02}")).collect();
        assert_eq!(committed(&client, &target, 1).await, expected);

        // A member that has left commits nothing, however late it comes.
        let member = consumer.group_member().unwrap();
        let offsets = consumer.positions();
        consumer.close().await.unwrap();
        let transaction = producer.begin().await.unwrap();
        transaction.send(record(&target, 0, "of a former member")).await.unwrap().await.unwrap();
        let refused = transaction.commit_offsets(&member, &offsets).await;
        assert!(matches!(refused, Err(TransactionError::Client(_))), "{refused:?}");
        // Whoever overlooks that commits nothing all the same.
        assert_eq!(
            transaction.commit().await,
            Err(TransactionError::Aborted { cause: AbortCause::Offsets })
        );
        assert_eq!(committed(&client, &target, 1).await, expected);
    });
}
