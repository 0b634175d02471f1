//! What DescribeQuorum tells.

use alloc::vec::Vec;

use strandline_types::{LeaderEpoch, NodeId, Now, Offset, Timestamp};

use crate::role::Role;
use crate::{Quorum, ReplicaKey, VoterSet};

/// The quorum as this node sees it. The lists are filled only by the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    pub leader: Option<NodeId>,
    pub epoch: LeaderEpoch,
    pub high_watermark: Offset,
    pub voter_set: VoterSet,
    pub voters: Vec<ReplicaDescription>,
    pub observers: Vec<ReplicaDescription>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplicaDescription {
    pub key: ReplicaKey,
    /// `None` while it has not fetched from this leader.
    pub end_offset: Option<Offset>,
    pub last_fetch: Timestamp,
    pub last_caught_up: Timestamp,
}

impl Quorum {
    pub fn describe(&self, now: Now) -> Description {
        let voter_set = self.log.membership().voters.clone();
        let mut description = Description {
            leader: self.leader(),
            epoch: self.election.epoch,
            high_watermark: self.high_watermark,
            voters: Vec::new(),
            observers: Vec::new(),
            voter_set,
        };
        let Role::Leader(leading) = &self.role else { return description };
        for voter in description.voter_set.iter() {
            let replica = self.replica_of(leading, voter.key.id);
            description.voters.push(if voter.key.id == self.config.me.id {
                ReplicaDescription {
                    key: voter.key,
                    end_offset: Some(self.log.end_offset()),
                    last_fetch: now.timestamp,
                    last_caught_up: now.timestamp,
                }
            } else {
                ReplicaDescription {
                    key: voter.key,
                    end_offset: replica.map(|replica| replica.end_offset),
                    last_fetch: replica.map_or(Timestamp::NONE, |r| r.last_fetch.timestamp),
                    last_caught_up: replica.map_or(Timestamp::NONE, |r| r.last_caught_up),
                }
            });
        }
        let observers = leading.replicas.iter();
        for (key, replica) in observers.filter(|(key, _)| !description.voter_set.contains(**key)) {
            description.observers.push(ReplicaDescription {
                key: *key,
                end_offset: Some(replica.end_offset),
                last_fetch: replica.last_fetch.timestamp,
                last_caught_up: replica.last_caught_up,
            });
        }
        description
    }
}
