//! Truncation: a replica throws away what its leader does not have.
//!
//! Where a batch begins stands only in the files, so a truncation is a recovery that ends at a
//! given offset: the segment that holds it is read, cut, and the producers' state rebuilt.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use strandline_types::{Offset, Timestamp};

use crate::{
    EpochCache, EpochStart, IndexListing, Listing, Log, LogImage, ProducerStates, Recovery,
    Segment, SegmentListing, TransactionListing,
};

/// All files of a log are to be replaced by one empty segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartOver {
    /// Base offsets, the last one first: a crash in between must leave a log that ends earlier.
    pub delete_segments: Vec<Offset>,
    pub create_segment: Offset,
    /// New content of `leader-epoch-checkpoint`.
    pub epochs: Vec<EpochStart>,
}

impl Log {
    /// Everything from `target` on goes, with the whole batch that holds it. The recovery's result
    /// replaces this log. `snapshots` are the offsets of the `.snapshot` files, ascending. A target
    /// before the log's start asks for [`Log::start_over_at`] instead.
    ///
    /// Also the way back after a refused write (a full disk): with `target` at the written end it
    /// forgets what was admitted and never written.
    pub fn truncate_to(&self, target: Offset, snapshots: Vec<Offset>, now: Timestamp) -> Recovery {
        let target = target.min(self.written_end);
        let cut = self.segment_index_of(target - 1);
        let dropped = self.segments[cut + 1..].iter().map(|segment| segment.base_offset).collect();
        let listed = |(index, segment): (usize, &Segment)| SegmentListing {
            base_offset: segment.base_offset,
            size_bytes: u64::from(segment.size_bytes),
            modified_at: segment.modified_at,
            first_timestamp: segment.first_timestamp,
            indexes: if index < cut {
                IndexListing::Sound {
                    index_entries: segment.index_entries,
                    last_indexed: None,
                    time_index_entries: segment.time_index_entries,
                    largest: Some((segment.largest_timestamp, segment.offset_of_largest)),
                }
            } else {
                IndexListing::Missing
            },
            transactions: if index < cut || segment.aborted_transactions == 0 {
                TransactionListing::Sound {
                    entries: segment.aborted_transactions,
                    last_aborted: segment.last_aborted,
                }
            } else {
                TransactionListing::Damaged
            },
        };
        let listing = Listing {
            segments: self.segments[..=cut].iter().enumerate().map(listed).collect(),
            snapshots,
            recovery_point: self.recovery_point.min(target),
            log_start: self.log_start,
            // The files are as this process wrote them: only the one that is cut must be read.
            is_clean: true,
            epochs: self.epochs.clone(),
        };
        Recovery::new(Arc::clone(&self.config), self.jitter_seed, now, listing)
            .with_limit(target, dropped)
    }

    /// Throws everything away; the log goes on, empty, at `start`.
    pub fn start_over_at(&mut self, start: Offset, now: Timestamp) -> StartOver {
        let last_first = self.segments.iter().rev();
        let delete_segments = last_first.map(|segment| segment.base_offset).collect();
        let image = LogImage {
            segments: vec![Segment::new(start, now)],
            log_start: start,
            recovery_point: start,
            log_end: start,
            epochs: EpochCache::default(),
            producers: ProducerStates::default(),
        };
        *self = Self::restore(Arc::clone(&self.config), self.jitter_seed, image, now);
        StartOver { delete_segments, create_segment: start, epochs: Vec::new() }
    }
}
