//! IncrementalAlterConfigs (KIP-339): decided by the controller.

use strandline_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, Hangup> {
    forward(cx, request).await
}
