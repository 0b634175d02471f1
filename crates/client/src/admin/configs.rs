//! Settings of topics, brokers and groups.

use std::collections::BTreeSet;

use strandline_wire::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    describe_configs_request::DescribeConfigsResource,
    describe_configs_response::DescribeConfigsResourceResult,
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
};

use strandline_types::{ErrorCode, NodeId};

use super::{Admin, PerItem};
use crate::error::{ClientError, Refusal};

/// What has settings; the numbers are Kafka's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ResourceType {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
    Other(i8),
}

impl ResourceType {
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 2,
            Self::Broker => 4,
            Self::BrokerLogger => 8,
            Self::ClientMetrics => 16,
            Self::Group => 32,
            Self::Other(code) => code,
        }
    }

    pub const fn from_code(code: i8) -> Self {
        match code {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            other => Self::Other(other),
        }
    }
}

/// One thing with settings. A broker's name is its id; the empty one is all brokers' default.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConfigResource {
    pub kind: ResourceType,
    pub name: String,
}

impl ConfigResource {
    pub fn topic(name: impl Into<String>) -> Self {
        Self { kind: ResourceType::Topic, name: name.into() }
    }

    pub fn broker(name: impl Into<String>) -> Self {
        Self { kind: ResourceType::Broker, name: name.into() }
    }

    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: ResourceType::Group, name: name.into() }
    }

    /// Which broker must be asked: only it knows its own settings.
    fn node(&self) -> Option<NodeId> {
        match self.kind {
            ResourceType::Broker | ResourceType::BrokerLogger => self.name.parse().ok().map(NodeId),
            _ => None,
        }
    }
}

/// Where a value comes from; the numbers are Kafka's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    Topic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
    ClientMetrics,
    Group,
    Unknown,
}

impl ConfigSource {
    fn from_code(code: i8) -> Self {
        match code {
            1 => Self::Topic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicDefaultBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            6 => Self::DynamicBrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            _ => Self::Unknown,
        }
    }

    /// As Kafka's tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "DYNAMIC_TOPIC_CONFIG",
            Self::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Self::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Self::StaticBroker => "STATIC_BROKER_CONFIG",
            Self::Default => "DEFAULT_CONFIG",
            Self::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
            Self::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Self::Group => "DYNAMIC_GROUP_CONFIG",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One setting as it is in effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` when unset, and when sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    /// Who else has a say, the strongest first: name, value, source.
    pub synonyms: Vec<(String, Option<String>, ConfigSource)>,
    pub documentation: Option<String>,
}

/// One change of one setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigChange {
    Set {
        name: String,
        value: String,
    },
    /// Back to the default.
    Delete {
        name: String,
    },
    /// Adds to a list.
    Append {
        name: String,
        value: String,
    },
    /// Takes from a list.
    Subtract {
        name: String,
        value: String,
    },
}

impl ConfigChange {
    pub fn set(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Set { name: name.into(), value: value.into() }
    }

    fn to_wire(&self) -> AlterableConfig {
        let (name, config_operation, value) = match self {
            Self::Set { name, value } => (name, 0, Some(value)),
            Self::Delete { name } => (name, 1, None),
            Self::Append { name, value } => (name, 2, Some(value)),
            Self::Subtract { name, value } => (name, 3, Some(value)),
        };
        AlterableConfig {
            name: name.clone(),
            config_operation,
            value: value.cloned(),
            ..Default::default()
        }
    }
}

impl Admin {
    /// All settings of each resource, sorted by name as the broker sends them.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        with_documentation: bool,
    ) -> Result<PerItem<ConfigResource, Vec<ConfigEntry>>, ClientError> {
        self.describe_settings(resources, None, with_documentation).await
    }

    /// One setting of each resource; none where the resource has no such setting.
    pub async fn describe_config(
        &self,
        resources: &[ConfigResource],
        name: &str,
    ) -> Result<PerItem<ConfigResource, Option<ConfigEntry>>, ClientError> {
        let described = self.describe_settings(resources, Some(name), false).await?;
        let only = |entries: Vec<ConfigEntry>| entries.into_iter().find(|it| it.name == name);
        Ok(described.into_iter().map(|(resource, it)| (resource, it.map(only))).collect())
    }

    async fn describe_settings(
        &self,
        resources: &[ConfigResource],
        only: Option<&str>,
        with_documentation: bool,
    ) -> Result<PerItem<ConfigResource, Vec<ConfigEntry>>, ClientError> {
        let mut results = Vec::new();
        for (node, resources) in by_node(resources) {
            let build = |version| DescribeConfigsRequest {
                resources: resources.iter().map(|resource| to_describe(resource, only)).collect(),
                include_synonyms: true,
                include_documentation: with_documentation && version >= 3,
                ..Default::default()
            };
            let response = match node {
                Some(node) => self.client.call_node(node, build).await?,
                None => self.client.call_any(build).await?,
            };
            results.extend(response.results.into_iter().map(|result| {
                let kind = ResourceType::from_code(result.resource_type);
                let checked = Refusal::check(result.error_code, result.error_message);
                let entries = checked.map(|()| result.configs.into_iter().map(entry_of).collect());
                (ConfigResource { kind, name: result.resource_name }, entries)
            }));
        }
        Ok(results)
    }

    /// Changes only what is named (KIP-339). Each resource is named once: of one that is named twice
    /// the controller might take some changes, and refuse others.
    pub async fn alter_configs(
        &self,
        changes: &[(ConfigResource, Vec<ConfigChange>)],
        validate_only: bool,
    ) -> Result<PerItem<ConfigResource, ()>, ClientError> {
        let resources: Vec<_> = changes.iter().map(|(resource, _)| resource.clone()).collect();
        let mut named = BTreeSet::new();
        if let Some(twice) = resources.iter().find(|it| !named.insert(*it)) {
            let message = Some("named twice in one request".to_owned());
            let refusal = Refusal { code: ErrorCode::INVALID_REQUEST, message };
            return Err(ClientError::refused(twice.name.as_str(), refusal));
        }
        let mut results = Vec::new();
        for (node, resources) in by_node(&resources) {
            let mine = changes.iter().filter(|(resource, _)| resources.contains(&resource));
            let wire: Vec<_> = mine
                .map(|(resource, changes)| AlterConfigsResource {
                    resource_type: resource.kind.code(),
                    resource_name: resource.name.clone(),
                    configs: changes.iter().map(ConfigChange::to_wire).collect(),
                    ..Default::default()
                })
                .collect();
            let build = |_| IncrementalAlterConfigsRequest {
                resources: wire.clone(),
                validate_only,
                ..Default::default()
            };
            let response = match node {
                Some(node) => self.client.call_node(node, build).await?,
                None => self.client.call_any(build).await?,
            };
            results.extend(response.responses.into_iter().map(|result| {
                let kind = ResourceType::from_code(result.resource_type);
                let resource = ConfigResource { kind, name: result.resource_name };
                (resource, Refusal::check(result.error_code, result.error_message))
            }));
        }
        Ok(results)
    }

    /// What has settings of its own; no kinds asks for all kinds.
    pub async fn list_config_resources(
        &self,
        kinds: &[ResourceType],
    ) -> Result<Vec<ConfigResource>, ClientError> {
        let response = self
            .client
            .call_any(|_| ListConfigResourcesRequest {
                resource_types: kinds.iter().map(|kind| kind.code()).collect(),
                ..Default::default()
            })
            .await?;
        ClientError::check("config resources", response.error_code, None)?;
        let resources = response.config_resources.into_iter().map(|resource| ConfigResource {
            kind: ResourceType::from_code(resource.resource_type),
            name: resource.resource_name,
        });
        Ok(resources.collect())
    }
}

fn by_node(resources: &[ConfigResource]) -> Vec<(Option<NodeId>, Vec<&ConfigResource>)> {
    let mut groups: Vec<(Option<NodeId>, Vec<&ConfigResource>)> = Vec::new();
    for resource in resources {
        let node = resource.node();
        match groups.iter_mut().find(|(of, _)| *of == node) {
            Some((_, group)) => group.push(resource),
            None => groups.push((node, vec![resource])),
        }
    }
    groups
}

fn to_describe(resource: &ConfigResource, only: Option<&str>) -> DescribeConfigsResource {
    DescribeConfigsResource {
        resource_type: resource.kind.code(),
        resource_name: resource.name.clone(),
        configuration_keys: only.map(|name| vec![name.to_owned()]),
        ..Default::default()
    }
}

fn entry_of(config: DescribeConfigsResourceResult) -> ConfigEntry {
    let synonyms = config.synonyms.into_iter();
    ConfigEntry {
        name: config.name,
        value: config.value,
        source: ConfigSource::from_code(config.config_source),
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        synonyms: synonyms
            .map(|synonym| (synonym.name, synonym.value, ConfigSource::from_code(synonym.source)))
            .collect(),
        documentation: config.documentation,
    }
}
