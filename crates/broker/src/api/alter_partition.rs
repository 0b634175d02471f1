//! AlterPartition (KIP-497): decided by the active controller.

use strandline_wire::messages::{AlterPartitionRequest, AlterPartitionResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: AlterPartitionRequest,
) -> Result<AlterPartitionResponse, Hangup> {
    forward(cx, request).await
}
