//! DescribeTransactions: one transactional id. Of an end that is decided, the partitions that miss
//! their marker.

use alloc::string::String;

use strandline_types::ErrorCode;
use strandline_wire::messages::describe_transactions_response::{TopicData, TransactionState};

use super::api::Response;
use super::context::Context;
use crate::contract::Ticket;

pub(crate) fn decide(ctx: &mut Context<'_>, ticket: Ticket, transactional_id: String) {
    let described = describe(ctx, transactional_id);
    ctx.reply(ticket, Response::Describe(described));
}

fn describe(ctx: &Context<'_>, transactional_id: String) -> TransactionState {
    let refused = |error_code, transactional_id| TransactionState {
        error_code,
        transactional_id,
        ..Default::default()
    };
    if transactional_id.is_empty() {
        return refused(ErrorCode::INVALID_REQUEST, transactional_id);
    }
    let Some(transaction) = ctx.durable.transactions.get(&transactional_id) else {
        return refused(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND, transactional_id);
    };
    let marking = ctx.volatile.markings.get(&transactional_id);
    let open = marking.map_or(&transaction.partitions, |marking| &marking.missing);
    let topics = open.iter().map(|(topic, partitions)| TopicData {
        topic: topic.clone(),
        partitions: partitions.iter().copied().collect(),
        ..Default::default()
    });
    TransactionState {
        transactional_id,
        transaction_state: transaction.state.name().into(),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_start_time_ms: transaction.started_at.as_millis(),
        producer_id: transaction.producer_id.get(),
        producer_epoch: transaction.producer_epoch.get(),
        topics: topics.collect(),
        ..Default::default()
    }
}
