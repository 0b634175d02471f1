//! Reads: the view names the readable range, the store turns it into bytes or a range of a file.

use std::sync::Arc;

use strandline_log::{AbortedTransaction, EpochEnd};
use strandline_replica::{Isolation, ReadRefusal, Reader, View};
use strandline_store::{
    PartitionStore, ReadAnswer, ReadRequest, Records, StoreFault, TimestampOffset,
};
use strandline_types::{ErrorCode, LeaderEpoch, NodeId, Offset, Timestamp};

use super::{FollowerFetch, Partition};

/// One partition of a Fetch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ReadAt {
    pub(crate) from: Offset,
    pub(crate) max_bytes: u32,
    /// Give the first batch even if it is larger than `max_bytes`.
    pub(crate) at_least_one_batch: bool,
    pub(crate) reader: Reader,
    /// The leader epoch that the client knows; −1 asks for no check.
    pub(crate) leader_epoch: LeaderEpoch,
    /// The epoch of the last record before `from` as the client has it; −1 asks for no check.
    pub(crate) last_fetched_epoch: LeaderEpoch,
}

/// Why a partition of a Fetch gets no records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FetchRefusal {
    #[error(transparent)]
    Read(#[from] ReadRefusal),
    /// Here or there the metadata are not up to date.
    #[error("{follower} is no replica of the partition in leader epoch {leader_epoch}")]
    NoReplica { follower: NodeId, leader_epoch: LeaderEpoch },
    #[error("broker {follower} has registered anew since: what it held then may be gone")]
    StaleBroker { follower: NodeId },
}

impl FetchRefusal {
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Read(refusal) => refusal.code(),
            // Who names no epoch is too old for a better answer.
            Self::NoReplica { leader_epoch: LeaderEpoch::NONE, .. } | Self::StaleBroker { .. } => {
                ErrorCode::NOT_LEADER_OR_FOLLOWER
            }
            Self::NoReplica { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
        }
    }
}

/// What a Fetch may send.
pub(crate) struct FetchRead {
    /// As it was when the range was chosen.
    pub(crate) view: View,
    pub(crate) records: Records,
    /// Where the next read begins. Records between here and the readable end are there already.
    pub(crate) next_offset: Offset,
    /// Where the client's copy of the log parts from this one; there are no records then.
    pub(crate) diverging: Option<EpochEnd>,
    /// Transactions among the records that were aborted: who reads committed records leaves theirs
    /// out.
    pub(crate) aborted: Vec<AbortedTransaction>,
}

impl FetchRead {
    fn empty(view: View, from: Offset) -> Self {
        let (records, aborted) = (Records::Empty, Vec::new());
        Self { view, records, next_offset: from, diverging: None, aborted }
    }

    fn diverging(view: View, from: Offset, end: EpochEnd) -> Self {
        Self { diverging: Some(end), ..Self::empty(view, from) }
    }
}

impl Partition {
    /// Reads for a follower, after counting what it has: it hears at once how far its own fetch has
    /// committed the log.
    pub(crate) async fn read_for(
        &self,
        fetch: FollowerFetch,
        read: ReadAt,
    ) -> Result<FetchRead, FetchRefusal> {
        let view = self.view();
        if let Some(diverging) = self.diverging_epoch(&view, &read)? {
            // A copy that parts from this log counts for nothing.
            return Ok(FetchRead::diverging(view, read.from, diverging));
        }
        view.readable(read.from, read.reader, read.leader_epoch)?;
        if !self.follower_fetched(fetch) {
            let (follower, leader_epoch) = (fetch.follower, read.leader_epoch);
            return Err(FetchRefusal::NoReplica { follower, leader_epoch });
        }
        Ok(self.read(ReadAt { last_fetched_epoch: LeaderEpoch::NONE, ..read }).await?)
    }

    pub(crate) async fn read(&self, read: ReadAt) -> Result<FetchRead, ReadRefusal> {
        let (view, store) = {
            let shown = self.shown();
            (shown.view, Arc::clone(&shown.home.store))
        };
        if let Some(diverging) = self.diverging_epoch(&view, &read)? {
            return Ok(FetchRead::diverging(view, read.from, diverging));
        }
        let range = view.readable(read.from, read.reader, read.leader_epoch)?;
        if range.from == range.upto || (read.max_bytes == 0 && !read.at_least_one_batch) {
            return Ok(FetchRead::empty(view, read.from));
        }
        let request = ReadRequest {
            from: range.from,
            upto: range.upto,
            max_bytes: read.max_bytes,
            at_least_one_batch: read.at_least_one_batch,
        };
        let isolation = read.reader.isolation();
        let look = |store: Arc<PartitionStore>| async move {
            match isolation {
                Some(Isolation::ReadCommitted) => store.read_committed(request).await,
                _ => Ok(store.read(request).await?.map(|answer| (answer, Vec::new()))),
            }
        };
        match self.look_up(store, look).await? {
            Some((ReadAnswer { records, next_offset }, aborted)) => {
                Ok(FetchRead { view, records, next_offset, diverging: None, aborted })
            }
            // Retention was faster.
            None => {
                let View { log_start, log_end, .. } = self.view();
                Err(ReadRefusal::OffsetOutOfRange { asked: read.from, log_start, log_end })
            }
        }
    }

    /// Looks something up in the files. Those of a partition that moves to another directory are
    /// renamed, and go: what is not found in them may be in those that took their place.
    async fn look_up<T, F: Future<Output = Result<Option<T>, StoreFault>>>(
        &self,
        mut store: Arc<PartitionStore>,
        look: impl Fn(Arc<PartitionStore>) -> F,
    ) -> Result<Option<T>, ReadRefusal> {
        loop {
            let found = look(Arc::clone(&store)).await;
            if let Ok(Some(found)) = found {
                return Ok(Some(found));
            }
            let now = self.store();
            if Arc::ptr_eq(&now, &store) {
                return found.map_err(|fault| self.read_failed(&fault));
            }
            store = now;
        }
    }

    /// Consumers do not ask for this check: then the core need not be locked.
    fn diverging_epoch(&self, view: &View, read: &ReadAt) -> Result<Option<EpochEnd>, ReadRefusal> {
        if read.last_fetched_epoch == LeaderEpoch::NONE {
            return Ok(None);
        }
        view.check_reader(read.reader, read.leader_epoch)?;
        self.core().replica.diverging_epoch(read.last_fetched_epoch, read.from)
    }

    /// Who serves a consumer better than this leader, if anybody does. One with another idea of
    /// the leader's epoch is told so instead.
    pub(crate) fn preferred_read_replica(
        &self,
        from: Offset,
        leader_epoch: LeaderEpoch,
        is_near: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        self.view().check_leader(leader_epoch).ok()?;
        self.core().replica.preferred_read_replica(from, is_near)
    }

    /// Damaged records must not be skipped, and what else is damaged nobody knows.
    fn read_failed(&self, fault: &StoreFault) -> ReadRefusal {
        self.fault(fault);
        ReadRefusal::Offline
    }

    /// The first record dated `target` or later that `reader` may see.
    pub(crate) async fn offset_for_timestamp(
        &self,
        target: Timestamp,
        reader: Reader,
        leader_epoch: LeaderEpoch,
    ) -> Result<Option<TimestampOffset>, ReadRefusal> {
        let view = self.view();
        view.check_leader(leader_epoch)?;
        let candidates: Vec<Offset> = self.with_log(|log| {
            let holds = |base| log.segment_end(base) > view.log_start;
            let segments = log.segments().iter().filter(|it| it.largest_timestamp >= target);
            segments.map(|it| it.base_offset).filter(|&base| holds(base)).collect()
        });
        for segment in candidates {
            let look = |store: Arc<PartitionStore>| async move {
                store.find_timestamp(segment, target, view.log_start).await
            };
            if let Some(found) = self.look_up(self.store(), look).await? {
                return self.visible(&view, found, reader, leader_epoch);
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp of the log.
    pub(crate) async fn largest_timestamp(
        &self,
        reader: Reader,
        leader_epoch: LeaderEpoch,
    ) -> Result<Option<TimestampOffset>, ReadRefusal> {
        let view = self.view();
        view.check_leader(leader_epoch)?;
        let place = self.with_log(|log| {
            let segment = log.segment_of_largest_timestamp()?;
            Some((segment.base_offset, segment.offset_of_largest))
        });
        let Some((segment, last_offset)) = place else { return Ok(None) };
        let look = |store: Arc<PartitionStore>| async move {
            store.largest_timestamp(segment, last_offset).await
        };
        match self.look_up(self.store(), look).await? {
            Some(found) => self.visible(&view, found, reader, leader_epoch),
            None => Ok(None),
        }
    }

    /// A record beyond the reader's end is as good as none, unless the end itself is not known yet.
    fn visible(
        &self,
        view: &View,
        found: TimestampOffset,
        reader: Reader,
        leader_epoch: LeaderEpoch,
    ) -> Result<Option<TimestampOffset>, ReadRefusal> {
        if found.offset < view.end_for(reader) {
            return Ok(Some(found));
        }
        view.latest(reader, leader_epoch).map(|_| None)
    }

    /// The answer to OffsetForLeaderEpoch.
    pub(crate) fn end_of_epoch(
        &self,
        asked: LeaderEpoch,
        leader_epoch: LeaderEpoch,
    ) -> Result<EpochEnd, ReadRefusal> {
        self.view().check_leader(leader_epoch)?;
        Ok(self.with_log(|log| log.end_of_epoch(asked)))
    }
}
