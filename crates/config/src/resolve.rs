//! From assignments to a [`BrokerConfig`]: everything that is wrong is found and told at once.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use strandline_types::NodeId;

use crate::alter;
use crate::broker_config::{
    BrokerConfig, CleanerSettings, GroupSettings, LogSettings, MembershipSettings,
    MetadataSettings, NetworkSettings, OffsetsTopicSettings, OwnSettings, ProducerSettings,
    QuorumSettings, ReplicationSettings, Roles, TopicDefaults, TransactionSettings,
};
use crate::cross_check;
use crate::error::{ConfigError, ConfigErrors, Warning};
use crate::layers::{BrokerLayers, Overrides};
use crate::listener::{
    HostPort, Listener, ProtocolMap, SecurityProtocol, check_distinct, parse_listeners,
    parse_protocol_map,
};
use crate::nearest::nearest;
use crate::properties::Property;
use crate::reason;
use crate::scope::{Scope, find_broker, without_listener};
use crate::setting::{Default, Status};
use crate::topic_config::TopicConfig;
use crate::value::{Value, allowed};
use crate::values::Values;

/// Where an assignment stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// In the configuration file.
    Line(usize),
    /// On the command line, `--set key=value`.
    CommandLine,
    /// In neither: what a start without a configuration file uses.
    BareStart,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::CommandLine => f.write_str("--set"),
            Self::BareStart => f.write_str("built in"),
        }
    }
}

/// One value and where it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    pub value: String,
    pub origin: Origin,
}

/// A configuration that a node can start with.
#[derive(Clone, PartialEq, Debug)]
pub struct Resolved {
    pub config: BrokerConfig,
    pub warnings: Vec<Warning>,
}

/// What holds when there is no configuration file: one node that is everything, on loopback.
///
/// The replication factors of topics that do not gain replicas as brokers join are 1, because this
/// node is alone; a file that says nothing about them gets Kafka's 3.
const BARE_START: [(&str, &str); 7] = [
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"),
    ("controller.listener.names", "CONTROLLER"),
    ("log.dirs", "./strandline-data"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
];

type Assignments = BTreeMap<String, Assignment>;

impl BrokerConfig {
    /// Settles every setting of a node: defaults, then `file`, then `overrides` in their order.
    /// Without a file, the built-in single node takes its place.
    ///
    /// # Errors
    /// Every value that is not allowed, every required setting that is missing, every
    /// security setting that is not honoured, and every contradiction between settings.
    pub fn resolve(
        file: Option<&[Property]>,
        overrides: &[(String, String)],
    ) -> Result<Resolved, ConfigErrors> {
        let mut given = collect(file, overrides);
        if file.is_none() {
            point_at_own_controller(&mut given);
        }
        let mut errors = same_id_under_both_names(&mut given);
        let mut warnings = Vec::new();
        let mut as_written: Vec<_> = given.iter().collect();
        as_written.sort_by_key(|(_, assignment)| assignment.origin);
        for (key, assignment) in as_written {
            judge(key, assignment, &mut errors, &mut warnings);
        }
        for setting in Scope::Broker.settings() {
            if setting.default == Default::Required && !given.contains_key(setting.name) {
                errors
                    .push(ConfigError::Missing { key: setting.name, hint: hint_for(setting.name) });
            }
        }
        let fixed = given.iter().map(|(key, given)| (key.clone(), given.value.clone())).collect();
        let layers = BrokerLayers { fixed, ..BrokerLayers::default() };
        let values = Values::read(&layers.merged(), |_, _| {});
        match build(layers, &values) {
            Ok(config) if errors.is_empty() => {
                let (mut conflicts, notes) = cross_check::check(&config, &values);
                conflicts.extend(cross_check::cordoned(&config, &values));
                if conflicts.is_empty() {
                    warnings.extend(notes.into_iter().map(Warning::Note));
                    return Ok(Resolved { config, warnings });
                }
                errors.extend(conflicts.into_iter().map(ConfigError::Conflict));
            }
            // Values that do not parse were replaced by defaults, so contradictions found
            // with them may not be the person's.
            Ok(_) => {}
            Err(conflicts) => errors.extend(conflicts.into_iter().map(ConfigError::Conflict)),
        }
        Err(ConfigErrors(errors))
    }

    /// The configuration with these settings made at run time, for all brokers and for this one.
    /// One that does not fit, or that only a start reads, is left out and told: another version may
    /// have accepted it.
    pub fn with_dynamic(
        &self,
        mut cluster: Overrides,
        mut broker: Overrides,
    ) -> (Self, Vec<Warning>) {
        let mut warnings = Vec::new();
        for (layer, is_for_all) in [(&mut cluster, true), (&mut broker, false)] {
            layer.retain(|key, _| {
                let objection = alter::fixed_at_start(key, is_for_all);
                warnings.extend(objection.map(|why| {
                    Warning::Note(format!("`{key}` was set at run time and is ignored: it {why}"))
                }));
                objection.is_none()
            });
        }
        let layers = BrokerLayers { fixed: self.layers.fixed.clone(), cluster, broker };
        let values = Values::read(&layers.merged(), |setting, value| {
            let value = if setting.is_sensitive() { HIDDEN.to_owned() } else { value.to_owned() };
            let (key, allowed) = (setting.name.to_owned(), allowed(setting));
            warnings.push(Warning::Ignored { key, value, allowed });
        });
        let config = Self { layers, ..self.clone() };
        (config.with_values(&values), warnings)
    }

    /// Refreshes every part that may change at run time.
    pub(crate) fn with_values(self, values: &Values) -> Self {
        Self {
            cordoned_log_dirs: cordoned(&self.log_dirs, values),
            metadata: MetadataSettings::of(values),
            network: NetworkSettings::of(values),
            topics: TopicDefaults::of(values),
            log: LogSettings::of(values),
            cleaner: CleanerSettings::of(values),
            replication: ReplicationSettings::of(values),
            groups: GroupSettings::of(values),
            offsets: OffsetsTopicSettings::of(values),
            producers: ProducerSettings::of(values),
            transactions: TransactionSettings::of(values),
            own: OwnSettings::of(values),
            topic_defaults: Arc::new(TopicConfig::of_broker(values)),
            ..self
        }
    }
}

const HIDDEN: &str = "[hidden]";

fn collect(file: Option<&[Property]>, overrides: &[(String, String)]) -> Assignments {
    let mut given = Assignments::new();
    let mut put = |key: &str, value: &str, origin| {
        given.insert(key.trim().to_owned(), Assignment { value: value.to_owned(), origin });
    };
    match file {
        None => BARE_START.iter().for_each(|(key, value)| put(key, value, Origin::BareStart)),
        Some(file) => file.iter().for_each(|p| put(&p.key, &p.value, Origin::Line(p.line))),
    }
    overrides.iter().for_each(|(key, value)| put(key, value, Origin::CommandLine));
    given
}

/// A bare start is its own quorum: found at its own controller listener, wherever that was put.
fn point_at_own_controller(given: &mut Assignments) {
    const SERVERS: &str = "controller.quorum.bootstrap.servers";
    if given.contains_key(SERVERS) || given.contains_key("controller.quorum.voters") {
        return;
    }
    let text = |key: &str| given.get(key).map_or("", |assignment| assignment.value.as_str());
    let name = text("controller.listener.names").split(',').next().unwrap_or_default().trim();
    let address = text("listeners").split(',').find_map(|listener| {
        let (listener, address) = listener.trim().split_once("://")?;
        listener.eq_ignore_ascii_case(name).then_some(address)
    });
    let value = match address {
        Some(any) if any.starts_with(':') => format!("localhost{any}"),
        Some(address) => address.to_owned(),
        None => return,
    };
    given.insert(SERVERS.to_owned(), Assignment { value, origin: Origin::BareStart });
}

/// `broker.id` is `node.id` by an older name: whichever is given speaks for both.
fn same_id_under_both_names(given: &mut Assignments) -> Vec<ConfigError> {
    const NAMES: [&str; 2] = ["node.id", "broker.id"];
    match NAMES.map(|name| given.get(name).cloned()) {
        [Some(node), Some(broker)]
            if node.value.trim() != broker.value.trim() && node.origin != Origin::BareStart =>
        {
            let text = format!(
                "`node.id` is {} and `broker.id` is {}; they are two names of one number, set only `node.id`",
                node.value, broker.value
            );
            return Vec::from([ConfigError::Conflict(text)]);
        }
        [Some(node), None] => given.insert(NAMES[1].to_owned(), node),
        [_, Some(broker)] => given.insert(NAMES[0].to_owned(), broker),
        [None, None] => None,
    };
    Vec::new()
}

/// What a single assignment, looked at alone, has to be told about.
fn judge(
    key: &str,
    Assignment { value, origin }: &Assignment,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<Warning>,
) {
    let (origin, owned_key) = (*origin, key.to_owned());
    let Some(setting) = find_broker(key) else {
        let names =
            Scope::Broker.settings().filter(|known| !known.internal).map(|known| known.name);
        warnings.push(Warning::Unknown { origin, key: owned_key, nearest: nearest(key, names) });
        return;
    };
    let Some(parsed) = Value::parse(setting, value) else {
        let value = if setting.is_sensitive() { HIDDEN.to_owned() } else { value.clone() };
        errors.push(ConfigError::BadValue {
            origin,
            key: owned_key,
            value,
            allowed: allowed(setting),
        });
        return;
    };
    let default = setting.default_text().and_then(|text| Value::parse(setting, text));
    // An empty value of a setting that has none by default asks for nothing.
    let is_default = default.as_ref() == Some(&parsed)
        || (default.is_none() && parsed.text().is_none_or(|text| text.trim().is_empty()));
    match setting.status {
        _ if is_default || origin == Origin::BareStart => {}
        Status::FatalIfSet(reason) => {
            errors.push(ConfigError::Fatal { origin, key: owned_key, reason })
        }
        Status::NoEffect(reason) => {
            warnings.push(Warning::NoEffect { origin, key: owned_key, reason })
        }
        Status::Honoured | Status::Partly(_) if without_listener(key).is_some() => {
            warnings.push(Warning::NoEffect {
                origin,
                key: owned_key,
                reason: reason::ALL_LISTENERS,
            });
        }
        Status::Honoured | Status::Partly(_) => {}
    }
}

fn hint_for(key: &str) -> &'static str {
    match key {
        "process.roles" => "for a single node: process.roles=broker,controller",
        "node.id" => "any number from 0, unique in the cluster",
        _ => {
            "name the listener of the controllers, for example controller.listener.names=CONTROLLER"
        }
    }
}

/// Reads listeners and directories and puts the configuration together.
fn build(layers: BrokerLayers, values: &Values) -> Result<BrokerConfig, Vec<String>> {
    let mut errors = Vec::new();
    let upper = |name: String| name.to_ascii_uppercase();
    let controller_listener_names: Vec<_> =
        values.list("controller.listener.names").into_iter().map(upper).collect();
    let map =
        protocol_map(&layers.fixed, values, &controller_listener_names).unwrap_or_else(|error| {
            errors.push(format!("`listener.security.protocol.map`: {error}"));
            ProtocolMap::new()
        });
    let mut read = |key: &'static str, distinct_ports| {
        let found = parse_listeners(&values.list(key), &map).unwrap_or_else(|found| {
            errors.extend(found.into_iter().map(|error| format!("`{key}`: {error}")));
            Vec::new()
        });
        let clashes = check_distinct(&found, distinct_ports);
        errors.extend(clashes.into_iter().map(|clash| format!("`{key}`: {clash}")));
        found
    };
    let listeners = read("listeners", true);
    let advertised = match values.get("advertised.listeners") {
        Value::Null => None,
        _ => Some(read("advertised.listeners", false)),
    };
    errors.extend(unprotected(&map, &listeners, &controller_listener_names));
    if !errors.is_empty() {
        return Err(errors);
    }
    let role = |name: &str| values.list("process.roles").iter().any(|role| role == name);
    let log_dirs = match values.get("log.dirs") {
        Value::List(dirs) => dirs,
        _ => values.list("log.dir"),
    };
    let is_controllers = |listener: &Listener| controller_listener_names.contains(&listener.name);
    let node_id = NodeId(values.get("node.id").whole().unwrap_or(-1) as i32);
    let quorum = QuorumSettings::of(values);
    let own_voter = quorum.voters.iter().find(|voter| voter.id == node_id);
    let config = BrokerConfig {
        node_id,
        roles: Roles { broker: role("broker"), controller: role("controller") },
        rack: values.text("broker.rack"),
        metadata_log_dir: values
            .text("metadata.log.dir")
            .unwrap_or_else(|| log_dirs.first().cloned().unwrap_or_default()),
        cordoned_log_dirs: cordoned(&log_dirs, values),
        log_dirs,
        advertised_listeners: advertised
            .as_deref()
            .unwrap_or(&listeners)
            .iter()
            .filter(|listener| !is_controllers(listener))
            .cloned()
            .collect(),
        advertised_controller_listeners: advertised_controllers(
            advertised.as_deref().unwrap_or_default(),
            &listeners,
            &controller_listener_names,
            own_voter.map(|voter| &voter.address),
        ),
        inter_broker_listener_name: values
            .text("inter.broker.listener.name")
            .or_else(|| values.text("security.inter.broker.protocol"))
            .map(upper)
            .unwrap_or_default(),
        listeners,
        controller_listener_names,
        quorum,
        membership: MembershipSettings::of(values),
        metadata: MetadataSettings::of(values),
        network: NetworkSettings::of(values),
        topics: TopicDefaults::of(values),
        log: LogSettings::of(values),
        cleaner: CleanerSettings::of(values),
        replication: ReplicationSettings::of(values),
        groups: GroupSettings::of(values),
        offsets: OffsetsTopicSettings::of(values),
        producers: ProducerSettings::of(values),
        transactions: TransactionSettings::of(values),
        own: OwnSettings::of(values),
        topic_defaults: Arc::new(TopicConfig::of_broker(values)),
        layers,
    };
    Ok(config)
}

/// `*` stands for all.
fn cordoned(log_dirs: &[String], values: &Values) -> Vec<String> {
    let named = values.list("cordoned.log.dirs");
    let is_cordoned = |dir: &&String| named.iter().any(|name| name == "*" || name == *dir);
    log_dirs.iter().filter(is_cordoned).cloned().collect()
}

/// The map as given. Where it is not given, controllers' listeners speak PLAINTEXT, unless some
/// listener is named after another protocol: then nothing is assumed.
fn protocol_map(
    fixed: &Overrides,
    values: &Values,
    controllers: &[String],
) -> Result<ProtocolMap, String> {
    let mut map =
        parse_protocol_map(&values.text("listener.security.protocol.map").unwrap_or_default())?;
    let listeners = values.list("listeners");
    let names = listeners.iter().filter_map(|entry| entry.split_once("://").map(|(name, _)| name));
    let is_protected = |name: &str| {
        SecurityProtocol::from_name(name)
            .is_some_and(|protocol| protocol != SecurityProtocol::Plaintext)
    };
    let assumes = !fixed.contains_key("listener.security.protocol.map")
        && !names.chain(controllers.iter().map(String::as_str)).any(is_protected);
    if assumes {
        for name in controllers {
            map.entry(name.clone()).or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

/// Listeners that should be protected, and would not be.
fn unprotected(map: &ProtocolMap, listeners: &[Listener], controllers: &[String]) -> Vec<String> {
    let names = listeners.iter().map(|listener| &listener.name);
    let mut names: Vec<&String> = names.chain(controllers).collect();
    names.sort();
    names.dedup();
    let protected = names.into_iter().filter_map(|name| {
        let protocol = *map.get(name)?;
        (protocol != SecurityProtocol::Plaintext).then(|| {
            format!("listener {name} speaks {}, but {}", protocol.name(), reason::SECURITY)
        })
    });
    protected.collect()
}

/// For each controller listener what is advertised, or else where it listens. One that listens
/// everywhere is where `controller.quorum.voters` says, if that names this node: the voters know each
/// other by the first of the controllers' listeners.
fn advertised_controllers(
    advertised: &[Listener],
    listeners: &[Listener],
    names: &[String],
    own_voter: Option<&HostPort>,
) -> Vec<Listener> {
    let find = |among: &[Listener], name: &String| among.iter().find(|l| l.name == *name).cloned();
    let every_interface = |mut listener: Listener| {
        if matches!(&*listener.address.host, "" | "0.0.0.0") {
            let known = own_voter.filter(|_| names.first() == Some(&listener.name));
            let anywhere = HostPort { host: String::new(), port: listener.address.port };
            listener.address = known.cloned().unwrap_or(anywhere);
        }
        listener
    };
    names
        .iter()
        .filter_map(|name| {
            find(advertised, name).or_else(|| find(listeners, name).map(every_interface))
        })
        .collect()
}
