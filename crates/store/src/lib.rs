//! Executes log plans on a disk: segments, indexes, checkpoints, log dirs.
//!
//! The log core decides, [`PartitionStore`] writes and reads; a [`LogDir`] holds what partitions
//! of one directory share: its lock, its identity, its checkpoints, and whether it takes writes.
//! Files are Apache Kafka's, byte for byte (see [`format`]).
#![forbid(unsafe_code)]

mod fault;
pub mod format;
mod health;
mod io;
mod log_dir;
mod open_files;
mod partition;
mod snapshot_files;
mod summary;
mod tail_cache;

pub use fault::StoreFault;
pub use health::DirState;
pub use io::Io;
pub use log_dir::{Checkpoint, DirIdentity, FoundPartition, LogDir, LogDirOptions, StartCondition};
pub use open_files::OpenFiles;
pub use partition::{
    Append, CleanPass, CleanStep, DeletedFiles, FileRange, LoadOptions, PartitionStore, Progress,
    ReadAnswer, ReadRequest, Records, Relocation, TimestampOffset,
};
pub use snapshot_files::{SnapshotFiles, SnapshotWriter};
pub use tail_cache::TailCache;
