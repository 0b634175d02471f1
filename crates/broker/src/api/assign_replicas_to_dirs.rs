//! AssignReplicasToDirs (KIP-858): decided by the active controller.

use strandline_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: AssignReplicasToDirsRequest,
) -> Result<AssignReplicasToDirsResponse, Hangup> {
    forward(cx, request).await
}
