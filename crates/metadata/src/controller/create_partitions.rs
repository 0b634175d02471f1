//! CreatePartitions: a topic grows; it never shrinks.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use strandline_types::{ErrorCode, PartitionId};
use strandline_wire::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse,
    create_partitions_request::CreatePartitionsTopic,
    create_partitions_response::CreatePartitionsTopicResult,
};

use super::assignment::{PARTITIONS_PER_REQUEST_MAX, too_many_partitions};
use super::context::{Context, Denied, duplicates, split};
use super::random::Random;
use crate::Records;

pub(super) fn decide(
    cx: &Context<'_>,
    request: CreatePartitionsRequest,
    records: &mut Records,
) -> CreatePartitionsResponse {
    let repeated: BTreeSet<&str> =
        duplicates(request.topics.iter().map(|topic| topic.name.as_str())).into_iter().collect();
    let mut random = Random::new(cx.seed);
    let mut created = Records::new();
    let mut results = Vec::with_capacity(request.topics.len());
    let mut result = |name: &str, outcome| {
        let (error_code, error_message) = split(outcome);
        results.push(CreatePartitionsTopicResult {
            name: name.into(),
            error_code,
            error_message,
            ..Default::default()
        });
    };
    for name in &repeated {
        result(name, Err(Denied::topic_named_twice()));
    }
    for topic in request.topics.iter().filter(|topic| !repeated.contains(topic.name.as_str())) {
        result(&topic.name, grow(cx, topic, &mut random, &mut created));
    }
    if !request.validate_only {
        records.append(&mut created);
    }
    CreatePartitionsResponse { results, ..Default::default() }
}

fn grow(
    cx: &Context<'_>,
    asked: &CreatePartitionsTopic,
    random: &mut Random,
    records: &mut Records,
) -> Result<(), Denied> {
    let Some(topic) = cx.image.topics.by_name(&asked.name) else {
        return Err(Denied::bare(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    };
    let present = topic.partitions.len() as i32;
    if asked.count <= present {
        let text = match asked.count == present {
            true => format!("topic {} has {present} partitions already", asked.name),
            false => format!(
                "topic {} has {present} partitions, which cannot shrink to {}",
                asked.name, asked.count
            ),
        };
        return Err(Denied::new(ErrorCode::INVALID_PARTITIONS, text));
    }
    let additional = (asked.count - present) as usize;
    let replication_factor = topic.replication_factor();
    let first = PartitionId(present);
    let partitions = match &asked.assignments {
        Some(assignments) if assignments.len() != additional => {
            let text = format!(
                "{additional} partitions are to be added, and replicas are named for {}",
                assignments.len()
            );
            return Err(Denied::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
        }
        Some(assignments) => assignments
            .iter()
            .zip(present..)
            .map(|(assignment, id)| {
                let factor = Some(replication_factor);
                cx.assign_by_hand(PartitionId(id), &assignment.broker_ids, factor)
            })
            .collect::<Result<Vec<_>, _>>()?,
        // Kafka fails here too, when the batch of records grows too large; it calls it unknown.
        None if additional + records.len() > PARTITIONS_PER_REQUEST_MAX => {
            return Err(too_many_partitions());
        }
        None => cx.place(random, additional, replication_factor)?,
    };
    cx.write_partitions(topic.id, first, &partitions, records);
    Ok(())
}
