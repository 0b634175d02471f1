//! Everybody of a scenario but the brokers: producers, readers and groups, and those who look at the
//! end whether all is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use strandline_ports::{Clock, World, timeout};
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use strandline_wire::messages::{CreateTopicsRequest, MetadataRequest};

use crate::audit::Auditor;
use crate::client::Client;
use crate::disk::DiskFaults;
use crate::executor::Sim;
use crate::members::GroupPlan;
use crate::net::Network;
use crate::node::{Node, NodeId};
use crate::oracle::{PartitionKey, Promise};
use crate::process::{BrokerProcess, Status};
use crate::rng::Rng;
use crate::troupe::Troupe;
use crate::workload::{Field, Producer, ProducerPlan, Reader, topic_name};

/// A broker that takes longer to do what it has to do is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// After `flush.ms` a sync must begin, and end.
const FLUSH_SLACK: Duration = Duration::from_secs(1);

/// A topic of a scenario.
pub(crate) struct TopicPlan {
    partitions: i32,
    replication_factor: i16,
    pub(crate) promise: Promise,
    configs: Vec<(&'static str, String)>,
}

impl TopicPlan {
    /// A topic with a copy on so many brokers: what most of them have is safe without a sync.
    pub(crate) fn replicated(rng: &mut Rng, replication_factor: i16, is_synced: bool) -> Self {
        let is_synced = is_synced || rng.one_in(4);
        let plan = Self::draw(rng, is_synced);
        Self { replication_factor, promise: Promise::All, ..plan }
    }

    /// What was acked may be lost, if only a replica lives that was behind.
    pub(crate) fn allow_unclean_elections(&mut self) {
        self.promise = Promise::UntilUnclean;
        self.configs.push(("unclean.leader.election.enable", "true".into()));
    }

    /// What the chain copies may be cleaned, where no two records have the same key: then what goes
    /// is what was aborted, and the markers.
    pub(crate) fn of_copies(mut self, rng: &mut Rng) -> Self {
        if rng.one_in(2) {
            self.configs.extend([
                ("cleanup.policy", "compact".into()),
                ("min.cleanable.dirty.ratio", "0.01".into()),
                ("delete.retention.ms", rng.between(0, 3_000).to_string()),
            ]);
        }
        self
    }

    pub(crate) fn is_compacted(&self) -> bool {
        self.configs.iter().any(|(name, _)| *name == "cleanup.policy")
    }

    pub(crate) fn draw(rng: &mut Rng, syncs_each_message: bool) -> Self {
        let mut configs = vec![
            ("segment.ms", rng.between(1, 5_000).to_string()),
            ("index.interval.bytes", rng.between(0, 4_096).to_string()),
        ];
        let unsynced_messages = if syncs_each_message { 1 } else { i64::MAX };
        configs.push(("flush.messages", unsynced_messages.to_string()));
        let mut promise = if syncs_each_message { Promise::All } else { Promise::Nothing };
        if !syncs_each_message && rng.one_in(3) {
            let flush_ms = rng.between(1, 500);
            configs.push(("flush.ms", flush_ms.to_string()));
            promise = Promise::After(Duration::from_millis(flush_ms) + FLUSH_SLACK);
        }
        if rng.one_in(4) {
            configs.push(("preallocate", "true".into()));
        }
        if rng.one_in(4) {
            configs.push(("compression.type", "lz4".into()));
        }
        Self { partitions: rng.between(1, 2) as i32, replication_factor: 1, promise, configs }
    }
}

/// The groups of a scenario.
pub(crate) struct GroupsPlan {
    groups: Vec<GroupPlan>,
    /// Commits are synced before they are acked.
    pub(crate) syncs_each_commit: bool,
}

impl GroupsPlan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let count = rng.below(3) as usize;
        let groups = (0..count).map(|index| GroupPlan::draw(rng, index)).collect();
        Self { groups, syncs_each_commit: rng.one_in(2) }
    }

    /// No groups but the chain, which wants these settings.
    pub(crate) fn make_way(&mut self, rng: &mut Rng, replicas: i16) -> [(&'static str, String); 4] {
        self.groups.clear();
        let majority = replicas / 2 + 1;
        [
            ("transaction.state.log.num.partitions", rng.between(1, 3).to_string()),
            ("transaction.state.log.replication.factor", replicas.to_string()),
            ("transaction.state.log.min.isr", majority.to_string()),
            ("log.cleaner.backoff.ms", rng.between(50, 2_000).to_string()),
        ]
    }

    pub(crate) fn settings(&self, rng: &mut Rng) -> Vec<(&'static str, String)> {
        let delay_ms = [0, 300, 2_000][rng.below(3) as usize];
        let mut settings = vec![
            ("group.initial.rebalance.delay.ms", delay_ms.to_string()),
            ("group.min.session.timeout.ms", "1000".to_owned()),
            ("offsets.topic.num.partitions", rng.between(1, 3).to_string()),
        ];
        if self.syncs_each_commit {
            settings.push(("log.flush.interval.messages", "1".to_owned()));
        }
        settings
    }
}

/// Checkpoints must come to be within a scenario, whose minutes are seconds.
pub(crate) fn checkpoints(rng: &mut Rng) -> [(&'static str, String); 3] {
    [
        "log.flush.offset.checkpoint.interval.ms",
        "log.flush.start.offset.checkpoint.interval.ms",
        "replica.high.watermark.checkpoint.interval.ms",
    ]
    .map(|interval| (interval, rng.between(100, 5_000).to_string()))
}

/// How a disk behaves when nothing is wrong with it.
pub(crate) fn disk_weather(rng: &mut Rng) -> DiskFaults {
    DiskFaults {
        late_one_in: [0, 0, 2, 10][rng.below(4) as usize],
        sync_max: Duration::from_micros([1, 500, 20_000][rng.below(3) as usize]),
        cold_one_in: [0, 3, 50][rng.below(3) as usize],
        ..DiskFaults::default()
    }
}

/// See the module text.
pub(crate) struct Crew {
    pub(crate) sim: Sim,
    pub(crate) network: Network,
    /// The ports of the clients' machine.
    pub(crate) world: World,
    pub(crate) home: NodeId,
    pub(crate) brokers: Vec<Arc<BrokerProcess>>,
    pub(crate) field: Arc<Field>,
    pub(crate) groups: GroupsPlan,
    /// How many members of each group, and of the chain, run.
    pub(crate) members: Vec<Arc<AtomicUsize>>,
    pub(crate) has_chain: bool,
    pub(crate) auditor: Auditor,
    pub(crate) rng: Rng,
}

impl Crew {
    pub(crate) fn new(
        sim: &Sim,
        network: &Network,
        home: &Node,
        brokers: Vec<Arc<BrokerProcess>>,
        field: &Arc<Field>,
        groups: GroupsPlan,
        rng: Rng,
    ) -> Self {
        let world = home.world();
        Self {
            sim: sim.clone(),
            network: network.clone(),
            auditor: Auditor::new(field, &world),
            world,
            home: home.id,
            brokers,
            field: Arc::clone(field),
            groups,
            members: Vec::new(),
            has_chain: false,
            rng,
        }
    }

    /// Nothing goes wrong any more: everything goes on, and nothing is missing. False when something
    /// has stopped: what else may be wrong would only take long to see, as logs grow meanwhile.
    pub(crate) async fn judge(
        &mut self,
        topics: &[TopicPlan],
        keys: &[PartitionKey],
        ids: &[Uuid],
    ) -> bool {
        self.serves_everybody(keys).await;
        self.field.is_calm.store(true, Relaxed);
        if self.is_well() {
            self.readers_are_woken(topics, keys).await;
        }
        if self.is_well() {
            self.groups_move_on(keys).await;
        }
        if self.is_well() && self.has_chain {
            self.chain_moves_on(keys).await;
        }
        if !self.is_well() {
            return false;
        }
        self.field.is_over.store(true, Relaxed);
        self.read_all(topics, keys, false).await;
        self.check_groups().await;
        if self.has_chain {
            self.check_chain().await;
        }
        self.check_topics(ids).await;
        true
    }

    fn is_well(&self) -> bool {
        self.field.oracle().violations().is_empty()
    }

    fn statuses(&self) -> Vec<Status> {
        self.brokers.iter().map(|broker| broker.status()).collect()
    }

    pub(crate) fn stuck(&self, what: &str) {
        let detail = format!("{what}: {:?}", self.statuses());
        self.field.oracle().violate("WORLD-10", detail);
    }

    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let deadline = self.world.clock.now().instant + PATIENCE;
        timeout(&*self.world.clock, deadline, work).await.ok()
    }

    pub(crate) async fn sleep(&self, wait: Duration) {
        self.world.clock.sleep(wait).await;
    }

    pub(crate) async fn some_time(&mut self) {
        let millis = self.rng.between(1, 3_000);
        self.sleep(Duration::from_millis(millis)).await;
    }

    pub(crate) async fn create(&mut self, topics: &[TopicPlan]) -> Option<Vec<Uuid>> {
        let creatable = topics.iter().enumerate().map(|(index, plan)| CreatableTopic {
            name: topic_name(index),
            num_partitions: plan.partitions,
            replication_factor: plan.replication_factor,
            configs: plan
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: (*name).into(),
                    value: Some(value.clone()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        let request = CreateTopicsRequest {
            topics: creatable.collect(),
            timeout_ms: 30_000,
            ..Default::default()
        };
        let mut client = Client::new(self.world.clone(), self.field.port(), "admin");
        let answer = client.ask(&request, 7).await.ok();
        let is_created =
            |topic: &strandline_wire::messages::create_topics_response::CreatableTopicResult| {
                topic.error_code == ErrorCode::NONE
            };
        match answer {
            Some(answer) if answer.topics.iter().all(is_created) => {
                Some(answer.topics.iter().map(|topic| topic.topic_id).collect())
            }
            answer => {
                self.stuck(&format!("topics cannot be created: {answer:?}"));
                None
            }
        }
    }

    pub(crate) fn populate(&mut self, topics: &[TopicPlan], keys: &[PartitionKey]) {
        // Several brokers do everything several times.
        let pace = Duration::from_millis(self.brokers.len() as u64);
        for &key in keys {
            self.field.oracle().begin(key, topics[key.topic].promise);
            for number in 0..self.rng.between(1, 2) {
                let is_idempotent = self.rng.one_in(2);
                // Somebody must be told whether the partition takes records.
                let acks = match is_idempotent || number == 0 {
                    true => -1,
                    false => [-1, 1, 0][self.rng.below(3) as usize],
                };
                let plan = ProducerPlan {
                    key,
                    is_idempotent,
                    acks,
                    is_promised: acks == -1 || self.brokers.len() == 1,
                    window: self.rng.between(1, 5) as usize,
                    batch_records_max: self.rng.between(1, 8),
                    padding_max: [10, 300, 3_000][self.rng.below(3) as usize],
                    pause_max: pace * self.rng.between(10, 300) as u32,
                };
                let producer = Producer::new(&self.field, &self.world, self.rng.split(), plan);
                self.sim.spawn(self.home, Box::pin(producer.run()));
            }
            let reader = self.reader(topics, key);
            self.sim.spawn(self.home, Box::pin(reader.run()));
        }
    }

    /// Begins the groups, a handful of machines each.
    pub(crate) fn gather(&mut self) {
        for (index, plan) in self.groups.groups.clone().into_iter().enumerate() {
            self.field.oracle().begin_group(&plan.name, self.groups.syncs_each_commit);
            let first = 10 * (index as u32 + 1);
            let last = first + self.rng.between(1, 3) as u32;
            let nodes = (first..=last).map(|id| Node::new(&self.sim, &self.network, NodeId(id)));
            let (players, rng) = ((nodes.collect(), plan.program(&self.field)), self.rng.split());
            let troupe =
                Troupe::new(&self.sim, &self.field, &self.world, rng, plan.regime(), players);
            self.members.push(troupe.living());
            self.sim.spawn(self.home, Box::pin(troupe.run()));
        }
    }

    pub(crate) fn reader(&mut self, topics: &[TopicPlan], key: PartitionKey) -> Reader {
        let may_lose = topics[key.topic].promise != Promise::All;
        Reader::new(&self.field, &self.world, self.rng.split(), key, may_lose)
    }

    /// Every partition takes records again: whoever produces to it gets an ack.
    pub(crate) async fn serves_everybody(&mut self, keys: &[PartitionKey]) {
        let before = self.field.oracle().acks_of(keys);
        let (field, clock) = (Arc::clone(&self.field), Arc::clone(&self.world.clock));
        let all_keys = keys.to_vec();
        let all = async move {
            loop {
                let now = field.oracle().acks_of(&all_keys);
                if now.iter().zip(&before).all(|(now, before)| now > before) {
                    return;
                }
                clock.sleep(Duration::from_millis(100)).await;
            }
        };
        if self.within(all).await.is_none() {
            self.stuck("a partition takes no records");
        }
    }

    /// Whoever waits at the end of a partition is told of the next record when it comes.
    pub(crate) async fn readers_are_woken(&mut self, topics: &[TopicPlan], keys: &[PartitionKey]) {
        for &key in keys {
            let mut reader = self.reader(topics, key);
            let woken = async {
                while reader.wait_for_more(2 * PATIENCE).await.is_err() {
                    reader.lost();
                    self.sleep(Duration::from_millis(50)).await;
                }
            };
            if self.within(woken).await.is_none() {
                return self.stuck(&format!("nobody is told what comes to {key:?}"));
            }
        }
    }

    /// Every group commits what was acked so far.
    pub(crate) async fn groups_move_on(&mut self, keys: &[PartitionKey]) {
        let targets = self.field.oracle().acked_ends(keys);
        for plan in &self.groups.groups {
            let reached = async {
                loop {
                    let committed = self.auditor.committed(&plan.name).await.unwrap_or_default();
                    let mut targets =
                        targets.iter().filter(|(key, _)| plan.topics.contains(&key.topic));
                    if targets.all(|(key, end)| committed.get(key).is_some_and(|it| it >= end)) {
                        return;
                    }
                    self.sleep(Duration::from_millis(200)).await;
                }
            };
            if self.within(reached).await.is_none() {
                let commits = self.field.oracle().commits(&plan.name);
                let group = self.auditor.describe(&plan.name).await;
                let detail = format!("{} stays at {commits:?}, not {targets:?}", plan.name);
                self.stuck(&format!("{detail}: {group}"));
            }
        }
    }

    /// When all members have left, the coordinator and the log agree with what they were told.
    pub(crate) async fn check_groups(&self) {
        if self.members.is_empty() {
            return;
        }
        let are_gone = async {
            while self.members.iter().any(|living| living.load(Relaxed) > 0) {
                self.sleep(Duration::from_millis(100)).await;
            }
        };
        if self.within(are_gone).await.is_none() {
            self.stuck("a group is never left");
        }
        for plan in &self.groups.groups {
            if let Err(error) = self.auditor.committed(&plan.name).await {
                self.stuck(&format!("{} has no coordinator: {error}", plan.name));
            }
        }
        if let Err(error) = self.auditor.read_log().await {
            self.stuck(&format!("the log of the groups cannot be read: {error}"));
        }
    }

    /// Reads every partition and holds it against its history.
    pub(crate) async fn read_all(
        &mut self,
        topics: &[TopicPlan],
        keys: &[PartitionKey],
        after_loss: bool,
    ) {
        for &key in keys {
            let mut reader = self.reader(topics, key);
            let clock: Arc<dyn Clock> = Arc::clone(&self.world.clock);
            let field = Arc::clone(&self.field);
            let reading = async move {
                loop {
                    // What is acked from here on need not be in what is read: its answer may
                    // overtake the reader's.
                    let began = clock.now().instant;
                    if let Ok(log) = reader.read_whole().await {
                        let mut oracle = field.oracle();
                        if after_loss {
                            oracle.recovered(key, log.last().map_or(0, |(offset, _)| offset + 1));
                        }
                        oracle.check_whole(key, &log, began);
                        break;
                    }
                    reader.lost();
                    clock.sleep(Duration::from_millis(50)).await;
                }
                while reader.look_up_times().await.is_err() {
                    reader.lost();
                    clock.sleep(Duration::from_millis(50)).await;
                }
            };
            if self.within(reading).await.is_none() {
                return self.stuck(&format!("{key:?} cannot be read"));
            }
        }
    }

    pub(crate) async fn check_topics(&self, ids: &[Uuid]) {
        let mut client = Client::new(self.world.clone(), self.field.port(), "admin");
        let request = MetadataRequest { topics: None, ..Default::default() };
        let Ok(answer) = client.ask(&request, 12).await else {
            return self.stuck("metadata cannot be asked for");
        };
        for (index, id) in ids.iter().enumerate() {
            let name = topic_name(index);
            let found = answer.topics.iter().find(|topic| topic.name.as_ref() == Some(&name));
            if found.map(|topic| topic.topic_id) != Some(*id) {
                let detail = format!("{name} was {id}, is {found:?}");
                self.field.oracle().violate("WORLD-9", detail);
            }
        }
    }
}

/// All partitions of the topics.
pub(crate) fn keys(topics: &[TopicPlan]) -> Vec<PartitionKey> {
    let of_topic = |(topic, plan): (usize, &TopicPlan)| {
        (0..plan.partitions).map(move |index| PartitionKey { topic, index })
    };
    topics.iter().enumerate().flat_map(of_topic).collect()
}
