//! What nodes say to each other: the meaning of KRaft's requests and answers, without their bytes.

use alloc::vec::Vec;
use core::fmt;

use strandline_types::{ErrorCode, LeaderEpoch, NodeId, Offset};

use crate::{ControlRecord, Endpoint, EpochStart, ReplicaKey, SnapshotId, Voter};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    Vote(Vote),
    BeginQuorumEpoch(BeginQuorumEpoch),
    EndQuorumEpoch(EndQuorumEpoch),
    Fetch(Fetch),
    FetchSnapshot(FetchSnapshot),
    ChangeVoter(VoterChange),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vote {
    /// A pre-vote's epoch is the asker's own; a vote's is the one it stands for.
    pub epoch: LeaderEpoch,
    pub candidate: ReplicaKey,
    /// Whom the asker believes to ask; a zero directory asks whoever answers.
    pub voter: ReplicaKey,
    pub last_epoch: LeaderEpoch,
    pub end_offset: Offset,
    pub pre_vote: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BeginQuorumEpoch {
    pub epoch: LeaderEpoch,
    pub leader: NodeId,
    pub leader_endpoints: Vec<Endpoint>,
    pub voter: ReplicaKey,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndQuorumEpoch {
    pub epoch: LeaderEpoch,
    pub leader: NodeId,
    /// Best log first.
    pub preferred: Vec<ReplicaKey>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    pub replica: ReplicaKey,
    pub epoch: LeaderEpoch,
    /// Everything below is durable here.
    pub offset: Offset,
    /// Epoch of the record before `offset`.
    pub last_epoch: LeaderEpoch,
    /// `None` from fetchers that do not tell (before Fetch v18).
    pub high_watermark: Option<Offset>,
    pub max_bytes: u32,
    /// Zero answers at once.
    pub max_wait: core::time::Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchSnapshot {
    pub replica: ReplicaKey,
    pub epoch: LeaderEpoch,
    pub id: SnapshotId,
    pub position: u64,
    pub max_bytes: u32,
}

/// AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VoterChange {
    Add {
        voter: Voter,
        ack_when_committed: bool,
    },
    Remove {
        key: ReplicaKey,
    },
    /// Asked of the leader of `epoch`.
    Update {
        epoch: LeaderEpoch,
        voter: Voter,
    },
}

impl fmt::Display for VoterChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { voter, .. } => write!(f, "add voter {}", voter.key),
            Self::Remove { key } => write!(f, "remove voter {key}"),
            Self::Update { voter, .. } => write!(f, "update voter {}", voter.key),
        }
    }
}

/// Why a request was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the epoch is over")]
    FencedLeaderEpoch,
    #[error("the epoch is not known here yet")]
    UnknownLeaderEpoch,
    #[error("this node does not lead the quorum")]
    NotLeaderOrFollower,
    #[error("the request contradicts itself or what the quorum knows")]
    InvalidRequest,
    #[error("another voter was meant")]
    InvalidVoterKey,
    #[error("the node is a voter already")]
    DuplicateVoter,
    #[error("the node is no voter")]
    VoterNotFound,
    #[error("there is no such snapshot")]
    SnapshotNotFound,
    #[error("the position lies outside the snapshot")]
    PositionOutOfRange,
    #[error("another change is under way, or this one took too long")]
    RequestTimedOut,
    #[error("kraft.version 0 does not allow it")]
    UnsupportedVersion,
}

impl Refusal {
    pub const ALL: [Self; 11] = [
        Self::FencedLeaderEpoch,
        Self::UnknownLeaderEpoch,
        Self::NotLeaderOrFollower,
        Self::InvalidRequest,
        Self::InvalidVoterKey,
        Self::DuplicateVoter,
        Self::VoterNotFound,
        Self::SnapshotNotFound,
        Self::PositionOutOfRange,
        Self::RequestTimedOut,
        Self::UnsupportedVersion,
    ];

    pub const fn code(self) -> ErrorCode {
        ErrorCode(match self {
            Self::FencedLeaderEpoch => 74,
            Self::UnknownLeaderEpoch => 75,
            Self::NotLeaderOrFollower => 6,
            Self::InvalidRequest => 42,
            Self::InvalidVoterKey => 125,
            Self::DuplicateVoter => 126,
            Self::VoterNotFound => 127,
            Self::SnapshotNotFound => 98,
            Self::PositionOutOfRange => 99,
            Self::RequestTimedOut => 7,
            Self::UnsupportedVersion => 35,
        })
    }

    /// The refusal that a peer's answer carries.
    pub fn from_code(code: ErrorCode) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }
}

/// An answer that this node gives. Epoch and leader are always told, so that a node that asks the
/// wrong one learns the right one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub refusal: Option<Refusal>,
    pub epoch: LeaderEpoch,
    pub leader: Option<NodeId>,
    pub body: ReplyBody,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplyBody {
    /// Also the body of every refusal.
    Empty,
    Vote {
        granted: bool,
    },
    Fetch(FetchReply),
    FetchSnapshot(FetchSnapshotReply),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchReply {
    /// Whole batches from `offset` up to `end_offset`, which may be `offset` itself: nothing new.
    Read {
        offset: Offset,
        end_offset: Offset,
        max_bytes: u32,
        high_watermark: Offset,
        log_start: Offset,
    },
    /// The two logs part: `epoch` ends at `start_offset` here.
    Diverging { end: EpochStart, high_watermark: Offset, log_start: Offset },
    /// What was asked for exists only in this snapshot.
    Snapshot { id: SnapshotId, high_watermark: Offset, log_start: Offset },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchSnapshotReply {
    pub id: SnapshotId,
    pub size_bytes: u64,
    pub position: u64,
    pub max_bytes: u32,
}

/// An answer that a peer gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub refusal: Option<Refusal>,
    pub epoch: LeaderEpoch,
    pub leader: Option<NodeId>,
    pub body: ResponseBody,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResponseBody {
    Empty,
    Vote { granted: bool },
    Fetch(FetchResponse),
    FetchSnapshot(FetchSnapshotResponse),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchResponse {
    Batches { batches: Vec<FetchedBatch>, high_watermark: Offset },
    Diverging { end: EpochStart },
    Snapshot { id: SnapshotId },
}

/// One batch of a peer's log: its bytes were checked, and stay with the driver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedBatch {
    pub base_offset: Offset,
    pub next_offset: Offset,
    pub epoch: LeaderEpoch,
    pub size_bytes: u64,
    /// What a control batch says about membership, with the record's offset.
    pub control: Vec<(Offset, ControlRecord)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchSnapshotResponse {
    pub id: SnapshotId,
    pub size_bytes: u64,
    pub position: u64,
    pub len: u64,
}
