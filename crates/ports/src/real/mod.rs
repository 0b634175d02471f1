//! The real world: the machine's clocks, the system's randomness, tokio, TCP, and the file system.
#![expect(clippy::disallowed_methods, reason = "this module is the world that the lints protect")]

mod clock;
mod net;
mod spawn;

pub use clock::RealClock;
pub use net::RealNet;
pub use spawn::{RealEntropy, RealSpawn};
