//! AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter (KIP-853): what is asked of the leader, by people
//! and by controllers for themselves.

use strandline_client::Connection;
use strandline_quorum::{
    Endpoint, KraftVersionRange, ReplicaKey, Reply, ResponseBody, Voter, VoterChange,
};
use strandline_types::{ErrorCode, LeaderEpoch, NodeId};
use strandline_wire::messages::{
    AddRaftVoterRequest, ApiKey, RemoveRaftVoterRequest, UpdateRaftVoterRequest,
    add_raft_voter_request as adds, update_raft_voter_request as updates,
};

use super::{Answered, Content, Header, RpcError};

/// Before, the answer always waited for the commit.
const FIRST_VERSION_THAT_NEED_NOT_COMMIT: i16 = 1;
/// As long as a leader waits for a new voter to catch up.
const TIMEOUT_MS: i32 = 30_000;

/// The versions of `kraft.version` that the new voter knows are not in the request: whoever asks to
/// be a voter by its directory id knows those that have directory ids.
pub(crate) fn add_voter(request: &AddRaftVoterRequest, version: i16) -> VoterChange {
    let endpoint = |it: &adds::Listener| Endpoint {
        listener: it.name.clone(),
        host: it.host.clone(),
        port: it.port,
    };
    let voter = Voter {
        key: ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id),
        endpoints: request.listeners.iter().map(endpoint).collect(),
        kraft_versions: KraftVersionRange::OURS,
    };
    let ack_when_committed =
        version < FIRST_VERSION_THAT_NEED_NOT_COMMIT || request.ack_when_committed;
    VoterChange::Add { voter, ack_when_committed }
}

pub(crate) fn removed_voter(request: &RemoveRaftVoterRequest) -> VoterChange {
    let key = ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id);
    VoterChange::Remove { key }
}

pub(crate) fn updated_voter(request: &UpdateRaftVoterRequest) -> VoterChange {
    let endpoint = |it: &updates::Listener| Endpoint {
        listener: it.name.clone(),
        host: it.host.clone(),
        port: it.port,
    };
    let voter = Voter {
        key: ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id),
        endpoints: request.listeners.iter().map(endpoint).collect(),
        kraft_versions: KraftVersionRange {
            min: request.kraft_version_feature.min_supported_version,
            max: request.kraft_version_feature.max_supported_version,
        },
    };
    VoterChange::Update { epoch: LeaderEpoch(request.current_leader_epoch), voter }
}

/// The error of the answer, and what to say about it.
pub(crate) fn changed_voter(reply: &Reply) -> (ErrorCode, Option<String>) {
    match reply.refusal {
        None => (ErrorCode::NONE, None),
        Some(refusal) => (refusal.code(), Some(refusal.to_string())),
    }
}

/// Asks for this node's own place among the voters.
pub(super) async fn call(
    connection: &Connection,
    cluster_id: &str,
    change: VoterChange,
) -> Result<Answered, RpcError> {
    let cluster_id = Some(cluster_id.to_owned());
    let (api, code, told) = match &change {
        VoterChange::Add { voter, ack_when_committed } => {
            let answer = connection
                .call_with(|version| AddRaftVoterRequest {
                    cluster_id,
                    timeout_ms: TIMEOUT_MS,
                    voter_id: voter.key.id.get(),
                    voter_directory_id: voter.key.directory_id,
                    listeners: voter.endpoints.iter().map(added_listener).collect(),
                    ack_when_committed: version < FIRST_VERSION_THAT_NEED_NOT_COMMIT
                        || *ack_when_committed,
                    ..Default::default()
                })
                .await?;
            (ApiKey::AddRaftVoter, answer.error_code, answer.error_message)
        }
        VoterChange::Remove { key } => {
            let answer = connection
                .call(RemoveRaftVoterRequest {
                    cluster_id,
                    voter_id: key.id.get(),
                    voter_directory_id: key.directory_id,
                    ..Default::default()
                })
                .await?;
            (ApiKey::RemoveRaftVoter, answer.error_code, answer.error_message)
        }
        VoterChange::Update { epoch, voter } => {
            let answer = connection
                .call(UpdateRaftVoterRequest {
                    cluster_id,
                    current_leader_epoch: epoch.get(),
                    voter_id: voter.key.id.get(),
                    voter_directory_id: voter.key.directory_id,
                    listeners: voter.endpoints.iter().map(updated_listener).collect(),
                    kraft_version_feature: updates::KRaftVersionFeature {
                        min_supported_version: voter.kraft_versions.min,
                        max_supported_version: voter.kraft_versions.max,
                        ..Default::default()
                    },
                    ..Default::default()
                })
                .await?;
            (ApiKey::UpdateRaftVoter, answer.error_code, None)
        }
    };
    if code.is_none() {
        tracing::info!(%change, "the leader of the quorum agrees");
    } else {
        let reason = told.unwrap_or_default();
        tracing::info!(%change, %code, reason, "the leader of the quorum refuses for now");
    }
    // It says nothing of who leads, and what comes of it stands in the log.
    let header = Header { api, error: code, leader_id: -1, leader_epoch: 0 };
    Ok(Answered {
        response: header.response(ResponseBody::Empty)?,
        endpoints: Vec::new(),
        content: Content::None,
    })
}

fn added_listener(Endpoint { listener, host, port }: &Endpoint) -> adds::Listener {
    let (name, host) = (listener.clone(), host.clone());
    adds::Listener { name, host, port: *port, ..Default::default() }
}

fn updated_listener(Endpoint { listener, host, port }: &Endpoint) -> updates::Listener {
    let (name, host) = (listener.clone(), host.clone());
    updates::Listener { name, host, port: *port, ..Default::default() }
}
