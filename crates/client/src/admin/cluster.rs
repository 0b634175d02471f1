//! The cluster: its brokers, quorum, features, log dirs and producers.

use std::collections::BTreeMap;

use strandline_types::{
    LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, Timestamp, TopicPartition, Uuid,
};
use strandline_wire::messages::{
    ApiVersionsRequest, DescribeClusterRequest, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeProducersRequest, DescribeQuorumRequest, ReplicaCleaning, UpdateFeaturesRequest,
    describe_log_dirs_request::DescribableLogDirTopic,
    describe_log_dirs_response::DescribeLogDirsResult,
    describe_producers_request::TopicRequest,
    describe_quorum_request::{PartitionData, TopicData},
    describe_quorum_response::ReplicaState,
    update_features_request::FeatureUpdateKey,
};

use super::{Admin, PerItem};
use crate::error::{ClientError, Refusal};

const BROKERS: i8 = 1;
const METADATA_TOPIC: &str = "__cluster_metadata";
/// How UpdateFeatures is asked to go up, or down without losing metadata.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterDescription {
    pub id: String,
    pub controller: Option<NodeId>,
    /// By id, fenced ones included where the broker tells them.
    pub nodes: Vec<ClusterNode>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterNode {
    pub id: NodeId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    pub is_fenced: bool,
}

/// The metadata quorum (KIP-595).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub high_watermark: Offset,
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
}

impl Quorum {
    /// How many committed records a node has yet to fetch.
    pub fn lag(&self, replica: &QuorumReplica) -> i64 {
        self.high_watermark.since(replica.log_end_offset).max(0)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumReplica {
    pub id: NodeId,
    /// Zero with static voters.
    pub directory_id: Uuid,
    pub log_end_offset: Offset,
    pub last_fetch: Timestamp,
    pub last_caught_up: Timestamp,
}

/// Levels of features: what brokers support, and what the cluster has finalized (KIP-584).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Features {
    /// Lowest and highest level by feature.
    pub supported: BTreeMap<String, (i16, i16)>,
    pub finalized: BTreeMap<String, i16>,
    /// −1 when unknown.
    pub finalized_epoch: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDir {
    pub path: String,
    /// −1 when unknown.
    pub total_bytes: i64,
    pub usable_bytes: i64,
    pub is_cordoned: bool,
    pub replicas: Vec<LogDirReplica>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDirReplica {
    pub partition: TopicPartition,
    pub size_bytes: i64,
    pub offset_lag: i64,
    /// Whether it is on its way into this directory.
    pub is_future: bool,
}

/// A producer that writes to a partition with sequence numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerState {
    pub id: ProducerId,
    pub epoch: i32,
    pub last_sequence: i32,
    pub last_timestamp: Timestamp,
    pub coordinator_epoch: i32,
    /// −1 outside a transaction.
    pub transaction_start_offset: Offset,
}

impl Admin {
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let response = self
            .client
            .call_any(|version| DescribeClusterRequest {
                endpoint_type: BROKERS,
                include_fenced_brokers: version >= 2,
                ..Default::default()
            })
            .await?;
        ClientError::check("cluster", response.error_code, response.error_message)?;
        let mut nodes: Vec<_> = response
            .brokers
            .into_iter()
            .map(|broker| ClusterNode {
                id: NodeId(broker.broker_id),
                host: broker.host,
                port: broker.port,
                rack: broker.rack,
                is_fenced: broker.is_fenced,
            })
            .collect();
        nodes.sort_by_key(|node| node.id);
        let controller = NodeId(response.controller_id);
        let controller = (controller.get() >= 0).then_some(controller);
        Ok(ClusterDescription { id: response.cluster_id, controller, nodes })
    }

    pub async fn describe_quorum(&self) -> Result<Quorum, ClientError> {
        let mut backoff = self.client.backoff();
        loop {
            match self.describe_quorum_once().await {
                // Only its leader can tell, and for a moment there may be none.
                Err(error) => backoff.pause(error).await?,
                described => return described,
            }
        }
    }

    async fn describe_quorum_once(&self) -> Result<Quorum, ClientError> {
        let response = self
            .client
            .call_any(|_| DescribeQuorumRequest {
                topics: vec![TopicData {
                    topic_name: METADATA_TOPIC.into(),
                    partitions: vec![PartitionData::default()],
                    ..Default::default()
                }],
                ..Default::default()
            })
            .await?;
        let subject = "metadata quorum";
        ClientError::check(subject, response.error_code, response.error_message)?;
        let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let partition =
            partition.ok_or_else(|| ClientError::NotAnswered { subject: subject.into() })?;
        ClientError::check(subject, partition.error_code, partition.error_message)?;
        let replicas = |states: Vec<ReplicaState>| states.into_iter().map(replica_of).collect();
        Ok(Quorum {
            leader: NodeId(partition.leader_id),
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            high_watermark: Offset(partition.high_watermark),
            voters: replicas(partition.current_voters),
            observers: replicas(partition.observers),
        })
    }

    pub async fn describe_features(&self) -> Result<Features, ClientError> {
        let response = self
            .client
            .call_any(|_| ApiVersionsRequest {
                client_software_name: "strandline".into(),
                client_software_version: env!("CARGO_PKG_VERSION").into(),
                ..Default::default()
            })
            .await?;
        ClientError::check("features", response.error_code, None)?;
        let supported = response.supported_features.into_iter();
        let finalized = response.finalized_features.into_iter();
        Ok(Features {
            supported: supported.map(|f| (f.name, (f.min_version, f.max_version))).collect(),
            finalized: finalized.map(|f| (f.name, f.max_version_level)).collect(),
            finalized_epoch: response.finalized_features_epoch,
        })
    }

    /// Brings features to the levels given; 0 disables. Lowering one needs `allow_downgrade`.
    pub async fn update_features(
        &self,
        levels: &BTreeMap<String, i16>,
        allow_downgrade: bool,
        validate_only: bool,
    ) -> Result<PerItem<String, ()>, ClientError> {
        let response = self
            .client
            .call_any(|version| UpdateFeaturesRequest {
                timeout_ms: self.timeout_ms(),
                feature_updates: levels
                    .iter()
                    .map(|(feature, level)| FeatureUpdateKey {
                        feature: feature.clone(),
                        max_version_level: *level,
                        allow_downgrade: version == 0 && allow_downgrade,
                        upgrade_type: if allow_downgrade && version > 0 {
                            SAFE_DOWNGRADE
                        } else {
                            UPGRADE
                        },
                        ..Default::default()
                    })
                    .collect(),
                validate_only: validate_only && version >= 1,
                ..Default::default()
            })
            .await?;
        ClientError::check("features", response.error_code, response.error_message)?;
        if response.results.is_empty() {
            // From version 2 on one answer stands for all.
            return Ok(levels.keys().map(|feature| (feature.clone(), Ok(()))).collect());
        }
        let results = response.results.into_iter().map(|result| {
            (result.feature, Refusal::check(result.error_code, result.error_message))
        });
        Ok(results.collect())
    }

    /// The log dirs of every broker.
    pub async fn describe_log_dirs(
        &self,
    ) -> Result<Vec<(NodeId, PerItem<String, LogDir>)>, ClientError> {
        let answers = self.ask_brokers(|_| all_log_dirs()).await?;
        answers.into_iter().map(|(id, response)| Ok((id, log_dirs(id, response)?))).collect()
    }

    /// How far the replicas of compacted partitions are cleaned. Brokers that are not alive, and those
    /// of Kafka, tell nothing.
    pub async fn describe_cleaning(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, NodeId, ReplicaCleaning)>, ClientError> {
        let request = |version| {
            let topics = super::offsets::by_topic(partitions).into_iter();
            let topics = topics.map(|(topic, indexes)| DescribableLogDirTopic {
                topic: topic.to_owned(),
                partitions: indexes.into_iter().map(PartitionId::get).collect(),
                ..Default::default()
            });
            let topics = Some(topics.collect());
            let mut request = DescribeLogDirsRequest { topics, ..Default::default() };
            ReplicaCleaning::ask(&mut request, version);
            request
        };
        let mut told = Vec::new();
        for (id, response) in self.ask_brokers(request).await? {
            let topics = response.results.into_iter().flat_map(|dir| dir.topics);
            for topic in topics {
                for replica in &topic.partitions {
                    let index = PartitionId(replica.partition_index);
                    let partition = TopicPartition { topic: topic.name.clone(), partition: index };
                    let cleaning = ReplicaCleaning::told(replica).ok().flatten();
                    told.extend(cleaning.map(|cleaning| (partition, id, cleaning)));
                }
            }
        }
        Ok(told)
    }

    /// The log dirs of one broker, which must be alive.
    pub async fn log_dirs_of(&self, id: NodeId) -> Result<PerItem<String, LogDir>, ClientError> {
        log_dirs(id, self.client.call_node(id, |_| all_log_dirs()).await?)
    }

    /// Who writes to the partitions with sequence numbers, as their leaders know it.
    pub async fn describe_producers(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<PerItem<TopicPartition, Vec<ProducerState>>, ClientError> {
        let request = |partitions: &[TopicPartition]| {
            let topics = super::offsets::by_topic(partitions).into_iter();
            let topics = topics.map(|(name, indexes)| TopicRequest {
                name: name.to_owned(),
                partition_indexes: indexes.into_iter().map(PartitionId::get).collect(),
                ..Default::default()
            });
            DescribeProducersRequest { topics: topics.collect(), ..Default::default() }
        };
        self.ask_leaders(partitions.to_vec(), request, |response| {
            let topics = response.topics.into_iter();
            let answers = topics.flat_map(|topic| {
                topic.partitions.into_iter().map(move |partition| {
                    let index = PartitionId(partition.partition_index);
                    let subject = TopicPartition { topic: topic.name.clone(), partition: index };
                    let producers = partition.active_producers.into_iter().map(producer_of);
                    let checked = Refusal::check(partition.error_code, partition.error_message);
                    (subject, checked.map(|()| producers.collect()))
                })
            });
            answers.collect()
        })
        .await
    }
}

fn all_log_dirs() -> DescribeLogDirsRequest {
    DescribeLogDirsRequest { topics: None, ..Default::default() }
}

fn log_dirs(
    id: NodeId,
    response: DescribeLogDirsResponse,
) -> Result<PerItem<String, LogDir>, ClientError> {
    ClientError::check(format!("log dirs of broker {id}"), response.error_code, None)?;
    let dirs = response.results.into_iter().map(|dir| {
        let checked = Refusal::check(dir.error_code, None);
        (dir.log_dir.clone(), checked.map(|()| log_dir_of(dir)))
    });
    Ok(dirs.collect())
}

fn replica_of(state: ReplicaState) -> QuorumReplica {
    QuorumReplica {
        id: NodeId(state.replica_id),
        directory_id: state.replica_directory_id,
        log_end_offset: Offset(state.log_end_offset),
        last_fetch: Timestamp(state.last_fetch_timestamp),
        last_caught_up: Timestamp(state.last_caught_up_timestamp),
    }
}

fn log_dir_of(dir: DescribeLogDirsResult) -> LogDir {
    let mut replicas = Vec::new();
    for topic in dir.topics {
        replicas.extend(topic.partitions.into_iter().map(|replica| LogDirReplica {
            partition: TopicPartition {
                topic: topic.name.clone(),
                partition: PartitionId(replica.partition_index),
            },
            size_bytes: replica.partition_size,
            offset_lag: replica.offset_lag,
            is_future: replica.is_future_key,
        }));
    }
    replicas.sort_by(|left, right| left.partition.cmp(&right.partition));
    LogDir {
        path: dir.log_dir,
        total_bytes: dir.total_bytes,
        usable_bytes: dir.usable_bytes,
        is_cordoned: dir.is_cordoned,
        replicas,
    }
}

fn producer_of(
    state: strandline_wire::messages::describe_producers_response::ProducerState,
) -> ProducerState {
    ProducerState {
        id: ProducerId(state.producer_id),
        epoch: state.producer_epoch,
        last_sequence: state.last_sequence,
        last_timestamp: Timestamp(state.last_timestamp),
        coordinator_epoch: state.coordinator_epoch,
        transaction_start_offset: Offset(state.current_txn_start_offset),
    }
}
