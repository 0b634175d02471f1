//! OffsetCommit: by a member of the current generation, or by anybody while the group is empty.

use alloc::collections::BTreeMap;
use alloc::string::String;

use strandline_types::ErrorCode;
use strandline_wire::messages::offset_commit_request::OffsetCommitRequestPartition;
use strandline_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use strandline_wire::messages::{
    OffsetCommitKey, OffsetCommitRequest, OffsetCommitResponse, OffsetCommitValue,
};

use super::Groups;
use super::context::Context;
use crate::contract::{Caller, Ticket};
use crate::groups::api::Response;
use crate::groups::group::{Group, State};
use crate::groups::records::Record;
use crate::groups::refusal::Refusal;

/// From this version on, clients know that a group may not exist.
const FIRST_VERSION_WITH_GROUP_NOT_FOUND: i16 = 9;

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    caller: &Caller,
    request: OffsetCommitRequest,
) {
    let admitted = admit(ctx, groups, caller, &request);
    let expires_at = match request.retention_time_ms {
        -1 => -1,
        retention => ctx.timestamp().saturating_add_millis(retention).as_millis(),
    };
    let mut response = OffsetCommitResponse::default();
    // Of a partition that is named twice, what is said last holds. Written each time, a small
    // request could fill the memory and the log: every record repeats the group's name.
    let mut values: BTreeMap<String, BTreeMap<i32, OffsetCommitValue>> = BTreeMap::new();
    for topic in request.topics {
        let of_topic = values.entry(topic.name.clone()).or_default();
        let mut partitions = alloc::vec::Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.partition_index;
            let committed = admitted.and_then(|()| {
                let mut value = value(ctx, partition)?;
                value.expire_timestamp = expires_at;
                value.topic_id = topic.topic_id;
                of_topic.insert(index, value);
                Ok(())
            });
            partitions.push(OffsetCommitResponsePartition {
                partition_index: index,
                error_code: committed.map_or_else(Refusal::code, |()| ErrorCode::NONE),
                ..Default::default()
            });
        }
        response.topics.push(OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions,
            ..Default::default()
        });
    }
    for (topic, values) in values {
        for (partition, value) in values {
            let (group, topic) = (request.group_id.clone(), topic.clone());
            let key = OffsetCommitKey { group, topic, partition };
            ctx.write(Record::OffsetCommit(key, Some(value)));
        }
    }
    ctx.reply(ticket, Response::OffsetCommit(response));
}

/// Whether whoever asks may commit for the group now.
fn admit(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    caller: &Caller,
    request: &OffsetCommitRequest,
) -> Result<(), Refusal> {
    let generation = request.generation_id_or_member_epoch;
    let Some(group) = groups.get_mut(&request.group_id) else {
        if generation < 0 {
            // A tool, or a consumer that assigns its partitions itself: the group exists for its
            // offsets alone.
            let group = Group::new(request.group_id.clone());
            groups.insert(request.group_id.clone(), group);
            return Ok(());
        }
        return Err(match caller.version {
            FIRST_VERSION_WITH_GROUP_NOT_FOUND.. => Refusal::GroupNotFound,
            _ => Refusal::IllegalGeneration,
        });
    };
    if generation < 0 && group.state == State::Empty {
        return Ok(());
    }
    let instance_id = request.group_instance_id.as_deref();
    if generation < 0 && request.member_id.is_empty() && instance_id.is_none() {
        return Err(Refusal::UnknownMember);
    }
    group.members.check(&request.member_id, instance_id)?;
    if generation != group.generation {
        return Err(Refusal::IllegalGeneration);
    }
    if group.state == State::CompletingRebalance {
        // The member knows the generation but not what it will own in it.
        return Err(Refusal::RebalanceInProgress);
    }
    if let Some(member) = group.members.get_mut(&request.member_id) {
        // A commit is a sign of life.
        member.extend_session(ctx.instant());
    }
    Ok(())
}

fn value(
    ctx: &Context<'_>,
    partition: OffsetCommitRequestPartition,
) -> Result<OffsetCommitValue, Refusal> {
    let metadata = metadata(ctx, partition.committed_metadata)?;
    Ok(OffsetCommitValue {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata,
        commit_timestamp: ctx.timestamp().as_millis(),
        ..Default::default()
    })
}

/// What a client adds to an offset, if it is not too much.
pub(super) fn metadata(ctx: &Context<'_>, metadata: Option<String>) -> Result<String, Refusal> {
    let metadata = metadata.unwrap_or_default();
    let units_max = ctx.settings.offset_metadata_max_units;
    if metadata.len() > units_max && metadata.encode_utf16().count() > units_max {
        return Err(Refusal::MetadataTooLarge);
    }
    Ok(metadata)
}
