//! A topic that is deleted takes its committed offsets with it: a new topic of the same name begins
//! anew.

use alloc::string::String;
use alloc::vec::Vec;

use super::context::Context;
use crate::offsets::tombstone;

pub(crate) fn decide(ctx: &mut Context<'_>, topics: &[String]) {
    for topic in topics {
        let offsets: Vec<(String, i32)> = ctx
            .durable
            .offsets
            .groups_of_topic(topic)
            .flat_map(|(group, partitions)| partitions.keys().map(|index| (group.clone(), *index)))
            .collect();
        for (group, index) in offsets {
            ctx.write(tombstone(&group, topic, index));
        }
    }
}
