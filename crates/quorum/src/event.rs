//! What happens to a node, and what it wants done.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use strandline_types::{Instant, LeaderEpoch, NodeId, Offset};

use crate::{
    Election, Refusal, ReplicaKey, Reply, Request, Response, SnapshotFacts, SnapshotId, VoterSet,
};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

handle!(
    /// Chosen by the driver, echoed by the machine: which question an answer belongs to.
    Ticket, "t"
);
handle!(
    /// Chosen by the machine for a request it sends.
    RequestId, "r"
);
handle!(
    /// One write to the node's disk. Later writes have higher numbers and become durable later.
    WriteId, "w"
);

/// A wait of the machine. Each kind runs at most once; arming it again moves it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Unattached, Prospective, Candidate, Resigned: try the next thing.
    Election,
    /// Follower: the leader has not answered a fetch for too long.
    FetchTimeout,
    /// Send again what found no answer.
    Retry,
    /// Leader: has a majority fetched?
    CheckQuorum,
    /// Leader: tell voters that do not fetch who leads.
    BeginQuorumEpoch,
    /// Leader: the oldest parked fetch is due.
    ParkedFetch,
    /// Leader: a new voter did not catch up.
    AddVoter,
    /// Follower: ask the leader again for its own place among the voters.
    OwnVoter,
    /// A snapshot by time.
    Snapshot,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Timer(Timer),
    /// This write and all before it are on the device.
    Durable(WriteId),
    /// The controller wants records in the log, all or none, as the leader of `epoch`.
    Append {
        ticket: Ticket,
        epoch: LeaderEpoch,
        records: u32,
        size_bytes: u64,
    },
    Request {
        ticket: Ticket,
        request: Request,
    },
    Response {
        id: RequestId,
        response: Response,
    },
    /// No answer will come: refused connection, disconnect, time-out, or bytes that say nothing.
    Unanswered {
        id: RequestId,
    },
    /// No answer will come, and the peer's address refuses connections: its process is not there.
    Gone {
        id: RequestId,
    },
    /// The state up to here has been written as a snapshot, and is durable.
    SnapshotTaken(SnapshotFacts),
    /// [`Effect::InstallSnapshot`] has been carried out.
    SnapshotInstalled {
        snapshot: SnapshotFacts,
        membership: crate::Membership,
    },
    /// The pieces of [`Effect::InstallSnapshot`] made no snapshot; everything is as before.
    SnapshotRefused,
    /// The controllers that the metadata name and that are there, voters or not. That this node is
    /// among them says that nobody else has its id ([`crate::Join::OnceItHelps`]).
    Controllers(BTreeSet<NodeId>),
    /// Give up leadership: the node is about to stop.
    Resign,
}

/// The records of control batches that this crate decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlRecord {
    LeaderChange(LeaderChange),
    KraftVersion(i16),
    Voters(VoterSet),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderChange {
    pub leader: NodeId,
    pub voters: Vec<ReplicaKey>,
    pub granting_voters: Vec<ReplicaKey>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Replace the stored election state atomically.
    Persist {
        write: WriteId,
        election: Election,
    },
    /// Append the records of `ticket` as one batch.
    Append {
        write: WriteId,
        ticket: Ticket,
        base_offset: Offset,
        epoch: LeaderEpoch,
    },
    /// Append one control batch.
    AppendControl {
        write: WriteId,
        base_offset: Offset,
        epoch: LeaderEpoch,
        records: Vec<ControlRecord>,
    },
    /// Append the first `batches` batches of the answer to `request`, as they are.
    AppendFetched {
        write: WriteId,
        request: RequestId,
        batches: usize,
    },
    /// Drop all records from `end_offset` on.
    Truncate {
        write: WriteId,
        end_offset: Offset,
    },
    /// The log may begin here now; snapshots that end below are not needed any more.
    DeletePrefix {
        start_offset: Offset,
    },
    /// The records of `ticket` were not appended.
    AppendRefused {
        ticket: Ticket,
        refusal: Refusal,
    },
    Send {
        after: Option<WriteId>,
        to: Peer,
        id: RequestId,
        request: Request,
    },
    Reply {
        after: Option<WriteId>,
        ticket: Ticket,
        reply: Reply,
    },
    Arm {
        timer: Timer,
        at: Instant,
    },
    Cancel {
        timer: Timer,
    },
    /// Everything below `end_offset` is on a majority: apply it.
    Committed {
        end_offset: Offset,
    },
    LeaderChanged {
        epoch: LeaderEpoch,
        leader: Option<NodeId>,
    },
    /// What was forgotten with the disk does not matter any more ([`crate::Config::has_forgotten`]):
    /// the next start may vote.
    Remembered {
        after: Option<WriteId>,
    },
    /// This node is a voter, and that has committed: [`crate::Join::OnceItHelps`] is done.
    Joined,
    /// This node leads and has committed in its epoch: its state may decide from now on.
    LeaderReady {
        epoch: LeaderEpoch,
        /// Where this leadership began in the log.
        epoch_start: Offset,
        /// Whom this node followed before, and when it last heard that one.
        last_heard: Option<(NodeId, Instant)>,
    },
    /// Worth taking now: the state after everything below `id.end_offset`.
    TakeSnapshot {
        id: SnapshotId,
    },
    /// Keep this piece of a leader's snapshot: the bytes of the answer to `request`. Position 0
    /// begins anew.
    KeepSnapshotChunk {
        id: SnapshotId,
        position: u64,
        request: RequestId,
    },
    /// All pieces are here: make them the snapshot, empty the log to begin at its end, load it.
    InstallSnapshot {
        id: SnapshotId,
    },
}

/// Where a request goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Peer {
    Node(NodeId),
    /// An address from the settings whose node is not known.
    Bootstrap(u32),
}
