//! What the machine knows of its own log and its own disk.
//!
//! The machine decides every append and truncation, so it can keep the facts itself: where the log
//! begins and ends, where epochs begin, who votes as of which record, and which of it is durable.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use strandline_types::{LeaderEpoch, NodeId, Offset, Timestamp};

use crate::{ControlRecord, FetchedBatch, Membership, ReplicaKey, WriteId};

/// What a node has promised in its epoch: Kafka's `quorum-state`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Election {
    pub epoch: LeaderEpoch,
    pub leader: Option<NodeId>,
    pub voted: Option<ReplicaKey>,
}

/// State up to (not including) an offset, whose last record is of an epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    pub end_offset: Offset,
    pub epoch: LeaderEpoch,
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.end_offset, self.epoch)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotFacts {
    pub id: SnapshotId,
    pub size_bytes: u64,
    /// Time of the newest record in it.
    pub last_timestamp: Timestamp,
}

/// An epoch, and the offset of its first record (or, in a diverging answer, of its end).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start_offset: Offset,
}

/// What a node finds on its disk when it starts. All of it is durable.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub election: Option<Election>,
    pub start_offset: Offset,
    pub end_offset: Offset,
    /// Ascending; only epochs with records in the log.
    pub epochs: Vec<EpochStart>,
    /// Ascending. The bootstrap snapshot at offset 0 is not one of them.
    pub snapshots: Vec<SnapshotFacts>,
    /// Bytes of records after the newest snapshot.
    pub new_record_bytes: u64,
    pub log_size_bytes: u64,
    /// From the settings, the bootstrap snapshot, or the newest snapshot.
    pub base_membership: Membership,
    /// What the log's control records make of it, ascending by offset.
    pub memberships: Vec<(Offset, Membership)>,
}

#[derive(Clone, Debug)]
struct Write {
    id: WriteId,
    /// Log end after it.
    end_offset: Offset,
}

#[derive(Clone, Debug)]
pub(crate) struct LogView {
    pub(crate) start_offset: Offset,
    end_offset: Offset,
    synced_end: Offset,
    pending: VecDeque<Write>,
    epochs: Vec<EpochStart>,
    pub(crate) snapshots: Vec<SnapshotFacts>,
    base: Membership,
    memberships: Vec<(Offset, Membership)>,
    /// (log end after it, size) of appends above the high watermark.
    uncommitted_sizes: VecDeque<(Offset, u64)>,
    pub(crate) new_record_bytes: u64,
    pub(crate) size_bytes: u64,
}

impl LogView {
    pub(crate) fn new(recovered: Recovered) -> Self {
        Self {
            start_offset: recovered.start_offset,
            end_offset: recovered.end_offset,
            synced_end: recovered.end_offset,
            pending: VecDeque::new(),
            epochs: recovered.epochs,
            snapshots: recovered.snapshots,
            base: recovered.base_membership,
            memberships: recovered.memberships,
            uncommitted_sizes: VecDeque::new(),
            new_record_bytes: recovered.new_record_bytes,
            size_bytes: recovered.log_size_bytes,
        }
    }

    pub(crate) fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// Everything below is on this node's device.
    pub(crate) fn synced_end(&self) -> Offset {
        self.synced_end
    }

    /// Epoch of the last record; 0 when there never was one.
    pub(crate) fn last_epoch(&self) -> LeaderEpoch {
        let in_log = self.epochs.last().map(|start| start.epoch);
        let in_snapshot = self.snapshots.last().map(|snapshot| snapshot.id.epoch);
        in_log.max(in_snapshot).unwrap_or(LeaderEpoch(0))
    }

    /// Epoch of the record before `end_offset`.
    pub(crate) fn epoch_before(&self, end_offset: Offset) -> LeaderEpoch {
        let in_log = self.epochs.iter().rev().find(|start| start.start_offset < end_offset);
        let in_snapshot = self.snapshots.iter().rev().find(|s| s.id.end_offset <= end_offset);
        let in_log = in_log.map(|start| start.epoch);
        in_log.max(in_snapshot.map(|s| s.id.epoch)).unwrap_or(LeaderEpoch(0))
    }

    /// Where `epoch` ends here: the largest epoch not above it, and the start of the next one.
    pub(crate) fn end_of_epoch(&self, epoch: LeaderEpoch) -> EpochStart {
        let after = self.epochs.partition_point(|start| start.epoch <= epoch);
        let end = self.epochs.get(after).map_or(self.end_offset, |next| next.start_offset);
        match after.checked_sub(1) {
            Some(index) => EpochStart { epoch: self.epochs[index].epoch, start_offset: end },
            // Older than everything in the log: the snapshot the log begins with ends it.
            None => EpochStart {
                epoch: self.epoch_before(self.start_offset),
                start_offset: self.start_offset,
            },
        }
    }

    pub(crate) fn membership(&self) -> &Membership {
        self.memberships.last().map_or(&self.base, |(_, membership)| membership)
    }

    /// The membership that the records below `end_offset` make.
    pub(crate) fn membership_before(&self, end_offset: Offset) -> &Membership {
        let below = self.memberships.partition_point(|(offset, _)| *offset < end_offset);
        below.checked_sub(1).map_or(&self.base, |last| &self.memberships[last].1)
    }

    /// The offset of the record that put the present voters into force, and what was before; `None`
    /// when the log does not say. That one of them listens elsewhere now makes no other voters.
    pub(crate) fn last_change_of_voters(&self) -> Option<(Offset, &Membership)> {
        let current = &self.membership().voters;
        let mut since = None;
        for (offset, membership) in self.memberships.iter().rev() {
            if !membership.voters.has_voters_of(current) {
                return Some((since?, membership));
            }
            since = Some(*offset);
        }
        (!self.base.voters.has_voters_of(current)).then_some((since?, &self.base))
    }

    /// The offset of the record that made the current membership; `None` when the log did not.
    pub(crate) fn membership_offset(&self) -> Option<Offset> {
        self.memberships.last().map(|(offset, _)| *offset)
    }

    /// Whether anything in the log or its snapshot ever spoke of membership: what a bootstrap
    /// snapshot says never reaches followers unless a leader writes it to the log.
    pub(crate) fn membership_is_replicated(&self) -> bool {
        !self.memberships.is_empty() || !self.snapshots.is_empty()
    }

    pub(crate) fn latest_snapshot(&self) -> Option<&SnapshotFacts> {
        self.snapshots.last()
    }

    pub(crate) fn append(
        &mut self,
        write: WriteId,
        next_offset: Offset,
        epoch: LeaderEpoch,
        size_bytes: u64,
    ) {
        assert!(epoch >= self.last_epoch(), "QUORUM-5: epochs in the log never go back");
        assert!(next_offset > self.end_offset, "an append adds records");
        if self.epochs.last().is_none_or(|last| last.epoch < epoch) {
            self.epochs.push(EpochStart { epoch, start_offset: self.end_offset });
        }
        self.end_offset = next_offset;
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
        self.uncommitted_sizes.push_back((next_offset, size_bytes));
        self.wrote(write);
    }

    /// Control records take effect when appended, long before they are committed (KIP-853).
    pub(crate) fn note_control(&mut self, offset: Offset, record: &ControlRecord) {
        let mut membership = self.membership().clone();
        match record {
            ControlRecord::LeaderChange(_) => return,
            ControlRecord::KraftVersion(level) => membership.kraft_version = *level,
            ControlRecord::Voters(voters) => membership.voters = voters.clone(),
        }
        self.memberships.push((offset, membership));
    }

    pub(crate) fn append_fetched(&mut self, write: WriteId, batch: &FetchedBatch) {
        self.append(write, batch.next_offset, batch.epoch, batch.size_bytes);
        for (offset, record) in &batch.control {
            self.note_control(*offset, record);
        }
    }

    pub(crate) fn truncate(&mut self, write: WriteId, end_offset: Offset) {
        self.end_offset = end_offset;
        self.synced_end = self.synced_end.min(end_offset);
        self.epochs.retain(|start| start.start_offset < end_offset);
        self.memberships.retain(|(offset, _)| *offset < end_offset);
        self.uncommitted_sizes.retain(|(end, _)| *end <= end_offset);
        for pending in &mut self.pending {
            pending.end_offset = pending.end_offset.min(end_offset);
        }
        self.wrote(write);
    }

    /// A write that changes nothing in the log still takes its place among the others.
    pub(crate) fn wrote(&mut self, id: WriteId) {
        self.pending.push_back(Write { id, end_offset: self.end_offset });
    }

    pub(crate) fn durable(&mut self, write: WriteId) {
        while self.pending.front().is_some_and(|first| first.id <= write) {
            if let Some(done) = self.pending.pop_front() {
                // What a durable snapshot holds needs no sync of the log.
                self.synced_end = done.end_offset.max(self.start_offset);
            }
        }
    }

    pub(crate) fn committed(&mut self, end_offset: Offset) {
        while let Some((end, size)) = self.uncommitted_sizes.front().copied() {
            if end > end_offset {
                break;
            }
            self.new_record_bytes = self.new_record_bytes.saturating_add(size);
            self.uncommitted_sizes.pop_front();
        }
    }

    pub(crate) fn delete_prefix(&mut self, start_offset: Offset) {
        self.start_offset = start_offset;
        self.synced_end = self.synced_end.max(start_offset);
        self.snapshots.retain(|snapshot| snapshot.id.end_offset >= start_offset);
        // The epoch that holds the first record left begins there now.
        let keep = self.epochs.partition_point(|start| start.start_offset <= start_offset);
        self.epochs.drain(..keep.saturating_sub(1));
        if let Some(first) = self.epochs.first_mut() {
            first.start_offset = first.start_offset.max(start_offset);
        }
        if self.end_offset == start_offset {
            self.epochs.clear();
        }
        let past = self.memberships.partition_point(|(offset, _)| *offset < start_offset);
        if let Some((_, membership)) = self.memberships.drain(..past).next_back() {
            self.base = membership;
        }
    }

    pub(crate) fn install(&mut self, snapshot: SnapshotFacts, membership: Membership) {
        let end = snapshot.id.end_offset;
        self.start_offset = end;
        self.end_offset = end;
        self.synced_end = end;
        self.pending.clear();
        self.epochs.clear();
        self.memberships.clear();
        self.uncommitted_sizes.clear();
        self.base = membership;
        self.snapshots = alloc::vec![snapshot];
        self.new_record_bytes = 0;
        self.size_bytes = 0;
    }
}
