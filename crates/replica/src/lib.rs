//! One partition's replication as decisions: leader, high watermark, in-sync replicas.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
