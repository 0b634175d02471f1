//! BeginQuorumEpoch (KIP-595, KIP-853): a leader makes itself known.

use strandline_client::Connection;
use strandline_config::HostPort;
use strandline_quorum::{BeginQuorumEpoch, Endpoint, ReplicaKey, Reply, ResponseBody};
use strandline_types::{LeaderEpoch, NodeId};
use strandline_wire::messages::{
    ApiKey, BeginQuorumEpochRequest, BeginQuorumEpochResponse, begin_quorum_epoch_request as asks,
    begin_quorum_epoch_response as answers,
};

use super::{
    Answered, Content, Header, METADATA_PARTITION, METADATA_TOPIC, RpcError, code, leader_id, only,
    reachable,
};
use crate::driver::quorum::Leader;

pub(crate) struct BeginQuorumEpochRpc;

impl BeginQuorumEpochRpc {
    pub(super) async fn call(
        connection: &Connection,
        cluster_id: &str,
        begin: &BeginQuorumEpoch,
    ) -> Result<Answered, RpcError> {
        Self::response(connection.call(Self::request(cluster_id, begin)).await?)
    }

    fn request(cluster_id: &str, begin: &BeginQuorumEpoch) -> BeginQuorumEpochRequest {
        let endpoint = |endpoint: &Endpoint| asks::LeaderEndpoint {
            name: endpoint.listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            ..Default::default()
        };
        BeginQuorumEpochRequest {
            cluster_id: Some(cluster_id.into()),
            voter_id: begin.voter.id.get(),
            topics: vec![asks::TopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![asks::PartitionData {
                    partition_index: METADATA_PARTITION,
                    voter_directory_id: begin.voter.directory_id,
                    leader_id: begin.leader.get(),
                    leader_epoch: begin.epoch.get(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            leader_endpoints: begin.leader_endpoints.iter().map(endpoint).collect(),
            ..Default::default()
        }
    }

    fn response(response: BeginQuorumEpochResponse) -> Result<Answered, RpcError> {
        let (header, _) = one_partition!(ApiKey::BeginQuorumEpoch, response);
        Ok(Answered {
            response: header.response(ResponseBody::Empty)?,
            endpoints: told_addresses!(response.node_endpoints),
            content: Content::None,
        })
    }

    pub(crate) fn asked(request: &BeginQuorumEpochRequest, me: NodeId) -> Option<BeginQuorumEpoch> {
        let [topic] = request.topics.as_slice() else { return None };
        let [partition] = topic.partitions.as_slice() else { return None };
        if topic.topic_name != METADATA_TOPIC || partition.partition_index != METADATA_PARTITION {
            return None;
        }
        let voter = if request.voter_id < 0 { me } else { NodeId(request.voter_id) };
        let endpoint = |it: &asks::LeaderEndpoint| Endpoint {
            listener: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
        };
        Some(BeginQuorumEpoch {
            epoch: LeaderEpoch(partition.leader_epoch),
            leader: NodeId(partition.leader_id),
            leader_endpoints: request.leader_endpoints.iter().map(endpoint).collect(),
            voter: ReplicaKey::new(voter, partition.voter_directory_id),
        })
    }

    pub(crate) fn answer(reply: &Reply, known: &Leader) -> BeginQuorumEpochResponse {
        BeginQuorumEpochResponse {
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
