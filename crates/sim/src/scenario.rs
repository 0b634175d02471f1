//! Scenarios: one broker, a handful of clients, and what goes wrong, all drawn from one seed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use strandline_ports::{Clock, World, timeout};
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use strandline_wire::messages::{CreateTopicsRequest, MetadataRequest};

use crate::client::Client;
use crate::disk::DiskFaults;
use crate::executor::Sim;
use crate::net::{NetFaults, Network};
use crate::node::{Crash, Node, NodeId};
use crate::oracle::{PartitionKey, Violation};
use crate::process::{BROKER_PORT, BrokerProcess, Status};
use crate::rng::Rng;
use crate::workload::{Field, Producer, ProducerPlan, Reader, topic_name};

/// A broker that takes longer to do what it has to do is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for the longest scenario: 1 hour of virtual time.
const SCENARIO_MAX: Duration = Duration::from_secs(3600);

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
        self.violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

struct TopicPlan {
    partitions: i32,
    syncs_each_message: bool,
    configs: Vec<(&'static str, String)>,
}

impl TopicPlan {
    fn draw(rng: &mut Rng, syncs_each_message: bool) -> Self {
        let mut configs = vec![
            ("segment.ms", rng.between(1, 5_000).to_string()),
            ("index.interval.bytes", rng.between(0, 4_096).to_string()),
        ];
        if syncs_each_message {
            configs.push(("flush.messages", "1".into()));
        } else if rng.one_in(3) {
            configs.push(("flush.ms", rng.between(1, 500).to_string()));
        }
        if rng.one_in(4) {
            configs.push(("preallocate", "true".into()));
        }
        if rng.one_in(4) {
            configs.push(("compression.type", "lz4".into()));
        }
        Self { partitions: rng.between(1, 2) as i32, syncs_each_message, configs }
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
    let settings = [("log.flush.scheduler.interval.ms", "200".to_owned())];
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
    let stage =
        Stage { sim: sim.clone(), network, broker, world, calm, field: Arc::clone(&field), rng };
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
        self.field.is_over.store(true, Relaxed);
        self.read_all(&topics, &keys, false).await;
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
            let syncs_each_message = topics[key.topic].syncs_each_message;
            self.field.oracle().begin(key, syncs_each_message);
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

    fn reader(&mut self, topics: &[TopicPlan], key: PartitionKey) -> Reader {
        let may_lose = !topics[key.topic].syncs_each_message;
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
                    Some(Status::Stopped) => {}
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
        self.sim.after_steps(steps, move || {
            if crash == Crash::Power {
                field.gate.send_replace(false);
                field.power_losses.fetch_add(1, Relaxed);
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

    /// Reads every partition and holds it against its history.
    async fn read_all(&mut self, topics: &[TopicPlan], keys: &[PartitionKey], after_loss: bool) {
        for &key in keys {
            let mut reader = self.reader(topics, key);
            let clock: Arc<dyn Clock> = Arc::clone(&self.world.clock);
            let reading = async move {
                loop {
                    if let Ok(log) = reader.read_whole().await {
                        return log;
                    }
                    clock.sleep(Duration::from_millis(50)).await;
                }
            };
            let Some(log) = self.within(reading).await else {
                return self.stuck(&format!("{key:?} cannot be read"));
            };
            let mut oracle = self.field.oracle();
            if after_loss {
                oracle.recovered(key, log.last().map_or(0, |(offset, _)| offset + 1));
            }
            oracle.check_whole(key, &log);
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
