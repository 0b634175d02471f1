//! KRaft as decisions: elections, replication of the metadata log, voters, snapshots.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
