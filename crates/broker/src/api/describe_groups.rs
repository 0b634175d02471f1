//! DescribeGroups: each group is described by its coordinator.

use std::collections::BTreeSet;

use strandline_coordinator::groups::Request;
use strandline_wire::messages::describe_groups_response::DescribedGroup;
use strandline_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

/// Without access control everybody may read, delete and describe a group and describe and alter
/// its configs: operations 3, 6, 8, 10 and 11.
const ALL_GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeGroupsRequest,
) -> Result<DescribeGroupsResponse, Hangup> {
    let mut response = DescribeGroupsResponse::default();
    // Repeated, one large group would fill the memory.
    let mut seen = BTreeSet::new();
    for group_id in request.groups {
        if !seen.insert(group_id.clone()) {
            continue;
        }
        let asked = Request::DescribeGroup { group_id: group_id.clone() };
        let answer = cx.handles.groups.ask(&group_id, cx.caller(), asked).await;
        let mut described: DescribedGroup = answer.unwrap_or_else(|error_code| {
            DescribedGroup { group_id, error_code, ..Default::default() }
        });
        if request.include_authorized_operations && described.error_code.is_none() {
            described.authorized_operations = ALL_GROUP_OPERATIONS;
        }
        response.groups.push(described);
    }
    Ok(response)
}
