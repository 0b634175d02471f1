//! IncrementalAlterConfigs (KIP-339): decided by the controller, as far as this node has nothing
//! against it.

use strandline_config::alter::{self, Change, Operation};
use strandline_config::{Overrides, Refusal, Scope};
use strandline_wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use strandline_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use strandline_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::own_settings;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, Hangup> {
    let mut refused = Vec::new();
    request.resources.retain(|resource| {
        let key = (resource.resource_type, resource.resource_name.as_str());
        let judged = own_settings::judge(cx, key, |current| after(current, resource));
        let Err(refusal) = judged else { return true };
        refused.push(AlterConfigsResourceResponse {
            error_code: refusal.code(),
            error_message: Some(refusal.to_string()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..Default::default()
        });
        false
    });
    let mut response = match request.resources.is_empty() {
        true => IncrementalAlterConfigsResponse::default(),
        false => forward(cx, request).await?,
    };
    response.responses.extend(refused);
    Ok(response)
}

/// A broker's settings with the changes. An operation that there is not is for the controller to
/// refuse.
fn after(current: &Overrides, resource: &AlterConfigsResource) -> Result<Overrides, Refusal> {
    let changes: Vec<Change<'_>> = resource
        .configs
        .iter()
        .filter_map(|config| {
            let operation = Operation::from_wire_id(config.config_operation)?;
            Some(Change { key: &config.name, operation, value: config.value.as_deref() })
        })
        .collect();
    Ok(alter::after(current, &alter::incremental(Scope::Broker, current, &changes)?))
}
