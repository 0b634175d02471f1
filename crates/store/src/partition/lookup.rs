//! From an offset to a place in a segment: the index gives a batch at or before it, the headers
//! from there on give the rest.
//!
//! Everything here reads with one of two manners: from memory only, giving up where that would wait
//! for the device, or blocking, on the pool.

use std::io;
use std::sync::Arc;

use strandline_log::IndexEntry;
use strandline_ports::File;
use strandline_types::{LeaderEpoch, Offset, Timestamp};
use strandline_wire::records::{BatchHeader, HEADER_BYTES, next_batch_size};

use super::{PartitionStore, StoredSegment};
use crate::format::offset_index;

/// What is read at once to look at headers: a little more than lies between two index entries.
const WINDOW_BYTES: usize = 4096 + 512;
/// Entries of an offset index that are read at once: 4 KiB of them, which stand for at least 2 MiB
/// of log, so that a search in most segments takes one or a few calls.
const INDEX_PAGE_ENTRIES: usize = 512;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Memory only.
    Cached,
    /// May wait for the device.
    Blocking,
}

#[derive(Debug)]
pub(super) enum LookupError {
    /// Only with [`Access::Cached`]: the device must be asked.
    Cold,
    /// The file is shorter than the segment was: truncated since.
    Shorter,
    Io(io::Error),
    Corrupt {
        position: u32,
        reason: String,
    },
}

impl From<io::Error> for LookupError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One segment as it was when the reader came; it only grows, unless it is truncated.
#[derive(Clone)]
pub(super) struct SegmentView {
    pub(super) base_offset: Offset,
    /// Where the next segment begins or the log ends.
    pub(super) end: Offset,
    pub(super) size_bytes: u32,
    pub(super) time_index_entries: u32,
    index_entries: u32,
    pending: Vec<IndexEntry>,
    pub(super) generation: u32,
    pub(super) log: Arc<dyn File>,
    index: Option<Arc<dyn File>>,
}

/// The parts of a header that a reader needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) position: u32,
    pub(super) size_bytes: u32,
    pub(super) base_offset: Offset,
    pub(super) last_offset: Offset,
    pub(super) max_timestamp: Timestamp,
    pub(super) leader_epoch: LeaderEpoch,
}

impl Head {
    pub(super) fn end(&self) -> u32 {
        self.position + self.size_bytes
    }
}

impl PartitionStore {
    /// The segment that covers `offset`, with its files open; `None` when there is none (any more).
    pub(super) async fn view(&self, offset: Offset) -> crate::fault::Result<Option<SegmentView>> {
        use crate::format::names::FileKind;
        loop {
            let Some(found) = self.snapshot_of(offset) else { return Ok(None) };
            let (segment, end, pending, generation) = found;
            let base_offset = segment.base_offset;
            let log = self.existing_file((base_offset, FileKind::Log)).await?;
            let index = match segment.index_entries {
                0 => None,
                _ => self.existing_file((base_offset, FileKind::OffsetIndex)).await?,
            };
            if generation != self.generation() {
                // Other files may have taken the names between the two looks.
                continue;
            }
            let Some(log) = log else { return Ok(None) };
            return Ok(Some(SegmentView {
                base_offset,
                end,
                size_bytes: segment.size_bytes,
                time_index_entries: segment.time_index_entries,
                index_entries: if index.is_some() { segment.index_entries } else { 0 },
                pending,
                generation,
                log,
                index,
            }));
        }
    }

    fn snapshot_of(&self, offset: Offset) -> Option<(StoredSegment, Offset, Vec<IndexEntry>, u32)> {
        let state = self.state();
        let at = state.segment_of(offset)?;
        let (end, pending) = match state.segments.get(at + 1) {
            Some(next) => (next.base_offset, Vec::new()),
            None => (state.end, state.pending.offset.clone()),
        };
        Some((state.segments[at], end, pending, state.generation))
    }
}

impl SegmentView {
    /// Position of the last indexed batch whose last offset is not above `offset`.
    pub(super) fn floor_offset(&self, access: Access, offset: Offset) -> Result<u32, LookupError> {
        let relative = offset.since(self.base_offset).clamp(0, i64::from(u32::MAX)) as u32;
        self.floor(access, |entry| entry.relative_offset <= relative)
    }

    /// Position of the last indexed batch that begins at or before `position`.
    pub(super) fn floor_position(&self, access: Access, position: u32) -> Result<u32, LookupError> {
        self.floor(access, |entry| entry.position <= position)
    }

    /// Position of the last entry that is not above the target; entries ascend in both parts.
    fn floor(
        &self,
        access: Access,
        is_not_above: impl Fn(&IndexEntry) -> bool,
    ) -> Result<u32, LookupError> {
        let within = self.pending.partition_point(&is_not_above);
        if let Some(last) = within.checked_sub(1) {
            return self.checked_position(self.pending[last].position);
        }
        let Some(index) = &self.index else { return Ok(0) };
        let mut page = [0; INDEX_PAGE_ENTRIES * offset_index::ENTRY_BYTES];
        let mut read = |from: u32, count: u32| {
            let position = u64::from(from) * offset_index::ENTRY_BYTES as u64;
            let bytes = &mut page[..count as usize * offset_index::ENTRY_BYTES];
            read_exact(&**index, access, position, bytes)?;
            let (entries, _) = bytes.as_chunks::<{ offset_index::ENTRY_BYTES }>();
            let above = entries.partition_point(|it| is_not_above(&offset_index::decode_entry(it)));
            let last = above.checked_sub(1).map(|at| offset_index::decode_entry(&entries[at]));
            Ok::<_, LookupError>(last)
        };
        // Halves by single entries until what is left is read at once.
        let (mut low, mut high, mut found) = (0, self.index_entries, None);
        while high - low > INDEX_PAGE_ENTRIES as u32 {
            let middle = low + (high - low) / 2;
            match read(middle, 1)? {
                Some(entry) => (low, found) = (middle + 1, Some(entry)),
                None => high = middle,
            }
        }
        let last = read(low, high - low)?.or(found);
        self.checked_position(last.map_or(0, |entry| entry.position))
    }

    fn checked_position(&self, position: u32) -> Result<u32, LookupError> {
        if position != 0 && position >= self.size_bytes {
            let reason = format!("its index names a batch behind its {} bytes", self.size_bytes);
            return Err(LookupError::Corrupt { position, reason });
        }
        Ok(position)
    }

    pub(super) fn heads(&self, access: Access) -> Heads<'_> {
        Heads { view: self, access, window: Vec::new(), window_start: 0 }
    }
}

/// Reads headers one after the other, a window at a time.
pub(super) struct Heads<'a> {
    view: &'a SegmentView,
    access: Access,
    window: Vec<u8>,
    window_start: u32,
}

impl Heads<'_> {
    /// The batch that begins at `position`; `None` at the segment's end.
    pub(super) fn at(&mut self, position: u32) -> Result<Option<Head>, LookupError> {
        if position >= self.view.size_bytes {
            return Ok(None);
        }
        let corrupt = |reason: String| LookupError::Corrupt { position, reason };
        let bytes = self.header_bytes(position)?;
        let size = next_batch_size(bytes).map_err(|refusal| corrupt(refusal.to_string()))?;
        let header = BatchHeader::parse(bytes);
        let (Some(size), Some(header)) = (size, header) else {
            return Err(corrupt("cut off in the middle of a header".into()));
        };
        let head = Head {
            position,
            size_bytes: u32::try_from(size).unwrap_or(u32::MAX),
            base_offset: header.base_offset(),
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp(),
            leader_epoch: header.leader_epoch(),
        };
        let is_whole = position
            .checked_add(head.size_bytes)
            .is_some_and(|end| end <= self.view.size_bytes && head.last_offset >= head.base_offset);
        if is_whole { Ok(Some(head)) } else { Err(corrupt("reaches behind the segment".into())) }
    }

    /// The first batch from `position` on that satisfies `wanted`.
    pub(super) fn find(
        &mut self,
        mut position: u32,
        wanted: impl Fn(&Head) -> bool,
    ) -> Result<Option<Head>, LookupError> {
        while let Some(head) = self.at(position)? {
            if wanted(&head) {
                return Ok(Some(head));
            }
            position = head.end();
        }
        Ok(None)
    }

    fn header_bytes(&mut self, position: u32) -> Result<&[u8], LookupError> {
        let held = position.checked_sub(self.window_start).map(|skip| skip as usize);
        let is_held = held.is_some_and(|skip| skip + HEADER_BYTES <= self.window.len());
        if !is_held {
            let left = (self.view.size_bytes - position) as usize;
            let mut window = std::mem::take(&mut self.window);
            window.resize(WINDOW_BYTES.min(left), 0);
            let wanted = HEADER_BYTES.min(left);
            let count =
                read_some(&*self.view.log, self.access, position.into(), &mut window, wanted)?;
            window.truncate(count);
            self.window = window;
            self.window_start = position;
        }
        Ok(&self.window[(position - self.window_start) as usize..])
    }
}

/// Fills `buf`.
pub(super) fn read_exact(
    file: &dyn File,
    access: Access,
    position: u64,
    buf: &mut [u8],
) -> Result<(), LookupError> {
    let wanted = buf.len();
    read_some(file, access, position, buf, wanted).map(drop)
}

/// Reads at least `wanted` bytes.
fn read_some(
    file: &dyn File,
    access: Access,
    position: u64,
    buf: &mut [u8],
    wanted: usize,
) -> Result<usize, LookupError> {
    let count = match access {
        Access::Blocking => file.read_at(position, buf)?,
        Access::Cached => match file.read_cached_at(position, buf)? {
            Some(count) if count >= wanted => count,
            // The rest is on the device, or was cut off: only a blocking read can tell.
            _ => return Err(LookupError::Cold),
        },
    };
    if count < wanted { Err(LookupError::Shorter) } else { Ok(count) }
}
