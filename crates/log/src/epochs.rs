//! Which leader epoch wrote which offsets: the content of `leader-epoch-checkpoint` (KIP-101).

use alloc::vec::Vec;

use strandline_types::{LeaderEpoch, Offset};

/// The first offset an epoch wrote: one line of the checkpoint file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start: Offset,
}

/// Where an epoch ended. Epoch and offset are −1 when nothing is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

impl EpochEnd {
    pub const UNKNOWN: Self = Self { epoch: LeaderEpoch::NONE, end: Offset(-1) };
}

/// Epochs with their starts, both strictly ascending (LOG-4).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EpochCache(Vec<EpochStart>);

impl EpochCache {
    /// Takes a checkpoint's lines in file order; a line that contradicts an earlier one wins over
    /// it, as it would have when it was written.
    pub fn from_checkpoint(lines: impl IntoIterator<Item = EpochStart>) -> Self {
        let mut cache = Self::default();
        for line in lines {
            cache.assign(line.epoch, line.start);
        }
        cache
    }

    pub fn entries(&self) -> &[EpochStart] {
        &self.0
    }

    pub fn latest(&self) -> Option<EpochStart> {
        self.0.last().copied()
    }

    /// Notes that `epoch` begins at `start`, dropping what contradicts it. True when the
    /// checkpoint must be written anew.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if epoch < LeaderEpoch(0) || start < Offset::ZERO {
            return false;
        }
        if self.latest().is_some_and(|last| last.epoch == epoch && last.start <= start) {
            return false;
        }
        while self.latest().is_some_and(|last| last.epoch >= epoch || last.start >= start) {
            self.0.pop();
        }
        self.0.push(EpochStart { epoch, start });
        self.assert_ordered();
        true
    }

    /// Forgets what lies before `start`; the epoch that covers `start` begins there.
    pub fn truncate_before(&mut self, start: Offset) -> bool {
        let covering = self.0.partition_point(|entry| entry.start <= start);
        if covering == 0 || (covering == 1 && self.0[0].start == start) {
            return false;
        }
        self.0.drain(..covering - 1);
        self.0[0].start = start;
        true
    }

    /// Forgets epochs that begin at or after `end`.
    pub fn truncate_from(&mut self, end: Offset) -> bool {
        let kept = self.0.partition_point(|entry| entry.start < end);
        let changes = kept < self.0.len();
        self.0.truncate(kept);
        changes
    }

    /// The epoch that wrote `offset`, if it is known.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.0.partition_point(|entry| entry.start <= offset);
        Some(self.0[after.checked_sub(1)?].epoch)
    }

    /// The answer to OffsetForLeaderEpoch: the largest epoch not above `asked`, and where the one
    /// after it starts (KIP-279).
    pub fn end_of(&self, asked: LeaderEpoch, log_end: Offset) -> EpochEnd {
        if asked == LeaderEpoch::NONE {
            return EpochEnd::UNKNOWN;
        }
        if self.latest().is_some_and(|last| last.epoch == asked) {
            return EpochEnd { epoch: asked, end: log_end };
        }
        let above = self.0.partition_point(|entry| entry.epoch <= asked);
        let Some(next) = self.0.get(above) else { return EpochEnd::UNKNOWN };
        let epoch = above.checked_sub(1).map_or(asked, |at| self.0[at].epoch);
        EpochEnd { epoch, end: next.start }
    }

    pub(crate) fn assert_ordered(&self) {
        assert!(
            self.0
                .windows(2)
                .all(|pair| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start),
            "LOG-4: leader epochs and their starts ascend: {:?}",
            self.0
        );
    }
}
