//! KRaft as decisions: elections, replication of the metadata log, voters, snapshots.
//!
//! [`Quorum`] is one node of the quorum as a machine: `step(now, event, &mut effects)`. It owns no
//! file, socket, clock or random seed. What it knows of the log are facts (offsets, epoch
//! boundaries, membership), which it keeps itself because it decides every append and truncation.
//!
//! Sources: KIP-595 (the protocol), KIP-630 (snapshots), KIP-853 (dynamic voters), KIP-996
//! (pre-vote), KIP-966 (a leader steps down without a majority of fetches), KIP-1166 (high
//! watermark in Fetch).
//!
//! The contract with the driver:
//! - Effects are carried out in the order in which they were given.
//! - Writes ([`WriteId`]) become durable in their order; [`Event::Durable`] speaks for all before it.
//! - A message with `after: Some(write)` leaves only once that write is durable.
//! - Every [`Effect::Send`] is followed by one [`Event::Response`], [`Event::Unanswered`] or
//!   [`Event::Gone`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod change;
mod config;
mod describe;
mod elect;
mod event;
mod follow;
mod join;
mod lead;
mod log_view;
mod machine;
mod message;
mod role;
mod snapshot;
mod voters;

pub use config::{Config, Join, Random};
pub use describe::{Description, ReplicaDescription};
pub use event::{
    ControlRecord, Effect, Event, LeaderChange, Peer, RequestId, Ticket, Timer, WriteId,
};
pub use log_view::{Election, EpochStart, Recovered, SnapshotFacts, SnapshotId};
pub use machine::Quorum;
pub use message::{
    BeginQuorumEpoch, EndQuorumEpoch, Fetch, FetchReply, FetchResponse, FetchSnapshot,
    FetchSnapshotReply, FetchSnapshotResponse, FetchedBatch, Refusal, Reply, ReplyBody, Request,
    Response, ResponseBody, Vote, VoterChange,
};
pub use role::RoleName;
pub use voters::{Endpoint, KraftVersionRange, Membership, ReplicaKey, Voter, VoterSet};
