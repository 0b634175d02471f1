//! The shell around coordinators: one shard for each partition of their topic that this node leads.
//!
//! Under a shard's lock a request is decided and its entries get their places in the log, so that
//! the log has the order of the decisions. Answers are released in that order too, each once
//! everything decided before it has committed.

mod batches;
mod load;
mod shard;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use strandline_coordinator::{Caller, Core, Ticket, partition_of};
use strandline_metadata::{Delta, Image};
use strandline_ports::watch;
use strandline_ports::{Lane, World};
use strandline_types::{Compression, ErrorCode, Instant, LeaderEpoch, NodeId, TopicIdPartition};
use tokio::sync::Notify;

use crate::driver::partition::Partition;
use crate::partitions::Partitions;
pub(crate) use shard::Shard;

/// What the kinds of coordinators differ in, besides their cores.
pub(crate) trait Kind: Sized + Send + Sync + 'static {
    type Core: Core<
            Settings: Clone + Send + Sync,
            Request: Send,
            Response: Send,
            Timer: Send,
            Event: Clone,
            Action: Send,
        > + Send;

    /// Its partitions are the shards.
    const TOPIC: &'static str;

    /// What a change of the metadata tells every shard.
    fn event_of(delta: &Delta) -> Option<Event<Self>>;

    /// Does what a shard has decided, once that has committed.
    fn carry_out(&self, shard: &Arc<Shard<Self>>, action: Action<Self>);
}

type Settings<K> = <<K as Kind>::Core as Core>::Settings;
type Request<K> = <<K as Kind>::Core as Core>::Request;
type Response<K> = <<K as Kind>::Core as Core>::Response;
pub(crate) type Event<K> = <<K as Kind>::Core as Core>::Event;
pub(crate) type Action<K> = <<K as Kind>::Core as Core>::Action;

/// How entries are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writing {
    pub(crate) compression: Compression,
    /// How long answers wait for a commit.
    pub(crate) commit_timeout: Duration,
}

/// What request handlers hold of all coordinators of one kind. Clones share them.
pub(crate) struct Coordinators<K: Kind>(Arc<Shared<K>>);

impl<K: Kind> Clone for Coordinators<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

type Shards<K> = BTreeMap<TopicIdPartition, Arc<Shard<K>>>;

/// What all shards share.
struct Shared<K: Kind> {
    kind: K,
    world: World,
    node: NodeId,
    partitions: Partitions,
    image: watch::Receiver<Arc<Image>>,
    settings: Settings<K>,
    writing: Writing,
    shards: RwLock<Shards<K>>,
    /// When each shard's next timer is due.
    alarms: Mutex<BTreeMap<TopicIdPartition, Instant>>,
    /// An alarm was set earlier than all others.
    rung: Notify,
    next_ticket: AtomicU64,
}

/// Where coordinators live.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) node: NodeId,
    pub(crate) partitions: Partitions,
    pub(crate) image: watch::Receiver<Arc<Image>>,
}

impl Place {
    pub(crate) fn new(
        world: &World,
        node: NodeId,
        partitions: &Partitions,
        image: &watch::Receiver<Arc<Image>>,
    ) -> Self {
        let (world, partitions) = (world.clone(), partitions.clone());
        Self { world, node, partitions, image: image.clone() }
    }
}

impl<K: Kind> Coordinators<K> {
    /// Coordinates nothing until it is started.
    pub(crate) fn new(place: Place, kind: K, settings: Settings<K>, writing: Writing) -> Self {
        let Place { world, node, partitions, image } = place;
        Self(Arc::new(Shared {
            kind,
            world,
            node,
            partitions,
            image,
            settings,
            writing,
            shards: RwLock::default(),
            alarms: Mutex::default(),
            rung: Notify::new(),
            next_ticket: AtomicU64::new(0),
        }))
    }

    /// Coordinates from now on what the images say that this node leads.
    pub(crate) fn start(&self) {
        let spawn = &self.0.world.spawn;
        spawn.spawn(Lane::Data, Box::pin(self.clone().follow(self.0.image.clone())));
        spawn.spawn(Lane::Data, Box::pin(timers::run(self.clone())));
    }

    /// The partition that is responsible for a group or a transactional id; `None` before the topic
    /// exists.
    pub(crate) fn partition_of(&self, key: &str) -> Option<TopicIdPartition> {
        let image = self.0.image.borrow();
        let topic = image.topics.by_name(K::TOPIC)?;
        let count = i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)?;
        Some(TopicIdPartition { topic_id: topic.id, partition: partition_of(key, count) })
    }

    /// Has a request decided by the coordinator that is responsible for the key, and waits for the
    /// answer.
    ///
    /// # Errors
    /// The code to answer with when the coordinator is not here, is loading, or could not write.
    pub(crate) async fn ask<R>(
        &self,
        key: &str,
        caller: Caller,
        request: Request<K>,
    ) -> Result<R, ErrorCode>
    where
        R: TryFrom<Response<K>, Error = Response<K>>,
    {
        let shard = self.partition_of(key).and_then(|id| self.shard(id));
        let shard = shard.ok_or(ErrorCode::NOT_COORDINATOR)?;
        shard.submit(caller, request, |_| Ok(())).await.map(expected)
    }

    /// Has a request decided by one shard, if its log still is as it must be for that. Nothing else
    /// is appended to it between the look and the decision.
    ///
    /// # Errors
    /// As for [`Coordinators::ask`], and what `may_be_decided` says.
    pub(crate) async fn ask_shard<R>(
        &self,
        id: TopicIdPartition,
        caller: Caller,
        request: Request<K>,
        may_be_decided: impl FnOnce(&Partition) -> Result<(), ErrorCode>,
    ) -> Result<R, ErrorCode>
    where
        R: TryFrom<Response<K>, Error = Response<K>>,
    {
        let shard = self.shard(id).ok_or(ErrorCode::NOT_COORDINATOR)?;
        shard.submit(caller, request, may_be_decided).await.map(expected)
    }

    /// Asks all shards on this node the same.
    ///
    /// # Errors
    /// While one of them is loading: what all would say could not be known.
    pub(crate) async fn ask_all<R>(
        &self,
        caller: &Caller,
        request: impl Fn() -> Request<K>,
    ) -> Result<Vec<R>, ErrorCode>
    where
        R: TryFrom<Response<K>, Error = Response<K>>,
    {
        let shards: Vec<_> = self.0.shards().values().cloned().collect();
        let mut answers = Vec::new();
        for shard in shards {
            match shard.submit(caller.clone(), request(), |_| Ok(())).await {
                Ok(answer) => answers.push(expected(answer)),
                // It has just moved elsewhere.
                Err(ErrorCode::NOT_COORDINATOR) => {}
                Err(code) => return Err(code),
            }
        }
        Ok(answers)
    }

    pub(crate) fn kind(&self) -> &K {
        &self.0.kind
    }

    fn shard(&self, id: TopicIdPartition) -> Option<Arc<Shard<K>>> {
        self.0.shards().get(&id).cloned()
    }

    /// Takes shards on and gives them up as the images say.
    async fn follow(self, mut images: watch::Receiver<Arc<Image>>) {
        let mut applied = Arc::new(Image::default());
        let mut missing = BTreeMap::new();
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            self.apply(&applied, &image, &mut missing);
            applied = image;
            if images.changed().await.is_err() {
                return;
            }
        }
    }

    /// What is led and not here yet is `missing`.
    fn apply(
        &self,
        before: &Image,
        after: &Image,
        missing: &mut BTreeMap<TopicIdPartition, LeaderEpoch>,
    ) {
        let delta = Delta::between(before, after);
        for change in &delta.partitions {
            if *change.topic.name != *K::TOPIC {
                continue;
            }
            let id = TopicIdPartition { topic_id: change.topic.id, partition: change.partition };
            match &change.after {
                Some(now) if now.leader == self.0.node => {
                    missing.insert(id, now.leader_epoch);
                }
                _ => {
                    missing.remove(&id);
                    self.resign(id);
                }
            }
        }
        missing.retain(|&id, &mut epoch| !self.lead(id, epoch));
        let Some(event) = K::event_of(&delta) else { return };
        let shards: Vec<_> = self.0.shards().values().cloned().collect();
        for shard in shards {
            shard.tell(event.clone());
        }
    }

    /// False when the partition is not here.
    fn lead(&self, id: TopicIdPartition, epoch: LeaderEpoch) -> bool {
        if self.shard(id).is_some_and(|shard| shard.leader_epoch() == epoch) {
            return true;
        }
        self.resign(id);
        let Some(held) = self.0.partitions.get(id) else { return false };
        let shard = Shard::new(self.clone(), held.partition, epoch);
        self.0
            .shards
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, Arc::clone(&shard));
        self.0.world.spawn.spawn(Lane::Data, Box::pin(shard.load()));
        true
    }

    fn resign(&self, id: TopicIdPartition) {
        let removed = self.0.shards.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(shard) = removed {
            shard.resign();
        }
        self.alarms().remove(&id);
    }

    fn alarms(&self) -> MutexGuard<'_, BTreeMap<TopicIdPartition, Instant>> {
        self.0.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes when a shard's next timer is due.
    fn set_alarm(&self, id: TopicIdPartition, at: Option<Instant>) {
        let mut alarms = self.alarms();
        let earliest = alarms.values().min().copied();
        match at {
            Some(at) => drop(alarms.insert(id, at)),
            None => drop(alarms.remove(&id)),
        }
        if at.is_some_and(|at| earliest.is_none_or(|earliest| at < earliest)) {
            self.0.rung.notify_one();
        }
    }
}

impl<K: Kind> Shared<K> {
    fn shards(&self) -> RwLockReadGuard<'_, Shards<K>> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }
}

fn expected<F: std::fmt::Debug, R: TryFrom<F, Error = F>>(response: F) -> R {
    R::try_from(response)
        .unwrap_or_else(|other| unreachable!("a coordinator gave {other:?} to another request"))
}
