//! Who belongs to the cluster: brokers that are forgotten, and who votes on its metadata (KIP-853).

use strandline_types::{NodeId, Uuid};
use strandline_wire::messages::{
    AddRaftVoterRequest, RemoveRaftVoterRequest, UnregisterBrokerRequest,
    add_raft_voter_request::Listener,
};

use super::Admin;
use crate::error::ClientError;

/// A controller that is to vote, and where the others reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewVoter {
    pub id: NodeId,
    /// Of its metadata log's directory.
    pub directory_id: Uuid,
    pub listener: String,
    pub host: String,
    pub port: u16,
}

impl Admin {
    /// Has the controller forget a broker. One that still runs is forgotten too, and is known again
    /// when it next starts.
    pub async fn unregister_broker(&self, id: NodeId) -> Result<(), ClientError> {
        let response = self
            .client
            .call_any(|_| UnregisterBrokerRequest { broker_id: id.get(), ..Default::default() })
            .await?;
        ClientError::check(format!("broker {id}"), response.error_code, response.error_message)
    }

    /// Adds a controller to the voters, and waits until they have agreed on it.
    pub async fn add_voter(&self, voter: &NewVoter) -> Result<(), ClientError> {
        let response = self
            .client
            .call_any(|_| AddRaftVoterRequest {
                cluster_id: self.client.cluster_id(),
                timeout_ms: self.timeout_ms(),
                voter_id: voter.id.get(),
                voter_directory_id: voter.directory_id,
                listeners: vec![Listener {
                    name: voter.listener.clone(),
                    host: voter.host.clone(),
                    port: voter.port,
                    ..Default::default()
                }],
                ..Default::default()
            })
            .await?;
        let subject = format!("controller {}", voter.id);
        ClientError::check(subject, response.error_code, response.error_message)
    }

    /// Takes a controller out of the voters. `directory_id` says which disk is meant, if it was
    /// replaced.
    pub async fn remove_voter(&self, id: NodeId, directory_id: Uuid) -> Result<(), ClientError> {
        let response = self
            .client
            .call_any(|_| RemoveRaftVoterRequest {
                cluster_id: self.client.cluster_id(),
                voter_id: id.get(),
                voter_directory_id: directory_id,
                ..Default::default()
            })
            .await?;
        let subject = format!("controller {id}");
        ClientError::check(subject, response.error_code, response.error_message)
    }
}
