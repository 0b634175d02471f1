//! From a directory to a log: lists the files, reads what the log core's recovery asks for, and
//! does the repairs it decides. A truncation is the same, with an end that is given.

use std::io;
use std::path::Path;
use std::sync::Arc;

use strandline_log::{
    AbortedTransaction, EpochCache, IndexListing, Listing, LogConfig, RebuiltIndexes, Recovered,
    Recovery, RecoveryStep, Repair, ScanRange, SegmentListing, TransactionListing,
};
use strandline_ports::{DirEntry, Disk, File, OpenMode};
use strandline_types::{Bug, Offset, Timestamp, planted};
use strandline_wire::records::{BatchHeader, HEADER_BYTES, inspect_header};

use super::batch_reader::BatchReader;
use super::leftovers::tidy;
use super::{FileKey, PartitionStore, Shared, log_of};
use crate::fault::{Context, Result, StoreFault};
use crate::format::names::{FileKind, FileState, OffsetFile};
use crate::format::{
    leader_epochs, offset_index, producer_snapshot, time_index, transaction_index,
};
use crate::io::read_whole;

/// What the log dir knows of a partition besides its files.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    pub config: Arc<LogConfig>,
    pub jitter_seed: u64,
    pub now: Timestamp,
    /// As checkpointed; 0 without a checkpoint.
    pub recovery_point: Offset,
    /// As checkpointed; 0 without a checkpoint.
    pub log_start: Offset,
    /// The last stop was clean, or no machine crash lies between it and now.
    pub is_clean: bool,
    /// See [`crate::LogDir::create_metadata_log`]; 0 otherwise.
    pub preallocate_bytes: u32,
}

impl PartitionStore {
    pub(crate) async fn load(
        shared: Arc<Shared>,
        path: &Path,
        options: LoadOptions,
    ) -> Result<(Arc<Self>, Recovered)> {
        let store = Self::new(shared, path, options.preallocate_bytes);
        let dir = path.to_owned();
        // One trip to the pool for all that is only read: a start opens thousands.
        let begun = store.io().run(move |disk| {
            let listing = list(disk, &dir, &options)?;
            let LoadOptions { config, jitter_seed, now, .. } = options;
            advance(disk, &dir, &[], Recovery::new(config, jitter_seed, now, listing))
        });
        let begun = store.judge(begun.await)?;
        let recovered = store.complete(begun).await?;
        Ok((store, recovered))
    }

    /// Executes a truncation ([`strandline_log::Log::truncate_to`]). The log of the result replaces
    /// the one that asked for it.
    ///
    /// # Errors
    /// When the disk refuses or the log is damaged.
    pub async fn truncate(&self, recovery: Recovery) -> Result<Recovered> {
        {
            let mut state = self.state();
            state.generation += 1;
            state.is_being_cut = true;
            state.files = Vec::new();
            state.tail.clear();
        }
        let recovered = self.recover(recovery).await;
        self.state().is_being_cut = false;
        recovered
    }

    async fn recover(&self, recovery: Recovery) -> Result<Recovered> {
        let begun = self.advance(recovery).await?;
        self.complete(begun).await
    }

    async fn complete(&self, mut progress: Progress) -> Result<Recovered> {
        let mut last_aborted = None;
        while let Some(mut rebuilt) = progress.rebuilt {
            let aborted = rebuilt.aborted.take().map(|it| (rebuilt.segment, it));
            self.write_rebuilt(rebuilt).await?;
            if let Some((segment, aborted)) = std::mem::replace(&mut last_aborted, aborted) {
                self.replace_aborted(segment, &aborted).await?;
            }
            progress = self.advance(progress.recovery).await?;
        }
        let recovered = progress.recovery.finish();
        self.repair(&recovered.repair).await?;
        // Where the log was cut entries go after their markers: a crash in between leaves too many of
        // them, which the next start sees, and not too few.
        let is_there =
            |segment| recovered.log.segments().iter().any(|it| it.base_offset == segment);
        if let Some((segment, aborted)) = last_aborted.filter(|(segment, _)| is_there(*segment)) {
            self.replace_aborted(segment, &aborted).await?;
        }
        self.take_over(recovered.log.segments(), recovered.log.log_end());
        Ok(recovered)
    }

    async fn advance(&self, recovery: Recovery) -> Result<Progress> {
        let (dir, holding) = {
            let state = self.state();
            let holding = state.segments.iter().filter(|it| it.size_bytes > 0);
            let holding: Vec<_> = holding.map(|it| it.base_offset).collect();
            (state.path.to_path_buf(), holding)
        };
        let advanced = self.io().run(move |disk| advance(disk, &dir, &holding, recovery)).await;
        self.judge(advanced)
    }

    async fn write_rebuilt(&self, rebuilt: RebuiltIndexes) -> Result<()> {
        let base_offset = rebuilt.segment;
        let entries = rebuilt.index_entries.into_iter();
        let index = entries.flat_map(offset_index::encode_entry).collect();
        let entries = rebuilt.time_index_entries.into_iter();
        let time_index = entries.flat_map(time_index::encode_entry).collect();
        self.swap_in((base_offset, FileKind::OffsetIndex), index).await?;
        if !planted(Bug::TimeIndexStaysStale) {
            self.swap_in((base_offset, FileKind::TimeIndex), time_index).await?;
        }
        self.state().unsynced_indexes.insert(base_offset);
        match rebuilt.snapshot {
            Some((offset, producers)) => {
                // A new file: what a loss of power leaves of it fails its checksum. What it left of one
                // that is overwritten could be the old one, of a log that is lost.
                let key = (offset, FileKind::ProducerSnapshot);
                self.swap_in(key, producer_snapshot::encode(&producers)).await
            }
            None => Ok(()),
        }
    }

    async fn replace_aborted(&self, segment: Offset, aborted: &[AbortedTransaction]) -> Result<()> {
        let key = (segment, FileKind::TransactionIndex);
        if planted(Bug::RecoveryForgetsAborts) {
            return Ok(());
        }
        self.state().unsynced_indexes.insert(segment);
        if aborted.is_empty() {
            let removed = self.io().remove_files(vec![self.file_path(key)]).await;
            return self.judge(removed);
        }
        // Synced before it has its name: an empty file would be believed to say that nothing was
        // aborted.
        let path = self.file_path(key);
        let temporary = path.with_extension("tmp");
        let written = self.io().write_new(&temporary, transaction_index::encode(aborted)).await;
        self.judge(written)?;
        let renamed = self.io().rename(&temporary, &path).await;
        self.judge(renamed)
    }

    /// Replaces a file that readers may be using. With a full disk the old one must still be
    /// there.
    async fn swap_in(&self, key: FileKey, bytes: Vec<u8>) -> Result<()> {
        let path = self.file_path(key);
        let temporary = path.with_extension("tmp");
        let written = self.io().write_unsynced(&temporary, bytes).await;
        self.judge(written)?;
        let renamed = self.io().rename(&temporary, &path).await;
        self.judge(renamed)
    }

    /// Replaces a file's content; a crash in the middle is found by the next recovery.
    pub(super) async fn rewrite(&self, key: FileKey, bytes: Vec<u8>) -> Result<()> {
        let path = self.file_path(key);
        self.state().unsynced_indexes.insert(key.0);
        let written = self.io().write_unsynced(&path, bytes).await;
        self.judge(written).map(drop)
    }

    async fn repair(&self, repair: &Repair) -> Result<()> {
        for &segment in &repair.delete_segments {
            self.remove_segment_files(segment).await?;
        }
        if !repair.delete_segments.is_empty() {
            // A power loss must not bring them back behind what the log goes on with.
            let synced = self.io().sync_dir(&self.path()).await;
            self.judge(synced)?;
        }
        if !repair.delete_snapshots.is_empty() {
            self.remove_snapshots(|at| repair.delete_snapshots.contains(&at)).await?;
        }
        let truncate = repair.truncate.filter(|_| !planted(Bug::TornTailStays));
        if let Some((segment, size_bytes)) = truncate {
            let path = self.file_path(log_of(segment));
            let opened = self.io().open(&path, OpenMode::Create).await;
            let file = self.judge(opened)?;
            let cut = self.io().set_len(&file, size_bytes.into(), &path).await;
            self.judge(cut)?;
            // What was cut off must not come back with a power loss: the log may go on in another
            // segment, whose syncs do not reach this one, and both would hold the same offsets.
            let synced = file.sync().await.context("sync", &path);
            self.judge(synced)?;
        }
        if let Some(segment) = repair.create_segment {
            self.rewrite(log_of(segment), Vec::new()).await?;
        }
        match &repair.epochs {
            Some(epochs) => self.write_epochs(epochs).await,
            None => Ok(()),
        }
    }
}

/// A recovery that has been taken as far as it goes without writing.
struct Progress {
    recovery: Recovery,
    /// To be written before it goes on; nothing is left to do without.
    rebuilt: Option<RebuiltIndexes>,
}

/// `holding` are the segments that are known to hold records.
fn advance(
    disk: &dyn Disk,
    dir: &Path,
    holding: &[Offset],
    mut recovery: Recovery,
) -> Result<Progress> {
    loop {
        match recovery.next_step() {
            RecoveryStep::LoadSnapshot(offset) => {
                let path = dir.join(OffsetFile::live(offset, FileKind::ProducerSnapshot).name());
                let bytes = read_whole(disk, &path).context("read", &path)?;
                let entries = bytes.and_then(|bytes| producer_snapshot::decode(&bytes).ok());
                recovery.snapshot_loaded(entries.as_deref());
            }
            RecoveryStep::Scan(range) => {
                read(disk, dir, holding, range, &mut recovery)?;
                let ended = recovery.scan_ended();
                let ended = ended
                    .map_err(|source| StoreFault::Recovery { path: dir.to_owned(), source })?;
                if let Some(rebuilt) = ended {
                    return Ok(Progress { recovery, rebuilt: Some(rebuilt) });
                }
            }
            RecoveryStep::Done => return Ok(Progress { recovery, rebuilt: None }),
        }
    }
}

fn read(
    disk: &dyn Disk,
    dir: &Path,
    holding: &[Offset],
    range: ScanRange,
    recovery: &mut Recovery,
) -> Result<()> {
    let is_held = holding.contains(&range.segment);
    if range.is_empty() && !is_held {
        return Ok(());
    }
    let path = dir.join(OffsetFile::live(range.segment, FileKind::Log).name());
    match disk.open(&path, OpenMode::Read) {
        Ok(file) => scan(&*file, range, recovery).context("read", &path),
        // A segment that was planned, but the disk was full before it was made.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_held => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reason = "the file of the segment has gone".to_owned();
            Err(StoreFault::Corrupt { path, position: 0, reason })
        }
        Err(error) => Err(error).context("open", &path),
    }
}

/// What lies in a directory that nobody has opened yet.
fn list(disk: &dyn Disk, dir: &Path, options: &LoadOptions) -> Result<Listing> {
    let epochs = read_epochs(disk, dir)?;
    let entries = tidy(disk, dir).context("list", dir)?;
    let (mut segments, snapshots) = list_files(disk, dir, &entries).context("list", dir)?;
    if let Some(last) = segments.last_mut() {
        last.first_timestamp = first_timestamp(disk, dir, last).context("list", dir)?;
        let is_short = last.size_bytes <= u64::from(options.config.index_interval_bytes);
        // Index files are made with their first entries, and nothing is worth one yet.
        if is_short && !has_indexes(&entries, last.base_offset) {
            last.indexes = IndexListing::EMPTY;
        }
    }
    Ok(Listing {
        segments,
        snapshots,
        recovery_point: options.recovery_point,
        log_start: options.log_start,
        is_clean: options.is_clean,
        epochs,
    })
}

fn read_epochs(disk: &dyn Disk, dir: &Path) -> Result<EpochCache> {
    let path = dir.join(leader_epochs::FILE_NAME);
    let Some(bytes) = read_whole(disk, &path).context("read", &path)? else {
        return Ok(EpochCache::default());
    };
    match leader_epochs::decode(&bytes) {
        Ok(epochs) => Ok(EpochCache::from_checkpoint(epochs)),
        Err(source) => Err(StoreFault::Format { path, source }),
    }
}

/// Segments and snapshot offsets, both ascending.
fn list_files(
    disk: &dyn Disk,
    dir: &Path,
    entries: &[DirEntry],
) -> io::Result<(Vec<SegmentListing>, Vec<Offset>)> {
    let mut segments = Vec::new();
    let mut snapshots = Vec::new();
    for entry in entries {
        match OffsetFile::parse(&entry.name).filter(|file| file.state == FileState::Live) {
            Some(OffsetFile { offset, kind: FileKind::Log, .. }) => segments.push(SegmentListing {
                base_offset: offset,
                size_bytes: entry.len,
                modified_at: entry.modified_at,
                first_timestamp: Timestamp::NONE,
                indexes: list_indexes(disk, dir, offset, entry.len, entries)?,
                transactions: list_transactions(disk, dir, offset, entry.len, entries)?,
            }),
            Some(OffsetFile { offset, kind: FileKind::ProducerSnapshot, .. }) => {
                snapshots.push(offset);
            }
            _ => {}
        }
    }
    Ok((segments, snapshots))
}

fn list_transactions(
    disk: &dyn Disk,
    dir: &Path,
    base_offset: Offset,
    log_bytes: u64,
    entries: &[DirEntry],
) -> io::Result<TransactionListing> {
    let Some(entry) = find_index(entries, base_offset, FileKind::TransactionIndex) else {
        return Ok(TransactionListing::EMPTY);
    };
    let entry_bytes = transaction_index::ENTRY_BYTES as u64;
    let count = entry.len / entry_bytes;
    if count == 0 && entry.len == 0 {
        return Ok(TransactionListing::EMPTY);
    }
    // Each aborted transaction has a marker in the segment.
    if entry.len % entry_bytes != 0 || count > log_bytes / HEADER_BYTES as u64 {
        return Ok(TransactionListing::Damaged);
    }
    // The last one tells where all of them end; there may be millions.
    let mut last = [0; transaction_index::ENTRY_BYTES];
    let file = disk.open(&dir.join(&entry.name), OpenMode::Read)?;
    let read = file.read_at((count - 1) * entry_bytes, &mut last)?;
    let last = transaction_index::decode_entry(&last).ok().filter(|last| {
        read == transaction_index::ENTRY_BYTES
            && last.first_offset < last.last_offset
            && last.last_offset >= base_offset
    });
    Ok(match last {
        Some(last) => {
            TransactionListing::Sound { entries: count as u32, last_aborted: last.last_offset }
        }
        None => TransactionListing::Damaged,
    })
}

fn first_timestamp(disk: &dyn Disk, dir: &Path, segment: &SegmentListing) -> io::Result<Timestamp> {
    if segment.size_bytes == 0 {
        return Ok(Timestamp::NONE);
    }
    let path = dir.join(OffsetFile::live(segment.base_offset, FileKind::Log).name());
    let mut header = [0; HEADER_BYTES];
    disk.open(&path, OpenMode::Read)?.read_at(0, &mut header)?;
    // A file without a whole header is all zeros here, or cut off by recovery before it is used.
    let header = BatchHeader::parse(&header).filter(|header| header.length() > 0);
    Ok(header.map_or(Timestamp::NONE, |header| header.max_timestamp()))
}

fn find_index(entries: &[DirEntry], base_offset: Offset, kind: FileKind) -> Option<&DirEntry> {
    let name = OffsetFile::live(base_offset, kind).name();
    entries.iter().find(|entry| entry.name == name)
}

fn has_indexes(entries: &[DirEntry], base_offset: Offset) -> bool {
    let mut kinds = [FileKind::OffsetIndex, FileKind::TimeIndex].into_iter();
    kinds.any(|kind| find_index(entries, base_offset, kind).is_some())
}

/// Sound is what ends in an entry that can be true. An index that Kafka was filling when it was
/// killed is not: it ends in zeros.
fn list_indexes(
    disk: &dyn Disk,
    dir: &Path,
    base_offset: Offset,
    log_bytes: u64,
    entries: &[DirEntry],
) -> io::Result<IndexListing> {
    let last_two = |kind, entry_bytes: usize| {
        let Some(entry) = find_index(entries, base_offset, kind) else { return Ok(None) };
        let count = entry.len / entry_bytes as u64;
        if entry.len % entry_bytes as u64 != 0 || count > u64::from(u32::MAX) {
            return Ok(None);
        }
        let wanted = count.min(2) as usize * entry_bytes;
        let mut bytes = vec![0; wanted];
        if wanted > 0 {
            let file = disk.open(&dir.join(&entry.name), OpenMode::Read)?;
            let read = file.read_at(entry.len - wanted as u64, &mut bytes)?;
            bytes.truncate(read);
        }
        Ok::<_, io::Error>(Some((count as u32, bytes)))
    };
    let Some((index_entries, bytes)) = last_two(FileKind::OffsetIndex, offset_index::ENTRY_BYTES)?
    else {
        return Ok(IndexListing::Missing);
    };
    let offsets: Vec<_> = bytes.as_chunks().0.iter().map(offset_index::decode_entry).collect();
    let Some((time_index_entries, bytes)) = last_two(FileKind::TimeIndex, time_index::ENTRY_BYTES)?
    else {
        return Ok(IndexListing::Missing);
    };
    let times: Vec<_> = bytes.as_chunks().0.iter().map(time_index::decode_entry).collect();
    let offset_of = |relative: u32| base_offset.checked_add(i64::from(relative));
    let is_sound = offsets
        .is_sorted_by(|a, b| a.relative_offset < b.relative_offset && a.position < b.position)
        && offsets.iter().all(|entry| {
            // No entry points to a segment's first batch.
            entry.position > 0
                && u64::from(entry.position) < log_bytes
                && i32::try_from(entry.relative_offset).is_ok()
                && offset_of(entry.relative_offset).is_some()
        })
        && times.is_sorted_by(|a, b| a.timestamp < b.timestamp)
        && times.iter().all(|entry| {
            entry.timestamp >= Timestamp(0)
                && i32::try_from(entry.relative_offset).is_ok()
                && offset_of(entry.relative_offset).is_some()
        })
        && (log_bytes > 0 || (offsets.is_empty() && times.is_empty()));
    if !is_sound {
        return Ok(IndexListing::Missing);
    }
    let at = |relative: u32| base_offset + i64::from(relative);
    Ok(IndexListing::Sound {
        index_entries,
        last_indexed: offsets.last().map(|entry| (at(entry.relative_offset), entry.position)),
        time_index_entries,
        largest: times.last().map(|entry| (entry.timestamp, at(entry.relative_offset))),
    })
}

/// Hands whole batches with a right checksum to the recovery until one is not, or it has enough.
fn scan(file: &dyn File, range: ScanRange, recovery: &mut Recovery) -> io::Result<()> {
    let mut batches = BatchReader::new(range.from, range.to);
    loop {
        let position = batches.position();
        let Some(bytes) = batches.next(file)? else { return Ok(()) };
        let Ok(batch) = inspect_header(bytes) else { return Ok(()) };
        if !recovery.batch(&batch.facts, position) {
            return Ok(());
        }
    }
}
