//! One partition's files. What to write where is decided by the log core; this executes its plans
//! and reads what was written.
//!
//! One task at a time may execute plans (it holds the partition's append token); any number may
//! read meanwhile. An idle partition holds no file open and a few hundred bytes.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use strandline_log::{EpochStart, IndexEntry, LogImage, Segment, TimeIndexEntry};
use strandline_ports::{DirEntry, File, OpenMode};
use strandline_types::{Offset, TopicPartition, Uuid};
use tokio::sync::RwLock;

use crate::fault::{Context, Result, StoreFault, is_no_space};
use crate::format::names::{FileKind, OffsetFile, deleted_dir_name, stray_dir_name};
use crate::format::{leader_epochs, partition_metadata};
use crate::health::{DirState, Health};
use crate::io::{Io, emptied};
use crate::open_files::{FileKey, OpenFiles, Use};
use crate::tail_cache::TailCache;

mod aborted;
mod append;
mod batch_reader;
mod clean;
mod close;
mod leftovers;
mod load;
mod lookup;
mod read;
mod relocate;
mod segments;
mod swap;
mod timestamp;

pub use append::Append;
pub use clean::{CleanPass, CleanStep};
pub use load::LoadOptions;
pub use read::{FileRange, ReadAnswer, ReadRequest, Records};
pub use relocate::{Progress, Relocation};
pub use segments::DeletedFiles;
pub use timestamp::TimestampOffset;

/// What the partitions of one log dir share.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) io: Io,
    pub(crate) health: Health,
    pub(crate) open_files: Arc<OpenFiles>,
    pub(crate) tail_cache: Arc<TailCache>,
}

pub struct PartitionStore {
    shared: Arc<Shared>,
    me: Weak<Self>,
    /// New segments are filled with zeros so far ahead of their tail, which makes a sync cheap: the
    /// file does not grow. 0 for every log but the metadata log.
    preallocate_bytes: u32,
    state: Mutex<State>,
    /// Held by whoever opens a file by its name, and alone by whoever gives a name to another file.
    names: RwLock<()>,
}

struct State {
    path: Box<Path>,
    /// Ascending; the last is active. Empty only before the log is created or loaded.
    segments: Vec<StoredSegment>,
    /// What has been written ends here.
    end: Offset,
    /// Index entries of the active segment that are not in its index files yet.
    pending: PendingIndexes,
    /// They have their last entry already.
    is_closing: bool,
    files: Vec<OpenFile>,
    /// The newest batches, in offset order without a gap.
    tail: VecDeque<TailBatch>,
    /// Length of the active segment's file when it is filled ahead.
    allocated_bytes: u32,
    /// Segments from here on may be missing from the directory after a power loss.
    dir_synced_upto: Offset,
    /// The directory's own name and the topic id in it may be missing after a power loss: the first
    /// sync of the log covers them, so that making a partition costs none.
    is_unnamed: bool,
    /// Segments whose finished or rebuilt index files no sync has covered: recovery believes those
    /// below the recovery point, and a clean start believes all.
    unsynced_indexes: BTreeSet<Offset>,
    /// Changes when files are cut: what a reader saw before may not hold any more.
    generation: u32,
    /// A cut is under way: the segments are not what their files hold.
    is_being_cut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct StoredSegment {
    base_offset: Offset,
    size_bytes: u32,
    /// In the file.
    index_entries: u32,
    time_index_entries: u32,
    /// Entries of the `.txnindex`, and the last one's marker.
    aborted_transactions: u32,
    last_aborted: Offset,
}

#[derive(Default)]
struct PendingIndexes {
    offset: Vec<IndexEntry>,
    time: Vec<TimeIndexEntry>,
}

struct OpenFile {
    key: FileKey,
    file: Arc<dyn File>,
    was_used: bool,
}

struct TailBatch {
    base_offset: Offset,
    next_offset: Offset,
    header: Bytes,
    records: Bytes,
}

impl TailBatch {
    fn size_bytes(&self) -> usize {
        self.header.len() + self.records.len()
    }
}

impl Shared {
    /// A disk's failure takes the dir offline, unless it is only full.
    pub(crate) fn judge<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(fault @ StoreFault::Io { .. }) = &result {
            if fault.is_full() {
                self.health.is_full();
            } else {
                self.health.is_broken();
            }
        }
        result
    }

    /// Puts aside what lies in the place of a partition that is about to be here, if it matters. Gives
    /// where it is then.
    pub(crate) async fn make_way(
        &self,
        partition: &TopicPartition,
        unique: Uuid,
        matters: impl Fn(&[DirEntry]) -> bool,
    ) -> Result<Option<PathBuf>> {
        let path = self.dir.join(partition.to_string());
        match self.io.list(&path).await {
            Ok(entries) if matters(&entries) => {}
            Ok(_) => return Ok(None),
            Err(StoreFault::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        }
        let to = self.dir.join(stray_dir_name(partition, unique));
        let renamed = self.io.rename(&path, &to).await;
        self.judge(renamed)?;
        self.io.sync_dir(&self.dir).await?;
        Ok(Some(to))
    }
}

impl PartitionStore {
    pub(crate) fn new(shared: Arc<Shared>, path: &Path, preallocate_bytes: u32) -> Arc<Self> {
        let state = State {
            path: path.into(),
            segments: Vec::new(),
            end: Offset::ZERO,
            pending: PendingIndexes::default(),
            is_closing: false,
            files: Vec::new(),
            tail: VecDeque::new(),
            allocated_bytes: 0,
            dir_synced_upto: Offset::ZERO,
            is_unnamed: true,
            unsynced_indexes: BTreeSet::new(),
            generation: 0,
            is_being_cut: false,
        };
        Arc::new_cyclic(|me| Self {
            shared,
            me: me.clone(),
            preallocate_bytes,
            state: Mutex::new(state),
            names: RwLock::const_new(()),
        })
    }

    /// Makes the directory and what Kafka keeps in it from the first moment on. Whatever lay there
    /// before must have been loaded instead.
    pub(crate) async fn create(
        shared: Arc<Shared>,
        path: &Path,
        topic_id: Uuid,
        start: Offset,
        preallocate_bytes: u32,
    ) -> Result<Arc<Self>> {
        let store = Self::new(shared, path, preallocate_bytes);
        let metadata = path.join(partition_metadata::FILE_NAME);
        // One trip to the pool: thousands may be made at once.
        let (dir, log, named) = (path.to_owned(), store.file_path(log_of(start)), metadata.clone());
        let made = store.io().run(move |disk| {
            disk.create_dir_all(&dir).context("create", &dir)?;
            emptied(disk, &log)?;
            emptied(disk, &named)
        });
        let file = store.judge(made.await)?;
        let topic_id = Bytes::from(partition_metadata::encode(topic_id));
        let written = file.write_at(0, vec![topic_id]).await.context("write", &metadata);
        store.judge(written)?;
        store.begin_segment(start);
        Ok(store)
    }

    /// The partition as a clean stop left it.
    pub(crate) fn resume(shared: Arc<Shared>, path: &Path, image: &LogImage) -> Arc<Self> {
        let store = Self::new(shared, path, 0);
        store.take_over(&image.segments, image.log_end);
        store.state().is_unnamed = false;
        store
    }

    /// Renames the directory so that the partition is gone at once, whatever its files take. Gives
    /// the path to remove later. Whoever reads goes on; no append may follow.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn set_deleted(&self, partition: &TopicPartition, unique: Uuid) -> Result<PathBuf> {
        self.rename(deleted_dir_name(partition, unique)).await
    }

    /// Puts a partition aside that this node was not assigned. Gives where it is then.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn set_aside(&self, partition: &TopicPartition, unique: Uuid) -> Result<PathBuf> {
        self.rename(stray_dir_name(partition, unique)).await
    }

    async fn rename(&self, name: String) -> Result<PathBuf> {
        let (from, to) = (self.path(), self.shared.dir.join(name));
        let renamed = self.io().rename(&from, &to).await;
        self.judge(renamed)?;
        self.state().path = to.as_path().into();
        let synced = self.io().sync_dir(&self.shared.dir).await;
        self.judge(synced)?;
        Ok(to)
    }

    pub fn path(&self) -> PathBuf {
        self.state().path.to_path_buf()
    }

    /// Whether the log dir that it lies in has not failed.
    pub fn is_usable(&self) -> bool {
        self.shared.health.state() != DirState::Offline
    }

    /// What has been written ends here; never more than the log core was told.
    pub fn end(&self) -> Offset {
        self.state().end
    }

    /// Bytes of all segments, as DescribeLogDirs reports them.
    pub fn size_bytes(&self) -> u64 {
        self.state().segments.iter().map(|segment| u64::from(segment.size_bytes)).sum()
    }

    /// The topic this directory was made for. `None` in one that Kafka before 2.8 made, and in one
    /// that lost power before anything in it was synced.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub async fn topic_id(&self) -> Result<Option<Uuid>> {
        let path = self.path().join(partition_metadata::FILE_NAME);
        let Some(bytes) = self.io().read_whole(&path).await? else { return Ok(None) };
        match partition_metadata::decode(&bytes) {
            _ if bytes.iter().all(|&byte| byte == 0) => Ok(None),
            Ok(id) => Ok(Some(id)),
            Err(source) => Err(StoreFault::Format { path, source }),
        }
    }

    /// Replaces `leader-epoch-checkpoint`, durably.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn write_epochs(&self, epochs: &[EpochStart]) -> Result<()> {
        let path = self.path().join(leader_epochs::FILE_NAME);
        let written = self.io().replace(&path, leader_epochs::encode(epochs)).await;
        self.judge(written)
    }

    /// Writes out what is kept in memory only to save system calls, and frees its memory. Like a
    /// plan: one task at a time.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn rest(&self) -> Result<()> {
        self.write_pending_indexes().await?;
        let mut state = self.state();
        state.pending = PendingIndexes::default();
        state.segments.shrink_to_fit();
        state.files.shrink_to_fit();
        Ok(())
    }

    pub(crate) fn evict_from_tail(&self, upto: Offset) {
        let mut state = self.state();
        while state.tail.front().is_some_and(|batch| batch.next_offset <= upto) {
            state.tail.pop_front();
        }
        if state.tail.is_empty() {
            state.tail = VecDeque::new();
        }
    }

    pub(crate) fn try_close(&self, key: FileKey) -> Use {
        let mut state = self.state();
        let Some(at) = state.files.iter().position(|open| open.key == key) else {
            return Use::Closed;
        };
        if std::mem::take(&mut state.files[at].was_used) {
            return Use::Recent;
        }
        state.files.swap_remove(at);
        Use::Closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self) -> &Io {
        &self.shared.io
    }

    fn file_path(&self, (offset, kind): FileKey) -> PathBuf {
        self.state().path.join(OffsetFile::live(offset, kind).name())
    }

    fn open_now(&self, key: FileKey) -> Option<Arc<dyn File>> {
        let mut state = self.state();
        let open = state.files.iter_mut().find(|open| open.key == key)?;
        open.was_used = true;
        Some(Arc::clone(&open.file))
    }

    /// The file, open for reading and writing; made when it is not there. Only for whoever executes
    /// plans: a reader must not bring back the file of a segment that is just being deleted.
    async fn file(&self, key: FileKey) -> Result<Arc<dyn File>> {
        if let Some(file) = self.open_now(key) {
            return Ok(file);
        }
        let generation = self.generation();
        let path = self.file_path(key);
        let opened = self.io().open(&path, OpenMode::Create).await;
        let file = self.judge(opened)?;
        Ok(self.keep_open(key, file, generation))
    }

    /// The file if it exists; `None` when its segment has gone.
    async fn existing_file(&self, key: FileKey) -> Result<Option<Arc<dyn File>>> {
        if let Some(file) = self.open_now(key) {
            return Ok(Some(file));
        }
        let _names = self.names.read().await;
        let generation = self.generation();
        let path = self.file_path(key);
        let owned = path.clone();
        match self.io().run(move |disk| disk.open(&owned, OpenMode::Write)).await {
            Ok(file) => Ok(Some(self.keep_open(key, file, generation))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => self.judge(Err(error).context("open", &path)),
        }
    }

    /// `generation` is that of the files when it was opened: since then another file may have taken
    /// the name, and what is written by this handle would be in none.
    fn keep_open(&self, key: FileKey, file: Arc<dyn File>, generation: u32) -> Arc<dyn File> {
        {
            let mut state = self.state();
            if state.generation != generation {
                return file;
            }
            if let Some(earlier) = state.files.iter().find(|open| open.key == key) {
                return Arc::clone(&earlier.file);
            }
            // The segment may have gone while its file was being opened for a reader.
            if !state.segments.iter().any(|segment| segment.base_offset == key.0) {
                return file;
            }
            state.files.push(OpenFile { key, file: Arc::clone(&file), was_used: true });
        }
        self.shared.open_files.opened(Weak::clone(&self.me), key);
        file
    }

    /// The dir's state, before a plan begins.
    fn check_writable(&self) -> Result<()> {
        let path = || self.shared.dir.clone();
        match self.shared.health.state() {
            DirState::Online => Ok(()),
            // It has taken its room already, see `fill_ahead`.
            DirState::Full if self.preallocate_bytes > 0 => Ok(()),
            DirState::Full => Err(StoreFault::Full { path: path() }),
            DirState::Offline => Err(StoreFault::Offline { path: path() }),
        }
    }

    fn judge<T>(&self, result: Result<T>) -> Result<T> {
        self.shared.judge(result)
    }

    /// A write behind the end of a file failed: with a full disk the file is cut back to where its
    /// good bytes end, and can go on later.
    async fn write_failed(
        &self,
        file: &Arc<dyn File>,
        key: FileKey,
        good_bytes: u64,
        error: io::Error,
    ) -> StoreFault {
        let path = self.file_path(key);
        if is_no_space(&error) && self.io().set_len(file, good_bytes, &path).await.is_ok() {
            self.shared.health.is_full();
        } else {
            self.shared.health.is_broken();
        }
        StoreFault::Io { action: "write", path, source: Arc::new(error) }
    }

    fn take_over(&self, segments: &[Segment], end: Offset) {
        let mut state = self.state();
        state.generation += 1;
        state.segments = segments.iter().map(StoredSegment::from).collect();
        state.end = end;
        state.pending = PendingIndexes::default();
        state.is_closing = false;
        state.files = Vec::new();
        state.tail = VecDeque::new();
        state.allocated_bytes = 0;
        state.dir_synced_upto = state.segments.first().map_or(end, |first| first.base_offset);
    }
}

impl From<&Segment> for StoredSegment {
    fn from(segment: &Segment) -> Self {
        Self {
            base_offset: segment.base_offset,
            size_bytes: segment.size_bytes,
            index_entries: segment.index_entries,
            time_index_entries: segment.time_index_entries,
            aborted_transactions: segment.aborted_transactions,
            last_aborted: segment.last_aborted,
        }
    }
}

impl State {
    fn active(&mut self) -> Option<&mut StoredSegment> {
        self.segments.last_mut()
    }

    /// Index of the segment whose range covers `offset`.
    fn segment_of(&self, offset: Offset) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base_offset <= offset).checked_sub(1)
    }

    fn close_files_of(&mut self, base_offset: Offset) {
        self.files.retain(|open| open.key.0 != base_offset);
    }
}

/// The key of a segment's log file.
fn log_of(base_offset: Offset) -> FileKey {
    (base_offset, FileKind::Log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_partition_costs_a_few_hundred_bytes() {
        let path_bytes = 100;
        let segments = 4 * size_of::<StoredSegment>();
        let all = size_of::<PartitionStore>() + path_bytes + segments;
        assert!(all <= 512, "{all} bytes");
    }
}
