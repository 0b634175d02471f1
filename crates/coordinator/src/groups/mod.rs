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
mod pending;
mod records;
mod refusal;
mod shard;

pub use api::{
    Effect, Entry, Event, GroupListing, Input, Marker, OffsetFetchGroup, Request, Response,
    Settings, Timer, TopicOffsets, TransactionEnded,
};
pub use offsets::{CommittedOffset, Offsets};
pub use pending::Pending;
pub use records::Record;
pub use refusal::Refusal;
pub use shard::{Durable, Shard};
