//! The shell around group coordination: one shard for each partition of `__consumer_offsets` that
//! this node leads.
//!
//! Under a shard's lock a request is decided and its records get their places in the log, so that
//! the log has the order of the decisions. Answers are released in that order too, each once
//! everything decided before it has committed.

mod load;
mod shard;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use strandline_config::BrokerConfig;
use strandline_coordinator::{
    Caller, GroupListing, Input, Request, Response, Settings, Ticket, partition_of,
};
use strandline_metadata::{Delta, Image};
use strandline_ports::watch;
use strandline_ports::{Lane, World};
use strandline_types::{Compression, ErrorCode, Instant, LeaderEpoch, NodeId, TopicIdPartition};
use strandline_wire::messages::list_groups_response::ListedGroup;
use tokio::sync::Notify;

use crate::internal_topics::CONSUMER_OFFSETS;
use crate::partitions::Partitions;
use shard::ShardDriver;

/// What request handlers hold of the group coordinators. Clones share them.
#[derive(Clone)]
pub(crate) struct Groups(Arc<Shared>);

/// What all shards share.
struct Shared {
    world: World,
    node: NodeId,
    partitions: Partitions,
    image: watch::Receiver<Arc<Image>>,
    settings: Settings,
    compression: Compression,
    /// `offsets.commit.timeout.ms`
    commit_timeout: Duration,
    shards: RwLock<BTreeMap<TopicIdPartition, Arc<ShardDriver>>>,
    /// When each shard's next timer is due.
    alarms: Mutex<BTreeMap<TopicIdPartition, Instant>>,
    /// An alarm was set earlier than all others.
    rung: Notify,
    next_ticket: AtomicU64,
}

impl Groups {
    /// Starts coordinating what the images say that this node leads.
    pub(crate) fn start(
        world: &World,
        config: &BrokerConfig,
        partitions: Partitions,
        image: watch::Receiver<Arc<Image>>,
    ) -> Self {
        let groups = Self::new(world, config, partitions, image.clone());
        world.spawn.spawn(Lane::Data, Box::pin(groups.clone().follow(image)));
        world.spawn.spawn(Lane::Data, Box::pin(timers::run(groups.clone())));
        groups
    }

    /// Coordinates nothing until it is made to follow the images.
    pub(crate) fn new(
        world: &World,
        config: &BrokerConfig,
        partitions: Partitions,
        image: watch::Receiver<Arc<Image>>,
    ) -> Self {
        let codec = i16::try_from(config.offsets.compression_codec).ok();
        Self(Arc::new(Shared {
            world: world.clone(),
            node: config.node_id,
            partitions,
            image,
            settings: settings(config),
            compression: codec.and_then(Compression::from_attributes).unwrap_or_default(),
            commit_timeout: millis(config.offsets.commit_timeout_ms),
            shards: RwLock::default(),
            alarms: Mutex::default(),
            rung: Notify::new(),
            next_ticket: AtomicU64::new(0),
        }))
    }

    /// The partition of `__consumer_offsets` that coordinates a group; `None` before that topic
    /// exists.
    pub(crate) fn partition_of(&self, group_id: &str) -> Option<TopicIdPartition> {
        let image = self.0.image.borrow();
        let topic = image.topics.by_name(CONSUMER_OFFSETS)?;
        let count = i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)?;
        Some(TopicIdPartition { topic_id: topic.id, partition: partition_of(group_id, count) })
    }

    /// Has a request decided by the group's coordinator, and waits for the answer.
    ///
    /// # Errors
    /// The code to answer with when the coordinator is not here, is loading, or could not write.
    pub(crate) async fn ask<R>(
        &self,
        group_id: &str,
        caller: Caller,
        request: Request,
    ) -> Result<R, ErrorCode>
    where
        R: TryFrom<Response, Error = Response>,
    {
        let shard = self.partition_of(group_id).and_then(|id| self.shard(id));
        let shard = shard.ok_or(ErrorCode::NOT_COORDINATOR)?;
        shard.submit(caller, request).await.map(expected)
    }

    /// The groups of all shards on this node.
    ///
    /// # Errors
    /// While one of them is loading: the list would not be whole.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        listing: &GroupListing,
    ) -> Result<Vec<ListedGroup>, ErrorCode> {
        let shards: Vec<_> = self.0.shards().values().cloned().collect();
        let mut groups = Vec::new();
        for shard in shards {
            let request = Request::ListGroups(listing.clone());
            match shard.submit(caller.clone(), request).await {
                Ok(listed) => groups.extend(expected::<Vec<ListedGroup>>(listed)),
                // It has just moved elsewhere.
                Err(ErrorCode::NOT_COORDINATOR) => {}
                Err(code) => return Err(code),
            }
        }
        Ok(groups)
    }

    fn shard(&self, id: TopicIdPartition) -> Option<Arc<ShardDriver>> {
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
            if *change.topic.name != *CONSUMER_OFFSETS {
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
        let deleted = delta.deleted_topics.iter().map(|topic| (topic.name.to_string(), topic.id));
        let deleted: Vec<_> = deleted.collect();
        if deleted.is_empty() {
            return;
        }
        let shards: Vec<_> = self.0.shards().values().cloned().collect();
        for shard in shards {
            shard.tell(Input::TopicsDeleted(deleted.clone()));
        }
    }

    /// False when the partition is not here.
    fn lead(&self, id: TopicIdPartition, epoch: LeaderEpoch) -> bool {
        if self.shard(id).is_some_and(|shard| shard.leader_epoch() == epoch) {
            return true;
        }
        self.resign(id);
        let Some(held) = self.0.partitions.get(id) else { return false };
        let settings = self.0.settings.clone();
        let shard = ShardDriver::new(self.clone(), held.partition, epoch, settings);
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

impl Shared {
    fn shards(&self) -> RwLockReadGuard<'_, BTreeMap<TopicIdPartition, Arc<ShardDriver>>> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }
}

fn expected<R: TryFrom<Response, Error = Response>>(response: Response) -> R {
    R::try_from(response)
        .unwrap_or_else(|other| unreachable!("a coordinator gave {other:?} to another request"))
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn settings(config: &BrokerConfig) -> Settings {
    let (groups, offsets) = (&config.groups, &config.offsets);
    Settings {
        initial_rebalance_delay: millis(groups.initial_rebalance_delay_ms),
        session_timeout_min_ms: groups.min_session_timeout_ms,
        session_timeout_max_ms: groups.max_session_timeout_ms,
        group_size_max: usize::try_from(groups.max_size).unwrap_or(0),
        offset_metadata_max_units: usize::try_from(offsets.metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: i64::from(offsets.retention_minutes) * 60_000,
        retention_check_interval: Duration::from_millis(
            u64::try_from(offsets.retention_check_interval_ms).unwrap_or(0),
        ),
    }
}
