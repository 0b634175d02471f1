//! AllocateProducerIds (KIP-730): decided by the active controller.

use strandline_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: AllocateProducerIdsRequest,
) -> Result<AllocateProducerIdsResponse, Hangup> {
    forward(cx, request).await
}
