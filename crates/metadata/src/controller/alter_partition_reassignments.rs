//! AlterPartitionReassignments (KIP-455): partitions move to other brokers, or stop moving.
//!
//! While a partition moves its replicas are those that are wanted, then those that leave. Nobody
//! leaves before everyone who joins is in sync: that is decided with every change of the partition,
//! in [`partition_change`](super::partition_change).

use alloc::format;
use alloc::vec::Vec;

use strandline_types::{ErrorCode, NodeId, PartitionId};
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    alter_partition_reassignments_response::{
        ReassignablePartitionResponse, ReassignableTopicResponse,
    },
};

use super::assignment::check_room;
use super::context::{Context, Denied, Shift, split};
use super::partition_change::{Election, Target};
use crate::image::{Partition, Topic};
use crate::{Record, Records};

pub(super) fn decide(
    cx: &Context<'_>,
    request: AlterPartitionReassignmentsRequest,
    records: &mut Records,
) -> AlterPartitionReassignmentsResponse {
    let may_resize = request.allow_replication_factor_change;
    let responses = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let id = PartitionId(asked.partition_index);
            let wanted = asked.replicas.as_deref();
            let outcome = alter(cx, &topic.name, id, wanted, may_resize, records);
            let (error_code, error_message) = split(outcome);
            ReassignablePartitionResponse {
                partition_index: asked.partition_index,
                error_code,
                error_message,
                ..Default::default()
            }
        });
        let partitions = partitions.collect();
        ReassignableTopicResponse { name: topic.name, partitions, ..Default::default() }
    });
    let responses = responses.collect();
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: may_resize,
        error_message: None,
        responses,
        ..Default::default()
    }
}

fn alter(
    cx: &Context<'_>,
    name: &str,
    id: PartitionId,
    wanted: Option<&[i32]>,
    may_resize: bool,
    records: &mut Records,
) -> Result<(), Denied> {
    check_room(records)?;
    let (topic, partition) = cx.named_partition(name, id)?;
    let target = match wanted {
        None => cancelled(cx, topic, partition)?,
        Some(wanted) => {
            let wanted = cx.chosen_by_hand(wanted)?;
            check_size(partition, &wanted, may_resize)?;
            towards(partition, wanted)
        }
    };
    if let Some(change) = cx.change(topic, partition, target, Shift::default()) {
        records.push(Record::from(change.into_record(topic.id, id)));
    }
    Ok(())
}

fn check_size(partition: &Partition, wanted: &[NodeId], may_resize: bool) -> Result<(), Denied> {
    let stays = |id: &&NodeId| !partition.removing_replicas.contains(id);
    let present = partition.replicas.iter().filter(stays).count();
    if may_resize || present == wanted.len() {
        return Ok(());
    }
    let text = format!(
        "the partition has {present} replicas and would have {}, which this request does not allow",
        wanted.len()
    );
    Err(Denied::new(ErrorCode::INVALID_REPLICATION_FACTOR, text))
}

/// The way to `wanted`, also from the middle of another reassignment: whoever joined by that one is
/// joining still. Kafka forgets that, and forgets to forget who was leaving, so that a replica which
/// is wanted again may go nevertheless, or one that goes be waited for without end.
pub(super) fn towards(partition: &Partition, wanted: Vec<NodeId>) -> Target {
    let is_settled =
        |id: &NodeId| partition.replicas.contains(id) && !partition.adding_replicas.contains(id);
    let mut adding: Vec<NodeId> = wanted.iter().copied().filter(|id| !is_settled(id)).collect();
    adding.sort_unstable();
    let leaves = |id: &NodeId| !wanted.contains(id);
    let mut removing: Vec<NodeId> = partition.replicas.iter().copied().filter(leaves).collect();
    removing.sort_unstable();
    let mut replicas = wanted;
    replicas.extend(&removing);
    Target { replicas, adding, removing, ..Target::of(partition) }
}

/// The way back: whoever was joining goes at once. When nobody else is in sync, that loses records.
fn cancelled(cx: &Context<'_>, topic: &Topic, partition: &Partition) -> Result<Target, Denied> {
    if !partition.is_reassigning() {
        return Err(Denied::bare(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS));
    }
    let deny = |text| Err(Denied::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
    let without_joining = |ids: &[NodeId]| -> Vec<NodeId> {
        let ids = ids.iter().copied();
        ids.filter(|id| !partition.adding_replicas.contains(id)).collect()
    };
    let replicas = without_joining(&partition.replicas);
    let Some(first) = replicas.first().copied() else {
        return deny("nobody would be left: all replicas are joining");
    };
    let mut target = Target::of(partition);
    target.isr = without_joining(&partition.isr);
    let may_lose = cx.unclean_election_enabled(&topic.name);
    if target.isr.is_empty() {
        if !may_lose {
            return deny(
                "only replicas that are joining are in sync, and unclean elections are not allowed",
            );
        }
        target.isr.push(first);
    }
    if may_lose {
        target.election = Election::Unclean;
    }
    (target.replicas, target.adding, target.removing) = (replicas, Vec::new(), Vec::new());
    Ok(target)
}
