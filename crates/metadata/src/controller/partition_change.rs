//! What must change in a partition when its replicas, its ISR or the brokers' liveness change: who
//! leads, which replicas stay eligible, and whether a reassignment is complete.
//!
//! Rules: KIP-595 elections, KIP-455 reassignment, KIP-704 recovery state, KIP-966 eligible leader
//! replicas with the last known leader.

use alloc::vec::Vec;
use strandline_types::{Bug, NodeId, Uuid, planted};

use crate::image::{LeaderRecoveryState, Partition, PartitionChange};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Election {
    /// The first replica, if it may lead.
    Preferred,
    /// The present leader if it may lead, else whoever may.
    #[default]
    Online,
    /// As `Online`, and a replica that may have lost records rather than nobody.
    Unclean,
}

/// What the rules ask of the world around the partition.
pub(crate) struct Surroundings<'a> {
    /// Alive, not shutting down, and the replica's directory is online.
    pub(crate) may_lead: &'a dyn Fn(NodeId) -> bool,
    /// The directory for a replica that has none yet.
    pub(crate) default_directory: &'a dyn Fn(NodeId) -> Uuid,
    /// `min.insync.replicas`, capped by the replication factor.
    pub(crate) effective_min_isr: usize,
    pub(crate) elr_enabled: bool,
    /// Metadata versions from 3.7 on record directories.
    pub(crate) directories_supported: bool,
    /// Metadata versions before 3.6 begin a new leader epoch when the ISR shrinks.
    pub(crate) epoch_bump_on_shrink: bool,
}

/// The wished-for state; [`Target::of`] wishes for what is.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) election: Election,
    pub(crate) isr: Vec<NodeId>,
    pub(crate) replicas: Vec<NodeId>,
    pub(crate) removing: Vec<NodeId>,
    pub(crate) adding: Vec<NodeId>,
    pub(crate) leader_recovery_state: LeaderRecoveryState,
    /// Replicas that came back without a clean shutdown: what they had may be gone.
    pub(crate) unclean_shutdown: Vec<NodeId>,
    /// Directories to move replicas to.
    pub(crate) directories: Vec<(NodeId, Uuid)>,
}

impl Target {
    pub(crate) fn of(partition: &Partition) -> Self {
        Self {
            election: Election::Online,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
            leader_recovery_state: partition.leader_recovery_state,
            unclean_shutdown: Vec::new(),
            directories: Vec::new(),
        }
    }

    /// The change that leads from `partition` to this target, or `None` when nothing changes.
    pub(crate) fn change(
        self,
        partition: &Partition,
        around: &Surroundings<'_>,
    ) -> Option<PartitionChange> {
        let mut builder = Builder { partition, around, target: self, elr: partition.elr.clone() };
        builder.complete_reassignment();
        builder.populate_elr();
        let mut change = PartitionChange::default();
        builder.elect(&mut change);
        builder.fence_removed_replicas(&mut change);
        builder.write_elr(&mut change);
        builder.write_isr(&mut change);
        builder.write_last_known_leader(&mut change);
        builder.write_assignment(&mut change);
        if builder.target.leader_recovery_state != partition.leader_recovery_state {
            change.leader_recovery_state = Some(builder.target.leader_recovery_state);
        }
        (!change.is_empty()).then_some(change)
    }
}

struct Builder<'a> {
    partition: &'a Partition,
    around: &'a Surroundings<'a>,
    target: Target,
    elr: Vec<NodeId>,
}

struct Elected {
    leader: NodeId,
    is_unclean: bool,
}

impl Builder<'_> {
    /// A reassignment is complete when every adding replica is in sync, and then the removing ones
    /// go from both lists. When more leave than join, that would prove too little: then everyone
    /// who stays must be in sync.
    fn complete_reassignment(&mut self) {
        let target = &mut self.target;
        if target.removing.is_empty() && target.adding.is_empty() {
            return;
        }
        let stays = |id: &NodeId| !target.removing.contains(id);
        let isr: Vec<NodeId> = target.isr.iter().copied().filter(stays).collect();
        let replicas: Vec<NodeId> = target.replicas.iter().copied().filter(stays).collect();
        let leaves_nobody = !target.removing.is_empty() && (isr.is_empty() || replicas.is_empty());
        let in_sync = |ids: &[NodeId]| ids.iter().all(|id| isr.contains(id));
        let shrinks = target.adding.len() < target.removing.len();
        if leaves_nobody || !in_sync(&target.adding) || (shrinks && !in_sync(&replicas)) {
            return;
        }
        if !planted(Bug::LeavingStayInSync) {
            target.isr = isr;
        }
        target.replicas = replicas;
        target.removing = Vec::new();
        target.adding = Vec::new();
    }

    /// Below the minimum ISR the high watermark stands still, so whoever leaves the ISR still holds
    /// everything committed and stays eligible. At or above the minimum nobody else is. Nor is who
    /// is no replica any more: should it be one again, it begins with nothing. (Kafka keeps it, and
    /// can lose acknowledged records by a clean election.)
    fn populate_elr(&mut self) {
        if !self.around.elr_enabled {
            return;
        }
        if self.target.isr.len() >= self.around.effective_min_isr {
            self.elr = Vec::new();
            return;
        }
        let mut elr: Vec<NodeId> = self.elr.iter().chain(&self.partition.isr).copied().collect();
        elr.sort_unstable();
        elr.dedup();
        elr.retain(|id| {
            let stays = self.partition.replicas.contains(id) && self.target.replicas.contains(id);
            stays && !self.target.isr.contains(id) && !self.target.unclean_shutdown.contains(id)
        });
        self.elr = elr;
    }

    fn may_lead_cleanly(&self, id: NodeId) -> bool {
        let holds_everything =
            self.target.isr.contains(&id) || (self.target.isr.is_empty() && self.elr.contains(&id));
        holds_everything && (self.around.may_lead)(id)
    }

    fn last_known_leader(&self) -> Option<NodeId> {
        if !self.around.elr_enabled || !self.elr.is_empty() || !self.target.isr.is_empty() {
            return None;
        }
        match self.partition.last_known_elr[..] {
            [id] if self.target.replicas.contains(&id) && (self.around.may_lead)(id) => Some(id),
            _ => None,
        }
    }

    fn choose(&self) -> Elected {
        let clean = |leader| Elected { leader, is_unclean: false };
        let unclean = |leader| Elected { leader, is_unclean: true };
        let preferred = self.target.replicas.first().copied();
        if self.target.election == Election::Preferred
            && let Some(id) = preferred.filter(|&id| self.may_lead_cleanly(id))
        {
            return clean(id);
        }
        if self.may_lead_cleanly(self.partition.leader) {
            return clean(self.partition.leader);
        }
        let replicas = || self.target.replicas.iter().copied();
        if let Some(id) = replicas().find(|&id| self.may_lead_cleanly(id)) {
            return clean(id);
        }
        if let Some(id) = self.last_known_leader() {
            return unclean(id);
        }
        if self.target.election == Election::Unclean
            && let Some(id) = replicas().find(|&id| (self.around.may_lead)(id))
        {
            return unclean(id);
        }
        clean(NodeId::NONE)
    }

    fn elect(&mut self, change: &mut PartitionChange) {
        let elected = self.choose();
        if elected.leader == self.partition.leader {
            return;
        }
        if self.elr.contains(&elected.leader) {
            self.target.isr = Vec::from([elected.leader]);
            self.elr.retain(|&id| id != elected.leader);
        }
        change.leader = Some(elected.leader);
        if elected.is_unclean {
            change.isr = Some(Vec::from([elected.leader]));
            if self.partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                change.leader_recovery_state = Some(LeaderRecoveryState::Recovering);
            }
        }
    }

    /// A replica that is no longer one must not be able to fetch under the present leader epoch.
    fn fence_removed_replicas(&self, change: &mut PartitionChange) {
        let is_removed = |id: &NodeId| !self.target.replicas.contains(id);
        if change.leader.is_none() && self.partition.replicas.iter().any(is_removed) {
            change.leader = Some(self.partition.leader);
        }
    }

    fn write_elr(&mut self, change: &mut PartitionChange) {
        let is_unclean = change.isr.is_some();
        if is_unclean || !self.around.elr_enabled {
            self.elr = Vec::new();
        }
        if self.elr != self.partition.elr {
            change.elr = Some(self.elr.clone());
        }
    }

    fn write_isr(&self, change: &mut PartitionChange) {
        // Without ELR the last ISR must be remembered: only its members may lead again.
        let may_be_empty = self.around.elr_enabled;
        if change.isr.is_none()
            && (may_be_empty || !self.target.isr.is_empty())
            && self.target.isr != self.partition.isr
        {
            change.isr = Some(self.target.isr.clone());
        }
        if self.around.epoch_bump_on_shrink
            && change.leader.is_none()
            && let Some(isr) = &change.isr
            && self.partition.isr.iter().any(|id| !isr.contains(id))
        {
            change.leader = Some(self.partition.leader);
        }
    }

    fn write_last_known_leader(&self, change: &mut PartitionChange) {
        if !self.around.elr_enabled {
            return;
        }
        let is_known = !self.partition.last_known_elr.is_empty();
        match change.leader {
            Some(NodeId::NONE) if !is_known => {
                change.last_known_elr = Some(Vec::from([self.partition.leader]));
            }
            Some(leader) if leader != NodeId::NONE && is_known => {
                change.last_known_elr = Some(Vec::new());
            }
            _ => {}
        }
    }

    fn write_assignment(&self, change: &mut PartitionChange) {
        let target = &self.target;
        if !target.replicas.is_empty() {
            if self.around.directories_supported {
                let directories: Vec<Uuid> =
                    target.replicas.iter().map(|&id| self.directory_for(id)).collect();
                if directories != self.partition.directories {
                    change.directories = Some(directories);
                }
            }
            if target.replicas != self.partition.replicas {
                change.replicas = Some(target.replicas.clone());
            }
        }
        if target.removing != self.partition.removing_replicas {
            change.removing_replicas = Some(target.removing.clone());
        }
        if target.adding != self.partition.adding_replicas {
            change.adding_replicas = Some(target.adding.clone());
        }
    }

    fn directory_for(&self, replica: NodeId) -> Uuid {
        let moved = self.target.directories.iter().find(|(id, _)| *id == replica);
        moved
            .map(|(_, directory)| *directory)
            .or_else(|| self.partition.directory(replica))
            .unwrap_or_else(|| (self.around.default_directory)(replica))
    }
}
