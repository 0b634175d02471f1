//! One partition's replication as decisions: leader, high watermark, in-sync replicas.
//!
//! [`Replica`] is a machine: [`Replica::step`] takes an event and the time, changes the state, and
//! names the effects in the order in which they must happen. It wraps the partition's
//! [`Log`](strandline_log::Log). What readers may see is a small [`View`] that the shell publishes,
//! so that they need no lock.
//!
//! Rules are Apache Kafka's (KIP-101 and KIP-279 for epochs, KIP-497 for ISR changes through the
//! controller, KIP-966 for the high watermark below the minimum ISR).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod event;
mod follower;
mod following;
mod isr;
mod leader;
mod quota;
mod refusal;
mod replica;
mod tickets;
mod view;

pub use event::{
    Cut, Effect, Event, FetchAnswer, FetchPosition, Fetched, FollowerChange, Followership,
    IsrAnswer, IsrMember, Leadership, NextFetch, ProduceAnswer, ReplicaConfig, RequiredAcks,
    Ticket,
};
pub use follower::FollowerProgress;
pub use quota::{Quota, QuotaWindow};
pub use refusal::{DeleteRefusal, EpochRefusal, FollowRefusal, ProduceRefusal, ReadRefusal};
pub use replica::Replica;
pub use view::{Isolation, ReadableRange, Reader, View};
