//! The steps of a rebalance that several operations take.

use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::ErrorCode;
use strandline_wire::messages::join_group_response::JoinGroupResponseMember;
use strandline_wire::messages::{JoinGroupResponse, SyncGroupResponse};

use super::context::Context;
use crate::contract::Ticket;
use crate::groups::api::Response;
use crate::groups::group::{Group, JoinPhase, State};
use crate::groups::members::Member;
use crate::groups::refusal::Refusal;

/// After a change of members or of what they offer.
pub(crate) fn rebalance(ctx: &mut Context<'_>, group: &mut Group) {
    match group.state {
        State::PreparingRebalance => complete_join_if_all_joined(ctx, group),
        State::Empty | State::CompletingRebalance | State::Stable => begin_join(ctx, group),
    }
}

/// Ends the join phase early, unless it is the first one: that always takes its time.
pub(crate) fn complete_join_if_all_joined(ctx: &mut Context<'_>, group: &mut Group) {
    let in_phase = group.state == State::PreparingRebalance;
    if in_phase && group.previous_state != State::Empty && group.everybody_has_joined() {
        complete_join(ctx, group);
    }
}

/// Asks all members to join again.
pub(crate) fn begin_join(ctx: &mut Context<'_>, group: &mut Group) {
    if group.state == State::CompletingRebalance {
        take_assignments_back(ctx, group, Refusal::RebalanceInProgress.code());
    }
    group.sync_ends = None;
    let is_first = group.state == State::Empty;
    group.change_state(State::PreparingRebalance, ctx.timestamp());
    let now = ctx.instant();
    if is_first {
        let delay = ctx.settings.initial_rebalance_delay;
        let remaining = group.rebalance_timeout().saturating_sub(delay);
        group.join_phase = Some(JoinPhase::Initial { ends: now + delay, delay, remaining });
    } else if group.everybody_has_joined() {
        complete_join(ctx, group);
    } else {
        group.join_phase = Some(JoinPhase::Rebalance { ends: now + group.rebalance_timeout() });
    }
}

/// The join phase is over: those who have joined are the next generation.
pub(crate) fn complete_join(ctx: &mut Context<'_>, group: &mut Group) {
    group.join_phase = None;
    for id in absent_dynamic_members(group) {
        group.remove(&id);
    }
    if !group.members.is_empty() && !group.elect_leader_that_joined() {
        // Only static members are left and none is back: they keep their places until their
        // sessions end.
        let ends = ctx.instant() + group.rebalance_timeout();
        group.join_phase = Some(JoinPhase::Rebalance { ends });
        return;
    }
    group.generation = group.generation.checked_add(1).unwrap_or(1);
    group.pending_syncs.clear();
    group.has_newcomers = false;
    if group.members.is_empty() {
        group.protocol = None;
        group.leader = None;
        group.note_subscriptions();
        group.change_state(State::Empty, ctx.timestamp());
        ctx.write(group.record());
        return;
    }
    group.protocol = group.elected_protocol();
    group.note_subscriptions();
    group.change_state(State::CompletingRebalance, ctx.timestamp());
    answer_joins(ctx, group);
    group.pending_syncs = group.members.ids().cloned().collect();
    group.sync_ends = Some(ctx.instant() + group.rebalance_timeout());
}

fn absent_dynamic_members(group: &Group) -> Vec<String> {
    let absent = |member: &Member| member.instance_id.is_none() && !member.has_joined();
    group.members.iter().filter(|(_, it)| absent(it)).map(|(id, _)| id.clone()).collect()
}

fn answer_joins(ctx: &mut Context<'_>, group: &mut Group) {
    let now = ctx.instant();
    let mut joined = Vec::new();
    for (id, member) in group.members.iter_mut() {
        member.extend_session(now);
        member.is_new = false;
        joined.extend(member.parked_join.take().map(|ticket| (ticket, id.clone())));
    }
    for (ticket, id) in joined {
        let response = joined_response(group, id);
        ctx.reply_join(ticket, response);
    }
}

/// What a member learns of the current generation; the leader learns of everybody.
pub(crate) fn joined_response(group: &Group, member_id: String) -> JoinGroupResponse {
    let members = match group.is_leader(&member_id) {
        true => everybody(group),
        false => Vec::new(),
    };
    JoinGroupResponse {
        error_code: ErrorCode::NONE,
        generation_id: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        leader: group.leader.clone().unwrap_or_default(),
        member_id,
        members,
        ..Default::default()
    }
}

fn everybody(group: &Group) -> Vec<JoinGroupResponseMember> {
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let members = group.members.iter();
    members
        .map(|(id, member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
            ..Default::default()
        })
        .collect()
}

/// Tells everybody who waits for an assignment that there is none.
pub(crate) fn take_assignments_back(ctx: &mut Context<'_>, group: &mut Group, code: ErrorCode) {
    let now = ctx.instant();
    for (_, member) in group.members.iter_mut() {
        member.assignment.clear();
        if let Some(ticket) = member.parked_sync.take() {
            member.extend_session(now);
            ctx.refuse_sync(ticket, code);
        }
    }
}

/// Answers everybody who waits for an assignment.
pub(crate) fn hand_out_assignments(ctx: &mut Context<'_>, group: &mut Group) {
    let now = ctx.instant();
    let mut parked = Vec::new();
    for (id, member) in group.members.iter_mut() {
        if let Some(ticket) = member.parked_sync.take() {
            member.extend_session(now);
            parked.push((ticket, id.clone()));
        }
    }
    for (ticket, id) in parked {
        reply_assignment(ctx, group, ticket, &id);
    }
}

pub(crate) fn reply_assignment(
    ctx: &mut Context<'_>,
    group: &Group,
    ticket: Ticket,
    member_id: &str,
) {
    let assignment =
        group.members.get(member_id).map(|it| it.assignment.clone()).unwrap_or_default();
    let response = SyncGroupResponse {
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        assignment,
        ..Default::default()
    };
    ctx.reply(ticket, Response::SyncGroup(response));
}

/// The member has asked for its assignment.
pub(crate) fn note_sync(group: &mut Group, member_id: &str) {
    group.pending_syncs.remove(member_id);
    if group.pending_syncs.is_empty() {
        group.sync_ends = None;
    }
}

/// The member is gone for good; whatever it is parked with is answered.
pub(crate) fn remove_member(
    ctx: &mut Context<'_>,
    group: &mut Group,
    member_id: &str,
    refusal: Refusal,
) {
    if let Some(mut member) = group.remove(member_id) {
        // Kafka says nothing about the member id here: whoever is alive joins as a new member.
        ctx.dismiss(&mut member, "", refusal);
    }
    if group.pending_syncs.is_empty() {
        group.sync_ends = None;
    }
}
