//! A node's settings, typed: what the rest of Strandline reads. One field per honoured setting.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use strandline_types::NodeId;

use crate::layers::BrokerLayers;
use crate::listener::{HostPort, Listener, Voter};
use crate::topic_config::TopicConfig;
use crate::values::Values;

/// What the process is. At least one holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

/// A node's whole configuration. The listeners, directories and quorum are fixed at start; the
/// rest is computed anew when settings change at run time ([`BrokerConfig::with_dynamic`]).
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfig {
    pub node_id: NodeId,
    pub roles: Roles,
    pub rack: Option<String>,
    /// Data directories, at least one, none twice.
    pub log_dirs: Vec<String>,
    /// Those of `log_dirs` that new partitions keep away from (KIP-1066).
    pub cordoned_log_dirs: Vec<String>,
    pub metadata_log_dir: String,
    /// Everything this node listens on, controller listeners included.
    pub listeners: Vec<Listener>,
    /// What clients and brokers are told to connect to.
    pub advertised_listeners: Vec<Listener>,
    /// What other controllers are told to connect to, in the order of `controller.listener.names`.
    pub advertised_controller_listeners: Vec<Listener>,
    pub controller_listener_names: Vec<String>,
    pub inter_broker_listener_name: String,
    pub quorum: QuorumSettings,
    pub membership: MembershipSettings,
    pub metadata: MetadataSettings,
    pub network: NetworkSettings,
    pub topics: TopicDefaults,
    pub log: LogSettings,
    pub cleaner: CleanerSettings,
    pub replication: ReplicationSettings,
    pub groups: GroupSettings,
    pub offsets: OffsetsTopicSettings,
    pub producers: ProducerSettings,
    pub transactions: TransactionSettings,
    pub own: OwnSettings,
    /// What a topic without settings of its own has.
    pub topic_defaults: Arc<TopicConfig>,
    /// The text behind it all, for DescribeConfigs and AlterConfigs.
    pub layers: BrokerLayers,
}

/// `controller.quorum.*`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumSettings {
    /// Fixed voters; empty for a dynamic quorum.
    pub voters: Vec<Voter>,
    pub bootstrap_servers: Vec<HostPort>,
    /// A controller that is no voter becomes one by itself.
    pub auto_join: bool,
    pub election_timeout_ms: i32,
    pub election_backoff_max_ms: i32,
    pub fetch_timeout_ms: i32,
    pub append_linger_ms: i32,
    pub request_timeout_ms: i32,
    pub retry_backoff_ms: i32,
    pub fetch_max_bytes: i32,
    /// A request to the active controller.
    pub socket_timeout_ms: i32,
}

/// A broker's place in the cluster, and what the controller does for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MembershipSettings {
    pub registration_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub session_timeout_ms: i32,
    pub controlled_shutdown: bool,
    pub balances_leaders: bool,
    pub balance_interval_s: i64,
}

/// The metadata log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataSettings {
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub snapshot_after_bytes: i64,
    /// `None`: time alone never causes a snapshot.
    pub snapshot_after_ms: Option<i64>,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    /// `None`: an idle controller writes nothing.
    pub max_idle_interval_ms: Option<i32>,
}

/// Sockets and requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkSettings {
    pub listen_backlog: i32,
    /// `None` leaves it to the operating system.
    pub receive_buffer_bytes: Option<i32>,
    /// `None` leaves it to the operating system.
    pub send_buffer_bytes: Option<i32>,
    pub request_max_bytes: i32,
    /// Budget for the bytes of all requests in flight.
    pub request_memory_max_bytes: i64,
    pub max_connections: i32,
    pub max_connections_per_ip: i32,
    /// Host and limit.
    pub max_connections_per_ip_overrides: Vec<(String, i32)>,
    /// `None`: idle connections stay.
    pub max_idle_ms: Option<i64>,
    pub fetch_max_bytes: i32,
    pub fetch_session_slots: i32,
    /// Most partitions in one answer to DescribeTopicPartitions.
    pub max_partitions_per_answer: i32,
    /// `request.timeout.ms`: how long one broker waits for another.
    pub request_timeout_ms: i32,
}

/// How topics come and go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicDefaults {
    pub num_partitions: i32,
    pub replication_factor: i32,
    pub auto_create: bool,
    pub delete_enabled: bool,
}

/// House-keeping of the logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSettings {
    pub retention_check_interval_ms: i64,
    pub initial_task_delay_ms: i64,
    pub flush_scheduler_interval_ms: i64,
    pub recovery_point_checkpoint_interval_ms: i32,
    pub log_start_checkpoint_interval_ms: i32,
    pub high_watermark_checkpoint_interval_ms: i64,
}

/// `log.cleaner.*`, but for what topics inherit.
#[derive(Clone, PartialEq, Debug)]
pub struct CleanerSettings {
    pub is_enabled: bool,
    /// Passes that run at the same time.
    pub threads: usize,
    pub backoff_ms: i64,
    /// For the keys of all passes together.
    pub dedupe_buffer_bytes: u64,
    /// How full that memory may get, as a fraction.
    pub load_factor: f64,
    /// Of what all passes read and write.
    pub throttle: ThrottleSettings,
}

/// `replica.selector.class`: which replica a consumer is sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicaSelector {
    Leader,
    /// One that stands in the consumer's rack.
    Rack,
}

impl ReplicaSelector {
    /// Kafka's class for [`Self::Rack`].
    const RACK_CLASS: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

    pub(crate) fn of(class: Option<&str>) -> Self {
        if class == Some(Self::RACK_CLASS) { Self::Rack } else { Self::Leader }
    }
}

/// How followers fetch, and when a leader gives up on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationSettings {
    pub lag_time_max_ms: i64,
    pub fetchers_per_leader: u32,
    /// Per partition.
    pub fetch_max_bytes: i32,
    pub fetch_min_bytes: i32,
    pub fetch_response_max_bytes: i32,
    pub fetch_wait_max_ms: i32,
    pub fetch_backoff_ms: i32,
    pub socket_timeout_ms: i32,
    pub selector: ReplicaSelector,
    /// Of what this broker gives to followers, of what it copies as one, and of what it moves
    /// between its log dirs.
    pub leader_throttle: ThrottleSettings,
    pub follower_throttle: ThrottleSettings,
    pub moves_throttle: ThrottleSettings,
}

/// A limit, and over how long it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// `None` sets no limit.
    pub bytes_per_second: Option<u64>,
    pub samples: u32,
    pub sample_seconds: u32,
}

impl ThrottleSettings {
    /// `window` names how many samples it has, and how long each is.
    fn of(values: &Values, rate: &'static str, window: [&'static str; 2]) -> Self {
        let [samples, sample_seconds] = window.map(|name| values.int(name).max(1) as u32);
        let limit = values.long(rate);
        let bytes_per_second = (limit < i64::MAX).then_some(limit.max(0) as u64);
        Self { bytes_per_second, samples, sample_seconds }
    }
}

/// Classic groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSettings {
    pub initial_rebalance_delay_ms: i32,
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    pub max_size: i32,
}

/// Committed offsets and the topic that holds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetsTopicSettings {
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub segment_bytes: i32,
    /// The codec's number in a batch's attributes.
    pub compression_codec: i32,
    pub retention_minutes: i32,
    pub retention_check_interval_ms: i64,
    pub commit_timeout_ms: i32,
    pub metadata_max_bytes: i32,
}

/// The transaction coordinator and the topic that holds its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionSettings {
    /// Longest time-out that a producer may ask for.
    pub timeout_max_ms: i32,
    pub id_expiration_ms: i32,
    pub id_expiration_check_interval_ms: i32,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub min_insync_replicas: i32,
    pub segment_bytes: i32,
}

/// Idempotent producers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerSettings {
    pub expiration_ms: i32,
    pub expiration_check_interval_ms: i32,
    /// `transaction.partition.verification.enable`
    pub verifies_transactions: bool,
    pub verification_retry_ms: i32,
    pub verification_retry_max_ms: i32,
}

/// `strandline.*`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnSettings {
    /// JSON log lines instead of text.
    pub log_as_json: bool,
    pub log_level: String,
    pub metrics_listener: Option<HostPort>,
    /// Written bytes per device that may wait for the disk. `None` derives it from the memory.
    pub dirty_max_bytes: Option<i64>,
    /// `None` derives it from the process limit.
    pub open_files_max: Option<i32>,
}

const fn unless_negative(n: i32) -> Option<i32> {
    if n < 0 { None } else { Some(n) }
}

impl BrokerConfig {
    /// With this host name where the settings do not say where controllers are reached.
    #[must_use]
    pub fn with_controllers_at(mut self, host_name: &str) -> Self {
        for told in &mut self.advertised_controller_listeners {
            if told.address.host.is_empty() {
                told.address.host = String::from(host_name);
            }
        }
        self
    }

    /// Whether this address, by which the quorum is to be found, is this node's own.
    pub fn is_own_controller(&self, server: &HostPort) -> bool {
        let is_loopback = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1");
        let is_everywhere = |host: &str| matches!(host, "" | "0.0.0.0" | "::");
        self.advertised_controller_listeners.iter().any(|listener| {
            let own = &listener.address;
            let bound = self.listeners.iter().find(|bound| bound.name == listener.name);
            let hears_loopback = is_loopback(&own.host)
                || bound.is_some_and(|bound| is_everywhere(&bound.address.host));
            own.port == server.port
                && (own.host == server.host
                    || own.host.is_empty()
                    || hears_loopback && is_loopback(&server.host))
        })
    }
}

impl QuorumSettings {
    pub(crate) fn of(values: &Values) -> Self {
        let voters = values.list("controller.quorum.voters");
        let servers = values.list("controller.quorum.bootstrap.servers");
        Self {
            voters: voters.iter().filter_map(|text| Voter::parse(text)).collect(),
            bootstrap_servers: servers.iter().filter_map(|text| HostPort::parse(text)).collect(),
            auto_join: values.boolean("controller.quorum.auto.join.enable"),
            election_timeout_ms: values.int("controller.quorum.election.timeout.ms"),
            election_backoff_max_ms: values.int("controller.quorum.election.backoff.max.ms"),
            fetch_timeout_ms: values.int("controller.quorum.fetch.timeout.ms"),
            append_linger_ms: values.int("controller.quorum.append.linger.ms"),
            request_timeout_ms: values.int("controller.quorum.request.timeout.ms"),
            retry_backoff_ms: values.int("controller.quorum.retry.backoff.ms"),
            fetch_max_bytes: values
                .int("controller.quorum.fetch.max.bytes")
                .min(values.int("controller.quorum.fetch.snapshot.max.bytes")),
            socket_timeout_ms: values.int("controller.socket.timeout.ms"),
        }
    }
}

impl MembershipSettings {
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            registration_timeout_ms: values.int("initial.broker.registration.timeout.ms"),
            heartbeat_interval_ms: values.int("broker.heartbeat.interval.ms"),
            session_timeout_ms: values.int("broker.session.timeout.ms"),
            controlled_shutdown: values.boolean("controlled.shutdown.enable"),
            balances_leaders: values.boolean("auto.leader.rebalance.enable"),
            balance_interval_s: values.long("leader.imbalance.check.interval.seconds"),
        }
    }
}

impl MetadataSettings {
    pub(crate) fn of(values: &Values) -> Self {
        let snapshot_after_ms = values.long("metadata.log.max.snapshot.interval.ms");
        let max_idle_interval_ms = values.int("metadata.max.idle.interval.ms");
        Self {
            segment_bytes: values.int("metadata.log.segment.bytes"),
            segment_ms: values.long("metadata.log.segment.ms"),
            snapshot_after_bytes: values.long("metadata.log.max.record.bytes.between.snapshots"),
            snapshot_after_ms: (snapshot_after_ms > 0).then_some(snapshot_after_ms),
            retention_bytes: values.long("metadata.max.retention.bytes"),
            retention_ms: values.long("metadata.max.retention.ms"),
            max_idle_interval_ms: (max_idle_interval_ms > 0).then_some(max_idle_interval_ms),
        }
    }
}

impl NetworkSettings {
    pub(crate) fn of(values: &Values) -> Self {
        let queued_max_bytes = values.long("queued.max.request.bytes");
        let max_idle_ms = values.long("connections.max.idle.ms");
        let overrides = values.text("max.connections.per.ip.overrides").unwrap_or_default();
        Self {
            listen_backlog: values.int("socket.listen.backlog.size"),
            receive_buffer_bytes: unless_negative(values.int("socket.receive.buffer.bytes")),
            send_buffer_bytes: unless_negative(values.int("socket.send.buffer.bytes")),
            request_max_bytes: values.int("socket.request.max.bytes"),
            request_memory_max_bytes: if queued_max_bytes > 0 {
                queued_max_bytes
            } else {
                values.long("strandline.request.memory.max.bytes")
            },
            max_connections: values.int("max.connections"),
            max_connections_per_ip: values.int("max.connections.per.ip"),
            max_connections_per_ip_overrides: per_ip_overrides(&overrides).unwrap_or_default(),
            max_idle_ms: (max_idle_ms >= 0).then_some(max_idle_ms),
            fetch_max_bytes: values.int("fetch.max.bytes"),
            fetch_session_slots: values.int("max.incremental.fetch.session.cache.slots"),
            max_partitions_per_answer: values.int("max.request.partition.size.limit"),
            request_timeout_ms: values.int("request.timeout.ms"),
        }
    }
}

/// Reads `host:count,…`.
pub(crate) fn per_ip_overrides(text: &str) -> Option<Vec<(String, i32)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (host, count) = entry.rsplit_once(':')?;
            let count = count.trim().parse().ok()?;
            (!host.is_empty()).then(|| (String::from(host.trim()), count))
        })
        .collect()
}

impl TopicDefaults {
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            num_partitions: values.int("num.partitions"),
            replication_factor: values.int("default.replication.factor"),
            auto_create: values.boolean("auto.create.topics.enable"),
            delete_enabled: values.boolean("delete.topic.enable"),
        }
    }
}

impl LogSettings {
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            retention_check_interval_ms: values.long("log.retention.check.interval.ms"),
            initial_task_delay_ms: values.long("log.initial.task.delay.ms"),
            flush_scheduler_interval_ms: values.long("log.flush.scheduler.interval.ms"),
            recovery_point_checkpoint_interval_ms: values
                .int("log.flush.offset.checkpoint.interval.ms"),
            log_start_checkpoint_interval_ms: values
                .int("log.flush.start.offset.checkpoint.interval.ms"),
            high_watermark_checkpoint_interval_ms: values
                .long("replica.high.watermark.checkpoint.interval.ms"),
        }
    }
}

impl CleanerSettings {
    pub(crate) fn of(values: &Values) -> Self {
        let limit = values.double("log.cleaner.io.max.bytes.per.second");
        Self {
            is_enabled: values.boolean("log.cleaner.enable"),
            threads: values.int("log.cleaner.threads").max(0) as usize,
            backoff_ms: values.long("log.cleaner.backoff.ms"),
            dedupe_buffer_bytes: values.long("log.cleaner.dedupe.buffer.size").max(0) as u64,
            load_factor: values.double("log.cleaner.io.buffer.load.factor"),
            throttle: ThrottleSettings {
                bytes_per_second: (limit < u64::MAX as f64).then_some(limit.max(1.0) as u64),
                samples: 2,
                sample_seconds: 1,
            },
        }
    }
}

impl ReplicationSettings {
    pub(crate) fn of(values: &Values) -> Self {
        let window = ["replication.quota.window.num", "replication.quota.window.size.seconds"];
        let throttle = |rate| ThrottleSettings::of(values, rate, window);
        Self {
            lag_time_max_ms: values.long("replica.lag.time.max.ms"),
            fetchers_per_leader: values.int("num.replica.fetchers").max(1) as u32,
            fetch_max_bytes: values.int("replica.fetch.max.bytes"),
            fetch_min_bytes: values.int("replica.fetch.min.bytes"),
            fetch_response_max_bytes: values.int("replica.fetch.response.max.bytes"),
            fetch_wait_max_ms: values.int("replica.fetch.wait.max.ms"),
            fetch_backoff_ms: values.int("replica.fetch.backoff.ms"),
            socket_timeout_ms: values.int("replica.socket.timeout.ms"),
            selector: ReplicaSelector::of(values.text("replica.selector.class").as_deref()),
            leader_throttle: throttle("leader.replication.throttled.rate"),
            follower_throttle: throttle("follower.replication.throttled.rate"),
            moves_throttle: ThrottleSettings::of(
                values,
                "replica.alter.log.dirs.io.max.bytes.per.second",
                [
                    "alter.log.dirs.replication.quota.window.num",
                    "alter.log.dirs.replication.quota.window.size.seconds",
                ],
            ),
        }
    }
}

impl GroupSettings {
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            initial_rebalance_delay_ms: values.int("group.initial.rebalance.delay.ms"),
            min_session_timeout_ms: values.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: values.int("group.max.session.timeout.ms"),
            max_size: values.int("group.max.size"),
        }
    }
}

impl OffsetsTopicSettings {
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            num_partitions: values.int("offsets.topic.num.partitions"),
            replication_factor: values.short("offsets.topic.replication.factor"),
            segment_bytes: values.int("offsets.topic.segment.bytes"),
            compression_codec: values.int("offsets.topic.compression.codec"),
            retention_minutes: values.int("offsets.retention.minutes"),
            retention_check_interval_ms: values.long("offsets.retention.check.interval.ms"),
            commit_timeout_ms: values.int("offsets.commit.timeout.ms"),
            metadata_max_bytes: values.int("offset.metadata.max.bytes"),
        }
    }
}

impl ProducerSettings {
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            expiration_ms: values.int("producer.id.expiration.ms"),
            expiration_check_interval_ms: values.int("producer.id.expiration.check.interval.ms"),
            verifies_transactions: values.boolean("transaction.partition.verification.enable"),
            verification_retry_ms: values.int("add.partitions.to.txn.retry.backoff.ms"),
            verification_retry_max_ms: values.int("add.partitions.to.txn.retry.backoff.max.ms"),
        }
    }
}

impl TransactionSettings {
    pub(crate) fn of(values: &Values) -> Self {
        const EXPIRY_CHECK: &str = "transaction.remove.expired.transaction.cleanup.interval.ms";
        Self {
            timeout_max_ms: values.int("transaction.max.timeout.ms"),
            id_expiration_ms: values.int("transactional.id.expiration.ms"),
            id_expiration_check_interval_ms: values.int(EXPIRY_CHECK),
            num_partitions: values.int("transaction.state.log.num.partitions"),
            replication_factor: values.short("transaction.state.log.replication.factor"),
            min_insync_replicas: values.int("transaction.state.log.min.isr"),
            segment_bytes: values.int("transaction.state.log.segment.bytes"),
        }
    }
}

impl OwnSettings {
    pub(crate) fn of(values: &Values) -> Self {
        let metrics_listener = values.text("strandline.metrics.listener");
        Self {
            log_as_json: values.text("strandline.log.format").as_deref() == Some("json"),
            log_level: values.text("strandline.log.level").unwrap_or_default(),
            metrics_listener: metrics_listener.as_deref().and_then(HostPort::parse),
            dirty_max_bytes: values.get("strandline.dirty.max.bytes").whole(),
            open_files_max: unless_negative(values.int("strandline.open.files.max")),
        }
    }
}
