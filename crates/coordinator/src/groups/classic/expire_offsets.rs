//! Forgets offsets that nobody has needed for `offsets.retention.minutes`, and groups that have
//! nothing left.
//!
//! An offset ages from the moment its group became empty; while the group has members, only
//! offsets of topics that they do not read age, from their commit (KIP-211). A group that never had
//! members ages from each commit.

use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::Timestamp;

use super::Groups;
use super::context::Context;
use super::delete_group::delete;
use crate::groups::api::{Effect, Timer};
use crate::groups::group::{Group, State};
use crate::groups::offsets::{CommittedOffset, tombstone};
use crate::groups::shard::Durable;

pub(crate) fn fire(ctx: &mut Context<'_>, groups: &mut Groups) {
    let ids: Vec<String> = groups.keys().cloned().collect();
    for id in ids {
        let Some(group) = groups.get(&id) else { continue };
        for (topic, index) in expired(ctx, group) {
            ctx.write(tombstone(&id, &topic, index));
        }
        let Durable { offsets, pending, .. } = &*ctx.durable;
        let has_offsets = offsets.has_group(&id) || pending.of_group(&id).next().is_some();
        if group.state == State::Empty && !has_offsets {
            delete(ctx, groups, &id);
        }
    }
    arm(ctx);
}

pub(crate) fn arm(ctx: &mut Context<'_>) {
    let next = ctx.instant() + ctx.settings.retention_check_interval;
    ctx.effects.push(Effect::Arm(Timer::ExpireOffsets, next));
}

fn expired(ctx: &Context<'_>, group: &Group) -> Vec<(String, i32)> {
    let Some(ages_from) = aging(group) else { return Vec::new() };
    let now = ctx.timestamp();
    let is_expired = |offset: &CommittedOffset| match offset.expires_at {
        Some(expires_at) => now >= expires_at,
        None => now.millis_since(ages_from(offset)) >= ctx.settings.offsets_retention_ms,
    };
    let unread = ctx.durable.offsets.of_group(&group.id);
    unread
        .filter(|(topic, _)| !group.is_subscribed_to(topic))
        .flat_map(|(topic, partitions)| partitions.iter().map(move |it| (topic, it)))
        .filter(|(topic, (index, offset))| {
            // A transaction that has something to say about it keeps it.
            is_expired(offset) && !ctx.durable.pending.has(&group.id, topic, **index)
        })
        .map(|(topic, (index, _))| (topic.clone(), *index))
        .collect()
}

/// Since when an offset of the group has not been needed; `None` while all of them may be.
fn aging(group: &Group) -> Option<impl Fn(&CommittedOffset) -> Timestamp> {
    let since = match (&group.protocol_type, group.state) {
        (Some(_), State::Empty) => group.state_changed_at,
        (Some(_), State::Stable)
            if group.uses_consumer_protocol() && group.subscribed_topics.is_some() =>
        {
            None
        }
        (Some(_), _) => return None,
        (None, _) => None,
    };
    Some(move |offset: &CommittedOffset| since.unwrap_or(offset.committed_at))
}
