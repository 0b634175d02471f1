//! Settings that each are fine and do not fit together.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::NodeId;

use crate::broker_config::{BrokerConfig, ReplicaSelector, per_ip_overrides};
use crate::listener::{HostPort, Listener, names};
use crate::value::Value;
use crate::values::Values;

/// Contradictions, and things worth a warning.
pub(crate) fn check(config: &BrokerConfig, values: &Values) -> (Vec<String>, Vec<String>) {
    let mut findings = Findings { conflicts: Vec::new(), notes: Vec::new() };
    findings.quorum(config, values);
    findings.controllers_listeners(config);
    if config.roles.broker {
        findings.brokers_listeners(config);
    }
    findings.numbers(config, values);
    findings.texts(values);
    findings.ranges(values);
    (findings.conflicts, findings.notes)
}

/// What is wrong with the directories that are cordoned. Only the broker whose they are can tell: the
/// controller does not know anybody's paths.
pub(crate) fn cordoned(config: &BrokerConfig, values: &Values) -> Option<String> {
    let dirs = values.list("cordoned.log.dirs");
    if dirs.iter().any(|dir| dir == "*") {
        let text = "`cordoned.log.dirs` contains *, which must stand alone";
        return (dirs.len() > 1).then(|| text.into());
    }
    let unknown = dirs.iter().find(|dir| !config.log_dirs.contains(dir))?;
    Some(format!("`cordoned.log.dirs` contains {unknown}, which is not in `log.dirs`"))
}

struct Findings {
    conflicts: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.conflicts.push(otherwise());
        }
    }

    fn quorum(&mut self, config: &BrokerConfig, values: &Values) {
        let voters = &config.quorum.voters;
        self.require(!voters.is_empty() || !config.quorum.bootstrap_servers.is_empty(), || {
            "set `controller.quorum.bootstrap.servers` (or `controller.quorum.voters` for fixed voters), \
             so that the metadata quorum can be found; a node alone names its own controller listener"
                .into()
        });
        let ids: Vec<NodeId> = voters.iter().map(|voter| voter.id).collect();
        let is_voter = ids.contains(&config.node_id);
        if config.roles.controller {
            self.require(voters.is_empty() || is_voter, || {
                format!(
                    "`process.roles` contains controller, but `controller.quorum.voters` ({ids:?}) does not contain `node.id` {}",
                    config.node_id
                )
            });
        } else {
            self.require(!is_voter, || {
                format!(
                    "`process.roles` is only broker, but `controller.quorum.voters` contains `node.id` {}",
                    config.node_id
                )
            });
            self.require(!values.boolean("controller.quorum.auto.join.enable"), || {
                "`controller.quorum.auto.join.enable` needs the controller role in `process.roles`"
                    .into()
            });
        }
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        self.require(distinct.len() == ids.len(), || {
            "`controller.quorum.voters` names a node twice".into()
        });
    }

    fn controllers_listeners(&mut self, config: &BrokerConfig) {
        let known = names(&config.listeners);
        let listens =
            |name: &String| config.listeners.iter().any(|listener| listener.name == *name);
        if config.roles.controller {
            for name in config.controller_listener_names.iter().filter(|name| !listens(name)) {
                self.conflicts.push(format!(
                    "`controller.listener.names` contains {name}, which is not in `listeners` ({known})"
                ));
            }
            let advertised = &config.advertised_controller_listeners;
            self.require(!advertised.iter().any(is_everywhere), || {
                format!(
                    "other nodes cannot connect to 0.0.0.0: give {} in `advertised.listeners` an address they can reach",
                    names(advertised)
                )
            });
            if !config.roles.broker {
                let is_controllers =
                    |listener: &Listener| config.controller_listener_names.contains(&listener.name);
                self.require(config.listeners.iter().all(is_controllers), || {
                    format!(
                        "`process.roles` is only controller, so every one of `listeners` ({known}) must be in `controller.listener.names`"
                    )
                });
            }
        } else {
            for name in config.controller_listener_names.iter().filter(|name| listens(name)) {
                self.conflicts.push(format!(
                    "`process.roles` is only broker, so `listeners` must not contain {name} of `controller.listener.names`"
                ));
            }
            if config.controller_listener_names.len() > 1 {
                self.notes.push(format!(
                    "a broker uses only the first of `controller.listener.names`, {}",
                    config.controller_listener_names[0]
                ));
            }
        }
    }

    fn brokers_listeners(&mut self, config: &BrokerConfig) {
        let advertised = &config.advertised_listeners;
        self.require(!advertised.is_empty(), || {
            "no listener is left for clients: every one of `listeners` or `advertised.listeners` is in `controller.listener.names`".into()
        });
        let given = |key: &str| config.layers.fixed.contains_key(key);
        self.require(
            !(given("inter.broker.listener.name") && given("security.inter.broker.protocol")),
            || {
                "set only one of `inter.broker.listener.name` and `security.inter.broker.protocol`"
                    .into()
            },
        );
        let inter = &config.inter_broker_listener_name;
        let is_inter = |listener: &Listener| listener.name == *inter;
        self.require(advertised.is_empty() || advertised.iter().any(is_inter), || {
            format!(
                "`inter.broker.listener.name` is {inter}, which is none of the advertised listeners ({})",
                names(advertised)
            )
        });
        for listener in advertised {
            let listens = config.listeners.iter().any(|other| other.name == listener.name);
            self.require(listens, || {
                format!(
                    "`advertised.listeners` contains {}, which is not in `listeners` ({})",
                    listener.name,
                    names(&config.listeners)
                )
            });
        }
        self.require(!advertised.iter().any(is_everywhere), || {
            "clients cannot connect to 0.0.0.0: set `advertised.listeners` to an address they can reach".into()
        });
    }

    fn numbers(&mut self, config: &BrokerConfig, values: &Values) {
        let topic = &config.topic_defaults;
        self.require(topic.retention_ms != Some(0), || {
            "`log.retention.ms` must be -1 for no limit, or at least 1".into()
        });
        self.require(topic.segment_ms >= 1, || "`log.roll.ms` must be at least 1".into());
        self.require(topic.segment_jitter_ms >= 0, || {
            "`log.roll.jitter.ms` must be at least 0".into()
        });
        let threads = i64::from(values.int("log.cleaner.threads")).max(1);
        self.require(values.long("log.cleaner.dedupe.buffer.size") / threads > 1 << 20, || {
            "`log.cleaner.dedupe.buffer.size` must be more than 1 MiB per cleaner thread".into()
        });
        let wait = values.int("replica.fetch.wait.max.ms");
        self.require(wait <= values.int("replica.socket.timeout.ms"), || {
            "`replica.fetch.wait.max.ms` must not be above `replica.socket.timeout.ms`".into()
        });
        self.require(i64::from(wait) <= values.long("replica.lag.time.max.ms"), || {
            "`replica.fetch.wait.max.ms` must not be above `replica.lag.time.max.ms`".into()
        });
        // A slow rhythm lengthens a session up to 9 s, not further.
        let beat = i64::from(values.int("broker.heartbeat.interval.ms"));
        if beat * 2 > i64::from(values.int("broker.session.timeout.ms")).max(9_000) {
            self.notes.push(
                "`broker.session.timeout.ms` should be at least twice `broker.heartbeat.interval.ms`".into(),
            );
        }
        let network = &config.network;
        self.require(network.request_memory_max_bytes >= i64::from(network.request_max_bytes), || {
            "the budget for requests in flight (`queued.max.request.bytes`, else `strandline.request.memory.max.bytes`) must be at least `socket.request.max.bytes`".into()
        });
        let delay = i64::from(values.int("connection.failed.authentication.delay.ms"));
        self.require(network.max_idle_ms.is_none_or(|idle| delay < idle), || {
            "`connections.max.idle.ms` must be above `connection.failed.authentication.delay.ms`"
                .into()
        });
    }

    fn texts(&mut self, values: &Values) {
        let selector = values.text("replica.selector.class").filter(|class| !class.is_empty());
        if let Some(class) = selector
            && ReplicaSelector::of(Some(&class)) == ReplicaSelector::Leader
        {
            self.notes.push(format!(
                "`replica.selector.class` {class} is not known here: consumers read from leaders"
            ));
        }
        let overrides = values.text("max.connections.per.ip.overrides").unwrap_or_default();
        let overrides = per_ip_overrides(&overrides);
        self.require(overrides.is_some(), || {
            "`max.connections.per.ip.overrides` must be a list of host:count".into()
        });
        let none_allowed = values.int("max.connections.per.ip") == 0;
        self.require(!none_allowed || overrides.is_none_or(|overrides| !overrides.is_empty()), || {
            "`max.connections.per.ip` may be 0 only together with `max.connections.per.ip.overrides`".into()
        });
        let metrics = values.text("strandline.metrics.listener");
        self.require(metrics.is_none_or(|text| HostPort::parse(&text).is_some()), || {
            "`strandline.metrics.listener` must be host:port".into()
        });
        let protocols = values.list("group.coordinator.rebalance.protocols");
        self.require(protocols.iter().any(|protocol| protocol == "classic"), || {
            "`group.coordinator.rebalance.protocols` must contain classic".into()
        });
        let codec = values.int("offsets.topic.compression.codec");
        self.require((0..=4).contains(&codec), || {
            "`offsets.topic.compression.codec` must be 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)".into()
        });
    }

    /// Least, greatest and default values that groups may choose from.
    fn ranges(&mut self, values: &Values) {
        for [least, value, greatest] in RANGES {
            let [low, middle, high] = [least, value, greatest].map(|name| values.get(name).whole());
            let (Some(low), Some(middle), Some(high)) = (low, middle, high) else { continue };
            self.require(low <= middle && middle <= high, || {
                format!("`{value}` ({middle}) must lie between `{least}` ({low}) and `{greatest}` ({high})")
            });
        }
        let [low, high] = ["group.min.session.timeout.ms", "group.max.session.timeout.ms"]
            .map(|name| values.int(name));
        self.require(low <= high, || {
            "`group.max.session.timeout.ms` must not be below `group.min.session.timeout.ms`".into()
        });
        for kind in [
            ["group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms"],
            ["group.share.heartbeat.interval.ms", "group.share.session.timeout.ms"],
            ["group.streams.heartbeat.interval.ms", "group.streams.session.timeout.ms"],
        ] {
            self.require(values.int(kind[0]) < values.int(kind[1]), || {
                format!("`{}` must be below `{}`", kind[0], kind[1])
            });
        }
        let [standby, most] =
            ["group.streams.num.standby.replicas", "group.streams.max.standby.replicas"]
                .map(|name| values.get(name));
        if let (Value::Int(standby), Value::Int(most)) = (standby, most) {
            self.require(standby <= most, || {
                "`group.streams.num.standby.replicas` must not be above `group.streams.max.standby.replicas`".into()
            });
        }
    }
}

/// Where one may listen, and nobody can connect to.
fn is_everywhere(listener: &Listener) -> bool {
    listener.address.host == "0.0.0.0"
}

/// `[least, value, greatest]`
#[rustfmt::skip]
pub(crate) const RANGES: [[&str; 3]; 12] = [
    ["group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"],
    ["group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"],
    ["group.consumer.min.assignment.interval.ms", "group.consumer.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"],
    ["group.share.min.session.timeout.ms", "group.share.session.timeout.ms", "group.share.max.session.timeout.ms"],
    ["group.share.min.heartbeat.interval.ms", "group.share.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"],
    ["group.share.min.assignment.interval.ms", "group.share.assignment.interval.ms", "group.share.max.assignment.interval.ms"],
    ["group.streams.min.session.timeout.ms", "group.streams.session.timeout.ms", "group.streams.max.session.timeout.ms"],
    ["group.streams.min.heartbeat.interval.ms", "group.streams.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"],
    ["group.streams.min.assignment.interval.ms", "group.streams.assignment.interval.ms", "group.streams.max.assignment.interval.ms"],
    ["group.share.min.record.lock.duration.ms", "group.share.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"],
    ["group.share.min.delivery.count.limit", "group.share.delivery.count.limit", "group.share.max.delivery.count.limit"],
    ["group.share.min.partition.max.record.locks", "group.share.partition.max.record.locks", "group.share.max.partition.max.record.locks"],
];
