//! Reads with an end, of a log that does what a script says: ends without a record, logs that lose
//! what they had.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::run;
use common::scripted::{Entry, Scripted, TOPIC};
use strandline_client::consumer::{
    BoundedConfig, BoundedReader, ConsumeError, ConsumerConfig, Place, Progress,
};
use strandline_types::{Offset, PartitionId, TopicPartition};

const SOON: Duration = Duration::from_millis(50);

fn only() -> TopicPartition {
    TopicPartition { topic: TOPIC.into(), partition: PartitionId(0) }
}

/// A leader of epoch 2 with six records.
async fn six() -> Scripted {
    let broker = Scripted::start().await;
    broker.log.send_modify(|log| {
        log.leader_epoch = 2;
        log.append(2, &["a", "b", "c", "d", "e", "f"]);
    });
    broker
}

async fn open(broker: &Scripted, config: BoundedConfig) -> Result<BoundedReader, ConsumeError> {
    BoundedReader::open(common::client(&broker.address.to_string()), TOPIC, config).await
}

async fn to_now(broker: &Scripted) -> BoundedReader {
    open(broker, BoundedConfig::default()).await.unwrap()
}

/// Reads to the end, or to an error.
async fn read(reader: &mut BoundedReader) -> Result<String, ConsumeError> {
    let mut values = String::new();
    while !reader.is_done() {
        for record in reader.poll(SOON, 2).await? {
            values.push_str(std::str::from_utf8(&record.value.unwrap()).unwrap());
        }
    }
    Ok(values)
}

#[test]
fn an_end_is_an_offset_and_no_record() {
    run(async {
        let broker = six().await;
        broker.log.send_modify(|log| log.records.extend([(2, Entry::Marker); 2]));
        let mut reader = to_now(&broker).await;
        // What is written meanwhile lies behind the end.
        broker.log.send_modify(|log| log.append(2, &["g"]));
        assert_eq!(reader.progress(), Progress { passed: 0, total: 8 });
        assert_eq!(read(&mut reader).await.unwrap(), "abcdef");
        assert_eq!(reader.progress(), Progress { passed: 8, total: 8 });
        assert_eq!(reader.positions(), [(PartitionId(0), Offset(8))].into());
        let rest = BoundedConfig { starts: reader.positions(), ..BoundedConfig::default() };
        assert_eq!(read(&mut open(&broker, rest.clone()).await.unwrap()).await.unwrap(), "g");
        // An end before the beginning takes nobody back.
        let before = BoundedConfig { until: Place::Offset(Offset(3)), ..rest };
        let reader = open(&broker, before).await.unwrap();
        assert!(reader.is_done());
        assert_eq!(reader.positions(), [(PartitionId(0), Offset(8))].into());
    });
}

#[test]
fn what_is_committed_ends_where_a_transaction_is_open() {
    run(async {
        let broker = six().await;
        broker.log.send_modify(|log| log.open_from = Some(4));
        let consumer = ConsumerConfig { is_read_committed: true, ..ConsumerConfig::default() };
        let committed = BoundedConfig { consumer, ..BoundedConfig::default() };
        let mut reader = open(&broker, committed.clone()).await.unwrap();
        assert_eq!(read(&mut reader).await.unwrap(), "abcd");
        let beyond = BoundedConfig { until: Place::Offset(Offset(5)), ..committed };
        let error = open(&broker, beyond).await.err().unwrap();
        assert_eq!(error.to_string(), "scripted-0 ends at offset 4, before 5");
        assert_eq!(read(&mut to_now(&broker).await).await.unwrap(), "abcdef");
    });
}

/// A new leader without what the former one had promised: nothing would ever come.
#[test]
fn an_end_that_is_gone_is_said() {
    run(async {
        let broker = six().await;
        let mut reader = to_now(&broker).await;
        broker.log.send_modify(|log| {
            log.records.truncate(3);
            log.leader_epoch = 3;
        });
        let gone = ConsumeError::BeyondEnd { partition: only(), until: Offset(6), end: Offset(3) };
        assert_eq!(read(&mut reader).await, Err(gone));
    });
}

#[test]
fn what_was_returned_and_is_gone_is_said() {
    run(async {
        let broker = six().await;
        let until = Place::Offset(Offset(8));
        let patient = BoundedConfig { until, may_wait: true, ..BoundedConfig::default() };
        let mut reader = open(&broker, patient).await.unwrap();
        while reader.progress().passed < 6 {
            reader.poll(SOON, 10).await.unwrap();
        }
        broker.log.send_modify(|log| {
            log.records.truncate(3);
            log.append(3, &["D", "E", "F", "G", "H"]);
            log.leader_epoch = 3;
        });
        let (partition, offset, divergent) = (only(), Offset(6), Some(Offset(3)));
        let truncated = ConsumeError::Truncated { partition, offset, divergent };
        assert_eq!(read(&mut reader).await, Err(truncated));
    });
}

/// A leader that was replaced and has not heard of it knows less than the next one has promised.
#[test]
fn a_former_leader_takes_nothing_back() {
    run(async {
        let broker = six().await;
        let mut reader = to_now(&broker).await;
        broker.log.send_modify(|log| {
            log.records.truncate(3);
            log.leader_epoch = 1;
        });
        for _ in 0..5 {
            reader.poll(SOON, 10).await.unwrap();
        }
        assert!(!reader.is_done());
        broker.log.send_modify(|log| {
            log.append(2, &["d", "e", "f"]);
            log.leader_epoch = 2;
        });
        while !reader.is_done() {
            reader.poll(SOON, 10).await.unwrap();
        }
    });
}
