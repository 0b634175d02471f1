//! UnregisterBroker: decided by the controller.

use strandline_wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: UnregisterBrokerRequest,
) -> Result<UnregisterBrokerResponse, Hangup> {
    forward(cx, request).await
}
