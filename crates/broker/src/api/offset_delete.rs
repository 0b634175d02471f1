//! OffsetDelete: checked against the metadata here, decided by the group's coordinator.

use strandline_coordinator::groups::Request;
use strandline_types::{ErrorCode, PartitionId};
use strandline_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use strandline_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: OffsetDeleteRequest,
) -> Result<OffsetDeleteResponse, Hangup> {
    let image = cx.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &mut request.topics {
        let found = image.topics.by_name(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        topic.partitions.retain(|partition| {
            let partition_index = partition.partition_index;
            let exists = found.is_some_and(|it| it.partition(PartitionId(partition_index)).is_some());
            let error_code = match exists {
                true => ErrorCode::NONE,
                false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            partitions.push(OffsetDeleteResponsePartition { partition_index, error_code });
            exists
        });
        topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
    }
    let group_id = request.group_id.clone();
    let answer =
        cx.handles.groups.ask(&group_id, cx.caller(), Request::OffsetDelete(request)).await;
    let answer: OffsetDeleteResponse = match answer {
        Ok(answer) => answer,
        Err(error_code) => OffsetDeleteResponse { error_code, ..Default::default() },
    };
    if !answer.error_code.is_none() {
        return Ok(answer);
    }
    // The coordinator answers in the order of what it was asked.
    let mut codes = answer.topics.iter().flat_map(|it| &it.partitions).map(|it| it.error_code);
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code.is_none() {
            partition.error_code = codes.next().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
        }
    }
    Ok(OffsetDeleteResponse { topics, ..Default::default() })
}
