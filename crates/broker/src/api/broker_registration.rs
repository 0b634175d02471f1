//! BrokerRegistration (KIP-631): decided by the active controller.

use strandline_wire::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: BrokerRegistrationRequest,
) -> Result<BrokerRegistrationResponse, Hangup> {
    forward(cx, request).await
}
