//! Produce: ordered under the lock, written by whoever holds the append token, answered by ticket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::slice;
use std::sync::{Arc, Weak};
use std::task::Poll;

use strandline_log::{Origin, TransactionStart, VerificationGuard};
use strandline_replica::{
    DeleteRefusal, Event, ProduceAnswer, ProduceRefusal, RequiredAcks, Ticket,
};
use strandline_store::{Append, StoreFault};
use strandline_types::{BatchFacts, Now, Offset, ProducerId};
use strandline_wire::records::{InspectedBatch, StampedBatch};
use tokio::sync::oneshot;

use super::{Chore, Partition, Work};

/// So many appends are written before others get their turn.
const ROUNDS_AT_ONCE: u32 = 4;

/// A Produce whose place in the log is decided. The next request of its connection may start.
#[must_use = "the producer waits for the answer"]
pub(crate) struct Ordered(Waiting<Result<ProduceAnswer, ProduceRefusal>>);

/// A DeleteRecords that waits for the low watermark.
#[must_use = "the client waits for the answer"]
pub(crate) struct Deleting(Waiting<Result<Offset, DeleteRefusal>>);

/// Dropped unanswered (the request's time is up, its connection is gone), the core forgets it.
struct Waiting<T> {
    partition: Weak<Partition>,
    ticket: Ticket,
    answer: oneshot::Receiver<T>,
    is_answered: bool,
}

impl<T> Waiting<T> {
    async fn answered(&mut self) -> Option<T> {
        let answer = (&mut self.answer).await.ok();
        self.is_answered = true;
        answer
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if self.is_answered || self.answer.try_recv().is_ok() {
            return;
        }
        if let Some(partition) = self.partition.upgrade() {
            partition.forget(self.ticket);
        }
    }
}

impl Ordered {
    /// What the producer is told, once enough replicas have its records. Data that is not answered
    /// in time stays in the log.
    pub(crate) async fn answered(mut self) -> Result<ProduceAnswer, ProduceRefusal> {
        self.0.answered().await.unwrap_or(Err(ProduceRefusal::Offline))
    }
}

impl Deleting {
    pub(crate) async fn answered(mut self) -> Result<Offset, DeleteRefusal> {
        self.0.answered().await.unwrap_or(Err(DeleteRefusal::Offline))
    }
}

impl Partition {
    /// Admits the batches of one request and has them written. Everything that can be refused at
    /// once is: the answer is then there already.
    pub(crate) fn produce(
        &self,
        now: Now,
        batches: Vec<InspectedBatch>,
        required_acks: RequiredAcks,
        origin: Origin,
    ) -> Ordered {
        let (sender, answer) = oneshot::channel();
        let several: Vec<BatchFacts>;
        let facts = match batches.as_slice() {
            [batch] => slice::from_ref(&batch.facts),
            batches => {
                several = batches.iter().map(|batch| batch.facts.clone()).collect();
                &several
            }
        };
        let (ticket, after) = {
            let mut core = self.core();
            let ticket = core.new_ticket();
            core.produces.insert(ticket, sender);
            let event = Event::Append { ticket, batches: facts, required_acks, origin };
            let mut effects = Vec::new();
            core.replica.step(now, event, &mut effects);
            (ticket, self.route(&mut core, effects, batches))
        };
        self.settle(after);
        let partition = Weak::clone(&self.me);
        Ordered(Waiting { partition, ticket, answer, is_answered: false })
    }

    /// Whether something has its place in the log and may yet be written there.
    pub(crate) fn is_writing(&self) -> bool {
        let core = self.core();
        let log = core.replica.log();
        // What a full disk has refused is taken out again before anything else is written.
        log.written_end() < log.log_end() && !core.replica.is_suspended()
    }

    /// What must be confirmed before a transaction's records are admitted: `None` when nothing must.
    pub(crate) fn begin_verification(
        &self,
        now: Now,
        start: TransactionStart,
        bumps_epoch: bool,
    ) -> Option<VerificationGuard> {
        self.core().replica.begin_verification(now.timestamp, start, bumps_epoch)
    }

    /// The coordinator denies that the partition belongs to the producer's transaction.
    pub(crate) fn verification_refused(&self, producer: ProducerId, guard: VerificationGuard) {
        self.core().replica.verification_refused(producer, guard);
    }

    /// Raises the log start; −1 stands for the high watermark.
    pub(crate) fn delete_records(&self, upto: Offset) -> Deleting {
        let (sender, answer) = oneshot::channel();
        let now = self.now();
        let (ticket, after) = {
            let mut core = self.core();
            let ticket = core.new_ticket();
            core.deletes.insert(ticket, sender);
            let event = Event::DeleteRecords { ticket, upto };
            (ticket, self.decide(&mut core, now, event))
        };
        self.settle(after);
        let partition = Weak::clone(&self.me);
        Deleting(Waiting { partition, ticket, answer, is_answered: false })
    }

    fn forget(&self, ticket: Ticket) {
        {
            let mut core = self.core();
            core.produces.remove(&ticket);
            core.deletes.remove(&ticket);
        }
        self.step(Event::Expired(ticket));
    }

    /// Works off the queue until it is empty, then gives the token back.
    pub(super) async fn drain(self: Arc<Self>) {
        let mut rounds = 0;
        while let Some(work) = self.next_work() {
            rounds += 1;
            if rounds % ROUNDS_AT_ONCE == 0 {
                pause().await;
            }
            match work {
                Next::Append(appends) => self.write(appends).await,
                Next::Chore(chore) => self.do_chore(*chore).await,
            }
        }
    }

    async fn do_chore(&self, chore: Chore) {
        match chore {
            Chore::WriteEpochs(epochs) => {
                if let Err(fault) = self.store().write_epochs(&epochs).await {
                    self.refused(fault).await;
                }
            }
            Chore::Cut => {
                if let Err(fault) = self.cut().await {
                    self.refused(fault).await;
                }
            }
            Chore::Move(arrival, sender) => {
                // Whoever moves it may have gone: then the next start looks again.
                let _ = sender.send(self.arrive(*arrival).await);
            }
            Chore::Resume => self.go_on().await,
            Chore::Delete(deletion, sender) => self.begin_deletion(deletion, sender).await,
            Chore::Close(sender) => {
                let closed = self.close_files().await;
                // Whoever wanted it closed may have gone.
                let _ = sender.send(closed);
            }
        }
    }

    /// Everything admitted so far, or the next chore. Without work the token is free again.
    fn next_work(&self) -> Option<Next> {
        let mut core = self.core();
        let mut appends = Vec::new();
        loop {
            match core.work.pop_front() {
                Some(Work::Append(plan, batches)) => appends.push((plan, batches)),
                Some(chore @ Work::Chore(_)) if !appends.is_empty() => {
                    core.work.push_front(chore);
                    return Some(Next::Append(appends));
                }
                Some(Work::Chore(chore)) => return Some(Next::Chore(chore)),
                None if !appends.is_empty() => return Some(Next::Append(appends)),
                None => {
                    core.token_is_taken = false;
                    core.work = VecDeque::new();
                    return None;
                }
            }
        }
    }

    async fn write(&self, admitted: Vec<Admitted>) {
        let Some(upto) = admitted.last().map(|(plan, _)| plan.appended.next_offset) else { return };
        let appends = admitted.into_iter().map(stamped).collect();
        match self.store().append(appends).await {
            Ok(()) => self.step(Event::Written { upto }),
            Err(fault) => self.refused(fault).await,
        }
    }

    pub(super) async fn refused(&self, fault: StoreFault) {
        if fault.is_full() { self.disk_is_full(&fault).await } else { self.fault(&fault) }
    }

    /// Whatever was written of the last appends is in the log; the rest never was.
    async fn disk_is_full(&self, fault: &StoreFault) {
        let written = self.store().end();
        let now = self.now();
        let (after, refused) = {
            let mut core = self.core();
            let is_first = !core.replica.is_suspended();
            if is_first {
                tracing::error!(partition = %self.name, %fault, "no appends until there is room");
            }
            core.work.retain(|work| !matches!(work, Work::Append(..)));
            let mut after = Vec::new();
            if written > core.replica.log().written_end() {
                let event = Event::Written { upto: written };
                after.push(self.decide(&mut core, now, event));
            }
            let mut effects = Vec::new();
            core.replica.suspend(&mut effects);
            core.uncommitted.retain(|&(end, _)| end <= written);
            after.push(self.route(&mut core, effects, Vec::new()));
            (after, core.replica.log().log_end() > written)
        };
        for after in after {
            self.settle(after);
        }
        if refused
            && let Err(fault) = self.cut_back().await
            && !fault.is_full()
        {
            // A full disk can refuse even this: it is tried again before appends are resumed.
            self.fault(&fault);
        }
    }

    /// Takes appends again after a full disk.
    async fn go_on(&self) {
        let is_whole = self.with_log(|log| log.written_end() == log.log_end());
        let whole = if is_whole { Ok(()) } else { self.cut_back().await };
        let cut = match whole {
            Ok(()) => self.cut().await,
            Err(fault) => Err(fault),
        };
        // The disk may have refused the epochs too.
        let epochs = self.with_log(|log| log.epochs().entries().to_vec());
        let ready = match cut {
            Ok(()) => self.store().write_epochs(&epochs).await,
            Err(fault) => Err(fault),
        };
        match ready {
            Ok(()) => {
                tracing::info!(partition = %self.name, "there is room again");
                let after = {
                    let mut core = self.core();
                    core.replica.resume();
                    // Its fetcher is to ask again.
                    core.is_busy = true;
                    self.route(&mut core, Vec::new(), Vec::new())
                };
                self.settle(after);
            }
            Err(fault) if fault.is_full() => {}
            Err(fault) => self.fault(&fault),
        }
    }

    /// Takes what the disk refused out of the log. Holds the token.
    async fn cut_back(&self) -> Result<(), StoreFault> {
        let _files = self.files.lock().await;
        let snapshots = self.store().snapshots().await?;
        let now = self.now();
        let recovery = {
            let mut core = self.core();
            core.is_cutting = true;
            let log = core.replica.log();
            log.truncate_to(log.written_end(), snapshots, now.timestamp)
        };
        let recovered = self.store().truncate(recovery).await;
        let mut core = self.core();
        core.is_cutting = false;
        core.replica.replace_log(recovered?.log);
        Ok(())
    }
}

/// Lets whatever else runs on this thread have its turn. Whoever drains inside its own request thus
/// hands a queue that never ends to a task.
async fn pause() {
    let mut has_paused = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

type Admitted = (strandline_log::Admission, Vec<InspectedBatch>);

enum Next {
    Append(Vec<Admitted>),
    Chore(Box<Chore>),
}

fn stamped((plan, batches): Admitted) -> Append {
    if plan.stamps.is_empty() {
        return Append { plan, batches: batches.iter().map(InspectedBatch::verbatim).collect() };
    }
    let stamp = |(batch, stamp): (&InspectedBatch, &strandline_log::Stamp)| -> StampedBatch {
        batch.stamp(stamp.base_offset, stamp.leader_epoch, stamp.log_append_time)
    };
    let batches = batches.iter().zip(&plan.stamps).map(stamp).collect();
    Append { plan, batches }
}
