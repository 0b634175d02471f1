//! ListTransactions: the transactional ids that this broker coordinates.

use regex::bytes::{Regex, RegexBuilder};
use strandline_coordinator::transactions::{Request, State, TransactionListing};
use strandline_ports::blocking;
use strandline_types::ErrorCode;
use strandline_wire::messages::list_transactions_response::TransactionState;
use strandline_wire::messages::{ListTransactionsRequest, ListTransactionsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

/// A longer pattern is refused unread: what it means can take a large multiple of its length.
const PATTERN_LEN_MAX: usize = 256;
/// In bytes; a pattern that compiles to more is refused. A few characters can ask for any amount of it,
/// and each byte of an id can cost a step through all of it.
const PROGRAM_MAX: usize = 16 * 1024;
/// In bytes; a matcher that would remember more starts anew.
const MATCHER_MAX: usize = 64 * 1024;

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
        let mut states = std::mem::take(&mut response.transaction_states);
        // Ids may be long and many, so that other requests would wait for the last of them.
        response.transaction_states = blocking(&cx.handles.spawn, move || {
            states.retain(|it| pattern.is_match(it.transactional_id.as_bytes()));
            states
        })
        .await;
    }
    Ok(response)
}

/// Matches what the pattern matches as a whole.
fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    if pattern.len() > PATTERN_LEN_MAX {
        return Err(regex::Error::CompiledTooBig(PROGRAM_MAX));
    }
    let compile = |pattern: &str| {
        let mut builder = RegexBuilder::new(pattern);
        // Classes of all of Unicode are large, and Kafka's `\w` and `\d` are ASCII.
        builder.unicode(false).size_limit(PROGRAM_MAX).dfa_size_limit(MATCHER_MAX).build()
    };
    // Alone first: `a)(b` is none, though it would be one between parentheses.
    compile(pattern)?;
    compile(&format!(r"\A(?:{pattern})\z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_id() {
        let matches = |pattern, id| whole(pattern).expect("a pattern").is_match(str::as_bytes(id));
        assert!(matches("a|ab", "ab") && matches("pay-[0-9]+", "pay-17") && matches("(?i)PAY", "pay"));
        assert!(matches(r"\w+-\d{1,9}(-é.*)?", "pay-17-éß") && !matches(r"\d", "٣"));
        assert!(!matches("a|b", "ab") && !matches("pay", "pay-1") && !matches("a$", "a\n"));
        let long = "a".repeat(PATTERN_LEN_MAX + 1);
        for none in ["(", "a)(b", "*", r"(a)\1", "a{1000}{1000}", &long] {
            assert!(whole(none).is_err(), "{none}");
        }
    }
}
