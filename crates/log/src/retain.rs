//! Retention and DeleteRecords: which whole segments go, and where the log starts afterwards.

use alloc::vec::Vec;

use strandline_types::{ErrorCode, Offset, Timestamp};
use thiserror::Error;

use crate::{Deletion, EpochStart, Log, RollReason};

/// Why DeleteRecords does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DeleteRecordsRefusal {
    #[error("offset {asked} is beyond the high watermark {high_watermark}")]
    OffsetOutOfRange { asked: Offset, high_watermark: Offset },
    #[error("records of a topic without cleanup.policy=delete cannot be deleted")]
    PolicyViolation,
}

/// Where the log starts from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogStart {
    pub log_start: Offset,
    /// New content of `leader-epoch-checkpoint`, if it changed.
    pub epochs: Option<Vec<EpochStart>>,
}

impl DeleteRecordsRefusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
            Self::PolicyViolation => ErrorCode::POLICY_VIOLATION,
        }
    }
}

impl Log {
    /// Raises the log start to `asked`, where −1 stands for the high watermark. Segments below it go
    /// with the next [`Log::retain`].
    pub fn delete_records(
        &mut self,
        asked: Offset,
        high_watermark: Offset,
    ) -> Result<LogStart, DeleteRecordsRefusal> {
        if self.config.compacts && !self.config.deletes {
            return Err(DeleteRecordsRefusal::PolicyViolation);
        }
        let target = if asked == Offset(-1) { high_watermark } else { asked };
        if target < Offset::ZERO || target > high_watermark {
            return Err(DeleteRecordsRefusal::OffsetOutOfRange { asked, high_watermark });
        }
        let epochs_changed = self.raise_log_start(target);
        Ok(LogStart {
            log_start: self.log_start,
            epochs: epochs_changed.then(|| self.epochs.entries().to_vec()),
        })
    }

    /// Never lowers it. True when the checkpoint of the epochs must be written anew.
    pub fn raise_log_start(&mut self, target: Offset) -> bool {
        assert!(target <= self.log_end, "LOG-6: the log starts before it ends");
        if target <= self.log_start {
            return false;
        }
        self.log_start = target;
        self.epochs.truncate_before(target)
    }

    /// Which segments are past their time, oldest first, only below the high watermark (so they are
    /// written, whatever else is on its way).
    pub fn retain(&mut self, now: Timestamp, high_watermark: Offset) -> Option<Deletion> {
        if self.faulted {
            return None;
        }
        let due = self.segments_due(now, high_watermark);
        if due == 0 {
            return None;
        }
        let roll = (due == self.segments.len())
            .then(|| self.roll(now, self.log_end, RollReason::Retention));
        let segments: Vec<Offset> =
            self.segments.drain(..due).map(|segment| segment.base_offset).collect();
        let epochs_changed = self.raise_log_start(self.segments[0].base_offset);
        self.assert_invariants();
        Some(Deletion {
            roll,
            segments,
            log_start: self.log_start,
            epochs: epochs_changed.then(|| self.epochs.entries().to_vec()),
        })
    }

    /// How many of the oldest segments are due.
    fn segments_due(&self, now: Timestamp, high_watermark: Offset) -> usize {
        let config = &self.config;
        let mut due = 0;
        due += self
            .due_while(due, high_watermark, |_, end, is_last| !is_last && end <= self.log_start);
        if !config.deletes {
            return due;
        }
        if config.retention_bytes >= 0 {
            let gone: u64 = self.segments[..due].iter().map(|s| u64::from(s.size_bytes)).sum();
            let mut excess =
                (self.size_bytes() - gone).saturating_sub(config.retention_bytes as u64);
            due += self.due_while(due, high_watermark, |index, _, _| {
                let size_bytes = u64::from(self.segments[index].size_bytes);
                let fits = size_bytes <= excess;
                excess = excess.saturating_sub(size_bytes);
                fits
            });
        }
        if config.retention_ms >= 0 {
            due += self.due_while(due, high_watermark, |index, _, _| {
                let oldest_kept = now.0.saturating_sub(config.retention_ms);
                self.segments[index].retention_timestamp().0 < oldest_kept
            });
        }
        due
    }

    /// Counts segments from `first` on while they lie below the high watermark and `is_due` holds.
    fn due_while(
        &self,
        first: usize,
        high_watermark: Offset,
        mut is_due: impl FnMut(usize, Offset, bool) -> bool,
    ) -> usize {
        let mut count = 0;
        for index in first..self.segments.len() {
            let next = self.segments.get(index + 1);
            let end = next.map_or(self.log_end, |segment| segment.base_offset);
            let is_empty_tail = next.is_none() && self.segments[index].size_bytes == 0;
            if is_empty_tail || end > high_watermark || !is_due(index, end, next.is_none()) {
                break;
            }
            count += 1;
        }
        count
    }
}
