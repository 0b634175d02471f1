//! What tests inside the crate share.

use std::sync::Arc;

use strandline_ports::World;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn, WriteBudget};

/// The real world, of the runtime that the test runs in.
pub(crate) fn world() -> World {
    World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap()),
        net: Arc::new(RealNet),
        disk: Arc::new(RealDisk::new(WriteBudget::default())),
    }
}
