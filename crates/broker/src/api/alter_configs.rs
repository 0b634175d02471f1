//! AlterConfigs, which replaces all of a resource's settings: decided by the controller.

use strandline_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: AlterConfigsRequest,
) -> Result<AlterConfigsResponse, Hangup> {
    forward(cx, request).await
}
