//! DescribeTopicPartitions (KIP-966): topics a page at a time.

use strandline_metadata::describe::{Listening, describe_topic_partitions};
use strandline_types::{ErrorCode, PartitionId};
use strandline_wire::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use strandline_wire::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeTopicPartitionsRequest,
) -> Result<DescribeTopicPartitionsResponse, Hangup> {
    if request.cursor.as_ref().is_some_and(|cursor| cursor.partition_index < 0) {
        return Ok(refused(request));
    }
    let names: Vec<String> = request.topics.into_iter().map(|topic| topic.name).collect();
    let cursor = request.cursor.as_ref();
    let cursor = cursor.map(|it| (it.topic_name.as_str(), PartitionId(it.partition_index)));
    let most = cx.handles.config.network.max_partitions_per_answer;
    let page = describe_topic_partitions(
        &cx.image(),
        Listening { listener: &cx.session.listener },
        &names,
        cursor,
        request.response_partition_limit.min(most).max(1) as usize,
        |_| true,
    );
    Ok(DescribeTopicPartitionsResponse {
        topics: page.topics,
        next_cursor: page.next_cursor,
        ..Default::default()
    })
}

/// A cursor that no answer of ours can have held. There is no place for one error of the whole
/// request, so every topic carries it.
fn refused(request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.into_iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST,
        name: Some(topic.name),
        ..Default::default()
    });
    DescribeTopicPartitionsResponse { topics: topics.collect(), ..Default::default() }
}
