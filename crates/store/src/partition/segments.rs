//! Segments come (roll) and go (retention, truncation, a fresh start); and their syncs.

use std::path::PathBuf;

use strandline_log::{CloseSegment, Deletion, ProducerSnapshot, Roll, StartOver, SyncPlan};
use strandline_ports::both;
use strandline_types::Offset;

use super::{FileKey, PartitionStore, PendingIndexes, StoredSegment, log_of};
use crate::fault::{Context, Result};
use crate::format::names::{FileKind, FileState, OffsetFile};
use crate::format::{partition_metadata, producer_snapshot};
use crate::io::Io;

/// Files that are out of the log but still there, for `file.delete.delay.ms`. A reader that has one
/// open may go on reading it, before and after it is unlinked.
#[derive(Debug, Default)]
#[must_use = "they stay until they are unlinked"]
pub struct DeletedFiles(Vec<PathBuf>);

impl DeletedFiles {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self(paths)
    }

    /// # Errors
    /// When the disk refuses; what is left goes at the next start.
    pub async fn unlink(self, io: &Io) -> Result<()> {
        io.remove_files(self.0).await
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The keys of a segment's index files. Most segments have no index of transactions.
pub(super) fn indexes_of(base_offset: Offset) -> [FileKey; 3] {
    [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex]
        .map(|kind| (base_offset, kind))
}

impl PartitionStore {
    /// One that a full disk cut short may be done again.
    pub(super) async fn roll(&self, roll: Roll) -> Result<()> {
        if self.state().active().is_some_and(|active| active.base_offset == roll.base_offset) {
            return Ok(());
        }
        self.close_segment(roll.close).await?;
        if let Some(plan) = &roll.sync {
            self.sync(plan).await?;
        }
        if roll.sync_indexes {
            self.sync_files(indexes_of(roll.close.base_offset).into()).await?;
        }
        self.write_snapshot(roll.base_offset, &roll.producers).await?;
        self.create_segment(roll.base_offset).await
    }

    /// Finishes the active segment's files, or removes them if it never held a record.
    pub(super) async fn close_segment(&self, close: CloseSegment) -> Result<()> {
        let base_offset = close.base_offset;
        let is_active = |state: &super::State| {
            state.segments.last().is_some_and(|active| active.base_offset == base_offset)
        };
        assert!(is_active(&self.state()), "STORE-3: only the active segment is closed");
        {
            let mut state = self.state();
            if !std::mem::replace(&mut state.is_closing, true) {
                state.pending.time.extend(close.final_time_index_entry);
            }
        }
        self.write_pending_indexes().await?;
        self.state().pending = PendingIndexes::default();
        let log = self.file(log_of(base_offset)).await?;
        if self.preallocate_bytes > 0 {
            let path = self.file_path(log_of(base_offset));
            let cut = self.io().set_len(&log, close.size_bytes.into(), &path).await;
            self.judge(cut)?;
            self.state().allocated_bytes = 0;
            // Zeros that come back with a loss of power are the log's end to the next start, which
            // would throw away what the segments behind them hold.
            self.sync_files(vec![log_of(base_offset)]).await?;
        }
        // Kafka rebuilds a segment whose index files are missing, so even empty ones are made.
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            self.file((base_offset, kind)).await?;
        }
        self.state().unsynced_indexes.insert(base_offset);
        Ok(())
    }

    pub(super) async fn create_segment(&self, base_offset: Offset) -> Result<()> {
        let empty = {
            let mut state = self.state();
            let last = state.segments.last().filter(|last| last.size_bytes == 0).copied();
            if let Some(last) = last {
                state.segments.pop();
                state.close_files_of(last.base_offset);
            }
            last
        };
        if let Some(empty) = empty {
            self.remove_segment_files(empty.base_offset).await?;
        }
        self.rewrite(log_of(base_offset), Vec::new()).await?;
        self.begin_segment(base_offset);
        Ok(())
    }

    /// The log goes on in a file that has just been made.
    pub(super) fn begin_segment(&self, base_offset: Offset) {
        let mut state = self.state();
        state.unsynced_indexes.insert(base_offset);
        state.is_closing = false;
        state.end = base_offset;
        state.segments.push(StoredSegment {
            base_offset,
            size_bytes: 0,
            index_entries: 0,
            time_index_entries: 0,
            aborted_transactions: 0,
            last_aborted: Offset(-1),
        });
    }

    /// Not synced: a snapshot that does not match its checksum is ignored and built again.
    pub(super) async fn write_snapshot(
        &self,
        offset: Offset,
        producers: &[ProducerSnapshot],
    ) -> Result<()> {
        let key = (offset, FileKind::ProducerSnapshot);
        self.rewrite(key, producer_snapshot::encode(producers)).await
    }

    /// Makes everything before `plan.upto` survive a loss of power. The files are synced in
    /// parallel, and one sync of a file serves everybody who asked before it began.
    ///
    /// # Errors
    /// When the disk refuses; the dir is offline then.
    pub async fn sync(&self, plan: &SyncPlan) -> Result<()> {
        let (active, dir_synced_upto, mut indexes) = {
            let mut state = self.state();
            let active = state.segments.last().map(|active| active.base_offset);
            (active, state.dir_synced_upto, std::mem::take(&mut state.unsynced_indexes))
        };
        let has_new_name = plan.segments.last().is_some_and(|&newest| newest >= dir_synced_upto);
        // Recovery takes the indexes as they are once the recovery point has passed them.
        indexes.extend(plan.segments.iter().filter(|&&base_offset| Some(base_offset) != active));
        let logs = plan.segments.iter().map(|&base_offset| (base_offset, FileKind::Log));
        let keys = logs.chain(indexes.into_iter().flat_map(indexes_of)).collect();
        if !has_new_name {
            return self.sync_files(keys).await;
        }
        // Side by side: what a name leads to counts for nothing before both are durable.
        let (files, names) = both(self.sync_files(keys), self.sync_names()).await;
        files.and(names)?;
        let newest = plan.segments.last().map_or(dir_synced_upto, |&newest| newest + 1);
        let mut state = self.state();
        state.dir_synced_upto = state.dir_synced_upto.max(newest);
        Ok(())
    }

    /// Makes the names of the files durable, and at first that of the directory and its topic id.
    pub(super) async fn sync_names(&self) -> Result<()> {
        let (dir, is_unnamed) = {
            let state = self.state();
            (state.path.to_path_buf(), state.is_unnamed)
        };
        let birth = async {
            if !is_unnamed {
                return Ok(());
            }
            let topic_id = dir.join(partition_metadata::FILE_NAME);
            let (id, name) =
                both(self.io().sync_if_there(&topic_id), self.io().sync_dir(&self.shared.dir))
                    .await;
            id.and(name)
        };
        let (birth, names) = both(birth, self.io().sync_dir(&dir)).await;
        self.judge(birth.and(names))?;
        self.state().is_unnamed = false;
        Ok(())
    }

    /// Syncs files in parallel.
    pub(super) async fn sync_files(&self, keys: Vec<FileKey>) -> Result<()> {
        let mut syncs = Vec::new();
        for key in keys {
            // A segment that was deleted since has nothing to lose.
            if let Some(file) = self.existing_file(key).await? {
                syncs.push((file.sync(), key));
            }
        }
        for (sync, key) in syncs {
            let synced = sync.await.context("sync", &self.file_path(key));
            self.judge(synced)?;
        }
        Ok(())
    }

    /// Takes segments out of the log. The log start that goes with the plan must be checkpointed
    /// before.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn delete(&self, plan: Deletion) -> Result<DeletedFiles> {
        if let Some(roll) = plan.roll {
            self.roll(roll).await?;
        }
        if let Some(epochs) = &plan.epochs {
            self.write_epochs(epochs).await?;
        }
        self.retire(&plan.segments).await
    }

    /// Throws the whole log away; it goes on, empty, at the plan's offset.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn start_over(&self, plan: StartOver) -> Result<DeletedFiles> {
        {
            let mut state = self.state();
            state.generation += 1;
            state.tail.clear();
            state.pending = PendingIndexes::default();
            state.allocated_bytes = 0;
            state.dir_synced_upto = Offset::ZERO;
        }
        let deleted = self.retire(&plan.delete_segments).await?;
        // Not before: what a crash leaves of the log still says which epochs wrote it.
        self.write_epochs(&plan.epochs).await?;
        self.remove_snapshots(|_| true).await?;
        self.create_segment(plan.create_segment).await?;
        Ok(deleted)
    }

    /// Removes the files for good, with nobody but readers that have them open.
    ///
    /// # Errors
    /// When the disk refuses; what is left goes at the next start.
    pub async fn unlink(&self, deleted: DeletedFiles) -> Result<()> {
        deleted.unlink(self.io()).await
    }

    /// Hides segments from readers, then renames their files.
    async fn retire(&self, segments: &[Offset]) -> Result<DeletedFiles> {
        {
            let mut state = self.state();
            state.segments.retain(|segment| !segments.contains(&segment.base_offset));
            state.files.retain(|open| !segments.contains(&open.key.0));
        }
        let mut files = Vec::new();
        for &offset in segments {
            let kinds = FileKind::OF_SEGMENT.into_iter().chain([FileKind::ProducerSnapshot]);
            files.extend(kinds.map(|kind| OffsetFile::live(offset, kind)));
        }
        let renamed = self.rename_all(files, FileState::Deleted).await;
        self.judge(renamed).map(DeletedFiles)
    }

    pub(super) async fn remove_segment_files(&self, base_offset: Offset) -> Result<()> {
        let dir = self.path();
        let paths = FileKind::OF_SEGMENT
            .into_iter()
            .map(|kind| dir.join(OffsetFile::live(base_offset, kind).name()))
            .collect();
        let removed = self.io().remove_files(paths).await;
        self.judge(removed)
    }

    /// Offsets of the `.snapshot` files, ascending: what a truncation wants to know.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn snapshots(&self) -> Result<Vec<Offset>> {
        let entries = self.io().list(&self.path()).await;
        let entries = self.judge(entries)?;
        let live = |name: &str| {
            OffsetFile::parse(name).filter(|file| {
                file.kind == FileKind::ProducerSnapshot && file.state == FileState::Live
            })
        };
        let mut offsets: Vec<Offset> =
            entries.iter().filter_map(|entry| Some(live(&entry.name)?.offset)).collect();
        offsets.sort_unstable();
        Ok(offsets)
    }

    pub(super) async fn remove_snapshots(&self, goes: impl Fn(Offset) -> bool) -> Result<()> {
        let dir = self.path();
        let all = self.snapshots().await?;
        let name = |offset| OffsetFile::live(offset, FileKind::ProducerSnapshot).name();
        let paths = all.into_iter().filter(|&at| goes(at)).map(|at| dir.join(name(at))).collect();
        let removed = self.io().remove_files(paths).await;
        self.judge(removed)
    }
}
