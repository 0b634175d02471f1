//! Ports: everything the shell asks of the world. The same broker runs on the real world
//! ([`real`]) and on a simulated one that owns time, disk and network.
//!
//! Outside this crate's `real` module nothing reads a clock, draws an unseeded random number,
//! spawns a task or opens a file or socket (clippy.toml says so).

use std::sync::Arc;

mod clock;
mod completion;
mod disk;
mod join;
mod net;
pub mod real;
mod spawn;
pub mod watch;

pub use clock::{Clock, Sleep, TimedOut, timeout};
pub use completion::{Completer, Completion};
pub use disk::{DirEntry, DirLock, Disk, DiskSpace, File, OpenMode};
pub use join::both;
pub use net::{Conn, Listener, Net};
pub use spawn::{Entropy, Lane, Spawn, blocking, idle, random_uuid};

/// One node's view of the world: a bundle of ports, cheap to clone.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub spawn: Arc<dyn Spawn>,
    pub net: Arc<dyn Net>,
    pub disk: Arc<dyn Disk>,
}
