//! ListPartitionReassignments (KIP-455): answered by the controller, so that whoever has just begun a
//! reassignment sees it.

use strandline_wire::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: ListPartitionReassignmentsRequest,
) -> Result<ListPartitionReassignmentsResponse, Hangup> {
    forward(cx, request).await
}
