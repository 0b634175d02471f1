//! Administration: topics, configs, groups, offsets, records, the cluster itself.
//!
//! A call fails as a whole only when nobody answered it. What a broker says about one topic, group
//! or partition stays with that item, in the broker's words.
//!
//! ```no_run
//! # async fn example(world: strandline_ports::World) -> Result<(), Box<dyn std::error::Error>> {
//! use strandline_client::admin::NewTopic;
//! use strandline_client::{Admin, Client, ClientConfig};
//!
//! let admin = Admin::new(Client::new(world, ClientConfig::new("localhost:9092")));
//! let created = admin.create_topics(&[NewTopic::new("flights", 6, 1)], false).await?;
//! for (topic, result) in created {
//!     match result {
//!         Ok(topic_id) => println!("{topic} is {topic_id:?}"),
//!         Err(refusal) => println!("{topic}: {refusal}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod cluster;
mod configs;
mod groups;
mod leaders;
mod membership;
pub(crate) mod offsets;
mod reassignments;
mod topics;
mod transactions;

pub use cluster::{
    ClusterDescription, ClusterNode, Features, LogDir, LogDirReplica, ProducerState, Quorum,
    QuorumReplica,
};
pub use configs::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ResourceType};
pub use groups::{GroupDescription, GroupListing, GroupMember};
pub use membership::NewVoter;
pub use offsets::{CommittedOffset, ListedOffset, OffsetSpec};
pub use reassignments::Reassignment;
pub use strandline_wire::messages::ReplicaCleaning;
pub use topics::{CreatedTopic, NewTopic};
pub use transactions::{
    OpenTransaction, TransactionDescription, TransactionFilter, TransactionListing,
};

use crate::cluster::Client;
use crate::error::Refusal;

/// One answer per item asked for.
pub type PerItem<K, T> = Vec<(K, Result<T, Refusal>)>;

/// Asks a cluster to do things; clones share the view of the cluster.
#[derive(Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What requests that wait for the controller carry.
    fn timeout_ms(&self) -> i32 {
        let wait = self.client.config().connection.request_timeout;
        i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
    }
}

/// Brokers answer in an order of their own; callers get the one they asked in.
fn in_order_of<'a, T>(
    asked: impl Iterator<Item = &'a String> + Clone,
    mut results: PerItem<String, T>,
) -> PerItem<String, T> {
    results.sort_by_key(|(name, _)| asked.clone().position(|asked| asked == name));
    results
}
