//! Transactions of one producer on one broker, request by request: its coordinator, its partitions
//! and the markers between them.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "a client's patience is its own")]

mod node;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use node::{ask, connect, create_topic};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use strandline_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::update_features_request::FeatureUpdateKey;
use strandline_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest, ListTransactionsRequest,
    MetadataRequest, ProduceRequest, Records, UpdateFeaturesRequest,
};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord, ProducerFields};

const ID: &str = "tx";
const TRANSACTION: i8 = 1;

/// A producer that does as it is told.
struct Producer {
    conn: TcpStream,
    id: i64,
    epoch: i16,
    sequences: [i32; 2],
}

impl Producer {
    fn new(mut conn: TcpStream) -> Self {
        let coordinator_keys = vec![ID.into()];
        let find = FindCoordinatorRequest {
            key_type: TRANSACTION,
            coordinator_keys,
            ..Default::default()
        };
        while ask(&mut conn, &find, 4).coordinators[0].error_code != ErrorCode::NONE {}
        let mut producer = Self { conn, id: -1, epoch: -1, sequences: [0; 2] };
        assert_eq!(producer.init(60_000), ErrorCode::NONE);
        producer
    }

    fn init(&mut self, transaction_timeout_ms: i32) -> ErrorCode {
        let request = InitProducerIdRequest {
            transactional_id: Some(ID.into()),
            transaction_timeout_ms,
            ..Default::default()
        };
        let answer = loop {
            let answer = ask(&mut self.conn, &request, 5);
            match answer.error_code {
                // Also NOT_COORDINATOR: the partition was made a moment ago.
                code if code.is_retriable() => {}
                _ => break answer,
            }
        };
        (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
        self.sequences = [0; 2];
        answer.error_code
    }

    fn add(&mut self, version: i16, partitions: &[i32]) -> Vec<ErrorCode> {
        let topic = AddPartitionsToTxnTopic {
            name: "t".into(),
            partitions: partitions.to_vec(),
            ..Default::default()
        };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.into(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
            ..Default::default()
        };
        loop {
            let answer = ask(&mut self.conn, &request, version);
            let results = answer.results_by_topic_v3_and_below.into_iter();
            let results = results.flat_map(|topic| topic.results_by_partition);
            let codes: Vec<_> = results.map(|it| it.partition_error_code).collect();
            // The markers of the last one.
            if !codes.contains(&ErrorCode::CONCURRENT_TRANSACTIONS) {
                return codes;
            }
        }
    }

    fn produce(&mut self, index: i32) -> ErrorCode {
        let producer = ProducerFields {
            id: ProducerId(self.id),
            epoch: ProducerEpoch(self.epoch),
            base_sequence: self.sequences[index as usize],
        };
        let options = BatchOptions { producer, is_transactional: true, ..BatchOptions::default() };
        let mut batch = BatchBuilder::new(options);
        batch.append(&NewRecord { value: Some(b"x"), ..Default::default() }).unwrap();
        let partition = PartitionProduceData {
            index,
            records: Records::Bytes(batch.build()),
            ..Default::default()
        };
        let topic = TopicProduceData {
            name: "t".into(),
            partition_data: vec![partition],
            ..Default::default()
        };
        let request = ProduceRequest {
            transactional_id: Some(ID.into()),
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..Default::default()
        };
        let answer = ask(&mut self.conn, &request, 11);
        let code = answer.responses[0].partition_responses[0].error_code;
        if code.is_none() {
            self.sequences[index as usize] += 1;
        }
        code
    }

    fn end(&mut self, version: i16, committed: bool) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: ID.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
            ..Default::default()
        };
        let answer = ask(&mut self.conn, &request, version);
        if version >= 5 && answer.error_code.is_none() {
            (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
            self.sequences = [0; 2];
        }
        answer.error_code
    }

    /// The log's end for readers of everything, and of what is committed.
    fn ends(&mut self, index: i32) -> (i64, i64) {
        let mut end = |isolation_level| {
            let partition = ListOffsetsPartition {
                partition_index: index,
                current_leader_epoch: -1,
                timestamp: -1,
                ..Default::default()
            };
            let topics = vec![ListOffsetsTopic {
                name: "t".into(),
                partitions: vec![partition],
                ..Default::default()
            }];
            let request = ListOffsetsRequest {
                replica_id: -1,
                isolation_level,
                topics,
                ..Default::default()
            };
            ask(&mut self.conn, &request, 7).topics[0].partitions[0].offset
        };
        (end(0), end(1))
    }

    /// Once no transaction is open there any more.
    fn settled_end(&mut self, index: i32) -> i64 {
        let began = Instant::now();
        loop {
            let (all, committed) = self.ends(index);
            // The coordinator hears of the last marker a moment after its readers do.
            if all == committed && !self.state().1.starts_with("Prepare") {
                return all;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "the transaction hangs");
        }
    }

    /// Finalizes another level of `transaction.version`.
    fn set_level(&mut self, level: i16) {
        let (upgrade, safe_downgrade) = (1, 2);
        let update = FeatureUpdateKey {
            feature: "transaction.version".into(),
            max_version_level: level,
            upgrade_type: if level == 2 { upgrade } else { safe_downgrade },
            ..Default::default()
        };
        let request = UpdateFeaturesRequest {
            timeout_ms: 10_000,
            feature_updates: vec![update],
            ..Default::default()
        };
        assert_eq!(ask(&mut self.conn, &request, 1).error_code, ErrorCode::NONE);
    }

    fn state(&mut self) -> (ErrorCode, String, usize) {
        let request = DescribeTransactionsRequest {
            transactional_ids: vec![ID.into(), ID.into()],
            ..Default::default()
        };
        let mut states = ask(&mut self.conn, &request, 0).transaction_states;
        assert_eq!(states.len(), 1, "told once");
        let state = states.remove(0);
        (state.error_code, state.transaction_state, state.topics.len())
    }

    fn listed(&mut self, states: &[&str]) -> (Vec<String>, Vec<String>) {
        let state_filters = states.iter().map(|&name| name.into()).collect();
        let request =
            ListTransactionsRequest { state_filters, duration_filter: -1, ..Default::default() };
        let answer = ask(&mut self.conn, &request, 1);
        let ids = answer.transaction_states.into_iter().map(|it| it.transactional_id);
        (ids.collect(), answer.unknown_state_filters)
    }
}

const SET: [(&str, &str); 1] = [("transaction.state.log.num.partitions", "3")];

async fn with_producer(work: impl FnOnce(&mut Producer)) {
    let dir = tempfile::tempdir().unwrap();
    let broker = node::start(dir.path(), &SET).await;
    tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        create_topic(&mut conn, "t", 2, &[]);
        work(&mut Producer::new(conn));
    });
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_in_all_its_partitions() {
    with_producer(|it| {
        for (round, is_commit) in [true, false, true].into_iter().enumerate() {
            let before = 2 * round as i64;
            assert_eq!(it.add(3, &[0, 1]), [ErrorCode::NONE; 2]);
            for index in [0, 1] {
                assert_eq!(it.produce(index), ErrorCode::NONE);
                assert_eq!(it.ends(index), (before + 1, before), "nobody sees it yet");
            }
            assert_eq!(it.state(), (ErrorCode::NONE, "Ongoing".into(), 1));
            assert_eq!(it.end(3, is_commit), ErrorCode::NONE);
            for index in [0, 1] {
                assert_eq!(it.settled_end(index), before + 2, "a record and a marker");
            }
        }
        assert_eq!(it.listed(&["CompleteCommit", "Lost"]), (vec![ID.into()], vec!["Lost".into()]));
        assert_eq!(it.listed(&["Lost"]), (vec![], vec!["Lost".into()]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_bumps_the_epoch_for_a_client_that_knows_it() {
    with_producer(|it| {
        assert_eq!(it.end(5, true), ErrorCode::INVALID_TXN_STATE, "there is none");
        for epoch in 0..3 {
            assert_eq!(it.epoch, epoch);
            assert_eq!(it.add(3, &[0]), [ErrorCode::NONE]);
            assert_eq!(it.produce(0), ErrorCode::NONE);
            assert_eq!(it.end(5, epoch % 2 == 0), ErrorCode::NONE);
            it.settled_end(0);
        }
        assert_eq!(it.end(5, false), ErrorCode::NONE, "an abort of nothing is granted");
        assert_eq!(it.epoch, 4);
    })
    .await;
}

/// What is open goes on by the rules that its client knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clusters_level_changes_under_an_open_transaction() {
    with_producer(|it| {
        for (level, version, epoch) in [(0, 5, 1), (2, 3, 1), (1, 3, 1), (2, 5, 2)] {
            let former = it.ends(0).0;
            assert_eq!(it.add(3, &[0]), [ErrorCode::NONE]);
            assert_eq!(it.produce(0), ErrorCode::NONE);
            it.set_level(level);
            assert_eq!(it.produce(0), ErrorCode::NONE);
            assert_eq!(it.end(version, true), ErrorCode::NONE);
            assert_eq!(it.settled_end(0), former + 3, "two records and a marker");
            assert_eq!(it.epoch, epoch);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_nobody_ends_is_aborted_even_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let broker = node::start(dir.path(), &SET).await;
    let (id, epoch) = tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        create_topic(&mut conn, "t", 2, &[]);
        let mut it = Producer::new(conn);
        assert_eq!(it.init(1_500), ErrorCode::NONE);
        assert_eq!(it.add(3, &[0]), [ErrorCode::NONE]);
        assert_eq!(it.produce(0), ErrorCode::NONE);
        (it.id, it.epoch)
    });
    broker.stop().await.unwrap();
    let dir = copied(dir.path());
    let broker = node::start(dir.path(), &SET).await;
    tokio::task::block_in_place(|| {
        let conn = connect(&broker);
        let mut it = Producer { conn, id, epoch, sequences: [1, 0] };
        assert_eq!(it.settled_end(0), 2, "a record and a marker");
        assert_eq!(it.end(3, true), ErrorCode::PRODUCER_FENCED);
        assert_eq!(it.end(1, true), ErrorCode::INVALID_PRODUCER_EPOCH, "an older word for it");
        assert_eq!(it.end(5, true), ErrorCode::INVALID_TXN_STATE, "it may go on from there");
        assert_eq!(it.state(), (ErrorCode::NONE, "CompleteAbort".into(), 0));
    });
    broker.stop().await.unwrap();
}

/// A directory stays locked for as long as the process lives that used it.
fn copied(from: &std::path::Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-r").arg(from.join(".")).arg(dir.path()).status().unwrap().success());
    dir
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused() {
    with_producer(|it| {
        // A partition that is not there takes the others with it.
        let codes = [ErrorCode::OPERATION_NOT_ATTEMPTED, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION];
        assert_eq!(it.add(3, &[0, 2]), codes);
        it.epoch += 1;
        assert_eq!(it.add(3, &[0]), [ErrorCode::PRODUCER_FENCED]);
        assert_eq!(it.add(1, &[0]), [ErrorCode::INVALID_PRODUCER_EPOCH]);
        it.id += 1;
        assert_eq!(it.add(3, &[0]), [ErrorCode::INVALID_PRODUCER_ID_MAPPING]);
        assert_eq!(it.end(3, true), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        assert_eq!(it.init(0), ErrorCode::INVALID_TRANSACTION_TIMEOUT);
        let nameless = EndTxnRequest::default();
        assert_eq!(ask(&mut it.conn, &nameless, 3).error_code, ErrorCode::INVALID_REQUEST);
        let half = InitProducerIdRequest {
            transactional_id: Some(ID.into()),
            transaction_timeout_ms: 1,
            producer_id: 5,
            producer_epoch: -1,
            ..Default::default()
        };
        assert_eq!(ask(&mut it.conn, &half, 4).error_code, ErrorCode::INVALID_REQUEST);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_groups_offsets_belong_to_it() {
    with_producer(|it| {
        let request = AddOffsetsToTxnRequest {
            transactional_id: ID.into(),
            producer_id: it.id,
            producer_epoch: it.epoch,
            group_id: "g".into(),
            ..Default::default()
        };
        while ask(&mut it.conn, &request, 3).error_code == ErrorCode::COORDINATOR_NOT_AVAILABLE {}
        assert_eq!(ask(&mut it.conn, &request, 3).error_code, ErrorCode::NONE);
        assert_eq!(it.state(), (ErrorCode::NONE, "Ongoing".into(), 1));
    })
    .await;
}

/// The topic has what keeps transactions safe, whoever used it first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topic_of_transactions_is_made_as_configured() {
    with_producer(|it| {
        let request = MetadataRequest { topics: None, ..Default::default() };
        let topics = ask(&mut it.conn, &request, 12).topics;
        let name = Some("__transaction_state");
        let topic = topics.iter().find(|topic| topic.name.as_deref() == name).unwrap();
        assert_eq!((topic.partitions.len(), topic.is_internal), (3, true));
    })
    .await;
}
