//! OffsetDelete: forgets offsets, except of topics that the group is reading (KIP-496).

use alloc::vec::Vec;

use strandline_types::ErrorCode;
use strandline_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use strandline_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::Groups;
use super::context::Context;
use crate::contract::Ticket;
use crate::groups::api::Response;
use crate::groups::group::{Group, State};
use crate::groups::offsets::tombstone;
use crate::groups::refusal::Refusal;
use crate::groups::shard::Durable;

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &Groups,
    ticket: Ticket,
    request: OffsetDeleteRequest,
) {
    let mut response = OffsetDeleteResponse::default();
    match admit(groups, &request.group_id) {
        Ok(group) => response.topics = delete(ctx, group, request),
        Err(refusal) => response.error_code = refusal.code(),
    }
    ctx.reply(ticket, Response::OffsetDelete(response));
}

/// Only members of Kafka's consumer protocol tell what they read.
fn admit<'a>(groups: &'a Groups, group_id: &str) -> Result<&'a Group, Refusal> {
    let group = groups.get(group_id).ok_or(Refusal::GroupNotFound)?;
    if group.state != State::Empty && !group.uses_consumer_protocol() {
        return Err(Refusal::NonEmptyGroup);
    }
    Ok(group)
}

fn delete(
    ctx: &mut Context<'_>,
    group: &Group,
    request: OffsetDeleteRequest,
) -> Vec<OffsetDeleteResponseTopic> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let is_read = group.is_subscribed_to(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let partition_index = partition.partition_index;
            let Durable { offsets, pending, .. } = &*ctx.durable;
            let has_offset = offsets.get(&group.id, &topic.name, partition_index).is_some()
                || pending.has(&group.id, &topic.name, partition_index);
            if !is_read && has_offset {
                ctx.write(tombstone(&group.id, &topic.name, partition_index));
            }
            let error_code = match is_read {
                true => Refusal::SubscribedToTopic.code(),
                false => ErrorCode::NONE,
            };
            partitions.push(OffsetDeleteResponsePartition { partition_index, error_code });
        }
        topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions });
    }
    topics
}
