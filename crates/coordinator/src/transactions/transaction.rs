//! What is known of one transactional id.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use strandline_types::{ProducerEpoch, ProducerId, Timestamp};
use strandline_wire::messages::TransactionLogValue;
use strandline_wire::messages::transaction_log_value::PartitionsSchema;

use super::Topics;

/// From this level of `transaction.version` on, every end of a transaction bumps the epoch, so that
/// no message of a transaction can be taken for one of the next.
pub(crate) const FIRST_VERSION_THAT_BUMPS: i16 = 2;

/// The last epoch that a producer is given. The one above it is left for fencing it.
pub(crate) const LAST_EPOCH: ProducerEpoch = ProducerEpoch(i16::MAX - 1);

/// By its number in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i8)]
pub enum State {
    /// No transaction yet under this epoch.
    Empty = 0,
    Ongoing = 1,
    /// Decided; markers are being written.
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// `None` for numbers that Kafka does not write: those of states that are never in the log too.
    fn from_number(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i8 == number)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// As Kafka's tools show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    pub(crate) const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// Nothing is open.
    pub(crate) const fn is_idle(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// The producer id before the last record: another one only where ids were changed. −1 where
    /// the log cannot say it (`transaction.version` 0).
    pub previous_producer_id: ProducerId,
    /// The producer id from the end of this transaction on; −1 when it stays.
    pub next_producer_id: ProducerId,
    pub timeout_ms: i32,
    pub state: State,
    pub partitions: BTreeMap<String, BTreeSet<i32>>,
    /// Of the transaction that is open or was last; −1 before the first.
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
    /// Level of `transaction.version` by whose rules the transaction goes.
    pub client_version: i16,
}

impl Transaction {
    pub(crate) fn topics(&self) -> Topics {
        let topics = self.partitions.iter();
        topics.map(|(topic, ids)| (topic.clone(), ids.iter().copied().collect())).collect()
    }

    pub(crate) fn contains(&self, topic: &str, partition: i32) -> bool {
        self.partitions.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// As it is when all markers are written.
    pub(crate) fn completed(&self) -> Self {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        let mut completed = Self { state, partitions: BTreeMap::new(), ..self.clone() };
        if self.next_producer_id != ProducerId::NONE {
            completed.producer_id = self.next_producer_id;
            completed.producer_epoch = ProducerEpoch(0);
            completed.next_producer_id = ProducerId::NONE;
        }
        completed
    }

    pub(crate) fn to_value(&self) -> TransactionLogValue {
        let partitions = self.topics().into_iter().map(|(topic, partition_ids)| PartitionsSchema {
            topic,
            partition_ids,
            ..Default::default()
        });
        TransactionLogValue {
            producer_id: self.producer_id.get(),
            previous_producer_id: self.previous_producer_id.get(),
            next_producer_id: self.next_producer_id.get(),
            producer_epoch: self.producer_epoch.get(),
            transaction_timeout_ms: self.timeout_ms,
            transaction_status: self.state as i8,
            transaction_partitions: (self.state != State::Empty).then(|| partitions.collect()),
            transaction_last_update_timestamp_ms: self.updated_at.as_millis(),
            transaction_start_timestamp_ms: self.started_at.as_millis(),
            client_transaction_version: self.client_version,
            ..Default::default()
        }
    }

    /// `None` when the value is in a state that is never written.
    pub(crate) fn from_value(value: TransactionLogValue) -> Option<Self> {
        let state = State::from_number(value.transaction_status)?;
        // Nothing is open in some states, whatever the record says.
        let open = value.transaction_partitions.filter(|_| !state.is_idle());
        let mut partitions: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for topic in open.into_iter().flatten() {
            partitions.entry(topic.topic).or_default().extend(topic.partition_ids);
        }
        partitions.retain(|_, partitions| !partitions.is_empty());
        let next_producer_id = match state.is_prepared() {
            true => ProducerId(value.next_producer_id.max(ProducerId::NONE.get())),
            false => ProducerId::NONE,
        };
        Some(Self {
            producer_id: ProducerId(value.producer_id),
            producer_epoch: ProducerEpoch(value.producer_epoch),
            previous_producer_id: ProducerId(value.previous_producer_id),
            next_producer_id,
            timeout_ms: value.transaction_timeout_ms,
            state,
            partitions,
            started_at: Timestamp(value.transaction_start_timestamp_ms),
            updated_at: Timestamp(value.transaction_last_update_timestamp_ms),
            client_version: value.client_transaction_version,
        })
    }
}
