//! BrokerHeartbeat: a broker says that it lives, how far it has come, and what it wants.
//!
//! A broker is unfenced once it has applied its own registration, because only then does it know
//! everything that it may be asked about. One that wants to stop is relieved of its leaderships
//! first, and told to stop when every other broker knows (KIP-631).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use strandline_types::{Offset, Uuid};
use strandline_wire::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationChangeRecord,
};

use super::context::{Context, Denied, Shift};
use super::heartbeats::Heartbeats;
use crate::image::Broker;
use crate::{Record, Records};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl State {
    fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::ShutdownNow)
    }
}

pub(super) fn decide(
    cx: &Context<'_>,
    heartbeats: &mut Heartbeats,
    request: BrokerHeartbeatRequest,
    records: &mut Records,
) -> BrokerHeartbeatResponse {
    match beat(cx, heartbeats, &request, records) {
        Ok(response) => response,
        Err(denied) => BrokerHeartbeatResponse { error_code: denied.code, ..Default::default() },
    }
}

fn beat(
    cx: &Context<'_>,
    heartbeats: &mut Heartbeats,
    request: &BrokerHeartbeatRequest,
    records: &mut Records,
) -> Result<BrokerHeartbeatResponse, Denied> {
    let broker = cx.registered(request.broker_id, request.broker_epoch)?;
    let id = broker.id();
    let is_caught_up = request.current_metadata_offset >= broker.registered_at().get();
    let current = current_state(broker);
    let next = next_state(cx, heartbeats, broker, request, is_caught_up);
    if next != current {
        match next {
            State::Fenced | State::ShutdownNow => fence(cx, broker, records),
            State::Unfenced => unfence(cx, broker, records),
            State::ControlledShutdown => begin_shutdown(cx, broker, records),
        }
    }
    let seen = Offset(request.current_metadata_offset);
    heartbeats.touch(cx.now.instant, id, broker.epoch(), next.is_fenced(), seen);
    if next == State::ShutdownNow {
        // It leaves for good: its next incarnation need not wait for a session to end.
        heartbeats.fence(id);
    }
    if cx.version().records_directories() {
        offline_directories(cx, broker, &request.offline_log_dirs, records);
    }
    if cx.version().supports_cordoned_directories()
        && let Some(cordoned) = &request.cordoned_log_dirs
        && are_other_directories(broker.registration().cordoned_log_dirs.as_deref(), cordoned)
    {
        records.push(Record::from(BrokerRegistrationChangeRecord {
            cordoned_log_dirs: Some(cordoned.clone()),
            ..change_of(broker)
        }));
    }
    if next == State::ControlledShutdown {
        heartbeats.begin_shutdown(id, last_offset(cx, records));
    }
    Ok(BrokerHeartbeatResponse {
        is_caught_up,
        is_fenced: next.is_fenced(),
        should_shut_down: next == State::ShutdownNow,
        ..Default::default()
    })
}

fn current_state(broker: &Broker) -> State {
    if broker.is_fenced() {
        State::Fenced
    } else if broker.in_controlled_shutdown() {
        State::ControlledShutdown
    } else {
        State::Unfenced
    }
}

fn next_state(
    cx: &Context<'_>,
    heartbeats: &Heartbeats,
    broker: &Broker,
    request: &BrokerHeartbeatRequest,
    is_caught_up: bool,
) -> State {
    let (id, is_stopping) = (broker.id(), broker.in_controlled_shutdown());
    let leads = || cx.image.topics.partitions().any(|(_, _, partition)| partition.leader == id);
    match current_state(broker) {
        State::Fenced if request.want_shut_down => State::ShutdownNow,
        // What has begun to stop does not lead again before it has started again.
        State::Fenced if !request.want_fence && is_caught_up && !is_stopping => State::Unfenced,
        State::Unfenced if request.want_fence && request.want_shut_down => State::ShutdownNow,
        State::Unfenced if request.want_fence => State::Fenced,
        State::Unfenced if request.want_shut_down && leads() => State::ControlledShutdown,
        State::Unfenced if request.want_shut_down => State::ShutdownNow,
        State::ControlledShutdown if !leads() && heartbeats.may_stop(id, &cx.image.cluster) => {
            State::ShutdownNow
        }
        unchanged => unchanged,
    }
}

/// The offset of the last record before or in this decision.
fn last_offset(cx: &Context<'_>, records: &Records) -> Offset {
    cx.next_offset + records.len() as i64 - 1
}

fn change_of(broker: &Broker) -> BrokerRegistrationChangeRecord {
    BrokerRegistrationChangeRecord {
        broker_id: broker.id().get(),
        broker_epoch: broker.epoch().get(),
        ..Default::default()
    }
}

/// Takes the broker out of every ISR and every leadership, and marks it.
pub(super) fn fence(cx: &Context<'_>, broker: &Broker, records: &mut Records) {
    let id = broker.id();
    let shift = Shift { leaving: Some(id), ..Shift::default() };
    cx.shift_partitions(shift, |partition| partition.isr.contains(&id), records);
    records.push(Record::from(BrokerRegistrationChangeRecord { fenced: 1, ..change_of(broker) }));
}

/// Marks the broker, and lets it lead what nobody leads.
fn unfence(cx: &Context<'_>, broker: &Broker, records: &mut Records) {
    records.push(Record::from(BrokerRegistrationChangeRecord { fenced: -1, ..change_of(broker) }));
    let shift = Shift { joining: Some(broker.id()), ..Shift::default() };
    cx.shift_partitions(shift, |partition| !partition.has_leader(), records);
}

fn begin_shutdown(cx: &Context<'_>, broker: &Broker, records: &mut Records) {
    let id = broker.id();
    records.push(Record::from(BrokerRegistrationChangeRecord {
        in_controlled_shutdown: 1,
        ..change_of(broker)
    }));
    let shift = Shift { leaving: Some(id), ..Shift::default() };
    cx.shift_partitions(shift, |partition| partition.isr.contains(&id), records);
}

/// Brokers name their directories in any order, and a broker that has never said so is not known to
/// have none that is cordoned.
fn are_other_directories(known: Option<&[Uuid]>, named: &[Uuid]) -> bool {
    let set = |dirs: &[Uuid]| dirs.iter().copied().collect::<BTreeSet<_>>();
    known.is_none_or(|known| set(known) != set(named))
}

/// Replicas in directories that have just gone offline leave their ISRs.
fn offline_directories(cx: &Context<'_>, broker: &Broker, offline: &[Uuid], records: &mut Records) {
    let (gone, left): (Vec<Uuid>, Vec<Uuid>) =
        broker.log_dirs().iter().partition(|dir| offline.contains(dir));
    if gone.is_empty() {
        return;
    }
    let id = broker.id();
    let shift = Shift { leaving: Some(id), ..Shift::default() };
    let is_there = |dir: Option<Uuid>| dir.is_some_and(|dir| gone.contains(&dir));
    cx.shift_partitions(shift, |partition| is_there(partition.directory(id)), records);
    records
        .push(Record::from(BrokerRegistrationChangeRecord { log_dirs: left, ..change_of(broker) }));
}
