//! Coordination as decisions: groups and their offsets, transactions.
//!
//! A [`Core`] is what one partition of a coordinator's topic coordinates. [`Core::decide`] takes a
//! request, a timer or an event, and yields entries of the log and effects. *Durable* state is
//! changed only by applying an entry, the same way on a leader and when a log is replayed.
//! *Volatile* state belongs to the leader and dies with its leadership.
//!
//! A driver is a loop: decide, append the entries in the order of the decisions, release the
//! replies once everything decided up to them has committed. When an append fails, the core is
//! thrown away and loaded again: nobody has been told what is lost.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[macro_use]
mod contract;
pub mod groups;
mod key;
pub mod transactions;

pub use contract::{Caller, Core, Effect, EffectOf, Entry, Fault, Input, InputOf, Moment, Ticket};
pub use key::partition_of;
