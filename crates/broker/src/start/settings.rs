//! From the node's configuration to what each core must know.

use std::sync::Arc;
use std::time::Duration;

use strandline_client::ConnectionConfig;
use strandline_config::{BrokerConfig, HostPort, Listener};
use strandline_metadata::Record;
use strandline_metadata::controller::ControllerSettings;
use strandline_ports::Lane;
use strandline_quorum::{Config as QuorumConfig, Endpoint, Join, ReplicaKey};

use crate::driver::lifecycle::Advertised;
use crate::driver::quorum::{MetadataLogOptions, QuorumOptions};
use crate::features;

pub(super) fn millis(ms: impl Into<i64>) -> Duration {
    Duration::from_millis(ms.into().max(0) as u64)
}

pub(super) fn quorum_options(
    config: &BrokerConfig,
    me: ReplicaKey,
    controllers: Vec<Endpoint>,
    cluster_id: &str,
) -> QuorumOptions {
    let (quorum, metadata) = (&config.quorum, &config.metadata);
    let mut core = QuorumConfig::new(me);
    core.endpoints = controllers;
    core.election_timeout = millis(quorum.election_timeout_ms);
    core.fetch_timeout = millis(quorum.fetch_timeout_ms);
    core.election_backoff_max = millis(quorum.election_backoff_max_ms);
    core.retry_backoff = millis(quorum.retry_backoff_ms);
    core.fetch_max_bytes = quorum.fetch_max_bytes.max(1) as u32;
    core.snapshot_max_new_record_bytes = metadata.snapshot_after_bytes.max(0) as u64;
    core.snapshot_max_interval = metadata.snapshot_after_ms.map_or(Duration::ZERO, millis);
    core.retention_max_bytes = metadata.retention_bytes.max(0) as u64;
    core.retention_max_age = millis(metadata.retention_ms);
    let servers = quorum.bootstrap_servers.iter();
    let others: Vec<_> = servers.filter(|it| !config.is_own_controller(it)).cloned().collect();
    core.bootstrap_servers = others.len() as u32;
    if quorum.auto_join {
        core.join = Join::Always;
    }
    // Brokers are registered only while nobody else with their id is heard; controllers always.
    core.replaces_former_self = config.roles.broker;
    let name = config.controller_listener_names.first().cloned().unwrap_or_default();
    let voter = |voter: &strandline_config::Voter| {
        let listener = name.clone();
        let (host, port) = (voter.address.host.clone(), voter.address.port);
        (voter.id, Endpoint { listener, host, port })
    };
    QuorumOptions {
        core,
        log: MetadataLogOptions {
            segment_bytes: metadata.segment_bytes.max(0) as u32,
            segment_ms: metadata.segment_ms,
        },
        static_voters: quorum.voters.iter().map(voter).collect(),
        supported: features::SUPPORTED,
        cluster_id: cluster_id.to_owned(),
        listener: name.clone(),
        bootstrap_servers: others,
        connections: ConnectionConfig {
            client_id: format!("raft-client-{}", config.node_id),
            connect_timeout: millis(quorum.request_timeout_ms),
            request_timeout: millis(quorum.request_timeout_ms),
            lane: Lane::Control,
            ..ConnectionConfig::default()
        },
    }
}

pub(super) fn advertised(listeners: &[Listener]) -> Vec<Advertised> {
    let named = listeners.iter().cloned();
    named
        .map(|Listener { name, address: HostPort { host, port }, .. }| Advertised {
            name,
            host,
            port,
        })
        .collect()
}

/// How this node connects to the active controller.
pub(super) fn to_controller(config: &BrokerConfig) -> ConnectionConfig {
    ConnectionConfig {
        client_id: format!("broker-{}-to-controller", config.node_id),
        connect_timeout: millis(config.quorum.request_timeout_ms),
        request_timeout: millis(config.quorum.socket_timeout_ms),
        lane: Lane::Control,
        ..ConnectionConfig::default()
    }
}

pub(super) fn controller_settings(
    config: &Arc<BrokerConfig>,
    cluster_id: &str,
    bootstrap: Vec<Record>,
) -> ControllerSettings {
    ControllerSettings {
        cluster_id: cluster_id.to_owned(),
        supported_features: features::SUPPORTED.to_vec(),
        bootstrap,
        config: Arc::clone(config),
        session_timeout: millis(config.membership.session_timeout_ms),
        balance_interval: Duration::from_secs(config.membership.balance_interval_s.max(1) as u64),
        balances_leaders: config.membership.balances_leaders,
    }
}
