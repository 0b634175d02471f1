//! Makes this node hold what the metadata say it holds: opens, creates, leads, reconfigures and
//! deletes partitions, image by image. An image is published to clients once this is done.

mod log_config;
mod open;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_config::{BrokerConfig, ProducerSettings, ReplicationSettings, TopicConfig};
use strandline_log::LogConfig;
use strandline_metadata::image::{
    Cluster, ConfigResource, LeaderRecoveryState, Partition as PartitionImage, PartitionDelta,
    ResourceType, Topic,
};
use strandline_metadata::{Delta, Image};
use strandline_ports::{Lane, World, random_uuid};
use strandline_replica::{FollowerChange, Followership, IsrMember, Leadership, ReplicaConfig};
use strandline_store::format::names::PartitionDir;
use strandline_store::format::offset_checkpoint::Offsets;
use strandline_store::{FoundPartition, StoreFault};
use strandline_types::{BrokerEpoch, NodeId, PartitionId, TopicIdPartition, TopicPartition, Uuid};
use tokio::sync::{mpsc, oneshot};

use super::assignments::Assignment;
use super::fetchers::Fetchers;
use super::moves::Moves;
use super::partition::{CheckpointWanted, Home, IsrProposal, Partition, PartitionContext};
use super::quorum::metadata_partition;
use crate::dirs::{DirIndex, Dirs};
use crate::partitions::{Held, Partitions};
use log_config::log_config;
use open::{DirCheckpoints, Opened, Opener, Opening};

/// Partitions that are opened at the same time.
const OPENING_MAX: usize = 16;

/// Settings that partitions take from the broker rather than from their topic.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaSettings {
    pub(crate) topic_defaults: Arc<TopicConfig>,
    pub(crate) lag_time_max: Duration,
    pub(crate) producers: ProducerSettings,
    pub(crate) replication: ReplicationSettings,
}

/// `replica.lag.time.max.ms`.
pub(crate) fn lag_time_max(config: &BrokerConfig) -> Duration {
    Duration::from_millis(config.replication.lag_time_max_ms.max(1) as u64)
}

impl ReplicaSettings {
    pub(crate) fn of(config: &BrokerConfig) -> Self {
        Self {
            topic_defaults: Arc::clone(&config.topic_defaults),
            lag_time_max: lag_time_max(config),
            producers: config.producers.clone(),
            replication: config.replication.clone(),
        }
    }

    fn default_log_config(&self) -> Arc<LogConfig> {
        Arc::new(log_config(&self.topic_defaults, &self.producers))
    }
}

/// By name. One that was moved while a directory was away lies in several.
type Found = BTreeMap<String, Vec<(DirIndex, FoundPartition)>>;

/// What was found in the directories at start, waiting for the metadata to claim it.
#[derive(Default)]
pub(crate) struct FoundOnDisk {
    partitions: Found,
    checkpoints: BTreeMap<DirIndex, DirCheckpoints>,
}

/// See the module text.
pub(crate) struct Replicas {
    world: World,
    node_id: NodeId,
    dirs: Arc<Dirs>,
    partitions: Partitions,
    context: Arc<PartitionContext>,
    settings: ReplicaSettings,
    default_log_config: Arc<LogConfig>,
    /// All topics inherit from other defaults than those that were applied to them.
    defaults_changed: bool,
    assignments: mpsc::UnboundedSender<Assignment>,
    fetchers: Fetchers,
    moves: Moves,
    opener: Opener,
    /// What no metadata have claimed yet.
    found: Found,
    /// What there was no room for.
    waiting: BTreeMap<TopicIdPartition, Opening>,
    /// Checkpoints that are to speak of deleted partitions no more.
    forgetting: Vec<oneshot::Receiver<Result<(), StoreFault>>>,
    applied: Image,
}

/// How many partitions each directory holds, or is about to.
type DirLoad = BTreeMap<DirIndex, usize>;

impl FoundOnDisk {
    pub(crate) fn add(
        &mut self,
        dir: DirIndex,
        partitions: Vec<FoundPartition>,
        [recovery_points, log_starts, high_watermarks, cleaned]: [Offsets; 4],
    ) {
        let checkpoints = DirCheckpoints { recovery_points, log_starts, high_watermarks, cleaned };
        self.checkpoints.insert(dir, checkpoints);
        for found in partitions {
            self.partitions.entry(found.name.clone()).or_default().push((dir, found));
        }
    }
}

impl Replicas {
    pub(crate) fn new(
        world: World,
        dirs: Arc<Dirs>,
        partitions: Partitions,
        context: Arc<PartitionContext>,
        settings: ReplicaSettings,
        found: FoundOnDisk,
        (assignments, fetchers, moves): (mpsc::UnboundedSender<Assignment>, Fetchers, Moves),
    ) -> Self {
        let FoundOnDisk { partitions: found, checkpoints } = found;
        let opener = Opener {
            world: world.clone(),
            dirs: Arc::clone(&dirs),
            checkpoints: Arc::new(checkpoints),
        };
        Self {
            world,
            node_id: context.node,
            dirs,
            partitions,
            context,
            default_log_config: settings.default_log_config(),
            settings,
            defaults_changed: false,
            assignments,
            fetchers,
            moves,
            opener,
            found,
            waiting: BTreeMap::new(),
            forgetting: Vec::new(),
            applied: Image::default(),
        }
    }

    /// The image that the partitions were last brought to.
    pub(crate) fn applied(&self) -> &Image {
        &self.applied
    }

    /// What holds from the next image on.
    pub(crate) fn set_defaults(&mut self, settings: ReplicaSettings) {
        self.default_log_config = settings.default_log_config();
        self.context.throttles.set_limits(&settings.replication);
        self.settings = settings;
        self.defaults_changed = true;
    }

    /// From now on the logs may be written: see [`Fetchers::begin`].
    pub(crate) fn begin_to_follow(&mut self) {
        self.fetchers.begin();
    }

    /// Brings the partitions from the last image to this one.
    pub(crate) async fn apply(&mut self, image: &Image) {
        let delta = Delta::between(&self.applied, image);
        let mut openings = VecDeque::new();
        let mut load = None;
        let mut configs = BTreeMap::new();
        let mut left = BTreeSet::new();
        if !delta.brokers.is_empty() {
            self.fetchers.update_endpoints(&image.cluster);
        }
        for change in delta.partitions {
            let id = TopicIdPartition { topic_id: change.topic.id, partition: change.partition };
            let PartitionDelta { topic, partition, after, .. } = change;
            let mine = after.filter(|after| after.replicas.contains(&self.node_id));
            match (mine, self.partitions.get(id)) {
                (Some(assigned), Some(held)) => {
                    self.assign(&held.partition, &assigned, &image.cluster);
                }
                // What failed once is tried again at the next start, or when there is room.
                (Some(_), None) if self.partitions.is_offline(id) => {}
                (Some(assigned), None) => {
                    let (config, log_config) = configs
                        .entry(topic.id)
                        .or_insert_with(|| self.configs_of(image, &topic.name))
                        .clone();
                    let load = load.get_or_insert_with(|| self.dir_load());
                    let config = (config, log_config);
                    match self.opening(topic, partition, assigned, config, load).await {
                        Some(opening) => openings.push_back(opening),
                        None => self.partitions.set_offline(id),
                    }
                }
                (None, Some(held)) => {
                    left.insert(held.partition.dir());
                    self.delete(id).await;
                }
                (None, None) => {
                    self.partitions.forget_offline(id);
                    self.waiting.remove(&id);
                }
            }
        }
        self.forget_checkpoints(left);
        if !openings.is_empty() {
            self.checkpoints_forgotten().await;
        }
        self.open_all(openings, &image.cluster).await;
        self.tell_of_brokers(image, &delta.brokers);
        match std::mem::take(&mut self.defaults_changed) {
            true => image.topics.iter().for_each(|topic| self.reconfigure(image, topic)),
            false => {
                let topics =
                    delta.configs.iter().filter(|it| it.resource_type == ResourceType::TOPIC);
                let there_are = topics.filter_map(|it| image.topics.by_name(&it.name));
                there_are.for_each(|topic| self.reconfigure(image, topic));
            }
        }
        if self.fetchers.set_per_leader(self.settings.replication.fetchers_per_leader) {
            self.share_out(image);
        }
        self.applied = image.clone();
    }

    /// Gives every partition that follows to the fetcher whose it is now.
    fn share_out(&mut self, image: &Image) {
        for Held { partition, .. } in self.partitions.all() {
            let id = partition.id();
            let assigned = image.topics.partition(id.topic_id, id.partition);
            if let Some(assigned) = assigned.filter(|it| it.leader != self.node_id) {
                partition.set_fetcher(self.fetchers.of(assigned.leader, id, &image.cluster));
            }
        }
    }

    /// Puts aside what lies in the directories and no metadata know. Call it after the first image.
    /// What cannot be put aside stays where it is, for the next start to try.
    pub(crate) async fn set_strays_aside(&mut self) {
        for (name, strays) in std::mem::take(&mut self.found) {
            for (dir, found) in strays {
                if let Err(fault) = self.set_aside(&name, dir, &found.kind).await {
                    tracing::error!(partition = name, %fault, "cannot put a stray partition aside");
                }
            }
        }
    }

    async fn set_aside(
        &self,
        name: &str,
        dir: DirIndex,
        kind: &PartitionDir,
    ) -> Result<(), StoreFault> {
        let log_dir = &self.dirs.get(dir).log;
        match kind {
            PartitionDir::Future(partition) => {
                let topic = self.applied.topics.by_name(&partition.topic);
                let id = topic.map(|topic| TopicIdPartition {
                    topic_id: topic.id,
                    partition: partition.partition,
                });
                // What is nobody's copy is a person's business.
                let Some(held) = id.and_then(|id| self.partitions.get(id)) else { return Ok(()) };
                log_dir.remove_dir(&log_dir.path().join(name)).await?;
                self.moves.request(&held.partition, dir);
            }
            PartitionDir::Live(partition) if *partition != metadata_partition() => {
                let config = Arc::clone(&self.default_log_config);
                let options = self.opener.load_options(dir, partition, config);
                let (store, _) = log_dir.load_partition(name, options).await?;
                let unique = random_uuid(&*self.world.entropy);
                let to = store.set_aside(partition, unique).await?;
                let to = to.display();
                tracing::warn!(%partition, %to, "no metadata know this partition: put aside");
            }
            PartitionDir::Deleted => log_dir.remove_dir(&log_dir.path().join(name)).await?,
            // A person's business, or the quorum's.
            PartitionDir::Live(_) | PartitionDir::Stray => {}
        }
        Ok(())
    }

    async fn opening(
        &mut self,
        topic: Arc<Topic>,
        partition: PartitionId,
        assigned: Arc<PartitionImage>,
        (config, log_config): (Arc<TopicConfig>, Arc<LogConfig>),
        load: &mut DirLoad,
    ) -> Option<Opening> {
        let name = TopicPartition { topic: topic.name.to_string(), partition };
        let preferred = self.moves.take_preference(&name);
        let (dir, found) = match self.claim(&name.to_string(), topic.id, &assigned).await {
            Some((dir, found)) => (dir, Some(found)),
            None if was_being_moved(&self.found, &name) && !self.may_begin_anew(&assigned) => {
                tracing::error!(
                    partition = %name,
                    "only a copy of it in the making is here, and what it was made of is not: it stays offline until that log directory is back"
                );
                return None;
            }
            None => (self.dir_for(&assigned, preferred, load)?, None),
        };
        *load.entry(dir).or_default() += 1;
        Some(Opening { topic, partition, assigned, config, log_config, dir, found })
    }

    /// Whether a replica that was being moved, and lies nowhere, has lost its disk for good: no
    /// directory waits to be mended, and others have all that is in it.
    fn may_begin_anew(&self, assigned: &PartitionImage) -> bool {
        let all_usable = self.dirs.log_dirs().all(|(_, dir)| dir.is_usable());
        all_usable && assigned.isr.iter().any(|member| *member != self.node_id)
    }

    /// What lies on disk for a partition. Of several, the one in the directory that the controller
    /// knows of, or else of this topic; the others are strays.
    async fn claim(
        &mut self,
        name: &str,
        topic_id: Uuid,
        assigned: &PartitionImage,
    ) -> Option<(DirIndex, FoundPartition)> {
        let mut candidates = self.found.remove(name)?;
        let mut chosen = None;
        if candidates.len() > 1 {
            let named = assigned.directory(self.node_id).and_then(|id| self.dirs.by_id(id));
            chosen = candidates.iter().position(|(dir, _)| Some(*dir) == named);
            for (index, (dir, found)) in candidates.iter().enumerate() {
                let id = self.dirs.get(*dir).log.topic_id_of(&found.name).await;
                if chosen.is_none() && id.is_ok_and(|id| id == Some(topic_id)) {
                    chosen = Some(index);
                }
            }
        }
        let claimed = candidates.remove(chosen.unwrap_or(0));
        if !candidates.is_empty() {
            self.found.insert(name.to_owned(), candidates);
        }
        Some(claimed)
    }

    /// Where to begin a partition that lies nowhere: in the directory that the controller named, or
    /// the one that a person named, or the one with the fewest partitions of those that are not
    /// cordoned; what a person sends to a broker that is cordoned as a whole has to lie somewhere.
    /// Nowhere, if it may lie in a directory that has failed: an empty log must not take the place of
    /// that one.
    fn dir_for(
        &self,
        assigned: &PartitionImage,
        preferred: Option<DirIndex>,
        load: &DirLoad,
    ) -> Option<DirIndex> {
        let is_usable = |dir: &DirIndex| self.dirs.get(*dir).is_usable();
        let unassigned = [Uuid::ZERO, Uuid::ONE];
        let named = assigned.directory(self.node_id).filter(|id| !unassigned.contains(id));
        if let Some(dir) = named.and_then(|id| self.dirs.by_id(id)) {
            return Some(dir).filter(is_usable);
        }
        let was_there_at_start = self.applied.offset.is_none();
        let has_failed_dir = self.dirs.offline().next().is_some();
        if has_failed_dir && (named.is_some() || was_there_at_start) {
            return None;
        }
        if let Some(dir) = preferred.filter(is_usable) {
            return Some(dir);
        }
        let usable = load.iter().filter(|(dir, _)| is_usable(dir));
        usable
            .min_by_key(|(dir, held)| (self.dirs.get(**dir).is_cordoned(), **held))
            .map(|(dir, _)| *dir)
    }

    fn dir_load(&self) -> DirLoad {
        let mut load: DirLoad = self.dirs.log_dirs().map(|(dir, _)| (dir, 0)).collect();
        for held in self.partitions.all() {
            *load.entry(held.partition.dir()).or_default() += 1;
        }
        load
    }

    /// There is room again: opens what had none. True when there was any.
    pub(crate) async fn open_waiting(&mut self) -> bool {
        let image = self.applied.clone();
        let mut openings = VecDeque::new();
        for (id, mut opening) in std::mem::take(&mut self.waiting) {
            let topic = image.topics.get(id.topic_id);
            let Some((topic, now)) = topic.and_then(|it| Some((it, it.partition(id.partition)?)))
            else {
                continue;
            };
            if !self.partitions.is_offline(id) {
                continue;
            }
            opening.assigned = Arc::clone(now);
            (opening.config, opening.log_config) = self.configs_of(&image, &topic.name);
            openings.push_back(opening);
        }
        let is_any = !openings.is_empty();
        self.open_all(openings, &image.cluster).await;
        is_any
    }

    async fn open_all(&mut self, openings: VecDeque<Opening>, cluster: &Cluster) {
        let workers = OPENING_MAX.min(openings.len());
        let shared = Arc::new(Mutex::new(openings));
        let (opened_in, mut opened) = mpsc::unbounded_channel();
        for _ in 0..workers {
            let (queue, out) = (Arc::clone(&shared), opened_in.clone());
            let worker = open_queued(self.opener.clone(), queue, out);
            self.world.spawn.spawn(Lane::Data, Box::pin(worker));
        }
        drop(opened_in);
        while let Some(outcome) = opened.recv().await {
            match outcome {
                Ok(opened) => {
                    self.partitions.forget_offline(opened.opening.id());
                    self.hold(opened, cluster);
                }
                Err((opening, fault)) => {
                    let (partition, id) = (opening.name(), opening.id());
                    tracing::error!(%partition, %fault, "cannot open a partition");
                    self.partitions.set_offline(id);
                    if fault.is_full() {
                        self.waiting.insert(id, opening);
                    }
                }
            }
        }
    }

    fn hold(&mut self, opened: Opened, cluster: &Cluster) {
        let Opened { opening, store, log, high_watermark, cleaned_upto } = opened;
        let (name, id) = (opening.name(), opening.id());
        let Opening { assigned, config, dir, .. } = opening;
        if let Some(lies_in) = self.dirs.get(dir).id
            && assigned.directory(self.node_id) != Some(lies_in)
        {
            // Without a receiver the node is stopping.
            let _ =
                self.assignments.send(Assignment { partition: id, directory: lies_in, told: None });
        }
        let partition = Partition::new(
            Arc::clone(&self.context),
            name,
            id,
            Home { dir, store },
            log,
            self.replica_config(&config),
            high_watermark,
        );
        if let Some(upto) = cleaned_upto {
            partition.set_cleaned_upto(upto);
        }
        self.throttle(&partition, &config);
        self.partitions.insert(Held { partition: Arc::clone(&partition), config });
        self.assign(&partition, &assigned, cluster);
    }

    fn assign(&mut self, partition: &Partition, assigned: &PartitionImage, cluster: &Cluster) {
        partition.set_added(assigned.adding_replicas.contains(&self.node_id));
        if assigned.leader == self.node_id {
            partition.become_leader(Leadership {
                leader_epoch: assigned.leader_epoch,
                partition_epoch: assigned.partition_epoch,
                replicas: assigned.replicas.clone(),
                in_sync: assigned.isr.clone(),
            });
            partition.set_fetcher(None);
            for &follower in assigned.replicas.iter().filter(|&&it| it != self.node_id) {
                tell_of_broker(partition, follower, assigned, cluster);
            }
            if assigned.leader_recovery_state == LeaderRecoveryState::Recovering {
                self.end_recovery(partition.id(), assigned);
            }
        } else {
            let followership = Followership {
                leader: assigned.leader,
                leader_epoch: assigned.leader_epoch,
                partition_epoch: assigned.partition_epoch,
                is_in_sync: assigned.isr.contains(&self.node_id),
            };
            let fetcher = self.fetchers.of(assigned.leader, partition.id(), cluster);
            partition.become_follower(followership, fetcher);
        }
    }

    /// Leaders must know which of their followers live, and which may join the ISR.
    fn tell_of_brokers(&self, image: &Image, changed: &[NodeId]) {
        let others: Vec<NodeId> =
            changed.iter().copied().filter(|&broker| broker != self.node_id).collect();
        if others.is_empty() {
            return;
        }
        for Held { partition, .. } in self.partitions.all() {
            let id = partition.id();
            let assigned = image.topics.partition(id.topic_id, id.partition);
            if let Some(assigned) = assigned.filter(|_| partition.view().is_leader) {
                for &other in &others {
                    tell_of_broker(&partition, other, assigned, &image.cluster);
                }
            }
        }
    }

    /// An unclean election made this node the leader. Whatever it holds is the log from here on, and
    /// until the controller knows that, it lets nobody else into the ISR (KIP-704).
    fn end_recovery(&self, partition: TopicIdPartition, assigned: &PartitionImage) {
        let in_sync = assigned.isr.iter().map(|&node| {
            // Nobody but the leader is in the ISR of such a partition, and the request names its
            // incarnation already.
            IsrMember { node, broker_epoch: BrokerEpoch::NONE }
        });
        // Without a receiver the node is stopping.
        let _ = self.context.isr_proposals.send(IsrProposal {
            partition,
            leader_epoch: assigned.leader_epoch,
            partition_epoch: assigned.partition_epoch,
            in_sync: in_sync.collect(),
            change: Ordering::Equal,
        });
    }

    /// Gone for clients at once; its files a little later.
    async fn delete(&self, id: TopicIdPartition) {
        let Some(held) = self.partitions.remove(id) else { return };
        let closed = held.partition.close().await;
        held.partition.set_fetcher(None);
        self.moves.forget(id);
        match closed {
            // A move that was under way has arrived before the files were closed.
            Ok(_) => {
                delete_files(&self.world, &self.dirs, &held).await;
            }
            Err(fault) => {
                let partition = held.partition.name();
                tracing::error!(%partition, %fault, "cannot delete a partition");
            }
        }
    }

    /// Has the checkpoints written of directories that partitions have left.
    fn forget_checkpoints(&mut self, left: BTreeSet<DirIndex>) {
        for dir in left {
            let (written, forgotten) = oneshot::channel();
            // Without a receiver the node is stopping.
            let _ = self.context.checkpoints.send(CheckpointWanted { dir, written });
            self.forgetting.push(forgotten);
        }
    }

    /// A partition that is made under the name of a deleted one must not be taken for it by the next
    /// start: a log that ends before the start of the deleted one would be thrown away.
    async fn checkpoints_forgotten(&mut self) {
        for forgotten in self.forgetting.drain(..) {
            if let Ok(Err(fault)) = forgotten.await {
                tracing::warn!(%fault, "checkpoints speak of deleted partitions still");
            }
        }
    }

    fn reconfigure(&self, image: &Image, topic: &Topic) {
        let (config, log_config) = self.configs_of(image, &topic.name);
        for (partition, _) in topic.partitions.iter() {
            let id = TopicIdPartition { topic_id: topic.id, partition: *partition };
            let Some(held) = self.partitions.get(id) else { continue };
            held.partition.configure(self.replica_config(&config), Arc::clone(&log_config));
            self.throttle(&held.partition, &config);
            self.partitions.insert(Held { config: Arc::clone(&config), ..held });
        }
    }

    fn throttle(&self, partition: &Partition, config: &TopicConfig) {
        let (index, me) = (partition.id().partition, self.node_id);
        let as_leader = config.leader_throttled.contains(index, me);
        partition.set_throttled(as_leader, config.follower_throttled.contains(index, me));
    }

    fn configs_of(&self, image: &Image, topic: &str) -> (Arc<TopicConfig>, Arc<LogConfig>) {
        let overrides = image.configs.overrides(&ConfigResource::topic(topic));
        let defaults = &self.settings.topic_defaults;
        let config = TopicConfig::resolve(overrides, defaults);
        let log_config = match Arc::ptr_eq(&config, defaults) {
            true => Arc::clone(&self.default_log_config),
            false => Arc::new(log_config(&config, &self.settings.producers)),
        };
        (config, log_config)
    }

    fn replica_config(&self, config: &TopicConfig) -> ReplicaConfig {
        ReplicaConfig {
            min_in_sync_replicas: config.min_insync_replicas.max(1) as u32,
            lag_time_max: self.settings.lag_time_max,
        }
    }
}

/// A copy in the making is here, and what it was made of is not: that lies in a directory that has
/// failed or was replaced, whatever the metadata were told of where it would be.
fn was_being_moved(found: &Found, partition: &TopicPartition) -> bool {
    let copies = format!("{partition}.");
    // Another topic's name may begin like that, too.
    let is_copy = |(_, found): &(DirIndex, FoundPartition)| matches!(&found.kind, PartitionDir::Future(of) if of == partition);
    let named_so = found.range(copies.clone()..).take_while(|(name, _)| name.starts_with(&copies));
    named_so.flat_map(|(_, found)| found).any(is_copy)
}

/// Files that are no partition any more are out of the way at once, and go a little later.
async fn delete_files(world: &World, dirs: &Arc<Dirs>, held: &Held) {
    let partition = held.partition.name();
    let Home { dir, store } = held.partition.home();
    match store.set_deleted(partition, random_uuid(&*world.entropy)).await {
        Ok(path) => remove_later(world, dirs, (dir, path), held),
        Err(fault) => tracing::error!(%partition, %fault, "cannot delete a partition"),
    }
}

/// Removes a directory that is no partition's any more, after `file.delete.delay.ms`.
pub(super) fn remove_later(
    world: &World,
    dirs: &Arc<Dirs>,
    (dir, path): (DirIndex, PathBuf),
    held: &Held,
) {
    let wait = Duration::from_millis(held.config.file_delete_delay_ms.max(0) as u64);
    let (clock, dirs) = (Arc::clone(&world.clock), Arc::clone(dirs));
    world.spawn.spawn(
        Lane::Data,
        Box::pin(async move {
            clock.sleep(wait).await;
            if let Err(fault) = dirs.get(dir).log.remove_dir(&path).await {
                tracing::error!(path = %path.display(), %fault, "cannot remove a deleted partition");
            }
        }),
    );
}

fn tell_of_broker(
    partition: &Partition,
    follower: NodeId,
    assigned: &PartitionImage,
    cluster: &Cluster,
) {
    let is_alive = cluster.broker(follower).is_some_and(|broker| !broker.is_fenced());
    let may_join_isr = cluster.may_join_isr(assigned, follower);
    partition.follower_changed(FollowerChange { follower, is_alive, may_join_isr });
}

/// Opens partitions until the queue is empty. One that cannot be opened is not served, and nobody
/// else is held up by it.
async fn open_queued(
    opener: Opener,
    queue: Arc<Mutex<VecDeque<Opening>>>,
    out: mpsc::UnboundedSender<Result<Opened, (Opening, StoreFault)>>,
) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(opening) = next else { return };
        // The receiver waits for all of them.
        let _ = out.send(opener.open(opening).await);
    }
}

#[cfg(test)]
mod tests;
