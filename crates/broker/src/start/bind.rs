//! Binds all listeners before anything else: a busy port is found out before a file is touched,
//! and a port of 0 is known by its number from then on.

use std::net::SocketAddr;
use std::sync::Arc;

use strandline_config::{BrokerConfig, HostPort, Listener as ListenerConfig};
use strandline_ports::{Lane, Listener, World};

use super::node::Node;
use super::{BoundAddress, StartError};
use crate::cx::ListenerRole;
use crate::handles::Handles;
use crate::listener::{Acceptor, Reception};
use crate::metrics::{Endpoint, Scrape};
use crate::session::{Connections, RequestMemory};

/// Every listener of the node, bound and not yet accepting.
pub(super) struct Bound(Vec<BoundListener>);

struct BoundListener {
    config: ListenerConfig,
    role: ListenerRole,
    listener: Box<dyn Listener>,
}

pub(super) async fn bind(world: &World, config: &BrokerConfig) -> Result<Bound, StartError> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let role = match config.controller_listener_names.contains(&listener.name) {
            true => ListenerRole::Controller,
            false => ListenerRole::Broker,
        };
        let address = &listener.address;
        let opened = world.net.listen(&address.host, address.port).await;
        let opened =
            opened.map_err(|error| StartError::Listen { listener: listener.to_string(), error })?;
        bound.push(BoundListener { config: listener.clone(), role, listener: opened });
    }
    Ok(Bound(bound))
}

impl Bound {
    /// The configuration with what was left open in it, ports and hosts, as others are to be told.
    pub(super) fn settle(&self, config: BrokerConfig, host_name: &str) -> BrokerConfig {
        let mut config = config.with_controllers_at(host_name);
        let told = config.advertised_listeners.iter_mut();
        for told in told.chain(&mut config.advertised_controller_listeners) {
            let Some(bound) = self.0.iter().find(|it| it.config.name == told.name) else {
                continue;
            };
            let HostPort { host, port } = &mut told.address;
            if *port == 0 {
                *port = bound.listener.local_addr().port();
            }
            if host.is_empty() {
                "localhost".clone_into(host);
            }
        }
        config
    }

    /// The listeners of this node's controller, with their names.
    pub(super) fn controllers(&self) -> Vec<(&str, &dyn Listener)> {
        let controllers = self.0.iter().filter(|bound| bound.role == ListenerRole::Controller);
        controllers.map(|bound| (bound.config.name.as_str(), &*bound.listener)).collect()
    }

    /// Begins to accept on the listeners of one role. Gives their names and addresses.
    pub(super) fn serve(&mut self, role: ListenerRole, serving: &Serving) -> Vec<BoundAddress> {
        let mut addresses = Vec::new();
        for bound in self.0.extract_if(.., |bound| bound.role == role) {
            let BoundListener { config: ListenerConfig { name, .. }, listener, .. } = bound;
            addresses.push(BoundAddress {
                name: name.clone(),
                is_controller: role == ListenerRole::Controller,
                address: listener.local_addr(),
            });
            let acceptor = serving.acceptor(name, role);
            let lane = acceptor.reception.lane;
            serving.world.spawn.spawn(lane, Box::pin(acceptor.run(listener)));
        }
        addresses
    }
}

/// What every connection is served with. Dropping it cuts off all but those to the metrics.
pub(super) struct Serving {
    world: World,
    config: Arc<BrokerConfig>,
    handles: Arc<Handles>,
    connections: Connections,
    memory: RequestMemory,
}

impl Serving {
    pub(super) fn new(node: &Node, handles: Arc<Handles>, connections: Connections) -> Self {
        Self {
            world: node.world.clone(),
            config: Arc::clone(&node.config),
            handles,
            connections,
            memory: request_memory(&node.config),
        }
    }

    /// Closes connections that are idle, from now on.
    pub(super) fn sweep(&self) {
        let sweeping = self.connections.clone().sweep(Arc::clone(&self.world.clock));
        self.world.spawn.spawn(Lane::Data, Box::pin(sweeping));
    }

    /// Serves the metrics. Gives their address.
    pub(super) fn metrics(&self, listener: Box<dyn Listener>) -> SocketAddr {
        let address = listener.local_addr();
        let scrape = Scrape { handles: Arc::clone(&self.handles), memory: self.memory.clone() };
        let endpoint = Endpoint { world: self.world.clone(), scrape };
        self.world.spawn.spawn(Lane::Data, Box::pin(endpoint.run(listener)));
        address
    }

    fn acceptor(&self, name: String, role: ListenerRole) -> Acceptor {
        let lane = match role {
            ListenerRole::Broker => Lane::Data,
            ListenerRole::Controller => Lane::Control,
        };
        let reception = Reception {
            world: self.world.clone(),
            connections: self.connections.clone(),
            memory: self.memory.clone(),
            frame_max_bytes: frame_max_bytes(&self.config),
            lane,
        };
        Acceptor {
            reception,
            handles: Arc::clone(&self.handles),
            metrics: self.handles.metrics.listener(&name),
            name,
            role,
        }
    }
}

/// However a node ends, also one that did not come up, it serves nobody any more.
impl Drop for Serving {
    fn drop(&mut self) {
        self.connections.close_all();
    }
}

pub(super) fn frame_max_bytes(config: &BrokerConfig) -> usize {
    config.network.request_max_bytes.max(0) as usize
}

pub(super) fn request_memory(config: &BrokerConfig) -> RequestMemory {
    let budget = config.network.request_memory_max_bytes.max(0) as usize;
    RequestMemory::new(budget.max(frame_max_bytes(config)))
}

/// Where the metrics are served, if anywhere.
pub(super) async fn bind_metrics(
    world: &World,
    config: &BrokerConfig,
) -> Result<Option<Box<dyn Listener>>, StartError> {
    let Some(address) = &config.own.metrics_listener else { return Ok(None) };
    let opened = world.net.listen(&address.host, address.port).await;
    let failed = |error| StartError::Listen { listener: format!("{address} (metrics)"), error };
    opened.map(Some).map_err(failed)
}
