//! Group coordination as decisions: members, rebalances, committed offsets.
//!
//! A [`Shard`] is what one partition of `__consumer_offsets` coordinates. [`Shard::decide`] takes a
//! request or a timer and yields records and effects. *Durable* state (groups as persisted,
//! offsets) is changed only by applying a record, the same way on a leader and when a log is
//! replayed. *Volatile* state (who has joined so far, parked requests, session deadlines) belongs
//! to the leader and dies with its leadership.
//!
//! A driver is a loop: decide, append the records in the order of the decisions, release the
//! replies once everything decided up to them has committed. When an append fails, the shard is
//! thrown away and loaded again: nobody has been told what is lost.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod classic;
mod contract;
mod group;
mod group_id;
mod invariants;
mod members;
mod offsets;
mod records;
mod refusal;
mod shard;

pub use contract::{
    Caller, Effect, GroupListing, Input, Moment, OffsetFetchGroup, Request, Response, Settings,
    Ticket, Timer, TopicOffsets,
};
pub use group_id::partition_of;
pub use offsets::{CommittedOffset, Offsets};
pub use records::{Fault, Record, encode};
pub use refusal::Refusal;
pub use shard::{Durable, Shard};
