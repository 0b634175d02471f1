//! A topic that is deleted takes its committed offsets with it: a new topic of the same name begins
//! anew.

use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::Uuid;

use super::context::Context;
use crate::groups::offsets::{CommittedOffset, tombstone};

pub(crate) fn decide(ctx: &mut Context<'_>, topics: &[(String, Uuid)]) {
    for (topic, id) in topics {
        // Whoever commits to the new topic may be faster than this.
        let is_of_it = |offset: &CommittedOffset| [Uuid::ZERO, *id].contains(&offset.topic_id);
        let of_groups = ctx.durable.offsets.groups_of_topic(topic);
        let offsets: Vec<(String, i32)> = of_groups
            .flat_map(|(group, partitions)| partitions.iter().map(move |it| (group, it)))
            .filter(|(_, (_, offset))| is_of_it(offset))
            .map(|(group, (index, _))| (group.clone(), *index))
            .collect();
        for (group, index) in offsets {
            ctx.write(tombstone(&group, topic, index));
        }
    }
}
