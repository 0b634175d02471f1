//! What the drivers' tests stand on: a log directory on a real disk that fails when the test says so.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use strandline_config::BrokerConfig;
use strandline_log::{Log, LogConfig};
use strandline_ports::real::{RealDisk, RealSpawn};
use strandline_ports::{
    Clock, Completer, Completion, DirEntry, DirLock, Disk, DiskSpace, File, Lane, OpenMode, Sleep,
    Spawn,
};
use strandline_replica::{Leadership, ReplicaConfig};
use strandline_store::{Io, LogDir, LogDirOptions, OpenFiles, PartitionStore, TailCache};
use strandline_types::{
    Instant, LeaderEpoch, NodeId, Now, Offset, Timestamp, TopicIdPartition, TopicPartition,
};
use tokio::sync::{mpsc, oneshot};

use super::partition::{CheckpointWanted, Home, IsrProposal, Partition, PartitionContext};
use super::throttles::Throttles;
use crate::dirs::DirIndex;

/// The tests say what time it is.
pub(super) struct ManualClock(pub(super) AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let millis = self.0.load(Ordering::Relaxed);
        Now {
            instant: Instant::from_nanos(millis as u64 * 1_000_000),
            timestamp: Timestamp(millis),
        }
    }

    fn sleep_until(&self, _: Instant) -> Sleep {
        Box::pin(std::future::pending())
    }
}

/// The real disk, which is full or broken when the test says so.
#[derive(Clone, Default)]
pub(super) struct FailingDisk {
    real: Arc<RealDisk>,
    pub(super) is_full: Arc<AtomicBool>,
    is_broken: Arc<AtomicBool>,
    /// It is full for files with this in their name, once they are opened.
    pub(super) no_room_for: Arc<Mutex<Option<&'static str>>>,
    before_open: BeforeOpen,
    late: Late,
}

/// What happens before the next file is opened. Blocking.
pub(super) type BeforeOpen = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Who is given the next write, which ends when they say so.
pub(super) type Late = Arc<Mutex<Option<oneshot::Sender<Completer>>>>;

struct FailingFile {
    real: Arc<dyn File>,
    is_full: Arc<AtomicBool>,
    is_broken: Arc<AtomicBool>,
    late: Late,
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let before = self.before_open.lock().unwrap().take();
        if let Some(before) = before {
            before();
        }
        let real = self.real.open(path, mode)?;
        let no_room_for = *self.no_room_for.lock().unwrap();
        let has_room = no_room_for.is_none_or(|part| !path.to_string_lossy().contains(part));
        let is_full = if has_room { Arc::clone(&self.is_full) } else { Arc::new(true.into()) };
        let is_broken = Arc::clone(&self.is_broken);
        let late = Arc::clone(&self.late);
        Ok(Arc::new(FailingFile { real, is_full, is_broken, late }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.real.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir_all(dir)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.real.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.real.remove_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        self.real.lock(path)
    }
    fn boot_id(&self) -> io::Result<String> {
        self.real.boot_id()
    }
    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let space = self.real.space(dir)?;
        let is_full = self.is_full.load(Ordering::Relaxed);
        Ok(DiskSpace { usable_bytes: if is_full { 0 } else { space.usable_bytes }, ..space })
    }
}

impl File for FailingFile {
    fn write_at(&self, position: u64, mut pieces: Vec<Bytes>) -> Completion {
        if let Some(told) = self.late.lock().unwrap().take() {
            drop(self.real.write_at(position, pieces));
            let (completer, completion) = Completion::waiting();
            told.send(completer).unwrap();
            return completion;
        }
        if self.is_broken.load(Ordering::Relaxed) {
            return Completion::ready(Err(io::Error::other("input/output error")));
        }
        if self.is_full.load(Ordering::Relaxed) {
            // A full disk takes a part of the bytes before it says so.
            if let Some(first) = pieces.first_mut() {
                first.truncate(first.len() / 2);
                pieces.truncate(1);
            }
            drop(self.real.write_at(position, pieces));
            return Completion::ready(Err(io::ErrorKind::StorageFull.into()));
        }
        self.real.write_at(position, pieces)
    }
    fn sync(&self) -> Completion {
        self.real.sync()
    }
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.real.read_at(position, buf)
    }
    fn read_cached_at(&self, position: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        self.real.read_cached_at(position, buf)
    }
    fn is_cached(&self, position: u64, len: u64) -> bool {
        self.real.is_cached(position, len)
    }
    fn len(&self) -> io::Result<u64> {
        self.real.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.real.set_len(len)
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.real.as_fd()
    }
}

/// A log directory of a node, and what its partitions share.
pub(super) struct Node {
    pub(super) dir: LogDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) is_full: Arc<AtomicBool>,
    pub(super) is_broken: Arc<AtomicBool>,
    pub(super) before_open: BeforeOpen,
    pub(super) late: Late,
    pub(super) context: Arc<PartitionContext>,
    pub(super) config: Arc<LogConfig>,
    pub(super) proposed: mpsc::UnboundedReceiver<IsrProposal>,
}

impl Node {
    pub(super) async fn open(path: &Path, config: LogConfig) -> Self {
        let spawn: Arc<dyn Spawn> =
            Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap());
        let disk = FailingDisk::default();
        let (is_full, is_broken) = (Arc::clone(&disk.is_full), Arc::clone(&disk.is_broken));
        let before_open = Arc::clone(&disk.before_open);
        let late = Arc::clone(&disk.late);
        let io = Io { disk: Arc::new(disk), spawn: Arc::clone(&spawn) };
        let options = LogDirOptions {
            // Next to none, so that files are opened again and again.
            open_files: Arc::new(OpenFiles::new(1)),
            tail_cache: Arc::new(TailCache::new(64 * 1024)),
        };
        let dir = LogDir::open(io, path, options).await.unwrap();
        let clock = Arc::new(ManualClock(AtomicI64::new(1000)));
        let (isr_proposals, proposed) = mpsc::unbounded_channel();
        let (checkpoints, mut wanted) = mpsc::unbounded_channel::<CheckpointWanted>();
        let checkpointing = async move {
            while let Some(CheckpointWanted { written, .. }) = wanted.recv().await {
                let _ = written.send(Ok(()));
            }
        };
        spawn.spawn(Lane::Data, Box::pin(checkpointing));
        let context = PartitionContext {
            node: NodeId(1),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            spawn,
            isr_proposals,
            checkpoints,
            metrics: Arc::default(),
            throttles: Throttles::new(
                &BrokerConfig::resolve(None, &[]).unwrap().config.replication,
            ),
        };
        Self {
            dir,
            clock,
            is_full,
            is_broken,
            before_open,
            late,
            context: Arc::new(context),
            config: Arc::new(config),
            proposed,
        }
    }

    pub(super) async fn create_partition(
        &self,
        name: TopicPartition,
        id: TopicIdPartition,
    ) -> Arc<Partition> {
        let store = self.dir.create_partition(&name, id.topic_id, Offset(0)).await.unwrap();
        let log = Log::create(Arc::clone(&self.config), 0, Offset(0), Timestamp(0));
        self.leading(name, id, store, log)
    }

    pub(super) fn leading(
        &self,
        name: TopicPartition,
        id: TopicIdPartition,
        store: Arc<PartitionStore>,
        log: Log,
    ) -> Arc<Partition> {
        let context = Arc::clone(&self.context);
        let replica = ReplicaConfig::default();
        let home = Home { dir: DirIndex::at(0), store };
        let partition = Partition::new(context, name, id, home, log, replica, Offset(0));
        partition.become_leader(Leadership {
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: vec![NodeId(1)],
            in_sync: vec![NodeId(1)],
        });
        partition
    }
}
