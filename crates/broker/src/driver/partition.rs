//! The shell around one partition.
//!
//! Under the partition's lock runs only the core's step, never a system call. What a step asks for
//! goes into a queue; whoever finds the *append token* free takes it, writes everything admitted so
//! far in one vectored append, feeds the outcome back, and answers by ticket. Readers look at a
//! published [`View`] and never take the lock.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::task::{Context, Waker};

use strandline_log::{Admission, Deletion, EpochStart, Log, LogConfig, SyncPlan};
use strandline_ports::{Clock, Lane, Spawn};
use strandline_replica::{
    DeleteRefusal, Effect, Event, FollowRefusal, IsrAnswer, IsrMember, Leadership, NextFetch,
    ProduceAnswer, ProduceRefusal, Replica, ReplicaConfig, Ticket, View,
};
use strandline_store::{PartitionStore, StoreFault};
use strandline_types::{LeaderEpoch, NodeId, Now, Offset, TopicIdPartition, TopicPartition};
use strandline_wire::records::InspectedBatch;
use tokio::sync::{mpsc, oneshot};

use super::fetchers::Inbox;
use super::throttles::Throttles;
use crate::dirs::DirIndex;
use crate::metrics::{Metrics, Traffic};

mod append;
mod cleaned;
mod follow;
mod moved;
mod read;
#[cfg(test)]
mod tests;
mod throttled;
mod upkeep;
mod waiters;

pub(crate) use append::{Deleting, Ordered};
pub(crate) use follow::FollowerFetch;
pub(crate) use moved::{Arrival, Arrived};
pub(crate) use read::{FetchRead, FetchRefusal, ReadAt};
pub(crate) use upkeep::RetiredSegments;
pub(crate) use waiters::{FetchWaiter, Subscription};

/// What the partitions of one node share.
pub(crate) struct PartitionContext {
    pub(crate) node: NodeId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spawn: Arc<dyn Spawn>,
    /// Proposals for another ISR; the answer comes back by [`Partition::isr_answered`].
    pub(crate) isr_proposals: mpsc::UnboundedSender<IsrProposal>,
    pub(crate) checkpoints: mpsc::UnboundedSender<CheckpointWanted>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) throttles: Throttles,
}

/// An AlterPartition to be sent to the controller.
#[derive(Debug)]
pub(crate) struct IsrProposal {
    pub(crate) partition: TopicIdPartition,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: i32,
    pub(crate) in_sync: Vec<IsrMember>,
    /// Whether it has more or fewer members than the one that holds.
    pub(crate) change: Ordering,
}

/// The checkpoints of a directory are to be written, because a partition will go back behind what
/// they say, or is about to be at home there.
#[derive(Debug)]
pub(crate) struct CheckpointWanted {
    pub(crate) dir: DirIndex,
    pub(crate) written: oneshot::Sender<Result<(), StoreFault>>,
}

/// One partition on this node.
pub(crate) struct Partition {
    me: Weak<Self>,
    name: TopicPartition,
    id: TopicIdPartition,
    context: Arc<PartitionContext>,
    core: Mutex<Core>,
    shown: RwLock<Shown>,
    waiters: waiters::Waiters,
    traffic: Traffic,
    throttled: throttled::Throttled,
    /// Held by a sync and by whoever takes files away: a file must not be opened for a sync just
    /// when it goes.
    files: tokio::sync::Mutex<()>,
}

/// What is looked at without the core's lock.
struct Shown {
    view: View,
    home: Home,
    /// The directory that a copy of the files is being made in.
    moves_to: Option<DirIndex>,
}

/// Where a partition lies. It may move to another directory (KIP-113).
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) dir: DirIndex,
    pub(crate) store: Arc<PartitionStore>,
}

/// What the lock guards.
struct Core {
    replica: Replica,
    work: VecDeque<Work>,
    token_is_taken: bool,
    next_ticket: u64,
    produces: BTreeMap<Ticket, oneshot::Sender<Result<ProduceAnswer, ProduceRefusal>>>,
    deletes: BTreeMap<Ticket, oneshot::Sender<Result<Offset, DeleteRefusal>>>,
    /// Who applies retention right now.
    retaining: Option<oneshot::Sender<RetiredSegments>>,
    /// The end of the log is being cut off right now: the result would know nothing of a deletion.
    is_cutting: bool,
    /// A cleaned segment takes the place of others right now, with all that they held.
    is_swapping: bool,
    cleaning: cleaned::CleaningState,
    /// Nothing may be written any more: its files are finished, and deleted perhaps.
    is_closed: bool,
    /// Ends and sizes of the appends that the high watermark has not passed.
    uncommitted: VecDeque<(Offset, u32)>,
    /// Who fetches for this partition, and whether it last saw that it has to wait.
    fetcher: Option<Arc<Inbox>>,
    is_busy: bool,
}

/// What the holder of the append token does, in order.
#[expect(clippy::large_enum_variant, reason = "appends are the rule: a box each would cost")]
enum Work {
    Append(Admission, Vec<InspectedBatch>),
    Chore(Box<Chore>),
}

/// What has its place among the appends, and is rare.
enum Chore {
    WriteEpochs(Vec<EpochStart>),
    Delete(Deletion, oneshot::Sender<RetiredSegments>),
    /// Cut off what the leader does not have.
    Cut,
    /// The rest of the way into another directory.
    Move(Box<Arrival>, oneshot::Sender<Result<Arrived, StoreFault>>),
    /// Go on after a full disk.
    Resume,
    Close(oneshot::Sender<Result<(), StoreFault>>),
}

/// An answer and who waits for it.
type Due<T> = (oneshot::Sender<T>, T);

/// What is left to do after a step, outside the lock.
#[derive(Default)]
struct Aftermath {
    takes_token: bool,
    sync: Option<SyncPlan>,
    produces: Vec<Due<Result<ProduceAnswer, ProduceRefusal>>>,
    deletes: Vec<Due<Result<Offset, DeleteRefusal>>>,
    gained: waiters::Gained,
    /// Somebody who waits for this partition to be asked about again.
    fetcher: Option<Arc<Inbox>>,
    refused: Option<FollowRefusal>,
}

impl Partition {
    /// A partition whose files are loaded. It serves nothing until the metadata make it a leader.
    pub(crate) fn new(
        context: Arc<PartitionContext>,
        name: TopicPartition,
        id: TopicIdPartition,
        home: Home,
        log: Log,
        config: ReplicaConfig,
        checkpointed_high_watermark: Offset,
    ) -> Arc<Self> {
        let replica = Replica::new(context.node, config, log, checkpointed_high_watermark);
        let shown = RwLock::new(Shown { view: replica.view(), home, moves_to: None });
        let core = Core {
            replica,
            work: VecDeque::new(),
            token_is_taken: false,
            next_ticket: 0,
            produces: BTreeMap::new(),
            deletes: BTreeMap::new(),
            retaining: None,
            is_cutting: false,
            is_swapping: false,
            cleaning: cleaned::CleaningState::default(),
            is_closed: false,
            uncommitted: VecDeque::new(),
            fetcher: None,
            is_busy: false,
        };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            name,
            id,
            context,
            core: Mutex::new(core),
            shown,
            waiters: waiters::Waiters::default(),
            traffic: Traffic::default(),
            throttled: throttled::Throttled::default(),
            files: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn name(&self) -> &TopicPartition {
        &self.name
    }

    pub(crate) fn id(&self) -> TopicIdPartition {
        self.id
    }

    /// What went in and out of this partition since it was opened.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(crate) fn store(&self) -> Arc<PartitionStore> {
        self.home().store
    }

    pub(crate) fn home(&self) -> Home {
        self.shown().home.clone()
    }

    /// The directory that it lies in.
    pub(crate) fn dir(&self) -> DirIndex {
        self.shown().home.dir
    }

    /// Whether checkpoints of this directory speak of it: those of one that it moves to, too.
    pub(crate) fn is_checkpointed_in(&self, dir: DirIndex) -> bool {
        let shown = self.shown();
        shown.home.dir == dir || shown.moves_to == Some(dir)
    }

    fn shown(&self) -> RwLockReadGuard<'_, Shown> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown_mut(&self) -> RwLockWriteGuard<'_, Shown> {
        self.shown.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers may see now.
    pub(crate) fn view(&self) -> View {
        self.shown().view
    }

    /// Looks at the log itself, which may be ahead of what readers see.
    pub(crate) fn with_log<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(self.core().replica.log())
    }

    /// The ISR, while this node leads.
    pub(crate) fn in_sync(&self) -> Vec<NodeId> {
        self.core().replica.in_sync().to_vec()
    }

    pub(crate) fn become_leader(&self, leadership: Leadership) {
        self.step(Event::BecomeLeader(leadership));
    }

    pub(crate) fn configure(&self, replica: ReplicaConfig, log: Arc<LogConfig>) {
        self.step(Event::Configured { replica, log });
    }

    pub(crate) fn isr_answered(&self, proposed: Ordering, answer: IsrAnswer) {
        let is_taken = matches!(answer, IsrAnswer::Committed { .. });
        self.context.metrics.replication.isr_proposal_answered(proposed, is_taken);
        self.step(Event::IsrAnswered(answer));
    }

    /// The log dir failed: nothing of the partition can be trusted until the next start.
    pub(crate) fn take_offline(&self) {
        self.core().work.retain(
            |work| matches!(work, Work::Chore(chore) if matches!(**chore, Chore::Close(_))),
        );
        self.step(Event::Faulted);
    }

    /// Feeds the core an event that brings no batches, and does what follows.
    fn step(&self, event: Event<'_>) {
        let now = self.now();
        let aftermath = self.decide(&mut self.core(), now, event);
        self.settle(aftermath);
    }

    /// The locked part of a step.
    fn decide(&self, core: &mut Core, now: Now, event: Event<'_>) -> Aftermath {
        let mut effects = Vec::new();
        core.replica.step(now, event, &mut effects);
        self.route(core, effects, Vec::new())
    }

    /// Sorts effects into what the token's holder does in order and what is done at once, and
    /// publishes what readers may see.
    fn route(
        &self,
        core: &mut Core,
        effects: Vec<Effect>,
        mut batches: Vec<InspectedBatch>,
    ) -> Aftermath {
        let mut after = Aftermath::default();
        for effect in effects {
            match effect {
                Effect::Append(admission) => {
                    self.count_append(&admission);
                    let end = admission.appended.next_offset;
                    core.uncommitted.push_back((end, admission.size_bytes));
                    let mut batches = std::mem::take(&mut batches);
                    if admission.stamps.is_empty() {
                        // Of what was fetched the core may take the beginning only.
                        let mut left = admission.size_bytes;
                        batches.retain(|batch| {
                            let rest = left.checked_sub(batch.facts.size_bytes);
                            left = rest.unwrap_or(0);
                            rest.is_some()
                        });
                    }
                    core.work.push_back(Work::Append(admission, batches));
                }
                Effect::Cut(_) => core.add_chores([Chore::Cut]),
                Effect::RefuseFetched(refusal) => after.refused = Some(refusal),
                Effect::LogStartRaised(raised) => {
                    core.add_chores(raised.epochs.map(Chore::WriteEpochs));
                }
                Effect::Delete(deletion) => {
                    let sender = core.retaining.take().expect("only `retain` applies retention");
                    core.add_chores([Chore::Delete(deletion, sender)]);
                }
                Effect::Sync(plan) => after.sync = Some(plan),
                Effect::Answer { ticket, answer } => {
                    let waiting = core.produces.remove(&ticket);
                    after.produces.extend(waiting.map(|sender| (sender, answer)));
                }
                Effect::AnswerDelete { ticket, answer } => {
                    let waiting = core.deletes.remove(&ticket);
                    after.deletes.extend(waiting.map(|sender| (sender, answer)));
                }
                Effect::AlterIsr { leader_epoch, partition_epoch, in_sync } => {
                    let change = in_sync.len().cmp(&core.replica.in_sync().len());
                    // Without a receiver the node is stopping.
                    let _ = self.context.isr_proposals.send(IsrProposal {
                        partition: self.id,
                        leader_epoch,
                        partition_epoch,
                        in_sync,
                        change,
                    });
                }
            }
        }
        after.gained = self.publish(core);
        if let Some(fetcher) = &core.fetcher {
            let is_busy = core.replica.next_fetch() == NextFetch::Busy;
            if std::mem::replace(&mut core.is_busy, is_busy) && !is_busy {
                after.fetcher = Some(Arc::clone(fetcher));
            }
        }
        if !core.work.is_empty() && !core.token_is_taken {
            core.token_is_taken = true;
            after.takes_token = true;
        }
        after
    }

    /// Publishing happens under the core's lock, or an older view could overwrite a newer one.
    fn publish(&self, core: &mut Core) -> waiters::Gained {
        let view = core.replica.view();
        let before = std::mem::replace(&mut self.shown_mut().view, view);
        if before == view {
            return waiters::Gained::default();
        }
        let mut committed_bytes = 0;
        while let Some(&(end, size_bytes)) = core.uncommitted.front() {
            if end > view.high_watermark {
                break;
            }
            committed_bytes += i64::from(size_bytes);
            core.uncommitted.pop_front();
        }
        waiters::Gained::between(&before, &view, committed_bytes)
    }

    /// The unlocked part of a step.
    fn settle(&self, after: Aftermath) {
        self.waiters.wake(&after.gained);
        for (sender, answer) in after.produces {
            // Whoever asked may have gone.
            let _ = sender.send(answer);
        }
        for (sender, answer) in after.deletes {
            let _ = sender.send(answer);
        }
        let Some(me) = self.me.upgrade() else { return };
        if let Some(fetcher) = after.fetcher {
            fetcher.push(Arc::clone(&me));
        }
        if let Some(plan) = after.sync {
            Arc::clone(&me).detach(Arc::clone(&me).sync(plan));
        }
        if after.takes_token {
            Arc::clone(&me).detach(me.drain());
        }
    }

    /// Runs work that must end even if its caller goes away: at once as far as it does not have to
    /// wait, then as a task of its own.
    fn detach(self: Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        // Whatever wakes it before the task first runs is seen by that first run.
        let mut nobody = Context::from_waker(Waker::noop());
        if work.as_mut().poll(&mut nobody).is_pending() {
            self.context.spawn.spawn(Lane::Data, work);
        }
    }

    /// What clients wrote; copies were counted where they were written.
    fn count_append(&self, admission: &Admission) {
        if admission.stamps.is_empty() {
            return;
        }
        let appended = &admission.appended;
        let records = appended.next_offset.get() - appended.base_offset.get();
        for traffic in [&self.traffic, &self.context.metrics.traffic] {
            traffic.messages_in.add(records as u64);
            traffic.bytes_in.add(admission.size_bytes.into());
        }
    }

    async fn sync(self: Arc<Self>, plan: SyncPlan) {
        let synced = {
            let _files = self.files.lock().await;
            let began = self.now().instant;
            let synced = self.store().sync(&plan).await;
            let ended = self.now().instant;
            self.context.metrics.flushes.flushed(ended, ended.since(began));
            synced
        };
        match synced {
            Ok(()) => self.step(Event::Synced { upto: plan.upto }),
            Err(fault) => self.fault(&fault),
        }
    }

    /// The partition is of no use until the next start.
    fn fault(&self, fault: &StoreFault) {
        tracing::error!(partition = %self.name, %fault, "partition is offline");
        self.take_offline();
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.context.clock.now()
    }
}

impl Core {
    fn add_chores(&mut self, chores: impl IntoIterator<Item = Chore>) {
        self.work.extend(chores.into_iter().map(|chore| Work::Chore(Box::new(chore))));
    }

    fn new_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }
}
