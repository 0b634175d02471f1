//! TxnOffsetCommit: offsets that count when the transaction is committed. Who may commit is asked
//! less strictly than of OffsetCommit: before KIP-447 producers did not say for which member they do.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::{Bug, ErrorCode, ProducerEpoch, ProducerId, planted};
use strandline_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use strandline_wire::messages::{
    OffsetCommitKey, OffsetCommitValue, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::Groups;
use super::context::Context;
use super::offset_commit::metadata;
use crate::contract::{Entry, Ticket};
use crate::groups::api::Response;
use crate::groups::group::{Group, State};
use crate::groups::records::Record;
use crate::groups::refusal::Refusal;

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    request: TxnOffsetCommitRequest,
) {
    let admitted = admit(ctx, groups, &request);
    let mut response = TxnOffsetCommitResponse::default();
    // Of a partition that is named twice, what is said last holds.
    let mut values: BTreeMap<(String, i32), OffsetCommitValue> = BTreeMap::new();
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let partition_index = partition.partition_index;
            let committed = admitted.and_then(|()| {
                let metadata = metadata(ctx, partition.committed_metadata)?;
                let value = OffsetCommitValue {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata,
                    commit_timestamp: ctx.timestamp().as_millis(),
                    ..Default::default()
                };
                values.insert((topic.name.clone(), partition_index), value);
                Ok(())
            });
            partitions.push(TxnOffsetCommitResponsePartition {
                partition_index,
                error_code: committed.map_or_else(Refusal::code, |()| ErrorCode::NONE),
                ..Default::default()
            });
        }
        let name = topic.name;
        response.topics.push(TxnOffsetCommitResponseTopic {
            name,
            partitions,
            ..Default::default()
        });
    }
    for ((topic, partition), value) in values {
        let key = OffsetCommitKey { group: request.group_id.clone(), topic, partition };
        ctx.enter(Entry::InTransaction {
            producer_id: ProducerId(request.producer_id),
            producer_epoch: ProducerEpoch(request.producer_epoch),
            record: Record::OffsetCommit(key, Some(value)),
        });
    }
    ctx.reply(ticket, Response::TxnOffsetCommit(response));
}

fn admit(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    request: &TxnOffsetCommitRequest,
) -> Result<(), Refusal> {
    let generation = request.generation_id;
    let Some(group) = groups.get_mut(&request.group_id) else {
        if generation >= 0 {
            return Err(Refusal::IllegalGeneration);
        }
        groups.insert(request.group_id.clone(), Group::new(request.group_id.clone()));
        return Ok(());
    };
    if generation < 0 && group.state == State::Empty {
        return Ok(());
    }
    let instance_id = request.group_instance_id.as_deref();
    if planted(Bug::FormerMembersCommit) {
        return Ok(());
    }
    if generation < 0 && request.member_id.is_empty() && instance_id.is_none() {
        return Ok(());
    }
    group.members.check(&request.member_id, instance_id)?;
    if generation != group.generation {
        return Err(Refusal::IllegalGeneration);
    }
    if let Some(member) = group.members.get_mut(&request.member_id) {
        member.extend_session(ctx.instant());
    }
    Ok(())
}
