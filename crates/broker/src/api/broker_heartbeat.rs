//! BrokerHeartbeat (KIP-631): decided by the active controller.

use strandline_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: BrokerHeartbeatRequest,
) -> Result<BrokerHeartbeatResponse, Hangup> {
    forward(cx, request).await
}
