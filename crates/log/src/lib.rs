//! One partition's log as decisions: admit, roll, retain, recover.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
