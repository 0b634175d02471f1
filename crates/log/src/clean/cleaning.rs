//! The second half of a pass: what is left of each batch.

use alloc::vec::Vec;
use core::mem;

use strandline_types::{BatchFacts, Bug, Offset, Timestamp, planted};

use super::key_map::{KeyMap, Seen, TOGETHER};
use super::producers::Producers;
use super::transactions::{Part, Transactions};
use super::{CleanPlan, HashKey};
use crate::AbortedTransaction;

/// Give it every batch of the plan's segments, from the log's start to the segment that holds
/// [`Cleaning::end`], and of each segment the aborted transactions before its batches.
#[derive(Debug)]
pub struct Cleaning {
    plan: CleanPlan,
    map: KeyMap,
    bounds: Bounds,
    delete_retention_ms: i64,
    transactions: Transactions,
    producers: Producers,
    /// Of the segments that are being cleaned now.
    aborted: Vec<AbortedTransaction>,
    stats: CleaningStats,
}

/// Where a pass ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// From here on everything stays.
    pub(super) end: Offset,
    /// The last batch that was surveyed ends here. It stays, or a reader who waits for the end of what
    /// is committed would find nothing that reaches so far.
    pub(super) last_batch_end: Offset,
}

/// What became of the records so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CleaningStats {
    pub batches: u64,
    pub batches_kept: u64,
    /// Of the batches as they were, and of what was written.
    pub bytes: u64,
    pub written_bytes: u64,
    /// Looked at one by one.
    pub records: u64,
    pub records_kept: u64,
}

/// What is known of a batch before its records are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchLook {
    /// Nothing of it goes, or everything: its records need not be looked at.
    decided: Option<Decided>,
    is_control: bool,
    /// It stays although it has no records any more.
    stays_empty: bool,
    /// When it may be dropped, if that is set.
    horizon: Option<Timestamp>,
    /// A marker whose data is gone has its time set now.
    wants_horizon: bool,
    records_kept: u32,
    records: u32,
    has_tombstone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decided {
    Stays,
    Goes,
}

/// What is left of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchFate {
    /// The very bytes.
    Whole,
    /// The records that were kept, under the same offsets, with a new delete horizon if there is one.
    Rewritten {
        delete_horizon: Option<Timestamp>,
    },
    /// Its header: a producer's last sequence, or the end of what was cleaned.
    Empty,
    Gone,
}

impl Cleaning {
    pub(super) fn new(
        plan: CleanPlan,
        map: KeyMap,
        bounds: Bounds,
        delete_retention_ms: i64,
        producers: Producers,
    ) -> Self {
        let (transactions, aborted, stats) = Default::default();
        Self { plan, map, bounds, delete_retention_ms, transactions, producers, aborted, stats }
    }

    /// Everything before is clean when all segments are replaced.
    pub fn end(&self) -> Offset {
        self.bounds.end
    }

    pub fn plan(&self) -> &CleanPlan {
        &self.plan
    }

    pub fn stats(&self) -> CleaningStats {
        self.stats
    }

    /// What is left of a batch has been written, so many bytes.
    pub fn written(&mut self, bytes: u32) {
        self.stats.written_bytes += u64::from(bytes);
    }

    /// `aborted` are the transactions with offsets in this segment, whose markers may lie behind it, and
    /// behind the plan's end too.
    pub fn begin_segment(&mut self, base_offset: Offset, aborted: Vec<AbortedTransaction>) {
        self.transactions.begin_segment(base_offset, aborted);
    }

    pub fn begin_batch(&mut self, facts: &BatchFacts) -> BatchLook {
        let part = self.transactions.batch(facts);
        let is_beyond = facts.base_offset >= self.bounds.end;
        let horizon = facts.has_delete_horizon.then_some(facts.base_timestamp);
        let is_over = horizon.is_some_and(|horizon| horizon <= self.plan.now);
        let mut look = BatchLook {
            decided: None,
            is_control: facts.control.is_some(),
            stays_empty: self.producers.need(facts)
                || facts.next_offset() == self.bounds.last_batch_end,
            horizon,
            wants_horizon: false,
            records_kept: 0,
            records: 0,
            has_tombstone: false,
        };
        match part {
            _ if is_beyond => look.decided = Some(Decided::Stays),
            Part::Data => {}
            Part::Unknown => look.decided = Some(Decided::Stays),
            Part::AbortedData => look.decided = Some(Decided::Goes),
            Part::Marker { .. } if planted(Bug::MarkerGoesFirst) => {
                look.decided = Some(Decided::Goes);
            }
            Part::Marker { outlived: true, .. } if is_over || facts.record_count == 0 => {
                look.decided = Some(Decided::Goes);
            }
            Part::Marker { outlived, .. } => {
                look.wants_horizon = outlived && horizon.is_none();
                look.decided = Some(Decided::Stays).filter(|_| !look.wants_horizon);
            }
        }
        let stays_findable = match part {
            Part::Marker { outlived, aborted } => aborted.filter(|_| is_beyond || !outlived),
            _ => None,
        };
        // CLEAN-5: as long as data of an aborted transaction may be there, readers find it.
        self.aborted.extend(stays_findable);
        look
    }

    /// The keys of records are given as what stands for them under this one.
    pub fn hash_key(&self) -> HashKey {
        self.map.hash_key()
    }

    /// Those of the batch, in order, [`TOGETHER`] or more at a time: adds to `kept` which of them stay.
    pub fn records(&mut self, look: &mut BatchLook, records: &[Seen], kept: &mut Vec<bool>) {
        for some in records.chunks(TOGETHER) {
            self.map.approach(some);
            kept.extend(some.iter().map(|record| self.stays(look, record)));
        }
    }

    fn stays(&self, look: &mut BatchLook, record: &Seen) -> bool {
        let is_beyond = record.offset >= self.bounds.end;
        let is_kept = look.is_control || is_beyond || self.is_newest(look, record);
        look.records += 1;
        look.records_kept += u32::from(is_kept);
        look.has_tombstone |= is_kept && !is_beyond && !record.has_value && !look.is_control;
        is_kept
    }

    fn is_newest(&self, look: &BatchLook, record: &Seen) -> bool {
        // Nothing ever replaces a record without a key, from before the topic was compacted.
        let Some(key) = record.key else { return false };
        if self.map.newest(key).is_some_and(|newest| newest > record.offset) {
            return false;
        }
        let is_awaited = look.horizon.is_none_or(|horizon| horizon > self.plan.now);
        record.has_value || (is_awaited && !planted(Bug::DeletionsGoAtOnce))
    }

    /// All records were looked at that were to be.
    pub fn end_batch(&mut self, facts: &BatchFacts, look: &BatchLook) -> BatchFate {
        let fate = match look.decided {
            Some(Decided::Stays) => BatchFate::Whole,
            None if look.records_kept > 0 => {
                let sets_horizon = look.wants_horizon || look.has_tombstone;
                let delete_horizon = (sets_horizon && look.horizon.is_none())
                    .then(|| self.plan.now.saturating_add_millis(self.delete_retention_ms));
                match look.records_kept == look.records && delete_horizon.is_none() {
                    true => BatchFate::Whole,
                    false => BatchFate::Rewritten { delete_horizon },
                }
            }
            None if look.records == 0 && look.stays_empty => BatchFate::Whole,
            Some(Decided::Goes) | None if look.stays_empty => BatchFate::Empty,
            Some(Decided::Goes) | None => BatchFate::Gone,
        };
        let is_kept = fate != BatchFate::Gone;
        assert!(
            is_kept || facts.base_offset < self.bounds.end,
            "CLEAN-3: the end of the map bounds a pass"
        );
        assert!(is_kept || !look.stays_empty, "CLEAN-4: a producer's last batch stays");
        self.stats.batches += 1;
        self.stats.batches_kept += u64::from(is_kept);
        self.stats.bytes += u64::from(facts.size_bytes);
        self.stats.records += u64::from(look.records);
        self.stats.records_kept += u64::from(look.records_kept);
        fate
    }

    /// The aborted transactions whose markers stay in the segments that were walked since this was
    /// asked last.
    pub fn take_aborted(&mut self) -> Vec<AbortedTransaction> {
        mem::take(&mut self.aborted)
    }
}

impl BatchLook {
    /// Whether its records must be looked at one by one.
    pub fn needs_records(&self) -> bool {
        self.decided.is_none()
    }
}
