//! What goes to the disk, in order: one piece of work at a time, and everything that can be synced
//! together is.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use strandline_log::{Log, LogImage, SyncPlan};
use strandline_ports::{Clock, Lane, both};
use strandline_quorum::{Event, Membership, SnapshotFacts, SnapshotId, WriteId};
use strandline_store::{Append, PartitionStore, SnapshotWriter, StoreFault};
use strandline_types::{Bug, Now, Offset, Timestamp, planted};

use super::{Command, Task};
use crate::driver::quorum::metadata_log::store_id;
use crate::driver::quorum::snapshot::Snapshot;
use crate::driver::quorum::{Leader, Leadership, MetadataEvent};

/// A write that waits for its turn. Pieces of a snapshot promise nothing, and have no number.
pub(super) struct Write {
    pub(super) id: Option<WriteId>,
    pub(super) kind: WriteKind,
}

pub(super) enum WriteKind {
    Election(Vec<u8>),
    /// One batch, and the offset behind it.
    Append(Bytes, Offset),
    Truncate(Offset),
    Chunk {
        id: SnapshotId,
        position: u64,
        bytes: Bytes,
    },
    Install(SnapshotId),
}

/// What the disk is busy with.
pub(super) type Disk = Pin<Box<dyn Future<Output = Result<Finished, StoreFault>> + Send>>;

pub(super) enum Finished {
    Written { last: WriteId, upto: Option<Offset> },
    Synced { last: WriteId, plan: SyncPlan },
    Truncated { last: WriteId, log: Box<Log> },
    Kept(Download),
    Installed(Box<Installed>),
    NotInstalled,
}

/// A snapshot that is being copied from the leader.
pub(super) struct Download {
    id: SnapshotId,
    writer: SnapshotWriter,
}

pub(super) struct Installed {
    facts: SnapshotFacts,
    snapshot: Snapshot,
    log: Log,
}

impl Task {
    pub(super) fn start_work(&mut self) {
        if self.working.is_some() {
            return;
        }
        self.work_began = self.parts.world.clock.now().instant;
        self.working = match self.staged.front().map(|write| &write.kind) {
            None => None,
            Some(WriteKind::Election(_) | WriteKind::Append(..)) => Some(self.start_writing()),
            Some(_) => self.staged.pop_front().map(|write| self.start_one(write)),
        };
    }

    /// Everything at the front that can be written and synced together.
    fn start_writing(&mut self) -> Disk {
        let now = self.parts.world.clock.now();
        let mut last = WriteId(0);
        let (mut election, mut appends, mut upto) = (None, Vec::new(), None);
        while let Some(write) = self.staged.pop_front_if(|write| {
            matches!(write.kind, WriteKind::Election(_) | WriteKind::Append(..))
        }) {
            last = write.id.unwrap_or(last);
            match write.kind {
                WriteKind::Election(bytes) => election = Some(bytes),
                WriteKind::Append(batch, next_offset) => {
                    appends.push(self.parts.log.admit(now, batch));
                    upto = Some(next_offset);
                }
                WriteKind::Truncate(_) | WriteKind::Chunk { .. } | WriteKind::Install(_) => {}
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
        // Side by side: records are appended in an epoch whose vote is durable already, or by a
        // sole voter, which begins behind the later of the epochs that it finds in the file and in
        // the log. So either may be lost before both are told to be durable.
        Box::pin(async move {
            let replaced = async {
                match election {
                    Some(bytes) => io.replace(&path, bytes).await,
                    None => Ok(()),
                }
            };
            let (replaced, appended) = both(replaced, appending.append(appends)).await;
            replaced.and(appended)?;
            Ok(Finished::Written { last, upto })
        })
    }

    fn start_one(&mut self, write: Write) -> Disk {
        let last = write.id.unwrap_or(WriteId(0));
        let log = &self.parts.log;
        let now = self.parts.world.clock.now();
        match write.kind {
            WriteKind::Truncate(end_offset) => {
                let (store, log) = (Arc::clone(&log.store), log.log.clone());
                let path = self.parts.log.dir.clone();
                Box::pin(async move {
                    let snapshots = store.snapshots().await?;
                    let plan = log.truncate_to(end_offset, snapshots, now.timestamp);
                    let log = Box::new(store.truncate(plan).await?.log);
                    let end = log.log_end();
                    if end != end_offset {
                        // The logs part within a batch: they never came from one leader.
                        let reason = format!("cut at {end_offset}, it ends at {end}");
                        return Err(StoreFault::Corrupt { path, position: 0, reason });
                    }
                    Ok(Finished::Truncated { last, log })
                })
            }
            WriteKind::Chunk { id, position, bytes } => {
                let kept = self.download.take().filter(|it| it.id == id && position > 0);
                let files = log.snapshots.clone();
                Box::pin(async move {
                    let mut download = match kept {
                        Some(download) => download,
                        None => Download { id, writer: files.create(store_id(id)).await? },
                    };
                    download.writer.append(vec![bytes]).await?;
                    Ok(Finished::Kept(download))
                })
            }
            WriteKind::Install(id) => {
                let download = self.download.take().filter(|it| it.id == id);
                let log = self.parts.log.replaced();
                Box::pin(async move {
                    let Some(Download { writer, .. }) = download else {
                        return Ok(Finished::NotInstalled);
                    };
                    let size_bytes = writer.len();
                    match log.install(id, writer, now).await? {
                        Ok((snapshot, log)) => {
                            let last_timestamp = snapshot.last_timestamp;
                            let facts = SnapshotFacts { id, size_bytes, last_timestamp };
                            let installed = Installed { facts, snapshot, log };
                            Ok(Finished::Installed(Box::new(installed)))
                        }
                        Err(damage) => {
                            tracing::error!(%damage, "the leader's snapshot is damaged");
                            Ok(Finished::NotInstalled)
                        }
                    }
                })
            }
            WriteKind::Election(_) | WriteKind::Append(..) => {
                unreachable!("these are written together")
            }
        }
    }

    pub(super) fn work_done(&mut self, finished: Finished) {
        let now = self.parts.world.clock.now();
        match finished {
            Finished::Written { last, upto } => {
                let log = &mut self.parts.log.log;
                if let Some(upto) = upto {
                    log.written(upto);
                }
                let plan = log.plan_sync(upto.unwrap_or(log.written_end()));
                if planted(Bug::MetadataDurableUnsynced) {
                    self.is_durable(now, last);
                }
                match plan {
                    Some(plan) => {
                        let store = Arc::clone(&self.parts.log.store);
                        self.work_began = now.instant;
                        self.working = Some(Box::pin(async move {
                            store.sync(&plan).await?;
                            Ok(Finished::Synced { last, plan })
                        }));
                    }
                    None => self.is_durable(now, last),
                }
                self.written(self.parts.log.log.written_end());
            }
            Finished::Synced { last, plan } => {
                self.parts.log.log.synced(now.timestamp, plan.upto);
                self.is_durable(now, last);
            }
            Finished::Truncated { last, log } => {
                self.parts.log.log = *log;
                self.is_durable(now, last);
            }
            Finished::Kept(download) => self.download = Some(download),
            Finished::Installed(installed) => self.installed(now, *installed),
            Finished::NotInstalled => self.step(now, Event::SnapshotRefused),
        }
    }

    fn is_durable(&mut self, now: Now, last: WriteId) {
        self.durable(last);
        self.step(now, Event::Durable(last));
    }

    fn installed(&mut self, now: Now, installed: Installed) {
        let Installed { facts, snapshot, log } = installed;
        self.parts.log.log = log;
        self.parts.uncommitted.clear();
        let membership = snapshot.membership.unwrap_or_else(|| Membership {
            kraft_version: 0,
            voters: self.parts.quorum.membership().voters.clone(),
        });
        let (id, last_timestamp) = (facts.id, facts.last_timestamp);
        let records = snapshot.records;
        self.tell(MetadataEvent::Snapshot { id, last_timestamp, records });
        self.step(now, Event::SnapshotInstalled { snapshot: facts, membership });
    }

    pub(super) fn write_snapshot(
        &mut self,
        now: Now,
        id: SnapshotId,
        last_timestamp: Timestamp,
        records: Vec<Bytes>,
    ) {
        if id.end_offset > self.parts.log.log.recovery_point() {
            // The controller has chosen a later end than it was asked for, and that is not durable
            // here yet (QUORUM-9). The quorum asks for another one before long.
            return;
        }
        // A change of voters behind it may still be undone.
        let membership = self.parts.quorum.membership_before(id.end_offset);
        // Static voters stand in the settings of every node.
        let membership = (membership.kraft_version > 0).then(|| membership.clone());
        let snapshot = Snapshot { last_timestamp, membership, records };
        let files = self.parts.log.snapshots.clone();
        let Some(commands) = self.parts.commands.upgrade() else { return };
        let work = async move {
            let written = async {
                let mut writer = files.create(store_id(id)).await?;
                let filled = async {
                    writer.append(snapshot.encode(id.epoch, now.timestamp)).await?;
                    writer.finish().await
                };
                if let Err(fault) = filled.await {
                    // What stays goes at the next start.
                    let _ = writer.abandon().await;
                    return Err(fault);
                }
                Ok(SnapshotFacts { id, size_bytes: writer.len(), last_timestamp })
            };
            let written = written.await;
            // The quorum may have stopped; the snapshot serves its next start.
            let _ = commands.send(Command::SnapshotWritten(written));
        };
        self.parts.world.spawn.spawn(Lane::Control, Box::pin(work));
    }

    /// Takes segments and snapshots away that a newer snapshot makes needless.
    pub(super) async fn delete_prefix(&mut self) -> Result<(), StoreFault> {
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

    /// Says goodbye to the others, writes what is left, and closes the log.
    pub(super) async fn close(mut self) -> Result<LogImage, StoreFault> {
        self.is_stopping.store(true, Ordering::Relaxed);
        let now = self.parts.world.clock.now();
        self.step(now, Event::Resign);
        loop {
            self.start_work();
            let Some(mut disk) = self.working.take() else { break };
            let finished = poll_fn(|cx| disk.as_mut().poll(cx)).await?;
            self.work_done(finished);
        }
        let epoch = self.parts.quorum.epoch();
        let leader = Leader { id: None, address: None };
        self.parts.leadership.send_replace(Leadership { epoch, leader, is_ready: false });
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
