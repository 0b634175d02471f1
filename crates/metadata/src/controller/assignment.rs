//! The replicas of new partitions: chosen, or given by hand and checked.

use alloc::format;
use alloc::vec::Vec;

use strandline_types::{ErrorCode, LeaderEpoch, NodeId, PartitionId, Uuid};

use super::context::{Context, Denied};
use super::{placement, random::Random};
use crate::image::{LeaderRecoveryState, Partition, has_duplicates, node_ids};
use crate::{Record, Records};

/// One request may create, or change, this many partitions at most.
pub(super) const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

pub(super) fn too_many_partitions() -> Denied {
    let text = format!("one request makes at most {PARTITIONS_PER_REQUEST_MAX} partitions");
    Denied::new(ErrorCode::POLICY_VIOLATION, text)
}

/// A request may name a partition as often as it likes, and each time costs a record.
pub(super) fn check_room(records: &Records) -> Result<(), Denied> {
    if records.len() < PARTITIONS_PER_REQUEST_MAX {
        return Ok(());
    }
    let text = format!("one request changes at most {PARTITIONS_PER_REQUEST_MAX} partitions");
    Err(Denied::new(ErrorCode::POLICY_VIOLATION, text))
}

impl Context<'_> {
    /// Replicas for `count` partitions, striped over racks and brokers.
    pub(super) fn place(
        &self,
        random: &mut Random,
        count: usize,
        replication_factor: usize,
    ) -> Result<Vec<Partition>, Denied> {
        let deny = |why: &str| {
            let text = format!("replication factor {replication_factor} cannot be met: {why}");
            Denied::new(ErrorCode::INVALID_REPLICATION_FACTOR, text)
        };
        placement::place(&self.image.cluster, random, count, replication_factor)
            .map_err(|why| deny(&why))?
            .into_iter()
            .map(|replicas| self.new_partition(replicas).ok_or_else(|| deny("no broker is active")))
            .collect()
    }

    /// A partition with replicas that a person chose.
    pub(super) fn assign_by_hand(
        &self,
        partition: PartitionId,
        broker_ids: &[i32],
        replication_factor: Option<usize>,
    ) -> Result<Partition, Denied> {
        let replicas = self.chosen_by_hand(broker_ids)?;
        let deny = |text| Err(Denied::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
        if let Some(expected) = replication_factor.filter(|expected| *expected != replicas.len()) {
            return deny(format!(
                "a partition would have {} replicas where others of its topic have {expected}",
                replicas.len()
            ));
        }
        match self.new_partition(replicas) {
            Some(partition) => Ok(partition),
            None => deny(format!("none of the brokers named for partition {partition} is active")),
        }
    }

    /// Replicas that a person chose: registered brokers, each once.
    pub(super) fn chosen_by_hand(&self, broker_ids: &[i32]) -> Result<Vec<NodeId>, Denied> {
        let deny = |text| Err(Denied::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
        let replicas = node_ids(broker_ids.to_vec());
        if replicas.is_empty() {
            return deny("a partition needs at least one replica".into());
        }
        let mut ascending = replicas.clone();
        ascending.sort_unstable();
        let unknown = |id: &&NodeId| self.image.cluster.broker(**id).is_none();
        if let Some(id) = ascending.iter().find(unknown) {
            return deny(format!("no broker is registered as {id}"));
        }
        if has_duplicates(&ascending) {
            let twice = ascending.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
            return deny(format!(
                "broker {} is named twice for one partition",
                twice.unwrap_or(NodeId::NONE)
            ));
        }
        Ok(replicas)
    }

    /// `None` when none of the replicas may lead.
    fn new_partition(&self, replicas: Vec<NodeId>) -> Option<Partition> {
        let is_active = |id: &NodeId| self.image.cluster.is_active(*id);
        let isr: Vec<NodeId> = replicas.iter().copied().filter(is_active).collect();
        Some(Partition {
            directories: replicas.iter().map(|id| self.default_directory(*id)).collect(),
            leader: *isr.first()?,
            isr,
            replicas,
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            unknown_tags: Default::default(),
        })
    }

    pub(super) fn write_partitions(
        &self,
        topic: Uuid,
        first: PartitionId,
        partitions: &[Partition],
        records: &mut Records,
    ) {
        records.extend(partitions.iter().zip(first.get()..).map(|(partition, id)| {
            Record::from(partition.to_record(topic, PartitionId(id), self.version()))
        }));
    }
}
