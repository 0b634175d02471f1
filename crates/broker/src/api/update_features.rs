//! UpdateFeatures (KIP-584): decided by the controller.

use strandline_wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: UpdateFeaturesRequest,
) -> Result<UpdateFeaturesResponse, Hangup> {
    forward(cx, request).await
}
