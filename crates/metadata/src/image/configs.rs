//! What has been set, per resource: topics, brokers, groups, client metrics.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use strandline_config::Overrides;
use strandline_types::NodeId;
use strandline_wire::messages::{ConfigRecord, UnknownTags};

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

/// The settings of one resource.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings {
    overrides: Overrides,
    /// Fields of the latest records that this version does not know, by key.
    unknown_tags: BTreeMap<String, UnknownTags>,
}

impl Settings {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.overrides.get(key).map(String::as_str)
    }

    pub fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    fn set(&mut self, key: String, value: String, unknown_tags: UnknownTags) {
        if unknown_tags.is_empty() {
            self.unknown_tags.remove(&key);
        } else {
            self.unknown_tags.insert(key.clone(), unknown_tags);
        }
        self.overrides.insert(key, value);
    }

    fn unset(&mut self, key: &str) {
        self.overrides.remove(key);
        self.unknown_tags.remove(key);
    }
}

static NO_OVERRIDES: Overrides = Overrides::new();

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

    /// What is set for the resource, empty if nothing is.
    pub fn overrides(&self, resource: &ConfigResource) -> &Overrides {
        self.settings(resource).map_or(&NO_OVERRIDES, |settings| settings.overrides())
    }

    pub(super) fn apply(&mut self, record: ConfigRecord) {
        let resource =
            ConfigResource::new(ResourceType(record.resource_type), record.resource_name);
        match (record.value, self.by_resource.get_mut(&resource)) {
            (Some(value), Some(settings)) => {
                Arc::make_mut(settings).set(record.name, value, record.unknown_tags);
            }
            (Some(value), None) => {
                let mut settings = Settings::default();
                settings.set(record.name, value, record.unknown_tags);
                self.by_resource.insert(resource, Arc::new(settings));
            }
            (None, Some(settings)) => {
                let settings = Arc::make_mut(settings);
                settings.unset(&record.name);
                if settings.overrides.is_empty() {
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
            records.extend(settings.overrides.iter().map(|(name, value)| {
                Record::from(ConfigRecord {
                    resource_type: resource.resource_type.0,
                    resource_name: resource.name.clone(),
                    name: name.clone(),
                    value: Some(value.clone()),
                    unknown_tags: settings.unknown_tags.get(name).cloned().unwrap_or_default(),
                })
            }));
        }
    }
}
