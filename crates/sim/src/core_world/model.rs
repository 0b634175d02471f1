//! The naive model: a list of batches, and how much of it no crash may take.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use strandline_types::{LeaderEpoch, ProducerEpoch, ProducerId, Timestamp};

/// So many producers write at a time.
pub(super) const PRODUCERS: usize = 3;

/// A batch by what does not change when it is stamped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Batch {
    pub(super) base: i64,
    pub(super) count: i64,
    pub(super) checksum: u32,
    pub(super) producer: ProducerId,
    pub(super) epoch: ProducerEpoch,
    pub(super) base_sequence: i32,
    pub(super) part: Part,
}

/// What a batch is to a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    None,
    Data,
    Commit,
    Abort,
    /// A marker whose record a pass has taken.
    Emptied,
}

/// What a log knows of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub(super) epoch: ProducerEpoch,
    /// −1 when it has written nothing in this epoch.
    pub(super) last_sequence: i32,
    /// Where its open transaction begins.
    pub(super) open_from: Option<i64>,
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
    /// Of the last leader: none has a lower one, whatever became of what was written.
    epoch: LeaderEpoch,
    /// Everything that was ever admitted, as it was sent: what a truncation cut off may come back
    /// with a power loss.
    admitted: BTreeMap<Batch, Bytes>,
    /// What is written ends here, and what is synced.
    pub(super) written: i64,
    pub(super) synced: i64,
    /// Where the log was told to start, and where the checkpoint says.
    pub(super) start: i64,
    pub(super) durable_start: i64,
    /// Where the log ended when its start was raised last: no marker before that is cut off, or what is
    /// deleted of its transaction would be open again.
    pub(super) end_at_deletion: i64,
    pub(super) has_lost_power: bool,
    /// The log of a compacted topic that lost power ended here, behind a hole: nobody can tell it from
    /// one that a pass has left.
    hole_end: i64,
    /// No pass of compaction was to change anything from here on.
    pub(super) cleaned_max: i64,
    /// From these times on a pass may drop the deletions at these offsets.
    pub(super) deletions_stay_until: BTreeMap<i64, Timestamp>,
    /// A pass that began when their time was over may have dropped them.
    pub(super) deletions_over: BTreeSet<i64>,
    /// Which transactions were to commit, by their producers and first offsets: whoever writes a marker
    /// again that a crash has taken writes the same.
    pub(super) verdicts: BTreeMap<(ProducerId, i64), bool>,
    /// How many batches were found again.
    pub(super) read: u64,
    pub(super) complaint: Option<String>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            producers: std::array::from_fn(|slot| ProducerId(slot as i64)),
            batches: Vec::new(),
            epoch: LeaderEpoch::NONE,
            admitted: BTreeMap::new(),
            written: 0,
            synced: 0,
            start: 0,
            durable_start: 0,
            end_at_deletion: 0,
            has_lost_power: false,
            hole_end: 0,
            cleaned_max: 0,
            deletions_stay_until: BTreeMap::new(),
            deletions_over: BTreeSet::new(),
            verdicts: BTreeMap::new(),
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
        self.batches.last().map_or(0, Batch::end).max(self.start).max(self.hole_end)
    }

    /// Of the leader that is to write in the next life.
    pub(super) fn next_epoch(&mut self) -> LeaderEpoch {
        self.epoch = LeaderEpoch(self.epoch.get() + 1);
        self.epoch
    }

    pub(super) fn admit(&mut self, batch: Batch, bytes: Bytes) {
        self.batches.push(batch);
        self.admitted.insert(batch, bytes);
    }

    /// The producer that works under a slot: another one when what the log knows of the last one may be
    /// gone, for then it may remember it or not.
    pub(super) fn producer_of(&mut self, slot: usize) -> ProducerId {
        let id = self.producers[slot];
        let was_used = self.admitted.keys().any(|batch| batch.producer == id);
        if was_used && self.standing(id).is_none() {
            self.producers[slot] = ProducerId(id.get() + self.producers.len() as i64);
        }
        self.producers[slot]
    }

    /// What the log must know of a producer; `None` when it need not, as its last batches are deleted.
    pub(super) fn standing(&self, producer: ProducerId) -> Option<Standing> {
        let mut all = self.batches.iter().filter(|batch| batch.producer == producer).peekable();
        let epoch = all.peek()?.epoch;
        let mut standing = Standing { epoch, last_sequence: -1, open_from: None };
        // Where what was told last ends, and the last sequence.
        let (mut end, mut sequence_end) = (0, i64::MAX);
        for batch in all {
            if batch.epoch != standing.epoch {
                (standing.epoch, standing.last_sequence) = (batch.epoch, -1);
                sequence_end = i64::MAX;
            }
            end = batch.end();
            match batch.part {
                Part::Commit | Part::Abort | Part::Emptied => standing.open_from = None,
                Part::None | Part::Data => {
                    standing.last_sequence = batch.base_sequence + batch.count as i32 - 1;
                    sequence_end = batch.end();
                    if batch.part == Part::Data {
                        standing.open_from.get_or_insert(batch.base);
                    }
                }
            }
        }
        // An epoch begins with its first batch, or the marker that bumped it.
        let is_whole = standing.last_sequence >= 0 || standing.epoch > ProducerEpoch(0);
        (is_whole && end > self.start && sequence_end > self.start).then_some(standing)
    }

    pub(super) fn known_producers(&self) -> BTreeSet<ProducerId> {
        self.batches.iter().map(|batch| batch.producer).collect()
    }

    /// Producers and first offsets of the open transactions.
    pub(super) fn open_transactions(&self) -> Vec<(ProducerId, i64)> {
        let open = |id| Some((id, self.standing(id)?.open_from?));
        self.known_producers().into_iter().filter_map(open).collect()
    }

    /// The last batch of a producer in its present epoch, as it was sent, if it is not deleted.
    pub(super) fn last_of(&self, producer: ProducerId) -> Option<(Batch, Bytes)> {
        let standing = self.standing(producer).filter(|it| it.last_sequence >= 0)?;
        let has_sequence = |batch: &&Batch| {
            batch.producer == producer
                && batch.epoch == standing.epoch
                && matches!(batch.part, Part::None | Part::Data)
        };
        let last = self.batches.iter().rev().find(has_sequence)?;
        Some((*last, self.admitted.get(last)?.clone()))
    }

    /// What is cut off is promised no longer, and a batch goes as a whole. Tells where the log may end
    /// then: anywhere in a hole.
    pub(super) fn cut(&mut self, target: i64) -> RangeInclusive<i64> {
        let beyond = self.batches.iter().find(|batch| batch.end() > target);
        let hole_end = beyond.map_or(self.hole_end, |batch| batch.base).min(target);
        self.batches.retain(|batch| batch.end() <= target);
        self.hole_end = 0;
        let end = self.end();
        for known in
            [&mut self.written, &mut self.synced, &mut self.cleaned_max, &mut self.end_at_deletion]
        {
            *known = end.min(*known);
        }
        end..=end.max(hole_end)
    }

    /// Where the log ends after a cut.
    pub(super) fn is_cut(&mut self, allowed: &RangeInclusive<i64>, end: i64) {
        if !allowed.contains(&end) {
            self.complain(format!("cut to {end}, not to {allowed:?}"));
        }
        self.hole_end = end;
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

    pub(super) fn batches(&self) -> &[Batch] {
        &self.batches
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
        (self.start, self.durable_start, self.hole_end) = (start, start, end);
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
