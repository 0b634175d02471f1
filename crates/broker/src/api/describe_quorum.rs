//! DescribeQuorum (KIP-595, KIP-853): the voters of the metadata log and how far each is.

use strandline_quorum::{Description, ReplicaDescription, Voter};
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use strandline_wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use crate::cx::Cx;
use crate::driver::quorum::rpc::METADATA_TOPIC;
use crate::session::Hangup;

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
    // How far the others are only their leader knows.
    let relayed = cx.ask_leader(&request).await;
    let leads = cx.handles.quorum.leadership().borrow().is_ready;
    let mut response = match (relayed, cx.handles.quorum.describe().await.filter(|_| leads)) {
        (Some(relayed), _) => relayed,
        (None, Some(description)) => DescribeQuorumResponse {
            nodes: description.voter_set.iter().map(node).collect(),
            topics: of_metadata(partition(&description)),
            ..Default::default()
        },
        (None, None) => {
            let error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
            let refused = PartitionData { error_code, leader_id: -1, ..Default::default() };
            DescribeQuorumResponse { topics: of_metadata(refused), ..Default::default() }
        }
    };
    if cx.version < FIRST_VERSION_WITH_VOTER_KEYS {
        response.nodes = Vec::new();
        let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        for partition in partitions {
            let replicas = partition.current_voters.iter_mut().chain(&mut partition.observers);
            replicas.for_each(|replica| replica.replica_directory_id = Uuid::ZERO);
        }
    }
    Ok(response)
}

fn of_metadata(partition: PartitionData) -> Vec<TopicData> {
    vec![TopicData {
        topic_name: METADATA_TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    }]
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
