//! Requests from this broker to others, by the listener that brokers use among themselves.

use std::sync::Arc;
use std::time::Duration;

use strandline_client::{CallError, ConnectionConfig};
use strandline_config::{BrokerConfig, HostPort};
use strandline_metadata::Image;
use strandline_ports::{World, watch};
use strandline_types::NodeId;
use strandline_wire::messages::Request;

use super::links::Links;

/// One connection to each broker. A server answers one request after the other, so whoever must not
/// wait behind others has peers of his own.
#[derive(Clone)]
pub(crate) struct Peers {
    links: Links,
    listener: String,
    image: watch::Receiver<Arc<Image>>,
}

/// Why a broker did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("broker {0} is not there")]
    Unknown(NodeId),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Peers {
    /// `purpose` tells these connections from others in the peers' logs.
    pub(crate) fn new(
        world: &World,
        config: &BrokerConfig,
        image: watch::Receiver<Arc<Image>>,
        purpose: &str,
    ) -> Self {
        let patience = u64::try_from(config.network.request_timeout_ms).unwrap_or(0);
        let connections = ConnectionConfig {
            client_id: format!("broker-{}-{purpose}", config.node_id),
            request_timeout: Duration::from_millis(patience),
            ..ConnectionConfig::default()
        };
        Self {
            links: Links::new(world.clone(), connections),
            listener: config.inter_broker_listener_name.clone(),
            image,
        }
    }

    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }

    /// # Errors
    /// When the broker is not known or does not answer.
    pub(crate) async fn call<R: Request>(
        &self,
        node: NodeId,
        request: R,
    ) -> Result<R::Response, PeerError> {
        let address = {
            let image = self.image.borrow();
            let broker = image.cluster.broker(node).filter(|broker| !broker.is_fenced());
            let endpoint = broker.and_then(|broker| broker.endpoint(&self.listener));
            endpoint.map(|it| HostPort { host: it.host.clone(), port: it.port })
        };
        let address = address.ok_or(PeerError::Unknown(node))?;
        Ok(self.links.connection(&address).await?.call(request).await?)
    }
}
