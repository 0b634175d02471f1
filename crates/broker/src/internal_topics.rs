//! Topics that the brokers keep for themselves.

use strandline_config::BrokerConfig;
use strandline_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};

pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";
pub(crate) const TRANSACTION_STATE: &str = "__transaction_state";
pub(crate) const SHARE_GROUP_STATE: &str = "__share_group_state";

/// The client id with which Kafka's own tools may write to internal topics.
pub(crate) const ADMIN_CLIENT_ID: &str = "__admin_client";

pub(crate) fn is_internal(topic: &str) -> bool {
    matches!(topic, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// How a topic is created that somebody merely used: internal ones with the settings that their
/// coordinator needs, others with the broker's defaults. Whether there are brokers for so many
/// replicas is for the controller to say, who knows whether it can add some later.
pub(crate) fn creation(config: &BrokerConfig, name: String) -> CreatableTopic {
    let (offsets, transactions) = (&config.offsets, &config.transactions);
    let setting = |name: &str, value: String| CreatableTopicConfig {
        name: name.into(),
        value: Some(value),
        ..Default::default()
    };
    let (num_partitions, replication_factor, configs) = match &*name {
        CONSUMER_OFFSETS => (
            offsets.num_partitions,
            offsets.replication_factor,
            vec![
                setting("cleanup.policy", "compact".into()),
                setting("compression.type", "producer".into()),
                setting("segment.bytes", offsets.segment_bytes.to_string()),
            ],
        ),
        TRANSACTION_STATE => (
            transactions.num_partitions,
            transactions.replication_factor,
            vec![
                setting("cleanup.policy", "compact".into()),
                setting("compression.type", "uncompressed".into()),
                setting("min.insync.replicas", transactions.min_insync_replicas.to_string()),
                setting("segment.bytes", transactions.segment_bytes.to_string()),
                setting("unclean.leader.election.enable", "false".into()),
            ],
        ),
        _ => (-1, -1, Vec::new()),
    };
    CreatableTopic { name, num_partitions, replication_factor, configs, ..Default::default() }
}
