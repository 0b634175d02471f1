//! AlterConfigs, which replaces all of a resource's settings: decided by the controller, as far as
//! this node has nothing against it.

use strandline_config::{Scope, alter};
use strandline_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use strandline_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::own_settings;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, Hangup> {
    let mut refused = Vec::new();
    request.resources.retain(|resource| {
        let key = (resource.resource_type, resource.resource_name.as_str());
        let judged = own_settings::judge(cx, key, |current| {
            let asked = resource.configs.iter().map(|it| (it.name.as_str(), it.value.as_deref()));
            let asked: Vec<_> = asked.collect();
            Ok(alter::after(current, &alter::replace_all(Scope::Broker, current, &asked)?))
        });
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
        true => AlterConfigsResponse::default(),
        false => forward(cx, request).await?,
    };
    response.responses.extend(refused);
    Ok(response)
}
