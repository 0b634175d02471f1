//! AssignReplicasToDirs: a broker with several log directories says where it has put replicas
//! (KIP-858).

use strandline_types::{ErrorCode, NodeId, PartitionId, Uuid};
use strandline_wire::messages::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse,
    assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData},
};

use super::context::{Context, Shift};
use super::partition_change::Target;
use crate::{Record, Records};

pub(super) fn decide(
    cx: &Context<'_>,
    request: AssignReplicasToDirsRequest,
    records: &mut Records,
) -> AssignReplicasToDirsResponse {
    let refused = |error_code| AssignReplicasToDirsResponse { error_code, ..Default::default() };
    if !cx.version().records_directories() {
        return refused(ErrorCode::UNSUPPORTED_VERSION);
    }
    if let Err(denied) = cx.registered(request.broker_id, request.broker_epoch) {
        return refused(denied.code);
    }
    let broker = NodeId(request.broker_id);
    let directories = request.directories.into_iter().map(|directory| {
        let topics = directory.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let id = PartitionId(partition.partition_index);
                let assigned = assign(cx, broker, directory.id, topic.topic_id, id, records);
                PartitionData {
                    partition_index: partition.partition_index,
                    error_code: assigned.err().unwrap_or(ErrorCode::NONE),
                    ..Default::default()
                }
            });
            let partitions = partitions.collect();
            TopicData { topic_id: topic.topic_id, partitions, ..Default::default() }
        });
        let topics = topics.collect();
        DirectoryData { id: directory.id, topics, ..Default::default() }
    });
    let directories = directories.collect();
    AssignReplicasToDirsResponse { directories, ..Default::default() }
}

fn assign(
    cx: &Context<'_>,
    broker: NodeId,
    directory: Uuid,
    topic_id: Uuid,
    id: PartitionId,
    records: &mut Records,
) -> Result<(), ErrorCode> {
    let topic = cx.image.topics.get(topic_id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
    let partition = topic.partition(id).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    if !partition.replicas.contains(&broker) {
        return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    }
    let is_online = cx
        .image
        .cluster
        .broker(broker)
        .is_some_and(|registered| registered.has_online_directory(directory));
    let mut target = Target::of(partition);
    target.directories.push((broker, directory));
    let mut shift = Shift::default();
    if !is_online {
        // It fell into a directory that has failed meanwhile.
        target.isr.retain(|member| *member != broker);
        shift.leaving = Some(broker);
    }
    if let Some(change) = cx.change(topic, partition, target, shift) {
        records.push(Record::from(change.into_record(topic_id, id)));
    }
    Ok(())
}
