//! Appends: one vectored write for everything that was admitted, then the index entries.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use strandline_log::{AbortedTransaction, Admission, IndexEntry, TimeIndexEntry};
use strandline_ports::File;
use strandline_types::Offset;
use strandline_wire::records::{BatchHeader, StampedBatch};

use super::{FileKey, PartitionStore, TailBatch, log_of};
use crate::fault::{Result, StoreFault, is_no_space};
use crate::format::names::FileKind;
use crate::format::{offset_index, time_index};

/// Index entries are written in pieces of this many, and readers look at the rest in memory.
const PENDING_ENTRIES_MAX: usize = 32;
/// How much the tail cache counts for a batch besides its bytes.
const TAIL_BATCH_OVERHEAD_BYTES: usize = 200;

/// One admission with the batches it admitted, stamped as it says.
#[derive(Clone, Debug)]
pub struct Append {
    pub plan: Admission,
    pub batches: Vec<StampedBatch>,
}

/// Appends that go to one file back to back.
struct Run {
    segment: Offset,
    position: u32,
    size_bytes: u32,
    next_offset: Offset,
    pieces: Vec<Bytes>,
    index_entries: Vec<IndexEntry>,
    time_index_entries: Vec<TimeIndexEntry>,
    aborted: Vec<AbortedTransaction>,
    tail: Vec<TailBatch>,
}

impl PartitionStore {
    /// Executes admissions in the order in which they were made. Readers see the batches once they
    /// are in the file; they are durable only after a sync.
    ///
    /// # Errors
    /// When the disk refuses. What was written of this call before that is in the log (see
    /// [`PartitionStore::end`]); of the rest nothing is.
    pub async fn append(&self, appends: Vec<Append>) -> Result<()> {
        self.check_writable()?;
        let mut run: Option<Run> = None;
        for Append { mut plan, batches } in appends {
            if let Some(roll) = plan.roll.take() {
                self.write_run(run.take()).await?;
                self.roll(roll).await?;
            }
            if let Some(epochs) = plan.epochs.take() {
                // First the epoch, then what it wrote: after a crash an epoch without records is
                // cut off, records without an epoch could not be compared with a leader's.
                self.write_epochs(&epochs).await?;
            }
            match &mut run {
                Some(run) => run.add(plan, batches),
                None => run = Some(Run::begin(plan, batches)),
            }
        }
        self.write_run(run).await
    }

    async fn write_run(&self, run: Option<Run>) -> Result<()> {
        let Some(mut run) = run else { return Ok(()) };
        let key = log_of(run.segment);
        self.check_position(&run)?;
        let file = self.file(key).await?;
        if self.preallocate_bytes > 0 {
            self.fill_ahead(&file, key, run.position, run.size_bytes).await?;
        }
        // First: records may be read as soon as they are written, and must not look committed.
        self.write_aborted(run.segment, &run.aborted).await?;
        let pieces = std::mem::take(&mut run.pieces);
        if let Err(error) = file.write_at(u64::from(run.position), pieces).await {
            let good_bytes = u64::from(run.position);
            self.state().allocated_bytes = 0;
            return Err(self.write_failed(&file, key, good_bytes, error).await);
        }
        let must_write_indexes = self.publish(run);
        if must_write_indexes { self.write_pending_indexes().await } else { Ok(()) }
    }

    /// A plan that does not begin where the file ends would leave a gap or overwrite records.
    fn check_position(&self, run: &Run) -> Result<()> {
        let state = self.state();
        let actual = state
            .segments
            .last()
            .filter(|active| active.base_offset == run.segment)
            .map_or(0, |active| active.size_bytes);
        if state.segments.last().is_none_or(|active| active.base_offset != run.segment)
            || actual != run.position
        {
            return Err(StoreFault::PlanMismatch {
                segment: run.segment,
                planned: run.position.into(),
                actual: actual.into(),
            });
        }
        Ok(())
    }

    /// Shows what was written to readers. True when index entries should be written out.
    fn publish(&self, run: Run) -> bool {
        let keeps_tail = self.shared.tail_cache.is_enabled();
        let counted = run.size_bytes as usize + run.tail.len() * TAIL_BATCH_OVERHEAD_BYTES;
        let must_write_indexes = {
            let mut state = self.state();
            state.end = run.next_offset;
            if let Some(active) = state.active() {
                active.size_bytes += run.size_bytes;
                if let Some(last) = run.aborted.last() {
                    active.aborted_transactions += run.aborted.len() as u32;
                    active.last_aborted = last.last_offset;
                }
            }
            state.pending.offset.extend(run.index_entries);
            state.pending.time.extend(run.time_index_entries);
            if keeps_tail {
                state.tail.extend(run.tail);
            }
            state.pending.offset.len().max(state.pending.time.len()) >= PENDING_ENTRIES_MAX
        };
        if keeps_tail {
            let bytes = u32::try_from(counted).unwrap_or(u32::MAX);
            self.shared.tail_cache.added(Weak::clone(&self.me), run.next_offset, bytes);
        }
        must_write_indexes
    }

    /// Moves pending index entries to their files. The time index goes first: recovery trusts it
    /// up to the last entry of the offset index.
    pub(super) async fn write_pending_indexes(&self) -> Result<()> {
        let (base_offset, time, offset) = {
            let state = self.state();
            let Some(active) = state.segments.last() else { return Ok(()) };
            let time: Vec<u8> = state
                .pending
                .time
                .iter()
                .flat_map(|&entry| time_index::encode_entry(entry))
                .collect();
            let offset: Vec<u8> = state
                .pending
                .offset
                .iter()
                .flat_map(|&entry| offset_index::encode_entry(entry))
                .collect();
            let time_at = u64::from(active.time_index_entries) * time_index::ENTRY_BYTES as u64;
            let offset_at = u64::from(active.index_entries) * offset_index::ENTRY_BYTES as u64;
            (active.base_offset, (time_at, time), (offset_at, offset))
        };
        for (kind, (at, bytes)) in [(FileKind::TimeIndex, time), (FileKind::OffsetIndex, offset)] {
            self.write_index(base_offset, kind, at, bytes).await?;
        }
        Ok(())
    }

    async fn write_index(
        &self,
        base_offset: Offset,
        kind: FileKind,
        at: u64,
        bytes: Vec<u8>,
    ) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let key: FileKey = (base_offset, kind);
        let len = bytes.len();
        let file = self.file(key).await?;
        if let Err(error) = file.write_at(at, vec![Bytes::from(bytes)]).await {
            return Err(self.write_failed(&file, key, at, error).await);
        }
        let mut state = self.state();
        let state = &mut *state;
        let Some(active) = state.segments.last_mut() else { return Ok(()) };
        match kind {
            FileKind::TimeIndex => {
                let written = len / time_index::ENTRY_BYTES;
                state.pending.time.drain(..written);
                active.time_index_entries += written as u32;
            }
            _ => {
                let written = len / offset_index::ENTRY_BYTES;
                state.pending.offset.drain(..written);
                active.index_entries += written as u32;
            }
        }
        Ok(())
    }

    /// Fills the file with zeros ahead of its tail. Half of that is kept in reserve: what other
    /// partitions leave of a disk that they have filled.
    async fn fill_ahead(
        &self,
        file: &Arc<dyn File>,
        key: FileKey,
        position: u32,
        size_bytes: u32,
    ) -> Result<()> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let (allocated, needed) = (self.state().allocated_bytes, position + size_bytes);
        if needed.saturating_add(self.preallocate_bytes / 2) <= allocated {
            return Ok(());
        }
        let target = needed.saturating_add(self.preallocate_bytes);
        let from = allocated.max(position);
        let mut missing = (target - from) as usize;
        let mut pieces = Vec::new();
        while missing > 0 {
            let len = missing.min(ZEROS.len());
            pieces.push(Bytes::from_static(&ZEROS[..len]));
            missing -= len;
        }
        match file.write_at(u64::from(from), pieces).await {
            Ok(()) => {
                self.state().allocated_bytes = target;
                Ok(())
            }
            // What there was stays, and there may be room for the append itself.
            Err(error) if is_no_space(&error) => {
                let path = self.file_path(key);
                let kept = self.io().set_len(file, from.into(), &path).await;
                self.judge(kept)
            }
            Err(error) => {
                self.state().allocated_bytes = 0;
                Err(self.write_failed(file, key, u64::from(position), error).await)
            }
        }
    }
}

impl Run {
    fn begin(plan: Admission, batches: Vec<StampedBatch>) -> Self {
        let mut run = Self {
            segment: plan.segment,
            position: plan.position,
            size_bytes: 0,
            next_offset: plan.appended.base_offset,
            pieces: Vec::with_capacity(2 * batches.len()),
            index_entries: Vec::new(),
            time_index_entries: Vec::new(),
            aborted: Vec::new(),
            tail: Vec::with_capacity(batches.len()),
        };
        run.add(plan, batches);
        run
    }

    fn add(&mut self, plan: Admission, batches: Vec<StampedBatch>) {
        assert!(
            plan.segment == self.segment && plan.position == self.position + self.size_bytes,
            "STORE-1: plans without a roll continue one file"
        );
        let size_bytes: usize = batches.iter().map(StampedBatch::size_bytes).sum();
        assert_eq!(size_bytes, plan.size_bytes as usize, "STORE-2: the batches are those planned");
        for batch in batches {
            let header = BatchHeader::parse(&batch.header).expect("a stamped batch has its header");
            self.tail.push(TailBatch {
                base_offset: header.base_offset(),
                next_offset: header.last_offset() + 1,
                header: batch.header.clone(),
                records: batch.records.clone(),
            });
            self.pieces.push(batch.header);
            self.pieces.push(batch.records);
        }
        self.size_bytes += plan.size_bytes;
        self.next_offset = plan.appended.next_offset;
        self.index_entries.extend(plan.index_entries);
        self.time_index_entries.extend(plan.time_index_entries);
        self.aborted.extend(plan.aborted);
    }
}
