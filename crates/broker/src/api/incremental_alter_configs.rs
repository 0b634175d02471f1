//! IncrementalAlterConfigs (KIP-339): decided by the controller, as far as this node has nothing
//! against it.

use strandline_config::alter::{self, Change, Operation};
use strandline_config::{Overrides, Refusal, Scope};
use strandline_wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use strandline_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use strandline_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::own_settings::{self, Alteration};
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, Hangup> {
    let refused = own_settings::refuse(cx, &mut request.resources);
    let mut response = match request.resources.is_empty() {
        true => IncrementalAlterConfigsResponse::default(),
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

    /// An operation that there is not is for the controller to refuse.
    fn after(&self, current: &Overrides) -> Result<Overrides, Refusal> {
        let changes: Vec<Change<'_>> = self
            .configs
            .iter()
            .filter_map(|config| {
                let operation = Operation::from_wire_id(config.config_operation)?;
                Some(Change { key: &config.name, operation, value: config.value.as_deref() })
            })
            .collect();
        Ok(alter::after(current, &alter::incremental(Scope::Broker, current, &changes)?))
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
