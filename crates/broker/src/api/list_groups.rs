//! ListGroups: the groups that this broker coordinates.

use strandline_coordinator::groups::{GroupListing, Request};
use strandline_wire::messages::list_groups_response::ListedGroup;
use strandline_wire::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: ListGroupsRequest,
) -> Result<ListGroupsResponse, Hangup> {
    let listing = GroupListing { states: request.states_filter, types: request.types_filter };
    let ask = || Request::ListGroups(listing.clone());
    Ok(match cx.handles.groups.ask_all::<Vec<ListedGroup>>(&cx.caller(), ask).await {
        Ok(lists) => ListGroupsResponse { groups: lists.concat(), ..Default::default() },
        Err(error_code) => ListGroupsResponse { error_code, ..Default::default() },
    })
}
