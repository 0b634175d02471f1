//! DescribeQuorum (KIP-595, KIP-853): the voters of the metadata log and how far each is.

use strandline_quorum::{Description, ReplicaDescription, Voter};
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use strandline_wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use crate::cx::Cx;
use crate::session::Hangup;

const METADATA_TOPIC: &str = "__cluster_metadata";

/// Directory ids, and where the voters listen, came with KIP-853.
const FIRST_VERSION_WITH_VOTER_KEYS: i16 = 2;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeQuorumRequest,
) -> Result<DescribeQuorumResponse, Hangup> {
    let is_metadata = |it: &strandline_wire::messages::describe_quorum_request::TopicData| {
        it.topic_name == METADATA_TOPIC
            && it.partitions.len() == 1
            && it.partitions[0].partition_index == 0
    };
    if request.topics.len() != 1 || !request.topics.iter().all(is_metadata) {
        return Ok(failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    }
    let Some(mut description) = cx.handles.quorum.describe().await else {
        return Ok(failed(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    };
    let mut nodes = description.voter_set.iter().map(node).collect();
    if cx.version < FIRST_VERSION_WITH_VOTER_KEYS {
        nodes = Vec::new();
        for replica in description.voters.iter_mut().chain(&mut description.observers) {
            replica.key.directory_id = Uuid::ZERO;
        }
    }
    Ok(DescribeQuorumResponse {
        nodes,
        topics: vec![TopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![partition(&description)],
            ..Default::default()
        }],
        ..Default::default()
    })
}

fn partition(description: &Description) -> PartitionData {
    let states = |replicas: &[ReplicaDescription]| replicas.iter().map(state).collect();
    PartitionData {
        partition_index: 0,
        leader_id: description.leader.map_or(-1, |leader| leader.get()),
        leader_epoch: description.epoch.get(),
        high_watermark: description.high_watermark.get(),
        current_voters: states(&description.voters),
        observers: states(&description.observers),
        ..Default::default()
    }
}

fn state(replica: &ReplicaDescription) -> ReplicaState {
    ReplicaState {
        replica_id: replica.key.id.get(),
        replica_directory_id: replica.key.directory_id,
        log_end_offset: replica.end_offset.map_or(-1, |offset| offset.get()),
        last_fetch_timestamp: replica.last_fetch.as_millis(),
        last_caught_up_timestamp: replica.last_caught_up.as_millis(),
        ..Default::default()
    }
}

fn node(voter: &Voter) -> Node {
    let listeners = voter.endpoints.iter().map(|endpoint| Listener {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        ..Default::default()
    });
    let node_id = voter.key.id.get();
    Node { node_id, listeners: listeners.collect(), ..Default::default() }
}

fn failed(error_code: ErrorCode) -> DescribeQuorumResponse {
    DescribeQuorumResponse {
        error_code,
        error_message: Some(format!("only partition 0 of {METADATA_TOPIC} has a quorum")),
        ..Default::default()
    }
}
