//! EndTxn: decided by the transactional id's coordinator. The answer does not wait for the markers.

use strandline_coordinator::transactions::Request;
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::{EndTxnRequest, EndTxnResponse};

use crate::cx::Cx;
use crate::fencing::fenced;
use crate::session::Hangup;

const FIRST_VERSION_THAT_KNOWS_FENCING: i16 = 2;

/// From this version on, clients go by the rules of `transaction.version` 2.
const FIRST_VERSION_THAT_BUMPS: i16 = 5;

pub(crate) async fn handle(cx: &Cx, request: EndTxnRequest) -> Result<EndTxnResponse, Hangup> {
    let transactional_id = request.transactional_id;
    let end = |fresh| Request::EndTxn {
        transactional_id: transactional_id.clone(),
        producer: (ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch)),
        is_commit: request.committed,
        client_version: if cx.version >= FIRST_VERSION_THAT_BUMPS { 2 } else { 0 },
        fresh,
    };
    let issued = match transactional_id.is_empty() {
        true => Err(ErrorCode::INVALID_REQUEST),
        false => cx.handles.transactions.issue(&transactional_id, cx.caller(), end).await,
    };
    Ok(match issued {
        Ok((ProducerId(producer_id), ProducerEpoch(producer_epoch))) => {
            EndTxnResponse { producer_id, producer_epoch, ..Default::default() }
        }
        Err(code) => EndTxnResponse {
            error_code: fenced(code, cx.version >= FIRST_VERSION_THAT_KNOWS_FENCING),
            ..Default::default()
        },
    })
}
