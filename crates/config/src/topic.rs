//! The settings of a topic, each with the broker's setting that it inherits from.

use crate::reason;
use crate::setting::{Check, Section, Setting, boolean, double, int, list, long, same, string};

/// Every setting of a topic.
pub const TOPIC: &[Section] = &[Section { title: "Topics", settings: SETTINGS }];

#[rustfmt::skip]
const SETTINGS: &[Setting] = &[
    list("cleanup.policy").default("delete").one_of(&["compact", "delete"]).inherits(&[same("log.cleanup.policy")]).honoured()
        .doc("What happens to old records: delete, compact, both, or nothing where empty."),
    string("compression.type").default("producer").one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]).inherits(&[same("compression.type")]).honoured()
        .doc("Codec of stored batches; producer keeps what was sent."),
    int("compression.gzip.level").default("-1").between(1, 9).or(-1).inherits(&[same("compression.gzip.level")]).honoured()
        .doc("Effort of gzip where the broker compresses; −1 is gzip's own default."),
    int("compression.lz4.level").default("9").between(1, 17).inherits(&[same("compression.lz4.level")]).partly(reason::LZ4_LEVEL)
        .doc("Effort of lz4 where the broker compresses."),
    int("compression.zstd.level").default("3").between(-131_072, 22).inherits(&[same("compression.zstd.level")]).honoured()
        .doc("Effort of zstd where the broker compresses."),
    int("max.message.bytes").default("1048588").at_least(0).inherits(&[same("message.max.bytes")]).honoured()
        .doc("Largest record batch, after compression."),
    string("message.timestamp.type").default("CreateTime").one_of(&["CreateTime", "LogAppendTime"]).inherits(&[same("log.message.timestamp.type")]).honoured()
        .doc("Whether records carry the producer's time or the time of their append."),
    long("message.timestamp.before.max.ms").default("9223372036854775807").at_least(0).inherits(&[same("log.message.timestamp.before.max.ms")]).honoured()
        .doc("How far in the past a record's timestamp may lie."),
    long("message.timestamp.after.max.ms").default("3600000").at_least(0).inherits(&[same("log.message.timestamp.after.max.ms")]).honoured()
        .doc("How far in the future a record's timestamp may lie."),
    int("min.insync.replicas").default("1").at_least(1).inherits(&[same("min.insync.replicas")]).honoured()
        .doc("Replicas that must be in sync for a write with acks=all; never more than the topic has."),
    boolean("unclean.leader.election.enable").default("false").inherits(&[same("unclean.leader.election.enable")]).honoured()
        .doc("Whether a replica out of sync may lead when no other is left, at the price of lost records."),
    long("retention.ms").default("604800000").at_least(-1).inherits(&[same("log.retention.ms")]).honoured()
        .doc("How long records are kept; −1 keeps them for ever."),
    long("retention.bytes").default("-1").inherits(&[same("log.retention.bytes")]).honoured()
        .doc("Most bytes a partition keeps; −1 sets no limit."),
    int("segment.bytes").default("1073741824").at_least(1_048_576).inherits(&[same("log.segment.bytes")]).honoured()
        .doc("Size at which a segment is closed and the next one begun."),
    long("segment.ms").default("604800000").at_least(1).inherits(&[same("log.roll.ms")]).honoured()
        .doc("Age at which a segment is closed."),
    long("segment.jitter.ms").default("0").at_least(0).inherits(&[same("log.roll.jitter.ms")]).honoured()
        .doc("Upper bound of the random time by which segments close earlier."),
    int("segment.index.bytes").default("10485760").at_least(4).inherits(&[same("log.index.size.max.bytes")]).honoured()
        .doc("Most bytes an offset index or time index takes."),
    int("index.interval.bytes").default("4096").at_least(0).inherits(&[same("log.index.interval.bytes")]).honoured()
        .doc("Bytes of records between two entries of the offset index."),
    boolean("preallocate").default("false").inherits(&[same("log.preallocate")]).no_effect(reason::PREALLOCATE)
        .doc("Whether a segment's file takes its full size when it is begun."),
    long("file.delete.delay.ms").default("60000").at_least(0).inherits(&[same("log.segment.delete.delay.ms")]).honoured()
        .doc("How long the files of a deleted segment stay before they are removed."),
    long("flush.messages").default("9223372036854775807").at_least(1).inherits(&[same("log.flush.interval.messages")]).honoured()
        .doc("Records after which the log is flushed; with 1 an acknowledgement waits for the disk."),
    long("flush.ms").default("9223372036854775807").at_least(0).inherits(&[same("log.flush.interval.ms")]).honoured()
        .doc("Longest time a record stays unflushed."),
    long("delete.retention.ms").default("86400000").at_least(0).inherits(&[same("log.cleaner.delete.retention.ms")]).honoured()
        .doc("How long a compacted topic keeps its tombstones."),
    double("min.cleanable.dirty.ratio").default("0.5").fraction(0.0, 1.0).inherits(&[same("log.cleaner.min.cleanable.ratio")]).honoured()
        .doc("Share of uncleaned bytes from which the log is worth cleaning."),
    long("min.compaction.lag.ms").default("0").at_least(0).inherits(&[same("log.cleaner.min.compaction.lag.ms")]).honoured()
        .doc("Time for which a record is safe from compaction."),
    long("max.compaction.lag.ms").default("9223372036854775807").at_least(1).inherits(&[same("log.cleaner.max.compaction.lag.ms")]).honoured()
        .doc("Time after which a record must have been compacted."),
    list("leader.replication.throttled.replicas").default("").check(Check::ThrottledReplicas).honoured()
        .doc("Replicas whose reads from the leader are throttled, as partition:broker, or * for all."),
    list("follower.replication.throttled.replicas").default("").check(Check::ThrottledReplicas).honoured()
        .doc("Replicas whose fetches are throttled, as partition:broker, or * for all."),
    boolean("remote.storage.enable").default("false").no_effect(reason::TIERING)
        .doc("Whether old segments move to remote storage."),
    boolean("remote.log.copy.disable").default("false").no_effect(reason::TIERING)
        .doc("Whether a tiered topic stops copying and only reads what is there."),
    boolean("remote.log.delete.on.disable").default("false").no_effect(reason::TIERING)
        .doc("Whether the remote segments are deleted when tiering is switched off."),
    long("local.retention.ms").default("-2").at_least(-2).inherits(&[same("log.local.retention.ms")]).no_effect(reason::TIERING)
        .doc("How long copied segments stay local; −2 means as long as retention.ms says."),
    long("local.retention.bytes").default("-2").at_least(-2).inherits(&[same("log.local.retention.bytes")]).no_effect(reason::TIERING)
        .doc("Bytes of copied segments that stay local; −2 means as many as retention.bytes says."),
    int("internal.segment.bytes").internal().no_effect(reason::TEST_ONLY)
        .doc("Segment size without the lower bound."),
];
