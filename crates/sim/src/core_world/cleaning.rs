//! Passes of compaction, with a crash at any step of one; and what a compacted log must still be: the
//! same table as the list of batches, with the same offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use strandline_log::clean::{CleanSettings, HashKey, Survey, SurveyLimits};
use strandline_store::{Checkpoint, CleanStep, StoreFault};
use strandline_types::Offset;
use strandline_wire::records::{InspectLimits, Records};

use super::model::{Batch, Model};
use super::{Life, lock};

const SETTINGS: CleanSettings =
    CleanSettings { min_dirty_ratio: 0.0, min_lag_ms: 0, max_lag_ms: i64::MAX };

/// Key and value.
type Content = (Option<Bytes>, Option<Bytes>);

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
        let survey = Survey::new(plan, limits, key, Vec::new());
        let delete_retention_ms = [0, 1, 1_000][self.rng.below(3) as usize];
        let config = Arc::clone(self.log.config());
        let mut pass = self.store.clean(survey, config, delete_retention_ms, Vec::new());
        loop {
            match pass.advance().await? {
                CleanStep::Worked { .. } => {
                    if let Some(end) = pass.end() {
                        let mut model = lock(&self.model);
                        model.cleaned_max = model.cleaned_max.max(end.get());
                    }
                }
                CleanStep::Ready => {
                    let cleaned = pass.ready().expect("it is ready").clone();
                    match pass.swap().await? {
                        Some(deleted) => {
                            self.log.replace(&cleaned);
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
        let found = self.read_all().await?;
        lock(&self.model).check_compacted(self.log.log_start().get(), i64::MAX, &found);
        Ok(())
    }
}

impl Model {
    /// What the next life finds of a log that may have been compacted.
    pub(super) fn reopened_compacted(&mut self, start: i64, end: i64, found: Vec<(Batch, Bytes)>) {
        // What was cleaned was durable, whatever this list knows of syncs.
        let spared = self.spared().max(self.cleaned_max);
        self.read += found.len() as u64;
        self.check_bounds(start, end, spared);
        self.check_compacted(start, spared, &found);
        // What was promised to nobody is there or not.
        self.forget_from(spared);
        for (batch, _) in found.into_iter().filter(|(batch, _)| batch.end() > spared) {
            match self.was_admitted(&batch) {
                true => self.found_again(batch),
                false => self.complain(format!("nobody wrote {batch:?}")),
            }
        }
        self.settle(start, end);
    }

    /// Compares the table that stands before `upto`, and every offset that is left.
    pub(super) fn check_compacted(&mut self, start: i64, upto: i64, found: &[(Batch, Bytes)]) {
        let written = self.contents(start, upto);
        let mut left = BTreeMap::new();
        for (batch, bytes) in found {
            let is_visible = |offset: &i64| (start..upto).contains(offset);
            let contents = contents(batch.base, bytes);
            left.extend(contents.into_iter().filter(|(offset, _)| is_visible(offset)));
        }
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
        let (expected, is) = (table(&written), table(&left));
        if expected != is {
            let wrong = expected.iter().find(|(key, offset)| is.get(*key) != Some(offset));
            let risen = is.iter().find(|(key, _)| !expected.contains_key(*key));
            self.complain(format!("before {upto} {wrong:?} is lost or {risen:?} has come back"));
        }
        if !found.is_sorted_by(|(one, _), (other, _)| one.end() <= other.base) {
            self.complain("batches overlap".into());
        }
    }

    /// Everything that was written, by offset.
    fn contents(&self, start: i64, upto: i64) -> BTreeMap<i64, Content> {
        let mut all = BTreeMap::new();
        for (batch, bytes) in self.batches_with_bytes() {
            all.extend(contents(batch.base, bytes));
        }
        all.retain(|offset, _| (start..upto).contains(offset));
        all
    }
}

fn contents(base: i64, batch: &Bytes) -> Vec<(i64, Content)> {
    let records = Records::open(batch, &InspectLimits::default()).expect("it was inspected");
    let first = strandline_wire::records::BatchHeader::parse(batch).map(|it| it.base_offset());
    let first = first.unwrap_or(Offset::ZERO);
    let of = |record| {
        let record = records.share(&record);
        (base + record.offset.since(first), (record.key, record.value))
    };
    records.iter().map_while(Result::ok).map(of).collect()
}

/// The offset of the newest value of each key.
fn table(contents: &BTreeMap<i64, Content>) -> BTreeMap<Bytes, i64> {
    let mut table = BTreeMap::new();
    for (offset, (key, value)) in contents {
        let Some(key) = key else { continue };
        match value {
            Some(_) => _ = table.insert(key.clone(), *offset),
            None => _ = table.remove(key),
        }
    }
    table
}
