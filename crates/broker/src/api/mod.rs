//! The index of the APIs: one row each. The API's name is its address: `JoinGroup` is served by
//! [`join_group`], whose `handle` takes the decoded request and returns the response.
//!
//! Keys, versions and flexible formats come from the message tables; what ApiVersions advertises
//! is derived from these rows, so nothing is advertised that is not served.

use std::pin::pin;

use strandline_wire::frame::Incoming;
use strandline_wire::messages::{self, ApiKey, Request};

use crate::cx::{Cx, ListenerRole};
use crate::dispatch::{decode, encode};
use crate::session::Answering;

macro_rules! apis {
    ($($key:ident => $module:ident($request:ident) on $($role:ident)+;)+) => {
        $(pub(crate) mod $module;)+

        /// Every API that this broker serves, in key order, with the listeners it is served on.
        pub(crate) const ROWS: &[(ApiKey, &[ListenerRole])] =
            &[$((ApiKey::$key, &[$(ListenerRole::$role),+])),+];

        /// Decodes the body, runs the handler, encodes the response.
        pub(crate) fn route(cx: Cx, incoming: Incoming) -> Answering {
            match cx.api {
                $(ApiKey::$key => Box::pin(async move {
                    let work = pin!(async {
                        let request = decode::<messages::$request>(&incoming)?;
                        drop(incoming);
                        let response = $module::handle(&cx, request).await?;
                        encode::<<messages::$request as Request>::Response>(&cx, response.into())
                    });
                    cx.handles.metrics.requests.timed(&cx, work).await
                }),)+
                // The dispatcher lets only APIs in that have a row.
                _ => unreachable!("{} has no row", cx.api),
            }
        }
    };
}

apis! {
    Produce => produce(ProduceRequest) on Broker;
    Fetch => fetch(FetchRequest) on Broker Controller;
    ListOffsets => list_offsets(ListOffsetsRequest) on Broker;
    Metadata => metadata(MetadataRequest) on Broker;
    OffsetCommit => offset_commit(OffsetCommitRequest) on Broker;
    OffsetFetch => offset_fetch(OffsetFetchRequest) on Broker;
    FindCoordinator => find_coordinator(FindCoordinatorRequest) on Broker;
    JoinGroup => join_group(JoinGroupRequest) on Broker;
    Heartbeat => heartbeat(HeartbeatRequest) on Broker;
    LeaveGroup => leave_group(LeaveGroupRequest) on Broker;
    SyncGroup => sync_group(SyncGroupRequest) on Broker;
    DescribeGroups => describe_groups(DescribeGroupsRequest) on Broker;
    ListGroups => list_groups(ListGroupsRequest) on Broker;
    ApiVersions => api_versions(ApiVersionsRequest) on Broker Controller;
    CreateTopics => create_topics(CreateTopicsRequest) on Broker Controller;
    DeleteTopics => delete_topics(DeleteTopicsRequest) on Broker Controller;
    DeleteRecords => delete_records(DeleteRecordsRequest) on Broker;
    InitProducerId => init_producer_id(InitProducerIdRequest) on Broker;
    OffsetForLeaderEpoch => offset_for_leader_epoch(OffsetForLeaderEpochRequest) on Broker;
    AddPartitionsToTxn => add_partitions_to_txn(AddPartitionsToTxnRequest) on Broker;
    AddOffsetsToTxn => add_offsets_to_txn(AddOffsetsToTxnRequest) on Broker;
    EndTxn => end_txn(EndTxnRequest) on Broker;
    WriteTxnMarkers => write_txn_markers(WriteTxnMarkersRequest) on Broker;
    TxnOffsetCommit => txn_offset_commit(TxnOffsetCommitRequest) on Broker;
    DescribeConfigs => describe_configs(DescribeConfigsRequest) on Broker Controller;
    AlterConfigs => alter_configs(AlterConfigsRequest) on Broker Controller;
    AlterReplicaLogDirs => alter_replica_log_dirs(AlterReplicaLogDirsRequest) on Broker;
    DescribeLogDirs => describe_log_dirs(DescribeLogDirsRequest) on Broker;
    CreatePartitions => create_partitions(CreatePartitionsRequest) on Broker Controller;
    DeleteGroups => delete_groups(DeleteGroupsRequest) on Broker;
    ElectLeaders => elect_leaders(ElectLeadersRequest) on Broker Controller;
    IncrementalAlterConfigs =>
        incremental_alter_configs(IncrementalAlterConfigsRequest) on Broker Controller;
    AlterPartitionReassignments =>
        alter_partition_reassignments(AlterPartitionReassignmentsRequest) on Broker Controller;
    ListPartitionReassignments =>
        list_partition_reassignments(ListPartitionReassignmentsRequest) on Broker Controller;
    OffsetDelete => offset_delete(OffsetDeleteRequest) on Broker;
    Vote => vote(VoteRequest) on Controller;
    BeginQuorumEpoch => begin_quorum_epoch(BeginQuorumEpochRequest) on Controller;
    EndQuorumEpoch => end_quorum_epoch(EndQuorumEpochRequest) on Controller;
    DescribeQuorum => describe_quorum(DescribeQuorumRequest) on Broker Controller;
    AlterPartition => alter_partition(AlterPartitionRequest) on Controller;
    UpdateFeatures => update_features(UpdateFeaturesRequest) on Broker Controller;
    Envelope => envelope(EnvelopeRequest) on Controller;
    FetchSnapshot => fetch_snapshot(FetchSnapshotRequest) on Controller;
    DescribeCluster => describe_cluster(DescribeClusterRequest) on Broker Controller;
    DescribeProducers => describe_producers(DescribeProducersRequest) on Broker;
    BrokerRegistration => broker_registration(BrokerRegistrationRequest) on Controller;
    BrokerHeartbeat => broker_heartbeat(BrokerHeartbeatRequest) on Controller;
    UnregisterBroker => unregister_broker(UnregisterBrokerRequest) on Broker Controller;
    DescribeTransactions => describe_transactions(DescribeTransactionsRequest) on Broker;
    ListTransactions => list_transactions(ListTransactionsRequest) on Broker;
    AllocateProducerIds => allocate_producer_ids(AllocateProducerIdsRequest) on Controller;
    ControllerRegistration =>
        controller_registration(ControllerRegistrationRequest) on Controller;
    AssignReplicasToDirs => assign_replicas_to_dirs(AssignReplicasToDirsRequest) on Controller;
    ListConfigResources => list_config_resources(ListConfigResourcesRequest) on Broker;
    DescribeTopicPartitions =>
        describe_topic_partitions(DescribeTopicPartitionsRequest) on Broker;
    AddRaftVoter => add_raft_voter(AddRaftVoterRequest) on Broker Controller;
    RemoveRaftVoter => remove_raft_voter(RemoveRaftVoterRequest) on Broker Controller;
    UpdateRaftVoter => update_raft_voter(UpdateRaftVoterRequest) on Controller;
}

/// Whether the API has a row for listeners of this role.
pub(crate) fn serves(key: ApiKey, role: ListenerRole) -> bool {
    ROWS.iter().any(|(served, roles)| *served == key && roles.contains(&role))
}
