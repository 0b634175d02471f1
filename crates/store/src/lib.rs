//! Executes log plans on a disk: segments, indexes, checkpoints, log dirs.
#![forbid(unsafe_code)]

pub mod format;
