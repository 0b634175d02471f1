//! AllocateProducerIds: a broker takes a block of a thousand producer ids (KIP-730).

use strandline_types::ErrorCode;
use strandline_wire::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerIdsRecord,
};

use super::context::Context;
use crate::{Record, Records};

pub(crate) const BLOCK_SIZE: i32 = 1000;

pub(super) fn decide(
    cx: &Context<'_>,
    request: AllocateProducerIdsRequest,
    records: &mut Records,
) -> AllocateProducerIdsResponse {
    let refused = |error_code| AllocateProducerIdsResponse { error_code, ..Default::default() };
    if let Err(denied) = cx.registered(request.broker_id, request.broker_epoch) {
        return refused(denied.code);
    }
    let start = cx.image.next_producer_id();
    let Some(next) = start.checked_add(i64::from(BLOCK_SIZE)) else {
        return refused(ErrorCode::UNKNOWN_SERVER_ERROR);
    };
    records.push(Record::from(ProducerIdsRecord {
        broker_id: request.broker_id,
        broker_epoch: request.broker_epoch,
        next_producer_id: next,
        ..Default::default()
    }));
    AllocateProducerIdsResponse {
        producer_id_start: start,
        producer_id_len: BLOCK_SIZE,
        ..Default::default()
    }
}
