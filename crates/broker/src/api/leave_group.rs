//! LeaveGroup: decided by the group's coordinator. Up to version 2 a request names one member, and
//! its error is the whole answer.

use strandline_coordinator::groups::Request;
use strandline_wire::messages::leave_group_request::MemberIdentity;
use strandline_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::cx::Cx;
use crate::session::Hangup;

const FIRST_VERSION_WITH_MEMBERS: i16 = 3;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: LeaveGroupRequest,
) -> Result<LeaveGroupResponse, Hangup> {
    if cx.version < FIRST_VERSION_WITH_MEMBERS {
        let member_id = std::mem::take(&mut request.member_id);
        request.members = vec![MemberIdentity { member_id, ..Default::default() }];
    }
    let group_id = request.group_id.clone();
    let answer =
        cx.handles.groups.ask(&group_id, cx.caller(), Request::LeaveGroup(request)).await;
    let mut response: LeaveGroupResponse =
        answer.unwrap_or_else(|error_code| LeaveGroupResponse { error_code, ..Default::default() });
    if cx.version < FIRST_VERSION_WITH_MEMBERS {
        let members = std::mem::take(&mut response.members);
        if let Some(member) = members.first().filter(|_| response.error_code.is_none()) {
            response.error_code = member.error_code;
        }
    }
    Ok(response)
}
