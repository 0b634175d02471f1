//! The cluster image and its controllers, one file per subject.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod shared_map;

pub use shared_map::SharedMap;
