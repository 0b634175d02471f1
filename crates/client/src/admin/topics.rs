//! Topics and their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use strandline_types::{NodeId, Offset, PartitionId, TopicPartition, Uuid};
use strandline_wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    create_partitions_request::CreatePartitionsTopic,
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig},
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    delete_topics_request::DeleteTopicState,
};

use super::{Admin, PerItem, in_order_of};
use crate::error::{ClientError, Refusal};
use crate::metadata::Topic;

/// A topic to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    pub name: String,
    /// −1 takes the broker's default.
    pub partitions: i32,
    /// −1 takes the broker's default.
    pub replication_factor: i16,
    /// Replicas of each partition, the preferred leader first; empty lets the controller choose.
    pub assignments: BTreeMap<PartitionId, Vec<NodeId>>,
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    pub fn new(name: impl Into<String>, partitions: i32, replication_factor: i16) -> Self {
        let (assignments, configs) = Default::default();
        Self { name: name.into(), partitions, replication_factor, assignments, configs }
    }

    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), value.into());
        self
    }

    fn to_wire(&self) -> CreatableTopic {
        let assigned = !self.assignments.is_empty();
        CreatableTopic {
            name: self.name.clone(),
            num_partitions: if assigned { -1 } else { self.partitions },
            replication_factor: if assigned { -1 } else { self.replication_factor },
            assignments: self
                .assignments
                .iter()
                .map(|(partition, replicas)| CreatableReplicaAssignment {
                    partition_index: partition.get(),
                    broker_ids: replicas.iter().map(|node| node.get()).collect(),
                    ..Default::default()
                })
                .collect(),
            configs: self
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: name.clone(),
                    value: Some(value.clone()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }
}

/// What the controller made of a [`NewTopic`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    pub id: Uuid,
    /// −1 when the broker is too old to say.
    pub partitions: i32,
    pub replication_factor: i16,
}

impl Admin {
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<PerItem<String, CreatedTopic>, ClientError> {
        let response = self
            .client
            .call_any(|_| CreateTopicsRequest {
                topics: topics.iter().map(NewTopic::to_wire).collect(),
                timeout_ms: self.timeout_ms(),
                validate_only,
                ..Default::default()
            })
            .await?;
        let results = response.topics.into_iter().map(|topic| {
            let created = CreatedTopic {
                id: topic.topic_id,
                partitions: topic.num_partitions,
                replication_factor: topic.replication_factor,
            };
            let result = Refusal::check(topic.error_code, topic.error_message);
            (topic.name, result.map(|()| created))
        });
        Ok(in_order_of(topics.iter().map(|topic| &topic.name), results.collect()))
    }

    pub async fn delete_topics(
        &self,
        names: &[String],
    ) -> Result<PerItem<String, ()>, ClientError> {
        let state =
            |name: &String| DeleteTopicState { name: Some(name.clone()), ..Default::default() };
        let response = self
            .client
            .call_any(|version| DeleteTopicsRequest {
                topics: if version >= 6 { names.iter().map(state).collect() } else { Vec::new() },
                topic_names: if version < 6 { names.to_vec() } else { Vec::new() },
                timeout_ms: self.timeout_ms(),
                ..Default::default()
            })
            .await?;
        let results = response.responses.into_iter().map(|topic| {
            let result = Refusal::check(topic.error_code, topic.error_message);
            (topic.name.unwrap_or_default(), result)
        });
        names.iter().for_each(|name| self.client.forget_topic(name));
        Ok(in_order_of(names.iter(), results.collect()))
    }

    /// Grows topics to the number of partitions given for each.
    pub async fn create_partitions(
        &self,
        totals: &[(String, i32)],
        validate_only: bool,
    ) -> Result<PerItem<String, ()>, ClientError> {
        let topic = |(name, count): &(String, i32)| CreatePartitionsTopic {
            name: name.clone(),
            count: *count,
            assignments: None,
            ..Default::default()
        };
        let response = self
            .client
            .call_any(|_| CreatePartitionsRequest {
                topics: totals.iter().map(topic).collect(),
                timeout_ms: self.timeout_ms(),
                validate_only,
                ..Default::default()
            })
            .await?;
        totals.iter().for_each(|(name, _)| self.client.forget_topic(name));
        let results = response.results.into_iter();
        let results = results
            .map(|topic| (topic.name, Refusal::check(topic.error_code, topic.error_message)));
        Ok(in_order_of(totals.iter().map(|(name, _)| name), results.collect()))
    }

    /// All topics, internal ones too, in the broker's order.
    pub async fn list_topics(&self) -> Result<Vec<Arc<Topic>>, ClientError> {
        self.client.all_topics().await
    }

    pub async fn describe_topics(
        &self,
        names: &[String],
    ) -> Result<PerItem<String, Arc<Topic>>, ClientError> {
        Ok(in_order_of(names.iter(), self.client.refresh(Some(names), false).await?))
    }

    /// Deletes what lies before each offset (−1: before the high watermark), and says where the
    /// partition begins then.
    pub async fn delete_records(
        &self,
        before: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<PerItem<TopicPartition, Offset>, ClientError> {
        let partitions: Vec<_> = before.keys().cloned().collect();
        let request = |partitions: &[TopicPartition]| DeleteRecordsRequest {
            topics: delete_records_topics(partitions, before),
            timeout_ms: self.timeout_ms(),
            ..Default::default()
        };
        self.ask_leaders(partitions, request, |response| {
            let topics = response.topics.into_iter();
            let answers = topics.flat_map(|topic| {
                topic.partitions.into_iter().map(move |partition| {
                    let subject = TopicPartition {
                        topic: topic.name.clone(),
                        partition: PartitionId(partition.partition_index),
                    };
                    let result = Refusal::check(partition.error_code, None);
                    (subject, result.map(|()| Offset(partition.low_watermark)))
                })
            });
            answers.collect()
        })
        .await
    }
}

fn delete_records_topics(
    partitions: &[TopicPartition],
    before: &BTreeMap<TopicPartition, Offset>,
) -> Vec<DeleteRecordsTopic> {
    super::offsets::by_topic(partitions)
        .into_iter()
        .map(|(name, indexes)| DeleteRecordsTopic {
            partitions: indexes
                .into_iter()
                .map(|partition| {
                    let key = TopicPartition { topic: name.to_owned(), partition };
                    DeleteRecordsPartition {
                        partition_index: partition.get(),
                        offset: before.get(&key).map_or(-1, |offset| offset.get()),
                        ..Default::default()
                    }
                })
                .collect(),
            name: name.to_owned(),
            ..Default::default()
        })
        .collect()
}
