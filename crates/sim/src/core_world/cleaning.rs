//! Passes of compaction, with a crash at any step of one; and what is left must have been written at
//! the same offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use strandline_log::clean::{CleanSettings, HashKey, Survey, SurveyLimits};
use strandline_store::{Checkpoint, CleanStep, StoreFault};
use strandline_types::{Offset, Timestamp};
use strandline_wire::records::{BatchHeader, InspectLimits, Records};

use super::model::{Batch, Model, Part};
use super::{Life, lock};

const SETTINGS: CleanSettings =
    CleanSettings { min_dirty_ratio: 0.0, min_lag_ms: 0, max_lag_ms: i64::MAX };

/// Key and value.
pub(super) type Content = (Option<Bytes>, Option<Bytes>);

impl Life {
    /// One pass, with room for a few keys or for all.
    pub(super) async fn clean(&mut self) -> Result<(), StoreFault> {
        let now = self.now().timestamp;
        let stable = self.log.written_end();
        let dirt = self.log.dirt(now, self.cleaned_upto, stable, &SETTINGS);
        if !dirt.is_worth_a_pass(&SETTINGS) {
            return Ok(());
        }
        if dirt.first_uncleanable > self.log.recovery_point() {
            self.sync().await?;
        }
        // As the driver does, or the next recovery could take what is left for torn.
        self.checkpoint(Checkpoint::RecoveryPoint, self.log.recovery_point()).await?;
        let Some(plan) = self.log.plan_cleaning(&dirt, now) else { return Ok(()) };
        let keys = self.rng.between(1, 20);
        let limits = SurveyLimits { map_bytes: 16 * (keys + 1), load_factor: 0.95 };
        let key = HashKey([self.rng.next_u64(), self.rng.next_u64()]);
        let survey = Survey::new(plan, limits, key);
        let delete_retention_ms = [0, 1, 1_000][self.rng.below(3) as usize];
        let config = Arc::clone(self.log.config());
        let mut pass = self.store.clean(survey, config, delete_retention_ms);
        let mut is_surveyed = false;
        loop {
            let step_bytes = [0, 500, 1 << 20][self.rng.below(3) as usize];
            match pass.advance(step_bytes, false).await? {
                CleanStep::Worked { .. } => {
                    if let Some(end) = pass.end().filter(|_| !is_surveyed) {
                        is_surveyed = true;
                        lock(&self.model).is_cleaned(end.get(), now, delete_retention_ms);
                    }
                }
                CleanStep::Ready => {
                    let cleaned = pass.ready().expect("it is ready").clone();
                    match pass.swap().await? {
                        Some(deleted) => {
                            self.log.replace(&cleaned);
                            self.check_snapshots(cleaned.next_offset);
                            deleted.unlink(self.dir.io()).await?;
                        }
                        None => lock(&self.model).complain("nobody else cuts the log".into()),
                    }
                }
                CleanStep::Done => break,
                CleanStep::Overtaken => {
                    lock(&self.model).complain("nobody else cuts the log".into());
                    break;
                }
            }
        }
        self.cleaned_upto = pass.end();
        self.check().await
    }

    /// CLEAN-6. No step of the world is taken for it.
    fn check_snapshots(&self, cleaned_upto: Offset) {
        let entries = self.world.disk.list(&self.store.path()).expect("the log has a directory");
        let offset_of = |name: &str| name.strip_suffix(".snapshot")?.parse().ok().map(Offset);
        let mut snapshots = entries.iter().filter_map(|entry| offset_of(&entry.name));
        if let Some(stale) = snapshots.find(|offset| *offset < cleaned_upto) {
            lock(&self.model)
                .complain(format!("cleaned to {cleaned_upto} with a snapshot at {stale}"));
        }
    }
}

impl Model {
    /// What the next life finds of a log that may have been compacted.
    pub(super) fn reopened_compacted(&mut self, start: i64, end: i64, found: Vec<(Batch, Bytes)>) {
        // What was cleaned was durable, whatever this list knows of syncs.
        let spared = self.spared().max(self.cleaned_end());
        self.read += found.len() as u64;
        self.check_bounds(start, end, spared);
        self.check_compacted(start, spared, &found);
        self.check_holes(start, end, &found);
        // What was promised to nobody is there or not; what is deleted was there.
        let known = spared.max(start);
        self.forget_from(known);
        for (batch, _) in found.into_iter().filter(|(batch, _)| batch.end() > known) {
            match self.was_admitted(&batch) {
                true => self.found_again(batch),
                false => self.complain(format!("nobody wrote {batch:?}")),
            }
        }
        self.settle(start, end);
    }

    /// LOG-9: what was promised to nobody is lost from some offset on, and not in between.
    fn check_holes(&mut self, start: i64, end: i64, found: &[(Batch, Bytes)]) {
        let written = all_contents(self.batches_with_bytes(), start.max(self.cleaned_end()), end);
        let left = all_contents(found.iter().map(|(batch, bytes)| (batch, bytes)), start, end);
        if let Some(lost) = written.keys().find(|offset| !left.contains_key(offset)) {
            self.complain(format!("{lost} is lost, and the log ends at {end}, behind a hole"));
        }
    }

    /// A pass can end in the middle of a batch.
    fn cleaned_end(&self) -> i64 {
        let last = self.batches().iter().rfind(|batch| batch.base < self.cleaned_max);
        last.map_or(0, Batch::end).max(self.cleaned_max)
    }

    /// A pass is about to drop what it may before `end`.
    fn is_cleaned(&mut self, end: i64, now: Timestamp, delete_retention_ms: i64) {
        let over = self.deletions_stay_until.iter().filter(|(_, until)| **until <= now);
        let over: Vec<i64> = over.map(|(offset, _)| *offset).collect();
        self.deletions_over.extend(over);
        self.cleaned_max = self.cleaned_max.max(end);
        let until = now.saturating_add_millis(delete_retention_ms);
        // All of a batch wait as long as its first one.
        let reached = self.batches_with_bytes().filter(|(batch, _)| batch.base < end);
        let deletions: Vec<i64> =
            reached.flat_map(|(batch, bytes)| deletions(batch, bytes)).collect();
        for offset in deletions {
            let stays = self.deletions_stay_until.entry(offset).or_insert(until);
            *stays = until.min(*stays);
        }
    }

    /// What is left of a compacted log before `upto` was written there, and only a pass took anything.
    pub(super) fn check_compacted(&mut self, start: i64, upto: i64, found: &[(Batch, Bytes)]) {
        let written = all_contents(self.batches_with_bytes(), start, upto);
        let left = all_contents(found.iter().map(|(batch, bytes)| (batch, bytes)), start, upto);
        if let Some((offset, content)) =
            left.iter().find(|(offset, content)| written.get(offset) != Some(content))
        {
            self.complain(format!("at {offset} stands {content:?}"));
        }
        if let Some(offset) = written
            .range(self.cleaned_max..)
            .find_map(|(at, _)| (!left.contains_key(at)).then_some(at))
        {
            self.complain(format!("{offset} is gone, which no pass was to clean"));
        }
        if !found.is_sorted_by(|(one, _), (other, _)| one.end() <= other.base) {
            self.complain("batches overlap".into());
        }
    }
}

/// Every record but those of markers, by offset.
pub(super) fn all_contents<'a>(
    batches: impl Iterator<Item = (&'a Batch, &'a Bytes)>,
    start: i64,
    upto: i64,
) -> BTreeMap<i64, Content> {
    let data = batches.filter(|(batch, _)| matches!(batch.part, Part::None | Part::Data));
    let all = data.flat_map(|(batch, bytes)| contents(batch.base, bytes));
    all.filter(|(offset, _)| (start..upto).contains(offset)).collect()
}

fn deletions(batch: &Batch, bytes: &Bytes) -> Vec<i64> {
    let all = contents(batch.base, bytes).into_iter();
    all.filter(|(_, (_, value))| value.is_none()).map(|(offset, _)| offset).collect()
}

fn contents(base: i64, batch: &Bytes) -> Vec<(i64, Content)> {
    let records = Records::open(batch, &InspectLimits::default()).expect("it was inspected");
    let first = BatchHeader::parse(batch).map_or(Offset::ZERO, |it| it.base_offset());
    let of = |record| {
        let record = records.share(&record);
        (base + record.offset.since(first), (record.key, record.value))
    };
    records.iter().map_while(Result::ok).map(of).collect()
}
