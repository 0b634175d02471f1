//! LeaveGroup: members go at once, instead of being missed; or an administrator removes static
//! members by their `group.instance.id`.

use alloc::string::String;

use strandline_types::ErrorCode;
use strandline_wire::messages::leave_group_request::MemberIdentity;
use strandline_wire::messages::leave_group_response::MemberResponse;
use strandline_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::Groups;
use super::context::Context;
use super::rebalance::{begin_join, complete_join_if_all_joined, remove_member};
use crate::contract::Ticket;
use crate::groups::api::Response;
use crate::groups::group::{Group, State};
use crate::groups::refusal::Refusal;

/// Members are in the list in all versions: the handler puts the one of older versions there.
pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    request: LeaveGroupRequest,
) {
    let mut response = LeaveGroupResponse::default();
    if request.group_id.is_empty() {
        response.error_code = Refusal::InvalidGroupId.code();
    } else {
        let mut group = groups.get_mut(&request.group_id);
        let mut has_changed = false;
        for identity in request.members {
            let left = match &mut group {
                Some(group) => leave(ctx, group, &identity),
                None => Err(Refusal::UnknownMember),
            };
            has_changed |= left.is_ok();
            response.members.push(answer(identity, left));
        }
        if let Some(group) = group.filter(|_| has_changed) {
            rebalance_without(ctx, group);
        }
    }
    ctx.reply(ticket, Response::LeaveGroup(response));
}

fn leave(
    ctx: &mut Context<'_>,
    group: &mut Group,
    identity: &MemberIdentity,
) -> Result<(), Refusal> {
    let instance_id = identity.group_instance_id.as_deref();
    let member_id: String = if identity.member_id.is_empty() {
        let owner = instance_id.and_then(|instance_id| group.members.owner_of(instance_id));
        owner.cloned().ok_or(Refusal::UnknownMember)?
    } else if group.pending_members.remove(&identity.member_id).is_some() {
        return Ok(());
    } else {
        group.members.check(&identity.member_id, instance_id)?;
        identity.member_id.clone()
    };
    remove_member(ctx, group, &member_id, Refusal::UnknownMember);
    Ok(())
}

fn rebalance_without(ctx: &mut Context<'_>, group: &mut Group) {
    match group.state {
        State::CompletingRebalance | State::Stable => begin_join(ctx, group),
        State::PreparingRebalance => complete_join_if_all_joined(ctx, group),
        State::Empty => {}
    }
}

fn answer(identity: MemberIdentity, left: Result<(), Refusal>) -> MemberResponse {
    MemberResponse {
        member_id: identity.member_id,
        group_instance_id: identity.group_instance_id,
        error_code: left.map_or_else(Refusal::code, |()| ErrorCode::NONE),
        ..Default::default()
    }
}
