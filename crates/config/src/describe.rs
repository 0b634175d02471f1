//! What DescribeConfigs answers: each value, who set it, and what else it could have come from.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::layers::{BrokerLayers, Overrides, Source, family};
use crate::scope::{Scope, find_broker};
use crate::setting::{Mode, Setting, Type};
use crate::value::Value;
use crate::values::Values;

/// One value of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    pub name: String,
    /// `None` where there is no value, or where it must not be shown.
    pub value: Option<String>,
    pub source: Source,
    /// Whether the value can only be set at start.
    pub is_read_only: bool,
    pub is_sensitive: bool,
    /// Everything that was set under this value's names, the one that holds coming first.
    pub synonyms: Vec<SetSomewhere>,
    /// `None` for a setting that is not in the table.
    pub ty: Option<Type>,
    pub documentation: Option<&'static str>,
}

/// A value under one name in one layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetSomewhere {
    pub name: String,
    pub value: Option<String>,
    pub source: Source,
}

/// A topic's settings with these overrides.
pub fn topic(layers: &BrokerLayers, overrides: &Overrides) -> Vec<Described> {
    let values = Values::read(&layers.merged(), |_, _| {});
    visible(Scope::Topic)
        .map(|setting| {
            let value = own(setting, overrides).unwrap_or_else(|| inherited(setting, &values));
            let broker = setting.synonyms.first().map(|synonym| synonym.name);
            let mut synonyms = broker
                .map(|name| set_somewhere(layers, name, setting.is_sensitive()))
                .unwrap_or_default();
            if overrides.contains_key(setting.name) {
                synonyms.insert(0, set(setting.name, value.text(), Source::Topic));
            }
            described(setting, value.text(), synonyms, false)
        })
        .collect()
}

/// A group's settings with these overrides. One without a broker's setting behind it names its
/// own default as its synonym.
pub fn group(layers: &BrokerLayers, overrides: &Overrides) -> Vec<Described> {
    let values = Values::read(&layers.merged(), |_, _| {});
    visible(Scope::Group)
        .map(|setting| {
            let own = own(setting, overrides);
            let value = own.clone().unwrap_or_else(|| inherited(setting, &values)).text();
            let mut synonyms = match (setting.synonyms.first(), &own) {
                (Some(broker), _) => set_somewhere(layers, broker.name, setting.is_sensitive()),
                (None, Some(_)) => Vec::new(),
                (None, None) => vec![set(setting.name, value.clone(), Source::Default)],
            };
            if own.is_some() {
                synonyms.insert(0, set(setting.name, value.clone(), Source::Group));
            }
            described(setting, value, synonyms, false)
        })
        .collect()
}

/// The settings of a client metrics subscription.
pub fn client_metrics(overrides: &Overrides) -> Vec<Described> {
    visible(Scope::ClientMetrics)
        .map(|setting| match own(setting, overrides) {
            Some(value) => {
                let synonyms = vec![set(setting.name, value.text(), Source::ClientMetrics)];
                described(setting, value.text(), synonyms, false)
            }
            None => described(setting, default(setting).text(), Vec::new(), false),
        })
        .collect()
}

/// A broker's settings: everything in the table, and what was given beside it.
pub fn broker(layers: &BrokerLayers) -> Vec<Described> {
    let merged = layers.merged();
    let values = Values::read(&merged, |_, _| {});
    let listed = visible(Scope::Broker)
        .filter(|setting| !exists_only_while_set(setting) || merged.contains_key(setting.name))
        .map(|setting| {
            let text = match values.of(setting.name) {
                _ if setting.is_sensitive() => None,
                value => value.text(),
            };
            let synonyms = set_somewhere(layers, setting.name, setting.is_sensitive());
            described(setting, text, synonyms, setting.mode == Mode::Static)
        });
    let beside = merged
        .iter()
        .filter(|(name, _)| Scope::Broker.find(name).is_none_or(|setting| setting.internal))
        .map(|(name, value)| beside_table(layers, name, value, true));
    listed.chain(beside).collect()
}

/// What was set at run time for all brokers.
pub fn all_brokers(layers: &BrokerLayers) -> Vec<Described> {
    let set_here = layers.cluster.iter();
    set_here.map(|(name, value)| beside_table(layers, name, value, false)).collect()
}

/// One value as it was written, with or without a row in the table.
fn beside_table(layers: &BrokerLayers, name: &str, value: &str, of_one_broker: bool) -> Described {
    let row = find_broker(name);
    // What is unknown may be a secret of some plugin.
    let is_sensitive = row.is_none_or(Setting::is_sensitive);
    let mut synonyms = set_somewhere(layers, name, is_sensitive);
    if !of_one_broker {
        synonyms.retain(|synonym| synonym.source == Source::DynamicDefaultBroker);
    }
    Described {
        name: name.to_owned(),
        value: (!is_sensitive).then(|| value.to_owned()),
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        is_read_only: Scope::Broker.find(name).is_none_or(|setting| setting.mode == Mode::Static),
        is_sensitive,
        synonyms,
        ty: row.map(|setting| setting.ty),
        documentation: row.map(|setting| setting.doc),
    }
}

fn visible(scope: Scope) -> impl Iterator<Item = &'static Setting> {
    scope.settings().filter(|setting| !setting.internal)
}

/// Throttles exist only while they are set, and an authorizer's own settings only beside it.
fn exists_only_while_set(setting: &Setting) -> bool {
    matches!(
        setting.name,
        "leader.replication.throttled.rate"
            | "follower.replication.throttled.rate"
            | "replica.alter.log.dirs.io.max.bytes.per.second"
            | "super.users"
            | "allow.everyone.if.no.acl.found"
    )
}

fn own(setting: &Setting, overrides: &Overrides) -> Option<Value> {
    overrides.get(setting.name).and_then(|text| Value::parse(setting, text))
}

fn default(setting: &Setting) -> Value {
    setting.default_text().and_then(|text| Value::parse(setting, text)).unwrap_or(Value::Null)
}

fn inherited(setting: &Setting, values: &Values) -> Value {
    setting.synonyms.first().map_or_else(|| default(setting), |broker| values.get(broker.name))
}

fn set(name: &str, value: Option<String>, source: Source) -> SetSomewhere {
    SetSomewhere { name: name.to_owned(), value, source }
}

/// Everything set for a broker's value, strongest first, from the first one under `name` on.
///
/// Kafka drops what stands before it, so that a value set only as `log.retention.hours` leaves
/// `log.retention.ms` (and a topic's `retention.ms`) without a source: that is described as default.
fn set_somewhere(layers: &BrokerLayers, name: &str, is_sensitive: bool) -> Vec<SetSomewhere> {
    let mut names = family(name);
    if let Some(row) = find_broker(name).filter(|row| row.name != name) {
        names.push(row.name);
    }
    let mut found = Vec::new();
    for (layer, source) in layers.strongest_first() {
        for name in &names {
            if let Some(value) = layer.get(*name) {
                found.push(set(name, (!is_sensitive).then(|| value.clone()), source));
            }
        }
    }
    for name in &names {
        let text = Scope::Broker.find(name).filter(|row| !exists_only_while_set(row)).map(default);
        if let Some(text) = text.and_then(|value| value.text()) {
            found.push(set(name, (!is_sensitive).then_some(text), Source::Default));
        }
    }
    let skipped = found.iter().position(|synonym| synonym.name == name).unwrap_or(found.len());
    found.split_off(skipped)
}

fn described(
    setting: &'static Setting,
    value: Option<String>,
    synonyms: Vec<SetSomewhere>,
    is_read_only: bool,
) -> Described {
    Described {
        name: setting.name.to_owned(),
        value,
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        is_read_only,
        is_sensitive: setting.is_sensitive(),
        synonyms,
        ty: Some(setting.ty),
        documentation: Some(setting.doc),
    }
}
