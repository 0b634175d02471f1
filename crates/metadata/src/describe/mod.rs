//! What the read-only admin calls answer: pure functions of one image.

mod cluster;
mod configs;
mod features;
mod metadata;
mod topic_partitions;

pub use cluster::{broker_endpoints, controller_endpoints};
pub use configs::{Own, config_resources, configs};
pub use features::{finalized_features, supported_features};
pub use metadata::{Listening, MetadataVersionQuirks, live_brokers, topic, unknown_topic};
pub use topic_partitions::{TopicPartitionsPage, describe_topic_partitions};
