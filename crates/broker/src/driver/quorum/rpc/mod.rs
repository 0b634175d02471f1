//! What the quorum core says and hears, as Kafka's messages: one file per API, both sides of it.
//!
//! `request` and `response` serve the node that asks, `asked` and `answer` the one that is asked.
//! All of these APIs speak of one partition; an answer names the leader, so that whoever asked the
//! wrong node learns the right one.

/// The addresses that an answer tells: each message has a type of its own for them.
macro_rules! told_addresses {
    ($endpoints:expr) => {
        $endpoints
            .into_iter()
            .map(|it| (NodeId(it.node_id), HostPort { host: it.host, port: it.port }))
            .collect()
    };
}

/// The leader's address in this message's own type, as far as it is known.
macro_rules! leader_endpoint {
    ($message:ident, $reply:expr, $known:expr) => {
        reachable($reply, $known)
            .map(|(node_id, address)| $message::NodeEndpoint {
                node_id,
                host: address.host.clone(),
                port: address.port.into(),
                ..Default::default()
            })
            .into_iter()
            .collect()
    };
}

/// The header of an answer about one partition, and the partition.
macro_rules! one_partition {
    ($api:expr, $response:expr) => {{
        let api = $api;
        if !$response.error_code.is_none() {
            return Err(RpcError::Refused { api, code: $response.error_code });
        }
        let partition = only(api, only(api, $response.topics)?.partitions)?;
        let header = Header {
            api,
            error: partition.error_code,
            leader_id: partition.leader_id,
            leader_epoch: partition.leader_epoch,
        };
        (header, partition)
    }};
}

mod begin_quorum_epoch;
mod change_voter;
mod end_quorum_epoch;
mod fetch;
mod fetch_snapshot;
mod vote;

use bytes::Bytes;
use strandline_client::{CallError, Connection};
use strandline_config::HostPort;
use strandline_quorum::{Refusal, Reply, Request, Response, ResponseBody};
use strandline_types::{ErrorCode, LeaderEpoch, NodeId};
use strandline_wire::messages::ApiKey;

use super::{CommittedBatch, Leader};

pub(crate) use begin_quorum_epoch::BeginQuorumEpochRpc;
pub(crate) use change_voter::{add_voter, changed_voter, removed_voter, updated_voter};
pub(crate) use end_quorum_epoch::EndQuorumEpochRpc;
pub(crate) use fetch::FetchRpc;
pub(crate) use fetch_snapshot::FetchSnapshotRpc;
pub(crate) use vote::VoteRpc;

pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";
pub(crate) const METADATA_PARTITION: i32 = 0;

/// Whether an answer in this version can say where the leader is reached.
pub(crate) fn carries_endpoints(api: ApiKey, version: i16) -> bool {
    version
        >= match api {
            ApiKey::Fetch => 16,
            ApiKey::UpdateRaftVoter => 0,
            _ => 1,
        }
}

/// What a peer answered, with the bytes that belong to it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Answered {
    pub(super) response: Response,
    /// Where the leader that is named can be reached.
    pub(super) endpoints: Vec<(NodeId, HostPort)>,
    pub(super) content: Content,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Content {
    None,
    /// The batches of a fetch, as they are and as they were read.
    Batches(Vec<(Bytes, CommittedBatch)>),
    /// A piece of a snapshot.
    Chunk(Bytes),
}

/// Why a call brought no answer that the core can use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum RpcError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{api} was refused: {code}")]
    Refused { api: ApiKey, code: ErrorCode },
    #[error("the answer to {api} makes no sense: {reason}")]
    Nonsense { api: ApiKey, reason: String },
}

/// Asks a peer.
pub(super) async fn call(
    connection: &Connection,
    cluster_id: &str,
    request: Request,
) -> Result<Answered, RpcError> {
    match request {
        Request::Vote(vote) => VoteRpc::call(connection, cluster_id, &vote).await,
        Request::BeginQuorumEpoch(begin) => {
            BeginQuorumEpochRpc::call(connection, cluster_id, &begin).await
        }
        Request::EndQuorumEpoch(end) => EndQuorumEpochRpc::call(connection, cluster_id, &end).await,
        Request::Fetch(fetch) => FetchRpc::call(connection, cluster_id, &fetch).await,
        Request::FetchSnapshot(fetch) => {
            FetchSnapshotRpc::call(connection, cluster_id, &fetch).await
        }
        Request::ChangeVoter(change) => change_voter::call(connection, cluster_id, change).await,
    }
}

/// The common part of every answer: the error, and who leads.
struct Header {
    api: ApiKey,
    error: ErrorCode,
    leader_id: i32,
    leader_epoch: i32,
}

impl Header {
    fn response(self, body: ResponseBody) -> Result<Response, RpcError> {
        let Self { api, error: code, .. } = self;
        let refusal = match code {
            ErrorCode::NONE => None,
            code => Some(Refusal::from_code(code).ok_or(RpcError::Refused { api, code })?),
        };
        let body = if refusal.is_some() { ResponseBody::Empty } else { body };
        let leader = (self.leader_id >= 0).then_some(NodeId(self.leader_id));
        Ok(Response { refusal, epoch: LeaderEpoch(self.leader_epoch), leader, body })
    }
}

fn nonsense(api: ApiKey, reason: impl Into<String>) -> RpcError {
    RpcError::Nonsense { api, reason: reason.into() }
}

/// The one element of a list that must have one.
fn only<T>(api: ApiKey, list: Vec<T>) -> Result<T, RpcError> {
    let [one] = <[T; 1]>::try_from(list)
        .map_err(|list| nonsense(api, format!("{} entries instead of one", list.len())))?;
    Ok(one)
}

/// The error of the partition in an answer.
fn code(reply: &Reply) -> ErrorCode {
    reply.refusal.map_or(ErrorCode::NONE, Refusal::code)
}

fn leader_id(reply: &Reply) -> i32 {
    reply.leader.unwrap_or(NodeId::NONE).get()
}

/// Where the leader that an answer names can be reached, as far as this node knows.
fn reachable<'a>(reply: &Reply, known: &'a Leader) -> Option<(i32, &'a HostPort)> {
    let leader = reply.leader.filter(|leader| Some(*leader) == known.id)?;
    Some((leader.get(), known.address.as_ref()?))
}
