//! AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter (KIP-853): what is asked of the leader.

use strandline_quorum::{Endpoint, KraftVersionRange, ReplicaKey, Reply, Voter, VoterChange};
use strandline_types::{ErrorCode, NodeId};
use strandline_wire::messages::{
    AddRaftVoterRequest, RemoveRaftVoterRequest, UpdateRaftVoterRequest,
};

/// The versions of `kraft.version` that the new voter knows are not in the request: whoever asks to
/// be a voter by its directory id knows those that have directory ids.
pub(crate) fn add_voter(request: &AddRaftVoterRequest, version: i16) -> VoterChange {
    let endpoint = |it: &strandline_wire::messages::add_raft_voter_request::Listener| Endpoint {
        listener: it.name.clone(),
        host: it.host.clone(),
        port: it.port,
    };
    let voter = Voter {
        key: ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id),
        endpoints: request.listeners.iter().map(endpoint).collect(),
        kraft_versions: KraftVersionRange::OURS,
    };
    VoterChange::Add { voter, ack_when_committed: version < 1 || request.ack_when_committed }
}

pub(crate) fn removed_voter(request: &RemoveRaftVoterRequest) -> VoterChange {
    let key = ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id);
    VoterChange::Remove { key }
}

pub(crate) fn updated_voter(request: &UpdateRaftVoterRequest) -> VoterChange {
    let endpoint = |it: &strandline_wire::messages::update_raft_voter_request::Listener| Endpoint {
        listener: it.name.clone(),
        host: it.host.clone(),
        port: it.port,
    };
    VoterChange::Update {
        key: ReplicaKey::new(NodeId(request.voter_id), request.voter_directory_id),
        endpoints: request.listeners.iter().map(endpoint).collect(),
        kraft_versions: KraftVersionRange {
            min: request.kraft_version_feature.min_supported_version,
            max: request.kraft_version_feature.max_supported_version,
        },
    }
}

/// The error of the answer, and what to say about it.
pub(crate) fn changed_voter(reply: &Reply) -> (ErrorCode, Option<String>) {
    match reply.refusal {
        None => (ErrorCode::NONE, None),
        Some(refusal) => (refusal.code(), Some(refusal.to_string())),
    }
}
