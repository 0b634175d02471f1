//! How much of a log was never cleaned, and whether that is worth a pass.

use strandline_types::{Bug, Offset, Timestamp, planted};

use crate::{Log, Segment};

/// What the decision needs of a topic's settings.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CleanSettings {
    /// `min.cleanable.dirty.ratio`: more than this share of the bytes must be dirty.
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: younger records are safe.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`: older records must be cleaned, whatever their share.
    pub max_lag_ms: i64,
}

/// What there is to clean in one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dirt {
    /// Everything before was cleaned.
    pub first_dirty: Offset,
    /// From here on nothing may be cleaned.
    pub first_uncleanable: Offset,
    /// Bytes of the segments before the first dirty one.
    pub clean_bytes: u64,
    /// Bytes of the segments that may be cleaned and were not.
    pub dirty_bytes: u64,
    /// A dirty record is older than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Dirt {
    /// From 0 to 1.
    pub fn ratio(&self) -> f64 {
        match self.dirty_bytes {
            0 => 0.0,
            dirty => dirty as f64 / (self.clean_bytes + dirty) as f64,
        }
    }

    pub fn is_worth_a_pass(&self, settings: &CleanSettings) -> bool {
        self.dirty_bytes > 0 && (self.is_overdue || self.ratio() > settings.min_dirty_ratio)
    }
}

impl Log {
    /// `cleaned_upto` is where the last pass ended, if there was one; before `stable` (the high
    /// watermark at the most) everything is committed.
    ///
    /// Nothing at or above `stable`, in an open transaction, in the active segment, or younger than
    /// `min.compaction.lag.ms` is cleaned.
    pub fn dirt(
        &self,
        now: Timestamp,
        cleaned_upto: Option<Offset>,
        stable: Offset,
        settings: &CleanSettings,
    ) -> Dirt {
        // What was deleted is clean. A checkpoint of a log that has since been replaced says nothing.
        let known = cleaned_upto.filter(|upto| *upto <= self.log_end);
        let first_dirty = known.unwrap_or(self.log_start).max(self.log_start);
        let last = self.segments.len() - 1;
        let unstable = self.first_unstable().filter(|_| !planted(Bug::CleansUnstable));
        let stable = unstable.map_or(stable, |unstable| stable.min(unstable));
        let ends_before = |at: usize| self.segments[at + 1].base_offset <= stable;
        let youngest = now.as_millis().saturating_sub(settings.min_lag_ms);
        let is_safe = |segment: &Segment| {
            settings.min_lag_ms > 0 && segment.retention_timestamp().as_millis() > youngest
        };
        let dirty = self.segment_index_of(first_dirty);
        let mut upto = dirty.min(last);
        while upto < last && ends_before(upto) && !is_safe(&self.segments[upto]) {
            upto += 1;
        }
        let bytes = |segments: &[Segment]| -> u64 {
            segments.iter().map(|segment| u64::from(segment.size_bytes)).sum()
        };
        let first_uncleanable = self.segments[upto].base_offset;
        // A pass that ended where its map was full, in the middle of a segment, left the rest dirty.
        let dirty_bytes = match first_dirty < first_uncleanable {
            true => bytes(&self.segments[dirty..upto]),
            false => 0,
        };
        let oldest = self.oldest_timestamp(dirty, upto);
        Dirt {
            first_dirty,
            first_uncleanable,
            clean_bytes: bytes(&self.segments[..dirty]),
            dirty_bytes,
            is_overdue: oldest.is_some_and(|it| now.millis_since(it) > settings.max_lag_ms),
        }
    }

    /// No record of these segments is older, as far as the log knows: a segment that was there at the
    /// start has forgotten when it began, but not before the one before it ended.
    fn oldest_timestamp(&self, from: usize, upto: usize) -> Option<Timestamp> {
        let began = |at: usize| {
            let segment = &self.segments[at];
            let before = at.checked_sub(1).map(|at| self.segments[at].largest_timestamp);
            let known = [Some(segment.first_timestamp), before, Some(segment.largest_timestamp)];
            known.into_iter().flatten().find(|it| it.as_millis() >= 0)
        };
        (from..upto).filter_map(began).min()
    }
}
