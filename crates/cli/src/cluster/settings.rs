//! Settings that were given to brokers and topics at run time.

use std::collections::BTreeMap;

use strandline_client::admin::{ConfigChange, ConfigResource, ConfigSource, ResourceType};
use strandline_client::{Admin, ClientError, Refusal};
use strandline_types::ErrorCode;

/// Values by what has them, and their setting.
pub(super) type Values = BTreeMap<(ConfigResource, &'static str), String>;
pub(super) type Changes = BTreeMap<ConfigResource, Vec<ConfigChange>>;

/// What was given to each of these alone. What all brokers have, or a broker's file says, shows again
/// once that is deleted. Topics that are gone have nothing.
pub(super) async fn own(
    admin: &Admin,
    resources: &[ConfigResource],
    names: &[&'static str],
) -> Result<Values, ClientError> {
    let mut values = Values::new();
    if resources.is_empty() {
        return Ok(values);
    }
    for name in names {
        for (resource, entry) in admin.describe_config(resources, name).await? {
            let source = match resource.kind {
                ResourceType::Broker => ConfigSource::DynamicBroker,
                _ => ConfigSource::Topic,
            };
            let entry = unless_gone(&resource, entry)?.flatten();
            let value = entry.filter(|it| it.source == source).and_then(|it| it.value);
            values.extend(value.map(|value| ((resource, *name), value)));
        }
    }
    Ok(values)
}

/// # Errors
/// The first refusal, unless it is of a topic that is gone.
pub(super) async fn alter(admin: &Admin, changes: Changes) -> Result<(), ClientError> {
    if changes.is_empty() {
        return Ok(());
    }
    let changes: Vec<_> = changes.into_iter().collect();
    for (resource, result) in admin.alter_configs(&changes, false).await? {
        unless_gone(&resource, result)?;
    }
    Ok(())
}

/// A topic may be deleted at any moment, and what was said about it goes with it.
fn unless_gone<T>(
    resource: &ConfigResource,
    result: Result<T, Refusal>,
) -> Result<Option<T>, ClientError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(refusal) if refusal.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => Ok(None),
        Err(refusal) => {
            let subject = format!("{:?} {}", resource.kind, resource.name).to_lowercase();
            Err(ClientError::Refused { subject, refusal })
        }
    }
}
