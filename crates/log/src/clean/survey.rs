//! The first half of a pass: the newest offset of each key among what was never cleaned.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use strandline_types::{BatchFacts, Offset, ProducerId};

use super::cleaning::Bounds;
use super::key_map::{KeyMap, Seen, TOGETHER};
use super::producers::Producers;
use super::transactions::{Part, Transactions};
use super::{CleanPlan, Cleaning, HashKey};
use crate::AbortedTransaction;

/// How much one pass may take on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SurveyLimits {
    /// `log.cleaner.dedupe.buffer.size`, by the number of threads.
    pub map_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`.
    pub load_factor: f64,
}

/// Give it every batch from the segment that holds [`CleanPlan::first_dirty`] on, in order, until it is
/// full or [`CleanPlan::first_uncleanable`] is reached, and of each segment the aborted transactions
/// before its batches.
#[derive(Debug)]
pub struct Survey {
    plan: CleanPlan,
    map: KeyMap,
    transactions: Transactions,
    /// Of the live producers that wrote here: where the last of their batches ends.
    last_batches: BTreeMap<ProducerId, Offset>,
    /// Before this every key is in the map; behind the last batch that was surveyed.
    end: Offset,
    is_full: bool,
}

impl Survey {
    pub fn new(plan: CleanPlan, limits: SurveyLimits, key: HashKey) -> Self {
        let keys_max = plan.first_uncleanable.since(plan.first_dirty).max(0) as u64;
        Self {
            map: KeyMap::new(key, limits.map_bytes, limits.load_factor, keys_max),
            transactions: Transactions::default(),
            last_batches: BTreeMap::new(),
            end: plan.first_dirty,
            is_full: false,
            plan,
        }
    }

    pub fn plan(&self) -> &CleanPlan {
        &self.plan
    }

    /// `aborted` are the transactions with offsets in this segment, whose markers may lie behind it.
    pub fn begin_segment(&mut self, base_offset: Offset, aborted: Vec<AbortedTransaction>) {
        self.transactions.begin_segment(base_offset, aborted);
    }

    /// Whether the records of this batch must be looked at. Those that were aborted never count, so
    /// they cannot displace what was there before them.
    pub fn begin_batch(&mut self, facts: &BatchFacts) -> bool {
        self.transactions.batch(facts) == Part::Data && facts.last_offset() >= self.plan.first_dirty
    }

    /// The keys of records are given as what stands for them under this one.
    pub fn hash_key(&self) -> HashKey {
        self.map.hash_key()
    }

    /// Those of the batch, in order, [`TOGETHER`] or more at a time, until it is full: the first record
    /// that there is no room for and all behind are for the next pass.
    pub fn records(&mut self, records: &[Seen]) {
        let from = records.partition_point(|record| record.offset < self.plan.first_dirty);
        for some in records[from..].chunks(TOGETHER) {
            self.map.approach(some);
            for record in some {
                let Some(key) = record.key else { continue };
                self.is_full = self.map.put(key, record.offset).is_err();
                if self.is_full {
                    return;
                }
                self.end = record.offset + 1;
            }
        }
    }

    pub fn end_batch(&mut self, facts: &BatchFacts) {
        if self.is_full {
            return;
        }
        self.end = self.end.max(facts.next_offset());
        let id = facts.producer_id;
        let is_live = self.plan.producers.binary_search_by_key(&id, |it| it.producer_id).is_ok();
        if is_live && facts.control.is_none() && facts.last_offset() >= self.plan.first_dirty {
            self.last_batches.insert(id, facts.last_offset());
        }
    }

    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Keys so far.
    pub fn key_count(&self) -> usize {
        self.map.len()
    }

    /// What the map takes, in bytes.
    pub fn map_bytes(&self) -> u64 {
        self.map.size_bytes()
    }

    /// Every batch has been surveyed, or the map is full.
    pub fn finish(self, delete_retention_ms: i64) -> Cleaning {
        let bounds = Bounds {
            last_batch_end: self.end,
            // Whatever the last segment lacks at its end was cleaned away before.
            end: if self.is_full { self.end } else { self.plan.first_uncleanable },
        };
        let producers = Producers::new(&self.plan.producers, self.last_batches, bounds.end);
        let map = self.map;
        Cleaning::new(self.plan, map, bounds, delete_retention_ms, producers)
    }
}
