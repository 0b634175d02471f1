//! JoinGroup: a member wants to be in the next generation, and waits until that exists.
//!
//! A dynamic newcomer is first given its member id (KIP-394), so that one that gives up waiting
//! cannot leave nameless members behind. A static one (KIP-345) takes the place of whoever had its
//! `group.instance.id` before.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use strandline_wire::messages::{JoinGroupRequest, JoinGroupResponse};

use super::Groups;
use super::context::Context;
use super::rebalance::{begin_join, complete_join_if_all_joined, joined_response, rebalance};
use crate::contract::{Caller, Ticket};
use crate::groups::group::{Group, State};
use crate::groups::members::{Member, millis};
use crate::groups::refusal::Refusal;

/// From this version on, newcomers must come back with the id that they were given.
const FIRST_VERSION_WITH_REQUIRED_MEMBER_ID: i16 = 4;
/// From this version on, a static leader may be told not to assign (KIP-814).
const FIRST_VERSION_WITH_SKIPPED_ASSIGNMENT: i16 = 9;
/// A newcomer cannot send heartbeats while it waits: it must try again after so long.
const NEWCOMER_PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    caller: &Caller,
    mut request: JoinGroupRequest,
) {
    if request.rebalance_timeout_ms < 0 {
        // Version 0 has none.
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    if let Err((member_id, refusal)) = join(ctx, groups, ticket, caller, &request) {
        ctx.refuse_join(ticket, &member_id, refusal);
    }
}

type Refused = (String, Refusal);

fn join(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    caller: &Caller,
    request: &JoinGroupRequest,
) -> Result<(), Refused> {
    let member_id = || request.member_id.clone();
    if request.group_id.is_empty() {
        return Err((member_id(), Refusal::InvalidGroupId));
    }
    let (min, max) = (ctx.settings.session_timeout_min_ms, ctx.settings.session_timeout_max_ms);
    if request.session_timeout_ms < min || request.session_timeout_ms > max {
        return Err((member_id(), Refusal::InvalidSessionTimeout));
    }
    let is_newcomer = request.member_id.is_empty();
    let is_new_group = !groups.contains_key(&request.group_id);
    if is_new_group && !is_newcomer {
        return Err((member_id(), Refusal::UnknownMember));
    }
    let id = &request.group_id;
    let group = groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()));
    if is_new_group {
        // From here on the group is in lists, whatever becomes of this member.
        group.state_changed_at = Some(ctx.timestamp());
        ctx.write(group.record());
    }
    if !has_room_for(group, &request.member_id, ctx.settings.group_size_max) {
        super::rebalance::remove_member(ctx, group, &request.member_id, Refusal::GroupFull);
        return Err((String::new(), Refusal::GroupFull));
    }
    if is_newcomer {
        join_newcomer(ctx, group, ticket, caller, request)
    } else {
        join_known(ctx, group, ticket, caller, request)
    }
}

/// A group that is too large (the limit may have been lowered) sheds those who join last.
fn has_room_for(group: &Group, member_id: &str, size_max: usize) -> bool {
    let member = group.members.get(member_id);
    match group.state {
        State::Empty => true,
        State::PreparingRebalance => {
            let joined = group.members.iter().filter(|(_, it)| it.has_joined()).count();
            member.is_some_and(Member::has_joined) || joined < size_max
        }
        State::CompletingRebalance | State::Stable => {
            member.is_some() || group.members.len() < size_max
        }
    }
}

fn join_newcomer(
    ctx: &mut Context<'_>,
    group: &mut Group,
    ticket: Ticket,
    caller: &Caller,
    request: &JoinGroupRequest,
) -> Result<(), Refused> {
    if !group.supports(&request.protocol_type, &request.protocols) {
        return Err((String::new(), Refusal::InconsistentProtocol));
    }
    let instance_id = request.group_instance_id.as_deref();
    let member_id = new_member_id(instance_id.unwrap_or(&caller.client_id), ctx.moment.seed);
    let former = instance_id.and_then(|instance_id| group.members.owner_of(instance_id)).cloned();
    if let Some(former) = former {
        take_over(ctx, group, ticket, caller, request, &former, member_id);
        return Ok(());
    }
    if instance_id.is_none() && caller.version >= FIRST_VERSION_WITH_REQUIRED_MEMBER_ID {
        let ends = ctx.instant() + millis(request.session_timeout_ms);
        group.pending_members.insert(member_id.clone(), ends);
        return Err((member_id, Refusal::MemberIdRequired));
    }
    add(ctx, group, ticket, caller, request, member_id);
    Ok(())
}

/// `<clientId>-<uuid>`, or `<instanceId>-<uuid>` of a static member.
fn new_member_id(prefix: &str, seed: u128) -> String {
    let version = (seed & !(0xf << 76)) | (0x4 << 76);
    let bits = (version & !(0b11 << 62)) | (0b10 << 62);
    let part = |shift: u32, digits: u32| (bits >> shift) & ((1 << (digits * 4)) - 1);
    format!(
        "{prefix}-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12),
    )
}

fn join_known(
    ctx: &mut Context<'_>,
    group: &mut Group,
    ticket: Ticket,
    caller: &Caller,
    request: &JoinGroupRequest,
) -> Result<(), Refused> {
    let member_id = &request.member_id;
    let refused = |refusal| (member_id.clone(), refusal);
    if !group.supports(&request.protocol_type, &request.protocols) {
        return Err(refused(Refusal::InconsistentProtocol));
    }
    let instance_id = request.group_instance_id.as_deref();
    if instance_id.is_none() && group.pending_members.contains_key(member_id) {
        add(ctx, group, ticket, caller, request, member_id.clone());
        return Ok(());
    }
    group.members.check(member_id, instance_id).map_err(refused)?;
    let member = group.members.get(member_id).ok_or_else(|| refused(Refusal::UnknownMember))?;
    let is_unchanged = member.matches(&request.protocols);
    let is_leader = group.is_leader(member_id);
    let knows_enough = match group.state {
        // The answer to its first JoinGroup may have been lost.
        State::CompletingRebalance => is_unchanged,
        // A leader joins again when it knows something that others do not: new partitions.
        State::Stable => is_unchanged && !is_leader,
        State::Empty | State::PreparingRebalance => false,
    };
    if knows_enough {
        let response = joined_response(group, member_id.clone());
        ctx.reply_join(ticket, response);
        return Ok(());
    }
    update(ctx, group, ticket, request, member_id);
    rebalance(ctx, group);
    Ok(())
}

/// A member that was not in the group before.
fn add(
    ctx: &mut Context<'_>,
    group: &mut Group,
    ticket: Ticket,
    caller: &Caller,
    request: &JoinGroupRequest,
    member_id: String,
) {
    let member = Member {
        instance_id: request.group_instance_id.clone(),
        client_id: caller.client_id.clone(),
        client_host: caller.client_host.clone(),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: Member::protocols_of(&request.protocols),
        assignment: bytes::Bytes::new(),
        is_new: true,
        parked_join: Some(ticket),
        parked_sync: None,
        session_ends: Some(ctx.instant() + NEWCOMER_PATIENCE),
    };
    if group.state == State::PreparingRebalance && group.previous_state == State::Empty {
        group.has_newcomers = true;
    }
    group.add(member_id, member, request.protocol_type.clone());
    rebalance(ctx, group);
}

/// Parks the request with its member, and takes over what the member offers now.
fn update(
    ctx: &mut Context<'_>,
    group: &mut Group,
    ticket: Ticket,
    request: &JoinGroupRequest,
    member_id: &str,
) {
    let Some(member) = group.members.get_mut(member_id) else { return };
    member.protocols = Member::protocols_of(&request.protocols);
    member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    member.session_timeout_ms = request.session_timeout_ms;
    if let Some(abandoned) = member.parked_join.replace(ticket) {
        // Its client has sent another one, so it no longer waits for this answer.
        ctx.refuse_join(abandoned, member_id, Refusal::RebalanceInProgress);
    }
}

/// A static member is back under a new member id; the old one is fenced.
fn take_over(
    ctx: &mut Context<'_>,
    group: &mut Group,
    ticket: Ticket,
    caller: &Caller,
    request: &JoinGroupRequest,
    former: &str,
    member_id: String,
) {
    let former_leader = group.leader.clone();
    let was_leader = group.is_leader(former);
    let Some(mut member) = group.members.remove(former) else { return };
    ctx.dismiss(&mut member, former, Refusal::FencedInstance);
    member.is_new = false;
    member.extend_session(ctx.instant());
    group.members.insert(member_id.clone(), member);
    if was_leader {
        group.leader = Some(member_id.clone());
    }
    if group.pending_syncs.remove(former) {
        group.pending_syncs.insert(member_id.clone());
    }
    update(ctx, group, ticket, request, &member_id);
    match group.state {
        State::Stable => {
            if group.elected_protocol() != group.protocol || !ctx.fits(&group.record()) {
                rebalance(ctx, group);
                return;
            }
            group.note_subscriptions();
            ctx.write(group.record());
            let response =
                rejoined_response(group, caller.version, member_id.clone(), former_leader);
            if let Some(ticket) =
                group.members.get_mut(&member_id).and_then(|it| it.parked_join.take())
            {
                ctx.reply_join(ticket, response);
            }
        }
        // The leader may be assigning to the old id right now.
        State::CompletingRebalance => begin_join(ctx, group),
        State::PreparingRebalance => complete_join_if_all_joined(ctx, group),
        State::Empty => {}
    }
}

/// Tells a static member that nothing has changed. A leader that cannot be told to skip the
/// assignment is made to believe that another one leads.
fn rejoined_response(
    group: &Group,
    version: i16,
    member_id: String,
    former_leader: Option<String>,
) -> JoinGroupResponse {
    let is_leader = group.is_leader(&member_id);
    let response = joined_response(group, member_id);
    if version >= FIRST_VERSION_WITH_SKIPPED_ASSIGNMENT {
        return JoinGroupResponse { skip_assignment: is_leader, ..response };
    }
    JoinGroupResponse {
        leader: former_leader.unwrap_or_default(),
        members: alloc::vec::Vec::new(),
        ..response
    }
}
