//! What every decision works with.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use strandline_types::{LeaderEpoch, ProducerEpoch, ProducerId};
use strandline_wire::EncodeError;
use strandline_wire::messages::{TransactionLogKey, TransactionLogValue, TransactionStateRecord};

use super::api::{Effect, Entry, Issued, Request, Response, Settings, Timer};
use super::invariants;
use super::markers::Marking;
use super::refusal::Refusal;
use super::transaction::{FIRST_VERSION_THAT_BUMPS, Transaction};
use crate::contract::{Fault, Moment, Ticket};

/// A key with its value; without one it is a tombstone.
pub type Record = TransactionStateRecord;

/// What the log says. Only [`Durable::apply`] changes it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Durable {
    pub transactions: BTreeMap<String, Transaction>,
}

impl Durable {
    /// The one way in which durable state changes, on a leader and on replay alike.
    ///
    /// # Errors
    /// When the record cannot be understood.
    pub(crate) fn apply(&mut self, record: Record) -> Result<(), Fault> {
        match record {
            Record::TransactionLog(key, Some(value)) => {
                let status = value.transaction_status;
                let TransactionLogKey { transactional_id } = key;
                match Transaction::from_value(value) {
                    Some(transaction) => {
                        self.transactions.insert(transactional_id, transaction);
                        Ok(())
                    }
                    None => Err(Fault::UnknownState { transactional_id, status }),
                }
            }
            Record::TransactionLog(key, None) => {
                self.transactions.remove(&key.transactional_id);
                Ok(())
            }
            // A value of a version to come; what other types of keys say is not ours.
            Record::Unknown { key, value: Some(_) } if key.starts_with(&[0, 0]) => {
                Err(Fault::UnknownValue { key_type: 0 })
            }
            Record::Unknown { .. } => Ok(()),
        }
    }
}

/// What dies with the leadership.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volatile {
    /// The epoch before the one that InitProducerId gave last, for whom it was given: who comes with
    /// it has not heard the answer. None where the producer did not say who it was.
    pub(crate) last_epochs: BTreeMap<String, ProducerEpoch>,
    pub(crate) markings: BTreeMap<String, Marking>,
    /// Open transactions that have a timer.
    pub(crate) watched: BTreeSet<String>,
}

pub(crate) struct Context<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) moment: Moment,
    pub(crate) coordinator_epoch: LeaderEpoch,
    pub(crate) durable: &'a mut Durable,
    pub(crate) volatile: &'a mut Volatile,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) entries: Vec<Entry>,
}

impl Context<'_> {
    /// The transaction of this id, if it is the producer's.
    pub(crate) fn of_producer(
        &self,
        transactional_id: &str,
        producer_id: ProducerId,
    ) -> Result<&Transaction, Refusal> {
        if transactional_id.is_empty() {
            return Err(Refusal::EmptyId);
        }
        let transaction = self.durable.transactions.get(transactional_id);
        match transaction.ok_or(Refusal::WrongProducerId)? {
            transaction if transaction.producer_id == producer_id => Ok(transaction),
            // It was told this id when the end was decided, and is early.
            transaction if transaction.next_producer_id == producer_id => Err(Refusal::Concurrent),
            _ => Err(Refusal::WrongProducerId),
        }
    }

    /// Decides a new state: it counts from now on, and will be appended in this order.
    pub(crate) fn write(&mut self, transactional_id: &str, mut transaction: Transaction) {
        let former = self.durable.transactions.get(transactional_id);
        transaction.updated_at = self.moment.now.timestamp;
        let version = transaction.client_version.max(self.moment.transaction_version);
        transaction.previous_producer_id = match version {
            ..=0 => ProducerId::NONE,
            _ => former.map_or(transaction.producer_id, |former| former.producer_id),
        };
        invariants::check_step(former, &transaction);
        self.append(transactional_id, Some(&transaction));
    }

    /// Writes what is so, or that nothing is.
    pub(crate) fn append(&mut self, transactional_id: &str, transaction: Option<&Transaction>) {
        let record = record(transactional_id, transaction);
        self.durable.apply(record.clone()).expect("our own record");
        self.entries.push(Entry::Record(record));
    }

    pub(crate) fn fits(&self, transactional_id: &str, transaction: &Transaction) -> bool {
        let record = record(transactional_id, Some(transaction));
        encode(&record).is_ok_and(|(key, value)| {
            let bytes = key.len() + value.map_or(0, |value| value.len());
            bytes + OVERHEAD_BYTES <= self.moment.record_bytes_max
        })
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, response: Response) {
        self.effects.push(Effect::Reply(ticket, response));
    }

    pub(crate) fn issue(&mut self, ticket: Ticket, issued: Issued) {
        self.reply(ticket, Response::Issued(issued));
    }

    /// Level of `transaction.version` by which this coordinator ends transactions by itself.
    pub(crate) fn own_version(&self) -> i16 {
        match self.moment.transaction_version {
            FIRST_VERSION_THAT_BUMPS.. => FIRST_VERSION_THAT_BUMPS,
            _ => 0,
        }
    }
}

impl Request {
    /// Whose state may change.
    pub(crate) fn transactional_id(&self) -> Option<&str> {
        match self {
            Self::InitProducerId { transactional_id, .. }
            | Self::AddPartitions { transactional_id, .. }
            | Self::EndTxn { transactional_id, .. } => Some(transactional_id),
            Self::VerifyPartitions { .. } | Self::Describe { .. } | Self::List(_) => None,
        }
    }
}

impl Timer {
    pub(crate) fn transactional_id(&self) -> Option<&str> {
        match self {
            Self::TimeOut(transactional_id) => Some(transactional_id),
            Self::ExpireIds => None,
        }
    }
}

fn record(transactional_id: &str, transaction: Option<&Transaction>) -> Record {
    let key = TransactionLogKey { transactional_id: transactional_id.into() };
    Record::TransactionLog(key, transaction.map(Transaction::to_value))
}

/// The version without tagged fields, which brokers read that know no `transaction.version`.
const PLAIN_VERSION: i16 = 0;
const FLEXIBLE_VERSION: i16 = 1;

/// What a record may take up besides its key and value, and what the end of a transaction adds.
const OVERHEAD_BYTES: usize = 256;

pub(crate) fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    let is_plain = |value: &TransactionLogValue| {
        value.previous_producer_id < 0
            && value.next_producer_id < 0
            && value.client_transaction_version == 0
    };
    let version = match record {
        Record::TransactionLog(_, Some(value)) if !is_plain(value) => FLEXIBLE_VERSION,
        _ => PLAIN_VERSION,
    };
    Ok((record.encode_key()?, record.encode_value(version)?))
}
