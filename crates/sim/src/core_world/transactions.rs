//! Transactions of some producers, which end one way or the other; and what the log must tell of them:
//! where what is stable ends, what readers of committed records are given, and what a replica learns
//! that copies what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use strandline_log::{AbortedTransaction, Log, LogConfig, Origin};
use strandline_store::StoreFault;
use strandline_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use strandline_wire::records::{
    BatchBuilder, BatchOptions, InspectLimits, ProducerFields, inspect,
};

use super::cleaning::{Content, all_contents};
use super::model::{Batch, Model, Part};
use super::{Life, lock};
use crate::rng::Rng;

/// How the producers of a world write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transactions {
    None,
    /// Some write transactions, all in one epoch.
    OneEpoch,
    /// Each marker bumps the epoch (KIP-890).
    BumpEpochs,
}

impl Transactions {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        match rng.below(4) {
            0 => Self::OneEpoch,
            1 => Self::BumpEpochs,
            _ => Self::None,
        }
    }

    /// Whether the producer under a slot writes transactions.
    pub(super) fn has(self, slot: usize) -> bool {
        self != Self::None && slot > 0
    }
}

impl Life {
    /// Ends an open transaction, if there is one.
    pub(super) async fn end_transaction(&mut self) -> Result<(), StoreFault> {
        let open = lock(&self.model).open_transactions();
        if open.is_empty() {
            return Ok(());
        }
        let (producer, first) = open[self.rng.below(open.len() as u64) as usize];
        let commits = self.rng.one_in(2);
        self.write_marker(producer, first, commits).await
    }

    /// Markers that a crash took are written again, as a coordinator does that has not heard of them.
    pub(super) async fn end_lost_transactions(&mut self) -> Result<(), StoreFault> {
        let open = lock(&self.model).open_transactions();
        for (producer, first) in open {
            let verdict = lock(&self.model).verdicts.get(&(producer, first)).copied();
            if let Some(commits) = verdict {
                self.write_marker(producer, first, commits).await?;
            }
        }
        Ok(())
    }

    async fn write_marker(
        &mut self,
        id: ProducerId,
        first: i64,
        commits: bool,
    ) -> Result<(), StoreFault> {
        let Some(standing) = lock(&self.model).standing(id) else { return Ok(()) };
        let bumps_epoch = self.transactions == Transactions::BumpEpochs;
        let epoch = ProducerEpoch(standing.epoch.0 + i16::from(bumps_epoch));
        lock(&self.model).verdicts.insert((id, first), commits);
        let producer = ProducerFields { id, epoch, base_sequence: -1 };
        let options = BatchOptions { producer, ..BatchOptions::default() };
        let now = self.now().timestamp;
        let marker = BatchBuilder::end_transaction(options, now, commits, 0);
        let append = self.admit(marker, Origin::Marker { bumps_epoch });
        // What it ends is stable once the marker is committed, and not before; if it is there at all.
        let is_cleaned = first < lock(&self.model).cleaned_max;
        let is_unstable = self.log.first_unstable().is_some_and(|it| it <= Offset(first));
        if !is_unstable && !is_cleaned {
            lock(&self.model).complain(format!("{first} is stable before its marker is"));
        }
        self.write(append.into_iter().collect()).await
    }

    /// Compares what the log holds with what it must.
    pub(super) async fn check(&mut self) -> Result<(), StoreFault> {
        let found = self.read_all().await?;
        let start = self.log.log_start();
        let stable = self.log.first_unstable().unwrap_or(self.log.written_end());
        let from = match self.rng.one_in(2) {
            true => start,
            false => Offset(self.rng.between(start.get() as u64, stable.get() as u64) as i64),
        };
        let aborted = self.store.aborted(from, stable).await?;
        let given = committed(&found, aborted, from.get(), stable.get());
        let mut model = lock(&self.model);
        model.check_compacted(start.get(), i64::MAX, &found);
        model.check_stable(stable.get());
        model.check_committed(from.get(), stable.get(), &given);
        model.check_producers(&self.log, "the log");
        match copy(&found, self.log.config()) {
            Ok(copy) => model.check_producers(&copy, "a copy of what is left"),
            Err(refusal) => model.complain(format!("what is left cannot be copied: {refusal}")),
        }
        Ok(())
    }
}

impl Model {
    fn check_stable(&mut self, stable: i64) {
        let first = self.open_transactions().into_iter().map(|(_, first)| first).min();
        let expected = first.unwrap_or(self.end());
        if stable != expected {
            self.complain(format!("what is stable ends at {stable}, not at {expected}"));
        }
    }

    /// Compares what readers of committed records are `given` with the table that was written.
    fn check_committed(&mut self, from: i64, upto: i64, given: &BTreeMap<i64, Content>) {
        let aborted = self.aborted_batches();
        let committed = self.batches_with_bytes().filter(|(batch, _)| !aborted.contains(batch));
        let written = all_contents(committed, from, upto);
        let range = format!("from {from} to {upto}");
        if let Some(offset) = given.keys().find(|offset| !written.contains_key(offset)) {
            self.complain(format!("{offset} was aborted, and is given to readers {range}"));
        }
        let is_missing = |at: &i64| !given.contains_key(at);
        if let Some(offset) = written.range(self.cleaned_max..).map(|(at, _)| *at).find(is_missing)
        {
            self.complain(format!("{offset} was committed, and is not given to readers {range}"));
        }
        let (expected, is) = (table(&written), table(given));
        if expected.values != is.values {
            let wrong = expected.values.iter().find(|(key, at)| is.values.get(*key) != Some(at));
            let risen = is.values.iter().find(|(key, _)| !expected.values.contains_key(*key));
            self.complain(format!("{range} {wrong:?} is lost or {risen:?} has come back"));
        }
        let has_gone = |at: &&i64| is_missing(at) && !self.deletions_over.contains(at);
        if let Some(offset) = expected.deletions.values().find(has_gone) {
            self.complain(format!("the deletion at {offset} went before its time"));
        }
    }

    fn aborted_batches(&self) -> BTreeSet<Batch> {
        let (mut open, mut aborted) = (BTreeMap::<_, Vec<Batch>>::new(), BTreeSet::new());
        for &batch in self.batches() {
            match batch.part {
                Part::Data => open.entry(batch.producer).or_default().push(batch),
                Part::Commit => _ = open.remove(&batch.producer),
                Part::Abort => aborted.extend(open.remove(&batch.producer).into_iter().flatten()),
                Part::None | Part::Emptied => {}
            }
        }
        aborted
    }

    fn check_producers(&mut self, log: &Log, who: &str) {
        let snapshot = log.producers().snapshot();
        for id in self.known_producers() {
            let Some(expected) = self.standing(id) else { continue };
            let known = snapshot.iter().find(|it| it.producer_id == id);
            let is_right = known.is_some_and(|it| {
                let open_from = Some(it.transaction_first_offset.get()).filter(|first| *first >= 0);
                it.epoch == expected.epoch
                    && it.last_sequence == expected.last_sequence
                    && open_from == expected.open_from
            });
            if !is_right {
                self.complain(format!("{who} knows {known:?} of {id}, not {expected:?}"));
            }
        }
    }
}

/// What a client makes of the batches that it is given, which knows of each aborted transaction only
/// where it began.
fn committed(
    found: &[(Batch, Bytes)],
    mut aborted: Vec<AbortedTransaction>,
    from: i64,
    upto: i64,
) -> BTreeMap<i64, Content> {
    aborted.sort_unstable_by_key(|it| std::cmp::Reverse(it.first_offset));
    let mut aborting = BTreeSet::new();
    let mut is_given = |batch: &Batch| {
        while let Some(begun) = aborted.pop_if(|it| it.first_offset.get() < batch.end()) {
            aborting.insert(begun.producer_id);
        }
        if batch.part == Part::Abort {
            aborting.remove(&batch.producer);
        }
        !(batch.part == Part::Data && aborting.contains(&batch.producer))
    };
    let reached = found.iter().filter(|(batch, _)| batch.end() > from && batch.base < upto);
    let given = reached.filter(|(batch, _)| is_given(batch)).map(|(batch, bytes)| (batch, bytes));
    all_contents(given, from, upto)
}

/// Where the newest value of each key stands, or its deletion.
#[derive(Default)]
struct Table {
    values: BTreeMap<Bytes, i64>,
    deletions: BTreeMap<Bytes, i64>,
}

fn table(contents: &BTreeMap<i64, Content>) -> Table {
    let mut table = Table::default();
    for (offset, (key, value)) in contents {
        let Some(key) = key else { continue };
        let (into, out_of) = match value {
            Some(_) => (&mut table.values, &mut table.deletions),
            None => (&mut table.deletions, &mut table.values),
        };
        into.insert(key.clone(), *offset);
        out_of.remove(key);
    }
    table
}

/// A replica that follows from here on.
fn copy(
    found: &[(Batch, Bytes)],
    config: &Arc<LogConfig>,
) -> Result<Log, strandline_log::AdmitRefusal> {
    let config = LogConfig { may_have_holes: true, ..LogConfig::clone(config) };
    let start = found.first().map_or(0, |(batch, _)| batch.base);
    let now = strandline_types::Now::default();
    let mut copy = Log::create(Arc::new(config), 0, Offset(start), now.timestamp);
    for (_, bytes) in found {
        let batch = inspect(bytes.clone(), &InspectLimits::default()).expect("it was inspected");
        copy.admit(now, &[batch.facts], Origin::Follower, LeaderEpoch(0))?;
    }
    Ok(copy)
}
