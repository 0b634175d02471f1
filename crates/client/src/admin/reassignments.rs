//! Partitions that move between brokers (KIP-455), and who leads them (KIP-460).

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::{ErrorCode, NodeId, PartitionId, TopicPartition};
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, ElectLeadersRequest, ListPartitionReassignmentsRequest,
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    elect_leaders_request::TopicPartitions,
};

use super::offsets::by_topic;
use super::{Admin, PerItem};
use crate::error::{ClientError, Refusal};

const PREFERRED: i8 = 0;
/// Since when controllers are told whether partitions may get more or fewer replicas (KIP-860).
const RESIZING_VERSION_MIN: i16 = 1;

/// A partition on its way to other brokers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reassignment {
    /// Those it has now, the leaving ones too.
    pub replicas: Vec<NodeId>,
    pub adding: Vec<NodeId>,
    pub removing: Vec<NodeId>,
}

impl Reassignment {
    /// The replicas that it will have.
    pub fn target(&self) -> Vec<NodeId> {
        let stays = |id: &NodeId| !self.removing.contains(id);
        self.replicas.iter().copied().filter(stays).collect()
    }
}

fn nodes(ids: Vec<i32>) -> Vec<NodeId> {
    ids.into_iter().map(NodeId).collect()
}

impl Admin {
    /// Everything that is on its way.
    pub async fn list_partition_reassignments(
        &self,
    ) -> Result<BTreeMap<TopicPartition, Reassignment>, ClientError> {
        let response = self
            .client
            .call_any(|_| ListPartitionReassignmentsRequest {
                timeout_ms: self.timeout_ms(),
                topics: None,
                ..Default::default()
            })
            .await?;
        ClientError::check("reassignments", response.error_code, response.error_message)?;
        let mut moving = BTreeMap::new();
        for topic in response.topics {
            moving.extend(topic.partitions.into_iter().map(|partition| {
                let index = PartitionId(partition.partition_index);
                let subject = TopicPartition { topic: topic.name.clone(), partition: index };
                let reassignment = Reassignment {
                    replicas: nodes(partition.replicas),
                    adding: nodes(partition.adding_replicas),
                    removing: nodes(partition.removing_replicas),
                };
                (subject, reassignment)
            }));
        }
        Ok(moving)
    }

    /// Sends partitions to the brokers named, the preferred leader first; `None` ends a move and
    /// takes it back. Unless `may_resize`, a target with more or fewer replicas than the partition
    /// has is refused with `INVALID_REPLICATION_FACTOR` (KIP-860). Controllers that do not know of
    /// that are not sent such targets, as far as the brokers tell what the partitions have.
    pub async fn alter_partition_reassignments(
        &self,
        targets: &BTreeMap<TopicPartition, Option<Vec<NodeId>>>,
        may_resize: bool,
    ) -> Result<PerItem<TopicPartition, ()>, ClientError> {
        let resized = if may_resize { BTreeSet::new() } else { self.resized(targets).await? };
        let partitions: Vec<TopicPartition> = targets.keys().cloned().collect();
        let steady: Vec<TopicPartition> =
            targets.keys().filter(|it| !resized.contains(it)).cloned().collect();
        let topic = |(name, indexes): (&str, Vec<PartitionId>)| ReassignableTopic {
            partitions: indexes
                .into_iter()
                .map(|partition| {
                    let key = TopicPartition { topic: name.to_owned(), partition };
                    let target = targets.get(&key).and_then(Option::as_ref);
                    ReassignablePartition {
                        partition_index: partition.get(),
                        replicas: target.map(|ids| ids.iter().map(|id| id.get()).collect()),
                        ..Default::default()
                    }
                })
                .collect(),
            name: name.to_owned(),
            ..Default::default()
        };
        let response = self
            .client
            .call_any(|version| {
                let sent = if version < RESIZING_VERSION_MIN { &steady } else { &partitions };
                AlterPartitionReassignmentsRequest {
                    timeout_ms: self.timeout_ms(),
                    allow_replication_factor_change: may_resize || version < RESIZING_VERSION_MIN,
                    topics: by_topic(sent).into_iter().map(topic).collect(),
                    ..Default::default()
                }
            })
            .await?;
        ClientError::check("reassignments", response.error_code, response.error_message)?;
        let mut results = BTreeMap::new();
        for topic in response.responses {
            results.extend(topic.partitions.into_iter().map(|partition| {
                let index = PartitionId(partition.partition_index);
                let subject = TopicPartition { topic: topic.name.clone(), partition: index };
                (subject, Refusal::check(partition.error_code, partition.error_message))
            }));
        }
        for unsent in resized {
            let refusal = Refusal::from(ErrorCode::INVALID_REPLICATION_FACTOR);
            results.entry(unsent).or_insert(Err(refusal));
        }
        Ok(results.into_iter().collect())
    }

    /// Targets with another number of replicas than their partitions have, as the brokers tell it.
    async fn resized(
        &self,
        targets: &BTreeMap<TopicPartition, Option<Vec<NodeId>>>,
    ) -> Result<BTreeSet<TopicPartition>, ClientError> {
        let sizes = targets.iter().filter_map(|(it, target)| Some((it, target.as_ref()?.len())));
        let sizes: BTreeMap<&TopicPartition, usize> = sizes.collect();
        if sizes.is_empty() {
            return Ok(BTreeSet::new());
        }
        let moving = self.list_partition_reassignments().await?;
        let mut names: Vec<String> = sizes.keys().map(|it| it.topic.clone()).collect();
        names.dedup();
        let mut resized = BTreeSet::new();
        for (name, topic) in self.describe_topics(&names).await? {
            // What there is no more, the controller refuses.
            for partition in topic.iter().flat_map(|it| &it.partitions) {
                let it = TopicPartition { topic: name.clone(), partition: partition.index };
                let adding = moving.get(&it).map_or(0, |moves| moves.adding.len());
                let replicas = partition.replicas.len().saturating_sub(adding);
                if sizes.get(&it).is_some_and(|size| *size != replicas) {
                    resized.insert(it);
                }
            }
        }
        Ok(resized)
    }

    /// Has the first replica of each partition lead it. What it leads already is refused with
    /// `ELECTION_NOT_NEEDED`.
    pub async fn elect_preferred_leaders(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<PerItem<TopicPartition, ()>, ClientError> {
        let topic = |(name, indexes): (&str, Vec<PartitionId>)| TopicPartitions {
            topic: name.to_owned(),
            partitions: indexes.into_iter().map(PartitionId::get).collect(),
            ..Default::default()
        };
        let response = self
            .client
            .call_any(|_| ElectLeadersRequest {
                election_type: PREFERRED,
                topic_partitions: Some(by_topic(partitions).into_iter().map(topic).collect()),
                timeout_ms: self.timeout_ms(),
                ..Default::default()
            })
            .await?;
        ClientError::check("elections", response.error_code, None)?;
        let mut results = Vec::new();
        for topic in response.replica_election_results {
            results.extend(topic.partition_result.into_iter().map(|partition| {
                let index = PartitionId(partition.partition_id);
                let subject = TopicPartition { topic: topic.topic.clone(), partition: index };
                (subject, Refusal::check(partition.error_code, partition.error_message))
            }));
        }
        Ok(results)
    }
}
