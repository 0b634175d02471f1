//! A new leader whose log is another than the one that was read (KIP-320), played by a script: no
//! broker of today can be made to lose records on demand.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::run;
use common::scripted::{Entry, Log, Scripted, TOPIC};
use strandline_client::consumer::{ConsumeError, Consumer, ConsumerConfig, Reset};
use strandline_types::{Offset, PartitionId, TopicPartition};

const SOON: Duration = Duration::from_millis(100);

fn only() -> TopicPartition {
    TopicPartition { topic: TOPIC.into(), partition: PartitionId(0) }
}

/// A leader of epoch 1 with six records, and a consumer that has read them.
async fn after_six(reset: Reset) -> (Scripted, Consumer) {
    let broker = Scripted::start().await;
    broker.log.send_modify(|log| {
        log.leader_epoch = 1;
        log.append(1, &["a", "b", "c", "d", "e", "f"]);
    });
    let client = common::client(&broker.address.to_string());
    let config = ConsumerConfig { reset, ..ConsumerConfig::default() };
    let mut consumer = Consumer::new(client, config);
    consumer.assign([only()]);
    consumer.seek(&only(), Offset(0)).unwrap();
    assert_eq!(read(&mut consumer, 6).await, ["a", "b", "c", "d", "e", "f"]);
    (broker, consumer)
}

async fn read(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        for record in consumer.poll(SOON).await.unwrap() {
            values.push(String::from_utf8(record.value.unwrap().into()).unwrap());
        }
    }
    values
}

async fn failure(consumer: &mut Consumer) -> ConsumeError {
    loop {
        match consumer.poll(SOON).await {
            Ok(records) => assert_eq!(records, [], "records past a divergence"),
            Err(error) => return error,
        }
    }
}

/// The last two records were never replicated, and the new leader has others in their place.
fn diverge(log: &mut Log) {
    log.records.truncate(4);
    log.append(2, &["E", "F", "G"]);
    log.leader_epoch = 3;
}

#[test]
fn goes_back_to_where_the_logs_part() {
    run(async {
        let (broker, mut consumer) = after_six(Reset::Latest).await;
        broker.log.send_modify(diverge);
        assert_eq!(read(&mut consumer, 3).await, ["E", "F", "G"]);
        assert_eq!(broker.log.borrow().asked, [1], "asked once, for the end of what was read");
    });
}

#[test]
fn without_a_policy_somebody_must_decide() {
    run(async {
        let (broker, mut consumer) = after_six(Reset::None).await;
        broker.log.send_modify(diverge);
        let truncated = ConsumeError::Truncated {
            partition: only(),
            offset: Offset(6),
            divergent: Some(Offset(4)),
        };
        let error = failure(&mut consumer).await;
        assert_eq!(error, truncated);
        assert_eq!(failure(&mut consumer).await, truncated, "nobody has decided yet");
        assert_eq!(
            error.to_string(),
            "scripted-0 was truncated before offset 6, at 4, and the reset policy is none; \
             seek to another"
        );
        consumer.seek(&only(), Offset(4)).unwrap();
        assert_eq!(read(&mut consumer, 3).await, ["E", "F", "G"]);
    });
}

#[test]
fn a_leader_that_cannot_tell_leaves_it_to_the_policy() {
    run(async {
        let (broker, mut consumer) = after_six(Reset::Earliest).await;
        broker.log.send_modify(|log| {
            log.records.clear();
            log.append(2, &["A", "B"]);
            log.leader_epoch = 3;
        });
        assert_eq!(read(&mut consumer, 2).await, ["A", "B"]);
    });
}

#[test]
fn a_new_leader_with_the_same_log_is_asked_once() {
    run(async {
        let (broker, mut consumer) = after_six(Reset::None).await;
        broker.log.send_modify(|log| log.leader_epoch = 2);
        broker.log.send_modify(|log| log.append(2, &["g"]));
        assert_eq!(read(&mut consumer, 1).await, ["g"]);
        broker.log.send_modify(|log| log.append(2, &["h"]));
        assert_eq!(read(&mut consumer, 1).await, ["h"]);
        assert_eq!(broker.log.borrow().asked, [1]);
    });
}

/// One that was replaced and has not heard of it: its log may end before the position, which is no
/// reason to begin anew.
#[test]
fn an_older_leader_than_the_one_that_was_read_is_not_asked() {
    run(async {
        let broker = Scripted::start().await;
        broker.log.send_modify(|log| {
            log.leader_epoch = 1;
            log.append(2, &["a", "b"]);
        });
        let client = common::client(&broker.address.to_string());
        let config = ConsumerConfig { reset: Reset::Earliest, ..ConsumerConfig::default() };
        let mut consumer = Consumer::new(client, config);
        consumer.assign([only()]);
        assert_eq!(read(&mut consumer, 2).await, ["a", "b"]);
        broker.log.send_modify(|log| log.records.truncate(1));
        for _ in 0..3 {
            assert_eq!(consumer.poll(SOON).await.unwrap(), []);
        }
        broker.log.send_modify(|log| {
            log.leader_epoch = 3;
            log.append(2, &["b"]);
            log.append(3, &["c"]);
        });
        assert_eq!(read(&mut consumer, 1).await, ["c"]);
    });
}

/// A marker of a newer epoch moves the position past the end of the epoch of the last record that
/// was returned: comparing with that one would find a truncation where there is none.
#[test]
fn what_is_not_returned_counts_as_read() {
    run(async {
        let (broker, mut consumer) = after_six(Reset::None).await;
        broker.log.send_modify(|log| {
            log.leader_epoch = 2;
            log.records.push((2, Entry::Marker));
        });
        while consumer.position(&only()).unwrap() != Some(Offset(7)) {
            assert_eq!(consumer.poll(SOON).await.unwrap(), []);
        }
        broker.log.send_modify(|log| {
            log.leader_epoch = 3;
            log.append(3, &["g"]);
        });
        assert_eq!(read(&mut consumer, 1).await, ["g"]);
        assert_eq!(broker.log.borrow().asked, [1, 2]);
    });
}

/// The leader stays and its log does not, as after an unclean recovery: the fetch itself tells.
#[test]
fn a_fetch_can_tell_too() {
    run(async {
        let (broker, mut consumer) = after_six(Reset::Latest).await;
        broker.log.send_modify(|log| {
            log.records.truncate(3);
            log.append(1, &["D"]);
        });
        while consumer.position(&only()).unwrap() != Some(Offset(4)) {
            assert_eq!(consumer.poll(SOON).await.unwrap(), []);
        }
        broker.log.send_modify(|log| log.append(1, &["E"]));
        assert_eq!(read(&mut consumer, 1).await, ["E"]);
        assert_eq!(broker.log.borrow().asked, [0_i32; 0]);
    });
}
