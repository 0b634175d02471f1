//! The real world: the machine's clocks, the system's randomness, tokio, TCP, and the file system.
#![expect(clippy::disallowed_methods, reason = "this module is the world that the lints protect")]

mod clock;
mod device;
mod disk;
mod limits;
mod net;
mod page_cache;
mod priority;
mod spawn;

pub use clock::RealClock;
pub use device::WriteBudget;
pub use disk::RealDisk;
pub use limits::raise_open_file_limit;
pub use net::RealNet;
pub use spawn::{RealEntropy, RealSpawn};
