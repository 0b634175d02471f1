//! The six roles, and what a node knows only while it plays one.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;
use core::time::Duration;

use strandline_types::{Instant, NodeId, Now, Offset, Timestamp};

use crate::{ReplicaKey, SnapshotId, Ticket, Voter, VoterSet, message};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleName {
    Unattached,
    Prospective,
    Candidate,
    Leader,
    Follower,
    Resigned,
}

impl fmt::Display for RoleName {
    /// As Kafka's `current-state` metric spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unattached => "unattached",
            Self::Prospective => "prospective",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Resigned => "resigned",
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Knows an epoch but no leader.
    Unattached,
    /// Asks whether standing would succeed, before it raises the epoch (KIP-996).
    Prospective(Ballot),
    Candidate {
        ballot: Ballot,
        /// Lost; waits a random while before it tries again.
        lost: bool,
    },
    Leader(Leading),
    Follower(Following),
    /// Led this epoch and will not again: answers nobody's hope, waits for a successor.
    Resigned,
}

impl Role {
    pub(crate) fn name(&self) -> RoleName {
        match self {
            Self::Unattached => RoleName::Unattached,
            Self::Prospective(_) => RoleName::Prospective,
            Self::Candidate { .. } => RoleName::Candidate,
            Self::Leader(_) => RoleName::Leader,
            Self::Follower(_) => RoleName::Follower,
            Self::Resigned => RoleName::Resigned,
        }
    }
}

/// Who has answered a vote. Fixed to the voters at its start.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    pub(crate) voters: VoterSet,
    pub(crate) granted: BTreeSet<NodeId>,
    pub(crate) rejected: BTreeSet<NodeId>,
}

impl Ballot {
    /// A ballot where this node, if it votes, has already granted itself.
    pub(crate) fn new(voters: VoterSet, me: ReplicaKey) -> Self {
        let granted = voters.contains(me).then_some(me.id).into_iter().collect();
        Self { voters, granted, rejected: BTreeSet::new() }
    }

    pub(crate) fn record(&mut self, voter: NodeId, granted: bool) {
        // The first answer stands: a repeated request may be answered differently.
        if self.rejected.contains(&voter) || self.granted.contains(&voter) {
            return;
        }
        if granted {
            self.granted.insert(voter)
        } else {
            self.rejected.insert(voter)
        };
    }

    pub(crate) fn is_won(&self) -> bool {
        self.granted.len() >= self.voters.majority()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.voters.len() - self.rejected.len() < self.voters.majority()
    }

    pub(crate) fn unanswered(&self) -> impl Iterator<Item = &Voter> {
        self.voters.iter().filter(|voter| {
            !self.granted.contains(&voter.key.id) && !self.rejected.contains(&voter.key.id)
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Leading {
    /// Offset of this leadership's LeaderChange record.
    pub(crate) epoch_start: Offset,
    /// Whether the high watermark has passed `epoch_start`.
    pub(crate) is_ready: bool,
    /// Voters and observers that fetch from here.
    pub(crate) replicas: BTreeMap<ReplicaKey, Replica>,
    /// When it began: voters have until then to be heard.
    pub(crate) since: Now,
    pub(crate) parked: BTreeMap<Ticket, Parked>,
    pub(crate) change: Option<PendingChange>,
}

/// What a leader knows of one fetcher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Replica {
    /// Everything below is durable there.
    pub(crate) end_offset: Offset,
    pub(crate) last_fetch: Now,
    /// Leader's log end at that fetch.
    pub(crate) leader_end_at_last_fetch: Offset,
    pub(crate) last_caught_up: Timestamp,
}

/// A fetch that waits for records or for a higher high watermark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parked {
    pub(crate) offset: Offset,
    pub(crate) high_watermark: Option<Offset>,
    pub(crate) max_bytes: u32,
    pub(crate) deadline: Instant,
}

/// The one change of voters under way.
#[derive(Clone, Debug)]
pub(crate) enum PendingChange {
    /// The new voter must first know the log.
    CatchingUp { ticket: Ticket, voter: Voter, ack_when_committed: bool },
    /// Its record is at `offset`; `ticket` still waits for an answer.
    Appended { ticket: Option<Ticket>, offset: Offset },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Following {
    /// A fetch of this tenure has succeeded: the leader is alive, so no pre-vote is granted.
    pub(crate) has_fetched: bool,
    /// It held all that was committed when it last fetched.
    pub(crate) is_whole: bool,
    pub(crate) snapshot: Option<Download>,
    /// The change of voters, by its offset, that this node's last question about its own place was
    /// based on. The same question is not asked again before its time.
    pub(crate) asked_at: Option<Option<Offset>>,
}

/// A snapshot being copied from the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Download {
    pub(crate) id: SnapshotId,
    pub(crate) position: u64,
}

/// A request on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum InFlight {
    Vote {
        voter: NodeId,
    },
    BeginQuorumEpoch {
        voter: NodeId,
    },
    EndQuorumEpoch,
    Fetch,
    FetchSnapshot {
        id: SnapshotId,
        position: u64,
    },
    /// An observer or lonely node asks anybody who leads.
    FindLeader,
    /// A follower asks for its own place among the voters.
    ChangeVoter,
}

pub(crate) const OBSERVER_SESSION: Duration = Duration::from_secs(300);
/// Fetchers that a leader remembers; more are served but not described.
pub(crate) const MAX_REPLICAS: usize = 4096;

impl message::Response {
    pub(crate) fn granted(&self) -> bool {
        self.refusal.is_none() && matches!(self.body, message::ResponseBody::Vote { granted: true })
    }
}
