//! Heartbeat: a member is alive, and learns whether it must join again.

use strandline_types::ErrorCode;
use strandline_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::Groups;
use super::context::Context;
use crate::contract::Ticket;
use crate::groups::api::Response;
use crate::groups::group::State;
use crate::groups::refusal::Refusal;

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    request: &HeartbeatRequest,
) {
    let error_code = match beat(ctx, groups, request) {
        Ok(()) => ErrorCode::NONE,
        Err(refusal) => refusal.code(),
    };
    let response = HeartbeatResponse { error_code, ..Default::default() };
    ctx.reply(ticket, Response::Heartbeat(response));
}

fn beat(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    request: &HeartbeatRequest,
) -> Result<(), Refusal> {
    if request.group_id.is_empty() {
        return Err(Refusal::InvalidGroupId);
    }
    let group = groups.get_mut(&request.group_id).ok_or(Refusal::UnknownMember)?;
    group.members.check(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        return Err(Refusal::IllegalGeneration);
    }
    if let Some(member) = group.members.get_mut(&request.member_id) {
        member.extend_session(ctx.instant());
    }
    match group.state {
        State::PreparingRebalance => Err(Refusal::RebalanceInProgress),
        // Members send heartbeats as soon as they have joined.
        State::Empty | State::CompletingRebalance | State::Stable => Ok(()),
    }
}
