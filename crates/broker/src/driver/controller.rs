//! The controller's shell: feeds the deciding core with requests, timers and what the quorum
//! commits, writes its records to the metadata log, and publishes the image.
//!
//! One task on the control lane. It decides one input at a time and appends its records before the
//! next, so that offsets are what the decision assumed.

mod handle;

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use strandline_client::ConnectionConfig;
use strandline_metadata::controller::{
    Controller, Effect, Input, Moment, Refusal, Request, Response, Ticket, Timer,
};
use strandline_metadata::{Fault, Image, Record, Records};
use strandline_ports::{Sleep, World, watch};
use strandline_quorum::{ControlRecord, SnapshotId};
use strandline_types::{Instant, LeaderEpoch, NodeId, Now, Offset, Timestamp};
use strandline_wire::{DecodeError, EncodeError};
use tokio::sync::{mpsc, oneshot};

use super::links::Links;
use super::quorum::{Committing, MetadataEvent, QuorumHandle};
use super::sentinel::Incarnation;

pub(crate) use handle::{ControllerAnswer, ControllerHandle};

pub(super) type Reply = oneshot::Sender<Result<Response, Refusal>>;

/// Why the controller's task has ended; the process must end with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControllerFault {
    #[error("the metadata log says what cannot be: {0:?}")]
    Fault(Fault),
    #[error("the metadata log holds a record that cannot be read at offset {offset}: {error}")]
    Decode { offset: Offset, error: DecodeError },
    #[error("a decided record cannot be written: {0}")]
    Encode(#[from] EncodeError),
}

impl From<Fault> for ControllerFault {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A controller that has not been started, and the handle that will reach it.
pub(crate) struct ControllerTask {
    core: Controller,
    world: World,
    quorum: QuorumHandle,
    events: mpsc::UnboundedReceiver<MetadataEvent>,
    requests: mpsc::UnboundedReceiver<(Request, Reply)>,
    /// Brokers whose processes are not there any more.
    gone: mpsc::UnboundedReceiver<Incarnation>,
    image: watch::Sender<Arc<Image>>,
    is_active: watch::Sender<bool>,
    waiting: BTreeMap<Ticket, Reply>,
    next_ticket: u64,
    timers: BTreeMap<Timer, Instant>,
    sleep: Option<(Instant, Sleep)>,
    /// Where the next record of the log will stand.
    next_offset: Offset,
    last_timestamp: Timestamp,
    /// Appends whose fate is open. One that fails ends the leadership.
    appending: VecDeque<Committing>,
    /// A snapshot was asked for inside a metadata transaction, where none can be taken.
    snapshot_is_due: bool,
}

enum Happening {
    Metadata(MetadataEvent),
    Asked(Request, Reply),
    Gone(Incarnation),
    Due(Timer),
    AppendFailed,
    /// The quorum has stopped, or nobody can ask any more.
    Over,
}

impl ControllerTask {
    pub(crate) fn new(
        world: World,
        core: Controller,
        quorum: QuorumHandle,
        events: mpsc::UnboundedReceiver<MetadataEvent>,
        connections: ConnectionConfig,
    ) -> (ControllerHandle, Self) {
        let (requests_in, requests) = mpsc::unbounded_channel();
        let (gone_in, gone) = mpsc::unbounded_channel();
        let (image, image_out) = watch::channel(Arc::new(core.committed().clone()));
        let (is_active, is_active_out) = watch::channel(false);
        let handle = ControllerHandle {
            requests: requests_in,
            gone: gone_in,
            image: image_out,
            is_active: is_active_out,
            leadership: quorum.leadership(),
            links: Links::new(world.clone(), connections.clone()),
            relays: Links::new(world.clone(), connections),
            world: world.clone(),
            node_id: quorum.node_id(),
        };
        let task = Self {
            core,
            world,
            quorum,
            events,
            requests,
            gone,
            image,
            is_active,
            waiting: BTreeMap::new(),
            next_ticket: 0,
            timers: BTreeMap::new(),
            sleep: None,
            next_offset: Offset::ZERO,
            last_timestamp: Timestamp::NONE,
            appending: VecDeque::new(),
            snapshot_is_due: false,
        };
        (handle, task)
    }

    /// Runs until the quorum stops.
    ///
    /// # Errors
    /// When the log or a decision contradicts itself.
    pub(crate) async fn run(mut self) -> Result<(), ControllerFault> {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                Happening::Metadata(event) => self.on_metadata(event)?,
                Happening::Asked(request, reply) => self.on_request(request, reply)?,
                Happening::Gone((broker, epoch)) => {
                    self.decide(Input::BrokerGone { broker, epoch })?;
                }
                Happening::Due(timer) => {
                    self.timers.remove(&timer);
                    self.decide(Input::Timer(timer))?;
                }
                Happening::AppendFailed => self.resign(),
                Happening::Over => return Ok(()),
            }
        }
    }

    /// What the log says comes first: decisions must not be behind it.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Happening> {
        if let Poll::Ready(event) = self.events.poll_recv(cx) {
            return Poll::Ready(event.map_or(Happening::Over, Happening::Metadata));
        }
        while let Some(append) = self.appending.front_mut() {
            match Pin::new(append).poll(cx) {
                Poll::Ready(Ok(Ok(_))) => drop(self.appending.pop_front()),
                Poll::Ready(_) => return Poll::Ready(Happening::AppendFailed),
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(timer) = self.poll_timer(cx) {
            return Poll::Ready(Happening::Due(timer));
        }
        if let Poll::Ready(Some(incarnation)) = self.gone.poll_recv(cx) {
            return Poll::Ready(Happening::Gone(incarnation));
        }
        match self.requests.poll_recv(cx) {
            Poll::Ready(Some((request, reply))) => Poll::Ready(Happening::Asked(request, reply)),
            Poll::Ready(None) => Poll::Ready(Happening::Over),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Timer> {
        let next = self.timers.iter().min_by_key(|(_, at)| **at);
        let Some((timer, at)) = next.map(|(timer, at)| (*timer, *at)) else { return Poll::Pending };
        if self.sleep.as_ref().is_none_or(|(armed, _)| *armed != at) {
            self.sleep = Some((at, self.world.clock.sleep_until(at)));
        }
        match &mut self.sleep {
            Some((_, sleep)) => sleep.as_mut().poll(cx).map(|()| timer),
            None => Poll::Pending,
        }
    }

    fn on_metadata(&mut self, event: MetadataEvent) -> Result<(), ControllerFault> {
        match event {
            MetadataEvent::Snapshot { id, last_timestamp, records } => {
                let records = decode(id.end_offset, &records)?;
                self.core.load(records, id.end_offset)?;
                self.next_offset = id.end_offset;
                self.last_timestamp = last_timestamp;
            }
            MetadataEvent::Committed(batch) => {
                self.last_timestamp = batch.timestamp;
                for (_, control) in &batch.control {
                    if let ControlRecord::KraftVersion(level) = control {
                        self.core.set_kraft_version(*level);
                    }
                }
                if self.core.is_active() {
                    let mut effects = Vec::new();
                    self.core.commit(batch.next_offset, &mut effects);
                    self.obey(effects);
                } else {
                    let records = decode(batch.base_offset, &batch.records)?;
                    self.core.replay(batch.base_offset, records)?;
                    self.next_offset = batch.next_offset;
                }
                if self.snapshot_is_due {
                    let id = SnapshotId { end_offset: batch.next_offset, epoch: batch.epoch };
                    self.take_snapshot(id)?;
                }
            }
            MetadataEvent::Leading { epoch, last_heard } => self.lead(epoch, last_heard)?,
            MetadataEvent::Appended { next_offset } => self.next_offset = next_offset,
            MetadataEvent::NotLeading { .. } => self.resign(),
            MetadataEvent::TakeSnapshot { id } => self.take_snapshot(id)?,
        }
        self.publish();
        Ok(())
    }

    fn lead(
        &mut self,
        epoch: LeaderEpoch,
        last_heard: Option<(NodeId, Instant)>,
    ) -> Result<(), ControllerFault> {
        tracing::info!(epoch = epoch.get(), "this controller is active");
        let (moment, mut effects) = (self.moment(), Vec::new());
        let records = self.core.lead(moment, epoch, last_heard, &mut effects)?;
        self.append(records)?;
        self.obey(effects);
        self.is_active.send_replace(true);
        Ok(())
    }

    fn resign(&mut self) {
        self.is_active.send_replace(false);
        let mut effects = Vec::new();
        self.core.resign(&mut effects);
        self.appending.clear();
        self.obey(effects);
    }

    fn on_request(&mut self, request: Request, reply: Reply) -> Result<(), ControllerFault> {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, reply);
        self.decide(Input::Request(ticket, request))
    }

    fn decide(&mut self, input: Input) -> Result<(), ControllerFault> {
        let (moment, mut effects) = (self.moment(), Vec::new());
        let records = self.core.decide(moment, input, &mut effects)?;
        self.append(records)?;
        self.obey(effects);
        Ok(())
    }

    fn moment(&self) -> Moment {
        let now: Now = self.world.clock.now();
        let [high, low] = [(); 2].map(|()| u128::from(self.world.entropy.next_u64()));
        Moment { now, next_offset: self.next_offset, seed: (high << 64) | low }
    }

    fn append(&mut self, records: Records) -> Result<(), ControllerFault> {
        let Some(epoch) = self.core.epoch().filter(|_| !records.is_empty()) else { return Ok(()) };
        let version = self.core.metadata_version();
        let framed: Result<Vec<Bytes>, EncodeError> =
            records.iter().map(|record| record.encode(version)).collect();
        let base_offset = self.next_offset;
        self.next_offset = base_offset + records.len() as i64;
        self.appending.push_back(self.quorum.append(epoch, Some(base_offset), framed?));
        Ok(())
    }

    fn obey(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(ticket, answer) => {
                    if let Some(reply) = self.waiting.remove(&ticket) {
                        // What is answered must be visible to whoever reads next.
                        self.publish();
                        // Whoever asked may have gone.
                        let _ = reply.send(answer);
                    }
                }
                Effect::Arm(timer, at) => drop(self.timers.insert(timer, at)),
                Effect::Cancel(timer) => drop(self.timers.remove(&timer)),
            }
        }
    }

    fn publish(&self) {
        let committed = self.core.committed();
        self.image.send_if_modified(|shown| {
            let is_new = shown.offset != committed.offset;
            if is_new {
                *shown = Arc::new(committed.clone());
            }
            is_new
        });
    }

    /// Within a metadata transaction there is no state to tell: the first commit behind it is the
    /// next chance.
    fn take_snapshot(&mut self, id: SnapshotId) -> Result<(), ControllerFault> {
        let image = self.core.committed();
        self.snapshot_is_due = image.in_transaction();
        if self.snapshot_is_due {
            return Ok(());
        }
        let version = image.features.metadata_version();
        let records: Result<Vec<Bytes>, EncodeError> =
            image.snapshot().iter().map(|record: &Record| record.encode(version)).collect();
        self.quorum.write_snapshot(id, self.last_timestamp, records?);
        Ok(())
    }
}

fn decode(base_offset: Offset, records: &[Bytes]) -> Result<Records, ControllerFault> {
    let decoded = records.iter().zip(0..).map(|(value, index)| {
        let offset = base_offset + index;
        Record::decode(value).map_err(|error| ControllerFault::Decode { offset, error })
    });
    decoded.collect()
}
