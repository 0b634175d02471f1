//! The nouns of Strandline: ids, offsets, epochs, error codes, time, and the facts of a record batch.
//!
//! Nothing here can name a file, a socket, a clock or a random seed. Every other crate may use it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod batch;
mod error_code;
mod ids;
mod planted;
mod time;
mod uuid;

pub use batch::{BatchFacts, Compression, ControlType, TimestampType};
pub use error_code::ErrorCode;
pub use ids::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId,
    TopicIdPartition, TopicPartition,
};
#[cfg(feature = "planted-bugs")]
pub use planted::plant;
pub use planted::{Bug, planted};
pub use time::{Instant, Now, Timestamp};
pub use uuid::Uuid;
