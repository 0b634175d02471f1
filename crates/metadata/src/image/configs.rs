//! What has been set, per resource: topics, brokers, groups, client metrics.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use strandline_types::NodeId;
use strandline_wire::messages::{UnknownTags, config_record::ConfigRecord};

use crate::{Record, Records, SharedMap};

/// What kind of thing is configured, by its number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(pub i8);

impl ResourceType {
    pub const TOPIC: Self = Self(2);
    pub const BROKER: Self = Self(4);
    pub const BROKER_LOGGER: Self = Self(8);
    pub const CLIENT_METRICS: Self = Self(16);
    pub const GROUP: Self = Self(32);
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::TOPIC => "topic",
            Self::BROKER => "broker",
            Self::BROKER_LOGGER => "broker logger",
            Self::CLIENT_METRICS => "client metrics",
            Self::GROUP => "group",
            Self(other) => return write!(f, "resource type {other}"),
        })
    }
}

/// One thing that has settings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConfigResource {
    pub resource_type: ResourceType,
    /// Empty for the default of all brokers.
    pub name: String,
}

impl ConfigResource {
    pub fn new(resource_type: ResourceType, name: impl Into<String>) -> Self {
        Self { resource_type, name: name.into() }
    }

    pub fn topic(name: impl Into<String>) -> Self {
        Self::new(ResourceType::TOPIC, name)
    }

    pub fn broker(id: NodeId) -> Self {
        use alloc::string::ToString;
        Self::new(ResourceType::BROKER, id.to_string())
    }

    /// Settings of every broker that has none of its own.
    pub fn all_brokers() -> Self {
        Self::new(ResourceType::BROKER, "")
    }

    pub fn group(name: impl Into<String>) -> Self {
        Self::new(ResourceType::GROUP, name)
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Setting {
    value: String,
    unknown_tags: UnknownTags,
}

/// The settings of one resource.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings(BTreeMap<String, Setting>);

impl Settings {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|setting| setting.value.as_str())
    }

    /// Keys and values, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, setting)| (key.as_str(), setting.value.as_str()))
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Configs {
    by_resource: SharedMap<ConfigResource, Arc<Settings>>,
}

impl Configs {
    pub fn settings(&self, resource: &ConfigResource) -> Option<&Arc<Settings>> {
        self.by_resource.get(resource)
    }

    pub fn get(&self, resource: &ConfigResource, key: &str) -> Option<&str> {
        self.settings(resource)?.get(key)
    }

    /// Resources that have settings, ascending.
    pub fn resources(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<Settings>)> {
        self.by_resource.iter()
    }

    pub(super) fn changes(before: &Self, after: &Self, mut report: impl FnMut(&ConfigResource)) {
        SharedMap::for_each_change(
            &before.by_resource,
            &after.by_resource,
            |a, b| Arc::ptr_eq(a, b) || a == b,
            |resource, _, _| report(resource),
        );
    }

    pub(super) fn apply(&mut self, record: ConfigRecord) {
        let resource =
            ConfigResource::new(ResourceType(record.resource_type), record.resource_name);
        let settings = self.by_resource.get_mut(&resource);
        match (record.value, settings) {
            (Some(value), settings) => {
                let setting = Setting { value, unknown_tags: record.unknown_tags };
                match settings {
                    Some(settings) => {
                        Arc::make_mut(settings).0.insert(record.name, setting);
                    }
                    None => {
                        let settings = Settings(BTreeMap::from([(record.name, setting)]));
                        self.by_resource.insert(resource, Arc::new(settings));
                    }
                }
            }
            (None, Some(settings)) => {
                let settings = Arc::make_mut(settings);
                settings.0.remove(&record.name);
                if settings.0.is_empty() {
                    self.by_resource.remove(&resource);
                }
            }
            (None, None) => {}
        }
    }

    pub(super) fn remove(&mut self, resource: &ConfigResource) {
        self.by_resource.remove(resource);
    }

    pub(super) fn snapshot(&self, records: &mut Records) {
        for (resource, settings) in self.by_resource.iter() {
            records.extend(settings.0.iter().map(|(name, setting)| {
                Record::from(ConfigRecord {
                    resource_type: resource.resource_type.0,
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(setting.value.clone()),
                    unknown_tags: setting.unknown_tags.clone(),
                })
            }));
        }
    }
}
