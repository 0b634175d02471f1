//! ListTransactions: the transactional ids of this shard that pass the filters.

use alloc::string::String;
use alloc::vec::Vec;

use strandline_wire::messages::ListTransactionsResponse;
use strandline_wire::messages::list_transactions_response::TransactionState;

use super::api::{Response, TransactionListing};
use super::context::Context;
use super::transaction::{State, Transaction};
use crate::contract::Ticket;

pub(crate) fn decide(ctx: &mut Context<'_>, ticket: Ticket, listing: &TransactionListing) {
    let now = ctx.moment.now.timestamp;
    let states: Vec<State> =
        listing.states.iter().filter_map(|name| State::from_name(name)).collect();
    let is_unknown = |name: &&String| State::from_name(name).is_none();
    let is_listed = |it: &Transaction| {
        let (ids, longer_than_ms) = (&listing.producer_ids, listing.running_longer_than_ms);
        (ids.is_empty() || ids.contains(&it.producer_id.get()))
            && (listing.states.is_empty() || states.contains(&it.state))
            && (longer_than_ms < 0 || now.millis_since(it.started_at) > longer_than_ms)
    };
    let listed = ctx.durable.transactions.iter().filter(|(_, it)| is_listed(it));
    let transaction_states = listed.map(|(id, transaction)| TransactionState {
        transactional_id: id.clone(),
        producer_id: transaction.producer_id.get(),
        transaction_state: transaction.state.name().into(),
        ..Default::default()
    });
    let response = ListTransactionsResponse {
        unknown_state_filters: listing.states.iter().filter(is_unknown).cloned().collect(),
        transaction_states: transaction_states.collect(),
        ..Default::default()
    };
    ctx.reply(ticket, Response::List(response));
}
