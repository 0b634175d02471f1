//! What a broker refuses for a while, and what an old one would not refuse, played by a script.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::run;
use common::scripted::{Log, Scripted, TOPIC};
use strandline_client::Admin;
use strandline_client::consumer::{Consumer, ConsumerConfig, Reset};
use strandline_types::{ErrorCode, NodeId, PartitionId, TopicPartition};

/// Refused so often, then served.
const REFUSALS: u32 = 5;

/// However fast the refusals come, they are not answered by as many fetches.
async fn is_patient(refuse: impl Fn(&mut Log, ErrorCode), code: ErrorCode) {
    let broker = Scripted::start().await;
    broker.log.send_modify(|log| log.append(0, &["a"]));
    let client = common::client(&broker.address.to_string());
    let clock = client.clock().clone();
    let backoff = client.config().retry_backoff;
    let config = ConsumerConfig { reset: Reset::Earliest, ..ConsumerConfig::default() };
    let mut consumer = Consumer::new(client, config);
    consumer.assign([TopicPartition { topic: TOPIC.into(), partition: PartitionId(0) }]);
    broker.log.send_modify(|log| refuse(log, code));
    let began = clock.now().instant;
    while broker.log.borrow().fetches < REFUSALS {
        assert_eq!(consumer.poll(Duration::from_millis(10)).await.unwrap(), []);
    }
    let took = clock.now().instant.since(began);
    assert!(took >= backoff * (REFUSALS - 1), "{REFUSALS} fetches within {took:?}");
    broker.log.send_modify(|log| refuse(log, ErrorCode::NONE));
    while consumer.poll(Duration::from_millis(100)).await.unwrap().is_empty() {}
}

#[test]
fn a_refused_partition_is_asked_for_again_after_a_pause() {
    let refuse = |log: &mut Log, code| log.refusal = code;
    run(is_patient(refuse, ErrorCode::KAFKA_STORAGE_ERROR));
}

#[test]
fn a_refused_fetch_is_sent_again_after_a_pause() {
    let refuse = |log: &mut Log, code| log.whole_refusal = code;
    run(is_patient(refuse, ErrorCode::UNKNOWN_SERVER_ERROR));
}

/// Before KIP-860 a controller took any number of replicas, whatever the request meant.
#[test]
fn an_old_controller_is_not_asked_for_more_replicas() {
    run(async {
        let broker = Scripted::start().await;
        let admin = Admin::new(common::client(&broker.address.to_string()));
        let partition = TopicPartition { topic: TOPIC.into(), partition: PartitionId(0) };
        let send = async |to: &[i32], may_resize| {
            let to = to.iter().copied().map(NodeId).collect();
            let targets = BTreeMap::from([(partition.clone(), Some(to))]);
            let answers = admin.alter_partition_reassignments(&targets, may_resize).await.unwrap();
            let [(answered, result)] = &answers[..] else { panic!("{answers:?}") };
            assert_eq!(answered, &partition);
            result.clone().map_err(|refusal| refusal.code)
        };
        assert_eq!(send(&[2, 3], false).await, Err(ErrorCode::INVALID_REPLICATION_FACTOR));
        assert_eq!(send(&[2], false).await, Ok(()));
        assert_eq!(send(&[2, 3], true).await, Ok(()));
        assert_eq!(broker.log.borrow().reassigned, [vec![2], vec![2, 3]]);
    });
}
