//! AddPartitionsToTxn and AddOffsetsToTxn: the transaction will write to these partitions, and
//! begins with the first of them. And the question of a partition's leader whether that was said.

use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};

use super::Topics;
use super::api::Response;
use super::context::Context;
use super::refusal::Refusal;
use super::time_out;
use super::transaction::{State, Transaction};
use crate::contract::Ticket;

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    ticket: Ticket,
    transactional_id: &str,
    producer: (ProducerId, ProducerEpoch),
    topics: Topics,
    client_version: i16,
) {
    let code = match add(ctx, transactional_id, producer, &topics, client_version) {
        Ok(()) => ErrorCode::NONE,
        Err(refusal) => refusal.code(),
    };
    ctx.reply(ticket, Response::Partitions(results(topics, |_, _| code)));
}

pub(crate) fn verify(
    ctx: &mut Context<'_>,
    ticket: Ticket,
    transactional_id: &str,
    producer: (ProducerId, ProducerEpoch),
    topics: Topics,
) {
    let results = match open_to(ctx, transactional_id, producer) {
        Ok(transaction) => {
            results(topics, |topic, partition| match transaction.contains(topic, partition) {
                true => ErrorCode::NONE,
                false => ErrorCode::TRANSACTION_ABORTABLE,
            })
        }
        Err(refusal) => results(topics, |_, _| refusal.code()),
    };
    ctx.reply(ticket, Response::Partitions(results));
}

fn add(
    ctx: &mut Context<'_>,
    id: &str,
    producer: (ProducerId, ProducerEpoch),
    topics: &Topics,
    client_version: i16,
) -> Result<(), Refusal> {
    let transaction = open_to(ctx, id, producer)?;
    let is_open = transaction.state == State::Ongoing;
    let has = |(topic, partitions): &(String, Vec<i32>)| {
        partitions.iter().all(|partition| transaction.contains(topic, *partition))
    };
    if topics.iter().all(|(_, partitions)| partitions.is_empty())
        || (is_open && topics.iter().all(has))
    {
        return Ok(());
    }
    let mut next = Transaction { state: State::Ongoing, client_version, ..transaction.clone() };
    if !is_open {
        next.started_at = ctx.moment.now.timestamp;
    }
    for (topic, partitions) in topics.iter().filter(|(_, partitions)| !partitions.is_empty()) {
        next.partitions.entry(topic.clone()).or_default().extend(partitions);
    }
    if !ctx.fits(id, &next) {
        return Err(Refusal::RecordTooLarge);
    }
    ctx.write(id, next);
    if !is_open {
        time_out::watch(ctx, id);
    }
    Ok(())
}

/// The transaction, if this producer may write in it.
fn open_to<'a>(
    ctx: &'a Context<'_>,
    id: &str,
    (producer_id, producer_epoch): (ProducerId, ProducerEpoch),
) -> Result<&'a Transaction, Refusal> {
    let transaction = ctx.of_producer(id, producer_id)?;
    if transaction.producer_epoch != producer_epoch {
        return Err(Refusal::Fenced);
    }
    if transaction.state.is_prepared() {
        return Err(Refusal::Concurrent);
    }
    Ok(transaction)
}

fn results(
    topics: Topics,
    code: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |(name, partitions): (String, Vec<i32>)| {
        let of_partition = |partition_index| AddPartitionsToTxnPartitionResult {
            partition_index,
            partition_error_code: code(&name, partition_index),
            ..Default::default()
        };
        let results_by_partition = partitions.into_iter().map(of_partition).collect();
        AddPartitionsToTxnTopicResult { name, results_by_partition, ..Default::default() }
    };
    topics.into_iter().map(of_topic).collect()
}
