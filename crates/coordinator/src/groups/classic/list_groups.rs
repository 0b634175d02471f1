//! ListGroups: the groups of this shard that pass the filters. Filters know no case; unknown types
//! and states match nothing.

use strandline_wire::messages::list_groups_response::ListedGroup;

use super::Groups;
use super::context::Context;
use crate::contract::Ticket;
use crate::groups::api::{GroupListing, Response};
use crate::groups::group::Group;

const CLASSIC: &str = "classic";

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &Groups,
    ticket: Ticket,
    request: &GroupListing,
) {
    let wanted = |filter: &[alloc::string::String], value: &str| {
        filter.is_empty() || filter.iter().any(|it| it.eq_ignore_ascii_case(value))
    };
    let listed = groups
        .values()
        .filter(|group| {
            wanted(&request.types, CLASSIC) && wanted(&request.states, group.state.name())
        })
        .map(list)
        .collect();
    ctx.reply(ticket, Response::ListGroups(listed));
}

fn list(group: &Group) -> ListedGroup {
    ListedGroup {
        group_id: group.id.clone(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        group_state: group.state.name().into(),
        group_type: CLASSIC.into(),
        ..Default::default()
    }
}
