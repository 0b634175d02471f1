//! DescribeGroups: a group's state and members. What members say and own is told only of a stable
//! group; in any other state it is about to change.

use alloc::format;
use alloc::string::String;

use bytes::Bytes;
use strandline_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};

use super::Groups;
use super::context::Context;
use crate::contract::{Caller, Ticket};
use crate::groups::api::Response;
use crate::groups::group::{Group, State};
use crate::groups::refusal::Refusal;

/// Before this version a group that does not exist was described as dead (KIP-1043).
const FIRST_VERSION_WITH_GROUP_NOT_FOUND: i16 = 6;

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &Groups,
    ticket: Ticket,
    caller: &Caller,
    group_id: String,
) {
    let described = match groups.get(&group_id) {
        Some(group) => describe(group),
        None => unknown(group_id, caller.version),
    };
    ctx.reply(ticket, Response::DescribeGroup(described));
}

fn unknown(group_id: String, version: i16) -> DescribedGroup {
    let mut described = DescribedGroup { group_state: "Dead".into(), ..Default::default() };
    if version >= FIRST_VERSION_WITH_GROUP_NOT_FOUND {
        described.error_code = Refusal::GroupNotFound.code();
        described.error_message = Some(format!("Group {group_id} not found."));
    }
    described.group_id = group_id;
    described
}

fn describe(group: &Group) -> DescribedGroup {
    let protocol = group.protocol.as_deref().filter(|_| group.state == State::Stable);
    let members = group.members.iter().map(|(id, member)| DescribedGroupMember {
        member_id: id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: protocol.map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
        member_assignment: protocol.map_or_else(Bytes::new, |_| member.assignment.clone()),
        ..Default::default()
    });
    DescribedGroup {
        group_id: group.id.clone(),
        group_state: group.state.name().into(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol_data: protocol.unwrap_or_default().into(),
        members: members.collect(),
        ..Default::default()
    }
}
