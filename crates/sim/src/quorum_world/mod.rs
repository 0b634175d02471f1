//! Quorums: several nodes without any partition, whose metadata change all the time, and one trouble
//! after the other before they have got over the last.
//!
//! Here a scenario has many more elections than with data, in a fraction of the time. The metadata
//! log is always synced, so nothing that was answered may be lost, whatever loses power.
//!
//! The voters of one half are fixed, and of these again one half begins without data, which is a trouble
//! of its own. The voters of the other half stand in the log: nodes join by themselves, are taken out
//! and added again, while all the rest goes on.

mod change;
mod electorate;
mod founding;
mod trouble;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_ports::{World, timeout};

use crate::cluster;
use crate::disk::DiskFaults;
use crate::executor::Sim;
use crate::net::{NetFaults, Network};
use crate::node::{Node, NodeId};
use crate::outcome::Outcome;
use crate::process::{BrokerProcess, Status};
use crate::registrar::Registrar;
use crate::rng::Rng;
use crate::rounds::Rounds;
use crate::watch::Watcher;
use crate::workload::Field;

use electorate::Electorate;
use founding::Voting;
pub use trouble::Trouble;

/// Where the clients live.
const HOME: NodeId = NodeId(1000);
/// How often the nodes are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// A quorum in which nothing goes wrong any more and that takes longer to serve is stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// No scenario lasts so long.
const SCENARIO_MAX: Duration = Duration::from_secs(1_000);

/// Lives one seed's scenario from beginning to end, with some of its rounds.
pub fn run(seed: u64, rounds: Rounds) -> Outcome<Trouble> {
    let sim = Sim::new(seed);
    let network = Network::new(NetFaults::CALM);
    let mut rng = sim.draw(Rng::split);
    let count = if rng.one_in(4) { 5 } else { 3 };
    let voting = Voting::of_seed(seed, count, &mut rng);
    let settings = settings(&mut rng, voting);
    let nodes = cluster::nodes(&sim, &network, count, voting.setting(count), &settings);
    let ports: Vec<u16> = (0..count).map(cluster::port).collect();
    let field = Arc::new(Field::new(ports.clone()));
    let world = Node::new(&sim, &network, HOME).world();
    let watcher = Arc::new(Mutex::new(Watcher::new(&field, &nodes, cluster::DATA)));
    let stage = Stage {
        sim: sim.clone(),
        network,
        world,
        voting,
        electorate: Arc::new(Electorate::new(&nodes)),
        nodes,
        ports,
        field: Arc::clone(&field),
        watcher,
        rng,
    };
    let troubles = sim.run(SCENARIO_MAX, stage.play(rounds));
    Outcome::of(&sim, &field, seed, troubles)
}

fn settings(rng: &mut Rng, voting: Voting) -> Vec<(&'static str, String)> {
    let mut of = |choices: [u64; 3]| choices[rng.below(3) as usize].to_string();
    let mut settings = vec![
        ("controller.quorum.election.timeout.ms", of([200, 500, 1_000])),
        ("controller.quorum.election.backoff.max.ms", of([50, 300, 1_000])),
        ("controller.quorum.fetch.timeout.ms", of([500, 1_000, 2_000])),
    ];
    if rng.one_in(2) {
        settings.extend(cluster::forgetful_metadata(rng));
    }
    if !voting.is_fixed() && rng.one_in(2) {
        settings.push(("controller.quorum.auto.join.enable", "true".to_owned()));
    }
    settings
}

/// Everything that a scenario moves.
struct Stage {
    sim: Sim,
    network: Network,
    /// The ports of the clients' machine.
    world: World,
    voting: Voting,
    electorate: Arc<Electorate>,
    nodes: Vec<Arc<BrokerProcess>>,
    /// Where clients find them.
    ports: Vec<u16>,
    field: Arc<Field>,
    watcher: Arc<Mutex<Watcher>>,
    rng: Rng,
}

impl Stage {
    async fn play(mut self, rounds: Rounds) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        self.voting.format(&self.nodes).await;
        for index in 0..self.nodes.len() {
            self.change_disk(index);
            if self.voting == Voting::Unfounded {
                self.trouble_the_founding().await;
            }
            self.nodes[index].start();
        }
        if self.voting == Voting::Unfounded {
            self.break_off_the_founding().await;
        }
        self.watch();
        for number in 0..self.rng.between(1, 3) {
            let registrar = self.registrar(&format!("registrar-{number}"));
            self.sim.spawn(HOME, Box::pin(registrar.run()));
        }
        let mut draws = self.rng.split();
        for number in 0..draws.between(4, 16) {
            self.rng = draws.split();
            if !rounds.has(number) {
                continue;
            }
            let trouble = Trouble::draw(&mut self.rng, self.voting);
            self.sim.note(&format!("trouble: {trouble:?}"));
            troubles.push(trouble);
            self.suffer(trouble).await;
            self.recover_perhaps().await;
            self.compare();
            if !self.field.oracle().violations().is_empty() {
                return troubles;
            }
        }
        self.judge().await;
        troubles
    }

    fn registrar(&mut self, name: &str) -> Registrar {
        let pause_max = Duration::from_millis([20, 200, 1_000][self.rng.below(3) as usize]);
        let at = (name, self.ports.clone());
        Registrar::new(&self.field, &self.world, self.rng.split(), at, pause_max)
    }

    /// Nothing goes wrong any more: all nodes come back, and know everything.
    async fn judge(&mut self) {
        self.heal();
        for node in &self.nodes {
            node.node().disk.set_faults(DiskFaults::default());
        }
        let count = self.field.oracle().registered_count();
        if !self.all_up_to_date().await {
            return;
        }
        lock(&self.watcher).check_registered(count);
        self.compare();
        let clock = Arc::clone(&self.world.clock);
        let remembering = BrokerProcess::all_remember(self.nodes.clone(), clock);
        if self.within(remembering).await.is_none() {
            self.stuck("a voter with a new disk never counts again");
        }
        if self.within(self.nobody_votes_for_lost_disks()).await.is_none() {
            self.stuck("a voter whose disk is lost still counts");
        }
        self.field.is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        for node in &self.nodes {
            node.stop();
        }
        for node in &self.nodes {
            if self.within(node.ended()).await.is_none() {
                self.stuck("a clean stop does not end");
            }
        }
    }

    /// Brings all nodes back, and waits until each knows of everything that has been acked; false
    /// when that takes too long.
    async fn all_up_to_date(&mut self) -> bool {
        let name = format!("after-{}", self.sim.steps());
        let mut registrar = self.registrar(&name);
        let (watcher, clock) = (Arc::clone(&self.watcher), Arc::clone(&self.world.clock));
        let nodes = self.nodes.clone();
        // One that was still ending is down sooner or later.
        let start_all = move || nodes.iter().for_each(|node| start_if_down(node));
        let up_to_date = async move {
            let last = loop {
                start_all();
                match registrar.register().await {
                    Some(last) => break last,
                    None => clock.sleep(Duration::from_millis(20)).await,
                }
            };
            while !lock(&watcher).all_know(&last) {
                start_all();
                clock.sleep(Duration::from_millis(20)).await;
            }
        };
        let is_up_to_date = self.within(up_to_date).await.is_some();
        if !is_up_to_date {
            self.stuck("a quorum without trouble does not serve");
        }
        is_up_to_date
    }

    async fn nobody_votes_for_lost_disks(&self) {
        while !self.electorate.is_intact() {
            self.world.clock.sleep(Duration::from_millis(100)).await;
        }
    }

    /// Looks at the nodes from now on.
    fn watch(&self) {
        let (watcher, clock) = (Arc::clone(&self.watcher), Arc::clone(&self.world.clock));
        let looking = async move {
            loop {
                lock(&watcher).look();
                clock.sleep(LOOK_INTERVAL).await;
            }
        };
        self.sim.spawn(NodeId::OUTSIDE, Box::pin(looking));
    }

    fn compare(&self) {
        let mut watcher = lock(&self.watcher);
        watcher.look();
        watcher.compare_logs();
        watcher.compare_images();
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let deadline = self.world.clock.now().instant + PATIENCE;
        timeout(&*self.world.clock, deadline, work).await.ok()
    }

    fn stuck(&self, what: &str) {
        let statuses: Vec<Status> = self.nodes.iter().map(|node| node.status()).collect();
        self.field.oracle().violate("WORLD-10", format!("{what}: {statuses:?}"));
    }
}

fn start_if_down(node: &BrokerProcess) {
    if !matches!(node.status(), Status::Starting | Status::Serving(_)) {
        node.start();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
