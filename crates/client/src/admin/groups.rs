//! Consumer groups.

use std::collections::BTreeMap;

use strandline_types::{ErrorCode, NodeId, PartitionId, TopicPartition};
use strandline_wire::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest,
    decode_forward,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
};

use super::{Admin, PerItem};
use crate::error::{ClientError, Refusal};

/// One row of the list of groups.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct GroupListing {
    pub id: String,
    pub protocol_type: String,
    /// Empty when the broker is too old to say.
    pub state: String,
    /// `classic`, `consumer`, `share` or `streams`; empty when the broker is too old to say.
    pub kind: String,
    pub coordinator: NodeId,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    pub id: String,
    pub state: String,
    pub protocol_type: String,
    /// The assignor in use.
    pub protocol: String,
    pub coordinator: NodeId,
    pub members: Vec<GroupMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    /// Empty for groups of another protocol than `consumer`.
    pub assignment: Vec<TopicPartition>,
}

impl Admin {
    /// All groups of all brokers, by id.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        let mut groups = Vec::new();
        for (broker, response) in self.ask_brokers(|_| ListGroupsRequest::default()).await? {
            ClientError::check(format!("groups of broker {broker}"), response.error_code, None)?;
            groups.extend(response.groups.into_iter().map(|group| GroupListing {
                id: group.group_id,
                protocol_type: group.protocol_type,
                state: group.group_state,
                kind: group.group_type,
                coordinator: broker,
            }));
        }
        groups.sort();
        Ok(groups)
    }

    /// Describes groups of the classic protocol. An unknown one is `GROUP_ID_NOT_FOUND`, whatever
    /// the broker's version.
    pub async fn describe_groups(
        &self,
        ids: &[String],
    ) -> Result<PerItem<String, GroupDescription>, ClientError> {
        let mut results = Vec::new();
        for id in ids {
            let code = |response: &strandline_wire::messages::DescribeGroupsResponse| {
                response.groups.first().map_or(ErrorCode::NONE, |group| group.error_code)
            };
            let response = self
                .client
                .call_coordinator(
                    id,
                    |_| DescribeGroupsRequest { groups: vec![id.clone()], ..Default::default() },
                    code,
                )
                .await?;
            let coordinator = self.client.coordinator(id).await?;
            results.extend(response.groups.into_iter().map(|group| {
                let id = group.group_id.clone();
                (id, described(coordinator, group))
            }));
        }
        Ok(results)
    }

    /// Deletes groups that have no members, with their offsets.
    pub async fn delete_groups(&self, ids: &[String]) -> Result<PerItem<String, ()>, ClientError> {
        let mut results = Vec::new();
        for id in ids {
            let code = |response: &strandline_wire::messages::DeleteGroupsResponse| {
                response.results.first().map_or(ErrorCode::NONE, |group| group.error_code)
            };
            let response = self
                .client
                .call_coordinator(
                    id,
                    |_| DeleteGroupsRequest {
                        groups_names: vec![id.clone()],
                        ..Default::default()
                    },
                    code,
                )
                .await?;
            results.extend(
                response
                    .results
                    .into_iter()
                    .map(|group| (group.group_id, Refusal::check(group.error_code, None))),
            );
        }
        Ok(results)
    }
}

fn described(coordinator: NodeId, group: DescribedGroup) -> Result<GroupDescription, Refusal> {
    Refusal::check(group.error_code, group.error_message)?;
    if group.group_state == "Dead" {
        // How brokers before version 6 say that there is no such group.
        return Err(ErrorCode::GROUP_ID_NOT_FOUND.into());
    }
    let is_consumer = group.protocol_type == "consumer";
    Ok(GroupDescription {
        id: group.group_id,
        state: group.group_state,
        protocol_type: group.protocol_type,
        protocol: group.protocol_data,
        coordinator,
        members: group.members.into_iter().map(|member| member_of(is_consumer, member)).collect(),
    })
}

fn member_of(is_consumer: bool, member: DescribedGroupMember) -> GroupMember {
    let assignment = match is_consumer && !member.member_assignment.is_empty() {
        true => decode_forward::<ConsumerProtocolAssignment>(&member.member_assignment).ok(),
        false => None,
    };
    let mut partitions: BTreeMap<TopicPartition, ()> = BTreeMap::new();
    for topic in assignment.unwrap_or_default().assigned_partitions {
        partitions.extend(topic.partitions.into_iter().map(|index| {
            (TopicPartition { topic: topic.topic.clone(), partition: PartitionId(index) }, ())
        }));
    }
    GroupMember {
        id: member.member_id,
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment: partitions.into_keys().collect(),
    }
}
