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
    if name != CONSUMER_OFFSETS {
        let (num_partitions, replication_factor) = (-1, -1);
        return CreatableTopic { name, num_partitions, replication_factor, ..Default::default() };
    }
    let offsets = &config.offsets;
    let setting = |name: &str, value: String| CreatableTopicConfig {
        name: name.into(),
        value: Some(value),
        ..Default::default()
    };
    CreatableTopic {
        name,
        num_partitions: offsets.num_partitions,
        replication_factor: offsets.replication_factor,
        configs: vec![
            setting("cleanup.policy", "compact".into()),
            setting("compression.type", "producer".into()),
            setting("segment.bytes", offsets.segment_bytes.to_string()),
        ],
        ..Default::default()
    }
}
