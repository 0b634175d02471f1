//! InitProducerId: an id for an idempotent producer, or the next epoch for one with a transactional
//! id, decided by that id's coordinator.

use strandline_coordinator::transactions::Request;
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::cx::Cx;
use crate::fencing::fenced;
use crate::session::Hangup;

const FIRST_VERSION_THAT_KNOWS_FENCING: i16 = 4;

pub(crate) async fn handle(
    cx: &Cx,
    request: InitProducerIdRequest,
) -> Result<InitProducerIdResponse, Hangup> {
    let issued = match expected(&request) {
        Ok(expected) => issue(cx, request, expected).await,
        Err(code) => Err(code),
    };
    Ok(match issued {
        Ok((ProducerId(producer_id), ProducerEpoch(producer_epoch))) => {
            InitProducerIdResponse { producer_id, producer_epoch, ..Default::default() }
        }
        Err(code) => InitProducerIdResponse {
            error_code: fenced(code, cx.version >= FIRST_VERSION_THAT_KNOWS_FENCING),
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        },
    })
}

/// Whom the producer takes itself for, if anybody.
fn expected(
    request: &InitProducerIdRequest,
) -> Result<Option<(ProducerId, ProducerEpoch)>, ErrorCode> {
    match (request.producer_id, request.producer_epoch) {
        (0.., 0..) => {
            let epoch = ProducerEpoch(request.producer_epoch);
            Ok(Some((ProducerId(request.producer_id), epoch)))
        }
        (0.., _) | (_, 0..) => Err(ErrorCode::INVALID_REQUEST),
        _ => Ok(None),
    }
}

async fn issue(
    cx: &Cx,
    request: InitProducerIdRequest,
    expected: Option<(ProducerId, ProducerEpoch)>,
) -> Result<(ProducerId, ProducerEpoch), ErrorCode> {
    let Some(transactional_id) = request.transactional_id else {
        // A fresh id with epoch 0, whatever id it had before.
        let id = cx.handles.producer_ids.next(&cx.handles.controller).await?;
        return Ok((id, ProducerEpoch(0)));
    };
    if transactional_id.is_empty() {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    let init = |fresh| Request::InitProducerId {
        transactional_id: transactional_id.clone(),
        timeout_ms: request.transaction_timeout_ms,
        expected,
        fresh,
    };
    cx.handles.transactions.issue(&transactional_id, cx.caller(), init).await
}
