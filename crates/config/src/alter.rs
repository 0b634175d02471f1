//! Changing settings: what a request may ask, and what comes of it.
//!
//! Pure: the caller holds the settings that are stored and writes the ones that change.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::broker_config::BrokerConfig;
use crate::cross_check::{self, RANGES};
use crate::error::Refusal;
use crate::layers::{BrokerLayers, Overrides};
use crate::nearest::nearest;
use crate::scope::{Scope, find_broker, without_listener};
use crate::setting::{Mode, Setting, Status, Type};
use crate::value::{Value, allowed};
use crate::values::Values;

/// What IncrementalAlterConfigs does to one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Set,
    Delete,
    /// Adds entries to a list, those that it does not have yet.
    Append,
    /// Takes entries out of a list.
    Subtract,
}

impl Operation {
    pub const fn from_wire_id(id: i8) -> Option<Self> {
        match id {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Delete => "delete",
            Self::Append => "append to",
            Self::Subtract => "subtract from",
        }
    }
}

/// One change that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change<'a> {
    pub key: &'a str,
    pub operation: Operation,
    /// Needed by all but [`Operation::Delete`].
    pub value: Option<&'a str>,
}

/// Keys and what they become; `None` is removed. What stays as it was is not in it.
pub type Changes = BTreeMap<String, Option<String>>;

/// What the changes of one resource in IncrementalAlterConfigs come to. They still have to be
/// validated as a whole ([`validate_topic`] and its kin on [`after`]).
///
/// # Errors
/// A key that comes twice or lacks its value; a value that is too long; appending to what is no
/// list.
pub fn incremental(
    scope: Scope,
    current: &Overrides,
    asked: &[Change<'_>],
) -> Result<Changes, Refusal> {
    let mut changes = Changes::new();
    let mut seen = BTreeSet::new();
    for change in asked {
        if change.value.is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            return Err(too_long(change.key));
        }
        if !seen.insert(change.key) {
            return Err(Refusal::InvalidRequest(format!(
                "`{}` comes twice in one change",
                change.key
            )));
        }
        let before = current.get(change.key);
        let after = match (change.operation, change.value) {
            (Operation::Delete, _) => None,
            (_, None) => {
                return Err(Refusal::InvalidRequest(format!(
                    "`{}` comes without a value",
                    change.key
                )));
            }
            (Operation::Set, Some(value)) => Some(value.to_owned()),
            (operation, Some(value)) => {
                Some(edit_list(scope, before, change.key, operation, value)?)
            }
        };
        if after.as_ref().is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            return Err(too_long(change.key));
        }
        // A broker's settings are written even if nothing changes: that makes it load files anew.
        if after.as_ref() != before || scope == Scope::Broker {
            changes.insert(change.key.to_owned(), after);
        }
    }
    Ok(changes)
}

/// Longest value, as the metadata log can hold it.
const VALUE_BYTES_MAX: usize = i16::MAX as usize;

fn too_long(key: &str) -> Refusal {
    Refusal::InvalidConfig(format!("the value of `{key}` is longer than {VALUE_BYTES_MAX} bytes"))
}

fn edit_list(
    scope: Scope,
    before: Option<&String>,
    key: &str,
    operation: Operation,
    value: &str,
) -> Result<String, Refusal> {
    let setting = find(scope, key).filter(|setting| setting.ty == Type::List).ok_or_else(|| {
        Refusal::InvalidConfig(format!("cannot {} `{key}`: it is not a list", operation.name()))
    })?;
    let before = before.map(String::as_str).or(setting.default_text()).unwrap_or_default();
    let mut entries: Vec<&str> = before.split(',').filter(|entry| !entry.is_empty()).collect();
    if operation == Operation::Append {
        let mut known: BTreeSet<&str> = entries.iter().copied().collect();
        entries.extend(value.split(',').filter(|entry| known.insert(entry)));
    } else {
        let gone: BTreeSet<&str> = value.split(',').collect();
        entries.retain(|entry| !gone.contains(entry));
    }
    Ok(entries.join(","))
}

/// What the legacy AlterConfigs comes to: everything that is not named goes.
///
/// # Errors
/// A key that comes twice or lacks its value.
pub fn replace_all(
    scope: Scope,
    current: &Overrides,
    asked: &[(&str, Option<&str>)],
) -> Result<Changes, Refusal> {
    let sets: Vec<_> = asked
        .iter()
        .map(|&(key, value)| Change { key, operation: Operation::Set, value })
        .collect();
    let mut changes = incremental(scope, current, &sets)?;
    let named: BTreeSet<&str> = asked.iter().map(|(key, _)| *key).collect();
    for key in current.keys().filter(|key| !named.contains(key.as_str())) {
        changes.insert(key.clone(), None);
    }
    Ok(changes)
}

/// The settings of a resource once `changes` are made.
pub fn after(current: &Overrides, changes: &Changes) -> Overrides {
    let mut after = current.clone();
    for (key, value) in changes {
        match value {
            Some(value) => after.insert(key.clone(), value.clone()),
            None => after.remove(key),
        };
    }
    after
}

/// The overrides of a topic that is being created.
///
/// # Errors
/// A key without a value, and whatever [`validate_topic`] refuses.
pub fn topic_overrides<'a>(
    layers: &BrokerLayers,
    asked: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<Overrides, Refusal> {
    let mut overrides = Overrides::new();
    for (key, value) in asked {
        let value = value.ok_or_else(|| {
            Refusal::InvalidConfig(format!("topic setting `{key}` comes without a value"))
        })?;
        overrides.insert(key.to_owned(), value.to_owned());
    }
    validate_topic(layers, &overrides)?;
    Ok(overrides)
}

/// Whether a topic may have exactly these overrides.
///
/// # Errors
/// The first that is unknown, does not fit, or contradicts another.
pub fn validate_topic(layers: &BrokerLayers, overrides: &Overrides) -> Result<(), Refusal> {
    check_each(Scope::Topic, overrides)?;
    let values = Values::read(&layers.merged(), |_, _| {});
    let lag = |key: &str, inherited: &'static str| {
        let own = overrides.get(key).and_then(|text| text.trim().parse().ok());
        own.unwrap_or_else(|| values.long(inherited))
    };
    let least = lag("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms");
    let most = lag("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
    if least > most {
        return Err(Refusal::InvalidConfig(format!(
            "`min.compaction.lag.ms` ({least}) must not be above `max.compaction.lag.ms` ({most})"
        )));
    }
    let is_tiered = overrides.get("remote.storage.enable");
    if is_tiered.is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
        return Err(Refusal::InvalidConfig(
            "`remote.storage.enable` cannot be true: this broker has no remote storage".into(),
        ));
    }
    Ok(())
}

/// Whether a group may have exactly these overrides.
///
/// # Errors
/// The first that is unknown, does not fit, or leaves the range the broker allows.
pub fn validate_group(layers: &BrokerLayers, overrides: &Overrides) -> Result<(), Refusal> {
    check_each(Scope::Group, overrides)?;
    let values = Values::read(&layers.merged(), |_, _| {});
    let value_of = |key: &str, inherited: &'static str| {
        let own = overrides.get(key).and_then(|text| text.trim().parse::<i64>().ok());
        own.or_else(|| values.get(inherited).whole()).unwrap_or_default()
    };
    for [least, inherited, greatest] in RANGES {
        let key = inherited.trim_start_matches("group.");
        let value = value_of(key, inherited);
        let bounds = [least, greatest].map(|name| values.get(name).whole().unwrap_or_default());
        if overrides.contains_key(key) && !(bounds[0]..=bounds[1]).contains(&value) {
            return Err(Refusal::InvalidConfig(format!(
                "`{key}` ({value}) must lie between `{least}` ({}) and `{greatest}` ({})",
                bounds[0], bounds[1]
            )));
        }
    }
    let standby = value_of("streams.num.standby.replicas", "group.streams.num.standby.replicas");
    let most = i64::from(values.int("group.streams.max.standby.replicas"));
    if standby > most {
        return Err(Refusal::InvalidConfig(format!(
            "`streams.num.standby.replicas` ({standby}) must not be above `group.streams.max.standby.replicas` ({most})"
        )));
    }
    for (session, beat, inherited) in [
        ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", GROUP_TIMERS[0]),
        ("share.session.timeout.ms", "share.heartbeat.interval.ms", GROUP_TIMERS[1]),
        ("streams.session.timeout.ms", "streams.heartbeat.interval.ms", GROUP_TIMERS[2]),
    ] {
        let (session_ms, beat_ms) = (value_of(session, inherited.0), value_of(beat, inherited.1));
        if session_ms <= beat_ms {
            return Err(Refusal::InvalidConfig(format!(
                "`{session}` ({session_ms}) must be above `{beat}` ({beat_ms})"
            )));
        }
    }
    Ok(())
}

/// The broker's session timeout and heartbeat interval per kind of group.
const GROUP_TIMERS: [(&str, &str); 3] = [
    ("group.consumer.session.timeout.ms", "group.consumer.heartbeat.interval.ms"),
    ("group.share.session.timeout.ms", "group.share.heartbeat.interval.ms"),
    ("group.streams.session.timeout.ms", "group.streams.heartbeat.interval.ms"),
];

/// Whether a client metrics subscription may have exactly these settings.
///
/// # Errors
/// The first that is unknown or does not fit.
pub fn validate_client_metrics(overrides: &Overrides) -> Result<(), Refusal> {
    const SELECTORS: [&str; 6] = [
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    // Kafka answers INVALID_REQUEST here where it answers INVALID_CONFIG for topics and groups.
    check_each(Scope::ClientMetrics, overrides).map_err(|refusal| match refusal {
        Refusal::InvalidConfig(text) | Refusal::InvalidRequest(text) => {
            Refusal::InvalidRequest(text)
        }
    })?;
    let patterns = overrides.get("match").map(String::as_str).unwrap_or_default();
    for pattern in patterns.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
        let selector = pattern.split_once('=').map(|(selector, _)| selector.trim());
        if !selector.is_some_and(|selector| SELECTORS.contains(&selector)) {
            return Err(Refusal::InvalidConfig(format!(
                "`match` contains `{pattern}`; it must be name=pattern, the name one of {}",
                SELECTORS.join(", ")
            )));
        }
    }
    Ok(())
}

/// Whether these may be all the settings made at run time for this broker, or for all brokers.
/// Kafka answers every refusal here with INVALID_REQUEST; unknown keys pass, they may be a plugin's.
///
/// # Errors
/// A setting that only a start reads, that one broker alone may have, that is not written for
/// one listener though it must be, that does not fit or contradicts others, or that secures a
/// broker and is not honoured.
pub fn validate_broker(
    config: &BrokerConfig,
    settings: &Overrides,
    for_all_brokers: bool,
) -> Result<(), Refusal> {
    for (key, value) in settings {
        if let Some(setting) = find_broker(key) {
            check_dynamic(key, setting, value, for_all_brokers)?;
        }
    }
    let mut layers = config.layers.clone();
    let layer = if for_all_brokers { &mut layers.cluster } else { &mut layers.broker };
    *layer = settings.clone();
    let [before, after] =
        [&config.layers, &layers].map(|layers| Values::read(&layers.merged(), |_, _| {}));
    for key in THREADS {
        let (before, after) = (before.int(key), after.int(key));
        if after > before.saturating_mul(2) || after < before / 2 {
            return Err(Refusal::InvalidRequest(format!(
                "`{key}` can change from {before} to no more than twice and no less than half of it at once, not to {after}"
            )));
        }
    }
    let (conflicts, _notes) = cross_check::check(&config.clone().with_values(&after), &after);
    conflicts.into_iter().next().map_or(Ok(()), |conflict| Err(Refusal::InvalidRequest(conflict)))
}

/// Whether this broker has the directories that its own settings name. The controller that judges
/// all the rest ([`validate_broker`]) does not know them.
///
/// # Errors
/// A directory that is not one of `log.dirs`.
pub fn validate_directories(config: &BrokerConfig, settings: &Overrides) -> Result<(), Refusal> {
    let layers = BrokerLayers { broker: settings.clone(), ..config.layers.clone() };
    let values = Values::read(&layers.merged(), |_, _| {});
    cross_check::cordoned(config, &values).map_or(Ok(()), |it| Err(Refusal::InvalidRequest(it)))
}

/// Why this setting cannot change at run time, here; `None` for one that can, or is unknown.
pub(crate) fn fixed_at_start(key: &str, for_all_brokers: bool) -> Option<&'static str> {
    let setting = find_broker(key)?;
    let is_per_listener = without_listener(key).is_some();
    if !is_per_listener && setting.mode == Mode::Static {
        return Some("cannot change at run time: set it in the configuration file and restart");
    }
    if !is_per_listener && PER_LISTENER.contains(&setting.name) {
        return Some("can change at run time only for one listener, as listener.name.NAME.ssl...");
    }
    if for_all_brokers && (is_per_listener || setting.mode == Mode::PerBroker) {
        return Some("can change at run time only for a single broker: name its id");
    }
    if matches!(setting.name, "listeners" | "listener.security.protocol.map") {
        return Some("cannot change at run time: listeners open at start, and stay");
    }
    None
}

/// One setting made at run time, looked at alone.
fn check_dynamic(
    key: &str,
    setting: &Setting,
    value: &str,
    for_all_brokers: bool,
) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::InvalidRequest(format!("`{key}` {why}")));
    if let Some(objection) = fixed_at_start(key, for_all_brokers) {
        return refuse(objection);
    }
    let Some(parsed) = Value::parse(setting, value) else {
        let value = if setting.is_sensitive() { "[hidden]" } else { value };
        return refuse(&format!("is `{value}`; it must be {}", allowed(setting)));
    };
    let default = setting.default_text().and_then(|text| Value::parse(setting, text));
    match setting.status {
        Status::FatalIfSet(reason) if default.as_ref() != Some(&parsed) => {
            refuse(&format!("is refused: {reason}"))
        }
        _ => Ok(()),
    }
}

/// Numbers of threads, which Kafka changes in steps.
const THREADS: [&str; 5] = [
    "num.io.threads",
    "num.network.threads",
    "num.replica.fetchers",
    "num.recovery.threads.per.data.dir",
    "background.threads",
];

/// Settings of certificates, which Kafka lets change at run time for one listener only.
const PER_LISTENER: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

fn find(scope: Scope, key: &str) -> Option<&'static Setting> {
    if scope == Scope::Broker { find_broker(key) } else { scope.find(key) }
}

fn check_each(scope: Scope, overrides: &Overrides) -> Result<(), Refusal> {
    let noun = scope.noun();
    for (key, value) in overrides {
        let Some(setting) = scope.find(key) else {
            let names = scope.settings().filter(|known| !known.internal).map(|known| known.name);
            let meant = nearest(key, names).map(|name| format!("; did you mean `{name}`?"));
            let text = format!("unknown {noun} setting `{key}`{}", meant.unwrap_or_default());
            return Err(Refusal::InvalidConfig(text));
        };
        if Value::parse(setting, value).is_none() {
            let text =
                format!("{noun} setting `{key}` is `{value}`; it must be {}", allowed(setting));
            return Err(Refusal::InvalidConfig(text));
        }
    }
    Ok(())
}
