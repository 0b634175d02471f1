//! What the log must know of a topic's settings.

use strandline_types::TimestampType;

/// One value for all partitions of a topic, shared. Names are Kafka's topic settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond this is rolled.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: taken off `segment.ms` at random, so that partitions that were born
    /// together do not roll together.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: at least this many bytes lie between two index entries.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: the largest size of one index file.
    pub segment_index_bytes: u32,
    /// `retention.ms`; negative keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; negative keeps everything.
    pub retention_bytes: i64,
    /// `flush.messages`: how many records may be written and not yet synced when an append is
    /// answered. 1 makes every answer wait for the disk.
    pub flush_messages: i64,
    /// `flush.ms`: how long a written record may stay unsynced. Delays no answer.
    pub flush_ms: i64,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `compact`: records without a key are refused.
    pub compacts: bool,
    /// A leader's log may lack records that were compacted away: any topic's, for they are missing
    /// still when it is not compacted any more, and only the leader knows which.
    pub may_have_holes: bool,
    /// `cleanup.policy` contains `delete`: retention by time and size applies.
    pub deletes: bool,
    /// `producer.id.expiration.ms`: an idle producer's state is forgotten after this.
    pub producer_id_expiration_ms: i64,
    /// `transaction.partition.verification.enable`: a transaction begins here only when its
    /// coordinator has confirmed it.
    pub verifies_transactions: bool,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            retention_ms: 7 * 24 * 3600 * 1000,
            retention_bytes: -1,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compacts: false,
            may_have_holes: false,
            deletes: true,
            producer_id_expiration_ms: 86_400_000,
            verifies_transactions: true,
        }
    }
}

impl LogConfig {
    /// How long a segment may take records: `segment.ms` less this segment's share of the jitter.
    pub(crate) fn segment_ms_of(&self, jitter_seed: u64, base_offset: i64) -> i64 {
        let bound = self.segment_jitter_ms.min(self.segment_ms);
        if bound <= 0 {
            return self.segment_ms;
        }
        // Any well-mixing function does; a stored draw per segment would cost memory.
        let mut mixed = (jitter_seed ^ base_offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 32;
        self.segment_ms - (mixed % bound as u64) as i64
    }
}
