//! The state of one partition's log.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use strandline_types::{LeaderEpoch, Offset, Timestamp};

use crate::verify::Verifications;
use crate::{EpochCache, EpochEnd, LogConfig, ProducerStates, Segment};

/// One partition's log. Offsets run `log_start ≤ recovery_point ≤ written_end ≤ log_end`, save that
/// the start may have been raised above the recovery point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    pub(crate) config: Arc<LogConfig>,
    pub(crate) jitter_seed: u64,
    /// Never empty; the last one is active.
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start: Offset,
    /// Everything before this survives a loss of power.
    pub(crate) recovery_point: Offset,
    /// Everything before this is in the files.
    pub(crate) written_end: Offset,
    /// The next offset to give out.
    pub(crate) log_end: Offset,
    pub(crate) last_flush_at: Timestamp,
    pub(crate) epochs: EpochCache,
    /// The last epoch has no records yet and is not in the checkpoint.
    pub(crate) epochs_unsaved: bool,
    pub(crate) producers: ProducerStates,
    pub(crate) verifications: Verifications,
    pub(crate) faulted: bool,
}

/// All there is to know of a log whose files are whole: what recovery finds out, and what a clean
/// stop may remember instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogImage {
    /// Ascending, at least one; the last is active.
    pub segments: Vec<Segment>,
    pub log_start: Offset,
    pub recovery_point: Offset,
    pub log_end: Offset,
    pub epochs: EpochCache,
    pub producers: ProducerStates,
}

impl LogImage {
    /// Whether a log can look like this: to be asked of an image that was kept outside the process.
    pub fn is_sound(&self) -> bool {
        let ends_log = self.segments.last().is_some_and(|last| last.base_offset <= self.log_end);
        ends_log
            && self.segments.windows(2).all(|pair| pair[0].base_offset < pair[1].base_offset)
            && self.segments[0].base_offset >= Offset::ZERO
            && self.recovery_point <= self.log_end
            && self.log_start <= self.log_end
            && self.epochs.latest().is_none_or(|last| last.start <= self.log_end)
    }
}

impl Log {
    /// A log without records, whose only segment begins at `start`.
    pub fn create(config: Arc<LogConfig>, jitter_seed: u64, start: Offset, now: Timestamp) -> Self {
        let image = LogImage {
            segments: vec![Segment::new(start, now)],
            log_start: start,
            recovery_point: start,
            log_end: start,
            epochs: EpochCache::default(),
            producers: ProducerStates::default(),
        };
        Self::restore(config, jitter_seed, image, now)
    }

    /// # Panics
    /// When the image breaks an invariant.
    pub fn restore(
        config: Arc<LogConfig>,
        jitter_seed: u64,
        image: LogImage,
        now: Timestamp,
    ) -> Self {
        let log = Self {
            config,
            jitter_seed,
            segments: image.segments,
            log_start: image.log_start,
            recovery_point: image.recovery_point,
            written_end: image.log_end,
            log_end: image.log_end,
            last_flush_at: now,
            epochs: image.epochs,
            epochs_unsaved: false,
            producers: image.producers,
            verifications: Verifications::default(),
            faulted: false,
        };
        log.assert_invariants();
        log
    }

    /// # Panics
    /// When something admitted is not written yet.
    pub fn image(&self) -> LogImage {
        assert_eq!(self.written_end, self.log_end, "an image shows what the files hold");
        let mut epochs = self.epochs.clone();
        // An epoch without records is not in the checkpoint, see `begin_epoch`.
        epochs.truncate_from(self.log_end);
        LogImage {
            segments: self.segments.clone(),
            log_start: self.log_start,
            recovery_point: self.recovery_point,
            log_end: self.log_end,
            epochs,
            producers: self.producers.clone(),
        }
    }

    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Takes effect with the next decision; segments that exist stay as they are.
    pub fn reconfigure(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The next offset to give out. Readers see [`Log::written_end`].
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    pub fn written_end(&self) -> Offset {
        self.written_end
    }

    /// It holds no records, or none that may be read.
    pub fn is_empty(&self) -> bool {
        self.log_start == self.log_end
    }

    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets silent producers (see [`ProducerStates::expire`]).
    pub fn expire_producers(&mut self, now: Timestamp) {
        self.producers.expire(now, self.config.producer_id_expiration_ms);
        self.verifications.expire(now, self.config.producer_id_expiration_ms);
    }

    /// Everything before `high_watermark` is committed: what markers there decided is stable.
    pub fn committed(&mut self, high_watermark: Offset) {
        self.producers.committed(high_watermark);
    }

    /// Where the earliest transaction begins that is open, or whose marker is not committed.
    pub fn first_unstable(&self) -> Option<Offset> {
        self.producers.first_unstable()
    }

    /// Ascending; the last one is active.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes of all segments, admitted ones included.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.size_bytes)).sum()
    }

    /// The segment whose range covers `offset`; the first one for anything earlier.
    pub fn segment_of(&self, offset: Offset) -> &Segment {
        &self.segments[self.segment_index_of(offset)]
    }

    /// One past the last offset that the segment at `base_offset` covers.
    pub fn segment_end(&self, base_offset: Offset) -> Offset {
        let next = self.segments.partition_point(|segment| segment.base_offset <= base_offset);
        self.segments.get(next).map_or(self.log_end, |segment| segment.base_offset)
    }

    /// The first segment that holds a record with a timestamp of at least `target`.
    pub fn segment_for_timestamp(&self, target: Timestamp) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.largest_timestamp >= target)
    }

    /// The segment that holds the largest timestamp; the first among equals.
    pub fn segment_of_largest_timestamp(&self) -> Option<&Segment> {
        let mut best: Option<&Segment> = None;
        for segment in &self.segments {
            if segment.largest_timestamp.0 >= 0
                && best.is_none_or(|best| segment.largest_timestamp > best.largest_timestamp)
            {
                best = Some(segment);
            }
        }
        best
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|entry| entry.epoch)
    }

    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_of(offset)
    }

    /// Where `epoch` ended, as far as the files know.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> EpochEnd {
        self.epochs.end_of(epoch, self.written_end)
    }

    /// A leadership begins: its epoch starts at the log's end. The checkpoint of the epochs is
    /// written with its first append: until then a recovery would forget the epoch anyway, and a
    /// node that takes over a thousand partitions need not write a thousand files.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        self.epochs_unsaved |= self.epochs.assign(epoch, self.log_end);
    }

    /// A leadership ended: an epoch in which nothing was appended says nothing about this log.
    pub fn forget_unused_epochs(&mut self) {
        if self.epochs.truncate_from(self.log_end) {
            self.epochs_unsaved = false;
        }
    }

    /// A write, sync or deletion failed: nothing enters this log again until it is recovered.
    pub fn fail(&mut self) {
        self.faulted = true;
    }

    pub fn is_faulted(&self) -> bool {
        self.faulted
    }

    pub(crate) fn segment_index_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    pub(crate) fn active(&self) -> &Segment {
        self.segments.last().expect("LOG-2: there is always an active segment")
    }

    pub(crate) fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("LOG-2: there is always an active segment")
    }

    pub(crate) fn assert_invariants(&self) {
        let active = self.active();
        assert!(active.base_offset <= self.log_end, "LOG-2: the active segment ends the log");
        assert!(
            self.recovery_point <= self.written_end && self.written_end <= self.log_end,
            "LOG-3: recovery point {} ≤ written {} ≤ end {}",
            self.recovery_point,
            self.written_end,
            self.log_end
        );
        assert!(self.log_start <= self.log_end, "LOG-6: the log starts before it ends");
        debug_assert!(
            self.segments.windows(2).all(|pair| pair[0].base_offset < pair[1].base_offset),
            "LOG-2: segments ascend"
        );
        debug_assert!(
            self.epochs.latest().is_none_or(|last| last.start <= self.log_end),
            "LOG-4: no epoch starts beyond the log's end"
        );
    }
}
