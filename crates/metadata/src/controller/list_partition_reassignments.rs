//! ListPartitionReassignments (KIP-455): which partitions are moving.

use alloc::string::ToString;
use alloc::vec::Vec;

use strandline_types::PartitionId;
use strandline_wire::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    list_partition_reassignments_response::{
        OngoingPartitionReassignment, OngoingTopicReassignment,
    },
};

use super::context::Context;
use crate::image::{Partition, Topic, raw_ids};

/// What is not there or does not move is left out.
pub(super) fn decide(
    cx: &Context<'_>,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let topics = &cx.image.topics;
    let moving: Vec<OngoingTopicReassignment> = match request.topics {
        None => topics
            .iter_by_name()
            .filter_map(|topic| {
                ongoing(topic, topic.partitions.iter().map(|(id, partition)| (*id, &**partition)))
            })
            .collect(),
        Some(asked) => asked
            .iter()
            .filter_map(|asked| {
                let topic = topics.by_name(&asked.name)?;
                let ids = asked.partition_indexes.iter().map(|index| PartitionId(*index));
                ongoing(topic, ids.filter_map(|id| Some((id, &**topic.partition(id)?))))
            })
            .collect(),
    };
    ListPartitionReassignmentsResponse { error_message: None, topics: moving, ..Default::default() }
}

fn ongoing<'a>(
    topic: &Topic,
    partitions: impl Iterator<Item = (PartitionId, &'a Partition)>,
) -> Option<OngoingTopicReassignment> {
    let moving = partitions.filter(|(_, partition)| partition.is_reassigning());
    let partitions: Vec<OngoingPartitionReassignment> = moving
        .map(|(id, partition)| OngoingPartitionReassignment {
            partition_index: id.get(),
            replicas: raw_ids(&partition.replicas),
            adding_replicas: raw_ids(&partition.adding_replicas),
            removing_replicas: raw_ids(&partition.removing_replicas),
            ..Default::default()
        })
        .collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment {
        name: topic.name.to_string(),
        partitions,
        ..Default::default()
    })
}
