//! ListTransactions: the transactional ids of this shard that pass the filters.

use strandline_wire::messages::list_transactions_response::TransactionState;

use super::api::{Response, TransactionListing};
use super::context::Context;
use super::transaction::Transaction;
use crate::contract::Ticket;

pub(crate) fn decide(ctx: &mut Context<'_>, ticket: Ticket, listing: &TransactionListing) {
    let now = ctx.moment.now.timestamp;
    let TransactionListing { states, producer_ids, running_longer_than_ms } = listing;
    let is_listed = |it: &Transaction| {
        (producer_ids.is_empty() || producer_ids.contains(&it.producer_id.get()))
            && states.as_ref().is_none_or(|states| states.contains(&it.state))
            && (*running_longer_than_ms < 0
                || now.millis_since(it.started_at) > *running_longer_than_ms)
    };
    let listed = ctx.durable.transactions.iter().filter(|(_, it)| is_listed(it));
    let listed = listed.map(|(id, transaction)| TransactionState {
        transactional_id: id.clone(),
        producer_id: transaction.producer_id.get(),
        transaction_state: transaction.state.name().into(),
        ..Default::default()
    });
    let listed = listed.collect();
    ctx.reply(ticket, Response::List(listed));
}
