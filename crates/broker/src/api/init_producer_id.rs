//! InitProducerId: an id for an idempotent producer.

use strandline_types::ErrorCode;
use strandline_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::cx::Cx;
use crate::session::Hangup;

/// Without transactions every request gets a fresh id with epoch 0, whatever id it had before.
pub(crate) async fn handle(
    cx: &Cx,
    request: InitProducerIdRequest,
) -> Result<InitProducerIdResponse, Hangup> {
    if request.transactional_id.as_deref() == Some("") {
        return Ok(refused(ErrorCode::INVALID_REQUEST));
    }
    if request.transactional_id.is_some() {
        return Ok(refused(ErrorCode::UNSUPPORTED_VERSION));
    }
    let known = (request.producer_id >= 0, request.producer_epoch >= 0);
    if known.0 != known.1 {
        return Ok(refused(ErrorCode::INVALID_REQUEST));
    }
    Ok(match cx.handles.producer_ids.next(&cx.handles.controller).await {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.get(),
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error_code) => refused(error_code),
    })
}

fn refused(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    }
}
