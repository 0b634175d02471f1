//! DescribeTransactions: each transactional id is described by its coordinator.

use std::collections::BTreeSet;

use strandline_coordinator::transactions::Request;
use strandline_types::ErrorCode;
use strandline_wire::messages::describe_transactions_response::TransactionState;
use strandline_wire::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeTransactionsRequest,
) -> Result<DescribeTransactionsResponse, Hangup> {
    let mut transaction_states = Vec::new();
    let mut described = BTreeSet::new();
    for transactional_id in request.transactional_ids {
        // Named twice, a small request must not ask for an answer that fills the memory.
        if described.insert(transactional_id.clone()) {
            transaction_states.push(describe(cx, transactional_id).await);
        }
    }
    Ok(DescribeTransactionsResponse { transaction_states, ..Default::default() })
}

async fn describe(cx: &Cx, transactional_id: String) -> TransactionState {
    let describe = Request::Describe { transactional_id: transactional_id.clone() };
    let answer = match transactional_id.is_empty() {
        true => Err(ErrorCode::INVALID_REQUEST),
        false => cx.handles.transactions.ask(&transactional_id, cx.caller(), describe).await,
    };
    answer.unwrap_or_else(|error_code| TransactionState {
        error_code,
        transactional_id,
        ..Default::default()
    })
}
