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

/// The wall clock of every node starts here, give or take its skew: some day in 2026.
const EPOCH_MILLIS: i64 = 1_790_000_000_000;

struct SimClock {
    sim: Sim,
    node: NodeId,
    skew_millis: i64,
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        let instant = self.sim.now();
        let elapsed_millis = (instant.as_nanos() / 1_000_000) as i64;
        let timestamp = Timestamp(EPOCH_MILLIS + self.skew_millis + elapsed_millis);
        Now { instant, timestamp }
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
    skew_millis: i64,
}

impl Node {
    pub fn new(sim: &Sim, network: &Network, id: NodeId) -> Self {
        let skew_millis = sim.draw(|rng| rng.between(0, 2_000) as i64 - 1_000);
        let disk = Arc::new(SimDisk::new(sim.clone(), id));
        Self { sim: sim.clone(), id, disk, network: network.clone(), skew_millis }
    }

    /// The ports of a process on this machine. A process that has crashed is started by asking
    /// again.
    pub fn world(&self) -> World {
        let (sim, node) = (self.sim.clone(), self.id);
        World {
            clock: Arc::new(SimClock { sim: sim.clone(), node, skew_millis: self.skew_millis }),
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
