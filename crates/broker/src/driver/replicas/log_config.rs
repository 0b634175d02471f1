//! From a topic's settings to what its logs must know.

use strandline_config::{ProducerSettings, TopicConfig};
use strandline_log::LogConfig;

/// Only a finished segment can be cleaned, so where records must have been cleaned after some time
/// no segment takes longer to be finished.
fn segment_ms(topic: &TopicConfig) -> i64 {
    match topic.cleanup_policy.compact {
        true => topic.segment_ms.min(topic.max_compaction_lag_ms),
        false => topic.segment_ms,
    }
}

pub(super) fn log_config(topic: &TopicConfig, producers: &ProducerSettings) -> LogConfig {
    let unsigned = |value: i32| value.max(0) as u32;
    LogConfig {
        segment_bytes: unsigned(topic.segment_bytes),
        segment_ms: segment_ms(topic),
        segment_jitter_ms: topic.segment_jitter_ms,
        index_interval_bytes: unsigned(topic.index_interval_bytes),
        segment_index_bytes: unsigned(topic.segment_index_bytes),
        retention_ms: topic.retention_ms.unwrap_or(-1),
        retention_bytes: topic.retention_bytes.unwrap_or(-1),
        flush_messages: topic.flush_messages,
        flush_ms: topic.flush_ms,
        max_message_bytes: unsigned(topic.max_message_bytes),
        timestamp_type: topic.timestamp_type,
        timestamp_before_max_ms: topic.timestamp_before_max_ms,
        timestamp_after_max_ms: topic.timestamp_after_max_ms,
        compacts: topic.cleanup_policy.compact,
        may_have_holes: true,
        deletes: topic.cleanup_policy.delete,
        producer_id_expiration_ms: producers.expiration_ms.into(),
        verifies_transactions: producers.verifies_transactions,
    }
}
