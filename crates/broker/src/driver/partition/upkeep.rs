//! What is not a request: flush, retention, resuming after a full disk, closing.

use strandline_log::{Deletion, LogImage};
use strandline_replica::{Event, Followership};
use strandline_store::{DeletedFiles, StoreFault};
use strandline_types::{NodeId, Offset};
use tokio::sync::oneshot;

use super::{Chore, Partition};

/// Segments that the log no longer has and whose files are still there. Checkpoint the log starts
/// first, then hand them to [`Partition::remove_segments`]: a crash between the two would bring the
/// records back.
#[derive(Debug, Default)]
#[must_use = "their files stay until they are removed"]
pub(crate) struct RetiredSegments(Vec<Offset>);

impl RetiredSegments {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Partition {
    /// `flush.ms` may be over.
    pub(crate) fn check_flush(&self) {
        self.step(Event::CheckFlush);
    }

    pub(crate) fn check_isr(&self) {
        self.step(Event::CheckIsr);
    }

    pub(crate) fn expire_producers(&self) {
        self.step(Event::ExpireProducers);
    }

    /// Applies retention.
    pub(crate) async fn retain(&self) -> RetiredSegments {
        let now = self.now();
        let (sender, retired) = oneshot::channel();
        let after = {
            let mut core = self.core();
            if core.is_cutting || core.is_swapping {
                return RetiredSegments::default();
            }
            core.retaining = Some(sender);
            let after = self.decide(&mut core, now, Event::Retain);
            core.retaining = None;
            after
        };
        self.settle(after);
        retired.await.unwrap_or_default()
    }

    /// Readers no longer find the segments; their files wait to be unlinked.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn remove_segments(
        &self,
        retired: RetiredSegments,
    ) -> Result<DeletedFiles, StoreFault> {
        let _files = self.files.lock().await;
        let log_start = self.view().log_start;
        self.store()
            .delete(Deletion { roll: None, segments: retired.0, log_start, epochs: None })
            .await
    }

    /// The part of a deletion that has its place among the appends.
    pub(super) async fn begin_deletion(
        &self,
        deletion: Deletion,
        sender: oneshot::Sender<RetiredSegments>,
    ) {
        let retired = RetiredSegments(deletion.segments.clone());
        let has_rolled = deletion.roll.is_some();
        match self.store().delete(Deletion { segments: Vec::new(), ..deletion }).await {
            Ok(nothing) => debug_assert!(nothing.is_empty()),
            // Only the epochs were refused, and recovery forgets those before the log's start anyway.
            Err(fault) if fault.is_full() && !has_rolled => {}
            Err(fault) => return self.fault(&fault),
        }
        // Whoever applies retention may have gone; the next start removes the files.
        let _ = sender.send(retired);
    }

    /// The log dir has room again.
    pub(crate) fn resume(&self) {
        let after = {
            let mut core = self.core();
            if !core.replica.is_suspended() {
                return;
            }
            core.add_chores([Chore::Resume]);
            self.route(&mut core, Vec::new(), Vec::new())
        };
        self.settle(after);
    }

    /// A clean stop: no request is served from here on, everything is finished and synced. Gives
    /// what the next start may take for granted.
    ///
    /// # Errors
    /// When the disk refuses, now or earlier: then this was no clean stop.
    pub(crate) async fn close(&self) -> Result<LogImage, StoreFault> {
        // What waits for room has it, perhaps, and nobody will say so any more.
        self.resume();
        let view = self.view();
        let (sender, closed) = oneshot::channel();
        let now = self.now();
        let after = {
            let mut core = self.core();
            // No metadata that are still on their way can make it a leader again.
            let event = Event::BecomeFollower(Followership {
                leader: NodeId::NONE,
                leader_epoch: view.leader_epoch,
                partition_epoch: i32::MAX,
                is_in_sync: false,
            });
            core.is_closed = true;
            core.add_chores([Chore::Close(sender)]);
            self.decide(&mut core, now, event)
        };
        self.settle(after);
        closed.await.unwrap_or_else(|_| Err(self.offline()))?;
        Ok(self.with_log(strandline_log::Log::image))
    }

    pub(super) async fn close_files(&self) -> Result<(), StoreFault> {
        let _files = self.files.lock().await;
        let plan = {
            let mut core = self.core();
            let log = core.replica.log();
            if log.is_faulted() || log.written_end() < log.log_end() {
                return Err(self.offline());
            }
            core.replica.plan_close()
        };
        let upto = plan.sync.as_ref().map(|sync| sync.upto);
        self.store().close(plan).await?;
        if let Some(upto) = upto {
            self.step(Event::Synced { upto });
        }
        Ok(())
    }

    pub(super) fn offline(&self) -> StoreFault {
        StoreFault::Offline { path: self.store().path() }
    }
}
