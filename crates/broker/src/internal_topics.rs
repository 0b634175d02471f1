//! Topics that the brokers keep for themselves.

use strandline_config::BrokerConfig;
use strandline_metadata::Image;
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
/// coordinator needs, others with the broker's defaults. The replicas that a young cluster has no
/// brokers for do not keep groups waiting: the controller adds them when brokers join.
pub(crate) fn creation(config: &BrokerConfig, image: &Image, name: String) -> CreatableTopic {
    if name != CONSUMER_OFFSETS {
        let (num_partitions, replication_factor) = (-1, -1);
        return CreatableTopic { name, num_partitions, replication_factor, ..Default::default() };
    }
    let offsets = &config.offsets;
    let takers = image.cluster.brokers().filter(|it| it.is_active() && !it.is_cordoned());
    let takers = i16::try_from(takers.count()).unwrap_or(i16::MAX);
    let setting = |name: &str, value: String| CreatableTopicConfig {
        name: name.into(),
        value: Some(value),
        ..Default::default()
    };
    CreatableTopic {
        name,
        num_partitions: offsets.num_partitions,
        replication_factor: offsets.replication_factor.min(takers.max(1)),
        configs: vec![
            setting("cleanup.policy", "compact".into()),
            setting("compression.type", "producer".into()),
            setting("segment.bytes", offsets.segment_bytes.to_string()),
        ],
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use strandline_metadata::Record;
    use strandline_types::Offset;
    use strandline_wire::messages::RegisterBrokerRecord;

    use super::*;

    fn replication_factor(configured: &str, fenced: &[bool]) -> i16 {
        let setting = ("offsets.topic.replication.factor".to_owned(), configured.to_owned());
        let config = BrokerConfig::resolve(None, &[setting]).expect("a setting").config;
        let mut image = Image::default();
        for (fenced, broker_id) in fenced.iter().copied().zip(1..) {
            let record = RegisterBrokerRecord { broker_id, fenced, ..Default::default() };
            image.apply(Record::from(record), Offset(0)).expect("a registration");
        }
        creation(&config, &image, CONSUMER_OFFSETS.into()).replication_factor
    }

    #[test]
    fn groups_do_not_wait_for_brokers_that_are_not_there() {
        assert_eq!(replication_factor("3", &[false]), 1);
        assert_eq!(replication_factor("3", &[false, true, false]), 2);
        assert_eq!(replication_factor("3", &[false; 5]), 3);
        assert_eq!(replication_factor("1", &[false; 5]), 1);
        // The controller says why nothing can be created.
        assert_eq!(replication_factor("3", &[true]), 1);
    }
}
