//! What the log asks of whoever holds its files.

use alloc::vec::Vec;

use strandline_types::{LeaderEpoch, Offset, ProducerId, Timestamp};

use crate::{EpochStart, ProducerSnapshot, VerificationGuard};

/// Where batches come from decides which checks apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A client's Produce: every check.
    Leader,
    /// The same, in a transaction that its coordinator has confirmed.
    Verified(VerificationGuard),
    /// The end of a transaction, as its coordinator says. Whether it bumps the producer's epoch with
    /// each transaction (KIP-890) decides which epoch the marker must have.
    Marker { bumps_epoch: bool },
    /// Copied from a leader: offsets and epochs as they are, only their order is checked.
    Follower,
    /// The broker's own coordinators: control batches and several batches at once are allowed,
    /// timestamps and sequences are theirs to choose.
    Coordinator,
}

/// What became of a request's batches on one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "appends are the rule: a box each would cost")]
pub enum Admitted {
    Append(Admission),
    /// An idempotent producer repeated itself: nothing is written, the first answer is given again,
    /// once the high watermark has passed it.
    Duplicate(Duplicate),
}

/// The offsets and time that an answer tells the producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    pub base_offset: Offset,
    pub next_offset: Offset,
    /// Set exactly when the topic stamps `LogAppendTime`.
    pub log_append_time: Option<Timestamp>,
}

/// The batch that was appended the first time.
pub type Duplicate = Appended;

/// One append as a plan: do `roll`, then write the stamped batches at `position`, then the index
/// entries, then report [`crate::Log::written`] with `appended.next_offset`. Plans are executed in
/// the order in which they were made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    pub roll: Option<Roll>,
    /// Base offset of the segment to write to.
    pub segment: Offset,
    /// Where in its `.log` file, which ends there.
    pub position: u32,
    pub size_bytes: u32,
    pub appended: Appended,
    /// One per batch in order, or empty: write the bytes as they are.
    pub stamps: Vec<Stamp>,
    pub index_entries: Vec<IndexEntry>,
    pub time_index_entries: Vec<TimeIndexEntry>,
    /// New entries of the segment's `.txnindex`.
    pub aborted: Vec<AbortedTransaction>,
    /// New content of `leader-epoch-checkpoint`, when an epoch begins with this append.
    pub epochs: Option<Vec<EpochStart>>,
}

/// One entry of a `.txnindex` file: a transaction that a marker in this segment aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// The marker's.
    pub last_offset: Offset,
    /// Before this nothing was open when the marker was written: who reads no further need not look
    /// at later entries.
    pub last_stable_offset: Offset,
}

/// What the leader writes into a batch's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// Set the timestamp type bit and the largest timestamp (and so the checksum) to this.
    pub log_append_time: Option<Timestamp>,
}

/// One entry of an `.index` file: a batch's last offset and where the batch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    pub relative_offset: u32,
    pub position: u32,
}

/// One entry of a `.timeindex` file: the largest timestamp so far and the last offset of its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeIndexEntry {
    pub timestamp: Timestamp,
    pub relative_offset: u32,
}

/// Begin a new segment: close the old one, write the producer snapshot under the new base offset,
/// make the new files. Afterwards the old segment should be synced in its own time
/// ([`crate::Log::plan_sync`] up to `base_offset`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roll {
    pub base_offset: Offset,
    pub reason: RollReason,
    pub close: CloseSegment,
    /// Make the log durable up to its end before the new segment is there (LOG-9).
    pub sync: Option<SyncPlan>,
    /// Sync the old segment's indexes before the new segment is there. The recovery point may stand
    /// at the end of the old one already, and recovery believes the indexes of what lies below it.
    pub sync_indexes: bool,
    pub producers: Vec<ProducerSnapshot>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RollReason {
    Size,
    Time,
    IndexFull,
    OffsetDelta,
    /// The active segment itself is due for deletion.
    Retention,
}

/// A segment takes no more records: add the last time index entry, trim all its files. One of size
/// 0 is removed instead, with its files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseSegment {
    pub base_offset: Offset,
    pub size_bytes: u32,
    pub final_time_index_entry: Option<TimeIndexEntry>,
}

/// Sync these segments' files (in any order, or at once), then report [`crate::Log::synced`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncPlan {
    pub upto: Offset,
    /// Base offsets, ascending.
    pub segments: Vec<Offset>,
}

/// Segments to take away, after the roll if there is one: rename them `.deleted`, unlink later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deletion {
    pub roll: Option<Roll>,
    /// Base offsets, ascending.
    pub segments: Vec<Offset>,
    /// Must be in `log-start-offset-checkpoint` before the files go, or a crash between the two
    /// would bring back an older start.
    pub log_start: Offset,
    /// New content of `leader-epoch-checkpoint`, if it changed.
    pub epochs: Option<Vec<EpochStart>>,
}

/// A clean stop: finish the active segment's indexes, write the snapshot, sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosePlan {
    pub close: CloseSegment,
    /// Offset the snapshot is named after: the log's end.
    pub snapshot_offset: Offset,
    pub producers: Vec<ProducerSnapshot>,
    pub sync: Option<SyncPlan>,
}
