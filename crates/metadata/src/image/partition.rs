//! One partition as the metadata log describes it.

use alloc::vec::Vec;
use strandline_types::{Bug, LeaderEpoch, NodeId, PartitionId, Uuid, planted};
use strandline_wire::messages::{PartitionChangeRecord, PartitionRecord, UnknownTags};

use crate::MetadataVersion;

/// Whether the leader was elected cleanly, or still has to recover what an unclean election may
/// have left inconsistent (KIP-704).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(i8)]
pub enum LeaderRecoveryState {
    #[default]
    Recovered = 0,
    Recovering = 1,
}

impl LeaderRecoveryState {
    pub const fn from_wire(value: i8) -> Option<Self> {
        match value {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }
}

/// Replica lists keep the order of the log: the first replica is the preferred leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    pub isr: Vec<NodeId>,
    pub removing_replicas: Vec<NodeId>,
    pub adding_replicas: Vec<NodeId>,
    /// Replicas outside the ISR that still hold everything committed (KIP-966).
    pub elr: Vec<NodeId>,
    /// The leader at the time when ISR and ELR had become empty.
    pub last_known_elr: Vec<NodeId>,
    /// [`NodeId::NONE`] while nobody can lead.
    pub leader: NodeId,
    pub leader_recovery_state: LeaderRecoveryState,
    /// Grows by one whenever the leader, or a replica's right to follow, changes.
    pub leader_epoch: LeaderEpoch,
    /// Grows by one with every change.
    pub partition_epoch: i32,
    /// Fields of the latest record that this version does not know.
    pub unknown_tags: UnknownTags,
}

/// What one change of a partition sets; `None` leaves a field as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartitionChange {
    pub isr: Option<Vec<NodeId>>,
    /// Naming any leader, even the present one, begins a new leader epoch.
    pub leader: Option<NodeId>,
    pub replicas: Option<Vec<NodeId>>,
    pub removing_replicas: Option<Vec<NodeId>>,
    pub adding_replicas: Option<Vec<NodeId>>,
    pub leader_recovery_state: Option<LeaderRecoveryState>,
    pub directories: Option<Vec<Uuid>>,
    pub elr: Option<Vec<NodeId>>,
    pub last_known_elr: Option<Vec<NodeId>>,
    pub unknown_tags: UnknownTags,
}

impl PartitionChange {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Partition {
    pub fn has_leader(&self) -> bool {
        self.leader != NodeId::NONE
    }

    pub fn preferred_leader(&self) -> NodeId {
        self.replicas.first().copied().unwrap_or(NodeId::NONE)
    }

    pub fn has_preferred_leader(&self) -> bool {
        self.leader == self.preferred_leader()
    }

    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }

    /// The directory that holds this partition on `replica`, if it is one of the replicas.
    pub fn directory(&self, replica: NodeId) -> Option<Uuid> {
        let index = self.replicas.iter().position(|&id| id == replica)?;
        self.directories.get(index).copied()
    }

    /// The partition after `change`.
    pub fn with(&self, change: PartitionChange) -> Self {
        let mut next = self.clone();
        if let Some(replicas) = change.replicas {
            next.replicas = replicas;
        }
        if let Some(directories) = change.directories {
            next.directories = directories;
        }
        // Records of metadata versions before 3.7 name no directories.
        if next.directories.len() != next.replicas.len() {
            next.directories = alloc::vec![Uuid::ZERO; next.replicas.len()];
        }
        if let Some(isr) = change.isr {
            next.isr = isr;
        }
        if let Some(removing) = change.removing_replicas {
            next.removing_replicas = removing;
        }
        if let Some(adding) = change.adding_replicas {
            next.adding_replicas = adding;
        }
        if let Some(elr) = change.elr {
            next.elr = elr;
        }
        if let Some(last_known_elr) = change.last_known_elr {
            next.last_known_elr = last_known_elr;
        }
        if let Some(state) = change.leader_recovery_state {
            next.leader_recovery_state = state;
        }
        if let Some(leader) = change.leader {
            next.leader = leader;
            next.leader_epoch = LeaderEpoch(next.leader_epoch.get().saturating_add(1));
        }
        if !change.unknown_tags.is_empty() {
            next.unknown_tags = change.unknown_tags;
        }
        next.partition_epoch = next.partition_epoch.saturating_add(1);
        next
    }

    /// The first of the partition invariants that this state breaks, META-1 to META-4.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        let all_replicas = |ids: &[NodeId]| ids.iter().all(|id| self.replicas.contains(id));
        if self.replicas.is_empty() || has_duplicates(&self.replicas) {
            return Some("META-1: a partition has replicas, each once");
        }
        let is_known_wrong = planted(Bug::LeavingStayInSync);
        if !is_known_wrong && (!all_replicas(&self.isr) || has_duplicates(&self.isr)) {
            return Some("META-2: the ISR is a set of replicas");
        }
        if self.has_leader() && !self.isr.contains(&self.leader) {
            return Some("META-3: the leader is in the ISR");
        }
        if self.elr.iter().any(|id| self.isr.contains(id)) {
            return Some("META-4: no replica is in both ISR and ELR");
        }
        None
    }
}

/// `PartitionChangeRecord.leader` when the leader stays.
const LEADER_UNCHANGED: i32 = -2;
/// `PartitionChangeRecord.leaderRecoveryState` when the state stays.
const RECOVERY_STATE_UNCHANGED: i8 = -1;

impl Partition {
    /// Reads a record; the error says what cannot be true.
    pub(crate) fn from_record(record: PartitionRecord) -> Result<Self, &'static str> {
        let leader_recovery_state = LeaderRecoveryState::from_wire(record.leader_recovery_state)
            .ok_or("unknown leader recovery state")?;
        let mut directories = record.directories;
        if directories.is_empty() {
            directories = alloc::vec![Uuid::ZERO; record.replicas.len()];
        }
        if directories.len() != record.replicas.len() {
            return Err("the number of directories is not that of the replicas");
        }
        Ok(Self {
            replicas: node_ids(record.replicas),
            directories,
            isr: node_ids(record.isr),
            removing_replicas: node_ids(record.removing_replicas),
            adding_replicas: node_ids(record.adding_replicas),
            elr: node_ids(record.eligible_leader_replicas.unwrap_or_default()),
            last_known_elr: node_ids(record.last_known_elr.unwrap_or_default()),
            leader: NodeId(record.leader),
            leader_recovery_state,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
            unknown_tags: record.unknown_tags,
        })
    }

    /// The record that says all of this in a cluster at `version`.
    pub(crate) fn to_record(
        &self,
        topic_id: Uuid,
        partition: PartitionId,
        version: MetadataVersion,
    ) -> PartitionRecord {
        let unless_empty = |ids: &[NodeId]| (!ids.is_empty()).then(|| raw_ids(ids));
        PartitionRecord {
            partition_id: partition.get(),
            topic_id,
            replicas: raw_ids(&self.replicas),
            isr: raw_ids(&self.isr),
            removing_replicas: raw_ids(&self.removing_replicas),
            adding_replicas: raw_ids(&self.adding_replicas),
            leader: self.leader.get(),
            leader_recovery_state: self.leader_recovery_state as i8,
            leader_epoch: self.leader_epoch.get(),
            partition_epoch: self.partition_epoch,
            directories: if version.records_directories() {
                self.directories.clone()
            } else {
                Vec::new()
            },
            eligible_leader_replicas: unless_empty(&self.elr),
            last_known_elr: unless_empty(&self.last_known_elr),
            unknown_tags: self.unknown_tags.clone(),
        }
    }
}

impl PartitionChange {
    pub(crate) fn from_record(record: PartitionChangeRecord) -> Result<Self, &'static str> {
        let leader_recovery_state = match record.leader_recovery_state {
            RECOVERY_STATE_UNCHANGED => None,
            state => {
                Some(LeaderRecoveryState::from_wire(state).ok_or("unknown leader recovery state")?)
            }
        };
        Ok(Self {
            isr: record.isr.map(node_ids),
            leader: (record.leader != LEADER_UNCHANGED).then_some(NodeId(record.leader)),
            replicas: record.replicas.map(node_ids),
            removing_replicas: record.removing_replicas.map(node_ids),
            adding_replicas: record.adding_replicas.map(node_ids),
            leader_recovery_state,
            directories: record.directories,
            elr: record.eligible_leader_replicas.map(node_ids),
            last_known_elr: record.last_known_elr.map(node_ids),
            unknown_tags: record.unknown_tags,
        })
    }

    pub(crate) fn into_record(
        self,
        topic_id: Uuid,
        partition: PartitionId,
    ) -> PartitionChangeRecord {
        let raw = |ids: Option<Vec<NodeId>>| ids.map(|ids| raw_ids(&ids));
        PartitionChangeRecord {
            partition_id: partition.get(),
            topic_id,
            isr: raw(self.isr),
            leader: self.leader.map_or(LEADER_UNCHANGED, NodeId::get),
            replicas: raw(self.replicas),
            removing_replicas: raw(self.removing_replicas),
            adding_replicas: raw(self.adding_replicas),
            leader_recovery_state: self
                .leader_recovery_state
                .map_or(RECOVERY_STATE_UNCHANGED, |state| state as i8),
            directories: self.directories,
            eligible_leader_replicas: raw(self.elr),
            last_known_elr: raw(self.last_known_elr),
            unknown_tags: self.unknown_tags,
        }
    }
}

pub(crate) fn node_ids(raw: Vec<i32>) -> Vec<NodeId> {
    raw.into_iter().map(NodeId).collect()
}

pub(crate) fn raw_ids(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.get()).collect()
}

pub(crate) fn has_duplicates(ids: &[NodeId]) -> bool {
    ids.iter().enumerate().any(|(index, id)| ids[..index].contains(id))
}
