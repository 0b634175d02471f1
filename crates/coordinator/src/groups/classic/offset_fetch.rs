//! OffsetFetch: what a group has committed. A group that does not exist has committed nothing,
//! which is no error.

use alloc::string::String;
use alloc::vec::Vec;

use super::context::Context;
use crate::contract::Ticket;
use crate::groups::api::{OffsetFetchGroup, Response, TopicOffsets};
use crate::groups::offsets::CommittedOffset;

type Found = Vec<(i32, Option<CommittedOffset>)>;

pub(crate) fn decide(ctx: &mut Context<'_>, ticket: Ticket, request: OffsetFetchGroup) {
    let OffsetFetchGroup { group_id, topics, require_stable } = request;
    let (offsets, pending) = (&ctx.durable.offsets, &ctx.durable.pending);
    let told = |topic: String, found: Found| {
        let mut told = TopicOffsets { topic, ..Default::default() };
        for (index, offset) in found {
            let is_unstable = require_stable && pending.has(&group_id, &told.topic, index);
            if is_unstable {
                told.unstable.insert(index);
            }
            told.partitions.push((index, offset.filter(|_| !is_unstable)));
        }
        told
    };
    let found = match topics {
        Some(topics) => {
            let look_up = |(topic, partitions): (String, Vec<i32>)| {
                let look_up = |index| (index, offsets.get(&group_id, &topic, index).cloned());
                let found = partitions.into_iter().map(look_up).collect();
                told(topic, found)
            };
            topics.into_iter().map(look_up).collect()
        }
        None => offsets
            .of_group(&group_id)
            .map(|(topic, partitions)| {
                let found = partitions.iter().map(|(index, it)| (*index, Some(it.clone())));
                told(topic.clone(), found.collect())
            })
            .collect(),
    };
    ctx.reply(ticket, Response::OffsetFetch(found));
}
