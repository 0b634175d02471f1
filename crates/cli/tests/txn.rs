//! `strandline txn`, against a node of our own and a producer that is told what to do.

#![allow(clippy::unwrap_used)]

mod node;

use std::process::Command;

use expect_test::{Expect, expect};
use node::frames::{batch_with, produce};
use node::{Client, Node, Start};
use serde_json::Value;
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use strandline_wire::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest,
};
use strandline_wire::records::{BatchOptions, ProducerFields};

const TOPIC: &str = "orders";
const ID: &str = "billing-1";
const TRANSACTION: i8 = 1;

struct Producer {
    client: Client,
    id: i64,
    epoch: i16,
}

impl Producer {
    /// The topic of transactions is made when it is first asked for.
    fn new(node: &Node) -> Self {
        let mut client = node.client();
        let find = FindCoordinatorRequest {
            key_type: TRANSACTION,
            coordinator_keys: vec![ID.into()],
            ..Default::default()
        };
        while !client.ask(&find, 4).coordinators[0].error_code.is_none() {}
        let init = InitProducerIdRequest {
            transactional_id: Some(ID.into()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        loop {
            let answer = client.ask(&init, 4);
            match answer.error_code {
                ErrorCode::NONE => {
                    let (id, epoch) = (answer.producer_id, answer.producer_epoch);
                    return Self { client, id, epoch };
                }
                ErrorCode::COORDINATOR_LOAD_IN_PROGRESS | ErrorCode::NOT_COORDINATOR => {}
                other => panic!("no producer id: {other}"),
            }
        }
    }

    fn add(&mut self) {
        let topic = AddPartitionsToTxnTopic {
            name: TOPIC.into(),
            partitions: vec![0],
            ..Default::default()
        };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.into(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
            ..Default::default()
        };
        let answer = self.client.ask(&request, 3);
        let result = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
        assert_eq!(result.partition_error_code, ErrorCode::NONE);
    }

    fn write(&mut self, id: i64) {
        let producer = ProducerFields {
            id: ProducerId(id),
            epoch: ProducerEpoch(self.epoch),
            base_sequence: 0,
        };
        let options = BatchOptions { producer, is_transactional: true, ..BatchOptions::default() };
        let mut request = produce(TOPIC, 0, batch_with(options, &[b"one"]));
        request.transactional_id = Some(ID.into());
        let answer = self.client.ask(&request, 11);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
    }

    fn commit(&mut self) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: ID.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed: true,
            ..Default::default()
        };
        self.client.ask(&request, 4).error_code
    }
}

fn run(node: &Node, line: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    command.args(line.split_whitespace()).args(["--bootstrap", &node.kafka.to_string()]);
    let output = command.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (output.status.code().unwrap(), out, err)
}

fn check(node: &Node, line: &str, expected: Expect) {
    let (code, out, err) = run(node, line);
    expected.assert_eq(&format!("exit {code}\n{out}{err}"));
}

fn json(node: &Node, line: &str) -> Value {
    let (code, out, err) = run(node, &format!("{line} --json"));
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn who_holds_a_transaction_open_is_seen_and_shut_out() {
    let dir = tempfile::tempdir().unwrap();
    let node = Start::anywhere(dir.path()).ready();
    node.client().create_topic(TOPIC, 1, &[]);
    check(
        &node,
        "txn list",
        expect![[r#"
        exit 0
        no producer has used a transactional id yet
    "#]],
    );
    let mut producer = Producer::new(&node);
    check(
        &node,
        "txn list --open",
        expect![[r#"
        exit 0
        no such transactions
    "#]],
    );
    producer.add();
    producer.write(producer.id);
    check(
        &node,
        "txn list --open",
        expect![[r#"
        exit 0
        TRANSACTIONAL ID  STATE    PRODUCER  COORDINATOR
        billing-1         Ongoing  0         1
    "#]],
    );
    check(
        &node,
        "txn list --open --longer-than 1h",
        expect![[r#"
        exit 0
        no such transactions
    "#]],
    );
    let described = json(&node, "txn describe billing-1");
    let transaction = &described[0];
    assert_eq!(transaction["state"], "Ongoing");
    assert_eq!(transaction["producerId"], producer.id);
    assert_eq!(transaction["timeoutMs"], 60_000);
    assert!(transaction["startedAt"].as_i64().unwrap() > 0);
    assert_eq!(transaction["partitions"][0]["topic"], TOPIC);
    assert_eq!(transaction["partitions"][0]["firstOffset"], 0);
    check(
        &node,
        "txn hanging orders",
        expect![[r#"
        exit 0
        no transaction hangs
    "#]],
    );

    check(
        &node,
        "txn abort billing-1",
        expect![[r#"
        exit 0
        billing-1: nothing is open any more, and its producer is shut out
    "#]],
    );
    assert_eq!(producer.commit(), ErrorCode::PRODUCER_FENCED);
    check(
        &node,
        "txn list --open",
        expect![[r#"
        exit 0
        no such transactions
    "#]],
    );
    check(
        &node,
        "consume orders --until now --read-committed",
        expect![[r#"
        exit 0
    "#]],
    );
    check(
        &node,
        "txn abort nobody",
        expect![[r#"
        exit 1
        error: cannot abort the transaction of nobody
          nobody: TRANSACTIONAL_ID_NOT_FOUND(105)
        next: `strandline txn list` shows what there is
    "#]],
    );
    check(
        &node,
        "txn describe nobody",
        expect![[r#"
        exit 1
        error: cannot describe the transactions
          nobody: TRANSACTIONAL_ID_NOT_FOUND(105)
        next: `strandline txn list` shows what there is
    "#]],
    );
    node.stop();
}

#[test]
fn a_transaction_that_no_coordinator_knows_is_found_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    // Otherwise it could not begin.
    let node = Start::anywhere(dir.path())
        .set("transaction.partition.verification.enable", "false")
        .ready();
    node.client().create_topic(TOPIC, 1, &[]);
    let mut producer = Producer::new(&node);
    producer.write(producer.id + 500);
    let hanging = json(&node, "txn hanging orders");
    assert_eq!(hanging[0]["producerId"], producer.id + 500);
    assert_eq!(hanging[0]["firstOffset"], 0);
    let (code, out, err) = run(&node, "txn hanging orders --abort");
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with("aborted\n"), "{out}");
    check(
        &node,
        "txn hanging orders",
        expect![[r#"
        exit 0
        no transaction hangs
    "#]],
    );
    node.stop();
}
