//! SyncGroup: the leader brings the assignment, everybody else waits for it.

use alloc::collections::BTreeMap;

use bytes::Bytes;
use strandline_wire::messages::SyncGroupRequest;
use strandline_wire::messages::sync_group_request::SyncGroupRequestAssignment;

use super::Groups;
use super::context::Context;
use super::rebalance::{
    begin_join, hand_out_assignments, note_sync, reply_assignment, take_assignments_back,
};
use crate::contract::{Caller, Ticket};
use crate::groups::group::{Group, State};
use crate::groups::refusal::Refusal;

/// From this version on, the member must say what protocol it thinks was chosen (KIP-559).
const FIRST_VERSION_WITH_PROTOCOL: i16 = 5;

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    caller: &Caller,
    request: SyncGroupRequest,
) {
    if let Err(refusal) = sync(ctx, groups, ticket, caller, &request) {
        ctx.refuse_sync(ticket, refusal.code());
    }
}

fn sync(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    caller: &Caller,
    request: &SyncGroupRequest,
) -> Result<(), Refusal> {
    let says_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if caller.version >= FIRST_VERSION_WITH_PROTOCOL && !says_protocol {
        return Err(Refusal::InconsistentProtocol);
    }
    if request.group_id.is_empty() {
        return Err(Refusal::InvalidGroupId);
    }
    let group = groups.get_mut(&request.group_id).ok_or(Refusal::UnknownMember)?;
    let member_id = &request.member_id;
    group.members.check(member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        return Err(Refusal::IllegalGeneration);
    }
    if disagree(&request.protocol_type, &group.protocol_type)
        || disagree(&request.protocol_name, &group.protocol)
    {
        return Err(Refusal::InconsistentProtocol);
    }
    match group.state {
        State::Empty => Err(Refusal::UnknownMember),
        State::PreparingRebalance => Err(Refusal::RebalanceInProgress),
        State::CompletingRebalance => {
            park(ctx, group, ticket, member_id);
            note_sync(group, member_id);
            if group.is_leader(member_id) {
                assign(ctx, group, &request.assignments);
            }
            Ok(())
        }
        State::Stable => {
            note_sync(group, member_id);
            reply_assignment(ctx, group, ticket, member_id);
            Ok(())
        }
    }
}

fn disagree(asked: &Option<alloc::string::String>, actual: &Option<alloc::string::String>) -> bool {
    matches!((asked, actual), (Some(asked), Some(actual)) if asked != actual)
}

fn park(ctx: &mut Context<'_>, group: &mut Group, ticket: Ticket, member_id: &str) {
    let parked = group.members.get_mut(member_id).and_then(|it| it.parked_sync.replace(ticket));
    if let Some(abandoned) = parked {
        ctx.refuse_sync(abandoned, Refusal::RebalanceInProgress.code());
    }
}

/// Persists the leader's assignment, then tells everybody. Whoever is not named gets nothing.
fn assign(ctx: &mut Context<'_>, group: &mut Group, assignments: &[SyncGroupRequestAssignment]) {
    let by_member: BTreeMap<&str, &Bytes> =
        assignments.iter().map(|it| (it.member_id.as_str(), &it.assignment)).collect();
    for (id, member) in group.members.iter_mut() {
        let assigned = by_member.get(id.as_str());
        member.assignment = assigned.map(|it| Bytes::copy_from_slice(it)).unwrap_or_default();
    }
    let record = group.record();
    if !ctx.fits(&record) {
        take_assignments_back(ctx, group, Refusal::RecordTooLarge.code());
        begin_join(ctx, group);
        return;
    }
    ctx.write(record);
    group.change_state(State::Stable, ctx.timestamp());
    hand_out_assignments(ctx, group);
}
