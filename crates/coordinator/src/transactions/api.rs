//! What can be asked about transactions, and what is answered.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use strandline_types::{LeaderEpoch, ProducerEpoch, ProducerId, Timestamp};
use strandline_wire::messages::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult;
use strandline_wire::messages::describe_transactions_response::TransactionState;
use strandline_wire::messages::list_transactions_response::TransactionState as ListedTransaction;

use super::context::Record;
use super::refusal::Refusal;
use super::transaction::State;
use crate::contract;

/// What a coordinator knows from the node's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `transaction.max.timeout.ms`
    pub timeout_max_ms: i32,
    /// `transactional.id.expiration.ms`
    pub id_expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub expiry_check_interval: Duration,
}

impl Default for Settings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            timeout_max_ms: 900_000,
            id_expiration_ms: 7 * 24 * 3_600_000,
            expiry_check_interval: Duration::from_secs(3_600),
        }
    }
}

/// Partitions by topic.
pub type Topics = Vec<(String, Vec<i32>)>;

#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    InitProducerId {
        transactional_id: String,
        timeout_ms: i32,
        /// Whom the producer takes itself for, when it goes on after an error (KIP-360).
        expected: Option<(ProducerId, ProducerEpoch)>,
        /// An id that nobody has had.
        fresh: Option<ProducerId>,
    },
    AddPartitions {
        transactional_id: String,
        producer: (ProducerId, ProducerEpoch),
        topics: Topics,
        /// Level of `transaction.version` by whose rules the client goes.
        client_version: i16,
    },
    /// Whether the partitions belong to the open transaction.
    VerifyPartitions {
        transactional_id: String,
        producer: (ProducerId, ProducerEpoch),
        topics: Topics,
    },
    EndTxn {
        transactional_id: String,
        producer: (ProducerId, ProducerEpoch),
        is_commit: bool,
        /// Level of `transaction.version` by whose rules the client goes.
        client_version: i16,
        /// An id that nobody has had.
        fresh: Option<ProducerId>,
    },
    Describe {
        transactional_id: String,
    },
    List(TransactionListing),
}

/// Filters of ListTransactions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionListing {
    /// `None` means any.
    pub states: Option<Vec<State>>,
    /// Empty means any.
    pub producer_ids: Vec<i64>,
    /// Only transactions that began longer ago than this; negative means any.
    pub running_longer_than_ms: i64,
}

/// Under which id and epoch the producer goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Issued {
    To(ProducerId, ProducerEpoch),
    /// Ask again and bring a fresh producer id: the present one has no epochs left.
    NeedsProducerId,
    Refused(Refusal),
}

/// The answer to the request of the same name.
#[derive(Clone, PartialEq, Debug)]
pub enum Response {
    /// To InitProducerId and EndTxn.
    Issued(Issued),
    /// To AddPartitions and VerifyPartitions.
    Partitions(Vec<AddPartitionsToTxnTopicResult>),
    Describe(TransactionState),
    List(Vec<ListedTransaction>),
}

/// What a shard waits for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// The open transaction of this id has been open long enough.
    TimeOut(String),
    /// Transactional ids may have expired.
    ExpireIds,
}

/// What happens elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// These partitions have their marker, or are gone.
    Marked { transactional_id: String, sending: u128, topics: Topics },
    /// What [`Action::FetchProducerId`] asked for.
    ProducerId { transactional_id: String, started_at: Timestamp, fresh: ProducerId },
}

/// What others are made to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write these markers, however long that takes, and tell of it.
    SendMarkers(Markers),
    /// Get a fresh producer id and tell of it: the transaction that began then has run out of time,
    /// and its producer id out of epochs. Asked again if that takes long.
    FetchProducerId { transactional_id: String, started_at: Timestamp },
}

/// The end of one transaction in all its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Markers {
    pub transactional_id: String,
    /// Tells this sending from all others, of the same transactional id too.
    pub sending: u128,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub is_commit: bool,
    pub coordinator_epoch: LeaderEpoch,
    /// Level of `transaction.version` by whose rules the transaction ended.
    pub transaction_version: i16,
    pub topics: Topics,
}

pub type Input = contract::Input<Request, Timer, Event>;
pub type Effect = contract::Effect<Response, Timer, Action>;
pub type Entry = contract::Entry<Record>;

answers! {
    Issued(Issued),
    Partitions(Vec<AddPartitionsToTxnTopicResult>),
    Describe(TransactionState),
    List(Vec<ListedTransaction>),
}
