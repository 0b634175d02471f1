//! Scenarios: one broker, a handful of clients, and what goes wrong, all drawn from one seed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use strandline_ports::timeout;

use crate::chain::COPIES;
use crate::crew::{Crew, GroupsPlan, TopicPlan, checkpoints, disk_weather, keys};
use crate::disk::DiskFaults;
use crate::executor::Sim;
use crate::net::{NetFaults, Network};
use crate::node::{Crash, Node, NodeId};
use crate::oracle::PartitionKey;
use crate::outcome::Outcome;
use crate::process::{BROKER_PORT, BrokerProcess, Status};
use crate::rng::Rng;
use crate::rounds::Rounds;
use crate::workload::Field;

/// Long enough for the longest scenario: 1 hour of virtual time.
pub(crate) const SCENARIO_MAX: Duration = Duration::from_secs(3600);

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

/// Lives one seed's scenario from beginning to end, with some of its rounds.
pub fn run(seed: u64, rounds: Rounds) -> Outcome<Fault> {
    live(seed, rounds, false)
}

/// As [`run`], where a chain of transactions takes the place of other groups. What it needs is
/// synced before it is acked, so that a loss of power takes nothing from it.
pub fn run_exactly_once(seed: u64, rounds: Rounds) -> Outcome<Fault> {
    live(seed, rounds, true)
}

fn live(seed: u64, rounds: Rounds, is_chained: bool) -> Outcome<Fault> {
    let sim = &Sim::new(seed);
    let network = Network::new(NetFaults::CALM);
    let mut rng = sim.draw(Rng::split);
    let mut groups = GroupsPlan::draw(&mut rng);
    groups.syncs_each_commit |= is_chained;
    let mut settings = groups.settings(&mut rng);
    if is_chained {
        settings.extend(groups.make_way(&mut rng, 1));
    }
    settings.push(("log.flush.scheduler.interval.ms", "200".to_owned()));
    settings.extend(checkpoints(&mut rng));
    let broker = BrokerProcess::new(sim, Node::new(sim, &network, NodeId(0)), &settings);
    let home = Node::new(sim, &network, NodeId(1));
    let calm = disk_weather(&mut rng);
    broker.node().disk.set_faults(calm);
    let field = Arc::new(Field::new(vec![BROKER_PORT]));
    let brokers = vec![Arc::clone(&broker)];
    let crew = Crew::new(sim, &network, &home, brokers, &field, groups, rng);
    let stage = Stage { crew, broker, calm, is_chained };
    let faults = sim.run(SCENARIO_MAX, stage.play(rounds));
    Outcome::of(sim, &field, seed, faults)
}

/// Everything that a scenario moves.
struct Stage {
    crew: Crew,
    broker: Arc<BrokerProcess>,
    calm: DiskFaults,
    is_chained: bool,
}

impl Stage {
    async fn play(mut self, rounds: Rounds) -> Vec<Fault> {
        let rng = &mut self.crew.rng;
        let mut topics = vec![TopicPlan::draw(rng, true), TopicPlan::draw(rng, false)];
        topics.extend(self.is_chained.then(|| TopicPlan::draw(rng, true).of_copies(rng)));
        let mut faults = Vec::new();
        if !self.start().await {
            return faults;
        }
        let Some(ids) = self.crew.create(&topics).await else { return faults };
        let keys = keys(&topics[..COPIES]);
        self.crew.populate(&topics, &keys);
        self.crew.gather();
        if self.is_chained {
            self.crew.chain();
        }
        for number in 0..self.crew.rng.between(1, 4) {
            if !rounds.has(number) {
                continue;
            }
            let fault = Fault::ALL[self.crew.rng.below(Fault::ALL.len() as u64) as usize];
            self.crew.sim.note(&format!("fault: {fault:?}"));
            faults.push(fault);
            let survived = self.suffer(fault, &topics, &keys).await;
            if !survived || !self.crew.field.oracle().violations().is_empty() {
                return faults;
            }
        }
        if !self.crew.judge(&topics, &keys, &ids).await {
            return faults;
        }
        self.broker.stop();
        if self.crew.within(self.broker.ended()).await.is_none() {
            self.crew.stuck("a clean stop does not end");
        }
        faults
    }

    /// Starts the broker until it serves; false when it cannot.
    async fn start(&self) -> bool {
        self.crew.field.starts.fetch_add(1, Relaxed);
        self.broker.start();
        match self.crew.within(self.broker.settled()).await {
            Some(Status::Serving(_)) => true,
            _ => {
                self.crew.stuck("the broker does not start");
                false
            }
        }
    }

    /// One fault, and back to a broker that serves; false when that fails.
    async fn suffer(&mut self, fault: Fault, topics: &[TopicPlan], keys: &[PartitionKey]) -> bool {
        match fault {
            Fault::ProcessCrash => self.crash_soon(Crash::Process).await,
            Fault::PowerLoss => self.crash_soon(Crash::Power).await,
            Fault::CleanStop | Fault::CleanStopThenPowerLoss => {
                self.crew.some_time().await;
                self.broker.stop();
                match self.crew.within(self.broker.ended()).await {
                    Some(Status::Stopped) => self.crew.field.oracle().stopped(),
                    _ => {
                        self.crew.stuck("no clean stop");
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
                self.crew.field.starts.fetch_add(1, Relaxed);
                self.broker.start();
                self.crash_within(400, Crash::Power).await;
            }
            Fault::DiskFull => return self.fill_disk(topics, keys).await,
            Fault::DeviceErrors => {
                let one_in = self.crew.rng.between(5, 300);
                self.broker
                    .node()
                    .disk
                    .set_faults(DiskFaults { error_one_in: one_in, ..self.calm });
                let clock = Arc::clone(&self.crew.world.clock);
                let over = clock.now().instant + Duration::from_secs(5);
                let ended = timeout(&*clock, over, self.broker.ended()).await;
                self.broker.node().disk.set_faults(self.calm);
                if ended.is_err() {
                    self.broker.crash(Crash::Process);
                }
            }
            Fault::Resets => {
                let reset_one_in = self.crew.rng.between(5, 200);
                self.crew.network.set_faults(NetFaults { reset_one_in, ..NetFaults::CALM });
                self.crew.some_time().await;
                self.crew.some_time().await;
                self.crew.network.set_faults(NetFaults::CALM);
                return true;
            }
        }
        self.restart(topics, keys).await
    }

    async fn restart(&mut self, topics: &[TopicPlan], keys: &[PartitionKey]) -> bool {
        if !self.start().await {
            return false;
        }
        let was_closed = !*self.crew.field.gate.borrow();
        if was_closed {
            self.crew.read_all(topics, keys, true).await;
            self.crew.field.gate.send_replace(true);
        }
        true
    }

    async fn crash_soon(&mut self, crash: Crash) {
        if self.crew.rng.one_in(2) {
            self.crew.some_time().await;
        }
        self.crash_within(3_000, crash).await;
    }

    /// Crashes at one of the next so many steps of the simulation, whatever they are.
    async fn crash_within(&mut self, steps: u64, crash: Crash) {
        let steps = self.crew.rng.between(1, steps);
        let (broker, field) = (Arc::clone(&self.broker), Arc::clone(&self.crew.field));
        let sim = self.crew.sim.clone();
        self.crew.sim.after_steps(steps, move || {
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
        let capacity_bytes = used_bytes + self.crew.rng.between(1, 100_000);
        self.broker.node().disk.set_faults(DiskFaults { capacity_bytes, ..self.calm });
        self.crew.some_time().await;
        self.crew.some_time().await;
        self.broker.node().disk.set_faults(self.calm);
        if matches!(self.broker.status(), Status::Serving(_)) {
            return true;
        }
        self.restart(topics, keys).await
    }
}
