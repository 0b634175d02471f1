//! The loop: events in, effects out. Writes go to the disk while further events are taken in; all
//! that has gathered meanwhile is written and synced together.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use strandline_log::{LogImage, SyncPlan};
use strandline_ports::watch;
use strandline_ports::{Clock, Sleep, World, both};
use strandline_quorum::{
    Description, Effect, Event, Quorum, SnapshotFacts, SnapshotId, Ticket, Timer, WriteId,
};
use strandline_store::{Append, PartitionStore, StoreFault};
use strandline_types::{Instant, LeaderEpoch, Now, Offset, Timestamp};
use strandline_wire::records::HEADER_BYTES;
use tokio::sync::{mpsc, oneshot};

use super::control::{Place, RECORD_OVERHEAD_BYTES, control_batch, data_batch, encode};
use super::metadata_log::{MetadataLog, encode_election, store_id};
use super::snapshot::Snapshot;

use super::{AppendError, CommittedBatch, Leadership, MetadataEvent};

/// Commands that are taken in before the disk is asked once for all of them.
const COMMANDS_PER_ROUND: usize = 1024;

type Done = oneshot::Sender<Result<Offset, AppendError>>;

pub(super) enum Command {
    Append { epoch: LeaderEpoch, base_offset: Option<Offset>, records: Vec<Bytes>, done: Done },
    Describe { done: oneshot::Sender<Description> },
    WriteSnapshot { id: SnapshotId, last_timestamp: Timestamp, records: Vec<Bytes> },
    SnapshotWritten(Result<SnapshotFacts, StoreFault>),
    Stop { done: oneshot::Sender<Result<LogImage, StoreFault>> },
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
}

pub(super) struct Task {
    parts: Parts,
    timers: BTreeMap<Timer, Instant>,
    sleep: Option<(Instant, Sleep)>,
    /// Records whose place the core is about to decide.
    appending: BTreeMap<Ticket, (Vec<Bytes>, Done)>,
    /// Whoever waits for everything below an offset to commit.
    committing: BTreeMap<Offset, Vec<Done>>,
    staged: Vec<Write>,
    working: Option<Work>,
    /// The log may begin here, once nothing is being written.
    prefix: Option<Offset>,
    next_ticket: u64,
    /// Nothing waits for room on a full disk any more.
    is_stopping: Arc<AtomicBool>,
}

/// A write that waits for its turn.
struct Write {
    id: WriteId,
    kind: WriteKind,
}

enum WriteKind {
    Election(Vec<u8>),
    Append(Box<Append>),
}

type Disk<T> = Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send>>;

/// What the disk is busy with.
enum Work {
    Writing { last: WriteId, upto: Option<Offset>, disk: Disk<()> },
    Syncing { last: WriteId, plan: SyncPlan, disk: Disk<()> },
}

enum Wake {
    Disk(Result<(), StoreFault>),
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
            parts,
            timers: BTreeMap::new(),
            sleep: None,
            appending: BTreeMap::new(),
            committing: BTreeMap::new(),
            staged: Vec::new(),
            working: None,
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
            Wake::Disk(result) => {
                result.map_err(End::Fault)?;
                self.work_done();
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
            if let Some(work) = &mut self.working
                && let Poll::Ready(done) = work.poll(cx)
            {
                return Poll::Ready(Wake::Disk(done));
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
        let next = self.timers.values().min().copied();
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
            return;
        }
        if records.is_empty() {
            return self.when_committed(self.parts.quorum.log_end(), done);
        }
        let count = records.len() as u32;
        let size_bytes = batch_bytes(&records) as u64;
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
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

    fn when_committed(&mut self, end: Offset, done: Done) {
        if end <= self.parts.quorum.high_watermark() {
            // Whoever asked may have gone.
            let _ = done.send(Ok(end));
        } else {
            self.committing.entry(end).or_default().push(done);
        }
    }

    fn obey(&mut self, now: Now, effects: Vec<Effect>) {
        for effect in effects {
            self.obey_one(now, effect);
        }
    }

    fn obey_one(&mut self, now: Now, effect: Effect) {
        match effect {
            Effect::Persist { write, election } => {
                let membership = self.parts.quorum.membership();
                let (version, voters) = (membership.kraft_version, membership.voters.ids());
                let bytes = encode_election(&election, version, voters);
                self.staged.push(Write { id: write, kind: WriteKind::Election(bytes) });
            }
            Effect::Append { write, ticket, base_offset, epoch } => {
                let Some((records, done)) = self.appending.remove(&ticket) else { return };
                let place = Place { base_offset, epoch, timestamp: now.timestamp };
                let batch = data_batch(place, &records).expect("its size was checked");
                let next_offset = base_offset + records.len() as i64;
                self.stage(now, write, place, batch, CommittedContent::Records(records));
                self.when_committed(next_offset, done);
            }
            Effect::AppendControl { write, base_offset, epoch, records } => {
                let place = Place { base_offset, epoch, timestamp: now.timestamp };
                let encoded: Vec<_> = records.iter().map(encode).collect();
                let batch = control_batch(place, &encoded);
                self.stage(now, write, place, batch, CommittedContent::Control(records));
            }
            Effect::AppendRefused { ticket, .. } => {
                if let Some((_, done)) = self.appending.remove(&ticket) {
                    let epoch = self.parts.quorum.epoch();
                    // Whoever asked may have gone.
                    let _ = done.send(Err(AppendError::NotLeader(epoch)));
                }
            }
            Effect::Arm { timer, at } => {
                self.timers.insert(timer, at);
            }
            Effect::Cancel { timer } => {
                self.timers.remove(&timer);
            }
            Effect::Committed { end_offset } => self.committed(end_offset),
            Effect::LeaderChanged { epoch, leader } => {
                self.parts.leadership.send_replace(Leadership { epoch, leader, is_ready: false });
            }
            Effect::LeaderReady { epoch, .. } => {
                self.tell(MetadataEvent::Leading { epoch });
                self.parts.leadership.send_modify(|leadership| leadership.is_ready = true);
            }
            Effect::TakeSnapshot { id } => self.tell(MetadataEvent::TakeSnapshot { id }),
            Effect::DeletePrefix { start_offset } => self.prefix = Some(start_offset),
            Effect::AppendFetched { .. }
            | Effect::Truncate { .. }
            | Effect::Send { .. }
            | Effect::Reply { .. }
            | Effect::KeepSnapshotChunk { .. }
            | Effect::InstallSnapshot { .. } => {
                unreachable!("a sole voter follows nobody and asks nobody: {effect:?}")
            }
        }
    }

    fn stage(
        &mut self,
        now: Now,
        write: WriteId,
        place: Place,
        batch: Bytes,
        content: CommittedContent,
    ) {
        let (control, records) = match content {
            CommittedContent::Records(records) => (Vec::new(), records),
            CommittedContent::Control(records) => {
                let offsets = (0..).map(|index| place.base_offset + index);
                (offsets.zip(records).collect(), Vec::new())
            }
        };
        let count = control.len().max(records.len()) as i64;
        self.parts.uncommitted.push_back(CommittedBatch {
            base_offset: place.base_offset,
            next_offset: place.base_offset + count,
            epoch: place.epoch,
            timestamp: place.timestamp,
            size_bytes: batch.len() as u64,
            control,
            records,
        });
        let append = self.parts.log.admit(now, batch);
        self.staged.push(Write { id: write, kind: WriteKind::Append(Box::new(append)) });
    }

    fn committed(&mut self, end_offset: Offset) {
        while self.parts.uncommitted.front().is_some_and(|batch| batch.next_offset <= end_offset) {
            if let Some(batch) = self.parts.uncommitted.pop_front() {
                self.tell(MetadataEvent::Committed(batch));
            }
        }
        let above = self.committing.split_off(&(end_offset + 1));
        for (end, waiting) in std::mem::replace(&mut self.committing, above) {
            for done in waiting {
                // Whoever asked may have gone.
                let _ = done.send(Ok(end));
            }
        }
    }

    fn tell(&self, event: MetadataEvent) {
        // Without a listener nobody needs to know.
        let _ = self.parts.events.send(event);
    }

    fn start_work(&mut self) {
        if self.working.is_some() || self.staged.is_empty() {
            return;
        }
        let writes = std::mem::take(&mut self.staged);
        let last = writes.last().map_or(WriteId(0), |write| write.id);
        let upto = writes.iter().rev().find_map(|write| match &write.kind {
            WriteKind::Append(append) => Some(append.plan.appended.next_offset),
            WriteKind::Election(_) => None,
        });
        let mut election = None;
        let mut appends = Vec::new();
        for write in writes {
            match write.kind {
                WriteKind::Append(append) => appends.push(*append),
                WriteKind::Election(bytes) => election = Some(bytes),
            }
        }
        let log = &self.parts.log;
        let (io, path) = (log.io.clone(), log.election_path());
        let appending = Appending {
            store: Arc::clone(&log.store),
            clock: Arc::clone(&self.parts.world.clock),
            is_stopping: Arc::clone(&self.is_stopping),
            // The election's file has no reserve: a node that cannot write it must say so at once.
            has_patience: election.is_none(),
        };
        // Side by side: a sole voter begins behind the later of the epochs that it finds in the
        // file and in the log, so either may be lost before both are told to be durable.
        let disk = Box::pin(async move {
            let replaced = async {
                match election {
                    Some(bytes) => io.replace(&path, bytes).await,
                    None => Ok(()),
                }
            };
            let (replaced, appended) = both(replaced, appending.append(appends)).await;
            replaced.and(appended)
        });
        self.working = Some(Work::Writing { last, upto, disk });
    }

    fn work_done(&mut self) {
        let now = self.parts.world.clock.now();
        match self.working.take() {
            Some(Work::Writing { last, upto, .. }) => {
                let log = &mut self.parts.log.log;
                if let Some(upto) = upto {
                    log.written(upto);
                }
                match log.plan_sync(upto.unwrap_or(log.written_end())) {
                    Some(plan) => {
                        let (store, to_sync) = (Arc::clone(&self.parts.log.store), plan.clone());
                        let disk = Box::pin(async move { store.sync(&to_sync).await });
                        self.working = Some(Work::Syncing { last, plan, disk });
                    }
                    None => self.step(now, Event::Durable(last)),
                }
            }
            Some(Work::Syncing { last, plan, .. }) => {
                self.parts.log.log.synced(now.timestamp, plan.upto);
                self.step(now, Event::Durable(last));
            }
            None => {}
        }
    }

    fn write_snapshot(
        &mut self,
        now: Now,
        id: SnapshotId,
        last_timestamp: Timestamp,
        records: Vec<Bytes>,
    ) {
        let membership = self.parts.quorum.membership();
        // Static voters stand in the settings of every node.
        let membership = (membership.kraft_version > 0).then(|| membership.clone());
        let snapshot = Snapshot { last_timestamp, membership, records };
        let files = self.parts.log.snapshots.clone();
        let Some(commands) = self.parts.commands.upgrade() else { return };
        let work = async move {
            let written = async {
                let mut writer = files.create(store_id(id)).await?;
                writer.append(snapshot.encode(id.epoch, now.timestamp)).await?;
                let size_bytes = writer.len();
                writer.finish().await?;
                Ok(SnapshotFacts { id, size_bytes, last_timestamp })
            };
            let written = written.await;
            if written.is_err() {
                // What stays goes at the next start.
                let _ = files.abandon(store_id(id)).await;
            }
            // The quorum may have stopped; the snapshot serves its next start.
            let _ = commands.send(Command::SnapshotWritten(written));
        };
        self.parts.world.spawn.spawn(strandline_ports::Lane::Control, Box::pin(work));
    }

    /// Takes segments and snapshots away that a newer snapshot makes needless.
    async fn delete_prefix(&mut self) -> Result<(), StoreFault> {
        if self.working.is_some() || !self.staged.is_empty() {
            return Ok(());
        }
        let Some(start) = self.prefix.take() else { return Ok(()) };
        let now = self.parts.world.clock.now();
        let high_watermark = self.parts.quorum.high_watermark();
        let log = &mut self.parts.log;
        log.begin_at(start, now).await?;
        if let Some(deletion) = log.log.retain(now.timestamp, high_watermark) {
            log.store.delete(deletion).await?.unlink(&log.io).await?;
        }
        log.snapshots.remove(|id| id.end < start).await
    }

    /// Writes what is left, and closes the log.
    async fn close(mut self) -> Result<LogImage, StoreFault> {
        self.is_stopping.store(true, Ordering::Relaxed);
        loop {
            self.start_work();
            let Some(mut work) = self.working.take() else { break };
            poll_fn(|cx| work.poll(cx)).await?;
            self.working = Some(work);
            self.work_done();
        }
        let epoch = self.parts.quorum.epoch();
        self.tell(MetadataEvent::NotLeading { epoch });
        self.parts.leadership.send_replace(Leadership { epoch, leader: None, is_ready: false });
        self.parts.log.close().await
    }
}

/// How often a full disk is tried again.
const ROOM_PAUSE: Duration = Duration::from_millis(500);

/// Appends to the metadata log, with patience.
struct Appending {
    store: Arc<PartitionStore>,
    clock: Arc<dyn Clock>,
    is_stopping: Arc<AtomicBool>,
    has_patience: bool,
}

impl Appending {
    /// While the disk is full, waits for room: nobody has been promised anything yet, and a
    /// controller that ended could not even take the order to delete a topic.
    async fn append(self, appends: Vec<Append>) -> Result<(), StoreFault> {
        let mut has_told = false;
        loop {
            let written = self.store.end();
            let is_left = |append: &&Append| append.plan.appended.next_offset > written;
            let left = appends.iter().filter(is_left).cloned().collect();
            let fault = match self.store.append(left).await {
                Err(fault) if fault.is_full() && self.has_patience => fault,
                done => return done,
            };
            if self.is_stopping.load(Ordering::Relaxed) {
                return Err(fault);
            }
            if !std::mem::replace(&mut has_told, true) {
                tracing::error!(%fault, "the metadata log waits for room on its disk");
            }
            self.clock.sleep(ROOM_PAUSE).await;
        }
    }
}

/// About what records weigh as a batch.
fn batch_bytes(records: &[Bytes]) -> usize {
    let records = records.iter().map(|record| record.len() + RECORD_OVERHEAD_BYTES);
    HEADER_BYTES + records.sum::<usize>()
}

enum CommittedContent {
    Records(Vec<Bytes>),
    Control(Vec<strandline_quorum::ControlRecord>),
}

impl Work {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StoreFault>> {
        match self {
            Self::Writing { disk, .. } | Self::Syncing { disk, .. } => disk.as_mut().poll(cx),
        }
    }
}
