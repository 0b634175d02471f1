//! A partition that follows: what its fetcher asks and tells, and cutting the log.

use std::sync::Arc;

use strandline_replica::{
    Cut, Event, FetchAnswer, FetchPosition, Fetched, FollowRefusal, FollowerChange, Followership,
    NextFetch,
};
use strandline_store::{Checkpoint, StoreFault};
use strandline_types::{BrokerEpoch, NodeId, Offset};
use strandline_wire::records::InspectedBatch;
use tokio::sync::oneshot;

use super::{CheckpointWanted, Inbox, Partition};

/// Where a follower stands, as its fetch tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FollowerFetch {
    pub(crate) follower: NodeId,
    pub(crate) broker_epoch: BrokerEpoch,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
}

impl Partition {
    /// `fetcher` asks the leader from here on, and hears whenever it may ask again.
    pub(crate) fn become_follower(&self, followership: Followership, fetcher: Option<Arc<Inbox>>) {
        let former = std::mem::replace(&mut self.core().fetcher, fetcher.clone());
        self.step(Event::BecomeFollower(followership));
        self.tell_fetchers(former.into_iter().chain(fetcher));
    }

    /// From here on this one asks, or nobody.
    pub(crate) fn set_fetcher(&self, fetcher: Option<Arc<Inbox>>) {
        let former = std::mem::replace(&mut self.core().fetcher, fetcher.clone());
        self.tell_fetchers(former.into_iter().chain(fetcher));
    }

    fn tell_fetchers(&self, fetchers: impl IntoIterator<Item = Arc<Inbox>>) {
        let Some(me) = self.me.upgrade() else { return };
        fetchers.into_iter().for_each(|fetcher| fetcher.push(Arc::clone(&me)));
    }

    /// What this fetcher is to ask; nothing, when another one does.
    pub(crate) fn next_fetch_by(&self, fetcher: &Arc<Inbox>) -> NextFetch {
        let core = self.core();
        match &core.fetcher {
            Some(current) if Arc::ptr_eq(current, fetcher) => core.replica.next_fetch(),
            _ => NextFetch::Stopped,
        }
    }

    #[cfg(test)]
    pub(crate) fn next_fetch(&self) -> NextFetch {
        self.core().replica.next_fetch()
    }

    /// What this fetcher copied last is not written yet, or not synced as far as it must be. When
    /// it is, the partition's fetcher hears of it: by then that may be another.
    pub(crate) fn is_writing_for(&self, fetcher: &Arc<Inbox>) -> bool {
        let core = self.core();
        let is_theirs = core.fetcher.as_ref().is_some_and(|it| Arc::ptr_eq(it, fetcher));
        is_theirs && core.replica.next_fetch() == NextFetch::Busy && core.replica.cut().is_none()
    }

    /// What the leader answered to a fetch from `asked`; `batches` are those of the answer.
    pub(crate) fn copy(
        &self,
        asked: &FetchPosition,
        batches: Vec<InspectedBatch>,
        high_watermark: Offset,
        log_start: Offset,
    ) -> Result<(), FollowRefusal> {
        let facts: Vec<_> = batches.iter().map(|batch| batch.facts.clone()).collect();
        let answer = FetchAnswer::Records { batches: &facts, high_watermark, log_start };
        self.fetched(asked, answer, batches)
    }

    /// An answer without records.
    pub(crate) fn corrected(
        &self,
        asked: &FetchPosition,
        answer: FetchAnswer<'_>,
    ) -> Result<(), FollowRefusal> {
        self.fetched(asked, answer, Vec::new())
    }

    fn fetched(
        &self,
        asked: &FetchPosition,
        answer: FetchAnswer<'_>,
        batches: Vec<InspectedBatch>,
    ) -> Result<(), FollowRefusal> {
        let (leader_epoch, offset) = (asked.leader_epoch, asked.offset);
        let now = self.now();
        let mut after = {
            let mut core = self.core();
            let event = Event::Fetched(Fetched { leader_epoch, offset, answer });
            let mut effects = Vec::new();
            core.replica.step(now, event, &mut effects);
            self.route(&mut core, effects, batches)
        };
        let refused = after.refused.take();
        self.settle(after);
        refused.map_or(Ok(()), Err)
    }

    /// A follower asks this leader for records from `log_end` on. False when the metadata do not
    /// count it among the replicas.
    pub(crate) fn follower_fetched(&self, fetch: FollowerFetch) -> bool {
        let FollowerFetch { follower, broker_epoch, log_start, log_end } = fetch;
        let now = self.now();
        let after = {
            let mut core = self.core();
            if !core.replica.has_follower(follower) {
                return false;
            }
            let event = Event::FollowerFetched { follower, broker_epoch, log_start, log_end };
            self.decide(&mut core, now, event)
        };
        self.settle(after);
        true
    }

    /// Whether this node leads, and the follower holds everything committed.
    pub(crate) fn is_in_sync(&self, follower: NodeId) -> bool {
        self.core().replica.in_sync().contains(&follower)
    }

    /// What the metadata say of the broker of a follower.
    pub(crate) fn follower_changed(&self, change: FollowerChange) {
        self.step(Event::FollowerChanged(change));
    }

    /// Cuts the log where the core wants it cut. Holds the token.
    pub(super) async fn cut(&self) -> Result<(), StoreFault> {
        let Some((cut, high_watermark)) = self.pending_cut() else { return Ok(()) };
        let to = end_after(cut);
        let (log_start, log_end) = self.with_log(|log| (log.log_start(), log.log_end()));
        // What lies before the log's start is not there to be cut off.
        if to.max(log_start) < high_watermark {
            tracing::error!(
                partition = %self.name, %to, %log_end, %high_watermark,
                "the leader was elected uncleanly: committed records are cut off"
            );
        } else {
            tracing::info!(partition = %self.name, %to, %log_end, "cut the log to the leader's");
        }
        self.checkpoint_before(to).await?;
        let _files = self.files.lock().await;
        let now = self.now();
        let log = match cut {
            Cut::Truncate { to } => {
                let snapshots = self.store().snapshots().await?;
                let recovery = self.with_log(|log| log.truncate_to(to, snapshots, now.timestamp));
                self.store().truncate(recovery).await?.log
            }
            Cut::StartOver { at } => {
                let mut log = self.with_log(Clone::clone);
                let plan = log.start_over_at(at, now.timestamp);
                let deleted = self.store().start_over(plan).await?;
                self.store().unlink(deleted).await?;
                log
            }
        };
        let after = {
            let mut core = self.core();
            let end = log.log_end();
            core.uncommitted.retain(|&(appended, _)| appended <= end);
            // What comes in its place was not cleaned.
            core.cleaning.upto = core.cleaning.upto.map(|upto| upto.min(end));
            self.decide(&mut core, now, Event::Cut(Box::new(log)))
        };
        self.settle(after);
        Ok(())
    }

    fn pending_cut(&self) -> Option<(Cut, Offset)> {
        let core = self.core();
        Some((core.replica.cut()?, core.replica.high_watermark()))
    }

    /// Checkpoints must not speak of what will be cut off: after a crash, what is appended in its
    /// place would be taken for durable, or for committed.
    async fn checkpoint_before(&self, to: Offset) -> Result<(), StoreFault> {
        let is_behind = |checkpoint: &Checkpoint| match checkpoint {
            Checkpoint::RecoveryPoint => self.with_log(|log| log.recovery_point()) > to,
            Checkpoint::LogStart => self.view().log_start > to,
            Checkpoint::HighWatermark => self.view().high_watermark > to,
            Checkpoint::Cleaner => self.cleaned_upto() > Some(to),
        };
        if !Checkpoint::ALL.iter().any(is_behind) {
            return Ok(());
        }
        let (written, done) = oneshot::channel();
        // Without a receiver the node is stopping.
        let _ = self.context.checkpoints.send(CheckpointWanted { dir: self.dir(), written });
        done.await.unwrap_or_else(|_| Err(StoreFault::Offline { path: self.store().path() }))
    }

    /// What a checkpoint may say of this partition: nothing of what is just being cut off.
    pub(crate) fn checkpointed(&self, checkpoint: Checkpoint) -> Option<Offset> {
        let core = self.core();
        let offset = match checkpoint {
            Checkpoint::RecoveryPoint => core.replica.log().recovery_point(),
            Checkpoint::LogStart => core.replica.log().log_start(),
            Checkpoint::HighWatermark => core.replica.high_watermark(),
            Checkpoint::Cleaner => core.cleaning.upto?,
        };
        Some(core.replica.cut().map_or(offset, |cut| offset.min(end_after(cut))))
    }
}

/// Where the log ends at the most once it is cut.
fn end_after(cut: Cut) -> Offset {
    match cut {
        Cut::Truncate { to } => to,
        Cut::StartOver { at } => at,
    }
}
