//! Connections from this node to others, shared by all who speak to the same address: opened when
//! first needed, and again when they have broken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use strandline_client::{CallError, Connection, ConnectionConfig};
use strandline_config::HostPort;
use strandline_ports::World;

#[derive(Clone)]
pub(crate) struct Links {
    world: World,
    config: ConnectionConfig,
    links: Arc<Mutex<BTreeMap<HostPort, Link>>>,
}

/// Whoever holds the lock connects; the others wait for that connection.
type Link = Arc<tokio::sync::Mutex<Option<Connection>>>;

impl Links {
    pub(crate) fn new(world: World, config: ConnectionConfig) -> Self {
        Self { world, config, links: Arc::default() }
    }

    /// The open connection to an address, or a new one.
    ///
    /// # Errors
    /// When nobody answers there.
    pub(crate) async fn connection(&self, address: &HostPort) -> Result<Connection, CallError> {
        let link = {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(links.entry(address.clone()).or_default())
        };
        let mut link = link.lock().await;
        if let Some(connection) = link.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let HostPort { host, port } = address;
        let opened = Connection::open(&self.world, host, *port, self.config.clone()).await?;
        Ok(link.insert(opened).clone())
    }
}
