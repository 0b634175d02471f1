//! ListTransactions: the transactional ids that this broker coordinates.

use strandline_coordinator::transactions::{Request, State, TransactionListing};
use strandline_wire::messages::list_transactions_response::TransactionState;
use strandline_wire::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: ListTransactionsRequest,
) -> Result<ListTransactionsResponse, Hangup> {
    let names = request.state_filters;
    let states: Vec<State> = names.iter().filter_map(|name| State::from_name(name)).collect();
    let listing = TransactionListing {
        states: (!names.is_empty()).then_some(states),
        producer_ids: request.producer_id_filters,
        running_longer_than_ms: request.duration_filter,
    };
    let unknown = names.into_iter().filter(|name| State::from_name(name).is_none());
    let mut response =
        ListTransactionsResponse { unknown_state_filters: unknown.collect(), ..Default::default() };
    let ask = || Request::List(listing.clone());
    match cx.handles.transactions.ask_all::<Vec<TransactionState>>(&cx.caller(), ask).await {
        Ok(lists) => response.transaction_states = lists.concat(),
        Err(error_code) => response.error_code = error_code,
    }
    Ok(response)
}
