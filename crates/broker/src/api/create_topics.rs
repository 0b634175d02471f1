//! CreateTopics: decided by the controller.

use strandline_wire::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, Hangup> {
    forward(cx, request).await
}
