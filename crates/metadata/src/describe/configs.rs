//! DescribeConfigs and ListConfigResources.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use strandline_config::{BrokerLayers, Overrides, Scope, describe};
use strandline_types::{ErrorCode, NodeId};
use strandline_wire::messages::describe_configs_request::DescribeConfigsResource;
use strandline_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use strandline_wire::messages::list_config_resources_response;

use crate::controller::topic_name;
use crate::image::{ConfigResource, Image, ResourceType};

/// The node that answers: its configuration file is known to nobody else.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    pub node_id: NodeId,
    /// What was given at its start.
    pub fixed: &'a Overrides,
}

impl Own<'_> {
    /// Everything that holds for this broker: at start, for all brokers, for this one.
    pub fn layers(&self, image: &Image) -> BrokerLayers {
        let set = |resource: &ConfigResource| image.configs.overrides(resource).clone();
        BrokerLayers {
            fixed: self.fixed.clone(),
            cluster: set(&ConfigResource::all_brokers()),
            broker: set(&ConfigResource::broker(self.node_id)),
        }
    }
}

/// The settings of one resource, or why they cannot be told. Loggers are the process's own and are
/// not described here.
pub fn configs(
    image: &Image,
    own: Own<'_>,
    asked: &DescribeConfigsResource,
    with_synonyms: bool,
    with_documentation: bool,
) -> DescribeConfigsResult {
    let mut result = DescribeConfigsResult {
        error_message: None,
        resource_type: asked.resource_type,
        resource_name: asked.resource_name.clone(),
        ..Default::default()
    };
    match described(image, own, asked) {
        Ok(all) => {
            let keys: BTreeSet<_> = asked.configuration_keys.iter().flatten().collect();
            let wanted = |name: &String| keys.is_empty() || keys.contains(name);
            let shown = all.into_iter().filter(|setting| wanted(&setting.name));
            result.configs = shown.map(|s| entry(s, with_synonyms, with_documentation)).collect();
        }
        Err((code, message)) => {
            result.error_code = code;
            result.error_message = Some(message);
        }
    }
    result
}

fn described(
    image: &Image,
    own: Own<'_>,
    asked: &DescribeConfigsResource,
) -> Result<Vec<describe::Described>, (ErrorCode, String)> {
    let invalid = |text: String| Err((ErrorCode::INVALID_REQUEST, text));
    let name = asked.resource_name.as_str();
    let resource = ConfigResource::new(ResourceType(asked.resource_type), name);
    let overrides = image.configs.overrides(&resource);
    match Scope::from_resource_type(asked.resource_type) {
        Some(Scope::Topic) => {
            if let Some(objection) = topic_name::objection(name) {
                return Err((ErrorCode::INVALID_TOPIC_EXCEPTION, objection));
            }
            if image.topics.by_name(name).is_none() {
                return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, String::new()));
            }
            Ok(describe::topic(&own.layers(image), overrides))
        }
        Some(Scope::Broker) if name.is_empty() => Ok(describe::all_brokers(&own.layers(image))),
        Some(Scope::Broker) => match name.parse::<i32>() {
            Ok(id) if NodeId(id) == own.node_id => Ok(describe::broker(&own.layers(image))),
            Ok(id) => invalid(format!(
                "this is broker {}; ask broker {id} for its own settings",
                own.node_id
            )),
            Err(_) => invalid(format!("broker `{name}` is not a number")),
        },
        Some(Scope::Group) if name.is_empty() => invalid("name a group".into()),
        Some(Scope::Group) => Ok(describe::group(&own.layers(image), overrides)),
        Some(Scope::ClientMetrics) if name.is_empty() => {
            invalid("name a client metrics subscription".into())
        }
        Some(Scope::ClientMetrics) => Ok(describe::client_metrics(overrides)),
        None => invalid(format!("resource type {} has no settings", asked.resource_type)),
    }
}

fn entry(
    setting: describe::Described,
    with_synonyms: bool,
    with_documentation: bool,
) -> DescribeConfigsResourceResult {
    let synonyms = if with_synonyms { setting.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: setting.name,
        value: setting.value,
        read_only: setting.is_read_only,
        config_source: setting.source.wire_id(),
        is_sensitive: setting.is_sensitive,
        synonyms: synonyms
            .into_iter()
            .map(|synonym| DescribeConfigsSynonym {
                name: synonym.name,
                value: synonym.value,
                source: synonym.source.wire_id(),
                ..Default::default()
            })
            .collect(),
        config_type: setting.ty.map_or(0, |ty| ty.wire_id()),
        documentation: setting
            .documentation
            .filter(|_| with_documentation)
            .map(ToString::to_string),
        ..Default::default()
    }
}

/// The resources of these types that have settings; of every type if none is named. Topics and
/// brokers are listed whether or not anything is set for them. `None` for a type that cannot be
/// listed.
pub fn config_resources(
    image: &Image,
    types: &[i8],
) -> Option<Vec<list_config_resources_response::ConfigResource>> {
    const LISTED: [ResourceType; 5] = [
        ResourceType::GROUP,
        ResourceType::CLIENT_METRICS,
        ResourceType::BROKER_LOGGER,
        ResourceType::BROKER,
        ResourceType::TOPIC,
    ];
    if !types.iter().all(|asked| LISTED.contains(&ResourceType(*asked))) {
        return None;
    }
    let mut listed = Vec::new();
    for kind in LISTED.into_iter().filter(|kind| types.is_empty() || types.contains(&kind.0)) {
        let names: BTreeSet<String> = match kind {
            ResourceType::TOPIC => {
                image.topics.iter().map(|topic| topic.name.to_string()).collect()
            }
            ResourceType::BROKER | ResourceType::BROKER_LOGGER => {
                image.cluster.brokers().map(|broker| broker.id().to_string()).collect()
            }
            _ => {
                let set = image.configs.resources();
                let of_kind = set.filter(|(resource, _)| resource.resource_type == kind);
                of_kind.map(|(resource, _)| resource.name.clone()).collect()
            }
        };
        listed.extend(names.into_iter().map(|resource_name| {
            list_config_resources_response::ConfigResource {
                resource_name,
                resource_type: kind.0,
                ..Default::default()
            }
        }));
    }
    Some(listed)
}
