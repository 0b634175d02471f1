//! What a controller that is not the active one says to each request: errors stand where Kafka puts them.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use expect_test::{Expect, expect};
use story::brief;
use strandline_metadata::controller::{Refusal, Request};
use strandline_types::Uuid;
use strandline_wire::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest,
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteTopicsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
    alter_configs_request,
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    create_partitions_request::CreatePartitionsTopic,
    create_topics_request::CreatableTopic,
    delete_topics_request::DeleteTopicState,
    elect_leaders_request::TopicPartitions,
    incremental_alter_configs_request,
};

fn check(request: impl Into<Request>, expected: Expect) {
    expected.assert_eq(&brief(&request.into().refused(Refusal::NotController)));
}

#[test]
fn errors_stand_beside_what_was_asked_for() {
    let name = || "t".to_string();
    check(
        CreateTopicsRequest {
            topics: vec![CreatableTopic { name: name(), ..Default::default() }],
            ..Default::default()
        },
        expect![[
            r#"CreateTopicsResponse { topics: [CreatableTopicResult { name: "t", topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller"), num_partitions: -1, replication_factor: -1, configs: Some([]) }] }"#
        ]],
    );
    check(
        DeleteTopicsRequest {
            topics: vec![
                DeleteTopicState { name: Some(name()), ..Default::default() },
                DeleteTopicState { topic_id: Uuid::ONE, ..Default::default() },
            ],
            ..Default::default()
        },
        expect![[
            r#"DeleteTopicsResponse { responses: [DeletableTopicResult { name: Some("t"), topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }, DeletableTopicResult { name: None, topic_id: AAAAAAAAAAAAAAAAAAAAAQ, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }] }"#
        ]],
    );
    check(
        DeleteTopicsRequest { topic_names: vec![name()], ..Default::default() },
        expect![[
            r#"DeleteTopicsResponse { responses: [DeletableTopicResult { name: Some("t"), topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }] }"#
        ]],
    );
    check(
        CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic { name: name(), ..Default::default() }],
            ..Default::default()
        },
        expect![[
            r#"CreatePartitionsResponse { results: [CreatePartitionsTopicResult { name: "t", error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }] }"#
        ]],
    );
    check(
        AlterConfigsRequest {
            resources: vec![alter_configs_request::AlterConfigsResource {
                resource_type: 2,
                resource_name: name(),
                ..Default::default()
            }],
            ..Default::default()
        },
        expect![[
            r#"AlterConfigsResponse { responses: [AlterConfigsResourceResponse { error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller"), resource_type: 2, resource_name: "t" }] }"#
        ]],
    );
    check(
        IncrementalAlterConfigsRequest {
            resources: vec![incremental_alter_configs_request::AlterConfigsResource {
                resource_type: 4,
                resource_name: "1".into(),
                ..Default::default()
            }],
            ..Default::default()
        },
        expect![[
            r#"IncrementalAlterConfigsResponse { responses: [AlterConfigsResourceResponse { error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller"), resource_type: 4, resource_name: "1" }] }"#
        ]],
    );
    check(
        AlterPartitionReassignmentsRequest {
            topics: vec![ReassignableTopic {
                name: name(),
                partitions: vec![ReassignablePartition {
                    partition_index: 3,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        },
        expect![[
            r#"AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller"), responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 3, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }] }] }"#
        ]],
    );
    check(
        ElectLeadersRequest {
            topic_partitions: Some(vec![TopicPartitions {
                topic: name(),
                partitions: vec![0, 3],
                ..Default::default()
            }]),
            ..Default::default()
        },
        expect![[
            r#"ElectLeadersResponse { error_code: NOT_CONTROLLER(41), replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }, PartitionResult { partition_id: 3, error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }] }] }"#
        ]],
    );
}

#[test]
fn one_error_stands_for_a_whole_request() {
    check(
        ElectLeadersRequest { topic_partitions: None, ..Default::default() },
        expect![
            "ElectLeadersResponse { error_code: NOT_CONTROLLER(41), replica_election_results: [] }"
        ],
    );
    check(
        ListPartitionReassignmentsRequest::default(),
        expect![[
            r#"ListPartitionReassignmentsResponse { error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller"), topics: [] }"#
        ]],
    );
    check(
        UpdateFeaturesRequest::default(),
        expect![[
            r#"UpdateFeaturesResponse { error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller"), results: [] }"#
        ]],
    );
    check(
        UnregisterBrokerRequest { broker_id: 3, ..Default::default() },
        expect![[
            r#"UnregisterBrokerResponse { error_code: NOT_CONTROLLER(41), error_message: Some("this node is not the active controller") }"#
        ]],
    );
    check(
        BrokerRegistrationRequest::default(),
        expect!["BrokerRegistrationResponse { error_code: NOT_CONTROLLER(41), broker_epoch: -1 }"],
    );
    check(
        BrokerHeartbeatRequest::default(),
        expect![
            "BrokerHeartbeatResponse { error_code: NOT_CONTROLLER(41), is_caught_up: false, is_fenced: true, should_shut_down: false }"
        ],
    );
    check(
        AlterPartitionRequest::default(),
        expect!["AlterPartitionResponse { error_code: NOT_CONTROLLER(41), topics: [] }"],
    );
}
