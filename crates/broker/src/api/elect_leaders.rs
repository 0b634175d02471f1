//! ElectLeaders (KIP-460): decided by the controller.

use strandline_types::ErrorCode;
use strandline_wire::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

/// Before this version there are errors of partitions only.
const FIRST_VERSION_WITH_ERROR: i16 = 1;

pub(crate) async fn handle(
    cx: &Cx,
    request: ElectLeadersRequest,
) -> Result<ElectLeadersResponse, Hangup> {
    let mut response: ElectLeadersResponse = forward(cx, request).await?;
    if cx.version < FIRST_VERSION_WITH_ERROR {
        response.error_code = ErrorCode::NONE;
    }
    Ok(response)
}
