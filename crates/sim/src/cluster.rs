//! Clusters: several brokers that are their own quorum, clients who follow leaders, and what goes
//! wrong, all drawn from one seed.
//!
//! Every partition has three replicas, or as many as a move gives it, two at least; and two must have
//! what is acked. What is promised if no broker syncs what it takes: nothing that was acked is lost
//! while fewer than two replicas have failed, where one that loses power has failed until it is in
//! the ISR again. So the power goes when nobody is behind, and takes one machine; processes die as
//! they like, all at once too. In clusters that sync every record the power goes as it likes as well.
//! A topic that allows unclean elections is promised less: see WORLD-25.
//!
//! The metadata log is always synced: what was answered of it stays, whatever happens.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use strandline_broker::format::{FirstLevels, Founding};
use strandline_metadata::image::{Cluster, LeaderRecoveryState, Partition};
use strandline_types::{NodeId as BrokerId, PartitionId};

use crate::asker::Asker;
use crate::chain::COPIES;
use crate::churn::Churn;
use crate::crew::{Crew, GroupsPlan, TopicPlan, checkpoints, disk_weather, keys};
use crate::disk::DiskFaults;
use crate::elections::UncleanElection;
use crate::executor::Sim;
use crate::members::key_of;
use crate::mover::Mover;
use crate::net::{NetFaults, Network};
use crate::node::{Crash, Node, NodeId};
use crate::oracle::PartitionKey;
use crate::outcome::Outcome;
use crate::process::{BROKER_PORT, BrokerProcess, Status};
use crate::registrar::Registrar;
use crate::rng::Rng;
use crate::rounds::Rounds;
use crate::scenario::SCENARIO_MAX;
use crate::watch::Watcher;
use crate::workload::{Field, topic_name};

const REPLICAS: i16 = 3;
/// The topic that allows unclean elections, in clusters that do.
const LOSSY: usize = 1;
/// Of every cluster.
pub const CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";
/// The log directory of every node.
pub(crate) const DATA: &str = "/data";
/// By which the nodes of a quorum reach each other.
pub(crate) const CONTROLLER_LISTENER: &str = "CONTROLLER";
/// Where the clients live.
const HOME: NodeId = NodeId(1000);
const PORTS_APART: u16 = 10;
/// How often the nodes are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// In so many clusters one is looked at after each step.
const GLANCED_AT_ONE_IN: u64 = 10;

/// What goes wrong in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A process dies and is started again.
    ProcessCrash,
    /// All of them die at once.
    CrashOfAll,
    /// A machine goes down.
    PowerLoss,
    /// All of them do, where everything is synced; elsewhere their processes die.
    PowerLossOfAll,
    /// A machine comes back with an empty disk.
    ReplacedDisk,
    CleanStop,
    /// Nobody reaches a node, nor does it reach anybody.
    Cut,
    /// One of the two ways between two nodes is gone.
    OneWayCut,
    Delay,
    Resets,
    /// A node stands still, and goes on.
    Pause,
    DiskFull,
    /// Writes and syncs take seconds.
    SlowDisk,
    /// Some writes and syncs fail.
    DeviceErrors,
    /// All replicas of a partition die but one, which is behind. Only where that one may lead.
    LossOfAllInSync,
}

impl Fault {
    const ALL: [Self; 14] = [
        Self::ProcessCrash,
        Self::CrashOfAll,
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::ReplacedDisk,
        Self::CleanStop,
        Self::Cut,
        Self::OneWayCut,
        Self::Delay,
        Self::Resets,
        Self::Pause,
        Self::DiskFull,
        Self::SlowDisk,
        Self::DeviceErrors,
    ];

    /// It takes what the page cache holds.
    fn takes_unsynced(self) -> bool {
        matches!(self, Self::PowerLoss | Self::PowerLossOfAll | Self::ReplacedDisk)
    }
}

/// Lives one seed's scenario from beginning to end, with some of its rounds.
pub fn run(seed: u64, rounds: Rounds) -> Outcome<Fault> {
    live(seed, rounds, false)
}

/// As [`run`], where a chain of transactions takes the place of other groups.
pub fn run_exactly_once(seed: u64, rounds: Rounds) -> Outcome<Fault> {
    live(seed, rounds, true)
}

fn live(seed: u64, rounds: Rounds, is_chained: bool) -> Outcome<Fault> {
    let sim = &Sim::new(seed);
    let network = Network::new(NetFaults::CALM);
    let mut rng = sim.draw(Rng::split);
    let count = if rng.one_in(5) { 5 } else { 3 };
    let mut groups = GroupsPlan::draw(&mut rng);
    let is_synced = rng.one_in(4);
    groups.syncs_each_commit = is_synced;
    // The voters that are left must be a majority when two brokers die.
    let may_lose = count == 5 && !rng.one_in(3);
    let mut settings = settings(&mut rng, &groups);
    if is_chained {
        settings.extend(groups.make_way(&mut rng, REPLICAS));
    }
    if may_lose {
        // The oracle wants to know of every election.
        settings.retain(|(key, _)| !key.starts_with("metadata."));
    }
    // Copies make them durable, or syncs do.
    groups.syncs_each_commit = true;
    let calm = disk_weather(&mut rng);
    let brokers = brokers(sim, &network, count, &settings);
    brokers.iter().for_each(|broker| broker.node().disk.set_faults(calm));
    let ports: Vec<u16> = (0..count).map(port).collect();
    let field = Arc::new(Field::new(ports));
    let home = Node::new(sim, &network, HOME);
    let watcher = Arc::new(Mutex::new(Watcher::new(&field, &brokers, DATA)));
    let crew = Crew::new(sim, &network, &home, brokers, &field, groups, rng);
    let stage = Stage { crew, calm, watcher, is_synced, may_lose, is_chained };
    let faults = sim.run(SCENARIO_MAX, stage.play(rounds));
    Outcome::of(sim, &field, seed, faults)
}

/// The nodes of a cluster that is its own quorum, with three replicas of everything of which two
/// must have what is acked. They are to be formatted before their first start.
pub fn brokers(
    sim: &Sim,
    network: &Network,
    count: u16,
    settings: &[(&'static str, String)],
) -> Vec<Arc<BrokerProcess>> {
    nodes(sim, network, count, fixed_voters(count), settings)
}

/// Makes all nodes voters for good.
pub(crate) fn fixed_voters(count: u16) -> (&'static str, String) {
    let voters = (0..count).map(|index| format!("{index}@127.0.0.1:{}", controller_port(index)));
    ("controller.quorum.voters", voters.collect::<Vec<_>>().join(","))
}

/// As [`brokers`], where a setting says how they find their quorum.
pub(crate) fn nodes(
    sim: &Sim,
    network: &Network,
    count: u16,
    quorum: (&'static str, String),
    settings: &[(&'static str, String)],
) -> Vec<Arc<BrokerProcess>> {
    let broker = |index: u16| {
        let mut all = vec![
            ("node.id", index.to_string()),
            ("process.roles", "broker,controller".to_owned()),
            ("controller.listener.names", CONTROLLER_LISTENER.to_owned()),
            quorum.clone(),
            ("log.dirs", DATA.to_owned()),
            ("min.insync.replicas", "2".to_owned()),
            ("default.replication.factor", REPLICAS.to_string()),
            ("offsets.topic.replication.factor", REPLICAS.to_string()),
        ];
        all.extend_from_slice(settings);
        let node = Node::new(sim, network, NodeId(u32::from(index)));
        BrokerProcess::at(sim, node, port(index), &all)
    };
    (0..count).map(broker).collect()
}

/// Where a node's broker listens.
pub fn port(index: u16) -> u16 {
    BROKER_PORT + index * PORTS_APART
}

/// Where its controller does.
pub(crate) fn controller_port(index: u16) -> u16 {
    port(index) + 1
}

fn settings(rng: &mut Rng, groups: &GroupsPlan) -> Vec<(&'static str, String)> {
    let mut settings = groups.settings(rng);
    let lag_ms = [2_000, 5_000, 10_000][rng.below(3) as usize];
    settings.push(("replica.lag.time.max.ms", lag_ms.to_string()));
    if rng.one_in(2) {
        settings.extend(forgetful_metadata(rng));
    }
    settings.extend(checkpoints(rng));
    settings
}

/// Whoever was away for a while finds that the log begins later, and needs a snapshot.
pub(crate) fn forgetful_metadata(rng: &mut Rng) -> [(&'static str, String); 3] {
    [
        ("metadata.log.max.record.bytes.between.snapshots", rng.between(500, 5_000).to_string()),
        ("metadata.log.segment.ms", rng.between(500, 5_000).to_string()),
        ("metadata.max.retention.bytes", rng.between(1, 5_000).to_string()),
    ]
}

/// Everything that a scenario moves.
struct Stage {
    crew: Crew,
    calm: DiskFaults,
    watcher: Arc<Mutex<Watcher>>,
    /// Every record is synced before it counts.
    is_synced: bool,
    /// [`LOSSY`] allows unclean elections.
    may_lose: bool,
    is_chained: bool,
}

impl Stage {
    async fn play(mut self, rounds: Rounds) -> Vec<Fault> {
        let mut faults = Vec::new();
        let levels = match self.is_chained && self.crew.rng.one_in(2) {
            true => FirstLevels::choose([("transaction.version", 0)], 0).expect("it is served"),
            false => FirstLevels::default(),
        };
        for broker in &self.crew.brokers {
            broker.format_as(CLUSTER_ID, Founding::ByOthers, &levels).await;
        }
        let all: Vec<_> = (0..self.crew.brokers.len()).collect();
        if !self.start(&all).await {
            return faults;
        }
        self.watch();
        let (rng, is_synced) = (&mut self.crew.rng, self.is_synced);
        let draw = |rng: &mut Rng| TopicPlan::replicated(rng, REPLICAS, is_synced);
        let mut topics = vec![draw(rng), draw(rng)];
        topics.extend(self.is_chained.then(|| draw(rng).of_copies(rng)));
        if self.may_lose {
            topics[LOSSY].allow_unclean_elections();
            lock(&self.watcher).allow_losses(topic_name(LOSSY));
        }
        if topics.iter().skip(COPIES).any(TopicPlan::is_compacted) {
            lock(&self.watcher).allow_cleaning(topic_name(COPIES));
        }
        let Some(ids) = self.crew.create(&topics).await else { return faults };
        let keys = keys(&topics[..COPIES]);
        self.crew.populate(&topics, &keys);
        self.crew.gather();
        if self.is_chained {
            self.crew.chain();
        }
        self.change_metadata();
        let mut draws = self.crew.rng.split();
        for number in 0..draws.between(1, 4) {
            self.crew.rng = draws.split();
            if !rounds.has(number) {
                continue;
            }
            let fault = self.draw_fault();
            self.crew.sim.note(&format!("fault: {fault:?}"));
            faults.push(fault);
            // Trouble comes in twos.
            match self.crew.rng.below(6) {
                _ if fault.takes_unsynced() && !self.is_synced => {}
                0 => self.delay(),
                1 => self.reset(),
                _ => {}
            }
            let survived = self.suffer(fault).await;
            self.crew.network.set_faults(NetFaults::CALM);
            self.compare_logs();
            if !survived || !self.crew.field.oracle().violations().is_empty() {
                return faults;
            }
        }
        if !self.crew.judge(&topics, &keys, &ids).await {
            return faults;
        }
        self.all_settled_or_stuck().await;
        self.judge_metadata().await;
        lock(&self.watcher).forbid_losses();
        self.compare_logs();
        self.judge_elections(&keys);
        self.stop_all().await;
        faults
    }

    fn draw_fault(&mut self) -> Fault {
        let rng = &mut self.crew.rng;
        if self.may_lose && rng.one_in(2) {
            return Fault::LossOfAllInSync;
        }
        Fault::ALL[rng.below(Fault::ALL.len() as u64) as usize]
    }

    fn ports(&self) -> Vec<u16> {
        (0..self.crew.brokers.len() as u16).map(port).collect()
    }

    /// Somebody changes the metadata all the time; in some clusters topics come and go, and in most
    /// the partitions that carry the load move.
    fn change_metadata(&mut self) {
        let ports = self.ports();
        let Crew { field, world, rng, .. } = &mut self.crew;
        let pause = Duration::from_millis([50, 1_000][rng.below(2) as usize]);
        let at = ("registrar", ports.clone());
        let registrar = Registrar::new(field, world, rng.split(), at, pause);
        let pause = Duration::from_millis([300, 3_000][rng.below(2) as usize]);
        let asker = Asker::new(world, rng.split(), "churn", ports.clone());
        let churn = rng.one_in(3).then(|| Churn::new(field, asker, pause));
        let pause = Duration::from_millis([100, 1_000, 5_000][rng.below(3) as usize]);
        let asker = Asker::new(world, rng.split(), "mover", ports.clone());
        let mover = (!rng.one_in(3)).then(|| Mover::new(field, asker, ports.len(), pause));
        self.crew.sim.spawn(self.crew.home, Box::pin(registrar.run()));
        if let Some(churn) = churn {
            self.crew.sim.spawn(self.crew.home, Box::pin(churn.run()));
        }
        if let Some(mover) = mover {
            self.crew.sim.spawn(self.crew.home, Box::pin(mover.run()));
        }
    }

    /// WORLD-22, when every node has heard of everything.
    async fn judge_metadata(&mut self) {
        let ports = self.ports();
        let Crew { field, world, rng, .. } = &mut self.crew;
        let at = ("last", ports);
        let mut registrar = Registrar::new(field, world, rng.split(), at, Duration::ZERO);
        let (watcher, clock) = (Arc::clone(&self.watcher), Arc::clone(&self.crew.world.clock));
        let count = self.crew.field.oracle().registered_count();
        let up_to_date = async move {
            let last = registrar.register_for_certain().await;
            while !lock(&watcher).all_know(&last) {
                clock.sleep(Duration::from_millis(20)).await;
            }
        };
        if self.crew.within(up_to_date).await.is_none() {
            return self.crew.stuck("a node does not hear of the metadata");
        }
        lock(&self.watcher).check_registered(count);
    }

    /// WORLD-25, where the metadata log is there from its beginning.
    fn judge_elections(&self, keys: &[PartitionKey]) {
        let unclean = lock(&self.watcher).unclean_elections();
        let Some(unclean) = unclean else {
            assert!(!self.may_lose, "such a cluster forgets none of its metadata");
            return;
        };
        let lossy = self.may_lose.then(|| topic_name(LOSSY));
        let is_allowed = |it: &UncleanElection| {
            it.is_of_last_known || Some(&it.partition.topic) == lossy.as_ref()
        };
        let mut oracle = self.crew.field.oracle();
        if let Some(UncleanElection { partition, epoch, .. }) =
            unclean.iter().find(|it| !is_allowed(it))
        {
            let detail = format!("{partition}: epoch {epoch} began with an unclean election");
            oracle.violate("WORLD-25", detail);
        }
        for key in keys {
            let of_key = unclean.iter().filter(|it| key_of(&it.partition) == Some(*key));
            oracle.check_losses(*key, &of_key.map(|it| it.epoch).collect());
        }
    }

    /// False when somebody stays behind. Who is joining is not counted on yet.
    async fn all_in_sync_or_stuck(&self) -> bool {
        let is_in_sync = |it: &Partition, cluster: &Cluster| {
            let counts = |node: &BrokerId| it.isr.contains(node) && cluster.is_active(*node);
            it.replicas.iter().all(|node| it.adding_replicas.contains(node) || counts(node))
        };
        let are_in_sync = self.crew.within(self.all_are(is_in_sync)).await.is_some();
        if !are_in_sync {
            self.crew.stuck("a replica stays behind");
        }
        are_in_sync
    }

    /// Every move has come to its end, and with it every replica into its ISR.
    async fn all_settled_or_stuck(&self) {
        let is_settled = |it: &Partition, _: &Cluster| {
            !it.is_reassigning() && it.leader_recovery_state == LeaderRecoveryState::Recovered
        };
        if self.crew.within(self.all_are(is_settled)).await.is_none() {
            self.crew.stuck("a partition moves on and on");
        }
        self.all_in_sync_or_stuck().await;
    }

    /// Looks at the nodes from now on: at all of them now and then, and in some clusters after each
    /// step at the one that has made it.
    fn watch(&mut self) {
        if self.crew.rng.one_in(GLANCED_AT_ONE_IN) {
            let watcher = Arc::clone(&self.watcher);
            self.crew.sim.after_each_step(move |node| lock(&watcher).glance(node));
        }
        let (watcher, clock) = (Arc::clone(&self.watcher), Arc::clone(&self.crew.world.clock));
        let looking = async move {
            loop {
                lock(&watcher).look();
                clock.sleep(LOOK_INTERVAL).await;
            }
        };
        self.crew.sim.spawn(NodeId::OUTSIDE, Box::pin(looking));
    }

    fn compare_logs(&self) {
        let mut watcher = lock(&self.watcher);
        watcher.look();
        watcher.compare_logs();
        watcher.compare_images();
    }

    /// Starts nodes until they serve; false when one cannot.
    async fn start(&self, indices: &[usize]) -> bool {
        for index in indices {
            self.crew.field.started();
            self.crew.brokers[*index].start();
        }
        for index in indices {
            match self.crew.within(self.crew.brokers[*index].settled()).await {
                Some(Status::Serving(_)) => {}
                _ => {
                    self.crew.stuck("a node does not start");
                    return false;
                }
            }
        }
        true
    }

    async fn stop_all(&self) {
        for broker in &self.crew.brokers {
            broker.stop();
        }
        for broker in &self.crew.brokers {
            if self.crew.within(broker.ended()).await.is_none() {
                self.crew.stuck("a clean stop does not end");
            }
        }
    }

    fn any_node(&mut self) -> usize {
        self.crew.rng.below(self.crew.brokers.len() as u64) as usize
    }

    /// One fault, and back to a cluster of which all nodes serve; false when that fails.
    async fn suffer(&mut self, fault: Fault) -> bool {
        let index = self.any_node();
        let broker = Arc::clone(&self.crew.brokers[index]);
        match fault {
            Fault::ProcessCrash => {
                self.crash_soon(&[index], Crash::Process).await;
                self.perhaps_some_time().await;
                self.start(&[index]).await
            }
            Fault::CrashOfAll => {
                let all: Vec<_> = (0..self.crew.brokers.len()).collect();
                self.crash_soon(&all, Crash::Process).await;
                self.start(&all).await
            }
            Fault::PowerLossOfAll => {
                let all: Vec<_> = (0..self.crew.brokers.len()).collect();
                let crash = if self.is_synced { Crash::Power } else { Crash::Process };
                self.crash_soon(&all, crash).await;
                self.start(&all).await
            }
            Fault::PowerLoss if self.is_synced => {
                self.crash_soon(&[index], Crash::Power).await;
                self.perhaps_some_time().await;
                self.start(&[index]).await
            }
            Fault::PowerLoss | Fault::ReplacedDisk => {
                self.lose_power(index, fault == Fault::ReplacedDisk).await
            }
            Fault::CleanStop => {
                self.crew.some_time().await;
                broker.stop();
                match self.crew.within(broker.ended()).await {
                    Some(Status::Stopped) => {}
                    _ => {
                        self.crew.stuck("no clean stop");
                        return false;
                    }
                }
                broker.crash(Crash::Process);
                self.perhaps_some_time().await;
                self.start(&[index]).await
            }
            Fault::Cut | Fault::OneWayCut => {
                self.cut(index, fault == Fault::OneWayCut);
                self.long_time().await;
                self.crew.network.heal();
                true
            }
            Fault::Delay => {
                self.delay();
                self.long_time().await;
                self.crew.network.set_faults(NetFaults::CALM);
                true
            }
            Fault::Resets => {
                self.reset();
                self.long_time().await;
                self.crew.network.set_faults(NetFaults::CALM);
                true
            }
            Fault::Pause => {
                broker.node().pause();
                self.long_time().await;
                broker.node().go_on();
                true
            }
            Fault::DiskFull => {
                let disk = &broker.node().disk;
                let capacity_bytes = disk.used_bytes() + self.crew.rng.between(1, 100_000);
                self.with_disk(index, DiskFaults { capacity_bytes, ..self.calm }).await
            }
            Fault::SlowDisk => {
                let stall = Duration::from_millis(self.crew.rng.between(100, 3_000));
                let faults = DiskFaults { stall, ..self.calm };
                self.with_disk(index, faults).await
            }
            Fault::LossOfAllInSync => self.lose_all_in_sync().await,
            Fault::DeviceErrors => {
                let error_one_in = self.crew.rng.between(5, 300);
                self.with_disk(index, DiskFaults { error_one_in, ..self.calm }).await
            }
        }
    }

    fn delay(&mut self) {
        let delay_max = Duration::from_millis(self.crew.rng.between(5, 400));
        self.crew.network.set_faults(NetFaults { delay_max, ..NetFaults::CALM });
    }

    fn reset(&mut self) {
        let reset_one_in = self.crew.rng.between(5, 200);
        self.crew.network.set_faults(NetFaults { reset_one_in, ..NetFaults::CALM });
    }

    /// The power goes when all replicas are in sync, and nothing else goes wrong until they are
    /// again. The disk comes back, or an empty one.
    async fn lose_power(&mut self, index: usize, loses_disk: bool) -> bool {
        if !self.all_in_sync_or_stuck().await {
            return false;
        }
        // What was in sync then may be behind by the time of the crash, so it comes at once.
        self.crash_within(&[index], 300, Crash::Power).await;
        let loses_disk = loses_disk && BrokerProcess::may_lose_disk(&self.crew.brokers);
        if loses_disk {
            self.crew.brokers[index].node().disk.replace();
        }
        self.perhaps_some_time().await;
        if !self.start(&[index]).await || !self.all_in_sync_or_stuck().await {
            return false;
        }
        if loses_disk {
            let clock = Arc::clone(&self.crew.world.clock);
            let remembering = BrokerProcess::all_remember(self.crew.brokers.clone(), clock);
            if self.crew.within(remembering).await.is_none() {
                self.crew.stuck("a voter with a new disk never counts again");
                return false;
            }
        }
        if self.crew.rng.one_in(2) {
            return true;
        }
        // It counts again: another one may fail at once.
        let other = (index + 1) % self.crew.brokers.len();
        self.crash_within(&[other], 50, Crash::Process).await;
        self.long_time().await;
        self.start(&[other]).await
    }

    /// A replica stands still until it is out of the ISR, and the others die in the moment before it
    /// goes on: it must come to lead.
    async fn lose_all_in_sync(&mut self) -> bool {
        let chosen = self.crew.rng.next_u64() as usize;
        let image = lock(&self.watcher).newest_image();
        let Some((index, before)) = image.and_then(|image| {
            let topic = image.topics.by_name(&topic_name(LOSSY))?.clone();
            let (index, it) = topic.partitions.iter().nth(chosen % topic.partitions.len())?;
            Some((*index, Partition::clone(it)))
        }) else {
            return true;
        };
        // With more replicas no majority of the voters would be left, with fewer it stays in the ELR.
        if before.replicas.len() != usize::from(REPLICAS.unsigned_abs()) || before.is_reassigning()
        {
            return true;
        }
        let stale = before.replicas[chosen % before.replicas.len()];
        let others: Vec<_> = before.replicas.iter().copied().filter(|it| *it != stale).collect();
        let indices: Vec<_> = others.iter().map(|node| node.get() as usize).collect();
        let stale_node = &self.crew.brokers[stale.get() as usize];
        stale_node.node().pause();
        // Whoever moves partitions may take this one away meanwhile: then nothing is to be seen.
        let replicas = before.replicas;
        let is_moved = |it: &Partition| it.replicas != replicas;
        let is_out = self.partition_is(index, |it| !it.isr.contains(&stale) || is_moved(it));
        let is_out = self.crew.within(is_out).await.is_some();
        self.crew.sleep(Duration::from_millis(300)).await;
        for index in &indices {
            self.crew.brokers[*index].crash(Crash::Process);
        }
        stale_node.node().go_on();
        if !is_out {
            self.crew.stuck("a replica that stands still stays in the ISR");
            return false;
        }
        let is_led = self.partition_is(index, |it| {
            it.has_leader() && !others.contains(&it.leader) || is_moved(it)
        });
        if self.crew.within(is_led).await.is_none() {
            self.crew.stuck("a replica that may lead does not");
            return false;
        }
        self.perhaps_some_time().await;
        self.start(&indices).await
    }

    /// Waits until a partition of the topic that may lose records is as it should be.
    fn partition_is(
        &self,
        index: PartitionId,
        is_so: impl Fn(&Partition) -> bool,
    ) -> impl Future<Output = ()> {
        let (watcher, clock) = (Arc::clone(&self.watcher), Arc::clone(&self.crew.world.clock));
        async move {
            loop {
                let image = lock(&watcher).newest_image();
                let topic = image.as_ref().and_then(|it| it.topics.by_name(&topic_name(LOSSY)));
                if topic.and_then(|topic| topic.partition(index)).is_some_and(|it| is_so(it)) {
                    return;
                }
                clock.sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits until every partition is as it should be, by the newest metadata.
    fn all_are(&self, is_well: impl Fn(&Partition, &Cluster) -> bool) -> impl Future<Output = ()> {
        let (watcher, clock) = (Arc::clone(&self.watcher), Arc::clone(&self.crew.world.clock));
        async move {
            loop {
                let image = lock(&watcher).newest_image();
                let are_well = image.is_some_and(|image| {
                    image.topics.partitions().all(|(_, _, it)| is_well(it, &image.cluster))
                });
                if are_well {
                    return;
                }
                clock.sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Cuts a node off from all others, or one way between it and another one.
    fn cut(&mut self, index: usize, is_one_way: bool) {
        let network = self.crew.network.clone();
        let node = NodeId(index as u32);
        let count = self.crew.brokers.len();
        if is_one_way {
            let other = (index + 1 + self.crew.rng.below(count as u64 - 1) as usize) % count;
            return network.cut(node, NodeId(other as u32));
        }
        let cuts_clients = self.crew.rng.one_in(2);
        let others = (0..count).filter(|other| *other != index).map(|other| NodeId(other as u32));
        for other in others.chain(cuts_clients.then_some(HOME)) {
            network.cut(node, other);
            network.cut(other, node);
        }
    }

    async fn perhaps_some_time(&mut self) {
        if self.crew.rng.one_in(2) {
            self.long_time().await;
        }
    }

    /// Long enough, now and then, for a node to be given up by the others.
    async fn long_time(&mut self) {
        let longest = [1_000, 5_000, 20_000][self.crew.rng.below(3) as usize];
        let millis = self.crew.rng.between(1, longest);
        self.crew.sleep(Duration::from_millis(millis)).await;
    }

    async fn crash_soon(&mut self, indices: &[usize], crash: Crash) {
        if self.crew.rng.one_in(2) {
            self.crew.some_time().await;
        }
        self.crash_within(indices, 5_000, crash).await;
    }

    /// Crashes nodes at one of the next so many steps of the simulation, whatever they are.
    async fn crash_within(&mut self, indices: &[usize], steps: u64, crash: Crash) {
        let steps = self.crew.rng.between(1, steps);
        let brokers: Vec<_> =
            indices.iter().map(|index| Arc::clone(&self.crew.brokers[*index])).collect();
        let dying = brokers.clone();
        self.crew.sim.after_steps(steps, move || {
            dying.iter().for_each(|broker| broker.crash(crash));
        });
        for broker in brokers {
            broker.ended().await;
        }
    }

    /// A disk behaves so for some time, and then well again.
    async fn with_disk(&mut self, index: usize, faults: DiskFaults) -> bool {
        let broker = Arc::clone(&self.crew.brokers[index]);
        let disk = &broker.node().disk;
        disk.set_faults(faults);
        self.long_time().await;
        disk.set_faults(self.calm);
        if matches!(broker.status(), Status::Serving(_)) {
            return true;
        }
        self.start(&[index]).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
