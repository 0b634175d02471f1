//! The simulated world: one seed owns time, disk, network and the order of tasks.
//!
//! Brokers and clients run unchanged on the ports of a [`Node`], single-threaded and in virtual
//! time, so that a run is a function of its seed: the same seed gives the same trace. Faults are
//! drawn from the seed too, or asked for by a scenario.
//!
//! [`scenario`] plays one broker, [`cluster`] several, [`quorum_world`] their quorum alone,
//! [`core_world`] one log.
#![forbid(unsafe_code)]

mod asker;
mod audit;
mod chain;
mod churn;
mod client;
pub mod cluster;
pub mod core_world;
mod crew;
mod disk;
mod elections;
mod executor;
mod guide;
mod members;
mod mover;
mod net;
mod node;
mod oracle;
mod outcome;
mod process;
pub mod quorum_world;
mod registrar;
mod rng;
mod rounds;
pub mod scenario;
mod troupe;
mod watch;
mod workload;

pub use client::{Client, ClientError};
pub use disk::{DiskFaults, SimDisk};
pub use executor::Sim;
pub use net::{NetFaults, Network};
pub use node::{Crash, Node, NodeId};
pub use oracle::{Oracle, PartitionKey, Promise, Value, Violation};
pub use outcome::Outcome;
pub use process::{BROKER_PORT, BrokerProcess, Status};
pub use rng::Rng;
pub use rounds::Rounds;
