//! Every metric: its name, its type, what it says. Sources are Kafka's beans; a comment names the
//! bean where the exporter's renaming hides it.

pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Summary,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        }
    }
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal $help:literal;)+) => {
        $(pub(super) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, help: $help };)+

        #[cfg(test)]
        const ALL: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    BUILD_INFO: Gauge "strandline_build_info" "Always 1; its label is the version that runs.";
    BROKER_STATE: Gauge "kafka_server_kafkaserver_brokerstate"
        "3: running, 6: stopping.";

    MESSAGES_IN: Counter "kafka_server_brokertopicmetrics_messagesin_total"
        "Records appended; without a topic: to all of them since the start.";
    BYTES_IN: Counter "kafka_server_brokertopicmetrics_bytesin_total"
        "Bytes of record batches appended.";
    BYTES_OUT: Counter "kafka_server_brokertopicmetrics_bytesout_total"
        "Bytes of record batches given to consumers.";
    BYTES_REJECTED: Counter "kafka_server_brokertopicmetrics_bytesrejected_total"
        "Bytes of record batches refused because they were too large.";
    TOTAL_PRODUCE_REQUESTS: Counter "kafka_server_brokertopicmetrics_totalproducerequests_total"
        "Partitions named by Produce requests.";
    FAILED_PRODUCE_REQUESTS: Counter "kafka_server_brokertopicmetrics_failedproducerequests_total"
        "Of those, how many failed for no ordinary reason.";
    TOTAL_FETCH_REQUESTS: Counter "kafka_server_brokertopicmetrics_totalfetchrequests_total"
        "Reads of partitions by Fetch requests.";
    FAILED_FETCH_REQUESTS: Counter "kafka_server_brokertopicmetrics_failedfetchrequests_total"
        "Of those, how many failed for no ordinary reason.";

    REPLICATION_BYTES_IN: Counter "kafka_server_brokertopicmetrics_replicationbytesin_total"
        "Bytes of record batches copied from leaders.";
    REPLICATION_BYTES_OUT: Counter "kafka_server_brokertopicmetrics_replicationbytesout_total"
        "Bytes of record batches given to followers.";
    REASSIGNMENT_BYTES_IN: Counter "kafka_server_brokertopicmetrics_reassignmentbytesin_total"
        "Of those copied, what came to replicas that a reassignment adds.";
    REASSIGNMENT_BYTES_OUT: Counter "kafka_server_brokertopicmetrics_reassignmentbytesout_total"
        "Of those given, what went to replicas that a reassignment adds.";

    REQUESTS: Counter "kafka_network_requestmetrics_requests_total"
        "Requests, by API and version.";
    TOTAL_TIME: Summary "kafka_network_requestmetrics_totaltimems"
        "Milliseconds from a request's last byte to its answer; quantiles of the last minutes.";
    LOCAL_TIME: Summary "kafka_network_requestmetrics_localtimems"
        "Milliseconds of work until a request was answered or had to wait.";
    REMOTE_TIME: Summary "kafka_network_requestmetrics_remotetimems"
        "Milliseconds that a request waited: for replicas, for a disk, for records.";
    PURGATORY_SIZE: Gauge "kafka_server_delayedoperationpurgatory_purgatorysize"
        "Requests that wait now.";
    FETCH_SESSIONS: Gauge "kafka_server_fetchsessioncache_numincrementalfetchsessions"
        "Fetch sessions.";
    FETCH_SESSION_PARTITIONS: Gauge
        "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached"
        "Partitions in fetch sessions.";

    CONNECTION_COUNT: Gauge "kafka_server_socket_server_metrics_connection_count"
        "Open connections, by listener.";
    CONNECTION_CREATION: Counter "kafka_server_socket_server_metrics_connection_creation_total"
        "Connections opened, by listener.";
    CONNECTION_CLOSE: Counter "kafka_server_socket_server_metrics_connection_close_total"
        "Connections closed, by listener.";
    MEMORY_POOL_USED: Gauge "kafka_network_socketserver_memorypoolused"
        "Bytes of requests in flight.";
    MEMORY_POOL_AVAILABLE: Gauge "kafka_network_socketserver_memorypoolavailable"
        "Bytes of requests that may still come in before connections wait.";

    PARTITION_COUNT: Gauge "kafka_server_replicamanager_partitioncount"
        "Partitions on this node.";
    LEADER_COUNT: Gauge "kafka_server_replicamanager_leadercount"
        "Partitions that this node leads.";
    OFFLINE_REPLICA_COUNT: Gauge "kafka_server_replicamanager_offlinereplicacount"
        "Partitions on this node that its disk has failed.";
    UNDER_REPLICATED: Gauge "kafka_server_replicamanager_underreplicatedpartitions"
        "Partitions led here of which a replica is not in sync.";
    UNDER_MIN_ISR: Gauge "kafka_server_replicamanager_underminisrpartitioncount"
        "Partitions led here with fewer replicas in sync than acks=all needs.";
    AT_MIN_ISR: Gauge "kafka_server_replicamanager_atminisrpartitioncount"
        "Partitions led here with just as many replicas in sync as acks=all needs.";
    REASSIGNING: Gauge "kafka_server_replicamanager_reassigningpartitions"
        "Partitions led here that are moving.";

    ISR_SHRINKS: Counter "kafka_server_replicamanager_isrshrinks_total"
        "How often leaders on this node have put replicas out of their ISR.";
    ISR_EXPANDS: Counter "kafka_server_replicamanager_isrexpands_total"
        "How often leaders on this node have taken replicas into their ISR.";
    FAILED_ISR_UPDATES: Counter "kafka_server_replicamanager_failedisrupdates_total"
        "Proposals for an ISR that the controller refused.";
    MAX_LAG: Gauge "kafka_server_replicafetchermanager_maxlag"
        "Most offsets that a replica on this node lacks of what its leader said is committed.";
    FETCHER_LAG: Gauge "kafka_server_fetcherlagmetrics_consumerlag"
        "Offsets that a replica on this node lacks of what its leader said is committed.";

    LOG_SIZE: Gauge "kafka_log_log_size" "Bytes of a partition's log.";
    LOG_START_OFFSET: Gauge "kafka_log_log_logstartoffset" "First offset that can be read.";
    LOG_END_OFFSET: Gauge "kafka_log_log_logendoffset" "Offset of the next record.";
    LOG_SEGMENTS: Gauge "kafka_log_log_numlogsegments" "Segments of a partition's log.";
    LOG_FLUSH: Summary "kafka_log_logflushstats_logflushrateandtimems"
        "Milliseconds that flushes of logs took; quantiles of the last minutes.";
    LOG_DIR_OFFLINE: Gauge "kafka_log_logmanager_logdirectoryoffline"
        "1 for a directory that has failed.";
    OFFLINE_LOG_DIR_COUNT: Gauge "kafka_log_logmanager_offlinelogdirectorycount"
        "Directories that have failed.";

    CLEANER_RECOPY_PERCENT: Gauge "kafka_log_logcleaner_cleaner_recopy_percent"
        "Of what the last pass of the log cleaner read, how much it wrote again, in percent.";
    CLEANER_MAX_CLEAN_TIME: Gauge "kafka_log_logcleaner_max_clean_time_secs"
        "Seconds that the last pass of the log cleaner took.";
    CLEANER_DEAD_THREADS: Gauge "kafka_log_logcleaner_deadthreadcount"
        "Always 0: a pass that fails ends no thread.";
    CLEANER_MAX_DIRTY_PERCENT: Gauge "kafka_log_logcleanermanager_max_dirty_percent"
        "Share of the bytes that were never cleaned, in the dirtiest compacted log.";
    UNCLEANABLE_PARTITIONS: Gauge "kafka_log_logcleanermanager_uncleanable_partitions_count"
        "Compacted logs that cannot be cleaned, by directory.";
    UNCLEANABLE_BYTES: Gauge "kafka_log_logcleanermanager_uncleanable_bytes"
        "Bytes of compacted logs that cannot be cleaned, by directory.";

    ACTIVE_CONTROLLER_COUNT: Gauge "kafka_controller_kafkacontroller_activecontrollercount"
        "1 on the node that is the active controller.";
    GLOBAL_TOPIC_COUNT: Gauge "kafka_controller_kafkacontroller_globaltopiccount"
        "Topics of the cluster.";
    GLOBAL_PARTITION_COUNT: Gauge "kafka_controller_kafkacontroller_globalpartitioncount"
        "Partitions of the cluster.";
    OFFLINE_PARTITIONS_COUNT: Gauge "kafka_controller_kafkacontroller_offlinepartitionscount"
        "Partitions of the cluster without a leader.";
    PREFERRED_REPLICA_IMBALANCE: Gauge
        "kafka_controller_kafkacontroller_preferredreplicaimbalancecount"
        "Partitions of the cluster that another than the preferred replica leads.";
    ACTIVE_BROKER_COUNT: Gauge "kafka_controller_kafkacontroller_activebrokercount"
        "Brokers that are registered and serve.";
    FENCED_BROKER_COUNT: Gauge "kafka_controller_kafkacontroller_fencedbrokercount"
        "Brokers that are registered and do not serve.";

    // raft-metrics
    RAFT_STATE: Gauge "kafka_server_raftmetrics_current_state"
        "Always 1; its label is this node's role in the metadata quorum.";
    RAFT_LEADER: Gauge "kafka_server_raftmetrics_current_leader"
        "Node that leads the metadata quorum, or -1.";
    RAFT_EPOCH: Gauge "kafka_server_raftmetrics_current_epoch" "Epoch of the metadata quorum.";
    RAFT_HIGH_WATERMARK: Gauge "kafka_server_raftmetrics_high_watermark"
        "End of what is committed in the metadata log.";
    RAFT_VOTERS: Gauge "kafka_server_raftmetrics_number_of_voters"
        "Voters of the metadata quorum.";
    RAFT_OBSERVERS: Gauge "kafka_server_raftmetrics_number_of_observers"
        "Observers of the metadata quorum, as its leader knows them.";
    // broker-metadata-metrics
    LAST_APPLIED_OFFSET: Gauge "kafka_server_brokermetadatametrics_last_applied_record_offset"
        "Last metadata record that this broker has acted on.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut names = BTreeSet::new();
        for Metric { name, kind, help } in ALL {
            assert!(names.insert(name), "{name} is declared twice");
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(allowed), "{name}");
            assert_eq!(name.ends_with("_total"), matches!(kind, Kind::Counter), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
        }
    }
}
