//! Binds all listeners before anything else: a busy port is found out before a file is touched,
//! and a port of 0 is known by its number from then on.

use std::sync::Arc;
use std::time::Duration;

use strandline_config::{BrokerConfig, Listener as ListenerConfig};
use strandline_ports::{Lane, Listener, World};

use super::{BoundAddress, StartError};
use crate::cx::ListenerRole;
use crate::driver::lifecycle::Advertised;
use crate::handles::Handles;
use crate::listener::Acceptor;
use crate::session::{ConnectionLimits, Connections, RequestMemory};

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
    /// What others are told: the advertised address, with the real port where it was left open.
    fn advertised(&self, role: ListenerRole, told: &[ListenerConfig]) -> Vec<Advertised> {
        let of_role = self.0.iter().filter(|it| it.role == role);
        of_role
            .map(|it| {
                let name = &it.config.name;
                let told = told.iter().find(|told| told.name == *name).unwrap_or(&it.config);
                let bound_port = it.listener.local_addr().port();
                let port = if told.address.port == 0 { bound_port } else { told.address.port };
                let host = match told.address.host.as_str() {
                    "" => "localhost".to_owned(),
                    host => host.to_owned(),
                };
                Advertised { name: name.clone(), host, port }
            })
            .collect()
    }

    pub(super) fn brokers(&self, config: &BrokerConfig) -> Vec<Advertised> {
        self.advertised(ListenerRole::Broker, &config.advertised_listeners)
    }

    pub(super) fn controllers(&self, config: &BrokerConfig) -> Vec<Advertised> {
        self.advertised(ListenerRole::Controller, &config.advertised_controller_listeners)
    }

    /// Begins to accept on all of them. Gives their names and addresses.
    pub(super) fn serve(
        self,
        world: &World,
        config: &BrokerConfig,
        handles: &Arc<Handles>,
        connections: &Connections,
    ) -> Vec<BoundAddress> {
        let frame_max_bytes = config.network.request_max_bytes.max(0) as usize;
        let budget = config.network.request_memory_max_bytes.max(0) as usize;
        let memory = RequestMemory::new(budget.max(frame_max_bytes));
        let mut addresses = Vec::new();
        for BoundListener { config: ListenerConfig { name, .. }, role, listener } in self.0 {
            addresses.push(BoundAddress {
                name: name.clone(),
                is_controller: role == ListenerRole::Controller,
                address: listener.local_addr(),
            });
            let acceptor = Acceptor {
                world: world.clone(),
                handles: Arc::clone(handles),
                connections: connections.clone(),
                memory: memory.clone(),
                frame_max_bytes,
                name,
                role,
            };
            let lane = match role {
                ListenerRole::Broker => Lane::Data,
                ListenerRole::Controller => Lane::Control,
            };
            world.spawn.spawn(lane, Box::pin(acceptor.run(listener)));
        }
        addresses
    }
}

pub(super) fn connection_limits(config: &BrokerConfig) -> ConnectionLimits {
    let network = &config.network;
    ConnectionLimits {
        total: network.max_connections.max(0) as usize,
        per_ip: network.max_connections_per_ip.max(0) as usize,
        idle: match network.max_idle_ms {
            Some(ms) => Duration::from_millis(ms.max(0) as u64),
            None => Duration::MAX,
        },
    }
}
