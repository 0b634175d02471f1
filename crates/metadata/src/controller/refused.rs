//! The answer of a controller that is not the active one. Clients look for NOT_CONTROLLER where the
//! API carries errors: beside each thing they asked for, or once for all.

use alloc::string::ToString;
use alloc::vec::Vec;

use strandline_wire::messages::{
    AllocateProducerIdsResponse, AlterConfigsResponse, AlterPartitionReassignmentsResponse,
    AlterPartitionResponse, AssignReplicasToDirsResponse, BrokerHeartbeatResponse,
    BrokerRegistrationResponse, ControllerRegistrationResponse, CreatePartitionsResponse,
    CreateTopicsResponse, DeleteTopicsResponse, ElectLeadersResponse,
    IncrementalAlterConfigsResponse, ListPartitionReassignmentsResponse, UnregisterBrokerResponse,
    UpdateFeaturesResponse, alter_configs_response, alter_partition_reassignments_response,
    create_partitions_response::CreatePartitionsTopicResult,
    create_topics_response::CreatableTopicResult, delete_topics_response::DeletableTopicResult,
    elect_leaders_response, incremental_alter_configs_response,
};

use super::{Refusal, Request, Response};

impl Request {
    /// The answer that says `refusal` to everything this asks for.
    pub fn refused(self, refusal: Refusal) -> Response {
        let error_code = refusal.code();
        let text = refusal.to_string();
        let error_message = || Some(text.clone());
        match self {
            Self::AllocateProducerIds(_) => {
                AllocateProducerIdsResponse { error_code, ..Default::default() }.into()
            }
            Self::AlterPartition(_) => {
                AlterPartitionResponse { error_code, ..Default::default() }.into()
            }
            Self::AssignReplicasToDirs(_) => {
                AssignReplicasToDirsResponse { error_code, ..Default::default() }.into()
            }
            Self::BrokerHeartbeat(_) => {
                BrokerHeartbeatResponse { error_code, ..Default::default() }.into()
            }
            Self::BrokerRegistration(_) => {
                BrokerRegistrationResponse { error_code, ..Default::default() }.into()
            }
            Self::ControllerRegistration(_) => ControllerRegistrationResponse {
                error_code,
                error_message: error_message(),
                ..Default::default()
            }
            .into(),
            Self::UnregisterBroker(_) => UnregisterBrokerResponse {
                error_code,
                error_message: error_message(),
                ..Default::default()
            }
            .into(),
            Self::UpdateFeatures(_) => UpdateFeaturesResponse {
                error_code,
                error_message: error_message(),
                ..Default::default()
            }
            .into(),
            Self::ListPartitionReassignments(_) => ListPartitionReassignmentsResponse {
                error_code,
                error_message: error_message(),
                ..Default::default()
            }
            .into(),
            Self::AlterConfigs(request) => {
                use alter_configs_response::AlterConfigsResourceResponse;
                AlterConfigsResponse {
                    responses: each(request.resources, |it| AlterConfigsResourceResponse {
                        error_code,
                        error_message: error_message(),
                        resource_type: it.resource_type,
                        resource_name: it.resource_name,
                        ..Default::default()
                    }),
                    ..Default::default()
                }
                .into()
            }
            Self::IncrementalAlterConfigs(request) => {
                use incremental_alter_configs_response::AlterConfigsResourceResponse;
                IncrementalAlterConfigsResponse {
                    responses: each(request.resources, |it| AlterConfigsResourceResponse {
                        error_code,
                        error_message: error_message(),
                        resource_type: it.resource_type,
                        resource_name: it.resource_name,
                        ..Default::default()
                    }),
                    ..Default::default()
                }
                .into()
            }
            Self::CreatePartitions(request) => CreatePartitionsResponse {
                results: each(request.topics, |topic| CreatePartitionsTopicResult {
                    name: topic.name,
                    error_code,
                    error_message: error_message(),
                    ..Default::default()
                }),
                ..Default::default()
            }
            .into(),
            Self::CreateTopics(request) => CreateTopicsResponse {
                topics: each(request.topics, |topic| CreatableTopicResult {
                    name: topic.name,
                    error_code,
                    error_message: error_message(),
                    ..Default::default()
                }),
                ..Default::default()
            }
            .into(),
            Self::DeleteTopics(request) => {
                let mut responses = each(request.topics, |topic| DeletableTopicResult {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    error_code,
                    error_message: error_message(),
                    ..Default::default()
                });
                responses.extend(request.topic_names.into_iter().map(|name| {
                    DeletableTopicResult {
                        name: Some(name),
                        error_code,
                        error_message: error_message(),
                        ..Default::default()
                    }
                }));
                DeleteTopicsResponse { responses, ..Default::default() }.into()
            }
            Self::ElectLeaders(request) => {
                use elect_leaders_response::{PartitionResult, ReplicaElectionResult};
                let topics = request.topic_partitions.unwrap_or_default();
                ElectLeadersResponse {
                    error_code,
                    replica_election_results: each(topics, |topic| ReplicaElectionResult {
                        topic: topic.topic,
                        partition_result: each(topic.partitions, |partition_id| PartitionResult {
                            partition_id,
                            error_code,
                            error_message: error_message(),
                            ..Default::default()
                        }),
                        ..Default::default()
                    }),
                    ..Default::default()
                }
                .into()
            }
            Self::AlterPartitionReassignments(request) => {
                use alter_partition_reassignments_response::{
                    ReassignablePartitionResponse, ReassignableTopicResponse,
                };
                AlterPartitionReassignmentsResponse {
                    error_code,
                    error_message: error_message(),
                    responses: each(request.topics, |topic| ReassignableTopicResponse {
                        name: topic.name,
                        partitions: each(topic.partitions, |it| ReassignablePartitionResponse {
                            partition_index: it.partition_index,
                            error_code,
                            error_message: error_message(),
                            ..Default::default()
                        }),
                        ..Default::default()
                    }),
                    ..Default::default()
                }
                .into()
            }
        }
    }
}

fn each<T, U>(items: Vec<T>, answer: impl FnMut(T) -> U) -> Vec<U> {
    items.into_iter().map(answer).collect()
}
