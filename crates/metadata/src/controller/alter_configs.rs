//! AlterConfigs and IncrementalAlterConfigs of topics, brokers, groups and client metrics.
//!
//! With eligible leader replicas, `min.insync.replicas` decides who may lead without loss. So it
//! exists once per cluster and per topic, never per broker, and a change of it makes everybody
//! forget who was eligible under the old one (KIP-966).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use strandline_config::alter::{self, Change, Changes, Operation};
use strandline_config::{Overrides, Scope};
use strandline_types::{ErrorCode, NodeId};
use strandline_wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, ClearElrRecord, ConfigRecord,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_response,
    incremental_alter_configs_response,
};

use super::context::{Context, Denied, duplicates, split};
use crate::image::{ConfigResource, ResourceType};
use crate::{Record, Records};

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";

pub(super) fn decide_incremental(
    cx: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
    records: &mut Records,
) -> IncrementalAlterConfigsResponse {
    let resources = request.resources.iter().map(|r| (r.resource_type, r.resource_name.as_str()));
    let repeated: BTreeSet<_> = duplicates(resources).into_iter().collect();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let key = (resource.resource_type, resource.resource_name.as_str());
        let result = once(&repeated, key).and_then(|()| {
            let changes: Vec<Change<'_>> = resource
                .configs
                .iter()
                .map(|config| {
                    let operation =
                        Operation::from_wire_id(config.config_operation).ok_or_else(|| {
                            let id = config.config_operation;
                            invalid(format!("operation {id} is none of 0 to 3"))
                        })?;
                    Ok(Change { key: &config.name, operation, value: config.value.as_deref() })
                })
                .collect::<Result<_, Denied>>()?;
            alter_one(cx, key, request.validate_only, records, |scope, current| {
                Ok(alter::incremental(scope, current, &changes)?)
            })
        });
        let (error_code, error_message) = split(result);
        responses.push(incremental_alter_configs_response::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        });
    }
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}

pub(super) fn decide_replacing(
    cx: &Context<'_>,
    request: AlterConfigsRequest,
    records: &mut Records,
) -> AlterConfigsResponse {
    let resources = request.resources.iter().map(|r| (r.resource_type, r.resource_name.as_str()));
    let repeated: BTreeSet<_> = duplicates(resources).into_iter().collect();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let key = (resource.resource_type, resource.resource_name.as_str());
        let result = once(&repeated, key).and_then(|()| {
            let asked: Vec<(&str, Option<&str>)> =
                resource.configs.iter().map(|c| (c.name.as_str(), c.value.as_deref())).collect();
            alter_one(cx, key, request.validate_only, records, |scope, current| {
                Ok(alter::replace_all(scope, current, &asked)?)
            })
        });
        let (error_code, error_message) = split(result);
        responses.push(alter_configs_response::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        });
    }
    AlterConfigsResponse { responses, ..Default::default() }
}

/// Whether a partition may find a leader by this record that it could not have before.
pub(super) fn concerns_elections(record: &Record) -> bool {
    matches!(record, Record::Config(config) if config.name == "unclean.leader.election.enable")
}

fn invalid(text: impl Into<String>) -> Denied {
    Denied::new(ErrorCode::INVALID_REQUEST, text)
}

fn once(repeated: &BTreeSet<(i8, &str)>, key: (i8, &str)) -> Result<(), Denied> {
    match repeated.contains(&key) {
        true => Err(invalid("this resource is named twice in one request")),
        false => Ok(()),
    }
}

fn alter_one(
    cx: &Context<'_>,
    (resource_type, name): (i8, &str),
    validate_only: bool,
    records: &mut Records,
    changes_of: impl FnOnce(Scope, &Overrides) -> Result<Changes, Denied>,
) -> Result<(), Denied> {
    let Some(scope) = Scope::from_resource_type(resource_type) else {
        return Err(invalid(format!("resource type {resource_type} has no settings")));
    };
    let resource = ConfigResource::new(ResourceType(resource_type), name);
    let current = cx.image.configs.overrides(&resource);
    let changes = changes_of(scope, current)?;
    check_min_insync_replicas(cx, scope, name, &changes)?;
    check_cordons(cx, scope, &changes)?;
    check_existence(cx, scope, name)?;
    let after = alter::after(current, &changes);
    match scope {
        Scope::Topic => alter::validate_topic(&cx.layers(), &after)?,
        Scope::Group => alter::validate_group(&cx.layers(), &after)?,
        Scope::ClientMetrics => alter::validate_client_metrics(&after)?,
        Scope::Broker => alter::validate_broker(&cx.config(), &after, name.is_empty())?,
    }
    if !validate_only {
        write(cx, scope, &resource, changes, records);
    }
    Ok(())
}

fn check_min_insync_replicas(
    cx: &Context<'_>,
    scope: Scope,
    name: &str,
    changes: &Changes,
) -> Result<(), Denied> {
    let Some(value) = changes.get(MIN_INSYNC_REPLICAS) else { return Ok(()) };
    if scope != Scope::Broker || !cx.image.features.elr_enabled() {
        return Ok(());
    }
    let text = match (name.is_empty(), value) {
        (false, _) => {
            "min.insync.replicas cannot differ between brokers while eligible leader replicas are on"
        }
        (true, None) => {
            "min.insync.replicas of the cluster must stay set while eligible leader replicas are on"
        }
        (true, Some(_)) => return Ok(()),
    };
    Err(Denied::new(ErrorCode::INVALID_CONFIG, text))
}

/// A broker must not be told to keep something away that the metadata have no place for.
fn check_cordons(cx: &Context<'_>, scope: Scope, changes: &Changes) -> Result<(), Denied> {
    let is_supported = cx.version().supports_cordoned_directories();
    if scope != Scope::Broker || is_supported || !changes.contains_key(CORDONED_LOG_DIRS) {
        return Ok(());
    }
    let text = "`cordoned.log.dirs` needs metadata.version 4.3-IV0 or later";
    Err(Denied::new(ErrorCode::INVALID_CONFIG, text))
}

fn check_existence(cx: &Context<'_>, scope: Scope, name: &str) -> Result<(), Denied> {
    match scope {
        Scope::Topic if name.is_empty() => {
            Err(invalid("name a topic: there are no settings of all topics"))
        }
        Scope::Group if name.is_empty() => {
            Err(invalid("name a group: there are no settings of all groups"))
        }
        Scope::ClientMetrics if name.is_empty() => {
            Err(invalid("name a client metrics subscription"))
        }
        Scope::Topic if cx.image.topics.by_name(name).is_none() => Err(Denied::new(
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            format!("there is no topic {name}"),
        )),
        Scope::Broker if !name.is_empty() => {
            let Ok(id) = name.parse::<i32>() else {
                return Err(invalid(format!("broker `{name}` is not a number")));
            };
            let cluster = &cx.image.cluster;
            let exists = cluster.broker(NodeId(id)).is_some()
                || cluster.controller(NodeId(id)).is_some()
                || cx.settings.config.node_id == NodeId(id);
            match exists {
                true => Ok(()),
                false => Err(Denied::new(
                    ErrorCode::BROKER_ID_NOT_REGISTERED,
                    format!("no broker or controller is registered as {id}"),
                )),
            }
        }
        _ => Ok(()),
    }
}

fn write(
    cx: &Context<'_>,
    scope: Scope,
    resource: &ConfigResource,
    changes: Changes,
    records: &mut Records,
) {
    let changes_minimum = changes.contains_key(MIN_INSYNC_REPLICAS);
    records.extend(changes.into_iter().map(|(name, value)| {
        Record::from(ConfigRecord {
            resource_type: resource.resource_type.0,
            resource_name: resource.name.clone(),
            name,
            value,
            ..Default::default()
        })
    }));
    if changes_minimum && cx.image.features.elr_enabled() {
        let topic_name = match scope {
            Scope::Topic => resource.name.clone(),
            _ => String::new(),
        };
        records.push(Record::from(ClearElrRecord { topic_name, ..Default::default() }));
    }
}
