//! ListGroups: the groups that this broker coordinates.

use strandline_coordinator::GroupListing;
use strandline_wire::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: ListGroupsRequest,
) -> Result<ListGroupsResponse, Hangup> {
    let listing = GroupListing { states: request.states_filter, types: request.types_filter };
    Ok(match cx.handles.groups.list(&cx.caller(), &listing).await {
        Ok(groups) => ListGroupsResponse { groups, ..Default::default() },
        Err(error_code) => ListGroupsResponse { error_code, ..Default::default() },
    })
}
