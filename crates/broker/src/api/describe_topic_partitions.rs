//! DescribeTopicPartitions (KIP-966): topics a page at a time.

use strandline_metadata::describe::{Listening, describe_topic_partitions};
use strandline_types::PartitionId;
use strandline_wire::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeTopicPartitionsRequest,
) -> Result<DescribeTopicPartitionsResponse, Hangup> {
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
