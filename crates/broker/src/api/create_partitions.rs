//! CreatePartitions: decided by the controller.

use strandline_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, Hangup> {
    forward(cx, request).await
}
