//! The broker's and controller's settings.

use crate::broker_security::{ACCESS_CONTROL, SASL, TLS};
use crate::reason;
use crate::setting::{
    Check, Section, Setting, boolean, class, double, hours, int, list, long, minutes, same, short,
    string,
};

/// Every setting of a node, by subject.
pub const BROKER: &[Section] = &[
    Section { title: "Process and identity", settings: PROCESS_AND_IDENTITY },
    Section { title: "Listeners and connections", settings: LISTENERS_AND_CONNECTIONS },
    Section { title: "Log directories", settings: LOG_DIRECTORIES },
    Section { title: "Topics", settings: TOPICS },
    Section { title: "Messages", settings: MESSAGES },
    Section { title: "Log segments", settings: LOG_SEGMENTS },
    Section { title: "Retention", settings: RETENTION },
    Section { title: "Flushing", settings: FLUSHING },
    Section { title: "Log cleaner", settings: LOG_CLEANER },
    Section { title: "Fetch", settings: FETCH },
    Section { title: "Replication", settings: REPLICATION },
    Section { title: "Metadata quorum", settings: METADATA_QUORUM },
    Section { title: "Metadata log", settings: METADATA_LOG },
    Section { title: "Groups", settings: GROUPS },
    Section { title: "Group offsets", settings: GROUP_OFFSETS },
    Section { title: "Consumer groups (KIP-848)", settings: CONSUMER_GROUPS },
    Section { title: "Share groups", settings: SHARE_GROUPS },
    Section { title: "Share coordinator", settings: SHARE_COORDINATOR },
    Section { title: "Streams groups", settings: STREAMS_GROUPS },
    Section { title: "Producers and transactions", settings: PRODUCERS_AND_TRANSACTIONS },
    Section { title: "Quotas", settings: QUOTAS },
    Section { title: "Metrics", settings: METRICS },
    Section { title: "Tiered storage", settings: TIERED_STORAGE },
    Section { title: "Access control", settings: ACCESS_CONTROL },
    Section { title: "TLS", settings: TLS },
    Section { title: "SASL", settings: SASL },
    Section { title: "Strandline's own", settings: OWN },
];

#[rustfmt::skip]
const PROCESS_AND_IDENTITY: &[Setting] = &[
    list("process.roles").required().one_of(&["broker", "controller"]).non_empty().honoured()
        .doc("What this process is: broker, controller, or both."),
    int("node.id").required().at_least(0).honoured()
        .doc("The number of this node, unique in the cluster."),
    int("broker.id").default("-1").honoured()
        .doc("Older name of node.id; if both are set they must agree."),
    string("broker.rack").honoured()
        .doc("Where the node stands: its rack, zone or data centre, as clients see it."),
    long("server.max.startup.time.ms").default("9223372036854775807").at_least(0).internal().no_effect(reason::RUNTIME)
        .doc("How long a start may take before it is given up."),
    int("initial.broker.registration.timeout.ms").default("60000").honoured()
        .doc("How long a starting broker waits for its registration by the controller."),
    int("broker.heartbeat.interval.ms").default("500").honoured()
        .doc("Time between two heartbeats of a broker to the controller (Kafka: 2000)."),
    int("broker.session.timeout.ms").default("2500").honoured()
        .doc("Without heartbeats for this long, the controller fences a broker (Kafka: 9000). One that is known to pause longer between heartbeats has 4.5 of its pauses, up to 9 s."),
    boolean("controlled.shutdown.enable").default("true").honoured()
        .doc("Whether a stopping broker first hands its leaderships over."),
    boolean("unstable.api.versions.enable").default("false").internal().no_effect(reason::STABLE)
        .doc("Whether API versions still in development are offered."),
    boolean("unstable.feature.versions.enable").default("false").internal().no_effect(reason::STABLE)
        .doc("Whether feature levels still in development may be finalized."),
    list("config.providers").default("").cluster_wide().fatal(reason::PROVIDERS)
        .doc("Named sources that ${…} references in values are read from."),
];

#[rustfmt::skip]
const LISTENERS_AND_CONNECTIONS: &[Setting] = &[
    list("listeners").default("PLAINTEXT://:9092").non_empty().per_broker().partly(reason::OPEN_AT_START)
        .doc("Addresses to listen on, as NAME://host:port; an empty host means every interface, port 0 any free port."),
    list("advertised.listeners").non_empty().honoured()
        .doc("Addresses that clients are told to connect to; the listeners themselves where unset."),
    string("listener.security.protocol.map").default("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT").per_broker().partly(reason::PLAINTEXT)
        .doc("Which security protocol each listener name speaks."),
    string("inter.broker.listener.name").honoured()
        .doc("The listener that brokers use among themselves."),
    string("security.inter.broker.protocol").default("PLAINTEXT").one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]).fatal(reason::SECURITY)
        .doc("The security protocol brokers use among themselves, where no listener is named."),
    list("early.start.listeners").no_effect(reason::LISTENERS)
        .doc("Listeners that open before the broker is fully started."),
    int("socket.listen.backlog.size").default("50").at_least(1).honoured()
        .doc("Connections the operating system may queue before they are accepted."),
    int("socket.receive.buffer.bytes").default("102400").honoured()
        .doc("Receive buffer of each connection; −1 leaves it to the operating system."),
    int("socket.send.buffer.bytes").default("102400").honoured()
        .doc("Send buffer of each connection; −1 leaves it to the operating system."),
    int("socket.request.max.bytes").default("104857600").at_least(1).honoured()
        .doc("Largest request frame; a larger one closes the connection."),
    long("socket.connection.setup.timeout.ms").default("10000").no_effect(reason::BETWEEN_BROKERS)
        .doc("First wait for an outgoing connection to be established."),
    long("socket.connection.setup.timeout.max.ms").default("30000").no_effect(reason::BETWEEN_BROKERS)
        .doc("Longest wait for an outgoing connection to be established."),
    int("max.connections").default("2147483647").at_least(0).cluster_wide().honoured()
        .doc("Most connections the broker holds at once."),
    int("max.connections.per.ip").default("2147483647").at_least(0).cluster_wide().honoured()
        .doc("Most connections from one address."),
    string("max.connections.per.ip.overrides").default("").cluster_wide().honoured()
        .doc("Limits for single addresses, as host:count, separated by commas."),
    int("max.connection.creation.rate").default("2147483647").at_least(0).cluster_wide().no_effect(reason::CONNECTION_RATE)
        .doc("Most new connections per second."),
    long("connections.max.idle.ms").default("600000").honoured()
        .doc("A connection without traffic for this long is closed."),
    int("connection.failed.authentication.delay.ms").default("100").at_least(0).no_effect(reason::SECURITY_TUNING)
        .doc("How long a failed authentication is kept waiting before it is answered."),
    int("queued.max.requests").default("500").at_least(1).no_effect(reason::RUNTIME)
        .doc("Requests that may wait for a handler."),
    long("queued.max.request.bytes").default("-1").honoured()
        .doc("Budget for all request bytes in flight; where not above 0, strandline.request.memory.max.bytes holds."),
    int("request.timeout.ms").default("30000").at_least(0).honoured()
        .doc("How long a request to another node waits for its answer."),
    int("num.network.threads").default("3").at_least(1).cluster_wide().no_effect(reason::RUNTIME)
        .doc("Threads that read and write sockets, per listener."),
    int("num.io.threads").default("8").at_least(1).cluster_wide().no_effect(reason::RUNTIME)
        .doc("Threads that handle requests."),
    int("background.threads").default("10").at_least(1).cluster_wide().no_effect(reason::RUNTIME)
        .doc("Threads for house-keeping."),
];

#[rustfmt::skip]
const LOG_DIRECTORIES: &[Setting] = &[
    list("log.dirs").non_empty().honoured()
        .doc("Directories that hold the partitions' data, separated by commas."),
    list("log.dir").default("/tmp/kafka-logs").non_empty().honoured()
        .doc("The data directory where log.dirs is unset."),
    string("metadata.log.dir").honoured()
        .doc("Directory of the metadata log; the first log directory where unset."),
    list("cordoned.log.dirs").default("").per_broker().honoured()
        .doc("Log directories that receive no new partitions."),
    long("log.dir.failure.timeout.ms").default("30000").at_least(1).no_effect(reason::DIR_FAILURE)
        .doc("A broker that cannot report a failed directory for this long stops."),
    int("num.recovery.threads.per.data.dir").default("2").at_least(1).cluster_wide().no_effect(reason::RUNTIME)
        .doc("Threads per directory that recover logs at start and flush them at stop."),
    int("num.replica.alter.log.dirs.threads").no_effect(reason::MOVES)
        .doc("Threads that move replicas between log directories."),
];

#[rustfmt::skip]
const TOPICS: &[Setting] = &[
    int("num.partitions").default("1").at_least(1).honoured()
        .doc("Partitions of a topic that is created without naming a number."),
    int("default.replication.factor").default("1").honoured()
        .doc("Replicas of a topic that is created without naming a number."),
    boolean("auto.create.topics.enable").default("true").honoured()
        .doc("Whether asking for an unknown topic creates it."),
    boolean("delete.topic.enable").default("true").honoured()
        .doc("Whether topics can be deleted."),
    int("min.insync.replicas").default("1").at_least(1).cluster_wide().honoured()
        .doc("Replicas that must be in sync for a write with acks=all."),
    boolean("unclean.leader.election.enable").default("false").cluster_wide().honoured()
        .doc("Whether a replica out of sync may lead when no other is left, at the price of lost records."),
    long("unclean.leader.election.interval.ms").default("300000").at_least(1).internal().no_effect(reason::AT_ONCE)
        .doc("Time between two checks for partitions that need an unclean election."),
    boolean("auto.leader.rebalance.enable").default("true").honoured()
        .doc("Whether leaderships return to the preferred replicas by themselves."),
    long("leader.imbalance.check.interval.seconds").default("300").at_least(1).honoured()
        .doc("Time between two checks of leaderships against the preferred replicas."),
    class("create.topic.policy.class.name").fatal(reason::PLUGIN_GUARD)
        .doc("Plugin that judges each topic creation."),
    class("alter.config.policy.class.name").fatal(reason::PLUGIN_GUARD)
        .doc("Plugin that judges each change of settings."),
];

#[rustfmt::skip]
const MESSAGES: &[Setting] = &[
    int("message.max.bytes").default("1048588").at_least(0).cluster_wide().honoured()
        .doc("Largest record batch, after compression."),
    string("compression.type").default("producer").one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]).cluster_wide().honoured()
        .doc("Codec of stored batches; producer keeps what was sent."),
    int("compression.gzip.level").default("-1").between(1, 9).or(-1).cluster_wide().honoured()
        .doc("Effort of gzip where the broker compresses; −1 is gzip's own default."),
    int("compression.lz4.level").default("9").between(1, 17).cluster_wide().partly(reason::LZ4_LEVEL)
        .doc("Effort of lz4 where the broker compresses."),
    int("compression.zstd.level").default("3").between(-131_072, 22).cluster_wide().honoured()
        .doc("Effort of zstd where the broker compresses."),
    string("log.message.timestamp.type").default("CreateTime").one_of(&["CreateTime", "LogAppendTime"]).cluster_wide().honoured()
        .doc("Whether records carry the producer's time or the time of their append."),
    long("log.message.timestamp.before.max.ms").default("9223372036854775807").at_least(0).cluster_wide().honoured()
        .doc("How far in the past a record's timestamp may lie."),
    long("log.message.timestamp.after.max.ms").default("3600000").at_least(0).cluster_wide().honoured()
        .doc("How far in the future a record's timestamp may lie."),
];

#[rustfmt::skip]
const LOG_SEGMENTS: &[Setting] = &[
    int("log.segment.bytes").default("1073741824").at_least(1_048_576).cluster_wide().honoured()
        .doc("Size at which a segment is closed and the next one begun."),
    long("log.roll.ms").falls_back_to(&[hours("log.roll.hours")]).cluster_wide().honoured()
        .doc("Age at which a segment is closed; log.roll.hours where unset."),
    int("log.roll.hours").default("168").at_least(1).honoured()
        .doc("Age at which a segment is closed, in hours."),
    long("log.roll.jitter.ms").falls_back_to(&[hours("log.roll.jitter.hours")]).cluster_wide().honoured()
        .doc("Upper bound of the random time by which segments close earlier, so that they do not all close at once."),
    int("log.roll.jitter.hours").default("0").at_least(0).honoured()
        .doc("The same upper bound in hours."),
    int("log.index.size.max.bytes").default("10485760").at_least(4).cluster_wide().honoured()
        .doc("Most bytes an offset index or time index takes."),
    int("log.index.interval.bytes").default("4096").at_least(0).cluster_wide().honoured()
        .doc("Bytes of records between two entries of the offset index."),
    boolean("log.preallocate").default("false").cluster_wide().no_effect(reason::PREALLOCATE)
        .doc("Whether a segment's file takes its full size when it is begun."),
    long("log.segment.delete.delay.ms").default("60000").at_least(0).cluster_wide().honoured()
        .doc("How long the files of a deleted segment stay before they are removed."),
    long("log.initial.task.delay.ms").default("30000").at_least(0).internal().honoured()
        .doc("How long after start the first round of log house-keeping begins."),
];

#[rustfmt::skip]
const RETENTION: &[Setting] = &[
    long("log.retention.ms").falls_back_to(&[minutes("log.retention.minutes"), hours("log.retention.hours")]).cluster_wide().honoured()
        .doc("How long records are kept; −1 keeps them for ever; log.retention.minutes where unset."),
    int("log.retention.minutes").honoured()
        .doc("How long records are kept, in minutes; log.retention.hours where unset."),
    int("log.retention.hours").default("168").honoured()
        .doc("How long records are kept, in hours."),
    long("log.retention.bytes").default("-1").cluster_wide().honoured()
        .doc("Most bytes a partition keeps; −1 sets no limit."),
    long("log.retention.check.interval.ms").default("300000").at_least(1).honoured()
        .doc("Time between two searches for segments to delete."),
    list("log.cleanup.policy").default("delete").one_of(&["compact", "delete"]).cluster_wide().honoured()
        .doc("What happens to old records: delete, compact, both, or nothing where empty."),
];

#[rustfmt::skip]
const FLUSHING: &[Setting] = &[
    long("log.flush.interval.messages").default("9223372036854775807").at_least(1).cluster_wide().honoured()
        .doc("Records after which a log is flushed to the disk."),
    long("log.flush.interval.ms").falls_back_to(&[same("log.flush.scheduler.interval.ms")]).cluster_wide().honoured()
        .doc("Longest time a record stays unflushed; log.flush.scheduler.interval.ms where unset."),
    long("log.flush.scheduler.interval.ms").default("9223372036854775807").honoured()
        .doc("Time between two searches for logs to flush."),
    int("log.flush.offset.checkpoint.interval.ms").default("60000").at_least(0).honoured()
        .doc("Time between two writes of the recovery points."),
    int("log.flush.start.offset.checkpoint.interval.ms").default("60000").at_least(0).honoured()
        .doc("Time between two writes of the log start offsets."),
];

#[rustfmt::skip]
const LOG_CLEANER: &[Setting] = &[
    boolean("log.cleaner.enable").default("true").honoured()
        .doc("Whether the cleaner runs."),
    int("log.cleaner.threads").default("1").at_least(0).cluster_wide().honoured()
        .doc("Threads of the cleaner."),
    long("log.cleaner.backoff.ms").default("15000").at_least(0).cluster_wide().honoured()
        .doc("Pause of the cleaner when there is nothing to clean."),
    long("log.cleaner.dedupe.buffer.size").default("134217728").cluster_wide().honoured()
        .doc("Memory of all cleaner threads for the map of keys."),
    int("log.cleaner.io.buffer.size").default("524288").at_least(0).cluster_wide().no_effect(reason::CLEANER_BUFFER)
        .doc("Memory of all cleaner threads for reading and writing."),
    double("log.cleaner.io.buffer.load.factor").default("0.9").cluster_wide().honoured()
        .doc("How full the map of keys may get."),
    double("log.cleaner.io.max.bytes.per.second").default("1.7976931348623157E308").cluster_wide().honoured()
        .doc("Most bytes per second that the cleaner reads and writes."),
    long("log.cleaner.delete.retention.ms").default("86400000").at_least(0).cluster_wide().honoured()
        .doc("How long a compacted topic keeps its tombstones."),
    double("log.cleaner.min.cleanable.ratio").default("0.5").fraction(0.0, 1.0).cluster_wide().honoured()
        .doc("Share of uncleaned bytes from which a log is worth cleaning."),
    long("log.cleaner.min.compaction.lag.ms").default("0").at_least(0).cluster_wide().honoured()
        .doc("Time for which a record is safe from compaction."),
    long("log.cleaner.max.compaction.lag.ms").default("9223372036854775807").at_least(1).cluster_wide().honoured()
        .doc("Time after which a record must have been compacted."),
];

#[rustfmt::skip]
const FETCH: &[Setting] = &[
    int("fetch.max.bytes").default("57671680").at_least(1024).honoured()
        .doc("Most bytes of one answer to a fetch, whatever the client asks for."),
    int("max.incremental.fetch.session.cache.slots").default("1000").at_least(0).honoured()
        .doc("Fetch sessions that are remembered."),
    int("max.request.partition.size.limit").default("2000").at_least(1).honoured()
        .doc("Most partitions in one answer to DescribeTopicPartitions."),
    int("fetch.purgatory.purge.interval.requests").default("1000").no_effect(reason::RUNTIME)
        .doc("Finished fetches after which the list of waiting ones is swept."),
    int("producer.purgatory.purge.interval.requests").default("1000").no_effect(reason::RUNTIME)
        .doc("Finished produce requests after which the list of waiting ones is swept."),
    int("delete.records.purgatory.purge.interval.requests").default("1").no_effect(reason::RUNTIME)
        .doc("Finished DeleteRecords requests after which the list of waiting ones is swept."),
    int("share.fetch.purgatory.purge.interval.requests").default("1000").no_effect(reason::SHARE)
        .doc("Finished share fetches after which the list of waiting ones is swept."),
];

#[rustfmt::skip]
const REPLICATION: &[Setting] = &[
    int("num.replica.fetchers").default("1").at_least(1).cluster_wide().honoured()
        .doc("Connections per source broker that fetch for followers."),
    long("replica.lag.time.max.ms").default("30000").honoured()
        .doc("A follower that has not caught up for this long leaves the in-sync replicas."),
    int("replica.fetch.max.bytes").default("1048576").at_least(0).honoured()
        .doc("Bytes a follower asks for per partition."),
    int("replica.fetch.min.bytes").default("1").honoured()
        .doc("Bytes a leader waits for before it answers a follower."),
    int("replica.fetch.response.max.bytes").default("10485760").at_least(0).honoured()
        .doc("Bytes a follower asks for per request."),
    int("replica.fetch.wait.max.ms").default("500").honoured()
        .doc("Longest wait of a follower's fetch at the leader."),
    int("replica.fetch.backoff.ms").default("1000").at_least(0).honoured()
        .doc("Pause of a follower after a failed fetch."),
    int("replica.socket.timeout.ms").default("30000").honoured()
        .doc("How long a follower waits for an answer."),
    int("replica.socket.receive.buffer.bytes").default("65536").no_effect(reason::BETWEEN_BROKERS)
        .doc("Receive buffer of a follower's connection."),
    long("replica.high.watermark.checkpoint.interval.ms").default("5000").honoured()
        .doc("Time between two writes of the high watermarks."),
    string("replica.selector.class").partly(reason::SELECTOR)
        .doc("Which replica a consumer is sent to: the leader where it is not set, else one in its rack."),
    boolean("follower.fetch.last.tiered.offset.enable").default("false").cluster_wide().no_effect(reason::TIERING)
        .doc("Whether a new follower starts after what the remote storage holds."),
];

#[rustfmt::skip]
const METADATA_QUORUM: &[Setting] = &[
    list("controller.listener.names").required().non_empty().honoured()
        .doc("Names of the listeners that controllers use."),
    list("controller.quorum.bootstrap.servers").default("").check(Check::Servers).honoured()
        .doc("Addresses through which the metadata quorum is found."),
    list("controller.quorum.voters").default("").check(Check::Voters).honoured()
        .doc("The fixed voters of the metadata quorum, as id@host:port."),
    boolean("controller.quorum.auto.join.enable").default("false").honoured()
        .doc("Whether a controller that is no voter becomes one by itself. Where nothing is set, one that \
            formatted itself to join a quorum does so once, when that helps."),
    int("controller.quorum.election.timeout.ms").default("1000").at_least(0).honoured()
        .doc("How long a candidate waits for votes."),
    int("controller.quorum.election.backoff.max.ms").default("1000").at_least(0).honoured()
        .doc("Longest pause between two elections."),
    int("controller.quorum.fetch.timeout.ms").default("2000").at_least(0).honoured()
        .doc("Without a successful fetch for this long, a voter stands for election."),
    int("controller.quorum.append.linger.ms").default("25").at_least(0).honoured()
        .doc("How long the leader gathers metadata records before it writes them."),
    int("controller.quorum.request.timeout.ms").default("2000").at_least(0).honoured()
        .doc("How long a request within the quorum waits for its answer."),
    int("controller.quorum.retry.backoff.ms").default("20").at_least(0).honoured()
        .doc("Pause before a request within the quorum is sent again."),
    int("controller.quorum.fetch.max.bytes").default("1048576").at_least(1).honoured()
        .doc("Bytes of metadata log per fetch."),
    int("controller.quorum.fetch.snapshot.max.bytes").default("1048576").at_least(1).honoured()
        .doc("Bytes of metadata snapshot per fetch."),
    int("controller.socket.timeout.ms").default("30000").honoured()
        .doc("How long a request to the controller waits for its answer."),
    long("controller.performance.sample.period.ms").default("60000").at_least(100).internal().no_effect(reason::METRICS)
        .doc("Period over which the controller's slowest events are reported."),
    long("controller.performance.always.log.threshold.ms").default("2000").at_least(0).internal().no_effect(reason::METRICS)
        .doc("A controller event slower than this is always reported."),
];

#[rustfmt::skip]
const METADATA_LOG: &[Setting] = &[
    int("metadata.log.segment.bytes").default("1073741824").at_least(8_388_608).honoured()
        .doc("Size at which a segment of the metadata log is closed."),
    long("metadata.log.segment.ms").default("604800000").honoured()
        .doc("Age at which a segment of the metadata log is closed."),
    long("metadata.log.max.record.bytes.between.snapshots").default("20971520").at_least(1).honoured()
        .doc("Bytes of metadata records after which a snapshot is taken."),
    long("metadata.log.max.snapshot.interval.ms").default("3600000").at_least(0).honoured()
        .doc("Longest time without a snapshot while records arrive; 0 sets no limit."),
    long("metadata.max.retention.bytes").default("104857600").honoured()
        .doc("Bytes of metadata log and snapshots from which old ones are deleted."),
    long("metadata.max.retention.ms").default("604800000").honoured()
        .doc("Age at which old metadata segments and snapshots are deleted."),
    int("metadata.max.idle.interval.ms").default("500").at_least(0).honoured()
        .doc("How often an idle active controller writes an empty record; 0 never."),
    int("internal.metadata.log.segment.bytes").internal().no_effect(reason::TEST_ONLY)
        .doc("Segment size of the metadata log without the lower bound."),
    int("internal.metadata.max.batch.size.in.bytes").default("8388608").internal().no_effect(reason::TEST_ONLY)
        .doc("Largest batch of the metadata log."),
    long("internal.metadata.delete.delay.millis").default("60000").internal().no_effect(reason::TEST_ONLY)
        .doc("How long the files of a deleted metadata segment stay."),
];

#[rustfmt::skip]
const GROUPS: &[Setting] = &[
    int("group.initial.rebalance.delay.ms").default("3000").honoured()
        .doc("How long a new group waits for more members before its first rebalance."),
    int("group.min.session.timeout.ms").default("6000").honoured()
        .doc("Shortest session timeout a member may ask for."),
    int("group.max.session.timeout.ms").default("1800000").honoured()
        .doc("Longest session timeout a member may ask for."),
    int("group.max.size").default("2147483647").at_least(1).honoured()
        .doc("Most members of a group."),
    list("group.coordinator.rebalance.protocols").default("classic,consumer,streams").one_of(&["consumer", "classic", "share", "streams"]).non_empty().partly(reason::CLASSIC_ONLY)
        .doc("Group protocols that are served."),
    int("group.coordinator.threads").default("4").at_least(1).no_effect(reason::RUNTIME)
        .doc("Threads of the group coordinator."),
    int("group.coordinator.background.threads").default("2").at_least(1).no_effect(reason::RUNTIME)
        .doc("Threads for long computations of the group coordinator."),
    int("group.coordinator.append.linger.ms").default("-1").at_least(-1).no_effect(reason::RUNTIME)
        .doc("How long the coordinator gathers records before it writes them; −1 adapts to the load."),
    int("group.coordinator.cached.buffer.max.bytes").default("1048588").at_least(524_288).cluster_wide().no_effect(reason::RUNTIME)
        .doc("Largest write buffer that the coordinator keeps for reuse."),
];

#[rustfmt::skip]
const GROUP_OFFSETS: &[Setting] = &[
    int("offsets.topic.num.partitions").default("50").at_least(1).honoured()
        .doc("Partitions of the offsets topic; fixed once it exists."),
    short("offsets.topic.replication.factor").default("3").at_least(1).honoured()
        .doc("Replicas of the offsets topic, as far as there are brokers: it gains those it lacks, by the controllers' value, as brokers join."),
    int("offsets.topic.segment.bytes").default("104857600").at_least(1).honoured()
        .doc("Segment size of the offsets topic."),
    int("offsets.topic.compression.codec").default("0").honoured()
        .doc("Codec of the offsets topic's records, by its number; 0 is none."),
    int("offsets.retention.minutes").default("10080").at_least(1).honoured()
        .doc("How long offsets of an empty group are kept."),
    long("offsets.retention.check.interval.ms").default("600000").at_least(1).honoured()
        .doc("Time between two searches for expired offsets."),
    int("offsets.commit.timeout.ms").default("5000").at_least(1).honoured()
        .doc("How long a commit waits for its replicas."),
    int("offsets.load.buffer.size").default("5242880").at_least(1).no_effect(reason::RUNTIME)
        .doc("Bytes read at once when offsets are loaded."),
    int("offset.metadata.max.bytes").default("4096").honoured()
        .doc("Largest text that a commit may attach to an offset."),
];

#[rustfmt::skip]
const CONSUMER_GROUPS: &[Setting] = &[
    list("group.consumer.assignors").default("uniform,range").non_empty().no_effect(reason::KIP_848)
        .doc("Server-side assignors, the first being the default."),
    int("group.consumer.session.timeout.ms").default("45000").at_least(1).no_effect(reason::KIP_848)
        .doc("Without heartbeats for this long, a member is removed."),
    int("group.consumer.min.session.timeout.ms").default("45000").at_least(1).no_effect(reason::KIP_848)
        .doc("Least value of a group's session timeout."),
    int("group.consumer.max.session.timeout.ms").default("60000").at_least(1).no_effect(reason::KIP_848)
        .doc("Greatest value of a group's session timeout."),
    int("group.consumer.heartbeat.interval.ms").default("5000").at_least(1).no_effect(reason::KIP_848)
        .doc("How often members send heartbeats."),
    int("group.consumer.min.heartbeat.interval.ms").default("5000").at_least(1).no_effect(reason::KIP_848)
        .doc("Least value of a group's heartbeat interval."),
    int("group.consumer.max.heartbeat.interval.ms").default("15000").at_least(1).no_effect(reason::KIP_848)
        .doc("Greatest value of a group's heartbeat interval."),
    int("group.consumer.assignment.interval.ms").default("1000").at_least(0).cluster_wide().no_effect(reason::KIP_848)
        .doc("Shortest time between two assignments of a group."),
    int("group.consumer.min.assignment.interval.ms").default("0").at_least(0).no_effect(reason::KIP_848)
        .doc("Least value of a group's assignment interval."),
    int("group.consumer.max.assignment.interval.ms").default("15000").at_least(0).no_effect(reason::KIP_848)
        .doc("Greatest value of a group's assignment interval."),
    int("group.consumer.max.size").default("2147483647").at_least(1).no_effect(reason::KIP_848)
        .doc("Most members of a consumer group."),
    string("group.consumer.migration.policy").default("bidirectional").check(Check::OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"])).no_effect(reason::KIP_848)
        .doc("Whether groups may change between the classic and the consumer protocol."),
    int("group.consumer.regex.refresh.interval.ms").default("600000").at_least(10_000).internal().no_effect(reason::KIP_848)
        .doc("How often subscriptions by pattern are matched against the topics."),
];

#[rustfmt::skip]
const SHARE_GROUPS: &[Setting] = &[
    list("group.share.assignors").default("simple").non_empty().no_effect(reason::SHARE)
        .doc("Server-side assignor of share groups."),
    int("group.share.session.timeout.ms").default("45000").at_least(1).no_effect(reason::SHARE)
        .doc("Without heartbeats for this long, a member is removed."),
    int("group.share.min.session.timeout.ms").default("45000").at_least(1).no_effect(reason::SHARE)
        .doc("Least value of a group's session timeout."),
    int("group.share.max.session.timeout.ms").default("60000").at_least(1).no_effect(reason::SHARE)
        .doc("Greatest value of a group's session timeout."),
    int("group.share.heartbeat.interval.ms").default("5000").at_least(1).no_effect(reason::SHARE)
        .doc("How often members send heartbeats."),
    int("group.share.min.heartbeat.interval.ms").default("5000").at_least(1).no_effect(reason::SHARE)
        .doc("Least value of a group's heartbeat interval."),
    int("group.share.max.heartbeat.interval.ms").default("15000").at_least(1).no_effect(reason::SHARE)
        .doc("Greatest value of a group's heartbeat interval."),
    int("group.share.assignment.interval.ms").default("1000").at_least(0).cluster_wide().no_effect(reason::SHARE)
        .doc("Shortest time between two assignments of a group."),
    int("group.share.min.assignment.interval.ms").default("0").at_least(0).no_effect(reason::SHARE)
        .doc("Least value of a group's assignment interval."),
    int("group.share.max.assignment.interval.ms").default("15000").at_least(0).no_effect(reason::SHARE)
        .doc("Greatest value of a group's assignment interval."),
    int("group.share.max.size").default("200").between(1, 1000).no_effect(reason::SHARE)
        .doc("Most members of a share group."),
    int("group.share.record.lock.duration.ms").default("30000").between(1000, 3_600_000).no_effect(reason::SHARE)
        .doc("How long a delivered record stays locked for its consumer."),
    int("group.share.min.record.lock.duration.ms").default("15000").between(1000, 30_000).no_effect(reason::SHARE)
        .doc("Least value of a group's lock duration."),
    int("group.share.max.record.lock.duration.ms").default("60000").between(30_000, 3_600_000).no_effect(reason::SHARE)
        .doc("Greatest value of a group's lock duration."),
    int("group.share.delivery.count.limit").default("5").between(2, 10).no_effect(reason::SHARE)
        .doc("How often a record is delivered at most."),
    int("group.share.min.delivery.count.limit").default("2").between(2, 5).no_effect(reason::SHARE)
        .doc("Least value of a group's delivery limit."),
    int("group.share.max.delivery.count.limit").default("10").between(5, 25).no_effect(reason::SHARE)
        .doc("Greatest value of a group's delivery limit."),
    int("group.share.partition.max.record.locks").default("2000").between(100, 10_000).no_effect(reason::SHARE)
        .doc("Most locked records per partition."),
    int("group.share.min.partition.max.record.locks").default("100").between(100, 2000).no_effect(reason::SHARE)
        .doc("Least value of a group's limit of locks."),
    int("group.share.max.partition.max.record.locks").default("4000").between(2000, 10_000).no_effect(reason::SHARE)
        .doc("Greatest value of a group's limit of locks."),
    int("group.share.max.share.sessions").default("2000").at_least(1).no_effect(reason::SHARE)
        .doc("Share sessions that are remembered."),
    int("group.share.initialize.retry.interval.ms").default("30000").at_least(1).internal().no_effect(reason::SHARE)
        .doc("Pause before the state of a share partition is initialized again."),
    string("group.share.persister.class.name").default("org.apache.kafka.server.share.persister.DefaultStatePersister").internal().no_effect(reason::SHARE)
        .doc("Where the state of share groups is stored."),
];

#[rustfmt::skip]
const SHARE_COORDINATOR: &[Setting] = &[
    int("share.coordinator.state.topic.num.partitions").default("50").at_least(1).no_effect(reason::SHARE)
        .doc("Partitions of the share state topic."),
    short("share.coordinator.state.topic.replication.factor").default("3").at_least(1).no_effect(reason::SHARE)
        .doc("Replicas of the share state topic."),
    short("share.coordinator.state.topic.min.isr").default("2").at_least(1).no_effect(reason::SHARE)
        .doc("Replicas of the share state topic that must be in sync."),
    int("share.coordinator.state.topic.segment.bytes").default("104857600").at_least(1).no_effect(reason::SHARE)
        .doc("Segment size of the share state topic."),
    int("share.coordinator.state.topic.compression.codec").default("0").no_effect(reason::SHARE)
        .doc("Codec of the share state topic's records, by its number."),
    int("share.coordinator.state.topic.prune.interval.ms").default("300000").at_least(1).internal().no_effect(reason::SHARE)
        .doc("Time between two deletions of outdated share state."),
    int("share.coordinator.cold.partition.snapshot.interval.ms").default("300000").at_least(1).internal().no_effect(reason::SHARE)
        .doc("Time between two snapshots of partitions without traffic."),
    int("share.coordinator.snapshot.update.records.per.snapshot").default("500").between(0, 500).no_effect(reason::SHARE)
        .doc("Updates after which share state is written in full."),
    int("share.coordinator.write.timeout.ms").default("5000").at_least(1).no_effect(reason::SHARE)
        .doc("How long a write of share state waits for its replicas."),
    int("share.coordinator.load.buffer.size").default("5242880").at_least(1).no_effect(reason::SHARE)
        .doc("Bytes read at once when share state is loaded."),
    int("share.coordinator.threads").default("1").at_least(1).no_effect(reason::SHARE)
        .doc("Threads of the share coordinator."),
    int("share.coordinator.append.linger.ms").default("-1").at_least(-1).no_effect(reason::SHARE)
        .doc("How long the coordinator gathers records before it writes them."),
    int("share.coordinator.cached.buffer.max.bytes").default("1048588").at_least(524_288).cluster_wide().no_effect(reason::SHARE)
        .doc("Largest write buffer that the coordinator keeps for reuse."),
];

#[rustfmt::skip]
const STREAMS_GROUPS: &[Setting] = &[
    int("group.streams.session.timeout.ms").default("45000").at_least(1).no_effect(reason::STREAMS)
        .doc("Without heartbeats for this long, a member is removed."),
    int("group.streams.min.session.timeout.ms").default("45000").at_least(1).no_effect(reason::STREAMS)
        .doc("Least value of a group's session timeout."),
    int("group.streams.max.session.timeout.ms").default("60000").at_least(1).no_effect(reason::STREAMS)
        .doc("Greatest value of a group's session timeout."),
    int("group.streams.heartbeat.interval.ms").default("5000").at_least(1).no_effect(reason::STREAMS)
        .doc("How often members send heartbeats."),
    int("group.streams.min.heartbeat.interval.ms").default("5000").at_least(1).no_effect(reason::STREAMS)
        .doc("Least value of a group's heartbeat interval."),
    int("group.streams.max.heartbeat.interval.ms").default("15000").at_least(1).no_effect(reason::STREAMS)
        .doc("Greatest value of a group's heartbeat interval."),
    int("group.streams.assignment.interval.ms").default("1000").at_least(0).cluster_wide().no_effect(reason::STREAMS)
        .doc("Shortest time between two assignments of a group."),
    int("group.streams.min.assignment.interval.ms").default("0").at_least(0).no_effect(reason::STREAMS)
        .doc("Least value of a group's assignment interval."),
    int("group.streams.max.assignment.interval.ms").default("15000").at_least(0).no_effect(reason::STREAMS)
        .doc("Greatest value of a group's assignment interval."),
    int("group.streams.initial.rebalance.delay.ms").default("3000").at_least(0).no_effect(reason::STREAMS)
        .doc("How long a new group waits for more members before its first assignment."),
    int("group.streams.max.size").default("2147483647").at_least(1).no_effect(reason::STREAMS)
        .doc("Most members of a streams group."),
    int("group.streams.num.standby.replicas").default("0").at_least(0).no_effect(reason::STREAMS)
        .doc("Standby copies of each stateful task."),
    int("group.streams.max.standby.replicas").default("2").at_least(0).no_effect(reason::STREAMS)
        .doc("Greatest value of a group's standby copies."),
];

#[rustfmt::skip]
const PRODUCERS_AND_TRANSACTIONS: &[Setting] = &[
    int("producer.id.expiration.ms").default("86400000").at_least(1).cluster_wide().honoured()
        .doc("How long the state of a silent idempotent producer is kept."),
    int("producer.id.expiration.check.interval.ms").default("600000").at_least(1).internal().honoured()
        .doc("Time between two searches for expired producers."),
    int("transaction.max.timeout.ms").default("900000").at_least(1).honoured()
        .doc("Longest timeout a transactional producer may ask for."),
    boolean("transaction.partition.verification.enable").default("true").cluster_wide().honoured()
        .doc("Whether a partition checks with the coordinator that it belongs to the transaction."),
    boolean("transaction.two.phase.commit.enable").default("false").no_effect(reason::TWO_PHASE)
        .doc("Whether a transaction may be prepared first and committed by an outer coordinator."),
    int("transaction.abort.timed.out.transaction.cleanup.interval.ms").default("10000").at_least(1).no_effect(reason::TRANSACTION_TIMERS)
        .doc("Time between two searches for transactions that timed out."),
    int("transaction.remove.expired.transaction.cleanup.interval.ms").default("3600000").at_least(1).honoured()
        .doc("Time between two searches for expired transactional ids."),
    int("transactional.id.expiration.ms").default("604800000").at_least(1).honoured()
        .doc("How long an unused transactional id is remembered."),
    int("transaction.state.log.num.partitions").default("50").at_least(1).honoured()
        .doc("Partitions of the transaction topic; fixed once it exists."),
    short("transaction.state.log.replication.factor").default("3").at_least(1).honoured()
        .doc("Replicas of the transaction topic, as far as there are brokers: it gains those it lacks, by the controllers' value, as brokers join."),
    int("transaction.state.log.min.isr").default("2").at_least(1).honoured()
        .doc("Replicas of the transaction topic that must be in sync."),
    int("transaction.state.log.segment.bytes").default("104857600").at_least(1).honoured()
        .doc("Segment size of the transaction topic."),
    int("transaction.state.log.load.buffer.size").default("5242880").at_least(1).no_effect(reason::RUNTIME)
        .doc("Bytes read at once when transactions are loaded."),
    int("add.partitions.to.txn.retry.backoff.ms").default("20").at_least(1).honoured()
        .doc("First pause before a failed verification of a transaction is tried again."),
    int("add.partitions.to.txn.retry.backoff.max.ms").default("100").at_least(0).honoured()
        .doc("Longest time that a verification of a transaction is tried again."),
];

#[rustfmt::skip]
const QUOTAS: &[Setting] = &[
    int("quota.window.num").default("11").at_least(1).no_effect(reason::QUOTAS)
        .doc("Samples kept for client quotas."),
    int("quota.window.size.seconds").default("1").at_least(1).no_effect(reason::QUOTAS)
        .doc("Length of a sample for client quotas."),
    int("replication.quota.window.num").default("11").at_least(1).honoured()
        .doc("Samples kept for the replication quota."),
    int("replication.quota.window.size.seconds").default("1").at_least(1).honoured()
        .doc("Length of a sample for the replication quota."),
    int("alter.log.dirs.replication.quota.window.num").default("11").at_least(1).honoured()
        .doc("Samples kept for the quota of moves between directories."),
    int("alter.log.dirs.replication.quota.window.size.seconds").default("1").at_least(1).honoured()
        .doc("Length of a sample for the quota of moves between directories."),
    int("controller.quota.window.num").default("11").at_least(1).no_effect(reason::QUOTAS)
        .doc("Samples kept for the quota of controller mutations."),
    int("controller.quota.window.size.seconds").default("1").at_least(1).no_effect(reason::QUOTAS)
        .doc("Length of a sample for the quota of controller mutations."),
    long("leader.replication.throttled.rate").default("9223372036854775807").at_least(0).cluster_wide().honoured()
        .doc("Bytes per second that throttled replicas may read from this leader; set at run time only."),
    long("follower.replication.throttled.rate").default("9223372036854775807").at_least(0).cluster_wide().honoured()
        .doc("Bytes per second that throttled replicas on this follower may fetch; set at run time only."),
    long("replica.alter.log.dirs.io.max.bytes.per.second").default("9223372036854775807").at_least(0).cluster_wide().honoured()
        .doc("Bytes per second for moves between directories; set at run time only."),
    class("client.quota.callback.class").fatal(reason::PLUGIN_GUARD)
        .doc("Plugin that decides the quota of each client."),
];

#[rustfmt::skip]
const METRICS: &[Setting] = &[
    list("metric.reporters").default("org.apache.kafka.common.metrics.JmxReporter").cluster_wide().no_effect(reason::METRICS)
        .doc("Plugins that publish the metrics."),
    int("metrics.num.samples").default("2").at_least(1).no_effect(reason::METRICS)
        .doc("Samples kept for a metric."),
    long("metrics.sample.window.ms").default("30000").at_least(1).no_effect(reason::METRICS)
        .doc("Length of a metric's sample."),
    string("metrics.recording.level").default("INFO").no_effect(reason::METRICS)
        .doc("How much is measured: INFO, DEBUG or TRACE."),
    list("kafka.metrics.reporters").default("").no_effect(reason::METRICS)
        .doc("Plugins that publish the broker's older metrics."),
    int("kafka.metrics.polling.interval.secs").default("10").at_least(1).no_effect(reason::METRICS)
        .doc("How often those plugins are polled."),
    int("telemetry.max.bytes").default("1048576").at_least(1).no_effect(reason::TELEMETRY)
        .doc("Largest packet of metrics that a client may push."),
];

#[rustfmt::skip]
const TIERED_STORAGE: &[Setting] = &[
    boolean("remote.log.storage.system.enable").default("false").no_effect(reason::TIERING)
        .doc("Whether the broker can move old segments to remote storage."),
    string("remote.log.storage.manager.class.name").non_empty().no_effect(reason::TIERING)
        .doc("Plugin that talks to the remote storage."),
    string("remote.log.storage.manager.class.path").no_effect(reason::TIERING)
        .doc("Where that plugin is loaded from."),
    string("remote.log.storage.manager.impl.prefix").default("rsm.config.").non_empty().no_effect(reason::TIERING)
        .doc("Prefix of the settings passed to that plugin."),
    string("remote.log.metadata.manager.class.name").default("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager").non_empty().no_effect(reason::TIERING)
        .doc("Plugin that remembers what the remote storage holds."),
    string("remote.log.metadata.manager.class.path").no_effect(reason::TIERING)
        .doc("Where that plugin is loaded from."),
    string("remote.log.metadata.manager.impl.prefix").default("rlmm.config.").non_empty().no_effect(reason::TIERING)
        .doc("Prefix of the settings passed to that plugin."),
    string("remote.log.metadata.manager.listener.name").non_empty().no_effect(reason::TIERING)
        .doc("Listener through which that plugin reaches the cluster."),
    int("remote.log.metadata.custom.metadata.max.bytes").default("128").at_least(0).no_effect(reason::TIERING)
        .doc("Most bytes that the storage plugin may attach to a segment."),
    long("remote.log.index.file.cache.total.size.bytes").default("1073741824").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("Disk space for cached indexes of remote segments."),
    long("remote.log.index.file.cache.ttl.ms").default("900000").at_least(-1).internal().no_effect(reason::TIERING)
        .doc("How long an unused cached index is kept."),
    int("remote.log.manager.thread.pool.size").default("2").at_least(1).no_effect(reason::TIERING)
        .doc("Threads that schedule the work on remote storage."),
    int("remote.log.manager.copier.thread.pool.size").default("10").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("Threads that copy segments."),
    int("remote.log.manager.expiration.thread.pool.size").default("10").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("Threads that delete expired remote segments."),
    int("remote.log.manager.follower.thread.pool.size").default("2").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("Threads that read remote metadata on followers."),
    long("remote.log.manager.task.interval.ms").default("30000").at_least(1).no_effect(reason::TIERING)
        .doc("Time between two rounds of copying and deleting."),
    long("remote.log.manager.task.retry.backoff.ms").default("500").at_least(1).internal().no_effect(reason::TIERING)
        .doc("First pause after a failed round."),
    long("remote.log.manager.task.retry.backoff.max.ms").default("30000").at_least(1).internal().no_effect(reason::TIERING)
        .doc("Longest pause after failed rounds."),
    double("remote.log.manager.task.retry.jitter").default("0.2").fraction(0.0, 0.5).internal().no_effect(reason::TIERING)
        .doc("Random share by which those pauses vary."),
    long("remote.log.manager.copy.max.bytes.per.second").default("9223372036854775807").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("Most bytes per second copied to remote storage."),
    int("remote.log.manager.copy.quota.window.num").default("11").at_least(1).no_effect(reason::TIERING)
        .doc("Samples kept for that limit."),
    int("remote.log.manager.copy.quota.window.size.seconds").default("1").at_least(1).no_effect(reason::TIERING)
        .doc("Length of a sample for that limit."),
    long("remote.log.manager.fetch.max.bytes.per.second").default("9223372036854775807").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("Most bytes per second read from remote storage."),
    int("remote.log.manager.fetch.quota.window.num").default("11").at_least(1).no_effect(reason::TIERING)
        .doc("Samples kept for that limit."),
    int("remote.log.manager.fetch.quota.window.size.seconds").default("1").at_least(1).no_effect(reason::TIERING)
        .doc("Length of a sample for that limit."),
    int("remote.log.reader.threads").default("10").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("Threads that read remote segments for consumers."),
    int("remote.log.reader.max.pending.tasks").default("100").at_least(1).no_effect(reason::TIERING)
        .doc("Remote reads that may wait for a thread."),
    int("remote.fetch.max.wait.ms").default("500").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("How long a fetch waits for remote data."),
    long("remote.list.offsets.request.timeout.ms").default("30000").at_least(1).cluster_wide().no_effect(reason::TIERING)
        .doc("How long a search by time waits for remote indexes."),
    long("log.local.retention.ms").default("-2").at_least(-2).cluster_wide().no_effect(reason::TIERING)
        .doc("How long a tiered topic keeps copied segments locally; −2 means as long as the topic itself."),
    long("log.local.retention.bytes").default("-2").at_least(-2).cluster_wide().no_effect(reason::TIERING)
        .doc("Bytes of copied segments a tiered topic keeps locally; −2 means as many as the topic itself."),
];

#[rustfmt::skip]
const OWN: &[Setting] = &[
    string("strandline.log.format").default("text").one_of(&["text", "json"]).honoured()
        .doc("Form of the log lines on standard error."),
    string("strandline.log.level").default("info").non_empty().honoured()
        .doc("What is logged: error, warn, info, debug or trace, also per module, as in info,strandline_broker=debug."),
    string("strandline.metrics.listener").honoured()
        .doc("Address, as host:port, that serves the metrics as Prometheus text; none where unset."),
    long("strandline.request.memory.max.bytes").default("268435456").at_least(1_048_576).honoured()
        .doc("Budget for the bytes of all requests in flight; a connection waits where it is used up."),
    long("strandline.dirty.max.bytes").at_least(1_048_576).honoured()
        .doc("Written bytes per device that may wait for the disk, after which producers wait; where unset, a twentieth of the memory, at least 64 MiB and at most 1 GiB."),
    int("strandline.open.files.max").default("-1").at_least(64).or(-1).honoured()
        .doc("Most log files kept open; −1 takes three quarters of what the operating system allows the process."),
];
