//! A pass of compaction over the files: reads what was never cleaned, then writes what is left of each
//! group of segments beside them. What is left takes their place in one swap per group (see
//! [`super::swap`]).
//!
//! Nothing here judges the log dir: whoever drives the pass knows whether the partition still matters.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use strandline_log::clean::{
    BatchFate, Cleaned, CleanedSegment, Cleaning, CleaningStats, HashKey, Outgrown, Seen, Survey,
    TOGETHER, groups,
};
use strandline_log::{AbortedTransaction, LogConfig, Segment};
use strandline_ports::File;
use strandline_types::{BatchFacts, Bug, Offset, planted};
use strandline_wire::records::{
    BatchHeader, InspectLimits, InspectedBatch, Records, emptied, inspect_header, thin,
};

use super::batch_reader::BatchReader;
use super::swap::cleaned_file;
use super::{DeletedFiles, FileKey, PartitionStore, log_of};
use crate::fault::{Context, Result, StoreFault};
use crate::format::names::{FileKind, FileState, OffsetFile};
use crate::format::{offset_index, time_index, transaction_index};
use crate::io::emptied as emptied_file;

/// What is written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// How a pass over one log goes.
pub struct CleanPass {
    store: Arc<PartitionStore>,
    config: Arc<LogConfig>,
    /// The files are those that the plan was made for.
    generation: u32,
    delete_retention_ms: i64,
    stage: Stage,
}

enum Stage {
    Survey {
        survey: Box<Survey>,
        segments: VecDeque<Walk>,
        open: Option<Reading>,
    },
    Clean {
        cleaning: Box<Cleaning>,
        groups: VecDeque<Vec<Walk>>,
        open: Option<Box<OpenGroup>>,
    },
    /// On its way to the pool and back; for good when that failed.
    Moved,
}

/// What one step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CleanStep {
    /// So many bytes were read and written.
    Worked { read_bytes: u32, written_bytes: u32 },
    /// A group is cleaned: [`CleanPass::swap`] is next.
    Ready,
    /// All is clean up to [`CleanPass::end`].
    Done,
    /// The files have changed under the pass, which is of no use any more.
    Overtaken,
}

/// A segment to be read, and where it ends.
#[derive(Clone, Copy)]
struct Walk {
    segment: Segment,
    end: Offset,
}

/// A segment that is being read.
struct Reading {
    walk: Walk,
    file: Arc<dyn File>,
    batches: BatchReader,
    next_offset: Offset,
}

/// A group whose cleaned segment is being written.
struct OpenGroup {
    segments: VecDeque<Walk>,
    reading: Option<Reading>,
    target: CleanedSegment,
    base_offset: Offset,
    file: Arc<dyn File>,
    /// Set when all is written and durable.
    cleaned: Option<Cleaned>,
}

/// Why a segment cannot be cleaned.
enum ReadFault {
    Io(io::Error),
    Damaged { position: u32, reason: String },
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl PartitionStore {
    /// Begins a pass. `survey` knows the plan.
    pub fn clean(
        self: &Arc<Self>,
        survey: Survey,
        config: Arc<LogConfig>,
        delete_retention_ms: i64,
    ) -> CleanPass {
        let first_dirty = survey.plan().first_dirty;
        let walks = walks(&survey.plan().segments, survey.plan().first_uncleanable);
        let segments = walks.into_iter().filter(|it| it.end > first_dirty).collect();
        CleanPass {
            store: Arc::clone(self),
            config,
            generation: self.generation(),
            delete_retention_ms,
            stage: Stage::Survey { survey: Box::new(survey), segments, open: None },
        }
    }
}

impl CleanPass {
    /// Reads about `step_bytes`, one batch at the least, and computes with what it has read: while
    /// nobody else wants the processor, unless it `is_urgent`.
    ///
    /// # Errors
    /// When the disk refuses, or a batch is not what it should be. Nothing has changed then but for the
    /// groups that were swapped.
    pub async fn advance(&mut self, step_bytes: u32, is_urgent: bool) -> Result<CleanStep> {
        if self.store.generation() != self.generation {
            return Ok(CleanStep::Overtaken);
        }
        let step_bytes = step_bytes.max(1);
        match std::mem::replace(&mut self.stage, Stage::Moved) {
            Stage::Survey { survey, segments, open } => {
                self.survey(survey, segments, open, step_bytes, is_urgent).await
            }
            Stage::Clean { cleaning, groups, open } => {
                self.clean(cleaning, groups, open, step_bytes, is_urgent).await
            }
            Stage::Moved => Ok(CleanStep::Overtaken),
        }
    }

    /// What is ready to take its group's place.
    pub fn ready(&self) -> Option<&Cleaned> {
        match &self.stage {
            Stage::Clean { open: Some(group), .. } => group.cleaned.as_ref(),
            _ => None,
        }
    }

    /// Puts what is ready in the place of its group. Nobody may cut or delete segments meanwhile.
    /// `None` when somebody has.
    ///
    /// # Errors
    /// When the disk refuses: then only the next start knows which files hold.
    pub async fn swap(&mut self) -> Result<Option<DeletedFiles>> {
        let Stage::Clean { open, .. } = &mut self.stage else { return Ok(None) };
        let Some(cleaned) = open.as_ref().and_then(|group| group.cleaned.as_ref()) else {
            return Ok(None);
        };
        let swapped = self.store.swap(cleaned, self.generation).await?;
        *open = None;
        self.generation = self.store.generation();
        Ok(swapped)
    }

    /// Everything before is clean once the pass is done; `None` as long as that is not known.
    pub fn end(&self) -> Option<Offset> {
        match &self.stage {
            Stage::Clean { cleaning, .. } => Some(cleaning.end()),
            _ => None,
        }
    }

    pub fn stats(&self) -> CleaningStats {
        match &self.stage {
            Stage::Clean { cleaning, .. } => cleaning.stats(),
            _ => CleaningStats::default(),
        }
    }

    /// Removes what was written for a group that will not be swapped.
    ///
    /// # Errors
    /// When the disk refuses: then the next start removes it.
    pub async fn abandon(self) -> Result<()> {
        let dir = self.store.path();
        let entries = self.store.io().list(&dir).await?;
        let is_ours = |name: &str| {
            OffsetFile::parse(name).is_some_and(|file| file.state == FileState::Cleaned)
        };
        let files = entries.into_iter().filter(|entry| is_ours(&entry.name));
        self.store.io().remove_files(files.map(|entry| dir.join(entry.name)).collect()).await
    }

    async fn survey(
        &mut self,
        mut survey: Box<Survey>,
        mut segments: VecDeque<Walk>,
        mut open: Option<Reading>,
        step_bytes: u32,
        is_urgent: bool,
    ) -> Result<CleanStep> {
        if open.is_none()
            && !survey.is_full()
            && let Some(walk) = segments.pop_front()
        {
            let Some(reading) = self.read(walk).await? else { return Ok(CleanStep::Overtaken) };
            let Some(aborted) = self.aborted_in(walk).await? else {
                return Ok(CleanStep::Overtaken);
            };
            survey.begin_segment(walk.segment.base_offset, aborted);
            open = Some(reading);
        }
        let Some(mut reading) = open.filter(|_| !survey.is_full()) else {
            let plan = survey.plan();
            let (first_uncleanable, all) = (plan.first_uncleanable, plan.segments.clone());
            let cleaning = Box::new(survey.finish(self.delete_retention_ms));
            let end = cleaning.end();
            let ends = walks(&all, first_uncleanable);
            let upto = all.partition_point(|it| it.base_offset < end);
            let last_end = ends[..upto].last().map_or(first_uncleanable, |it| it.end);
            let groups = groups(&all[..upto], last_end, &self.config);
            let mut ends = ends.into_iter();
            let groups =
                groups.iter().map(|group| ends.by_ref().take(group.len()).collect()).collect();
            self.stage = Stage::Clean { cleaning, groups, open: None };
            return Ok(CleanStep::Worked { read_bytes: 0, written_bytes: 0 });
        };
        let (survey, reading, surveyed) = self
            .store
            .io()
            .run_idle(is_urgent, move || {
                let surveyed = survey_some(&mut survey, &mut reading, step_bytes);
                (survey, reading, surveyed)
            })
            .await;
        let read_bytes = surveyed.map_err(|fault| self.fault(fault, &reading))?;
        let open = Some(reading).filter(|it| !it.batches.is_at_end());
        self.stage = Stage::Survey { survey, segments, open };
        Ok(CleanStep::Worked { read_bytes, written_bytes: 0 })
    }

    async fn clean(
        &mut self,
        mut cleaning: Box<Cleaning>,
        mut groups: VecDeque<Vec<Walk>>,
        open: Option<Box<OpenGroup>>,
        step_bytes: u32,
        is_urgent: bool,
    ) -> Result<CleanStep> {
        let mut group = match open {
            Some(group) => group,
            None => match groups.pop_front() {
                Some(segments) => self.open_group(segments).await?,
                None => {
                    self.stage = Stage::Clean { cleaning, groups, open: None };
                    return Ok(CleanStep::Done);
                }
            },
        };
        if group.reading.is_none()
            && let Some(walk) = group.segments.pop_front()
        {
            let Some(reading) = self.read(walk).await? else { return Ok(CleanStep::Overtaken) };
            let Some(aborted) = self.aborted_in(walk).await? else {
                return Ok(CleanStep::Overtaken);
            };
            cleaning.begin_segment(walk.segment.base_offset, aborted);
            group.reading = Some(reading);
        }
        let Some(mut reading) = group.reading.take() else {
            if group.cleaned.is_none() {
                let cleaned = group.target.clone().finish(cleaning.take_aborted());
                self.finish_files(&cleaned, &group.file).await?;
                group.cleaned = Some(cleaned);
            }
            self.stage = Stage::Clean { cleaning, groups, open: Some(group) };
            return Ok(CleanStep::Ready);
        };
        let position = group.target.size_bytes();
        let mut target = group.target;
        let (cleaning, reading, target, done) = self
            .store
            .io()
            .run_idle(is_urgent, move || {
                let done = clean_some(&mut cleaning, &mut reading, &mut target, step_bytes);
                (cleaning, reading, target, done)
            })
            .await;
        group.target = target;
        let (read_bytes, pieces) = done.map_err(|fault| self.fault(fault, &reading))?;
        let written_bytes = group.target.size_bytes() - position;
        self.write(&group, position, pieces).await?;
        group.reading = Some(reading).filter(|it| !it.batches.is_at_end());
        self.stage = Stage::Clean { cleaning, groups, open: Some(group) };
        Ok(CleanStep::Worked { read_bytes, written_bytes })
    }

    /// On the pool: to copy it takes a thread of the runtime milliseconds, in which whoever produces
    /// would wait. Not in idle time: who waits for the processor there may hold what every writer to the
    /// device needs. And a little at a time: on the pool, too, a thread keeps the processor for a while.
    async fn write(&self, group: &OpenGroup, from: u32, pieces: Vec<Bytes>) -> Result<()> {
        let mut position = from;
        let mut pieces = VecDeque::from(pieces);
        while !pieces.is_empty() {
            let (some, len) = take(&mut pieces, WRITE_BYTES);
            let file = Arc::clone(&group.file);
            let written = self.store.io().run(move |_| file.write_at(position.into(), some)).await;
            written.await.context("write", &self.cleaned_path(log_of(group.base_offset)))?;
            position += len;
        }
        Ok(())
    }

    /// `None` when the segment is not there any more.
    async fn read(&self, walk: Walk) -> Result<Option<Reading>> {
        let segment = walk.segment;
        let Some(file) = self.store.existing_file(log_of(segment.base_offset)).await? else {
            return Ok(None);
        };
        let limit = InspectLimits::default().expanded_bytes_max as usize;
        let batches = BatchReader::new(0, segment.size_bytes).with_limit(limit);
        Ok(Some(Reading { walk, file, batches, next_offset: segment.base_offset }))
    }

    /// The transactions that were aborted, as far as they have offsets in a segment; `None` when the
    /// log has been cut meanwhile, and with it an index that was being read.
    async fn aborted_in(&self, walk: Walk) -> Result<Option<Vec<AbortedTransaction>>> {
        match self.store.find_aborted(walk.segment.base_offset, walk.end).await {
            Err(_) if self.store.generation() != self.generation => Ok(None),
            found => found.map(Some),
        }
    }

    async fn open_group(&self, walks: Vec<Walk>) -> Result<Box<OpenGroup>> {
        let segments: Vec<Segment> = walks.iter().map(|it| it.segment).collect();
        let base_offset = segments[0].base_offset;
        let path = self.cleaned_path(log_of(base_offset));
        Ok(Box::new(OpenGroup {
            segments: walks.into(),
            reading: None,
            target: CleanedSegment::new(Arc::clone(&self.config), &segments),
            base_offset,
            file: self.store.io().run(move |disk| emptied_file(disk, &path)).await?,
            cleaned: None,
        }))
    }

    /// Writes what belongs to the batches, and makes all of it durable: the segments that it is made
    /// from go with the swap.
    async fn finish_files(&self, cleaned: &Cleaned, log: &Arc<dyn File>) -> Result<()> {
        let base_offset = cleaned.segment.base_offset;
        let path = self.cleaned_path(log_of(base_offset));
        if !planted(Bug::CleanedUnsynced) {
            log.sync().await.context("sync", &path)?;
        }
        let index = cleaned.index_entries.iter().flat_map(|it| offset_index::encode_entry(*it));
        let times = cleaned.time_index_entries.iter().flat_map(|it| time_index::encode_entry(*it));
        let mut files =
            vec![(FileKind::OffsetIndex, index.collect()), (FileKind::TimeIndex, times.collect())];
        if !cleaned.aborted.is_empty() && !planted(Bug::CleanedHidesAborts) {
            let aborted = transaction_index::encode(&cleaned.aborted);
            files.push((FileKind::TransactionIndex, aborted));
        }
        for (kind, bytes) in files {
            let path = self.cleaned_path((base_offset, kind));
            let file = self.store.io().write_unsynced(&path, bytes).await?;
            file.sync().await.context("sync", &path)?;
        }
        Ok(())
    }

    fn cleaned_path(&self, key: FileKey) -> PathBuf {
        self.store.path().join(cleaned_file(key).name())
    }

    fn fault(&self, fault: ReadFault, reading: &Reading) -> StoreFault {
        let path = self.store.file_path(log_of(reading.walk.segment.base_offset));
        match fault {
            ReadFault::Io(error) => {
                StoreFault::Io { action: "read", path, source: Arc::new(error) }
            }
            ReadFault::Damaged { position, reason } => {
                StoreFault::Corrupt { path, position: position.into(), reason }
            }
        }
    }
}

/// At most `limit` bytes from the front.
fn take(pieces: &mut VecDeque<Bytes>, limit: usize) -> (Vec<Bytes>, u32) {
    let mut taken = Vec::new();
    let mut left = limit;
    while left > 0
        && let Some(piece) = pieces.front_mut()
    {
        let some = piece.split_to(piece.len().min(left));
        left -= some.len();
        taken.push(some);
        if piece.is_empty() {
            pieces.pop_front();
        }
    }
    (taken, (limit - left) as u32)
}

fn walks(segments: &[Segment], end: Offset) -> Vec<Walk> {
    let ends = segments.iter().skip(1).map(|next| next.base_offset).chain([end]);
    segments.iter().zip(ends).map(|(&segment, end)| Walk { segment, end }).collect()
}

/// Blocking.
fn survey_some(
    survey: &mut Survey,
    reading: &mut Reading,
    step_bytes: u32,
) -> std::result::Result<u32, ReadFault> {
    let from = reading.batches.position();
    while reading.batches.position() - from < step_bytes && !survey.is_full() {
        let Some((position, batch)) = reading.next()? else { break };
        if survey.begin_batch(&batch.facts) {
            see(&open(&batch, position)?, position, survey.hash_key(), |some| {
                survey.records(some);
                !survey.is_full()
            })?;
        }
        survey.end_batch(&batch.facts);
    }
    Ok(reading.batches.position() - from)
}

/// Blocking. Gives how much was read, and what is left of it.
fn clean_some(
    cleaning: &mut Cleaning,
    reading: &mut Reading,
    target: &mut CleanedSegment,
    step_bytes: u32,
) -> std::result::Result<(u32, Vec<Bytes>), ReadFault> {
    let from = reading.batches.position();
    let mut pieces = Vec::new();
    let mut kept = Vec::new();
    while reading.batches.position() - from < step_bytes {
        let Some((position, batch)) = reading.next()? else { break };
        let damaged = |reason: String| ReadFault::Damaged { position, reason };
        let facts = &batch.facts;
        let mut look = cleaning.begin_batch(facts);
        let mut records = None;
        kept.clear();
        if look.needs_records() {
            let opened = open(&batch, position)?;
            see(&opened, position, cleaning.hash_key(), |some| {
                cleaning.records(&mut look, some, &mut kept);
                true
            })?;
            records = Some(opened);
        }
        let left = match (cleaning.end_batch(facts, &look), &records) {
            (BatchFate::Gone, _) => continue,
            (BatchFate::Rewritten { delete_horizon }, Some(records)) => {
                let left = thin(&batch.bytes, records, &kept, delete_horizon);
                left.map_err(|refusal| damaged(refusal.to_string()))?
            }
            (BatchFate::Empty, _) => {
                emptied(&batch.bytes).map_err(|refusal| damaged(refusal.to_string()))?
            }
            (BatchFate::Whole | BatchFate::Rewritten { .. }, _) => batch.bytes.clone(),
        };
        place(target, facts, &left).map_err(|refusal| damaged(refusal.to_string()))?;
        cleaning.written(left.len() as u32);
        pieces.push(left);
    }
    Ok((reading.batches.position() - from, pieces))
}

fn place(
    target: &mut CleanedSegment,
    facts: &BatchFacts,
    left: &Bytes,
) -> std::result::Result<(), Outgrown> {
    // What is left may have lost its newest record.
    let header = BatchHeader::parse(left);
    let max_timestamp = header.map_or(facts.max_timestamp, |header| header.max_timestamp());
    target.place(facts.base_offset, facts.last_offset(), max_timestamp, left.len() as u32)
}

fn open(batch: &InspectedBatch, position: u32) -> std::result::Result<Records, ReadFault> {
    Records::open(&batch.bytes, &InspectLimits::default())
        .map_err(|refusal| ReadFault::Damaged { position, reason: refusal.to_string() })
}

/// Gives what matters of the records of a batch, some at a time, as long as more are wanted: a batch of
/// a MiB can hold millions.
fn see(
    records: &Records,
    position: u32,
    hash_key: HashKey,
    mut take: impl FnMut(&[Seen]) -> bool,
) -> std::result::Result<(), ReadFault> {
    let mut seen = Vec::with_capacity(TOGETHER);
    for record in records {
        let record = record
            .map_err(|refusal| ReadFault::Damaged { position, reason: refusal.to_string() })?;
        let key = record.key.map(|key| hash_key.stand_in(key));
        seen.push(Seen { offset: record.offset, key, has_value: record.value.is_some() });
        if seen.len() == TOGETHER {
            if !take(&seen) {
                return Ok(());
            }
            seen.clear();
        }
    }
    take(&seen);
    Ok(())
}

impl Reading {
    /// The next batch and where it stands; its checksum is right, and it follows the one before.
    fn next(&mut self) -> std::result::Result<Option<(u32, InspectedBatch)>, ReadFault> {
        let position = self.batches.position();
        let damaged = |reason: String| ReadFault::Damaged { position, reason };
        let Some(bytes) = self.batches.next(&*self.file)? else {
            return match self.batches.is_at_end() {
                true => Ok(None),
                false => Err(damaged("no whole batch that can be read".into())),
            };
        };
        let batch = inspect_header(bytes).map_err(|refusal| damaged(refusal.to_string()))?;
        let facts = &batch.facts;
        let delta = i64::from(facts.last_offset_delta);
        let last = facts.base_offset.checked_add(delta).filter(|last| *last < self.walk.end);
        let Some(last) = last.filter(|_| facts.base_offset >= self.next_offset && delta >= 0)
        else {
            return Err(damaged("its offsets are not those of its place".into()));
        };
        self.next_offset = last + 1;
        Ok(Some((position, batch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_taken_whole_or_in_parts() {
        let pieces = ["", "ab", "cdefg", "", "h"].map(|it| Bytes::from_static(it.as_bytes()));
        let mut pieces = VecDeque::from(pieces);
        let mut taken = Vec::new();
        while !pieces.is_empty() {
            let (some, len) = take(&mut pieces, 3);
            let some = some.concat();
            assert_eq!(some.len() as u32, len);
            taken.push(String::from_utf8(some).unwrap());
        }
        assert_eq!(taken, ["abc", "def", "gh"]);
    }
}
