//! EndQuorumEpoch (KIP-595, KIP-853): a leader says goodbye.

use strandline_client::Connection;
use strandline_config::HostPort;
use strandline_quorum::{EndQuorumEpoch, ReplicaKey, Reply, ResponseBody};
use strandline_types::{LeaderEpoch, NodeId, Uuid};
use strandline_wire::messages::{
    ApiKey, EndQuorumEpochRequest, EndQuorumEpochResponse, end_quorum_epoch_request as asks,
    end_quorum_epoch_response as answers,
};

use super::{
    Answered, Content, Header, METADATA_PARTITION, METADATA_TOPIC, RpcError, code, leader_id, only,
    reachable,
};
use crate::driver::quorum::Leader;

pub(crate) struct EndQuorumEpochRpc;

/// Directory ids of the candidates came with it.
const FIRST_VERSION_WITH_CANDIDATES: i16 = 1;

impl EndQuorumEpochRpc {
    pub(super) async fn call(
        connection: &Connection,
        cluster_id: &str,
        end: &EndQuorumEpoch,
    ) -> Result<Answered, RpcError> {
        let build = |version| Self::request(cluster_id, end, version);
        Self::response(connection.call_with(build).await?)
    }

    fn request(cluster_id: &str, end: &EndQuorumEpoch, version: i16) -> EndQuorumEpochRequest {
        let mut partition = asks::PartitionData {
            partition_index: METADATA_PARTITION,
            leader_id: end.leader.get(),
            leader_epoch: end.epoch.get(),
            ..Default::default()
        };
        if version < FIRST_VERSION_WITH_CANDIDATES {
            partition.preferred_successors = end.preferred.iter().map(|it| it.id.get()).collect();
        } else {
            let candidate = |key: &ReplicaKey| asks::ReplicaInfo {
                candidate_id: key.id.get(),
                candidate_directory_id: key.directory_id,
                ..Default::default()
            };
            partition.preferred_candidates = end.preferred.iter().map(candidate).collect();
        }
        EndQuorumEpochRequest {
            cluster_id: Some(cluster_id.into()),
            topics: vec![asks::TopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn response(response: EndQuorumEpochResponse) -> Result<Answered, RpcError> {
        let (header, _) = one_partition!(ApiKey::EndQuorumEpoch, response);
        Ok(Answered {
            response: header.response(ResponseBody::Empty)?,
            endpoints: told_addresses!(response.node_endpoints),
            content: Content::None,
        })
    }

    pub(crate) fn asked(request: &EndQuorumEpochRequest) -> Option<EndQuorumEpoch> {
        let [topic] = request.topics.as_slice() else { return None };
        let [partition] = topic.partitions.as_slice() else { return None };
        if topic.topic_name != METADATA_TOPIC || partition.partition_index != METADATA_PARTITION {
            return None;
        }
        let candidates = partition.preferred_candidates.iter();
        let candidates = candidates
            .map(|it| ReplicaKey::new(NodeId(it.candidate_id), it.candidate_directory_id));
        let successors = partition.preferred_successors.iter();
        let successors = successors.map(|&id| ReplicaKey::new(NodeId(id), Uuid::ZERO));
        Some(EndQuorumEpoch {
            epoch: LeaderEpoch(partition.leader_epoch),
            leader: NodeId(partition.leader_id),
            preferred: candidates.chain(successors).collect(),
        })
    }

    pub(crate) fn answer(reply: &Reply, known: &Leader) -> EndQuorumEpochResponse {
        EndQuorumEpochResponse {
            topics: vec![answers::TopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![answers::PartitionData {
                    partition_index: METADATA_PARTITION,
                    error_code: code(reply),
                    leader_id: leader_id(reply),
                    leader_epoch: reply.epoch.get(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            node_endpoints: leader_endpoint!(answers, reply, known),
            ..Default::default()
        }
    }
}
