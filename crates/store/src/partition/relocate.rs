//! A copy of a partition in another log dir, made while the partition is in use (KIP-113).
//!
//! The files are copied as they are: segments only grow at their end, so what was copied stays right
//! until the log is cut, and then the copy begins anew. The copy lies in a directory of its own whose
//! name says that it is none yet; only when it is whole and durable does it take the partition's
//! name. A crash leaves the one or the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use strandline_log::EpochStart;
use strandline_ports::{DirEntry, File, OpenMode};
use strandline_types::{Offset, TopicPartition, Uuid};
use strandline_wire::records::{BatchHeader, HEADER_BYTES};

use super::{PartitionStore, PendingIndexes, Shared, StoredSegment, log_of};
use crate::fault::{Context, Result, StoreFault};
use crate::format::names::{FileKind, OffsetFile};
use crate::format::{leader_epochs, partition_metadata};
use crate::health::DirState;

/// What is copied while no append is under way; what is more is copied before, see
/// [`Relocation::complete`].
const REST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// See the module text.
pub struct Relocation {
    source: Arc<PartitionStore>,
    target: Arc<Shared>,
    /// Where the copy lies while it is none yet.
    path: PathBuf,
    generation: u32,
    segments: BTreeMap<Offset, Copied>,
    /// The segment that was copied last. One open file is enough: of the others there may be
    /// thousands.
    open: Option<(Offset, Arc<dyn File>)>,
    /// Everything before is copied.
    upto: Offset,
}

/// How far one segment is copied.
#[derive(Default)]
struct Copied {
    bytes: u32,
    /// Where the batch begins whose header has not been seen yet.
    next_batch: u32,
    /// Its indexes too, and all of it is durable.
    is_finished: bool,
}

/// What one step of a copy came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// So many bytes.
    Copied(u32),
    /// There was nothing left to copy.
    Whole,
    /// The log is being cut: whatever were copied would be copied again.
    Waits,
}

/// A piece of a segment to be copied.
struct Piece {
    base_offset: Offset,
    from: u32,
    len: u32,
}

/// What there is to copy.
struct Stored {
    generation: u32,
    segments: Vec<StoredSegment>,
    end: Offset,
}

impl PartitionStore {
    /// `None` while it is being cut.
    fn stored(&self) -> Option<Stored> {
        let state = self.state();
        let (generation, end) = (state.generation, state.end);
        let segments = (!state.is_being_cut).then(|| state.segments.clone());
        segments.map(|segments| Stored { generation, segments, end })
    }
}

impl Relocation {
    /// A good size for what is copied at once.
    pub const PIECE_BYTES: u32 = 1024 * 1024;

    pub(crate) async fn begin(
        source: Arc<PartitionStore>,
        target: Arc<Shared>,
        path: PathBuf,
    ) -> Result<Self> {
        assert!(
            !Arc::ptr_eq(&source.shared, &target),
            "STORE-4: a partition moves to another log dir than its own"
        );
        let generation = source.state().generation;
        let (segments, open, upto) = (BTreeMap::new(), None, Offset::ZERO);
        let relocation = Self { source, target, path, generation, segments, open, upto };
        relocation.make_dir().await?;
        Ok(relocation)
    }

    /// Makes durable what is copied of the segment that grows, so that [`Relocation::complete`] need
    /// not.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn sync(&mut self) -> Result<()> {
        let growing = self.segments.last_key_value().map(|(base_offset, _)| *base_offset);
        match growing {
            Some(base_offset) => self.sync_segment(base_offset).await,
            None => Ok(()),
        }
    }

    /// Everything before this offset is copied.
    pub fn upto(&self) -> Offset {
        self.upto
    }

    pub fn copied_bytes(&self) -> u64 {
        self.segments.values().map(|copied| u64::from(copied.bytes)).sum()
    }

    /// How much the copy lacks now.
    pub fn missing_bytes(&self) -> u64 {
        self.source.size_bytes().saturating_sub(self.copied_bytes())
    }

    /// Copies some more, at most `max_bytes`.
    ///
    /// # Errors
    /// When a disk refuses, or the files are not what they should be.
    pub async fn advance(&mut self, max_bytes: u32) -> Result<Progress> {
        loop {
            let Some(stored) = self.source.stored() else { return Ok(Progress::Waits) };
            if self.generation != stored.generation {
                self.begin_anew(stored.generation).await?;
            }
            self.follow_retention(&stored.segments).await?;
            let Some(piece) = self.next_piece(&stored.segments, max_bytes).await? else {
                self.upto = stored.end;
                return Ok(Progress::Whole);
            };
            if piece.len == 0 {
                self.finish_segment(piece.base_offset).await?;
            } else if let Some(count) = self.copy(&piece).await? {
                return Ok(Progress::Copied(count));
            }
        }
    }

    /// Brings the copy to the last byte and makes it durable. Nothing may be written to the
    /// partition meanwhile, so this is for a small rest: false when there is more, because much was
    /// written since the copy last advanced, or the log was cut.
    ///
    /// # Errors
    /// When a disk refuses.
    pub async fn complete(&mut self, epochs: &[EpochStart]) -> Result<bool> {
        let is_same = self.source.state().generation == self.generation;
        if !is_same || self.missing_bytes() > REST_BYTES_MAX {
            return Ok(false);
        }
        match self.source.write_pending_indexes().await {
            // A full disk is what partitions move away from: they are pending in the new files, too.
            Err(fault) if fault.is_full() => {}
            written => written?,
        }
        loop {
            match self.advance(Self::PIECE_BYTES).await? {
                Progress::Copied(_) => {}
                Progress::Whole => break,
                Progress::Waits => return Ok(false),
            }
        }
        self.check_whole()?;
        let active = self.segments.last_key_value().map(|(base_offset, _)| *base_offset);
        if let Some(active) = active {
            self.finish_segment(active).await?;
        }
        for offset in self.source.snapshots().await? {
            self.copy_small(OffsetFile::live(offset, FileKind::ProducerSnapshot)).await?;
        }
        let path = self.path.join(leader_epochs::FILE_NAME);
        let written = self.target.io.replace(&path, leader_epochs::encode(epochs)).await;
        self.target.judge(written)?;
        self.upto = self.source.end();
        let synced = self.target.io.sync_dir(&self.path).await;
        self.target.judge(synced)?;
        Ok(true)
    }

    /// Gives the copy the partition's name. From here on it is the partition, whatever happens: a
    /// disk that fails afterwards takes the directory offline, and nothing else. Both directories
    /// have that name now: before anything is written to the new one, the old one must lose it.
    ///
    /// What lies in its place already is put aside.
    ///
    /// # Errors
    /// When the disk refuses the name, or one of the directories has failed.
    pub async fn take_over(
        self,
        partition: &TopicPartition,
        unique: Uuid,
    ) -> Result<Arc<PartitionStore>> {
        for shared in [&self.target, &self.source.shared] {
            if shared.health.state() == DirState::Offline {
                return Err(StoreFault::Offline { path: shared.dir.clone() });
            }
        }
        let is_in_the_way = |entries: &[DirEntry]| !entries.is_empty();
        if let Some(aside) = self.target.make_way(partition, unique, is_in_the_way).await? {
            let aside = aside.display();
            tracing::warn!(%partition, to = %aside, "lay where the partition moves to: put aside");
        }
        let path = self.target.dir.join(partition.to_string());
        let renamed = self.target.io.rename(&self.path, &path).await;
        self.target.judge(renamed)?;
        let synced = self.target.io.sync_dir(&self.target.dir).await;
        if let Err(fault) = self.target.judge(synced) {
            tracing::error!(%fault, "the new name of a partition may not be durable");
        }
        let store = PartitionStore::new(self.target, &path, 0);
        {
            let source = self.source.state();
            let mut state = store.state();
            state.segments.clone_from(&source.segments);
            state.end = source.end;
            state.pending = PendingIndexes {
                offset: source.pending.offset.clone(),
                time: source.pending.time.clone(),
            };
            state.is_closing = source.is_closing;
            state.is_unnamed = false;
            state.dir_synced_upto =
                source.segments.last().map_or(source.end, |it| it.base_offset + 1);
        }
        Ok(store)
    }

    async fn make_dir(&self) -> Result<()> {
        let path = self.path.clone();
        let made = self.target.io.run(move |disk| disk.create_dir_all(&path)).await;
        self.target.judge(made.context("create", &self.path))?;
        self.copy_file(partition_metadata::FILE_NAME).await
    }

    /// The log was cut, and what was copied may be what went. The directory stays: that it is there
    /// says that a move is under way.
    async fn begin_anew(&mut self, generation: u32) -> Result<()> {
        self.generation = generation;
        self.segments.clear();
        self.open = None;
        self.upto = Offset::ZERO;
        let entries = self.target.io.list(&self.path).await;
        let names = self.target.judge(entries)?.into_iter().map(|entry| entry.name);
        let files = names.filter(|name| name != partition_metadata::FILE_NAME);
        let removed = self.target.io.remove_files(files.map(|it| self.path.join(it)).collect());
        self.target.judge(removed.await)
    }

    /// Segments that have gone are no part of the copy either.
    async fn follow_retention(&mut self, stored: &[StoredSegment]) -> Result<()> {
        let is_there = |base: &Offset| stored.iter().any(|segment| segment.base_offset == *base);
        let gone: Vec<Offset> =
            self.segments.keys().copied().filter(|base| !is_there(base)).collect();
        let mut paths = Vec::new();
        for base_offset in gone {
            self.segments.remove(&base_offset);
            self.open.take_if(|(open, _)| *open == base_offset);
            let kinds = FileKind::OF_SEGMENT.into_iter();
            paths.extend(kinds.map(|kind| self.file_path(OffsetFile::live(base_offset, kind))));
        }
        let removed = self.target.io.remove_files(paths).await;
        self.target.judge(removed)
    }

    /// What comes next; without bytes, a segment that is copied to its end and has a successor.
    async fn next_piece(
        &mut self,
        stored: &[StoredSegment],
        max_bytes: u32,
    ) -> Result<Option<Piece>> {
        for (at, segment) in stored.iter().enumerate() {
            let base_offset = segment.base_offset;
            if !self.segments.contains_key(&base_offset) {
                self.open(base_offset).await?;
                self.segments.insert(base_offset, Copied::default());
            }
            let copied = &self.segments[&base_offset];
            let from = copied.bytes;
            let len = segment.size_bytes.saturating_sub(from).min(max_bytes);
            let has_successor = at + 1 < stored.len();
            if len > 0 || (has_successor && !copied.is_finished) {
                return Ok(Some(Piece { base_offset, from, len }));
            }
        }
        Ok(None)
    }

    /// `None` when the segment has gone meanwhile, or may have been cut.
    async fn copy(&mut self, piece: &Piece) -> Result<Option<u32>> {
        let key = log_of(piece.base_offset);
        let (from, len) = (piece.from, piece.len);
        let Some(file) = self.source.existing_file(key).await? else {
            return match self.is_still_there(piece.base_offset) {
                true => Err(self.damaged(piece.base_offset, from, "its file is not there")),
                false => Ok(None),
            };
        };
        let read = self.source.io().run(move |_| {
            let mut bytes = vec![0; len as usize];
            let count = file.read_at(from.into(), &mut bytes)?;
            bytes.truncate(count);
            Ok(bytes)
        });
        let read: std::io::Result<Vec<u8>> = read.await;
        let mut bytes = self.source.judge(read.context("read", &self.source.file_path(key)))?;
        if !self.is_still_there(piece.base_offset) {
            return Ok(None);
        }
        if bytes.len() < len as usize {
            let end = from + bytes.len() as u32;
            return Err(self.damaged(piece.base_offset, end, "its file is shorter"));
        }
        let target = self.open(piece.base_offset).await?;
        let Some(copied) = self.segments.get_mut(&piece.base_offset) else { return Ok(None) };
        let (kept, upto) = walk(&bytes, from, &mut copied.next_batch);
        bytes.truncate(kept);
        let count = kept as u32;
        let written = target.write_at(from.into(), vec![Bytes::from(bytes)]).await;
        copied.bytes += count;
        let file = OffsetFile::live(piece.base_offset, FileKind::Log);
        self.target.judge(written.context("write", &self.file_path(file)))?;
        self.upto = upto.unwrap_or(self.upto);
        Ok(Some(count))
    }

    /// The segment is in the log, which has not been cut since the copy was begun.
    fn is_still_there(&self, base_offset: Offset) -> bool {
        let source = self.source.state();
        let is_same = source.generation == self.generation && !source.is_being_cut;
        is_same && source.segments.iter().any(|it| it.base_offset == base_offset)
    }

    /// What the copy lacks would be deleted with the old files.
    fn check_whole(&self) -> Result<()> {
        let stored = self.source.state().segments.clone();
        for segment in stored {
            let copied = self.segments.get(&segment.base_offset).map_or(0, |it| it.bytes);
            if copied != segment.size_bytes {
                let reason = "STORE-4: a part of it was not copied";
                return Err(self.damaged(segment.base_offset, copied, reason));
            }
        }
        Ok(())
    }

    fn damaged(&self, segment: Offset, position: u32, reason: &str) -> StoreFault {
        let path = self.source.file_path(log_of(segment));
        StoreFault::Corrupt { path, position: position.into(), reason: reason.into() }
    }

    /// Copies the indexes of a segment that will not grow, and makes all of it durable.
    async fn finish_segment(&mut self, base_offset: Offset) -> Result<()> {
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex] {
            self.copy_small(OffsetFile::live(base_offset, kind)).await?;
        }
        let Some(copied) = self.segments.get_mut(&base_offset) else { return Ok(()) };
        copied.is_finished = true;
        self.sync_segment(base_offset).await
    }

    async fn sync_segment(&mut self, base_offset: Offset) -> Result<()> {
        let synced = self.open(base_offset).await?.sync().await;
        let path = self.file_path(OffsetFile::live(base_offset, FileKind::Log));
        self.target.judge(synced.context("sync", &path))
    }

    async fn copy_small(&self, file: OffsetFile) -> Result<()> {
        self.copy_file(&file.name()).await
    }

    /// Durably. A file that is not there is not missed.
    async fn copy_file(&self, name: &str) -> Result<()> {
        let read = self.source.io().read_whole(&self.source.path().join(name)).await;
        let Some(bytes) = self.source.judge(read)? else { return Ok(()) };
        let path = self.path.join(name);
        let written = self.target.io.write_unsynced(&path, bytes).await;
        let file = self.target.judge(written)?;
        self.target.judge(file.sync().await.context("sync", &path))
    }

    /// The copy of a segment, made when it is not there.
    async fn open(&mut self, base_offset: Offset) -> Result<Arc<dyn File>> {
        if let Some((_, file)) = self.open.as_ref().filter(|(open, _)| *open == base_offset) {
            return Ok(Arc::clone(file));
        }
        let path = self.file_path(OffsetFile::live(base_offset, FileKind::Log));
        let opened = self.target.io.open(&path, OpenMode::Create).await;
        let file = self.target.judge(opened)?;
        self.open = Some((base_offset, Arc::clone(&file)));
        Ok(file)
    }

    fn file_path(&self, file: OffsetFile) -> PathBuf {
        self.path.join(file.name())
    }
}

/// Looks for the batches that begin in a piece: how much of it to keep, so that the next piece does
/// not begin within a header, and the offset before which everything is there.
fn walk(bytes: &[u8], from: u32, next_batch: &mut u32) -> (usize, Option<Offset>) {
    let mut upto = None;
    while let Some(at) = next_batch.checked_sub(from).map(|at| at as usize) {
        let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break };
        let Some(header) = BatchHeader::parse(rest) else {
            // A piece that is all within one header cannot be shortened.
            return (if at > 0 { at } else { bytes.len() }, upto);
        };
        upto = Some(header.base_offset());
        let size = (header.length().max(0) as u32).saturating_add(12).max(HEADER_BYTES as u32);
        *next_batch = next_batch.saturating_add(size);
    }
    (bytes.len(), upto)
}
