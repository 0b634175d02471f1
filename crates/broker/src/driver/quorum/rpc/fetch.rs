//! Fetch of the metadata log (KIP-595, KIP-630, KIP-1166).

use std::time::Duration;

use bytes::Bytes;
use strandline_client::Connection;
use strandline_config::HostPort;
use strandline_quorum::{
    EpochStart, Fetch, FetchReply, FetchResponse, FetchedBatch, ReplicaKey, Reply, ReplyBody,
    ResponseBody, SnapshotId,
};
use strandline_types::{LeaderEpoch, NodeId, Offset, Uuid};
use strandline_wire::messages::fetch_response::{
    self as answers, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData, SnapshotId as WireSnapshotId,
};
use strandline_wire::messages::{
    ApiKey, FetchRequest, FetchResponse as WireResponse, Records, fetch_request as asks,
};
use strandline_wire::records::{BatchTail, batches};

use super::{
    Answered, Content, Header, METADATA_PARTITION, METADATA_TOPIC, RpcError, code, leader_id,
    nonsense, only, reachable,
};
use crate::driver::quorum::Leader;
use crate::driver::quorum::open::read_committed;
use crate::driver::quorum::snapshot::tell_tail;

pub(crate) struct FetchRpc;

/// The id of the metadata topic.
const METADATA_TOPIC_ID: Uuid = Uuid::ONE;
/// Topics go by id from here on.
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 13;
const FIRST_VERSION_WITH_REPLICA_STATE: i16 = 15;
/// Whoever hangs up is forgotten when its time is up: nobody may wait for as long as a number can say.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A request outside of any fetch session.
const FINAL_SESSION_EPOCH: i32 = -1;

impl FetchRpc {
    pub(super) async fn call(
        connection: &Connection,
        cluster_id: &str,
        fetch: &Fetch,
    ) -> Result<Answered, RpcError> {
        let build = |version| Self::request(cluster_id, fetch, version);
        Self::response(connection.call_with(build).await?)
    }

    fn request(cluster_id: &str, fetch: &Fetch, version: i16) -> FetchRequest {
        let replica_id = fetch.replica.id.get();
        let max_bytes = i32::try_from(fetch.max_bytes).unwrap_or(i32::MAX);
        let partition = asks::FetchPartition {
            partition: METADATA_PARTITION,
            current_leader_epoch: fetch.epoch.get(),
            fetch_offset: fetch.offset.get(),
            last_fetched_epoch: fetch.last_epoch.get(),
            partition_max_bytes: max_bytes,
            replica_directory_id: fetch.replica.directory_id,
            high_watermark: fetch.high_watermark.map_or(i64::MAX, Offset::get),
            ..Default::default()
        };
        let mut topic = asks::FetchTopic { partitions: vec![partition], ..Default::default() };
        if version < FIRST_VERSION_WITH_TOPIC_IDS {
            topic.topic = METADATA_TOPIC.into();
        } else {
            topic.topic_id = METADATA_TOPIC_ID;
        }
        let mut request = FetchRequest {
            cluster_id: Some(cluster_id.into()),
            max_wait_ms: i32::try_from(fetch.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes,
            session_epoch: FINAL_SESSION_EPOCH,
            topics: vec![topic],
            ..Default::default()
        };
        if version < FIRST_VERSION_WITH_REPLICA_STATE {
            request.replica_id = replica_id;
        } else {
            request.replica_state =
                asks::ReplicaState { replica_id, replica_epoch: -1, ..Default::default() };
        }
        request
    }

    fn response(response: WireResponse) -> Result<Answered, RpcError> {
        let api = ApiKey::Fetch;
        if !response.error_code.is_none() {
            return Err(RpcError::Refused { api, code: response.error_code });
        }
        let endpoint = |it: NodeEndpoint| {
            let port = u16::try_from(it.port).ok()?;
            Some((NodeId(it.node_id), HostPort { host: it.host, port }))
        };
        let endpoints = response.node_endpoints.into_iter().filter_map(endpoint).collect();
        let partition = only(api, only(api, response.responses)?.partitions)?;
        let header = Header {
            api,
            error: partition.error_code,
            leader_id: partition.current_leader.leader_id,
            leader_epoch: partition.current_leader.leader_epoch,
        };
        let (diverging, snapshot) = (&partition.diverging_epoch, &partition.snapshot_id);
        let mut content = Content::None;
        let body = if !partition.error_code.is_none() {
            ResponseBody::Empty
        } else if diverging.epoch >= 0 {
            ResponseBody::Fetch(FetchResponse::Diverging {
                end: EpochStart {
                    epoch: LeaderEpoch(diverging.epoch),
                    start_offset: Offset(diverging.end_offset),
                },
            })
        } else if snapshot.epoch >= 0 {
            ResponseBody::Fetch(FetchResponse::Snapshot {
                id: SnapshotId {
                    end_offset: Offset(snapshot.end_offset),
                    epoch: LeaderEpoch(snapshot.epoch),
                },
            })
        } else {
            let read = read_batches(partition.records)?;
            let facts = read.iter().map(|(bytes, batch)| FetchedBatch {
                base_offset: batch.base_offset,
                next_offset: batch.next_offset,
                epoch: batch.epoch,
                size_bytes: bytes.len() as u64,
                control: batch.control.clone(),
            });
            let high_watermark = Offset(partition.high_watermark);
            let body = FetchResponse::Batches { batches: facts.collect(), high_watermark };
            content = Content::Batches(read);
            ResponseBody::Fetch(body)
        };
        Ok(Answered { response: header.response(body)?, endpoints, content })
    }

    /// The fetch in the request; `None` when it is about something else. An ordinary consumer, or a
    /// follower that knows no directory ids, is served like an observer.
    pub(crate) fn asked(request: &FetchRequest) -> Option<Fetch> {
        let [topic] = request.topics.as_slice() else { return None };
        let [partition] = topic.partitions.as_slice() else { return None };
        let is_metadata = topic.topic == METADATA_TOPIC || topic.topic_id == METADATA_TOPIC_ID;
        if !is_metadata || partition.partition != METADATA_PARTITION {
            return None;
        }
        let id = request.replica_id.max(request.replica_state.replica_id);
        let max_bytes = request.max_bytes.min(partition.partition_max_bytes).max(0);
        Some(Fetch {
            replica: ReplicaKey::new(NodeId(id), partition.replica_directory_id),
            epoch: LeaderEpoch(partition.current_leader_epoch),
            offset: Offset(partition.fetch_offset),
            last_epoch: LeaderEpoch(partition.last_fetched_epoch),
            high_watermark: (partition.high_watermark != i64::MAX)
                .then_some(Offset(partition.high_watermark)),
            max_bytes: max_bytes as u32,
            max_wait: Duration::from_millis(request.max_wait_ms.max(0) as u64).min(WAIT_MAX),
        })
    }

    /// The answer, with `records` where the reply says that there are some.
    pub(crate) fn answer(
        version: i16,
        reply: &Reply,
        records: Records,
        known: &Leader,
    ) -> WireResponse {
        let mut partition = PartitionData {
            partition_index: METADATA_PARTITION,
            error_code: code(reply),
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            current_leader: LeaderIdAndEpoch {
                leader_id: leader_id(reply),
                leader_epoch: reply.epoch.get(),
                ..Default::default()
            },
            records,
            ..Default::default()
        };
        if let ReplyBody::Fetch(body) = &reply.body {
            let (FetchReply::Read { high_watermark, log_start, .. }
            | FetchReply::Diverging { high_watermark, log_start, .. }
            | FetchReply::Snapshot { high_watermark, log_start, .. }) = body;
            partition.high_watermark = high_watermark.get();
            partition.last_stable_offset = high_watermark.get();
            partition.log_start_offset = log_start.get();
            match body {
                FetchReply::Read { .. } => {}
                FetchReply::Diverging { end, .. } => {
                    partition.diverging_epoch = EpochEndOffset {
                        epoch: end.epoch.get(),
                        end_offset: end.start_offset.get(),
                        ..Default::default()
                    };
                }
                FetchReply::Snapshot { id, .. } => {
                    partition.snapshot_id = WireSnapshotId {
                        end_offset: id.end_offset.get(),
                        epoch: id.epoch.get(),
                        ..Default::default()
                    };
                }
            }
        }
        let mut topic =
            FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
        if version < FIRST_VERSION_WITH_TOPIC_IDS {
            topic.topic = METADATA_TOPIC.into();
        } else {
            topic.topic_id = METADATA_TOPIC_ID;
        }
        WireResponse {
            responses: vec![topic],
            node_endpoints: leader_endpoint!(answers, reply, known),
            ..Default::default()
        }
    }
}

/// The whole batches of an answer. The last may have been cut off by the size of the answer.
fn read_batches(records: Records) -> Result<Vec<(Bytes, super::CommittedBatch)>, RpcError> {
    let bytes = match records {
        Records::Null => return Ok(Vec::new()),
        Records::Bytes(bytes) => bytes,
        Records::Chunks(_) => return Err(nonsense(ApiKey::Fetch, "records in pieces")),
    };
    let mut read = Vec::new();
    for batch in batches(&bytes) {
        match batch {
            Ok(batch) => {
                let committed = read_committed(batch.clone());
                let committed = committed.map_err(|reason| nonsense(ApiKey::Fetch, reason))?;
                read.push((batch, committed));
            }
            Err(BatchTail::Incomplete { .. }) => break,
            Err(tail) => return Err(nonsense(ApiKey::Fetch, tell_tail(tail))),
        }
    }
    Ok(read)
}
