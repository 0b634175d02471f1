//! A topic's settings, typed.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use strandline_types::{Compression, NodeId, PartitionId, TimestampType};

use crate::layers::Overrides;
use crate::scope::Scope;
use crate::value::Value;
use crate::values::Values;

/// What happens to old records. Neither: they stay for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Old segments go, by time and size.
    pub delete: bool,
    /// The newest record of each key stays.
    pub compact: bool,
}

/// The codec of stored batches, as a topic asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// Whatever the producer chose.
    Producer,
    Only(Compression),
}

/// Replicas of a topic that are copied no faster than a broker's throttle allows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ThrottledReplicas {
    #[default]
    None,
    All,
    Some(Vec<(PartitionId, NodeId)>),
}

impl ThrottledReplicas {
    pub fn contains(&self, partition: PartitionId, broker: NodeId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(replicas) => replicas.contains(&(partition, broker)),
        }
    }

    /// `partition:broker,…` or `*`.
    fn of(entries: &[String]) -> Self {
        if entries.iter().any(|entry| entry == "*") {
            return Self::All;
        }
        let replica = |entry: &String| {
            let (partition, broker) = entry.split_once(':')?;
            Some((PartitionId(partition.parse().ok()?), NodeId(broker.parse().ok()?)))
        };
        let replicas: Vec<_> = entries.iter().filter_map(replica).collect();
        if replicas.is_empty() { Self::None } else { Self::Some(replicas) }
    }
}

/// Everything a partition needs to know about its topic. Topics without settings of their own
/// share the broker's.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub compression_type: CompressionType,
    /// −1 is the codec's own default, else 1–9.
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub max_message_bytes: i32,
    pub timestamp_type: TimestampType,
    /// How far in the past a record's timestamp may lie. `i64::MAX` sets no limit.
    pub timestamp_before_max_ms: i64,
    /// How far in the future a record's timestamp may lie.
    pub timestamp_after_max_ms: i64,
    pub min_insync_replicas: i32,
    pub unclean_leader_election: bool,
    /// `None` keeps records for ever.
    pub retention_ms: Option<i64>,
    /// `None` sets no limit.
    pub retention_bytes: Option<i64>,
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    pub index_interval_bytes: i32,
    pub file_delete_delay_ms: i64,
    /// Records between two flushes; 1 makes an acknowledgement wait for the disk.
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub delete_retention_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    /// To whom leaders give no more than `leader.replication.throttled.rate`: the leader's replica
    /// is named.
    pub leader_throttled: ThrottledReplicas,
    /// Who fetches no more than `follower.replication.throttled.rate`.
    pub follower_throttled: ThrottledReplicas,
}

impl Default for TopicConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self::of_broker(&Values::read(&Overrides::new(), |_, _| {}))
    }
}

impl TopicConfig {
    /// The settings of a topic with these overrides. Without any, `defaults` is shared. An
    /// override that is unknown or does not fit is left out: it was validated when it was set,
    /// perhaps by another version.
    pub fn resolve(overrides: &Overrides, defaults: &Arc<Self>) -> Arc<Self> {
        if overrides.is_empty() {
            return Arc::clone(defaults);
        }
        let mut config = (**defaults).clone();
        for (name, text) in overrides {
            if let Some(value) =
                Scope::Topic.find(name).and_then(|setting| Value::parse(setting, text))
            {
                config.set(name, &value);
            }
        }
        Arc::new(config)
    }

    /// The codec that batches are stored with when they arrive with `sent`.
    pub const fn stored_compression(&self, sent: Compression) -> Compression {
        match self.compression_type {
            CompressionType::Producer => sent,
            CompressionType::Only(codec) => codec,
        }
    }

    /// The effort a codec compresses with, in the codec's own scale; 0 where it has none.
    pub const fn compression_level(&self, codec: Compression) -> i32 {
        match codec {
            Compression::None | Compression::Snappy => 0,
            Compression::Gzip => self.compression_gzip_level,
            Compression::Lz4 => self.compression_lz4_level,
            Compression::Zstd => self.compression_zstd_level,
        }
    }

    /// What topics inherit from the broker.
    pub(crate) fn of_broker(values: &Values) -> Self {
        let long = |name| values.long(name);
        let int = |name| values.int(name);
        let mut config = Self {
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            compression_type: CompressionType::Producer,
            compression_gzip_level: int("compression.gzip.level"),
            compression_lz4_level: int("compression.lz4.level"),
            compression_zstd_level: int("compression.zstd.level"),
            max_message_bytes: int("message.max.bytes"),
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: long("log.message.timestamp.before.max.ms"),
            timestamp_after_max_ms: long("log.message.timestamp.after.max.ms"),
            min_insync_replicas: int("min.insync.replicas"),
            unclean_leader_election: values.boolean("unclean.leader.election.enable"),
            retention_ms: limit(long("log.retention.ms")),
            retention_bytes: limit(long("log.retention.bytes")),
            segment_bytes: int("log.segment.bytes"),
            segment_ms: long("log.roll.ms"),
            segment_jitter_ms: long("log.roll.jitter.ms"),
            segment_index_bytes: int("log.index.size.max.bytes"),
            index_interval_bytes: int("log.index.interval.bytes"),
            file_delete_delay_ms: long("log.segment.delete.delay.ms"),
            flush_messages: long("log.flush.interval.messages"),
            flush_ms: long("log.flush.interval.ms"),
            delete_retention_ms: long("log.cleaner.delete.retention.ms"),
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: long("log.cleaner.min.compaction.lag.ms"),
            max_compaction_lag_ms: long("log.cleaner.max.compaction.lag.ms"),
            leader_throttled: ThrottledReplicas::None,
            follower_throttled: ThrottledReplicas::None,
        };
        config.set("compression.type", &values.get("compression.type"));
        config.set("cleanup.policy", &values.get("log.cleanup.policy"));
        config.set("message.timestamp.type", &values.get("log.message.timestamp.type"));
        config.set("min.cleanable.dirty.ratio", &values.get("log.cleaner.min.cleanable.ratio"));
        config
    }

    fn set(&mut self, name: &str, value: &Value) {
        match (name, value) {
            ("cleanup.policy", Value::List(policies)) => {
                let has = |policy: &str| policies.iter().any(|entry| entry == policy);
                self.cleanup_policy =
                    CleanupPolicy { delete: has("delete"), compact: has("compact") };
            }
            ("message.timestamp.type", Value::Text(kind)) => {
                self.timestamp_type = match kind.as_str() {
                    "LogAppendTime" => TimestampType::LogAppendTime,
                    _ => TimestampType::CreateTime,
                };
            }
            ("compression.type", Value::Text(name)) => {
                let codec = Compression::ALL.into_iter().find(|codec| codec.name() == name);
                self.compression_type = match (codec, name.as_str()) {
                    (Some(codec), _) => CompressionType::Only(codec),
                    (None, "uncompressed") => CompressionType::Only(Compression::None),
                    (None, _) => CompressionType::Producer,
                };
            }
            ("compression.gzip.level", Value::Int(n)) => self.compression_gzip_level = *n,
            ("compression.lz4.level", Value::Int(n)) => self.compression_lz4_level = *n,
            ("compression.zstd.level", Value::Int(n)) => self.compression_zstd_level = *n,
            ("max.message.bytes", Value::Int(n)) => self.max_message_bytes = *n,
            ("message.timestamp.before.max.ms", Value::Long(n)) => {
                self.timestamp_before_max_ms = *n
            }
            ("message.timestamp.after.max.ms", Value::Long(n)) => self.timestamp_after_max_ms = *n,
            ("min.insync.replicas", Value::Int(n)) => self.min_insync_replicas = *n,
            ("unclean.leader.election.enable", Value::Boolean(flag)) => {
                self.unclean_leader_election = *flag
            }
            ("retention.ms", Value::Long(n)) => self.retention_ms = limit(*n),
            ("retention.bytes", Value::Long(n)) => self.retention_bytes = limit(*n),
            ("segment.bytes", Value::Int(n)) => self.segment_bytes = *n,
            ("segment.ms", Value::Long(n)) => self.segment_ms = *n,
            ("segment.jitter.ms", Value::Long(n)) => self.segment_jitter_ms = *n,
            ("segment.index.bytes", Value::Int(n)) => self.segment_index_bytes = *n,
            ("index.interval.bytes", Value::Int(n)) => self.index_interval_bytes = *n,
            ("file.delete.delay.ms", Value::Long(n)) => self.file_delete_delay_ms = *n,
            ("flush.messages", Value::Long(n)) => self.flush_messages = *n,
            ("flush.ms", Value::Long(n)) => self.flush_ms = *n,
            ("delete.retention.ms", Value::Long(n)) => self.delete_retention_ms = *n,
            ("min.cleanable.dirty.ratio", Value::Double(n)) => self.min_cleanable_dirty_ratio = *n,
            ("min.compaction.lag.ms", Value::Long(n)) => self.min_compaction_lag_ms = *n,
            ("max.compaction.lag.ms", Value::Long(n)) => self.max_compaction_lag_ms = *n,
            ("leader.replication.throttled.replicas", Value::List(entries)) => {
                self.leader_throttled = ThrottledReplicas::of(entries);
            }
            ("follower.replication.throttled.replicas", Value::List(entries)) => {
                self.follower_throttled = ThrottledReplicas::of(entries);
            }
            _ => {}
        }
    }
}

/// A negative limit is none.
const fn limit(n: i64) -> Option<i64> {
    if n < 0 { None } else { Some(n) }
}
