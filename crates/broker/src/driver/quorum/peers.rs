//! Questions to the other nodes of the quorum.

use std::sync::Arc;

use strandline_client::CallError;
use strandline_config::HostPort;
use strandline_quorum::Request;

use super::rpc::{self, Answered, RpcError};
use crate::driver::links::Links;

/// How a question to a peer ended.
pub(super) enum Outcome {
    Answered(Box<Answered>),
    Unanswered,
    /// Its address refuses connections: the process is not there.
    Gone,
}

#[derive(Clone)]
pub(super) struct Peers {
    pub(super) cluster_id: Arc<str>,
    pub(super) links: Links,
    /// A new voter catches up while its question waits, so that one has a connection of its own.
    pub(super) changes: Links,
}

impl Peers {
    pub(super) async fn ask(&self, address: HostPort, request: Request) -> Outcome {
        match self.call(&address, request).await {
            Ok(answered) => Outcome::Answered(Box::new(answered)),
            Err(error) => {
                tracing::debug!(%error, peer = %address, "a node of the quorum gave no answer");
                self.why(&address, &error).await
            }
        }
    }

    async fn call(&self, address: &HostPort, request: Request) -> Result<Answered, RpcError> {
        let links = match &request {
            Request::ChangeVoter(_) => &self.changes,
            _ => &self.links,
        };
        let connection = links.connection(address).await?;
        rpc::call(&connection, &self.cluster_id, request).await
    }

    /// A connection that broke may have been an accident of the network; that nobody listens any
    /// more is none.
    async fn why(&self, address: &HostPort, error: &RpcError) -> Outcome {
        let is_refused = |error: &CallError| matches!(error, CallError::Refused { .. });
        match error {
            RpcError::Call(error) if is_refused(error) => Outcome::Gone,
            RpcError::Call(CallError::Closed { .. }) => {
                match self.links.connection(address).await {
                    Err(error) if is_refused(&error) => Outcome::Gone,
                    _ => Outcome::Unanswered,
                }
            }
            _ => Outcome::Unanswered,
        }
    }
}
