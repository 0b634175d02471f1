//! Compaction: a log that keeps the newest record of each key.
//!
//! [`Log::dirt`] says how much of a log was never cleaned and whether that is worth a pass. A pass
//! reads twice: the [`Survey`] walks the records that were never cleaned and notes the newest offset
//! of each key; then [`Cleaning`] walks the log from its start and says of each batch what is left of
//! it. What is left of neighbouring segments becomes a [`CleanedSegment`], which takes their place
//! ([`Log::replace`]). Offsets never change, and nothing is lost at or above the survey's end.
//!
//! Rules are Apache Kafka's: KIP-58 and KIP-354 (how long records are safe, or must wait at most),
//! KIP-98 (markers, aborted data, producers' last sequences), KIP-534 (delete horizons).

use alloc::vec::Vec;

use strandline_types::{Offset, Timestamp};

mod cleaning;
mod dirt;
mod group;
mod key_map;
mod producers;
mod segment;
mod siphash;
mod survey;
mod transactions;

pub use cleaning::{BatchFate, BatchLook, Cleaning, CleaningStats};
pub use dirt::{CleanSettings, Dirt};
pub use group::groups;
pub use key_map::{KeyHash, Seen, TOGETHER};
pub use segment::{Cleaned, CleanedSegment, Outgrown};
pub use siphash::HashKey;
pub use survey::{Survey, SurveyLimits};

use crate::{Log, ProducerSnapshot, Segment};

/// What a pass must know of the log as it was when the pass began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CleanPlan {
    /// Ascending; all lie before the first offset that may not be cleaned.
    pub segments: Vec<Segment>,
    pub first_dirty: Offset,
    /// Where the last of the segments ends.
    pub first_uncleanable: Offset,
    /// In order of their ids.
    pub producers: Vec<ProducerSnapshot>,
    pub now: Timestamp,
}

impl Log {
    /// A pass over the dirt that was found. `None` before all of that is durable: the holes that
    /// cleaning leaves would look like a loss to the recovery of a topic that is not compacted any
    /// more.
    pub fn plan_cleaning(&self, dirt: &Dirt, now: Timestamp) -> Option<CleanPlan> {
        if dirt.first_uncleanable > self.recovery_point {
            return None;
        }
        let is_cleanable = |it: &&Segment| it.base_offset < dirt.first_uncleanable;
        Some(CleanPlan {
            segments: self.segments.iter().filter(is_cleanable).copied().collect(),
            first_dirty: dirt.first_dirty,
            first_uncleanable: dirt.first_uncleanable,
            producers: self.producers.snapshot(),
            now,
        })
    }

    /// Whether the segments of a group are still what they were: retention may have taken some.
    pub fn can_replace(&self, cleaned: &Cleaned) -> bool {
        let mut replaced = cleaned.replaced.iter();
        let Some(first) = replaced.next() else { return false };
        let from = self.segments.partition_point(|it| it.base_offset < *first);
        let Some(there) = self.segments.get(from..from + cleaned.replaced.len()) else {
            return false;
        };
        there.iter().map(|it| it.base_offset).eq(cleaned.replaced.iter().copied())
    }

    /// The files of `cleaned` have taken the place of those it was made from.
    ///
    /// # Panics
    /// When [`Log::can_replace`] says no, or a rule of compaction is broken.
    pub fn replace(&mut self, cleaned: &Cleaned) {
        assert!(self.can_replace(cleaned), "CLEAN-1: the segments that were cleaned are there");
        let from = self.segment_index_of(cleaned.segment.base_offset);
        let next = from + cleaned.replaced.len();
        let end = self.segments.get(next).map(|it| it.base_offset);
        let end = end.expect("CLEAN-1: the active segment is not cleaned");
        assert!(end <= self.recovery_point, "CLEAN-1: only what is durable is cleaned");
        assert!(
            cleaned.segment.base_offset == self.segments[from].base_offset
                && cleaned.next_offset <= end,
            "CLEAN-2: the offsets of a cleaned segment are those of the segments it replaces"
        );
        self.segments.splice(from..next, [cleaned.segment]);
        self.assert_invariants();
    }
}
