//! The naive model: a list of batches, and how much of it no crash may take.

use std::collections::BTreeMap;

use bytes::Bytes;
use strandline_types::ProducerId;

/// So many producers write at a time.
pub(super) const PRODUCERS: usize = 3;

/// A batch by what does not change when it is stamped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Batch {
    pub(super) base: i64,
    pub(super) count: i64,
    pub(super) checksum: u32,
    pub(super) producer: ProducerId,
    pub(super) base_sequence: i32,
}

impl Batch {
    pub(super) fn end(&self) -> i64 {
        self.base + self.count
    }
}

pub(super) struct Model {
    producers: [ProducerId; PRODUCERS],
    /// The log as far as it was told to be, what is under way included.
    batches: Vec<Batch>,
    /// Everything that was ever admitted, as it was sent: what a truncation cut off may come back
    /// with a power loss.
    admitted: BTreeMap<Batch, Bytes>,
    /// What is written ends here, and what is synced.
    pub(super) written: i64,
    pub(super) synced: i64,
    /// Where the log was told to start, and where the checkpoint says.
    pub(super) start: i64,
    pub(super) durable_start: i64,
    pub(super) has_lost_power: bool,
    /// No pass of compaction was to change anything from here on.
    pub(super) cleaned_max: i64,
    /// How many batches were found again.
    pub(super) read: u64,
    pub(super) complaint: Option<String>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            producers: std::array::from_fn(|slot| ProducerId(slot as i64)),
            batches: Vec::new(),
            admitted: BTreeMap::new(),
            written: 0,
            synced: 0,
            start: 0,
            durable_start: 0,
            has_lost_power: false,
            cleaned_max: 0,
            read: 0,
            complaint: None,
        }
    }
}

impl Model {
    pub(super) fn complain(&mut self, text: String) {
        self.complaint.get_or_insert(text);
    }

    pub(super) fn appended(&self) -> u64 {
        self.admitted.len() as u64
    }

    pub(super) fn end(&self) -> i64 {
        self.batches.last().map_or(0, Batch::end).max(self.start)
    }

    pub(super) fn admit(&mut self, batch: Batch, bytes: Bytes) {
        self.batches.push(batch);
        self.admitted.insert(batch, bytes);
    }

    /// The producer that works under a slot: another one when everything of the last one is gone,
    /// for then the log may remember it or not.
    pub(super) fn producer_of(&mut self, slot: usize) -> ProducerId {
        let id = self.producers[slot];
        let was_used = self.admitted.keys().any(|batch| batch.producer == id);
        if was_used && self.last_of(id).is_none() {
            self.producers[slot] = ProducerId(id.get() + self.producers.len() as i64);
        }
        self.producers[slot]
    }

    /// The last batch of a producer that is not deleted, as it was sent.
    pub(super) fn last_of(&self, producer: ProducerId) -> Option<(Batch, Bytes)> {
        let is_last = |batch: &&Batch| batch.producer == producer && batch.end() > self.start;
        let last = self.batches.iter().rev().find(is_last)?;
        Some((*last, self.admitted.get(last)?.clone()))
    }

    /// What is cut off is promised no longer, and a batch goes as a whole.
    pub(super) fn cut(&mut self, target: i64) {
        self.batches.retain(|batch| batch.end() <= target);
        let end = self.end();
        (self.written, self.synced) = (self.written.min(end), self.synced.min(end));
    }

    /// Everything is finished and synced.
    pub(super) fn closed(&mut self) {
        (self.written, self.synced) = (self.end(), self.end());
    }

    /// What no crash may have taken.
    pub(super) fn spared(&mut self) -> i64 {
        match std::mem::take(&mut self.has_lost_power) {
            true => self.synced,
            false => self.written,
        }
    }

    pub(super) fn check_bounds(&mut self, start: i64, end: i64, spared: i64) {
        if start < self.durable_start || start > self.start {
            let (least, most) = (self.durable_start, self.start);
            self.complain(format!("the log starts at {start}, not in {least}..={most}"));
        }
        if end < spared {
            self.complain(format!("the log ends at {end}, {spared} was promised"));
        }
    }

    pub(super) fn batches_with_bytes(&self) -> impl Iterator<Item = (&Batch, &Bytes)> {
        self.batches.iter().filter_map(|batch| Some((batch, self.admitted.get(batch)?)))
    }

    pub(super) fn was_admitted(&self, batch: &Batch) -> bool {
        self.admitted.contains_key(batch)
    }

    pub(super) fn forget_from(&mut self, end: i64) {
        self.batches.retain(|batch| batch.end() <= end);
    }

    pub(super) fn found_again(&mut self, batch: Batch) {
        self.batches.push(batch);
    }

    /// From here on the log is what was found.
    pub(super) fn settle(&mut self, start: i64, end: i64) {
        (self.start, self.durable_start) = (start, start);
        (self.written, self.synced) = (end, self.synced.min(end));
    }

    /// What the next life finds, compared with what it must find.
    pub(super) fn reopened(&mut self, start: i64, end: i64, found: Vec<Batch>) {
        let spared = self.spared();
        self.read += found.len() as u64;
        self.check_bounds(start, end, spared);
        let is_spared = |batch: &&Batch| batch.end() > start && batch.end() <= spared;
        let expected: Vec<Batch> = self.batches.iter().filter(is_spared).copied().collect();
        let kept: Vec<Batch> = found.iter().filter(is_spared).copied().collect();
        if expected != kept {
            self.complain(format!("before {spared} stand {kept:?} instead of {expected:?}"));
        }
        if let Some(stray) = found.iter().find(|batch| !self.admitted.contains_key(batch)) {
            self.complain(format!("nobody wrote {stray:?}"));
        }
        if let Some(pair) = found.windows(2).find(|pair| pair[0].end() != pair[1].base) {
            self.complain(format!("a gap: {pair:?}"));
        }
        if found.last().is_some_and(|last| last.end() != end) {
            self.complain(format!("the log ends at {end}, its records at {:?}", found.last()));
        }
        self.settle(start, end);
        self.batches = found;
    }
}
