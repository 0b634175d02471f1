//! What a replica is told, and what it asks for.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use strandline_log::{
    Admission, Appended, Deletion, EpochEnd, Log, LogConfig, LogStart, Origin, SyncPlan,
};
use strandline_types::{BatchFacts, BrokerEpoch, LeaderEpoch, NodeId, Offset};

use crate::{DeleteRefusal, FollowRefusal, ProduceRefusal};

/// Names a request that waits for its answer. The shell chooses the numbers, and never twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What must have happened before a Produce is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequiredAcks {
    /// Nothing: there is no answer. The ticket is given back when the records are written, so that
    /// the connection can be closed upon an error.
    None,
    /// The leader has them.
    Leader,
    /// The high watermark has passed them.
    All,
}

/// Settings that replication needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaConfig {
    /// `min.insync.replicas`; capped by the number of replicas.
    pub min_in_sync_replicas: u32,
    /// `replica.lag.time.max.ms`.
    pub lag_time_max: Duration,
}

impl Default for ReplicaConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self { min_in_sync_replicas: 1, lag_time_max: Duration::from_secs(30) }
    }
}

/// The controller's word on who holds the partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leadership {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// In order of preference, this node among them.
    pub replicas: Vec<NodeId>,
    pub in_sync: Vec<NodeId>,
}

/// The controller's word to a replica that does not lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Followership {
    /// [`NodeId::NONE`] while nobody leads.
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// The ISR names this node: it holds everything that was ever committed.
    pub is_in_sync: bool,
}

/// What the metadata say of a follower's broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerChange {
    pub follower: NodeId,
    /// It has a session with the controller.
    pub is_alive: bool,
    /// It is neither fenced nor shutting down, and the follower's directory works.
    pub may_join_isr: bool,
}

/// Where a follower's next fetch begins, and what it tells the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchPosition {
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    /// Everything before it is written, and synced as far as `flush.messages` asks.
    pub offset: Offset,
    /// The epoch of the last record before `offset`; −1 without any.
    pub last_epoch: LeaderEpoch,
    pub log_start: Offset,
}

/// Whether a replica wants to fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextFetch {
    From(FetchPosition),
    /// Something is being written, synced or cut off; it will go on by itself.
    Busy,
    /// It does not follow, its disk is full, or it is offline.
    Stopped,
}

/// A leader's answer to a fetch that was sent from `offset` in `leader_epoch`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetched<'a> {
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    pub answer: FetchAnswer<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchAnswer<'a> {
    /// Batches as the leader has them, checksums checked.
    Records { batches: &'a [BatchFacts], high_watermark: Offset, log_start: Offset },
    /// The leader's log parts from ours: it knows the records up to `end` of this epoch (KIP-595).
    Diverging(EpochEnd),
    /// The leader's log does not reach this far, or begins later.
    OutOfRange { log_start: Offset, log_end: Offset },
}

/// What goes from a follower's log before it can go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Everything from this offset on: [`strandline_log::Log::truncate_to`].
    Truncate { to: Offset },
    /// All of it: [`strandline_log::Log::start_over_at`].
    StartOver { at: Offset },
}

/// A replica of an ISR, and which incarnation of the broker is meant; −1 when it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IsrMember {
    pub node: NodeId,
    pub broker_epoch: BrokerEpoch,
}

/// How an AlterPartition round trip ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IsrAnswer {
    Committed {
        leader_epoch: LeaderEpoch,
        partition_epoch: i32,
        in_sync: Vec<NodeId>,
    },
    /// Refused for good (an ineligible replica): forget the proposal.
    Refused,
    /// Fenced, or out of date: keep the proposal until the metadata says what holds.
    Outdated,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    BecomeLeader(Leadership),
    BecomeFollower(Followership),
    Configured {
        replica: ReplicaConfig,
        log: Arc<LogConfig>,
    },
    /// Batches of one request, checked by `wire`: a client's or a coordinator's.
    Append {
        ticket: Ticket,
        batches: &'a [BatchFacts],
        required_acks: RequiredAcks,
        origin: Origin,
    },
    /// Every [`Effect::Append`] up to this offset is carried out.
    Written {
        upto: Offset,
    },
    /// An [`Effect::Sync`] up to this offset is done.
    Synced {
        upto: Offset,
    },
    /// A write, sync or deletion failed.
    Faulted,
    /// The request's time is up: its answer is no longer wanted.
    Expired(Ticket),
    /// A follower asks for records from `log_end` on: so far it has everything.
    FollowerFetched {
        follower: NodeId,
        broker_epoch: BrokerEpoch,
        log_start: Offset,
        log_end: Offset,
    },
    FollowerChanged(FollowerChange),
    /// This node's own fetch was answered.
    Fetched(Fetched<'a>),
    /// An [`Effect::Cut`] is carried out, and this is what is left.
    Cut(Box<Log>),
    IsrAnswered(IsrAnswer),
    /// Come back every half of `replica.lag.time.max.ms`.
    CheckIsr,
    /// −1 stands for the high watermark.
    DeleteRecords {
        ticket: Ticket,
        upto: Offset,
    },
    /// Retention is due to be checked.
    Retain,
    /// `flush.ms` is due to be checked.
    CheckFlush,
    /// Silent producers are due to be forgotten.
    ExpireProducers,
}

/// What the shell does, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Write the batches of the event as the plan says; report [`Event::Written`].
    Append(Admission),
    /// Sync these files once everything before is written; report [`Event::Synced`]. At most one
    /// is under way.
    Sync(SyncPlan),
    /// Take segments away.
    Delete(Deletion),
    /// The log starts later; a checkpoint of epochs may have to be written.
    LogStartRaised(LogStart),
    /// Answer a Produce.
    Answer { ticket: Ticket, answer: Result<ProduceAnswer, ProduceRefusal> },
    /// Answer DeleteRecords with the low watermark.
    AnswerDelete { ticket: Ticket, answer: Result<Offset, DeleteRefusal> },
    /// What a leader sent cannot be taken: leave it alone for a while.
    RefuseFetched(FollowRefusal),
    /// Cut the log off once everything before is written; report [`Event::Cut`]. Nothing is
    /// appended meanwhile.
    Cut(Cut),
    /// Ask the controller for another ISR; report [`Event::IsrAnswered`].
    AlterIsr { leader_epoch: LeaderEpoch, partition_epoch: i32, in_sync: Vec<IsrMember> },
}

/// What a producer is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProduceAnswer {
    pub appended: Appended,
    pub log_start: Offset,
}
