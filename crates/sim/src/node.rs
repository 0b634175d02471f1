//! One simulated machine: its ports, and the ways in which it can fail.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use strandline_ports::{Clock, Entropy, Lane, Sleep, Spawn, World};
use strandline_types::{Instant, Now, Timestamp};

use crate::disk::SimDisk;
use crate::executor::Sim;
use crate::net::{Network, SimNet};
use crate::rng::Rng;

/// A machine of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Whoever runs the scenario: never crashes.
    pub const OUTSIDE: Self = Self(u32::MAX);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OUTSIDE => f.write_str("outside"),
            Self(id) => write!(f, "node{id}"),
        }
    }
}

/// How a node goes down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The process dies, the machine lives: what was written is in its page cache.
    Process,
    /// The machine dies: what was not synced may be gone, whole or in part.
    Power,
}

/// The wall clock of every node starts here, give or take a second: some day in 2026.
const EPOCH_MILLIS: i64 = 1_790_000_000_000;

/// Clocks that go wrong jump at most so often, early enough for a scenario to be there.
const JUMPS: usize = 3;
const JUMP_UNTIL_MILLIS: u64 = 60_000;

/// How the wall clock of a machine differs from the true time.
#[derive(Clone, Copy)]
struct WallClock {
    skew_millis: i64,
    drift_ppm: i64,
    /// After so many milliseconds, by so many.
    jumps: [(i64, i64); JUMPS],
}

impl WallClock {
    /// Most clocks are only a little late or early. Of the others none is ever so wrong that a broker would
    /// refuse what a client says of the time (an hour).
    fn draw(mut rng: Rng) -> Self {
        let skew_millis = either_way(&mut rng, 1_000);
        if !rng.one_in(4) {
            return Self { skew_millis, drift_ppm: 0, jumps: [(0, 0); JUMPS] };
        }
        let drift_ppm_max = [0, 500, 50_000][rng.below(3) as usize];
        let drift_ppm = either_way(&mut rng, drift_ppm_max);
        let jumps = std::array::from_fn(|_| {
            let far = [0, 50, 5_000, 300_000][rng.below(4) as usize];
            (rng.between(0, JUMP_UNTIL_MILLIS) as i64, either_way(&mut rng, far))
        });
        Self { skew_millis, drift_ppm, jumps }
    }

    fn at(&self, elapsed_millis: i64) -> Timestamp {
        let drift = elapsed_millis * self.drift_ppm / 1_000_000;
        let jumped = self.jumps.iter().filter(|(after, _)| *after <= elapsed_millis);
        let jumped: i64 = jumped.map(|(_, by)| by).sum();
        Timestamp(EPOCH_MILLIS + self.skew_millis + elapsed_millis + drift + jumped)
    }
}

fn either_way(rng: &mut Rng, most: u64) -> i64 {
    rng.between(0, 2 * most) as i64 - most as i64
}

struct SimClock {
    sim: Sim,
    node: NodeId,
    wall: WallClock,
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        let instant = self.sim.now();
        let elapsed_millis = (instant.as_nanos() / 1_000_000) as i64;
        Now { instant, timestamp: self.wall.at(elapsed_millis) }
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let (sim, node) = (self.sim.clone(), self.node);
        if deadline == Instant::NEVER {
            return Box::pin(std::future::pending());
        }
        let waiting: Arc<Mutex<Option<Waker>>> = Arc::default();
        let mut armed = false;
        Box::pin(poll_fn(move |cx| {
            if sim.now() >= deadline {
                return Poll::Ready(());
            }
            *waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
            if !armed {
                armed = true;
                let waiting = Arc::clone(&waiting);
                let wake = move || {
                    let waker = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                };
                sim.at(node, deadline, Box::new(wake));
            }
            Poll::Pending
        }))
    }
}

struct SimEntropy(Mutex<Rng>);

impl Entropy for SimEntropy {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

struct SimSpawn {
    sim: Sim,
    node: NodeId,
}

impl Spawn for SimSpawn {
    fn spawn(&self, _lane: Lane, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.sim.spawn(self.node, task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let delay = self.sim.draw(|rng| Duration::from_micros(rng.between(1, 200)));
        self.sim.after(self.node, delay, work);
    }
}

/// A machine with its disk; the disk outlives crashes.
pub struct Node {
    sim: Sim,
    pub id: NodeId,
    pub disk: Arc<SimDisk>,
    network: Network,
    wall: WallClock,
}

impl Node {
    pub fn new(sim: &Sim, network: &Network, id: NodeId) -> Self {
        let wall = WallClock::draw(sim.draw(Rng::split));
        let disk = Arc::new(SimDisk::new(sim.clone(), id));
        Self { sim: sim.clone(), id, disk, network: network.clone(), wall }
    }

    /// The ports of a process on this machine. A process that has crashed is started by asking
    /// again.
    pub fn world(&self) -> World {
        let (sim, node) = (self.sim.clone(), self.id);
        World {
            clock: Arc::new(SimClock { sim: sim.clone(), node, wall: self.wall }),
            entropy: Arc::new(SimEntropy(Mutex::new(sim.draw(Rng::split)))),
            spawn: Arc::new(SimSpawn { sim: sim.clone(), node }),
            net: Arc::new(SimNet::new(sim, self.network.clone(), node)),
            disk: Arc::clone(&self.disk) as Arc<dyn strandline_ports::Disk>,
        }
    }

    /// The machine stands still, as under a stopped hypervisor, until [`Node::go_on`] or a crash.
    pub fn pause(&self) {
        self.sim.note(&format!("{} stands still", self.id));
        self.sim.pause(self.id);
    }

    pub fn go_on(&self) {
        self.sim.note(&format!("{} goes on", self.id));
        self.sim.go_on(self.id);
    }

    /// Ends every task of the node at once and resets its connections.
    pub fn crash(&self, crash: Crash) {
        self.sim.note(&format!("{} crashes: {crash:?}", self.id));
        self.disk.halt();
        self.sim.kill(self.id);
        self.network.drop_node(self.id);
        self.disk.crash(crash);
    }
}
