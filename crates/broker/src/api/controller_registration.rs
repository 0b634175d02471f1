//! ControllerRegistration (KIP-919): decided by the active controller.

use strandline_wire::messages::{ControllerRegistrationRequest, ControllerRegistrationResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: ControllerRegistrationRequest,
) -> Result<ControllerRegistrationResponse, Hangup> {
    forward(cx, request).await
}
