//! The segment that takes the place of those it was cleaned from.

use alloc::sync::Arc;
use alloc::vec::Vec;

use strandline_types::{Offset, Timestamp};
use thiserror::Error;

use crate::segment::Placed;
use crate::{AbortedTransaction, IndexEntry, LogConfig, Segment, TimeIndexEntry};

/// A segment in the making. Batches are placed one behind the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CleanedSegment {
    config: Arc<LogConfig>,
    cleaned: Cleaned,
}

/// A segment that is whole, and the content of its files besides the batches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cleaned {
    /// Base offsets, ascending: the segments that it was made from.
    pub replaced: Vec<Offset>,
    pub segment: Segment,
    /// Behind its last batch.
    pub next_offset: Offset,
    pub index_entries: Vec<IndexEntry>,
    pub time_index_entries: Vec<TimeIndexEntry>,
    pub aborted: Vec<AbortedTransaction>,
}

/// What is left does not fit into one segment: compressed anew, it has grown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the cleaned segment at {base_offset} would be too large")]
pub struct Outgrown {
    pub base_offset: Offset,
}

impl CleanedSegment {
    /// # Panics
    /// When the group is empty.
    pub fn new(config: Arc<LogConfig>, group: &[Segment]) -> Self {
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let mut segment = Segment::new(first.base_offset, first.created_at);
        segment.modified_at = last.modified_at;
        let cleaned = Cleaned {
            replaced: group.iter().map(|it| it.base_offset).collect(),
            segment,
            next_offset: first.base_offset,
            index_entries: Vec::new(),
            time_index_entries: Vec::new(),
            aborted: Vec::new(),
        };
        Self { config, cleaned }
    }

    /// Takes in a batch behind the others.
    ///
    /// # Errors
    /// When the segment has no room for it.
    ///
    /// # Panics
    /// When the batch does not follow those before it.
    pub fn place(
        &mut self,
        base_offset: Offset,
        last_offset: Offset,
        max_timestamp: Timestamp,
        size_bytes: u32,
    ) -> Result<(), Outgrown> {
        let cleaned = &mut self.cleaned;
        assert!(
            cleaned.next_offset <= base_offset && base_offset <= last_offset,
            "CLEAN-2: batches of a cleaned segment stay in the order of their offsets"
        );
        let size = u64::from(cleaned.segment.size_bytes) + u64::from(size_bytes);
        if size > u64::from(i32::MAX as u32) || !cleaned.segment.can_hold(last_offset) {
            return Err(Outgrown { base_offset: cleaned.segment.base_offset });
        }
        let placed = Placed { last_offset, max_timestamp, size_bytes };
        let (index, time_index) = cleaned.segment.append(&self.config, placed);
        cleaned.index_entries.extend(index);
        cleaned.time_index_entries.extend(time_index);
        cleaned.next_offset = last_offset + 1;
        Ok(())
    }

    pub fn size_bytes(&self) -> u32 {
        self.cleaned.segment.size_bytes
    }

    /// `aborted` are the transactions whose markers it holds.
    pub fn finish(mut self, aborted: Vec<AbortedTransaction>) -> Cleaned {
        let close = self.cleaned.segment.close();
        self.cleaned.time_index_entries.extend(close.final_time_index_entry);
        for transaction in &aborted {
            self.cleaned.segment.aborted(transaction);
        }
        self.cleaned.aborted = aborted;
        self.cleaned
    }
}
