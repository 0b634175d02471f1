//! SyncGroup: decided by the group's coordinator.

use strandline_coordinator::groups::Request;
use strandline_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: SyncGroupRequest,
) -> Result<SyncGroupResponse, Hangup> {
    let group_id = request.group_id.clone();
    let answer =
        cx.handles.groups.ask(&group_id, cx.caller(), Request::SyncGroup(request)).await;
    Ok(answer.unwrap_or_else(|error_code| SyncGroupResponse { error_code, ..Default::default() }))
}
