//! What every kind of coordinator is told, and what it asks for.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use bytes::Bytes;
use strandline_types::{Instant, LeaderEpoch, Now, ProducerEpoch, ProducerId};
use strandline_wire::{DecodeError, EncodeError};

/// What one partition of a coordinator's topic decides. See the crate's text.
pub trait Core: Sized {
    /// What it knows from the node's configuration.
    type Settings;
    /// A key with its value, or a tombstone.
    type Record: Debug;
    type Request;
    /// The answer to the request of the same name.
    type Response: Debug;
    /// Names what is waited for.
    type Timer: Clone + Ord;
    /// What happens elsewhere: nobody waits for what is decided about it.
    type Event;
    /// What others are made to do.
    type Action;

    /// Of which nothing is known yet.
    fn new(settings: Self::Settings) -> Self;

    /// A record as its key and value say it.
    ///
    /// # Errors
    /// When they cannot be read.
    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self::Record, DecodeError>;

    /// Key and value as Kafka writes them.
    ///
    /// # Errors
    /// When a field is too long for its length prefix.
    fn encode(record: &Self::Record) -> Result<(Bytes, Option<Bytes>), EncodeError>;

    /// Takes in what comes next in the log.
    ///
    /// # Errors
    /// When it cannot be understood: what would be answered could be outdated.
    fn replay(&mut self, entry: Entry<Self::Record>) -> Result<(), Fault>;

    /// The log has been replayed to its end, which need not have committed: deadlines begin, and
    /// decisions may.
    fn lead(
        &mut self,
        moment: Moment,
        leader_epoch: LeaderEpoch,
        effects: &mut Vec<EffectOf<Self>>,
    ) -> Vec<Entry<Self::Record>>;

    /// Decides one input. The entries count at once; append them in the order of the decisions.
    fn decide(
        &mut self,
        moment: Moment,
        input: InputOf<Self>,
        effects: &mut Vec<EffectOf<Self>>,
    ) -> Vec<Entry<Self::Record>>;
}

pub type InputOf<C> = Input<<C as Core>::Request, <C as Core>::Timer, <C as Core>::Event>;
pub type EffectOf<C> = Effect<<C as Core>::Response, <C as Core>::Timer, <C as Core>::Action>;

/// Names one request that waits for its answer. The driver chooses the numbers, and never twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What holds while one decision is made.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Now,
    /// Fresh randomness, for member ids.
    pub seed: u128,
    /// `max.message.bytes` of the coordinator's topic, which may change at any time: no record may
    /// be larger.
    pub record_bytes_max: usize,
    /// Finalized level of the feature `transaction.version`.
    pub transaction_version: i16,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Empty when the client gave none.
    pub client_id: String,
    /// As group descriptions show it: `/127.0.0.1`.
    pub client_host: String,
    /// Of the request.
    pub version: i16,
}

/// What makes a core decide something.
#[derive(Clone, PartialEq, Debug)]
pub enum Input<Request, Timer, Event> {
    Request(Ticket, Caller, Request),
    Timer(Timer),
    Event(Event),
}

/// What the driver does, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect<Response, Timer, Action> {
    /// Answer once everything decided so far has committed, what this decision writes included. An
    /// answer may be lost where the commit takes too long.
    Reply(Ticket, Response),
    /// Do this once everything that this decision writes has committed, however long that takes. A
    /// decision that writes nothing has no such effect. What could not be written was never
    /// decided: the action is forgotten with it.
    AfterCommit(Action),
    /// Do this at once: it depends on nothing that is decided.
    Act(Action),
    /// Come back with the timer; it replaces one of the same name.
    Arm(Timer, Instant),
    Cancel(Timer),
}

/// What a decision writes and a log holds, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry<Record> {
    /// It counts from here on.
    Record(Record),
    /// It counts when the producer's transaction is committed, and never when it is aborted.
    InTransaction { producer_id: ProducerId, producer_epoch: ProducerEpoch, record: Record },
    /// Ends the producer's transaction in this partition.
    Marker {
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        /// Of the transaction's coordinator.
        coordinator_epoch: i32,
        is_commit: bool,
        /// The producer has this epoch from now on; its transaction's records have an older one
        /// (KIP-890). What is replayed does not say.
        bumps_epoch: bool,
    },
}

/// The log says what this version cannot honour, so that serving it would serve wrong answers.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error("a record cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("a record of key type {key_type} has a value of an unknown version")]
    UnknownValue { key_type: i16 },
    #[error("group {group} has two members with one id")]
    AmbiguousMembers { group: String },
    #[error("transaction {transactional_id} is in state {status}, which is never written")]
    UnknownState { transactional_id: String, status: i8 },
}

/// The answer that one request has, out of all that there are.
macro_rules! answers {
    ($($name:ident($response:ty),)*) => {
        $(impl TryFrom<Response> for $response {
            type Error = Response;

            /// Gives the answer back when it is one to another request.
            fn try_from(response: Response) -> Result<Self, Response> {
                match response {
                    Response::$name(response) => Ok(response),
                    other => Err(other),
                }
            }
        })*
    };
}
