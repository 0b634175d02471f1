//! AlterConfigs, which replaces all of a resource's settings: decided by the controller, as far as
//! this node has nothing against it.

use strandline_config::{Overrides, Refusal, Scope, alter};
use strandline_wire::messages::alter_configs_request::AlterConfigsResource;
use strandline_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use strandline_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::own_settings::{self, Alteration};
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, Hangup> {
    let refused = own_settings::refuse(cx, &mut request.resources);
    let mut response = match request.resources.is_empty() {
        true => AlterConfigsResponse::default(),
        false => forward(cx, request).await?,
    };
    response.responses.extend(refused);
    Ok(response)
}

impl Alteration for AlterConfigsResource {
    type Answer = AlterConfigsResourceResponse;

    fn resource(&self) -> (i8, &str) {
        (self.resource_type, &self.resource_name)
    }

    fn after(&self, current: &Overrides) -> Result<Overrides, Refusal> {
        let asked = self.configs.iter().map(|it| (it.name.as_str(), it.value.as_deref()));
        let asked: Vec<_> = asked.collect();
        Ok(alter::after(current, &alter::replace_all(Scope::Broker, current, &asked)?))
    }

    fn refused(self, refusal: &Refusal) -> Self::Answer {
        AlterConfigsResourceResponse {
            error_code: refusal.code(),
            error_message: Some(refusal.to_string()),
            resource_type: self.resource_type,
            resource_name: self.resource_name,
            ..Default::default()
        }
    }
}
