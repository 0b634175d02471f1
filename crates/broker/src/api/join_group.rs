//! JoinGroup: decided by the group's coordinator.

use strandline_coordinator::groups::Request;
use strandline_wire::messages::{JoinGroupRequest, JoinGroupResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: JoinGroupRequest,
) -> Result<JoinGroupResponse, Hangup> {
    let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
    let answer =
        cx.handles.groups.ask(&group_id, cx.caller(), Request::JoinGroup(request)).await;
    let mut response: JoinGroupResponse = answer.unwrap_or_else(|error_code| {
        JoinGroupResponse { error_code, member_id, protocol_name: None, ..Default::default() }
    });
    if cx.version < 7 {
        // There was no null yet.
        response.protocol_name.get_or_insert_default();
    }
    Ok(response)
}
