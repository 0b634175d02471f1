//! One pass over a segment during recovery.

use alloc::vec::Vec;

use strandline_types::{BatchFacts, Offset, Timestamp};

use super::{IndexListing, SegmentListing, TransactionListing};
use crate::segment::Placed;
use crate::{AbortedTransaction, IndexEntry, LogConfig, Segment, TimeIndexEntry};

/// Segments are at most this large: positions are signed in Kafka's index.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// Why a segment is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Its files may be damaged: read all, rebuild the indexes.
    Verify,
    /// Its files are sound, but the producers' state must be replayed from it.
    Replay,
    /// Its files are sound, but nobody knows where the log ends.
    Tail,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scan {
    pub(super) purpose: Purpose,
    pub(super) segment: Segment,
    pub(super) from: u32,
    pub(super) to: u32,
    /// Where the next batch must begin.
    pub(super) position: u32,
    pub(super) next_offset: Offset,
    /// The batch that a tail scan must meet first: its last offset.
    pub(super) first_expected: Option<Offset>,
    pub(super) index_entries: Vec<IndexEntry>,
    pub(super) time_index_entries: Vec<TimeIndexEntry>,
    /// The `.txnindex` to be; `None` while the one that is there is believed.
    pub(super) aborted: Option<Vec<AbortedTransaction>>,
}

/// What one batch means for the scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Fits,
    Contradicts,
}

impl SegmentListing {
    pub(super) fn scan_size(&self) -> u32 {
        self.size_bytes.min(SEGMENT_BYTES_MAX) as u32
    }

    /// The segment as its sound files describe it.
    pub(super) fn describe(&self, now: Timestamp) -> Segment {
        let mut segment = Segment::new(self.base_offset, now);
        segment.size_bytes = self.scan_size();
        segment.first_timestamp = self.first_timestamp;
        segment.modified_at = self.modified_at;
        if let IndexListing::Sound { index_entries, time_index_entries, largest, .. } = self.indexes
        {
            segment.index_entries = index_entries;
            segment.time_index_entries = time_index_entries;
            if let Some((timestamp, offset)) = largest {
                segment.largest_timestamp = timestamp;
                segment.last_time_index_timestamp = timestamp;
                segment.offset_of_largest = offset;
            }
        }
        if let TransactionListing::Sound { entries, last_aborted } = self.transactions {
            (segment.aborted_transactions, segment.last_aborted) = (entries, last_aborted);
        }
        segment
    }
}

impl Scan {
    pub(super) fn new(
        listing: &SegmentListing,
        purpose: Purpose,
        next_offset: Offset,
        rebuilds_transactions: bool,
        now: Timestamp,
    ) -> Self {
        let described = listing.describe(now);
        let mut segment = described;
        let (mut from, mut first_expected) = (0, None);
        match (purpose, listing.indexes) {
            (Purpose::Verify, _) => {
                segment = Segment {
                    modified_at: listing.modified_at,
                    ..Segment::new(listing.base_offset, now)
                };
            }
            (Purpose::Tail, IndexListing::Sound { last_indexed: Some((last, position)), .. }) => {
                (from, first_expected) = (position, Some(last));
                segment.size_bytes = from;
            }
            (Purpose::Tail, _) => segment.size_bytes = 0,
            (Purpose::Replay, _) => {}
        }
        let aborted = if rebuilds_transactions {
            (0, Offset(-1))
        } else {
            (described.aborted_transactions, described.last_aborted)
        };
        (segment.aborted_transactions, segment.last_aborted) = aborted;
        Self {
            purpose,
            segment,
            from,
            to: listing.scan_size(),
            position: from,
            next_offset: next_offset.max(listing.base_offset),
            first_expected,
            index_entries: Vec::new(),
            time_index_entries: Vec::new(),
            aborted: rebuilds_transactions.then(Vec::new),
        }
    }

    pub(super) fn aborted(&mut self, transaction: AbortedTransaction) {
        if let Some(aborted) = &mut self.aborted {
            self.segment.aborted(&transaction);
            aborted.push(transaction);
        }
    }

    pub(super) fn batch(
        &mut self,
        config: &LogConfig,
        facts: &BatchFacts,
        position: u32,
    ) -> Verdict {
        if position != self.position || !self.fits(facts) {
            return Verdict::Contradicts;
        }
        self.position += facts.size_bytes;
        self.next_offset = facts.next_offset();
        match self.purpose {
            Purpose::Replay => {}
            Purpose::Verify => {
                let (index, time_index) = self.segment.append(config, Placed::verbatim(facts));
                self.index_entries.extend(index);
                self.time_index_entries.extend(time_index);
            }
            // Its index entries are there already: only size and timestamps are taken in.
            Purpose::Tail => {
                let unlimited = LogConfig { index_interval_bytes: u32::MAX, ..config.clone() };
                self.segment.append(&unlimited, Placed::verbatim(facts));
            }
        }
        Verdict::Fits
    }

    fn fits(&mut self, facts: &BatchFacts) -> bool {
        if facts.last_offset_delta < 0 || facts.base_offset < Offset::ZERO {
            return false;
        }
        let last = facts.base_offset.checked_add(i64::from(facts.last_offset_delta));
        let Some(last) = last.filter(|last| last.0 < i64::MAX) else { return false };
        let fits_file = facts.size_bytes > 0
            && u64::from(self.position) + u64::from(facts.size_bytes) <= u64::from(self.to);
        let follows = match self.first_expected.take() {
            Some(expected) => last == expected,
            None => facts.base_offset >= self.next_offset,
        };
        follows
            && fits_file
            && self.segment.can_hold(facts.base_offset)
            && self.segment.can_hold(last)
    }
}
