//! The steps of recovery and what they add up to.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use strandline_types::{BatchFacts, Bug, LeaderEpoch, Offset, Timestamp, planted};

use super::scan::{Purpose, Scan, Verdict};
use super::{
    IndexListing, Listing, RebuiltIndexes, Recovered, RecoveryFault, RecoveryStep, Repair,
    ScanRange, TransactionListing,
};
use crate::{Log, LogConfig, LogImage, ProducerSnapshot, ProducerStates, Segment};

/// See the module above.
#[derive(Clone, Debug)]
pub struct Recovery {
    config: Arc<LogConfig>,
    jitter_seed: u64,
    now: Timestamp,
    listing: Listing,
    /// Records from here on are cut off: a truncation.
    limit: Option<Offset>,
    reached_limit: bool,
    dropped: Vec<Offset>,
    /// Index of the first segment whose files may be damaged; the count of segments when none.
    first_damaged: usize,
    /// Snapshots that may still be tried, ascending.
    snapshots: Vec<Offset>,
    /// Snapshots that must not stay.
    strays: Vec<Offset>,
    snapshot: Option<Snapshot>,
    epochs: crate::EpochCache,
    producers: ProducerStates,
    segments: Vec<Segment>,
    next_offset: Offset,
    scan: Option<Scan>,
    end: Option<End>,
}

/// The snapshot that the producers' state starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Snapshot {
    Loading(Offset),
    Loaded(Offset),
}

/// The log ends before its files do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct End {
    /// Index of the segment that becomes the last one.
    segment: usize,
    size_bytes: u32,
}

impl Recovery {
    pub fn new(config: Arc<LogConfig>, jitter_seed: u64, now: Timestamp, listing: Listing) -> Self {
        let mut recovery = Self {
            config,
            jitter_seed,
            now,
            limit: None,
            reached_limit: false,
            dropped: Vec::new(),
            first_damaged: 0,
            snapshots: Vec::new(),
            strays: Vec::new(),
            snapshot: None,
            epochs: crate::EpochCache::default(),
            producers: ProducerStates::default(),
            segments: Vec::new(),
            next_offset: Offset::ZERO,
            scan: None,
            end: None,
            listing,
        };
        recovery.first_damaged = recovery.find_first_damaged();
        recovery.epochs = recovery.trusted_epochs();
        let trusted = recovery.snapshots_trusted_upto();
        recovery.choose_snapshots(trusted);
        recovery.choose_snapshot();
        recovery
    }

    /// Cuts off everything from `limit` on while recovering. `dropped` are segments that lie wholly
    /// behind it and are not in the listing.
    pub(crate) fn with_limit(mut self, limit: Offset, dropped: Vec<Offset>) -> Self {
        self.limit = Some(limit);
        self.dropped = dropped;
        let trusted = self.snapshots_trusted_upto().min(limit);
        self.choose_snapshots(trusted);
        self.choose_snapshot();
        self
    }

    fn find_first_damaged(&self) -> usize {
        let segments = &self.listing.segments;
        if self.listing.is_clean {
            return segments.len();
        }
        let reaches_past = |index: usize| match segments.get(index + 1) {
            Some(next) => next.base_offset > self.listing.recovery_point,
            None => true,
        };
        (0..segments.len()).find(|&index| reaches_past(index)).unwrap_or(segments.len())
    }

    /// Batches that are read again say themselves when their epochs began: the checkpoint may have
    /// forgotten it, where the log's start was raised and that was lost.
    fn trusted_epochs(&self) -> crate::EpochCache {
        let mut epochs = self.listing.epochs.clone();
        if let Some(damaged) = self.listing.segments.get(self.first_damaged) {
            epochs.truncate_from(damaged.base_offset);
        }
        epochs
    }

    /// A snapshot of a time that may have been lost must not be used. Nor one from behind a damaged
    /// `.txnindex`: which transactions were open there only a replay can tell.
    fn snapshots_trusted_upto(&self) -> Offset {
        let segments = &self.listing.segments;
        let is_damaged =
            |it: &&super::SegmentListing| it.transactions == TransactionListing::Damaged;
        let damaged = segments.get(self.first_damaged).into_iter();
        let damaged = damaged.chain(segments.iter().find(is_damaged));
        damaged.map(|segment| segment.base_offset).min().unwrap_or(Offset(i64::MAX))
    }

    /// One from before the first segment does not know how transactions ended in what was deleted.
    fn choose_snapshots(&mut self, trusted: Offset) {
        let first = self.listing.segments.first().map_or(Offset::ZERO, |it| it.base_offset);
        let is_usable = |offset: &&Offset| (first..=trusted).contains(*offset);
        (self.snapshots, self.strays) = self.listing.snapshots.iter().partition(is_usable);
    }

    fn choose_snapshot(&mut self) {
        self.snapshot = self.snapshots.pop().map(Snapshot::Loading);
    }

    pub fn next_step(&mut self) -> RecoveryStep {
        if let Some(Snapshot::Loading(offset)) = self.snapshot {
            return RecoveryStep::LoadSnapshot(offset);
        }
        while self.scan.is_none() {
            let index = self.segments.len();
            if index < self.listing.segments.len() && self.end.is_none() {
                self.begin_segment(index);
            } else if self.snapshot_lies_beyond() {
                self.begin_again(self.next_offset);
                return self.next_step();
            } else {
                return RecoveryStep::Done;
            }
        }
        match &self.scan {
            Some(scan) => RecoveryStep::Scan(ScanRange {
                segment: scan.segment.base_offset,
                from: scan.from,
                to: scan.to,
            }),
            None => RecoveryStep::Done,
        }
    }

    /// `None` when the file is missing or does not match its checksum: an older one will do.
    pub fn snapshot_loaded(&mut self, entries: Option<&[ProducerSnapshot]>) {
        let Some(Snapshot::Loading(offset)) = self.snapshot else { return };
        match entries {
            Some(entries) => {
                let expiration_ms = self.config.producer_id_expiration_ms;
                self.producers = ProducerStates::from_snapshot(entries, self.now, expiration_ms);
                self.snapshot = Some(Snapshot::Loaded(offset));
            }
            None => {
                self.strays.push(offset);
                self.choose_snapshot();
            }
        }
    }

    fn replay_from(&self) -> Offset {
        match self.snapshot {
            Some(Snapshot::Loaded(offset)) => offset,
            Some(Snapshot::Loading(_)) | None => Offset::ZERO,
        }
    }

    fn snapshot_lies_beyond(&self) -> bool {
        !self.segments.is_empty() && self.replay_from() > self.next_offset
    }

    /// The snapshot knows too much: start from one that ends at `upto` or before.
    fn begin_again(&mut self, upto: Offset) {
        if let Some(Snapshot::Loaded(offset)) = self.snapshot {
            self.snapshots.push(offset);
        }
        self.strays.extend(self.snapshots.extract_if(.., |offset| *offset > upto));
        self.epochs = self.trusted_epochs();
        self.producers = ProducerStates::default();
        self.segments.clear();
        self.next_offset = Offset::ZERO;
        self.end = None;
        self.choose_snapshot();
    }

    /// Starts reading the segment, or takes it as its files describe it.
    fn begin_segment(&mut self, index: usize) {
        let listing = self.listing.segments[index];
        match self.purpose_of(index) {
            Some(purpose) => {
                let rebuilds =
                    purpose == Purpose::Verify && listing.base_offset >= self.replay_from();
                self.scan =
                    Some(Scan::new(&listing, purpose, self.next_offset, rebuilds, self.now));
            }
            None => {
                self.segments.push(listing.describe(self.now));
                self.next_offset = self.listing.segments[index + 1].base_offset;
            }
        }
    }

    fn purpose_of(&self, index: usize) -> Option<Purpose> {
        let listing = &self.listing.segments[index];
        let IndexListing::Sound { last_indexed, .. } = listing.indexes else {
            return Some(Purpose::Verify);
        };
        let next = self.listing.segments.get(index + 1);
        // Thousands of partitions may hold nothing: then there is nothing to verify or to rebuild.
        // Another one may lie behind an empty segment that has lost its records.
        let is_empty = listing.size_bytes == 0
            && next.is_none()
            && listing.transactions == TransactionListing::EMPTY;
        let is_damaged = listing.transactions == TransactionListing::Damaged;
        if (index >= self.first_damaged || is_damaged) && !is_empty {
            return Some(Purpose::Verify);
        }
        let Some(next) = next else {
            // The tail begins at the last index entry; replay may have to begin earlier.
            let covered = last_indexed.is_none_or(|(last, _)| self.replay_from() > last);
            return Some(if covered { Purpose::Tail } else { Purpose::Verify });
        };
        (next.base_offset > self.replay_from()).then_some(Purpose::Replay)
    }

    /// One batch with a right checksum. False when the rest of the range need not be read.
    pub fn batch(&mut self, facts: &BatchFacts, position: u32) -> bool {
        let replay_from = self.replay_from();
        let Some(scan) = &mut self.scan else { return false };
        let behind = scan.next_offset;
        let end = facts.base_offset.checked_add(i64::from(facts.last_offset_delta) + 1);
        if let (Some(limit), Some(end)) = (self.limit, end)
            && end > limit
        {
            self.reached_limit = true;
            return false;
        }
        // LOG-4: what was cut off may come back with a loss of power, behind what took its place.
        let is_of_the_past = scan.purpose == Purpose::Verify
            && facts.base_offset >= self.listing.recovery_point
            && self.epochs.epoch_of(facts.base_offset) > Some(facts.leader_epoch);
        if is_of_the_past || scan.batch(&self.config, facts, position) == Verdict::Contradicts {
            return false;
        }
        if facts.base_offset >= replay_from
            && let Some(aborted) =
                self.producers.apply(facts, facts.base_offset, facts.max_timestamp)
        {
            scan.aborted(aborted);
        }
        if scan.purpose == Purpose::Verify
            && self.epochs.latest().is_none_or(|latest| latest.epoch < facts.leader_epoch)
        {
            self.epoch_begins(behind, facts);
        }
        true
    }

    /// Its first records may have been compacted away, and those of whole epochs before it: the
    /// checkpoint is right of what lies between the batch that ends at `behind` and this one.
    fn epoch_begins(&mut self, behind: Offset, batch: &BatchFacts) {
        let earlier = self.epochs.latest().map_or(LeaderEpoch::NONE, |latest| latest.epoch);
        let lost = self.listing.epochs.entries().iter().filter(|entry| {
            (behind..=batch.base_offset).contains(&entry.start)
                && earlier < entry.epoch
                && entry.epoch <= batch.leader_epoch
        });
        for entry in lost {
            self.epochs.assign(entry.epoch, entry.start);
        }
        self.epochs.assign(batch.leader_epoch, batch.base_offset);
    }

    /// The range has been read, as far as whole batches with right checksums stand in it. Gives the
    /// index files' new content when they were to be rebuilt; write it before the next step.
    pub fn scan_ended(&mut self) -> Result<Option<RebuiltIndexes>, RecoveryFault> {
        let Some(mut scan) = self.scan.take() else { return Ok(None) };
        let index = self.segments.len();
        let stopped_early = scan.position < scan.to;
        let wanted_end = self.reached_limit || self.limit == Some(scan.next_offset);
        if stopped_early && !wanted_end {
            if scan.purpose == Purpose::Tail {
                // The index may be what is wrong: read the whole segment.
                self.listing.segments[index].indexes = IndexListing::Missing;
                return Ok(None);
            }
            if scan.next_offset < self.listing.recovery_point || scan.purpose == Purpose::Replay {
                return Err(RecoveryFault::CorruptBeforeRecoveryPoint {
                    segment: scan.segment.base_offset,
                    position: scan.position,
                    recovery_point: self.listing.recovery_point,
                });
            }
        }
        if scan.aborted.is_none() && scan.segment.last_aborted >= scan.next_offset {
            // Its entry was written, and the marker was not.
            let listing = &mut self.listing.segments[index];
            listing.transactions = TransactionListing::Damaged;
            let upto = listing.base_offset;
            self.begin_again(upto);
            return Ok(None);
        }
        self.next_offset = scan.next_offset;
        let torn = stopped_early || self.hole_follows(index, scan.next_offset);
        if torn {
            self.end = Some(End { segment: index, size_bytes: scan.position });
        }
        let rebuilt = (scan.purpose == Purpose::Verify).then(|| self.rebuilt(&mut scan, torn));
        self.segments.push(scan.segment);
        if let (Some(next), false) = (self.listing.segments.get(index + 1), torn) {
            self.next_offset = self.next_offset.max(next.base_offset);
        }
        Ok(rebuilt)
    }

    /// Whether records are missing between this segment and the next one. After a power loss a
    /// later segment can be on disk while the end of the one before it is not. In a compacted log
    /// holes are normal.
    fn hole_follows(&self, index: usize, end: Offset) -> bool {
        let Some(next) = self.listing.segments.get(index + 1) else { return false };
        !self.config.compacts
            && end < next.base_offset
            && next.base_offset > self.listing.recovery_point
            && index >= self.first_damaged
    }

    fn rebuilt(&mut self, scan: &mut Scan, is_last: bool) -> RebuiltIndexes {
        scan.time_index_entries.extend(scan.segment.close().final_time_index_entry);
        let next = self.listing.segments.get(self.segments.len() + 1);
        let snapshot = next
            .filter(|next| !is_last && next.base_offset > self.replay_from())
            .map(|next| (next.base_offset, self.producers.snapshot()));
        if let Some((offset, _)) = snapshot {
            self.strays.retain(|&stray| stray != offset);
        }
        RebuiltIndexes {
            segment: scan.segment.base_offset,
            index_entries: mem::take(&mut scan.index_entries),
            time_index_entries: mem::take(&mut scan.time_index_entries),
            aborted: mem::take(&mut scan.aborted),
            snapshot,
        }
    }

    /// The log, once [`RecoveryStep::Done`] is reached.
    pub fn finish(mut self) -> Recovered {
        let log_end = self.next_offset;
        let mut repair = Repair::default();
        if let Some(end) = self.end {
            let last = &self.listing.segments[end.segment];
            repair.truncate = Some((last.base_offset, end.size_bytes))
                .filter(|_| last.size_bytes != u64::from(end.size_bytes));
            repair.delete_segments = self.listed_from(end.segment + 1);
        }
        let first = self.segments.first().map_or(Offset::ZERO, |segment| segment.base_offset);
        let log_start = self.listing.log_start.max(first);
        let was_wiped = log_end < log_start && !self.segments.is_empty();
        if was_wiped || self.segments.is_empty() {
            self.start_over(log_start, &mut repair);
        }
        // Also when everything before them goes: they would bring back what was cut off.
        let mut dropped = mem::take(&mut self.dropped);
        dropped.reverse();
        dropped.append(&mut repair.delete_segments);
        repair.delete_segments = dropped;
        self.conclude(log_start, repair, was_wiped)
    }

    /// Segments from this index on, the last one first.
    fn listed_from(&self, index: usize) -> Vec<Offset> {
        self.listing.segments[index..].iter().rev().map(|segment| segment.base_offset).collect()
    }

    fn start_over(&mut self, log_start: Offset, repair: &mut Repair) {
        repair.truncate = None;
        repair.delete_segments = self.listed_from(0);
        repair.create_segment = Some(log_start);
        self.strays.clone_from(&self.listing.snapshots);
        self.segments = vec![Segment::new(log_start, self.now)];
        self.producers = ProducerStates::default();
        self.epochs = crate::EpochCache::default();
        self.next_offset = log_start;
    }

    fn conclude(mut self, log_start: Offset, mut repair: Repair, was_wiped: bool) -> Recovered {
        let log_end = self.next_offset;
        self.epochs.truncate_before(log_start);
        if !planted(Bug::TruncationKeepsEpochs) {
            self.epochs.truncate_from(log_end);
        }
        if self.epochs != self.listing.epochs {
            repair.epochs = Some(self.epochs.entries().to_vec());
        }
        self.strays.sort_unstable();
        self.strays.dedup();
        repair.delete_snapshots = self.strays;
        let recovery_point = self.listing.recovery_point;
        let image = LogImage {
            segments: self.segments,
            log_start,
            recovery_point: recovery_point.min(log_end),
            log_end,
            epochs: self.epochs,
            producers: self.producers,
        };
        let ended_early = recovery_point > log_end && self.limit.is_none();
        Recovered {
            log: Log::restore(self.config, self.jitter_seed, image, self.now),
            repair,
            was_wiped,
            ends_before_recovery_point: ended_early.then_some(recovery_point),
        }
    }
}
