//! AlterPartition: a leader proposes another ISR (KIP-497, broker epochs of KIP-841).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use strandline_types::{BrokerEpoch, ErrorCode, NodeId, PartitionId};
use strandline_wire::messages::{
    AlterPartitionRequest, AlterPartitionResponse,
    alter_partition_request::{BrokerState, PartitionData as Proposed},
    alter_partition_response::{PartitionData, TopicData},
};

use super::context::{Context, Denied, Shift};
use super::partition_change::{Election, Target};
use crate::image::{LeaderRecoveryState, Partition, Topic, has_duplicates, raw_ids};
use crate::{Record, Records};

pub(super) fn decide(
    cx: &Context<'_>,
    request: AlterPartitionRequest,
    records: &mut Records,
) -> AlterPartitionResponse {
    if let Err(Denied { code, .. }) = cx.registered(request.broker_id, request.broker_epoch) {
        return AlterPartitionResponse { error_code: code, ..Default::default() };
    }
    let proposer = NodeId(request.broker_id);
    // Two proposals for one partition would each be right, and their records together wrong.
    let mut named = BTreeSet::new();
    let topics = request.topics.into_iter().map(|asked| {
        let topic = cx.image.topics.get(asked.topic_id);
        let partitions = asked.partitions.into_iter().map(|proposed| {
            let index = proposed.partition_index;
            let result = match topic {
                None => Err(ErrorCode::UNKNOWN_TOPIC_ID),
                Some(_) if !named.insert((asked.topic_id, index)) => {
                    Err(ErrorCode::INVALID_REQUEST)
                }
                Some(topic) => alter(cx, proposer, topic, proposed, records),
            };
            match result {
                Ok(partition) => answer(index, &partition),
                Err(error_code) => {
                    PartitionData { partition_index: index, error_code, ..Default::default() }
                }
            }
        });
        TopicData {
            topic_id: asked.topic_id,
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    AlterPartitionResponse { topics: topics.collect(), ..Default::default() }
}

fn answer(partition_index: i32, partition: &Partition) -> PartitionData {
    PartitionData {
        partition_index,
        leader_id: partition.leader.get(),
        leader_epoch: partition.leader_epoch.get(),
        isr: raw_ids(&partition.isr),
        leader_recovery_state: partition.leader_recovery_state as i8,
        partition_epoch: partition.partition_epoch,
        ..Default::default()
    }
}

fn alter(
    cx: &Context<'_>,
    proposer: NodeId,
    topic: &Topic,
    proposed: Proposed,
    records: &mut Records,
) -> Result<Partition, ErrorCode> {
    let id = PartitionId(proposed.partition_index);
    let Some(partition) = topic.partition(id) else {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    };
    let isr = members(&proposed);
    let state = check(cx, proposer, partition, &proposed, &isr)?;
    let mut target = Target::of(partition);
    if cx.unclean_election_enabled(&topic.name) {
        target.election = Election::Unclean;
    }
    target.isr = isr.iter().map(|(id, _)| *id).collect();
    target.leader_recovery_state = state;
    let Some(change) = cx.change(topic, partition, target, Shift::default()) else {
        return Ok(partition.as_ref().clone());
    };
    let elects_another = change.leader.is_some_and(|leader| leader != proposer);
    let next = partition.with(change.clone());
    records.push(Record::from(change.into_record(topic.id, id)));
    // Completing a reassignment may retire the proposer itself. It must learn of it from the
    // metadata, so this is an error although the change is made.
    if elects_another { Err(ErrorCode::NEW_LEADER_ELECTED) } else { Ok(next) }
}

/// Version 2 of the request names ids only; −1 stands for "any epoch".
fn members(proposed: &Proposed) -> Vec<(NodeId, BrokerEpoch)> {
    let with_epochs = proposed.new_isr_with_epochs.iter().map(
        |BrokerState { broker_id, broker_epoch, .. }| {
            (NodeId(*broker_id), BrokerEpoch(*broker_epoch))
        },
    );
    let without = proposed.new_isr.iter().map(|id| (NodeId(*id), BrokerEpoch::NONE));
    with_epochs.chain(without).collect()
}

fn check(
    cx: &Context<'_>,
    proposer: NodeId,
    partition: &Partition,
    proposed: &Proposed,
    isr: &[(NodeId, BrokerEpoch)],
) -> Result<LeaderRecoveryState, ErrorCode> {
    let leader_epoch = partition.leader_epoch.get();
    // A leader that is ahead of us was elected by a newer controller: this one is not it any more.
    if proposed.leader_epoch > leader_epoch || proposed.partition_epoch > partition.partition_epoch
    {
        return Err(ErrorCode::NOT_CONTROLLER);
    }
    if proposed.leader_epoch < leader_epoch {
        return Err(ErrorCode::FENCED_LEADER_EPOCH);
    }
    if proposer != partition.leader {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    if proposed.partition_epoch < partition.partition_epoch {
        return Err(ErrorCode::INVALID_UPDATE_VERSION);
    }
    let ids: Vec<NodeId> = isr.iter().map(|(id, _)| *id).collect();
    let are_replicas = ids.iter().all(|id| partition.replicas.contains(id));
    // In this order: a list of replicas is known to repeat itself soon, however long it is.
    if ids.is_empty() || !are_replicas || has_duplicates(&ids) || !ids.contains(&proposer) {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    let Some(state) = LeaderRecoveryState::from_wire(proposed.leader_recovery_state) else {
        return Err(ErrorCode::INVALID_REQUEST);
    };
    let is_recovering = state == LeaderRecoveryState::Recovering;
    let was_recovered = partition.leader_recovery_state == LeaderRecoveryState::Recovered;
    if is_recovering && (ids.len() > 1 || was_recovered) {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    let is_eligible = |(id, epoch): &(NodeId, BrokerEpoch)| {
        cx.image.cluster.broker(*id).is_some_and(|broker| {
            let same_incarnation = *epoch == BrokerEpoch::NONE || *epoch == broker.epoch();
            same_incarnation && cx.image.cluster.may_join_isr(partition, *id)
        })
    };
    if isr.iter().all(is_eligible) { Ok(state) } else { Err(ErrorCode::INELIGIBLE_REPLICA) }
}
