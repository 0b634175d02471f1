//! Vote (KIP-595, KIP-853, KIP-996).

use strandline_client::Connection;
use strandline_config::HostPort;
use strandline_quorum::{ReplicaKey, Reply, ReplyBody, ResponseBody, Vote};
use strandline_types::{LeaderEpoch, NodeId, Offset};
use strandline_wire::messages::{ApiKey, VoteRequest, VoteResponse, vote_request, vote_response};

use super::{
    Answered, Content, Header, METADATA_PARTITION, METADATA_TOPIC, RpcError, code, leader_id,
    nonsense, only, reachable,
};
use crate::driver::quorum::Leader;

pub(crate) struct VoteRpc;

/// Before it, a pre-vote would be taken for a vote.
const FIRST_VERSION_WITH_PRE_VOTE: i16 = 2;

impl VoteRpc {
    pub(super) async fn call(
        connection: &Connection,
        cluster_id: &str,
        vote: &Vote,
    ) -> Result<Answered, RpcError> {
        let version = connection.versions().highest_common(ApiKey::Vote).unwrap_or(0);
        if vote.pre_vote && version < FIRST_VERSION_WITH_PRE_VOTE {
            return Err(nonsense(ApiKey::Vote, "the peer knows no pre-vote"));
        }
        Self::response(connection.call(Self::request(cluster_id, vote)).await?)
    }

    fn request(cluster_id: &str, vote: &Vote) -> VoteRequest {
        let partition = vote_request::PartitionData {
            partition_index: METADATA_PARTITION,
            replica_epoch: vote.epoch.get(),
            replica_id: vote.candidate.id.get(),
            replica_directory_id: vote.candidate.directory_id,
            voter_directory_id: vote.voter.directory_id,
            last_offset_epoch: vote.last_epoch.get(),
            last_offset: vote.end_offset.get(),
            pre_vote: vote.pre_vote,
            ..Default::default()
        };
        VoteRequest {
            cluster_id: Some(cluster_id.into()),
            voter_id: vote.voter.id.get(),
            topics: vec![vote_request::TopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn response(response: VoteResponse) -> Result<Answered, RpcError> {
        let (header, partition) = one_partition!(ApiKey::Vote, response);
        Ok(Answered {
            response: header.response(ResponseBody::Vote { granted: partition.vote_granted })?,
            endpoints: told_addresses!(response.node_endpoints),
            content: Content::None,
        })
    }

    /// `None` when the request is about something else. `me` stands for a voter that is not named.
    pub(crate) fn asked(request: &VoteRequest, me: NodeId) -> Option<Vote> {
        let [topic] = request.topics.as_slice() else { return None };
        let [partition] = topic.partitions.as_slice() else { return None };
        if topic.topic_name != METADATA_TOPIC || partition.partition_index != METADATA_PARTITION {
            return None;
        }
        let voter = if request.voter_id < 0 { me } else { NodeId(request.voter_id) };
        Some(Vote {
            epoch: LeaderEpoch(partition.replica_epoch),
            candidate: ReplicaKey::new(
                NodeId(partition.replica_id),
                partition.replica_directory_id,
            ),
            voter: ReplicaKey::new(voter, partition.voter_directory_id),
            last_epoch: LeaderEpoch(partition.last_offset_epoch),
            end_offset: Offset(partition.last_offset),
            pre_vote: partition.pre_vote,
        })
    }

    pub(crate) fn answer(reply: &Reply, known: &Leader) -> VoteResponse {
        VoteResponse {
            topics: vec![vote_response::TopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![vote_response::PartitionData {
                    partition_index: METADATA_PARTITION,
                    error_code: code(reply),
                    leader_id: leader_id(reply),
                    leader_epoch: reply.epoch.get(),
                    vote_granted: matches!(reply.body, ReplyBody::Vote { granted: true }),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            node_endpoints: leader_endpoint!(vote_response, reply, known),
            ..Default::default()
        }
    }
}
