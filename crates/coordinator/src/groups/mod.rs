//! Groups: members, rebalances, committed offsets.
//!
//! *Durable* are groups as persisted, and offsets. *Volatile* are who has joined so far, parked
//! requests, session deadlines.

mod api;
mod classic;
mod group;
mod invariants;
mod members;
mod offsets;
mod records;
mod refusal;
mod shard;

pub use api::{
    Effect, Entry, Event, GroupListing, Input, OffsetFetchGroup, Request, Response, Settings,
    Timer, TopicOffsets,
};
pub use offsets::{CommittedOffset, Offsets};
pub use records::Record;
pub use refusal::Refusal;
pub use shard::{Durable, Shard};
