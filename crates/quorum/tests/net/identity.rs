//! Who the nodes are: a node is another replica with another disk, and listens elsewhere when it has
//! moved.

use std::collections::BTreeMap;

use strandline_quorum::{Endpoint, KraftVersionRange, Membership, ReplicaKey, Voter, VoterSet};
use strandline_types::{NodeId, Uuid};

use super::{Disk, Node, World};

#[derive(Default)]
pub struct Identities {
    /// How often each node got another disk.
    disks: BTreeMap<i32, u32>,
    /// What was on the disks that are lost.
    pub lost: BTreeMap<ReplicaKey, Disk>,
    /// How often each node moved.
    homes: BTreeMap<i32, u32>,
}

/// A node with its first disk.
pub fn key(id: i32) -> ReplicaKey {
    ReplicaKey::new(NodeId(id), Uuid::from_u128(id as u128))
}

pub fn voter(id: i32) -> Voter {
    let endpoint =
        Endpoint { listener: "CONTROLLER".into(), host: format!("host{id}"), port: 9093 };
    Voter { key: key(id), endpoints: vec![endpoint], kraft_versions: KraftVersionRange::OURS }
}

impl World {
    /// A replica by the disk that the node has now.
    pub fn key(&self, id: i32) -> ReplicaKey {
        let disk = self.identities.disks.get(&id).copied().unwrap_or(0);
        ReplicaKey::new(NodeId(id), Uuid::from_u128(id as u128 + 1000 * u128::from(disk)))
    }

    pub fn voter(&self, id: i32) -> Voter {
        let mut voter = Voter { key: self.key(id), ..voter(id) };
        if let Some(home) = self.identities.homes.get(&id) {
            voter.endpoints[0].host += &format!("-{home}");
        }
        voter
    }

    /// What a disk says before anything is on it: only the founders' names them.
    pub(super) fn base_of(&self, id: i32) -> Membership {
        if self.identities.disks.contains_key(&id) {
            Membership { kraft_version: 0, voters: VoterSet::default() }
        } else {
            self.base.clone()
        }
    }

    /// Crashes, and comes back with an empty disk.
    pub fn replace_disk(&mut self, id: i32) {
        self.crash(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.durable = Disk::default();
        }
        self.forgetful.insert(id);
        self.start(id);
    }

    /// Crashes, and comes back as another replica: with an empty disk that knows no voter.
    pub fn lose_disk(&mut self, id: i32) {
        self.crash(id);
        let lost = std::mem::take(&mut self.node(id).durable);
        self.identities.lost.insert(self.key(id), lost);
        self.newcomer(id);
        self.start(id);
    }

    /// Its disk does not name the founders.
    pub fn newcomer(&mut self, id: i32) {
        *self.identities.disks.entry(id).or_default() += 1;
    }

    /// Whether the quorum survives the loss of this node's disk for certain: in every set of voters
    /// that may be in force it is one of those that are not needed. A node that is about to be added
    /// is none of them: two voters of which one has gone for good stay without a leader.
    pub fn may_lose_disk(&self, id: i32) -> bool {
        let lost = self.key(id);
        self.nodes.iter().all(|(node, Node { durable, view, .. })| {
            [durable, view].into_iter().all(|disk| {
                let found = disk.recovered(&self.base_of(*node), &self.safety.snapshots);
                let sets = found.memberships.iter().rev().take(2).map(|(_, it)| it);
                let newest = sets.clone().next().unwrap_or(&found.base_membership);
                (newest.voters.is_empty() || newest.voters.contains(lost))
                    && sets.chain([&found.base_membership]).all(|Membership { voters, .. }| {
                        !voters.contains(lost) || self.survives(voters, lost)
                    })
            })
        })
    }

    /// Whether most of these voters still have their disks, not counting `without`.
    pub fn survives(&self, voters: &VoterSet, without: ReplicaKey) -> bool {
        let keys = voters.iter().map(|voter| voter.key);
        let intact = keys.filter(|key| *key != without && *key == self.key(key.id.0));
        intact.count() >= voters.majority()
    }

    /// Crashes, and comes back at another address.
    pub fn move_house(&mut self, id: i32) {
        self.crash(id);
        *self.identities.homes.entry(id).or_default() += 1;
        self.start(id);
    }

    /// What is durable of a voter, or was when its disk was lost: it may have said so before.
    pub(super) fn disk_of(&self, voter: ReplicaKey) -> Option<&Disk> {
        let node = self.nodes.get(&voter.id.0).filter(|_| voter == self.key(voter.id.0));
        node.map(|node| &node.durable).or_else(|| self.identities.lost.get(&voter))
    }
}
