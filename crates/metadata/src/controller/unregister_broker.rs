//! UnregisterBroker: a broker is forgotten, and leaves every ISR and ELR.

use alloc::format;

use strandline_types::{ErrorCode, NodeId};
use strandline_wire::messages::{
    UnregisterBrokerRecord, UnregisterBrokerRequest, UnregisterBrokerResponse,
};

use super::context::{Context, Shift};
use super::heartbeats::Heartbeats;
use crate::{Record, Records};

pub(super) fn decide(
    cx: &Context<'_>,
    heartbeats: &mut Heartbeats,
    request: UnregisterBrokerRequest,
    records: &mut Records,
) -> UnregisterBrokerResponse {
    let id = NodeId(request.broker_id);
    let Some(broker) = cx.image.cluster.broker(id) else {
        return UnregisterBrokerResponse {
            error_code: ErrorCode::BROKER_ID_NOT_REGISTERED,
            error_message: Some(format!("no broker is registered as {id}")),
            ..Default::default()
        };
    };
    let shift = Shift { leaving: Some(id), ..Shift::default() };
    cx.shift_partitions(shift, |p| p.isr.contains(&id) || p.elr.contains(&id), records);
    records.push(Record::from(UnregisterBrokerRecord {
        broker_id: id.get(),
        broker_epoch: broker.epoch().get(),
        ..Default::default()
    }));
    heartbeats.forget(id);
    UnregisterBrokerResponse { error_message: None, ..Default::default() }
}
