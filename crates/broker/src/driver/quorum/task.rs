//! The loop: events in, effects out. Writes go to the disk while further events are taken in; all
//! that has gathered meanwhile is written and synced together.

mod disk;
mod effects;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use bytes::Bytes;
use strandline_config::HostPort;
use strandline_log::LogImage;
use strandline_ports::watch;
use strandline_ports::{Sleep, World};
use strandline_quorum::{
    Description, Effect, Event, Quorum, Reply, Request, RequestId, SnapshotFacts, SnapshotId,
    Ticket, Timer,
};
use strandline_store::StoreFault;
use strandline_types::{Instant, LeaderEpoch, NodeId, Now, Offset, Timestamp};
use strandline_wire::records::HEADER_BYTES;
use tokio::sync::{mpsc, oneshot};

use super::addresses::Addresses;
use super::control::RECORD_OVERHEAD_BYTES;
use super::metadata_log::MetadataLog;
use super::peers::{Outcome, Peers};
use super::rpc::{Answered, Content};
use super::{AppendError, CommittedBatch, Leader, Leadership, MetadataEvent};
use disk::{Disk, Write};
use effects::Deferred;

/// Commands that are taken in before the disk is asked once for all of them.
const COMMANDS_PER_ROUND: usize = 1024;

type Done = oneshot::Sender<Result<Offset, AppendError>>;

pub(super) enum Command {
    Append {
        epoch: LeaderEpoch,
        base_offset: Option<Offset>,
        records: Vec<Bytes>,
        done: Done,
    },
    Ask {
        request: Request,
        done: oneshot::Sender<Reply>,
    },
    /// By the node that was asked, and where, unless it was a bootstrap server.
    Answered {
        id: RequestId,
        asked: Option<(NodeId, HostPort)>,
        outcome: Outcome,
    },
    Controllers(BTreeSet<NodeId>),
    Describe {
        done: oneshot::Sender<Description>,
    },
    WriteSnapshot {
        id: SnapshotId,
        last_timestamp: Timestamp,
        records: Vec<Bytes>,
    },
    SnapshotWritten(Result<SnapshotFacts, StoreFault>),
    Stop {
        done: oneshot::Sender<Result<LogImage, StoreFault>>,
    },
}

pub(super) struct Parts {
    pub(super) world: World,
    pub(super) quorum: Quorum,
    pub(super) log: MetadataLog,
    /// Batches of the log above the high watermark, ascending.
    pub(super) uncommitted: VecDeque<CommittedBatch>,
    pub(super) inbox: mpsc::UnboundedReceiver<Command>,
    /// For answers of work that this task has handed out.
    pub(super) commands: mpsc::WeakUnboundedSender<Command>,
    pub(super) events: mpsc::UnboundedSender<MetadataEvent>,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) peers: Peers,
    /// `controller.quorum.bootstrap.servers`
    pub(super) bootstrap_servers: Vec<HostPort>,
    /// Voters are reached by their endpoint of this name.
    pub(super) listener: String,
    /// Lies there while this node must not vote.
    pub(super) forgotten: PathBuf,
    /// Lies there until this node has joined the voters.
    pub(super) joining: PathBuf,
}

pub(super) struct Task {
    parts: Parts,
    timers: BTreeMap<Timer, Instant>,
    sleep: Option<(Instant, Sleep)>,
    /// Records whose place the core is about to decide.
    appending: BTreeMap<Ticket, (Vec<Bytes>, Done)>,
    /// Other nodes that wait for an answer.
    asking: BTreeMap<Ticket, oneshot::Sender<Reply>>,
    /// Whoever waits for everything below an offset to commit.
    committing: BTreeMap<Offset, Vec<Done>>,
    /// What leaves once a write is durable, or readable.
    deferred: Vec<Deferred>,
    /// The content of the answer that is being stepped through.
    answered: Option<(RequestId, Content)>,
    addresses: Addresses,
    is_leading: bool,
    staged: VecDeque<Write>,
    working: Option<Disk>,
    /// When the disk took up what it is busy with.
    work_began: Instant,
    /// A snapshot that is being copied from the leader.
    download: Option<disk::Download>,
    /// The log may begin here, once nothing is being written.
    prefix: Option<Offset>,
    next_ticket: u64,
    /// Nothing waits for room on a full disk any more.
    is_stopping: Arc<AtomicBool>,
}

enum Wake {
    Disk(Result<disk::Finished, StoreFault>),
    Command(Option<Command>),
    Timer,
}

/// Why the loop ends.
enum End {
    Stop(oneshot::Sender<Result<LogImage, StoreFault>>),
    Abandoned,
    Fault(StoreFault),
}

impl Task {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            work_began: parts.world.clock.now().instant,
            parts,
            timers: BTreeMap::new(),
            sleep: None,
            appending: BTreeMap::new(),
            asking: BTreeMap::new(),
            committing: BTreeMap::new(),
            deferred: Vec::new(),
            answered: None,
            addresses: Addresses::default(),
            is_leading: false,
            staged: VecDeque::new(),
            working: None,
            download: None,
            prefix: None,
            next_ticket: 0,
            is_stopping: Arc::default(),
        }
    }

    pub(super) async fn run(mut self, first: Vec<Effect>, fault: oneshot::Sender<StoreFault>) {
        let now = self.parts.world.clock.now();
        self.obey(now, first);
        let end = loop {
            match self.round().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        match end {
            End::Stop(done) => {
                let closed = self.close().await;
                // Whoever asked may have gone; the log is closed all the same.
                let _ = done.send(closed);
            }
            End::Abandoned => {}
            End::Fault(error) => {
                tracing::error!(%error, "the metadata log has failed");
                let _ = fault.send(error);
            }
        }
    }

    async fn round(&mut self) -> Result<(), End> {
        self.start_work();
        self.delete_prefix().await.map_err(End::Fault)?;
        match self.next_wake().await {
            Wake::Disk(finished) => {
                self.working = None;
                self.work_done(finished.map_err(End::Fault)?);
            }
            Wake::Command(None) => return Err(End::Abandoned),
            Wake::Command(Some(command)) => {
                self.on_command(command)?;
                for _ in 1..COMMANDS_PER_ROUND {
                    let Ok(command) = self.parts.inbox.try_recv() else { break };
                    self.on_command(command)?;
                }
            }
            Wake::Timer => self.fire_timers(),
        }
        Ok(())
    }

    /// The disk first, so that whoever waits for it never waits for newcomers.
    async fn next_wake(&mut self) -> Wake {
        self.set_sleep();
        poll_fn(|cx| {
            if let Some(disk) = &mut self.working
                && let Poll::Ready(finished) = disk.as_mut().poll(cx)
            {
                return Poll::Ready(Wake::Disk(finished));
            }
            if let Some((_, sleep)) = &mut self.sleep
                && sleep.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Wake::Timer);
            }
            self.parts.inbox.poll_recv(cx).map(Wake::Command)
        })
        .await
    }

    fn set_sleep(&mut self) {
        let next = self.timers.values().copied().chain(self.next_answer()).min();
        let armed = self.sleep.as_ref().map(|(at, _)| *at);
        if next != armed {
            self.sleep = next.map(|at| (at, self.parts.world.clock.sleep_until(at)));
        }
    }

    fn fire_timers(&mut self) {
        self.sleep = None;
        let now = self.parts.world.clock.now();
        let due = self.timers.iter().filter(|(_, at)| **at <= now.instant);
        let due: Vec<Timer> = due.map(|(timer, _)| *timer).collect();
        for timer in due {
            self.timers.remove(&timer);
            self.step(now, Event::Timer(timer));
        }
        self.answer_what_is_due(now.instant);
    }

    fn step(&mut self, now: Now, event: Event) {
        let mut effects = Vec::new();
        self.parts.quorum.step(now, event, &mut effects);
        self.obey(now, effects);
    }

    fn on_command(&mut self, command: Command) -> Result<(), End> {
        let now = self.parts.world.clock.now();
        match command {
            Command::Append { epoch, base_offset, records, done } => {
                self.on_append(now, epoch, base_offset, records, done);
            }
            Command::Ask { request, done } => {
                if let Request::BeginQuorumEpoch(begin) = &request {
                    let listed = begin.leader_endpoints.iter();
                    let here = listed.clone().find(|it| it.listener == self.parts.listener);
                    if let Some(endpoint) = here.or(listed.clone().next()) {
                        let (host, port) = (endpoint.host.clone(), endpoint.port);
                        self.learn(begin.leader, HostPort { host, port });
                    }
                }
                let ticket = self.new_ticket();
                self.asking.insert(ticket, done);
                self.step(now, Event::Request { ticket, request });
            }
            Command::Answered { id, asked, outcome } => self.on_answered(now, id, asked, outcome),
            Command::Controllers(ids) => self.step(now, Event::Controllers(ids)),
            Command::Describe { done } => {
                // Whoever asked may have gone.
                let _ = done.send(self.parts.quorum.describe(now));
            }
            Command::WriteSnapshot { id, last_timestamp, records } => {
                self.write_snapshot(now, id, last_timestamp, records);
            }
            Command::SnapshotWritten(written) => {
                match written {
                    Ok(facts) => self.step(now, Event::SnapshotTaken(facts)),
                    // The quorum asks for another one before long.
                    Err(fault) if fault.is_full() => {
                        tracing::warn!(%fault, "no snapshot of the metadata until there is room");
                    }
                    Err(fault) => return Err(End::Fault(fault)),
                }
            }
            Command::Stop { done } => return Err(End::Stop(done)),
        }
        Ok(())
    }

    fn on_answered(
        &mut self,
        now: Now,
        id: RequestId,
        asked: Option<(NodeId, HostPort)>,
        outcome: Outcome,
    ) {
        let is_elsewhere = asked.is_some_and(|(node, at)| {
            if matches!(outcome, Outcome::Answered(_)) {
                self.addresses.heard(node, &at);
                return false;
            }
            let listed = self.listed_address(node);
            let is_left = self.addresses.unheard(node, at, listed);
            self.publish_leadership();
            is_left
        });
        let event = match outcome {
            Outcome::Gone if is_elsewhere => Event::Unanswered { id },
            Outcome::Answered(answered) => {
                let Answered { response, endpoints, content } = *answered;
                for (node, address) in endpoints {
                    self.learn(node, address);
                }
                self.answered = Some((id, content));
                Event::Response { id, response }
            }
            Outcome::Unanswered => Event::Unanswered { id },
            Outcome::Gone => Event::Gone { id },
        };
        self.step(now, event);
        self.answered = None;
    }

    fn on_append(
        &mut self,
        now: Now,
        epoch: LeaderEpoch,
        base_offset: Option<Offset>,
        records: Vec<Bytes>,
        done: Done,
    ) {
        if let Err(error) = self.check_append(epoch, base_offset, &records) {
            // Whoever asked may have gone.
            let _ = done.send(Err(error));
            if let AppendError::OtherOffset { expected, actual } = error {
                // What this controller decided since is founded on records that are nowhere, and
                // some of it might come to stand where it was to: a new epoch refuses all of it.
                tracing::warn!(%expected, %actual, "voters changed under a decision: leading anew");
                self.step(now, Event::Resign);
            }
            return;
        }
        if records.is_empty() {
            return self.when_committed(self.parts.quorum.log_end(), done);
        }
        let count = records.len() as u32;
        let size_bytes = batch_bytes(&records) as u64;
        let ticket = self.new_ticket();
        self.appending.insert(ticket, (records, done));
        self.step(now, Event::Append { ticket, epoch, records: count, size_bytes });
    }

    fn check_append(
        &self,
        epoch: LeaderEpoch,
        base_offset: Option<Offset>,
        records: &[Bytes],
    ) -> Result<(), AppendError> {
        let quorum = &self.parts.quorum;
        if quorum.leader() != Some(quorum.me().id) || quorum.epoch() != epoch {
            return Err(AppendError::NotLeader(epoch));
        }
        let actual = quorum.log_end();
        if let Some(expected) = base_offset.filter(|expected| *expected != actual) {
            return Err(AppendError::OtherOffset { expected, actual });
        }
        // Half a segment leaves room for what framing adds.
        let bytes_max = self.parts.log.log.config().segment_bytes as usize / 2;
        if batch_bytes(records) > bytes_max || i32::try_from(records.len()).is_err() {
            return Err(AppendError::TooLarge);
        }
        Ok(())
    }

    fn new_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Takes in where a node can be reached.
    fn learn(&mut self, node: NodeId, address: HostPort) {
        let listed = self.listed_address(node);
        self.addresses.learn(node, address, listed.as_ref());
        self.publish_leadership();
    }

    fn address_of(&self, node: NodeId) -> Option<HostPort> {
        self.addresses.of(node, self.listed_address(node))
    }

    /// What the voters' records say.
    fn listed_address(&self, node: NodeId) -> Option<HostPort> {
        let endpoints = &self.parts.quorum.membership().voters.get(node)?.endpoints;
        let named = endpoints.iter().find(|it| it.listener == self.parts.listener);
        let endpoint = named.or(endpoints.first())?;
        Some(HostPort { host: endpoint.host.clone(), port: endpoint.port })
    }

    fn publish_leadership(&self) {
        let quorum = &self.parts.quorum;
        let id = quorum.leader();
        let address = id.and_then(|leader| self.address_of(leader));
        let leadership = Leadership {
            epoch: quorum.epoch(),
            leader: Leader { id, address },
            is_ready: self.is_leading,
        };
        self.parts.leadership.send_if_modified(|shown| {
            let is_new = *shown != leadership;
            *shown = leadership;
            is_new
        });
    }
}

/// About what records weigh as a batch.
fn batch_bytes(records: &[Bytes]) -> usize {
    let records = records.iter().map(|record| record.len() + RECORD_OVERHEAD_BYTES);
    HEADER_BYTES + records.sum::<usize>()
}
