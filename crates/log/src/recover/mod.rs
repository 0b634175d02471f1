//! Recovery: from what lies in a partition's directory to a log that may be served.
//!
//! Told what the files are called and how large they are, [`Recovery`] names one step after the
//! other: a producer snapshot to load, a range of a segment to read batch by batch (each batch
//! checked against its checksum). At the end stand the log and what must be repaired first.
//!
//! After a crash everything in a segment that reaches past the recovery point is read. The first
//! bad byte past it, or the first batch there of an epoch before that of the batch in front of it,
//! ends the log: what follows was never promised to anybody. A bad byte *before* it is a fault:
//! those records were durable, and cutting them off would lose them silently.

use alloc::vec::Vec;

use strandline_types::{Offset, Timestamp};
use thiserror::Error;

use crate::{
    AbortedTransaction, EpochCache, EpochStart, IndexEntry, Log, ProducerSnapshot, TimeIndexEntry,
};

mod machine;
mod scan;

pub use machine::Recovery;

/// What a partition's directory holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// Ascending by base offset.
    pub segments: Vec<SegmentListing>,
    /// Offsets of the `.snapshot` files, ascending.
    pub snapshots: Vec<Offset>,
    /// As checkpointed; 0 without a checkpoint.
    pub recovery_point: Offset,
    /// As checkpointed; 0 without a checkpoint.
    pub log_start: Offset,
    /// The log dir was stopped cleanly: only the tail must be looked at.
    pub is_clean: bool,
    pub epochs: EpochCache,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentListing {
    pub base_offset: Offset,
    pub size_bytes: u64,
    pub modified_at: Timestamp,
    /// Largest timestamp in the header of the first batch. Only read for the last segment; −1 will
    /// do for the others.
    pub first_timestamp: Timestamp,
    pub indexes: IndexListing,
    pub transactions: TransactionListing,
}

/// The state of a segment's offset and time index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexListing {
    /// One of the two is missing or makes no sense: both are rebuilt.
    Missing,
    Sound {
        index_entries: u32,
        /// Last entry of the offset index: a batch's last offset and its position.
        last_indexed: Option<(Offset, u32)>,
        time_index_entries: u32,
        /// Last entry of the time index.
        largest: Option<(Timestamp, Offset)>,
    },
}

impl IndexListing {
    /// Of a segment with nothing that is worth an entry.
    pub const EMPTY: Self =
        Self::Sound { index_entries: 0, last_indexed: None, time_index_entries: 0, largest: None };
}

/// The state of a segment's `.txnindex`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionListing {
    /// It makes no sense, or must be cut: it is rebuilt.
    Damaged,
    /// The count of its entries and the offset of the last one's marker. Most segments have no such
    /// file: 0 and −1.
    Sound { entries: u32, last_aborted: Offset },
}

impl TransactionListing {
    pub const EMPTY: Self = Self::Sound { entries: 0, last_aborted: Offset(-1) };
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecoveryStep {
    /// Read this `.snapshot` file, answer with [`Recovery::snapshot_loaded`].
    LoadSnapshot(Offset),
    /// Read batches one by one, hand each to [`Recovery::batch`], then call
    /// [`Recovery::scan_ended`].
    Scan(ScanRange),
    /// Call [`Recovery::finish`].
    Done,
}

/// Bytes `from..to` of a segment's `.log` file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanRange {
    pub segment: Offset,
    pub from: u32,
    pub to: u32,
}

impl ScanRange {
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}

/// Fresh content for a segment's index files, and the producers' state behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RebuiltIndexes {
    pub segment: Offset,
    pub index_entries: Vec<IndexEntry>,
    pub time_index_entries: Vec<TimeIndexEntry>,
    /// `None` leaves the `.txnindex` as it is; without any there is to be none.
    pub aborted: Option<Vec<AbortedTransaction>>,
    /// Content for the `.snapshot` of the segment that follows.
    pub snapshot: Option<(Offset, Vec<ProducerSnapshot>)>,
}

/// What must be done to the files before the log may be used, in this order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Repair {
    /// Base offsets, the last one first: remove these segments with their indexes. A crash in
    /// between must leave a log that ends earlier, not one with a hole.
    pub delete_segments: Vec<Offset>,
    pub delete_snapshots: Vec<Offset>,
    /// Cut this segment's `.log` file to this size.
    pub truncate: Option<(Offset, u32)>,
    /// Make an empty segment.
    pub create_segment: Option<Offset>,
    /// New content of `leader-epoch-checkpoint`.
    pub epochs: Option<Vec<EpochStart>>,
}

/// A log that may be served once `repair` is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    pub log: Log,
    pub repair: Repair,
    /// Records that were thrown away because the log ended before its start.
    pub was_wiped: bool,
    /// The log ends before its checkpointed recovery point, which says how far it once reached.
    pub ends_before_recovery_point: Option<Offset>,
}

/// The files contradict what was once durable: the partition must not be served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RecoveryFault {
    #[error(
        "segment {segment} is corrupt at byte {position}, before the recovery point \
         {recovery_point}: these records were durable once"
    )]
    CorruptBeforeRecoveryPoint { segment: Offset, position: u32, recovery_point: Offset },
}
