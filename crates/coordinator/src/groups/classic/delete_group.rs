//! DeleteGroups: an empty group goes, with all its offsets.

use alloc::collections::BTreeSet;
use alloc::string::String;

use strandline_types::ErrorCode;

use super::Groups;
use super::context::Context;
use crate::contract::Ticket;
use crate::groups::api::{Effect, Response, Timer};
use crate::groups::group::{Group, State};
use crate::groups::offsets::tombstone;
use crate::groups::refusal::Refusal;
use crate::groups::shard::Durable;

pub(crate) fn decide(ctx: &mut Context<'_>, groups: &mut Groups, ticket: Ticket, group_id: &str) {
    let error_code = match admit(groups, group_id) {
        Ok(()) => {
            delete(ctx, groups, group_id);
            ErrorCode::NONE
        }
        Err(refusal) => refusal.code(),
    };
    ctx.reply(ticket, Response::DeleteGroup(error_code));
}

fn admit(groups: &Groups, group_id: &str) -> Result<(), Refusal> {
    match groups.get(group_id) {
        None => Err(Refusal::GroupNotFound),
        Some(group) if group.state != State::Empty => Err(Refusal::NonEmptyGroup),
        Some(_) => Ok(()),
    }
}

/// Everything the log says of the group ends here.
pub(crate) fn delete(ctx: &mut Context<'_>, groups: &mut Groups, group_id: &str) {
    let Durable { offsets, pending, .. } = &*ctx.durable;
    let committed = offsets
        .of_group(group_id)
        .flat_map(|(topic, partitions)| partitions.keys().map(|index| (topic.clone(), *index)));
    let pending = pending.of_group(group_id).map(|(topic, index)| (topic.clone(), index));
    let offsets: BTreeSet<(String, i32)> = committed.chain(pending).collect();
    for (topic, index) in offsets {
        ctx.write(tombstone(group_id, &topic, index));
    }
    ctx.write(Group::tombstone(group_id));
    if groups.remove(group_id).is_some_and(|group| group.armed.is_some()) {
        ctx.effects.push(Effect::Cancel(Timer::Group(group_id.into())));
    }
}
