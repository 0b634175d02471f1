//! Why a setting has no effect, has less than Kafka's, or keeps the broker from starting.

// Accepted without effect.
pub(crate) const RUNTIME: &str = "the runtime sizes its own threads and queues";
pub(crate) const BETWEEN_BROKERS: &str = "connections between brokers have limits of their own";
pub(crate) const DIR_FAILURE: &str = "the controller is told of a failed directory by heartbeats";
pub(crate) const AT_ONCE: &str = "a partition is led again as soon as that is allowed";
pub(crate) const STABLE: &str = "only released versions and features are offered";
pub(crate) const LISTENERS: &str = "all listeners open together, once the node is ready";
pub(crate) const CONNECTION_RATE: &str = "new connections are limited by number, not by rate";
pub(crate) const SECURITY_TUNING: &str = "only matters with authentication";
pub(crate) const MOVES: &str = "one replica at a time moves between log directories";
pub(crate) const PREALLOCATE: &str = "segment files grow as they are written";
pub(crate) const CLEANER_BUFFER: &str = "the cleaner reads and writes 4 MiB at a time";
pub(crate) const TWO_PHASE: &str = "transactions are not prepared for an outer coordinator";
pub(crate) const TRANSACTION_TIMERS: &str = "each open transaction has a timer of its own";
pub(crate) const TIERING: &str = "there is no remote storage";
pub(crate) const KIP_848: &str = "the consumer group protocol (KIP-848) is not served";
pub(crate) const SHARE: &str = "share groups are not served";
pub(crate) const STREAMS: &str = "streams groups are not served";
pub(crate) const QUOTAS: &str = "quotas are not enforced";
pub(crate) const METRICS: &str = "metrics are Prometheus text, see strandline.metrics.listener";
pub(crate) const TELEMETRY: &str = "clients are not asked for their metrics";
pub(crate) const TEST_ONLY: &str = "exists for Kafka's own tests";

pub(crate) const ALL_LISTENERS: &str = "it holds for all listeners or none";

// Honoured in part.
pub(crate) const PLAINTEXT: &str =
    "every listener speaks PLAINTEXT; another protocol is refused at start";
pub(crate) const OPEN_AT_START: &str =
    "listeners open at start; changing them at run time is refused";
pub(crate) const CLASSIC_ONLY: &str = "only the classic protocol is served";
pub(crate) const SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector is known; with another class consumers read from leaders";
pub(crate) const LZ4_LEVEL: &str = "lz4 always compresses at its fastest level";

// Refused at start.
pub(crate) const SECURITY: &str = "TLS, SASL and access control are not available, and starting without them would leave the broker open";
pub(crate) const PLUGIN_GUARD: &str =
    "JVM plugins cannot be loaded, and starting without this one would allow what it forbids";
pub(crate) const PROVIDERS: &str =
    "values cannot be read from providers, and ${...} would be taken literally";
