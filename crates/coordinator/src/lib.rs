//! Group coordination as decisions: members, rebalances, committed offsets.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
