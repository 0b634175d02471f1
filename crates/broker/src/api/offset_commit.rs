//! OffsetCommit: checked against the metadata here, decided by the group's coordinator.

use strandline_coordinator::groups::Request;
use strandline_metadata::Image;
use strandline_types::{ErrorCode, PartitionId};
use strandline_wire::messages::offset_commit_request::OffsetCommitRequestTopic;
use strandline_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use strandline_wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::cx::Cx;
use crate::session::Hangup;

/// From this version on, topics are named by id (KIP-516).
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 10;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: OffsetCommitRequest,
) -> Result<OffsetCommitResponse, Hangup> {
    let image = cx.image();
    let topics = request.topics.iter_mut();
    let mut response = OffsetCommitResponse {
        topics: topics.map(|topic| check(cx.version, &image, topic)).collect(),
        ..Default::default()
    };
    request.topics.retain(|topic| !topic.partitions.is_empty());
    if request.topics.is_empty() {
        return Ok(response);
    }
    let group_id = request.group_id.clone();
    let answer: Result<OffsetCommitResponse, ErrorCode> =
        cx.handles.groups.ask(&group_id, cx.caller(), Request::OffsetCommit(request)).await;
    let failure = answer.as_ref().err().copied().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
    let answered = answer.map(|answer| answer.topics).unwrap_or_default();
    // The coordinator answers in the order of what it was asked.
    let mut codes =
        answered.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in partitions.filter(|partition| partition.error_code.is_none()) {
        partition.error_code = codes.next().unwrap_or(failure);
    }
    Ok(response)
}

/// Takes partitions that do not exist out of the request, and prepares the answer to all of them.
fn check(
    version: i16,
    image: &Image,
    topic: &mut OffsetCommitRequestTopic,
) -> OffsetCommitResponseTopic {
    let (found, unknown) = match version {
        FIRST_VERSION_WITH_TOPIC_IDS.. => {
            (image.topics.get(topic.topic_id), ErrorCode::UNKNOWN_TOPIC_ID)
        }
        _ => (image.topics.by_name(&topic.name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    };
    let mut answer = OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    if let Some(found) = found {
        topic.name = found.name.to_string();
        topic.topic_id = found.id;
    }
    topic.partitions.retain(|partition| {
        let partition_index = partition.partition_index;
        let exists = found.map(|topic| topic.partition(PartitionId(partition_index)).is_some());
        let error_code = match exists {
            Some(true) => ErrorCode::NONE,
            Some(false) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            None => unknown,
        };
        let partition =
            OffsetCommitResponsePartition { partition_index, error_code, ..Default::default() };
        answer.partitions.push(partition);
        error_code.is_none()
    });
    answer
}
