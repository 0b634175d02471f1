//! DeleteGroups: each group is deleted by its coordinator.

use std::collections::BTreeSet;

use strandline_coordinator::groups::Request;
use strandline_types::ErrorCode;
use strandline_wire::messages::delete_groups_response::DeletableGroupResult;
use strandline_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DeleteGroupsRequest,
) -> Result<DeleteGroupsResponse, Hangup> {
    let mut response = DeleteGroupsResponse::default();
    // A group that is named twice is deleted, and answered for, once.
    let groups: BTreeSet<String> = request.groups_names.into_iter().collect();
    for group_id in groups {
        let asked = Request::DeleteGroup { group_id: group_id.clone() };
        let answer: Result<ErrorCode, ErrorCode> =
            cx.handles.groups.ask(&group_id, cx.caller(), asked).await;
        let error_code = answer.unwrap_or_else(|code| code);
        response.results.push(DeletableGroupResult { group_id, error_code, ..Default::default() });
    }
    Ok(response)
}
