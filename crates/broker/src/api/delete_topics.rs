//! DeleteTopics: decided by the controller. Metadata forget the topic at once, the disk a little later.

use strandline_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, Hangup> {
    forward(cx, request).await
}
