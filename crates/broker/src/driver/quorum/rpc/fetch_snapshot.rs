//! FetchSnapshot (KIP-630).

use bytes::Bytes;
use strandline_client::Connection;
use strandline_config::HostPort;
use strandline_quorum::{
    FetchSnapshot, FetchSnapshotResponse, ReplicaKey, Reply, ReplyBody, ResponseBody, SnapshotId,
};
use strandline_types::{LeaderEpoch, NodeId, Offset};
use strandline_wire::messages::{
    ApiKey, FetchSnapshotRequest, FetchSnapshotResponse as WireResponse, Records,
    fetch_snapshot_request as asks, fetch_snapshot_response as answers,
};

use super::{
    Answered, Content, Header, METADATA_PARTITION, METADATA_TOPIC, RpcError, code, leader_id,
    nonsense, only, reachable,
};
use crate::driver::quorum::Leader;

pub(crate) struct FetchSnapshotRpc;

impl FetchSnapshotRpc {
    pub(super) async fn call(
        connection: &Connection,
        cluster_id: &str,
        fetch: &FetchSnapshot,
    ) -> Result<Answered, RpcError> {
        Self::response(connection.call(Self::request(cluster_id, fetch)).await?)
    }

    fn request(cluster_id: &str, fetch: &FetchSnapshot) -> FetchSnapshotRequest {
        FetchSnapshotRequest {
            cluster_id: Some(cluster_id.into()),
            replica_id: fetch.replica.id.get(),
            max_bytes: i32::try_from(fetch.max_bytes).unwrap_or(i32::MAX),
            topics: vec![asks::TopicSnapshot {
                name: METADATA_TOPIC.into(),
                partitions: vec![asks::PartitionSnapshot {
                    partition: METADATA_PARTITION,
                    current_leader_epoch: fetch.epoch.get(),
                    snapshot_id: asks::SnapshotId {
                        end_offset: fetch.id.end_offset.get(),
                        epoch: fetch.id.epoch.get(),
                        ..Default::default()
                    },
                    position: i64::try_from(fetch.position).unwrap_or(i64::MAX),
                    replica_directory_id: fetch.replica.directory_id,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn response(response: WireResponse) -> Result<Answered, RpcError> {
        let api = ApiKey::FetchSnapshot;
        if !response.error_code.is_none() {
            return Err(RpcError::Refused { api, code: response.error_code });
        }
        let partition = only(api, only(api, response.topics)?.partitions)?;
        let header = Header {
            api,
            error: partition.error_code,
            leader_id: partition.current_leader.leader_id,
            leader_epoch: partition.current_leader.leader_epoch,
        };
        let chunk = match partition.unaligned_records {
            Records::Null => Bytes::new(),
            Records::Bytes(bytes) => bytes,
            Records::Chunks(_) => return Err(nonsense(api, "records in pieces")),
        };
        let unsigned = |value: i64| {
            u64::try_from(value).map_err(|_| nonsense(api, format!("{value} is no position")))
        };
        let body = FetchSnapshotResponse {
            id: SnapshotId {
                end_offset: Offset(partition.snapshot_id.end_offset),
                epoch: LeaderEpoch(partition.snapshot_id.epoch),
            },
            size_bytes: unsigned(partition.size)?,
            position: unsigned(partition.position)?,
            len: chunk.len() as u64,
        };
        Ok(Answered {
            response: header.response(ResponseBody::FetchSnapshot(body))?,
            endpoints: told_addresses!(response.node_endpoints),
            content: Content::Chunk(chunk),
        })
    }

    pub(crate) fn asked(request: &FetchSnapshotRequest) -> Option<FetchSnapshot> {
        let [topic] = request.topics.as_slice() else { return None };
        let [partition] = topic.partitions.as_slice() else { return None };
        if topic.name != METADATA_TOPIC || partition.partition != METADATA_PARTITION {
            return None;
        }
        Some(FetchSnapshot {
            replica: ReplicaKey::new(NodeId(request.replica_id), partition.replica_directory_id),
            epoch: LeaderEpoch(partition.current_leader_epoch),
            id: SnapshotId {
                end_offset: Offset(partition.snapshot_id.end_offset),
                epoch: LeaderEpoch(partition.snapshot_id.epoch),
            },
            // A negative position is past every end, and answered like one.
            position: u64::try_from(partition.position).unwrap_or(u64::MAX),
            max_bytes: request.max_bytes.max(0) as u32,
        })
    }

    /// The answer, with `chunk` where the reply says that there is one.
    pub(crate) fn answer(reply: &Reply, chunk: Records, known: &Leader) -> WireResponse {
        let mut partition = answers::PartitionSnapshot {
            index: METADATA_PARTITION,
            error_code: code(reply),
            current_leader: answers::LeaderIdAndEpoch {
                leader_id: leader_id(reply),
                leader_epoch: reply.epoch.get(),
                ..Default::default()
            },
            unaligned_records: chunk,
            ..Default::default()
        };
        if let ReplyBody::FetchSnapshot(body) = &reply.body {
            partition.snapshot_id = answers::SnapshotId {
                end_offset: body.id.end_offset.get(),
                epoch: body.id.epoch.get(),
                ..Default::default()
            };
            partition.size = i64::try_from(body.size_bytes).unwrap_or(i64::MAX);
            partition.position = i64::try_from(body.position).unwrap_or(i64::MAX);
        }
        WireResponse {
            topics: vec![answers::TopicSnapshot {
                name: METADATA_TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            node_endpoints: leader_endpoint!(answers, reply, known),
            ..Default::default()
        }
    }
}
