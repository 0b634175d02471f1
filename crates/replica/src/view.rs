//! What a reader must know, small enough to be copied: it is published after each step, and read
//! without the partition's lock.

use strandline_types::{Bug, LeaderEpoch, Offset, planted};

use crate::{EpochRefusal, ReadRefusal};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    pub is_leader: bool,
    pub is_offline: bool,
    pub leader_epoch: LeaderEpoch,
    pub log_start: Offset,
    pub high_watermark: Offset,
    /// End of what readers of committed records may have: before it every transaction is decided, and
    /// the decisions are committed.
    pub last_stable_offset: Offset,
    /// End of what is written.
    pub log_end: Offset,
    /// End of what has its place in the log and may still be on its way to the disk. A replica that
    /// was elected in that moment has followers who hold these records already.
    pub admitted_end: Offset,
    /// Where the current leader's epoch begins.
    pub epoch_start: Offset,
    /// Changes with whoever is in sync.
    pub partition_epoch: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    #[default]
    ReadUncommitted,
    ReadCommitted,
}

/// Who reads decides how far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    Consumer(Isolation),
    /// A consumer that may be sent to other replicas than the leader (KIP-392): any answers it.
    Roaming(Isolation),
    /// Replicas read what is not committed yet: by reading it they commit it.
    Follower,
}

impl Reader {
    /// `None` for replicas.
    pub fn isolation(self) -> Option<Isolation> {
        match self {
            Self::Consumer(isolation) | Self::Roaming(isolation) => Some(isolation),
            Self::Follower => None,
        }
    }
}

/// Offsets a reader may have now. Empty when it has them all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadableRange {
    pub from: Offset,
    pub upto: Offset,
}

impl View {
    /// −1 asks for no check.
    pub fn check_epoch(&self, asked: LeaderEpoch) -> Result<(), EpochRefusal> {
        if asked == LeaderEpoch::NONE || asked == self.leader_epoch {
            Ok(())
        } else if asked < self.leader_epoch {
            Err(EpochRefusal::Fenced)
        } else {
            Err(EpochRefusal::Unknown)
        }
    }

    /// Whether this replica may answer in the name of the partition.
    pub fn check_leader(&self, asked_epoch: LeaderEpoch) -> Result<(), ReadRefusal> {
        if self.is_offline {
            return Err(ReadRefusal::Offline);
        }
        self.check_epoch(asked_epoch)?;
        if self.is_leader { Ok(()) } else { Err(ReadRefusal::NotLeader) }
    }

    /// Whether this replica may answer `reader`.
    pub fn check_reader(
        &self,
        reader: Reader,
        asked_epoch: LeaderEpoch,
    ) -> Result<(), ReadRefusal> {
        match (self.check_leader(asked_epoch), reader) {
            (Err(ReadRefusal::NotLeader), Reader::Roaming(_)) => Ok(()),
            (checked, _) => checked,
        }
    }

    /// Where the log ends, as ListOffsets tells it. A new leader's high watermark lags behind the
    /// former one's until it has committed something itself: it must not be told before, or the end
    /// would seem to go back (KIP-207).
    pub fn latest(&self, reader: Reader, asked_epoch: LeaderEpoch) -> Result<Offset, ReadRefusal> {
        self.check_leader(asked_epoch)?;
        if reader != Reader::Follower && self.high_watermark < self.epoch_start {
            return Err(ReadRefusal::OffsetNotAvailable);
        }
        Ok(self.end_for(reader))
    }

    pub fn end_for(&self, reader: Reader) -> Offset {
        match reader {
            Reader::Follower => self.log_end,
            _ if planted(Bug::UncommittedServed) => self.log_end,
            Reader::Consumer(isolation) | Reader::Roaming(isolation) => match isolation {
                Isolation::ReadUncommitted => self.high_watermark,
                _ if planted(Bug::StableIsCommitted) => self.high_watermark,
                Isolation::ReadCommitted => self.last_stable_offset,
            },
        }
    }

    /// What a Fetch from `from` may be given. An offset that exists but is not committed is no
    /// error: its records will come.
    pub fn readable(
        &self,
        from: Offset,
        reader: Reader,
        asked_epoch: LeaderEpoch,
    ) -> Result<ReadableRange, ReadRefusal> {
        self.check_reader(reader, asked_epoch)?;
        if from < self.log_start || from > self.admitted_end {
            return Err(ReadRefusal::OffsetOutOfRange {
                asked: from,
                log_start: self.log_start,
                log_end: self.log_end,
            });
        }
        Ok(ReadableRange { from, upto: self.end_for(reader).max(from) })
    }
}
