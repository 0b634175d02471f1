//! The shell: sessions, the API table, drivers, metrics.
#![forbid(unsafe_code)]

mod api;
mod cx;
mod deadline;
mod dirs;
mod dispatch;
mod driver;
mod features;
mod fencing;
pub mod format;
mod forward;
mod handles;
mod inspect;
mod internal_topics;
mod leader_hints;
mod listener;
mod metrics;
mod own_settings;
mod partitions;
mod producer_ids;
mod session;
mod start;

pub use driver::quorum::FORGOTTEN_FILE;
pub use inspect::{Identity, Inspector, Replica};
pub use start::{BoundAddress, Broker, DirError, Fatal, Ready, StartError, Starting};
