//! Scenarios: one broker, a handful of clients, and what goes wrong, all drawn from one seed.

use std::fmt;
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
use crate::members::{GroupPlan, Troupe};
use crate::net::{NetFaults, Network};
use crate::node::{Crash, Node, NodeId};
use crate::oracle::{PartitionKey, Promise, Violation};
use crate::process::{BROKER_PORT, BrokerProcess, Status};
use crate::rng::Rng;
use crate::workload::{Field, Producer, ProducerPlan, Reader, topic_name};

/// A broker that takes longer to do what it has to do is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for the longest scenario: 1 hour of virtual time.
const SCENARIO_MAX: Duration = Duration::from_secs(3600);

/// After `flush.ms` a sync must begin, and end.
const FLUSH_SLACK: Duration = Duration::from_secs(1);
/// One broken invariant often breaks others after it.
const VIOLATIONS_SHOWN: usize = 10;
/// Checkpoints must come to be within a scenario, whose minutes are seconds.
const CHECKPOINT_INTERVALS: [&str; 3] = [
    "log.flush.offset.checkpoint.interval.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "replica.high.watermark.checkpoint.interval.ms",
];

/// What goes wrong in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    ProcessCrash,
    PowerLoss,
    CleanStop,
    /// The machine is switched off after a clean stop.
    CleanStopThenPowerLoss,
    /// The process dies, and before it has recovered the machine does.
    ProcessCrashThenPowerLoss,
    DiskFull,
    DeviceErrors,
    Resets,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::ProcessCrash,
        Self::PowerLoss,
        Self::CleanStop,
        Self::CleanStopThenPowerLoss,
        Self::ProcessCrashThenPowerLoss,
        Self::DiskFull,
        Self::DeviceErrors,
        Self::Resets,
    ];
}

/// How a scenario went.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub violations: Vec<Violation>,
    pub fingerprint: u64,
    pub faults: Vec<Fault>,
    pub acked: u64,
    pub read: u64,
    pub steps: u64,
    pub virtual_time: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, acked, read, steps, virtual_time, faults, .. } = self;
        write!(f, "seed {seed}: {acked} acked, {read} read, {steps} steps, ")?;
        write!(f, "{:.1} s, {faults:?}", virtual_time.as_secs_f64())?;
        let shown = self.violations.iter().take(VIOLATIONS_SHOWN);
        shown.into_iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

struct TopicPlan {
    partitions: i32,
    promise: Promise,
    configs: Vec<(&'static str, String)>,
}

impl TopicPlan {
    fn draw(rng: &mut Rng, syncs_each_message: bool) -> Self {
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
        Self { partitions: rng.between(1, 2) as i32, promise, configs }
    }
}

struct GroupsPlan {
    groups: Vec<GroupPlan>,
    /// Commits are synced before they are acked.
    syncs_each_commit: bool,
}

impl GroupsPlan {
    fn draw(rng: &mut Rng) -> Self {
        let count = rng.below(3) as usize;
        let groups = (0..count).map(|index| GroupPlan::draw(rng, index)).collect();
        Self { groups, syncs_each_commit: rng.one_in(2) }
    }

    fn settings(&self, rng: &mut Rng) -> Vec<(&'static str, String)> {
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

/// Lives one seed's scenario from beginning to end.
pub fn run(seed: u64) -> Outcome {
    let sim = Sim::new(seed);
    run_in(&sim, seed)
}

/// As [`run`], in a simulation that was prepared, for example to record its trace.
pub fn run_in(sim: &Sim, seed: u64) -> Outcome {
    let network = Network::new(NetFaults::CALM);
    let mut rng = sim.draw(Rng::split);
    let groups = GroupsPlan::draw(&mut rng);
    let mut settings = groups.settings(&mut rng);
    settings.push(("log.flush.scheduler.interval.ms", "200".to_owned()));
    for checkpoint in CHECKPOINT_INTERVALS {
        settings.push((checkpoint, rng.between(100, 5_000).to_string()));
    }
    let broker = BrokerProcess::new(sim, Node::new(sim, &network, NodeId(0)), &settings);
    let world = Node::new(sim, &network, NodeId(1)).world();
    let calm = DiskFaults {
        late_one_in: [0, 0, 2, 10][rng.below(4) as usize],
        sync_max: Duration::from_micros([1, 500, 20_000][rng.below(3) as usize]),
        cold_one_in: [0, 3, 50][rng.below(3) as usize],
        ..DiskFaults::default()
    };
    broker.node().disk.set_faults(calm);
    let field = Arc::new(Field::default());
    let stage = Stage {
        sim: sim.clone(),
        network,
        broker,
        auditor: Auditor::new(&field, &world),
        world,
        calm,
        field: Arc::clone(&field),
        groups,
        members: Vec::new(),
        rng,
    };
    let faults = sim.run(SCENARIO_MAX, stage.play());
    let oracle = field.oracle();
    Outcome {
        seed,
        violations: oracle.violations().to_vec(),
        fingerprint: sim.fingerprint(),
        faults,
        acked: oracle.acked,
        read: oracle.read,
        steps: sim.steps(),
        virtual_time: Duration::from_nanos(sim.now().as_nanos()),
    }
}

/// Everything that a scenario moves.
struct Stage {
    sim: Sim,
    network: Network,
    broker: Arc<BrokerProcess>,
    world: World,
    calm: DiskFaults,
    field: Arc<Field>,
    groups: GroupsPlan,
    /// How many members of each group run.
    members: Vec<Arc<AtomicUsize>>,
    auditor: Auditor,
    rng: Rng,
}

impl Stage {
    async fn play(mut self) -> Vec<Fault> {
        let topics = [TopicPlan::draw(&mut self.rng, true), TopicPlan::draw(&mut self.rng, false)];
        let mut faults = Vec::new();
        if !self.start().await {
            return faults;
        }
        let Some(ids) = self.create(&topics).await else { return faults };
        let keys = keys(&topics);
        self.populate(&topics, &keys);
        self.gather();
        for _ in 0..self.rng.between(1, 4) {
            let fault = Fault::ALL[self.rng.below(Fault::ALL.len() as u64) as usize];
            self.sim.note(&format!("fault: {fault:?}"));
            faults.push(fault);
            let survived = self.suffer(fault, &topics, &keys).await;
            if !survived || !self.field.oracle().violations().is_empty() {
                return faults;
            }
        }
        self.serves_everybody(&keys).await;
        self.field.is_calm.store(true, Relaxed);
        self.readers_are_woken(&topics, &keys).await;
        self.groups_move_on(&keys).await;
        self.field.is_over.store(true, Relaxed);
        self.read_all(&topics, &keys, false).await;
        self.check_groups().await;
        self.check_topics(&ids).await;
        self.broker.stop();
        if self.within(self.broker.ended()).await.is_none() {
            self.stuck("a clean stop does not end");
        }
        faults
    }

    fn stuck(&self, what: &str) {
        let detail = format!("{what}: {:?}", self.broker.status());
        self.field.oracle().violate("WORLD-10", detail);
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let deadline = self.world.clock.now().instant + PATIENCE;
        timeout(&*self.world.clock, deadline, work).await.ok()
    }

    async fn sleep(&self, wait: Duration) {
        self.world.clock.sleep(wait).await;
    }

    /// Starts the broker until it serves; false when it cannot.
    async fn start(&self) -> bool {
        self.field.starts.fetch_add(1, Relaxed);
        self.broker.start();
        match self.within(self.broker.settled()).await {
            Some(Status::Serving(_)) => true,
            _ => {
                self.stuck("the broker does not start");
                false
            }
        }
    }

    async fn create(&mut self, topics: &[TopicPlan]) -> Option<Vec<Uuid>> {
        let creatable = topics.iter().enumerate().map(|(index, plan)| CreatableTopic {
            name: topic_name(index),
            num_partitions: plan.partitions,
            replication_factor: 1,
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
        let mut client = Client::new(self.world.clone(), BROKER_PORT, "admin");
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

    fn populate(&mut self, topics: &[TopicPlan], keys: &[PartitionKey]) {
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
                    window: self.rng.between(1, 5) as usize,
                    batch_records_max: self.rng.between(1, 8),
                    padding_max: [10, 300, 3_000][self.rng.below(3) as usize],
                    pause_max: Duration::from_millis(self.rng.between(10, 300)),
                };
                let producer = Producer::new(&self.field, &self.world, self.rng.split(), plan);
                self.sim.spawn(NodeId(1), Box::pin(producer.run()));
            }
            let reader = self.reader(topics, key);
            self.sim.spawn(NodeId(1), Box::pin(reader.run()));
        }
    }

    /// Begins the groups, a handful of machines each.
    fn gather(&mut self) {
        for (index, plan) in self.groups.groups.clone().into_iter().enumerate() {
            self.field.oracle().begin_group(&plan.name, self.groups.syncs_each_commit);
            let first = 10 * (index as u32 + 1);
            let last = first + self.rng.between(1, 3) as u32;
            let nodes = (first..=last).map(|id| Node::new(&self.sim, &self.network, NodeId(id)));
            let (nodes, rng) = (nodes.collect(), self.rng.split());
            let troupe = Troupe::new(&self.sim, &self.field, &self.world, rng, plan, nodes);
            self.members.push(troupe.living());
            self.sim.spawn(NodeId(1), Box::pin(troupe.run()));
        }
    }

    fn reader(&mut self, topics: &[TopicPlan], key: PartitionKey) -> Reader {
        let may_lose = topics[key.topic].promise != Promise::All;
        Reader::new(&self.field, &self.world, self.rng.split(), key, may_lose)
    }

    /// One fault, and back to a broker that serves; false when that fails.
    async fn suffer(&mut self, fault: Fault, topics: &[TopicPlan], keys: &[PartitionKey]) -> bool {
        match fault {
            Fault::ProcessCrash => self.crash_soon(Crash::Process).await,
            Fault::PowerLoss => self.crash_soon(Crash::Power).await,
            Fault::CleanStop | Fault::CleanStopThenPowerLoss => {
                self.some_time().await;
                self.broker.stop();
                match self.within(self.broker.ended()).await {
                    Some(Status::Stopped) => self.field.oracle().stopped(),
                    _ => {
                        self.stuck("no clean stop");
                        return false;
                    }
                }
                let crash = match fault {
                    Fault::CleanStop => Crash::Process,
                    // Everything was synced: nothing is lost, whatever the topic.
                    _ => Crash::Power,
                };
                self.broker.crash(crash);
            }
            Fault::ProcessCrashThenPowerLoss => {
                self.crash_soon(Crash::Process).await;
                self.field.starts.fetch_add(1, Relaxed);
                self.broker.start();
                self.crash_within(400, Crash::Power).await;
            }
            Fault::DiskFull => return self.fill_disk(topics, keys).await,
            Fault::DeviceErrors => {
                let one_in = self.rng.between(5, 300);
                self.broker
                    .node()
                    .disk
                    .set_faults(DiskFaults { error_one_in: one_in, ..self.calm });
                let clock = Arc::clone(&self.world.clock);
                let over = clock.now().instant + Duration::from_secs(5);
                let ended = timeout(&*clock, over, self.broker.ended()).await;
                self.broker.node().disk.set_faults(self.calm);
                if ended.is_err() {
                    self.broker.crash(Crash::Process);
                }
            }
            Fault::Resets => {
                let reset_one_in = self.rng.between(5, 200);
                self.network.set_faults(NetFaults { reset_one_in, ..NetFaults::CALM });
                self.some_time().await;
                self.some_time().await;
                self.network.set_faults(NetFaults::CALM);
                return true;
            }
        }
        self.restart(topics, keys).await
    }

    async fn restart(&mut self, topics: &[TopicPlan], keys: &[PartitionKey]) -> bool {
        if !self.start().await {
            return false;
        }
        let was_closed = !*self.field.gate.borrow();
        if was_closed {
            self.read_all(topics, keys, true).await;
            self.field.gate.send_replace(true);
        }
        true
    }

    async fn some_time(&mut self) {
        let millis = self.rng.between(1, 3_000);
        self.sleep(Duration::from_millis(millis)).await;
    }

    async fn crash_soon(&mut self, crash: Crash) {
        if self.rng.one_in(2) {
            self.some_time().await;
        }
        self.crash_within(3_000, crash).await;
    }

    /// Crashes at one of the next so many steps of the simulation, whatever they are.
    async fn crash_within(&mut self, steps: u64, crash: Crash) {
        let steps = self.rng.between(1, steps);
        let (broker, field) = (Arc::clone(&self.broker), Arc::clone(&self.field));
        let sim = self.sim.clone();
        self.sim.after_steps(steps, move || {
            field.oracle().crashed(sim.now());
            if crash == Crash::Power {
                field.power_lost();
            }
            broker.crash(crash);
        });
        self.broker.ended().await;
    }

    /// The disk has a little room left, for some time; then it has more.
    async fn fill_disk(&mut self, topics: &[TopicPlan], keys: &[PartitionKey]) -> bool {
        let used_bytes = self.broker.node().disk.used_bytes();
        let capacity_bytes = used_bytes + self.rng.between(1, 100_000);
        self.broker.node().disk.set_faults(DiskFaults { capacity_bytes, ..self.calm });
        self.some_time().await;
        self.some_time().await;
        self.broker.node().disk.set_faults(self.calm);
        if matches!(self.broker.status(), Status::Serving(_)) {
            return true;
        }
        self.restart(topics, keys).await
    }

    /// Every partition takes records again: whoever produces to it gets an ack.
    async fn serves_everybody(&mut self, keys: &[PartitionKey]) {
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
    async fn readers_are_woken(&mut self, topics: &[TopicPlan], keys: &[PartitionKey]) {
        for &key in keys {
            let mut reader = self.reader(topics, key);
            let woken = async {
                while reader.wait_for_more(2 * PATIENCE).await.is_err() {
                    self.sleep(Duration::from_millis(50)).await;
                }
            };
            if self.within(woken).await.is_none() {
                self.stuck(&format!("nobody is told what comes to {key:?}"));
            }
        }
    }

    /// Every group commits what was acked so far.
    async fn groups_move_on(&mut self, keys: &[PartitionKey]) {
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
                self.stuck(&format!("{} stays at {commits:?}, not {targets:?}", plan.name));
            }
        }
    }

    /// When all members have left, the coordinator and the log agree with what they were told.
    async fn check_groups(&self) {
        if self.groups.groups.is_empty() {
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
    async fn read_all(&mut self, topics: &[TopicPlan], keys: &[PartitionKey], after_loss: bool) {
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
                    clock.sleep(Duration::from_millis(50)).await;
                }
                while reader.look_up_times().await.is_err() {
                    clock.sleep(Duration::from_millis(50)).await;
                }
            };
            if self.within(reading).await.is_none() {
                return self.stuck(&format!("{key:?} cannot be read"));
            }
        }
    }

    async fn check_topics(&self, ids: &[Uuid]) {
        let mut client = Client::new(self.world.clone(), BROKER_PORT, "admin");
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

fn keys(topics: &[TopicPlan]) -> Vec<PartitionKey> {
    let of_topic = |(topic, plan): (usize, &TopicPlan)| {
        (0..plan.partitions).map(move |index| PartitionKey { topic, index })
    };
    topics.iter().enumerate().flat_map(of_topic).collect()
}
