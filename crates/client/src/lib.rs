//! The small async client that brokers, tools, tests and benches share.
//!
//! Everything it asks of the world goes through the ports, so it runs in the simulator as it runs
//! on a machine. One [`Client`] is one view of a cluster: connections, metadata, coordinators.
//! [`Admin`], [`Producer`] and [`Consumer`] stand on it and may share it.
#![forbid(unsafe_code)]

pub mod admin;
mod cluster;
mod connection;
pub mod consumer;
mod error;
mod metadata;
pub mod plan;
pub mod producer;
mod sync;
pub mod table;
#[cfg(test)]
mod testing;
mod versions;

pub use admin::Admin;
pub use cluster::{Channel, Client, ClientConfig};
pub use connection::{Answer, Closed, Connection, ConnectionConfig};
pub use consumer::Consumer;
pub use error::{CallError, ClientError, Refusal};
pub use metadata::{Broker, Partition, Topic};
pub use producer::Producer;
pub use versions::Versions;
