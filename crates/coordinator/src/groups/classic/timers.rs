//! What happens in a group by itself.

use alloc::vec::Vec;

use super::Groups;
use super::context::Context;
use super::rebalance::{
    begin_join, complete_join, complete_join_if_all_joined, rebalance, remove_member,
};
use crate::groups::api::{Effect, Timer};
use crate::groups::group::{Due, Group, JoinPhase, State};
use crate::groups::refusal::Refusal;

/// Does what is due, in the order in which it fell due.
pub(crate) fn fire(ctx: &mut Context<'_>, groups: &mut Groups, group_id: &str) {
    let Some(group) = groups.get_mut(group_id) else { return };
    group.armed = None;
    while let Some(due) = group.due(ctx.instant()) {
        match due {
            Due::Session(member_id) => session_ended(ctx, group, &member_id),
            Due::PendingMember(member_id) => {
                group.pending_members.remove(&member_id);
                complete_join_if_all_joined(ctx, group);
            }
            Due::Join => join_phase_ended(ctx, group),
            Due::Sync => sync_phase_ended(ctx, group),
        }
    }
}

fn session_ended(ctx: &mut Context<'_>, group: &mut Group, member_id: &str) {
    let Some(member) = group.members.get_mut(member_id) else { return };
    if member.is_excused() {
        // The answer to what it is parked with begins a new session.
        member.session_ends = None;
        return;
    }
    remove_member(ctx, group, member_id, Refusal::UnknownMember);
    match group.state {
        State::CompletingRebalance | State::Stable => rebalance(ctx, group),
        State::PreparingRebalance => complete_join_if_all_joined(ctx, group),
        State::Empty => {}
    }
}

fn join_phase_ended(ctx: &mut Context<'_>, group: &mut Group) {
    if let Some(JoinPhase::Initial { delay, remaining, .. }) = group.join_phase
        && group.has_newcomers
        && !remaining.is_zero()
    {
        // Whoever comes now would cause a rebalance right after this one.
        group.has_newcomers = false;
        let next = ctx.settings.initial_rebalance_delay.min(remaining);
        group.join_phase = Some(JoinPhase::Initial {
            ends: ctx.instant() + next,
            delay: next,
            remaining: remaining.saturating_sub(delay),
        });
        return;
    }
    complete_join(ctx, group);
}

/// Members that joined but never asked for their assignment hold the others up.
fn sync_phase_ended(ctx: &mut Context<'_>, group: &mut Group) {
    group.sync_ends = None;
    let missing: Vec<_> = core::mem::take(&mut group.pending_syncs).into_iter().collect();
    for member_id in &missing {
        remove_member(ctx, group, member_id, Refusal::UnknownMember);
    }
    if !missing.is_empty() {
        begin_join(ctx, group);
    }
}

/// Makes sure that the group's timer fires no later than its next deadline. One that fires too
/// early finds nothing to do and is armed again: heartbeats, which only put deadlines off, cost no
/// timer.
pub(crate) fn arm(ctx: &mut Context<'_>, group: &mut Group) {
    let next = group.next_deadline();
    match (next, group.armed) {
        (Some(next), Some(armed)) if armed <= next => {}
        (Some(next), _) => {
            group.armed = Some(next);
            ctx.effects.push(Effect::Arm(Timer::Group(group.id.clone()), next));
        }
        (None, Some(_)) => {
            group.armed = None;
            ctx.effects.push(Effect::Cancel(Timer::Group(group.id.clone())));
        }
        (None, None) => {}
    }
}
