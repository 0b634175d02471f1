//! DeleteRecords (KIP-107): moves the beginning of logs forward.

use std::collections::BTreeMap;

use strandline_ports::TimedOut;
use strandline_types::{ErrorCode, Offset, Uuid};
use strandline_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use strandline_wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::cx::Cx;
use crate::deadline::Deadline;
use crate::internal_topics;
use crate::partitions::find;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DeleteRecordsRequest,
) -> Result<DeleteRecordsResponse, Hangup> {
    // Of a partition that is named twice, what is said last holds.
    let mut offsets: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for topic in request.topics {
        let partitions = topic.partitions.iter().map(|it| (it.partition_index, it.offset));
        offsets.entry(topic.name).or_default().extend(partitions);
    }
    // All are asked before the first is waited for.
    let mut asked = Vec::new();
    for (topic, offsets) in offsets {
        let begun = offsets.into_iter().map(|(index, offset)| (index, begin(cx, &topic, index, offset)));
        let partitions: Vec<_> = begun.collect();
        asked.push((topic, partitions));
    }
    let mut deadline = Deadline::after(cx, request.timeout_ms);
    let mut response = DeleteRecordsResponse::default();
    for (name, begun) in asked {
        let mut partitions = Vec::with_capacity(begun.len());
        for (partition_index, deleting) in begun {
            let done = match deleting {
                Ok(deleting) => match deadline.wait(deleting.answered()).await {
                    Ok(done) => done.map_err(|refusal| refusal.code()),
                    Err(TimedOut) => Err(ErrorCode::REQUEST_TIMED_OUT),
                },
                Err(error_code) => Err(error_code),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: done.map_or(-1, Offset::get),
                error_code: done.err().unwrap_or(ErrorCode::NONE),
                ..Default::default()
            });
        }
        response.topics.push(DeleteRecordsTopicResult { name, partitions, ..Default::default() });
    }
    Ok(response)
}

fn begin(
    cx: &Cx,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<crate::driver::partition::Deleting, ErrorCode> {
    if internal_topics::is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let held = find(cx, topic, Uuid::ZERO, partition).map_err(|refusal| refusal.code())?;
    Ok(held.partition.delete_records(Offset(offset)))
}
