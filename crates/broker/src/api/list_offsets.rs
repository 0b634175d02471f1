//! ListOffsets: where a log begins and ends, and which offset belongs to a time.

use std::collections::BTreeMap;

use strandline_replica::{Isolation, ReadRefusal, Reader};
use strandline_types::{ErrorCode, LeaderEpoch, Timestamp, Uuid};
use strandline_wire::messages::list_offsets_request::ListOffsetsPartition;
use strandline_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use strandline_wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::cx::Cx;
use crate::partitions::{LookupRefusal, find};
use crate::session::Hangup;

/// What the timestamp of a request stands for when it is negative, and since which version.
mod spec {
    pub(super) const LATEST: i64 = -1;
    pub(super) const EARLIEST: i64 = -2;
    /// KIP-734, version 7.
    pub(super) const MAX_TIMESTAMP: i64 = -3;
    /// KIP-405, version 8. Without tiered data the local log is the whole log.
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    /// KIP-1005, version 9. Nothing is tiered, so there is no such offset.
    pub(super) const LATEST_TIERED: i64 = -5;
    /// KIP-1023, version 11. Nothing waits for an upload, so there is no such offset.
    pub(super) const EARLIEST_PENDING_UPLOAD: i64 = -6;
}

pub(crate) async fn handle(
    cx: &Cx,
    request: ListOffsetsRequest,
) -> Result<ListOffsetsResponse, Hangup> {
    let reader = match (request.replica_id, request.isolation_level) {
        (0.., _) => Reader::Follower,
        (_, 0) => Reader::Consumer(Isolation::ReadUncommitted),
        _ => Reader::Consumer(Isolation::ReadCommitted),
    };
    let mut times_asked = BTreeMap::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            *times_asked.entry((topic.name.as_str(), asked.partition_index)).or_insert(0) += 1;
        }
    }
    let mut response = ListOffsetsResponse::default();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            // One answer for each, and that is a refusal where it is not clear what was asked.
            let found = match times_asked.remove(&(topic.name.as_str(), asked.partition_index)) {
                None => continue,
                Some(1) => look_up(cx, &topic.name, asked, reader).await,
                Some(_) => Err(Refusal::AskedTwice),
            };
            partitions.push(answer(cx.version, asked.partition_index, found));
        }
        if !partitions.is_empty() {
            let name = topic.name.clone();
            let topic = ListOffsetsTopicResponse { name, partitions, ..Default::default() };
            response.topics.push(topic);
        }
    }
    Ok(response)
}

/// Offset, timestamp and epoch; −1 where there is none.
struct Found {
    offset: i64,
    timestamp: i64,
    leader_epoch: LeaderEpoch,
}

impl Found {
    const NOTHING: Self = Self { offset: -1, timestamp: -1, leader_epoch: LeaderEpoch::NONE };
}

enum Refusal {
    AskedTwice,
    UnknownSpec,
    Lookup(LookupRefusal),
    Read(ReadRefusal),
}

impl Refusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::AskedTwice => ErrorCode::INVALID_REQUEST,
            Self::UnknownSpec => ErrorCode::UNSUPPORTED_VERSION,
            Self::Lookup(refusal) => refusal.code(),
            Self::Read(refusal) => refusal.code(),
        }
    }
}

impl From<LookupRefusal> for Refusal {
    fn from(refusal: LookupRefusal) -> Self {
        Self::Lookup(refusal)
    }
}

impl From<ReadRefusal> for Refusal {
    fn from(refusal: ReadRefusal) -> Self {
        Self::Read(refusal)
    }
}

async fn look_up(
    cx: &Cx,
    topic: &str,
    asked: &ListOffsetsPartition,
    reader: Reader,
) -> Result<Found, Refusal> {
    let first_version = match asked.timestamp {
        spec::MAX_TIMESTAMP => 7,
        spec::EARLIEST_LOCAL => 8,
        spec::LATEST_TIERED => 9,
        spec::EARLIEST_PENDING_UPLOAD => 11,
        spec::LATEST | spec::EARLIEST | 0.. => 1,
        _ => i16::MAX,
    };
    if cx.version < first_version {
        return Err(Refusal::UnknownSpec);
    }
    let partition = find(cx, topic, Uuid::ZERO, asked.partition_index)?.partition;
    let epoch = LeaderEpoch(asked.current_leader_epoch);
    let view = partition.view();
    view.check_leader(epoch)?;
    let at = |offset: strandline_types::Offset, leader_epoch: LeaderEpoch| Found {
        offset: offset.get(),
        timestamp: -1,
        leader_epoch,
    };
    let found = match asked.timestamp {
        spec::LATEST => return Ok(at(view.latest(reader, epoch)?, view.leader_epoch)),
        spec::EARLIEST | spec::EARLIEST_LOCAL => {
            let first = partition.with_log(|log| log.epoch_of(view.log_start));
            return Ok(at(view.log_start, first.unwrap_or(LeaderEpoch::NONE)));
        }
        spec::LATEST_TIERED | spec::EARLIEST_PENDING_UPLOAD => None,
        spec::MAX_TIMESTAMP => partition.largest_timestamp(reader, epoch).await?,
        time => partition.offset_for_timestamp(Timestamp(time), reader, epoch).await?,
    };
    Ok(found.map_or(Found::NOTHING, |found| Found {
        offset: found.offset.get(),
        timestamp: found.timestamp.as_millis(),
        leader_epoch: found.leader_epoch,
    }))
}

fn answer(
    version: i16,
    partition_index: i32,
    found: Result<Found, Refusal>,
) -> ListOffsetsPartitionResponse {
    let (error_code, found) = match found {
        Ok(found) => (ErrorCode::NONE, found),
        Err(refusal) => (refusal.code(), Found::NOTHING),
    };
    ListOffsetsPartitionResponse {
        partition_index,
        error_code,
        timestamp: found.timestamp,
        offset: found.offset,
        // Older clients have no use for it.
        leader_epoch: if version >= 4 { found.leader_epoch.get() } else { -1 },
        ..Default::default()
    }
}
