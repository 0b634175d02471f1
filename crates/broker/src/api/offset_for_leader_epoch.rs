//! OffsetForLeaderEpoch (KIP-101, KIP-320): where the records of an epoch end.

use strandline_replica::ReadRefusal;
use strandline_types::{ErrorCode, LeaderEpoch, Uuid};
use strandline_wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use strandline_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use strandline_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::cx::Cx;
use crate::partitions::find;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: OffsetForLeaderEpochRequest,
) -> Result<OffsetForLeaderEpochResponse, Hangup> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| look_up(cx, &topic.topic, asked));
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult { topic: topic.topic, partitions, ..Default::default() }
    });
    Ok(OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() })
}

fn look_up(cx: &Cx, topic: &str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let end = find(cx, topic, Uuid::ZERO, asked.partition).map_err(|refusal| refusal.code());
    let end = end.and_then(|held| {
        let known = LeaderEpoch(asked.current_leader_epoch);
        let end = held.partition.end_of_epoch(LeaderEpoch(asked.leader_epoch), known);
        end.map_err(|refusal: ReadRefusal| refusal.code())
    });
    let mut answer = EpochEndOffset { partition: asked.partition, ..Default::default() };
    match end {
        Ok(end) => {
            answer.leader_epoch = end.epoch.get();
            answer.end_offset = end.end.get();
        }
        Err(error_code) => answer.error_code = error_code,
    }
    debug_assert!(answer.error_code == ErrorCode::NONE || answer.end_offset == -1);
    answer
}
