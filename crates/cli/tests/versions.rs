//! Every version of every API that the broker advertises is answered, when there is something to
//! tell: an answer that an old version cannot carry would end the connection.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use node::frames::{batch, fetch, produce};
use node::{Client, Node, Start};
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AddRaftVoterRequest,
    AllocateProducerIdsRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest,
    AlterPartitionRequest, AlterReplicaLogDirsRequest, ApiVersionsRequest,
    AssignReplicasToDirsRequest, BeginQuorumEpochRequest, BrokerHeartbeatRequest,
    BrokerRegistrationRequest, ControllerRegistrationRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeQuorumRequest, DescribeTopicPartitionsRequest,
    DescribeTransactionsRequest, ElectLeadersRequest, EndQuorumEpochRequest, EndTxnRequest,
    EnvelopeRequest, FetchSnapshotRequest, FindCoordinatorRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, ListTransactionsRequest, Message, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
    RemoveRaftVoterRequest, Request, SyncGroupRequest, TxnOffsetCommitRequest,
    UnregisterBrokerRequest, UpdateFeaturesRequest, UpdateRaftVoterRequest, VoteRequest,
    WriteTxnMarkersRequest,
};

const TOPIC: &str = "sweep";
const GROUP: &str = "sweepers";

struct Sweep {
    node: Node,
    topic_id: Uuid,
    /// Keys of the APIs that were asked.
    asked: Vec<i16>,
}

impl Sweep {
    /// Asks in every version, each on a connection of its own.
    fn each<R: Request>(&mut self, request: impl Fn(i16, Uuid) -> R) {
        self.each_at(self.node.kafka, request);
    }

    fn each_at<R: Request>(&mut self, address: SocketAddr, request: impl Fn(i16, Uuid) -> R) {
        let (key, served) = (R::KEY, <R as Message>::VERSIONS);
        self.asked.push(key.code());
        for version in served.min..=served.max {
            let mut client = Client::connect(address);
            let answer = client.try_ask(&request(version, self.topic_id), version);
            if let Err(error) = answer {
                panic!("{key} version {version}: {error}\n{}", self.node.log());
            }
        }
    }

    fn topics(&mut self) {
        use strandline_wire::messages::{
            alter_replica_log_dirs_request as move_dirs, create_partitions_request as grow,
            create_topics_request as create, delete_records_request as delete,
            describe_log_dirs_request as dirs, describe_producers_request as producers,
            describe_topic_partitions_request as describe, list_offsets_request as list,
            offset_for_leader_epoch_request as epoch,
        };
        self.each(|version, _| {
            // An empty list stands for all topics in version 0.
            let topics = if version == 0 { Some(Vec::new()) } else { None };
            MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() }
        });
        self.each(|version, id| {
            let mut request = produce(TOPIC, 0, batch(&[b"one", b"two"]));
            if version >= 13 {
                let topic = &mut request.topic_data[0];
                (topic.name, topic.topic_id) = (String::new(), id);
            }
            request
        });
        self.each(|version, id| {
            let mut request = fetch(TOPIC, 0, 0, 1000);
            if version >= 13 {
                (request.topics[0].topic, request.topics[0].topic_id) = (String::new(), id);
            }
            request
        });
        self.each(|_, _| {
            let partition = list::ListOffsetsPartition { timestamp: 0, ..Default::default() };
            let topic = list::ListOffsetsTopic {
                name: TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            };
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
        });
        self.each(|_, _| {
            let partition =
                epoch::OffsetForLeaderPartition { current_leader_epoch: -1, ..Default::default() };
            let topic = epoch::OffsetForLeaderTopic {
                topic: TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            };
            OffsetForLeaderEpochRequest {
                replica_id: -1,
                topics: vec![topic],
                ..Default::default()
            }
        });
        self.each(|_, _| {
            let partition = delete::DeleteRecordsPartition { offset: 1, ..Default::default() };
            let topic = delete::DeleteRecordsTopic {
                name: TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            };
            DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() }
        });
        self.each(|version, _| {
            let topic = create::CreatableTopic {
                name: format!("made-in-{version}"),
                num_partitions: 2,
                replication_factor: 1,
                ..Default::default()
            };
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() }
        });
        self.each(|version, _| {
            let topic = grow::CreatePartitionsTopic {
                name: TOPIC.into(),
                count: i32::from(version) + 2,
                assignments: None,
                ..Default::default()
            };
            CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() }
        });
        self.each(|_, _| {
            let topic = dirs::DescribableLogDirTopic {
                topic: TOPIC.into(),
                partitions: vec![0],
                ..Default::default()
            };
            DescribeLogDirsRequest { topics: Some(vec![topic]), ..Default::default() }
        });
        self.each(|_, _| {
            let topic = move_dirs::AlterReplicaLogDirTopic {
                name: TOPIC.into(),
                partitions: vec![0],
                ..Default::default()
            };
            let dir = move_dirs::AlterReplicaLogDir {
                path: "nowhere".into(),
                topics: vec![topic],
                ..Default::default()
            };
            AlterReplicaLogDirsRequest { dirs: vec![dir], ..Default::default() }
        });
        self.each(|_, _| {
            let topic = producers::TopicRequest {
                name: TOPIC.into(),
                partition_indexes: vec![0],
                ..Default::default()
            };
            DescribeProducersRequest { topics: vec![topic], ..Default::default() }
        });
        self.each(|_, _| {
            let topic = describe::TopicRequest { name: TOPIC.into(), ..Default::default() };
            DescribeTopicPartitionsRequest {
                topics: vec![topic],
                response_partition_limit: 10,
                ..Default::default()
            }
        });
        self.each(|_, _| InitProducerIdRequest { transactional_id: None, ..Default::default() });
    }

    /// Until then there is nothing to compare but errors.
    fn await_coordinator(&self, key_type: i8, key: &str) {
        let request = FindCoordinatorRequest {
            key_type,
            coordinator_keys: vec![key.into()],
            ..Default::default()
        };
        let mut client = Client::connect(self.node.kafka);
        let deadline = Instant::now() + Duration::from_secs(30);
        while client.ask(&request, 4).coordinators[0].error_code != ErrorCode::NONE {
            assert!(Instant::now() < deadline, "no coordinator\n{}", self.node.log());
        }
    }

    fn transactions(&mut self) {
        use strandline_wire::messages::{
            add_partitions_to_txn_request as add, txn_offset_commit_request as commit,
            write_txn_markers_request as markers,
        };
        let id = || "sweeping".to_owned();
        self.await_coordinator(1, &id());
        self.each(|_, _| InitProducerIdRequest {
            transactional_id: Some(id()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        });
        self.each(|version, _| {
            let topic = add::AddPartitionsToTxnTopic {
                name: TOPIC.into(),
                partitions: vec![0],
                ..Default::default()
            };
            if version < 4 {
                return AddPartitionsToTxnRequest {
                    v3_and_below_transactional_id: id(),
                    v3_and_below_topics: vec![topic],
                    ..Default::default()
                };
            }
            let transaction = add::AddPartitionsToTxnTransaction {
                transactional_id: id(),
                verify_only: version == 4,
                topics: vec![topic],
                ..Default::default()
            };
            AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() }
        });
        self.each(|_, _| AddOffsetsToTxnRequest {
            transactional_id: id(),
            group_id: GROUP.into(),
            ..Default::default()
        });
        self.each(|_, _| {
            let partition = commit::TxnOffsetCommitRequestPartition {
                committed_offset: 1,
                ..Default::default()
            };
            let topic = commit::TxnOffsetCommitRequestTopic {
                name: TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            };
            TxnOffsetCommitRequest {
                transactional_id: id(),
                group_id: GROUP.into(),
                topics: vec![topic],
                ..Default::default()
            }
        });
        self.each(|_, _| {
            let topic = markers::WritableTxnMarkerTopic {
                name: TOPIC.into(),
                partition_indexes: vec![0, 99],
                ..Default::default()
            };
            let marker = markers::WritableTxnMarker {
                producer_id: 4711,
                topics: vec![topic],
                ..Default::default()
            };
            WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() }
        });
        self.each(|_, _| EndTxnRequest { transactional_id: id(), ..Default::default() });
        self.each(|_, _| DescribeTransactionsRequest {
            transactional_ids: vec![id(), "nobody's".into()],
            ..Default::default()
        });
        self.each(|version, _| ListTransactionsRequest {
            state_filters: vec!["Ongoing".into(), "Dreaming".into()],
            transactional_id_pattern: (version >= 2).then(|| ".*".into()),
            ..Default::default()
        });
    }

    fn groups(&mut self) {
        use strandline_wire::messages::{
            join_group_request as join, leave_group_request as leave,
            offset_commit_request as commit, offset_delete_request as delete,
            offset_fetch_request as fetch,
        };
        self.each(|version, _| match version {
            4.. => FindCoordinatorRequest {
                coordinator_keys: vec![GROUP.into()],
                ..Default::default()
            },
            _ => FindCoordinatorRequest { key: GROUP.into(), ..Default::default() },
        });
        self.each(|version, id| {
            let partition = commit::OffsetCommitRequestPartition {
                committed_offset: 1,
                committed_leader_epoch: -1,
                ..Default::default()
            };
            let mut topic = commit::OffsetCommitRequestTopic {
                partitions: vec![partition],
                ..Default::default()
            };
            match version {
                10.. => topic.topic_id = id,
                _ => topic.name = TOPIC.into(),
            }
            OffsetCommitRequest {
                group_id: GROUP.into(),
                generation_id_or_member_epoch: -1,
                topics: vec![topic],
                ..Default::default()
            }
        });
        self.each(|version, _| match version {
            8.. => {
                let group = fetch::OffsetFetchRequestGroup {
                    group_id: GROUP.into(),
                    topics: None,
                    ..Default::default()
                };
                OffsetFetchRequest { groups: vec![group], ..Default::default() }
            }
            _ => {
                let topic = fetch::OffsetFetchRequestTopic {
                    name: TOPIC.into(),
                    partition_indexes: vec![0],
                    ..Default::default()
                };
                OffsetFetchRequest {
                    group_id: GROUP.into(),
                    topics: Some(vec![topic]),
                    ..Default::default()
                }
            }
        });
        // Where a member id is asked for first, that is the answer.
        self.each(|version, _| {
            let protocol =
                join::JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
            JoinGroupRequest {
                group_id: format!("joined-in-{version}"),
                session_timeout_ms: 6_000,
                rebalance_timeout_ms: 6_000,
                protocol_type: "consumer".into(),
                protocols: vec![protocol],
                ..Default::default()
            }
        });
        self.each(|_, _| SyncGroupRequest { group_id: GROUP.into(), ..Default::default() });
        self.each(|_, _| HeartbeatRequest { group_id: GROUP.into(), ..Default::default() });
        self.each(|version, _| match version {
            3.. => {
                let member =
                    leave::MemberIdentity { member_id: "nobody".into(), ..Default::default() };
                LeaveGroupRequest {
                    group_id: GROUP.into(),
                    members: vec![member],
                    ..Default::default()
                }
            }
            _ => LeaveGroupRequest {
                group_id: GROUP.into(),
                member_id: "nobody".into(),
                ..Default::default()
            },
        });
        self.each(|_, _| DescribeGroupsRequest {
            groups: vec![GROUP.into(), "joined-in-0".into()],
            ..Default::default()
        });
        self.each(|_, _| ListGroupsRequest::default());
        self.each(|_, _| {
            let partition = delete::OffsetDeleteRequestPartition::default();
            let topic = delete::OffsetDeleteRequestTopic {
                name: TOPIC.into(),
                partitions: vec![partition],
            };
            OffsetDeleteRequest { group_id: GROUP.into(), topics: vec![topic] }
        });
        self.each(|_, _| DeleteGroupsRequest {
            groups_names: vec![GROUP.into()],
            ..Default::default()
        });
    }

    fn cluster(&mut self) {
        use strandline_wire::messages::{
            alter_configs_request as alter, alter_partition_reassignments_request as reassign,
            delete_topics_request as delete, describe_configs_request as describe,
            describe_quorum_request as quorum, elect_leaders_request as elect,
            incremental_alter_configs_request as incremental,
        };
        self.each(|_, _| ApiVersionsRequest {
            client_software_name: "sweep".into(),
            client_software_version: "1".into(),
            ..Default::default()
        });
        self.each(|_, _| DescribeClusterRequest { endpoint_type: 1, ..Default::default() });
        self.each(|_, _| {
            let topic = quorum::TopicData {
                topic_name: "__cluster_metadata".into(),
                partitions: vec![quorum::PartitionData::default()],
                ..Default::default()
            };
            DescribeQuorumRequest { topics: vec![topic], ..Default::default() }
        });
        self.each(|_, _| {
            let of = |resource_type, name: &str| describe::DescribeConfigsResource {
                resource_type,
                resource_name: name.into(),
                configuration_keys: None,
                ..Default::default()
            };
            DescribeConfigsRequest {
                resources: vec![of(2, TOPIC), of(4, "1")],
                include_synonyms: true,
                ..Default::default()
            }
        });
        self.each(|_, _| {
            let config = alter::AlterableConfig {
                name: "retention.ms".into(),
                value: Some("1000000".into()),
                ..Default::default()
            };
            let resource = alter::AlterConfigsResource {
                resource_type: 2,
                resource_name: TOPIC.into(),
                configs: vec![config],
                ..Default::default()
            };
            AlterConfigsRequest { resources: vec![resource], ..Default::default() }
        });
        self.each(|_, _| {
            let config = incremental::AlterableConfig {
                name: "retention.ms".into(),
                value: Some("2000000".into()),
                ..Default::default()
            };
            let resource = incremental::AlterConfigsResource {
                resource_type: 2,
                resource_name: TOPIC.into(),
                configs: vec![config],
                ..Default::default()
            };
            IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() }
        });
        self.each(|version, _| {
            let topic = elect::TopicPartitions {
                topic: TOPIC.into(),
                partitions: vec![0],
                ..Default::default()
            };
            ElectLeadersRequest {
                election_type: i8::from(version > 0),
                topic_partitions: Some(vec![topic]),
                ..Default::default()
            }
        });
        self.each(|_, _| {
            let partition =
                reassign::ReassignablePartition { replicas: Some(vec![1]), ..Default::default() };
            let topic = reassign::ReassignableTopic {
                name: TOPIC.into(),
                partitions: vec![partition],
                ..Default::default()
            };
            AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() }
        });
        self.each(|_, _| ListPartitionReassignmentsRequest::default());
        self.each(|_, _| UnregisterBrokerRequest { broker_id: 99, ..Default::default() });
        self.each(|_, _| ListConfigResourcesRequest::default());
        self.each(|_, _| UpdateFeaturesRequest::default());
        self.each(|version, _| match version {
            6.. => {
                let topic = delete::DeleteTopicState {
                    name: Some(format!("made-in-{version}")),
                    ..Default::default()
                };
                DeleteTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() }
            }
            _ => DeleteTopicsRequest {
                topic_names: vec![format!("made-in-{version}")],
                timeout_ms: 5_000,
                ..Default::default()
            },
        });
    }
}

impl Sweep {
    /// What brokers and controllers ask the active controller.
    fn controller(&mut self) {
        use strandline_wire::messages::{
            alter_partition_request as alter, assign_replicas_to_dirs_request as assign,
        };
        let controller = self.node.controller;
        self.each_at(controller, |_, _| BrokerRegistrationRequest {
            broker_id: 98,
            ..Default::default()
        });
        self.each_at(controller, |_, _| BrokerHeartbeatRequest {
            broker_id: 98,
            ..Default::default()
        });
        self.each_at(controller, |version, topic_id| {
            let mut partition = alter::PartitionData::default();
            match version {
                2 => partition.new_isr = vec![1],
                _ => {
                    let member = alter::BrokerState { broker_id: 1, ..Default::default() };
                    partition.new_isr_with_epochs = vec![member];
                }
            }
            let partitions = vec![partition];
            let topic = alter::TopicData { topic_id, partitions, ..Default::default() };
            AlterPartitionRequest { broker_id: 1, topics: vec![topic], ..Default::default() }
        });
        self.each_at(controller, |_, _| AllocateProducerIdsRequest {
            broker_id: 98,
            ..Default::default()
        });
        self.each_at(controller, |_, _| ControllerRegistrationRequest {
            controller_id: 98,
            ..Default::default()
        });
        self.each_at(controller, |_, topic_id| {
            let partitions = vec![assign::PartitionData::default()];
            let topics = vec![assign::TopicData { topic_id, partitions, ..Default::default() }];
            let directory = assign::DirectoryData { topics, ..Default::default() };
            AssignReplicasToDirsRequest {
                broker_id: 98,
                directories: vec![directory],
                ..Default::default()
            }
        });
    }
}

impl Sweep {
    /// What the nodes of the quorum ask each other: all of it about a partition of its own.
    fn quorum(&mut self) {
        use strandline_wire::messages::{
            begin_quorum_epoch_request as begin, end_quorum_epoch_request as end,
            fetch_snapshot_request as snapshot, vote_request as vote,
        };
        const METADATA: &str = "__cluster_metadata";
        let controller = self.node.controller;
        self.each_at(controller, |_, _| {
            let partitions = vec![vote::PartitionData { replica_id: 98, ..Default::default() }];
            let topic =
                vote::TopicData { topic_name: METADATA.into(), partitions, ..Default::default() };
            VoteRequest { topics: vec![topic], ..Default::default() }
        });
        self.each_at(controller, |_, _| {
            let partitions = vec![begin::PartitionData { leader_id: 98, ..Default::default() }];
            let topic =
                begin::TopicData { topic_name: METADATA.into(), partitions, ..Default::default() };
            BeginQuorumEpochRequest { topics: vec![topic], ..Default::default() }
        });
        self.each_at(controller, |_, _| {
            let partitions = vec![end::PartitionData { leader_id: 98, ..Default::default() }];
            let topic =
                end::TopicData { topic_name: METADATA.into(), partitions, ..Default::default() };
            EndQuorumEpochRequest { topics: vec![topic], ..Default::default() }
        });
        self.each_at(controller, |_, _| {
            let partitions = vec![snapshot::PartitionSnapshot::default()];
            let topic =
                snapshot::TopicSnapshot { name: METADATA.into(), partitions, ..Default::default() };
            FetchSnapshotRequest { topics: vec![topic], ..Default::default() }
        });
        self.each_at(controller, |_, _| EnvelopeRequest::default());
        self.each_at(controller, |_, _| AddRaftVoterRequest::default());
        self.each_at(controller, |_, _| RemoveRaftVoterRequest {
            voter_id: 98,
            ..Default::default()
        });
        self.each_at(controller, |_, _| UpdateRaftVoterRequest {
            voter_id: 98,
            ..Default::default()
        });
    }
}

#[test]
fn every_version_of_every_api_is_answered() {
    let temporary = tempfile::tempdir().unwrap();
    let node =
        Start::anywhere(temporary.path()).set("group.initial.rebalance.delay.ms", "0").ready();
    let mut client: Client = node.client();
    client.create_topic(TOPIC, 1, &[]);
    let topic_id = client.topic_id(TOPIC).unwrap();
    let written = client.produce(TOPIC, 0, batch(&[b"first"])).unwrap();
    assert_eq!(written.error_code, ErrorCode::NONE);
    let at_broker = client.ask(&ApiVersionsRequest::default(), 0);
    let at_controller = Client::connect(node.controller).ask(&ApiVersionsRequest::default(), 0);
    let mut sweep = Sweep { node, topic_id, asked: Vec::new() };
    sweep.topics();
    sweep.groups();
    sweep.transactions();
    sweep.cluster();
    sweep.controller();
    sweep.quorum();
    let advertised = at_broker.api_keys.iter().chain(&at_controller.api_keys);
    let left: Vec<i16> =
        advertised.map(|api| api.api_key).filter(|key| !sweep.asked.contains(key)).collect();
    assert!(left.is_empty(), "advertised, and not asked: {left:?}");
}
