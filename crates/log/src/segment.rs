//! What the log remembers of one segment: a few numbers, never its records or index entries.

use strandline_types::{BatchFacts, Bug, Offset, Timestamp, planted};

use crate::{AbortedTransaction, CloseSegment, IndexEntry, LogConfig, TimeIndexEntry};

pub(crate) const INDEX_ENTRY_BYTES: u32 = 8;
pub(crate) const TIME_INDEX_ENTRY_BYTES: u32 = 12;

/// One `.log` file with its indexes. Its last offset is known from the segment after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    pub base_offset: Offset,
    /// Bytes of whole batches, admitted ones included.
    pub size_bytes: u32,
    pub index_entries: u32,
    pub time_index_entries: u32,
    /// Bytes appended since the last index entry.
    pub bytes_since_index_entry: u32,
    /// Largest timestamp of the segment's first batch; −1 while there is none.
    pub first_timestamp: Timestamp,
    /// Wall clock at creation, or at load.
    pub created_at: Timestamp,
    /// Wall clock of the last append, or the file's.
    pub modified_at: Timestamp,
    /// Largest timestamp of any record; −1 when none has one.
    pub largest_timestamp: Timestamp,
    /// Last offset of the first batch that carries it.
    pub offset_of_largest: Offset,
    /// Timestamp of the last time index entry; −1 while there is none.
    pub last_time_index_timestamp: Timestamp,
    /// Entries of the `.txnindex`, and the last one's marker; 0 and −1 mostly.
    pub aborted_transactions: u32,
    pub last_aborted: Offset,
}

impl Segment {
    pub fn new(base_offset: Offset, now: Timestamp) -> Self {
        Self {
            base_offset,
            size_bytes: 0,
            index_entries: 0,
            time_index_entries: 0,
            bytes_since_index_entry: 0,
            first_timestamp: Timestamp::NONE,
            created_at: now,
            modified_at: now,
            largest_timestamp: Timestamp::NONE,
            offset_of_largest: base_offset,
            last_time_index_timestamp: Timestamp::NONE,
            aborted_transactions: 0,
            last_aborted: Offset(-1),
        }
    }

    /// When retention by time counts from: the largest timestamp, or the file's without any.
    pub fn retention_timestamp(&self) -> Timestamp {
        if self.largest_timestamp.0 >= 0 { self.largest_timestamp } else { self.modified_at }
    }

    pub(crate) fn can_hold(&self, offset: Offset) -> bool {
        (0..=i64::from(i32::MAX)).contains(&offset.since(self.base_offset))
    }

    pub(crate) fn indexes_are_full(&self, config: &LogConfig) -> bool {
        self.index_entries >= config.segment_index_bytes / INDEX_ENTRY_BYTES
            // One place is kept for the entry that closes the segment.
            || self.time_index_entries + 1 >= config.segment_index_bytes / TIME_INDEX_ENTRY_BYTES
    }

    /// Takes in one batch behind the others. `last_offset` and `max_timestamp` are as stamped.
    pub(crate) fn append(
        &mut self,
        config: &LogConfig,
        batch: Placed,
    ) -> (Option<IndexEntry>, Option<TimeIndexEntry>) {
        if self.size_bytes == 0 {
            self.first_timestamp = batch.max_timestamp;
        }
        if batch.max_timestamp > self.largest_timestamp {
            self.largest_timestamp = batch.max_timestamp;
            self.offset_of_largest = batch.last_offset;
        }
        let mut entries = (None, None);
        if self.bytes_since_index_entry > config.index_interval_bytes {
            self.index_entries += 1;
            self.bytes_since_index_entry = 0;
            let behind = if planted(Bug::IndexPointsBehind) { batch.size_bytes } else { 0 };
            entries.0 = Some(IndexEntry {
                relative_offset: self.relative(batch.last_offset),
                position: self.size_bytes + behind,
            });
            entries.1 = self.next_time_index_entry();
        }
        self.size_bytes += batch.size_bytes;
        self.bytes_since_index_entry += batch.size_bytes;
        entries
    }

    /// A transaction was aborted by a marker in this segment.
    pub(crate) fn aborted(&mut self, transaction: &AbortedTransaction) {
        self.aborted_transactions += 1;
        self.last_aborted = transaction.last_offset;
    }

    /// What must be written when no more records will come.
    pub(crate) fn close(&mut self) -> CloseSegment {
        CloseSegment {
            base_offset: self.base_offset,
            size_bytes: self.size_bytes,
            final_time_index_entry: self.next_time_index_entry(),
        }
    }

    /// Only a larger timestamp makes an entry: the time index ascends strictly.
    fn next_time_index_entry(&mut self) -> Option<TimeIndexEntry> {
        if self.largest_timestamp <= self.last_time_index_timestamp {
            return None;
        }
        self.time_index_entries += 1;
        self.last_time_index_timestamp = self.largest_timestamp;
        Some(TimeIndexEntry {
            timestamp: self.largest_timestamp,
            relative_offset: self.relative(self.offset_of_largest),
        })
    }

    fn relative(&self, offset: Offset) -> u32 {
        assert!(self.can_hold(offset), "LOG-5: offset {offset} belongs in another segment");
        offset.since(self.base_offset) as u32
    }
}

/// A batch as it stands in the segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) last_offset: Offset,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) size_bytes: u32,
}

impl Placed {
    pub(crate) fn verbatim(facts: &BatchFacts) -> Self {
        Self {
            last_offset: facts.last_offset(),
            max_timestamp: facts.max_timestamp,
            size_bytes: facts.size_bytes,
        }
    }
}
