//! OffsetFetch: what a group has committed. A group that does not exist has committed nothing,
//! which is no error. Without transactions every offset is stable.

use super::context::Context;
use crate::contract::Ticket;
use crate::groups::api::{OffsetFetchGroup, Response, TopicOffsets};

pub(crate) fn decide(ctx: &mut Context<'_>, ticket: Ticket, request: OffsetFetchGroup) {
    let OffsetFetchGroup { group_id, topics } = request;
    let offsets = &ctx.durable.offsets;
    let found = match topics {
        Some(topics) => {
            let look_up = |(topic, partitions): (alloc::string::String, alloc::vec::Vec<i32>)| {
                let partitions = partitions
                    .into_iter()
                    .map(|index| (index, offsets.get(&group_id, &topic, index).cloned()))
                    .collect();
                TopicOffsets { topic, partitions }
            };
            topics.into_iter().map(look_up).collect()
        }
        None => offsets
            .of_group(&group_id)
            .map(|(topic, partitions)| TopicOffsets {
                topic: topic.clone(),
                partitions: partitions.iter().map(|(i, it)| (*i, Some(it.clone()))).collect(),
            })
            .collect(),
    };
    ctx.reply(ticket, Response::OffsetFetch(found));
}
