//! The key table: every setting of broker, topic and group, declared once.
//!
//! The tables ([`broker`], [`topic`], [`group`], [`client_metrics`]) hold the facts: Kafka 4.3's
//! names, types, defaults and limits, and what Strandline does with each. Everything else reads
//! them: [`BrokerConfig::resolve`] at start, [`TopicConfig`] per partition, [`describe`] and
//! [`alter`] for the admin calls, [`settings_page`] for the documentation.
//!
//! Text becomes typed values once, at the edge; nothing behind it looks a setting up by name.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod alter;
pub mod broker;
mod broker_config;
mod broker_security;
pub mod client_metrics;
mod cross_check;
pub mod describe;
mod error;
pub mod group;
mod layers;
mod listener;
mod nearest;
mod page;
mod properties;
mod reason;
mod resolve;
mod scope;
mod setting;
pub mod topic;
mod topic_config;
mod value;
mod values;

pub use broker_config::{
    BrokerConfig, CleanerSettings, GroupSettings, LogSettings, MembershipSettings,
    MetadataSettings, NetworkSettings, OffsetsTopicSettings, OwnSettings, ProducerSettings,
    QuorumSettings, ReplicaSelector, ReplicationSettings, Roles, ThrottleSettings, TopicDefaults,
    TransactionSettings,
};
pub use error::{ConfigError, ConfigErrors, Refusal, Warning};
pub use layers::{BrokerLayers, Overrides, Source};
pub use listener::{HostPort, Listener, SecurityProtocol, Voter};
pub use nearest::nearest;
pub use page::settings_page;
pub use properties::{PropertiesError, Property, parse_properties, property_line};
pub use resolve::{Assignment, Origin, Resolved};
pub use scope::Scope;
pub use setting::{Check, Default, Mode, Section, Setting, Status, Synonym, Type, Unit};
pub use topic_config::{CleanupPolicy, CompressionType, ThrottledReplicas, TopicConfig};
pub use value::{Value, allowed};
