//! ListTransactions: the transactional ids that this broker coordinates.

use regex::{Regex, RegexBuilder};
use strandline_coordinator::transactions::{Request, State, TransactionListing};
use strandline_types::ErrorCode;
use strandline_wire::messages::list_transactions_response::TransactionState;
use strandline_wire::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

/// A pattern that would take more memory is refused: a few characters can ask for any amount of it.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

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
    let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
    let Ok(pattern) = pattern.as_deref().map(whole).transpose() else {
        response.error_code = ErrorCode::INVALID_REGULAR_EXPRESSION;
        return Ok(response);
    };
    let ask = || Request::List(listing.clone());
    match cx.handles.transactions.ask_all::<Vec<TransactionState>>(&cx.caller(), ask).await {
        Ok(lists) => response.transaction_states = lists.concat(),
        Err(error_code) => response.error_code = error_code,
    }
    if let Some(pattern) = pattern {
        response.transaction_states.retain(|it| pattern.is_match(&it.transactional_id));
    }
    Ok(response)
}

/// Matches what the pattern matches as a whole.
fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    let compile = |pattern: &str| RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    // Alone first: `a)(b` is none, though it would be one between parentheses.
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_id() {
        let matches = |pattern, id| whole(pattern).expect("a pattern").is_match(id);
        assert!(matches("a|ab", "ab") && matches("pay-[0-9]+", "pay-17") && matches("(?i)PAY", "pay"));
        assert!(!matches("a|b", "ab") && !matches("pay", "pay-1") && !matches("a$", "a\n"));
        for none in ["(", "a)(b", "*", r"(a)\1", "a{1000}{1000}"] {
            assert!(whole(none).is_err(), "{none}");
        }
    }
}
