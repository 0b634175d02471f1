//! Offsets: where partitions begin and end, and how far groups have come.

use std::collections::BTreeMap;

use strandline_types::{
    ErrorCode, LeaderEpoch, NodeId, Offset, PartitionId, Timestamp, TopicPartition,
};
use strandline_wire::messages::{
    ListOffsetsRequest, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetFetchResponse,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    offset_fetch_request::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    },
};

use super::{Admin, PerItem};
use crate::cluster::Client;
use crate::error::{ClientError, Refusal};

/// Which offset of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetSpec {
    /// Where the log begins.
    Earliest,
    /// Where the next record will stand.
    Latest,
    /// The first record with this timestamp or a later one.
    At(Timestamp),
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// Where the local part of a tiered log begins (KIP-405).
    EarliestLocal,
    /// The last record that is tiered (KIP-1005).
    LatestTiered,
    /// The first record that is not tiered yet (KIP-1023).
    EarliestPendingUpload,
}

impl OffsetSpec {
    pub(crate) fn timestamp(self) -> i64 {
        match self {
            Self::At(timestamp) => timestamp.as_millis(),
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
        }
    }
}

/// An offset that was asked for. `offset` is −1 when no record matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedOffset {
    pub offset: Offset,
    /// Of the record found; −1 for the ends of the log.
    pub timestamp: Timestamp,
    pub leader_epoch: LeaderEpoch,
}

/// How far a group has come in a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The next record to be read.
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
}

impl CommittedOffset {
    pub fn new(offset: Offset) -> Self {
        Self { offset, leader_epoch: LeaderEpoch::NONE, metadata: String::new() }
    }
}

/// Partitions by topic, each in the order given.
pub(crate) fn by_topic(partitions: &[TopicPartition]) -> BTreeMap<&str, Vec<PartitionId>> {
    let mut topics: BTreeMap<&str, Vec<PartitionId>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    topics
}

impl Admin {
    /// Looks offsets up on the partitions' leaders, again while leaders move.
    pub async fn list_offsets(
        &self,
        specs: &BTreeMap<TopicPartition, OffsetSpec>,
        read_committed: bool,
    ) -> Result<PerItem<TopicPartition, ListedOffset>, ClientError> {
        let request =
            |partitions: &[TopicPartition]| list_offsets_request(partitions, specs, read_committed);
        let partitions = specs.keys().cloned().collect();
        self.ask_leaders(partitions, request, |response| {
            let topics = response.topics.into_iter();
            let answers = topics.flat_map(|topic| {
                topic.partitions.into_iter().map(move |answer| {
                    let listed = ListedOffset {
                        offset: Offset(answer.offset),
                        timestamp: Timestamp(answer.timestamp),
                        leader_epoch: LeaderEpoch(answer.leader_epoch),
                    };
                    let result = Refusal::check(answer.error_code, None).map(|()| listed);
                    let partition = PartitionId(answer.partition_index);
                    (TopicPartition { topic: topic.name.clone(), partition }, result)
                })
            });
            answers.collect()
        })
        .await
    }

    /// What the group has committed: everything, or for the partitions given. A partition without
    /// a commit is left out.
    pub async fn group_offsets(
        &self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<PerItem<TopicPartition, CommittedOffset>, ClientError> {
        fetch_committed(&self.client, group, partitions, false).await
    }

    /// Sets the offsets of a group that has no members.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<PerItem<TopicPartition, ()>, ClientError> {
        commit_offsets(&self.client, group, &Committer::default(), offsets).await
    }

    /// Forgets commits of partitions that no member of the group subscribes to.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<PerItem<TopicPartition, ()>, ClientError> {
        let topics: Vec<_> = by_topic(partitions)
            .into_iter()
            .map(|(name, indexes)| OffsetDeleteRequestTopic {
                name: name.to_owned(),
                partitions: indexes
                    .into_iter()
                    .map(|partition| OffsetDeleteRequestPartition {
                        partition_index: partition.get(),
                    })
                    .collect(),
            })
            .collect();
        let request = OffsetDeleteRequest { group_id: group.to_owned(), topics };
        let response = self
            .client
            .call_coordinator(group, |_| request.clone(), |response| response.error_code)
            .await?;
        ClientError::check(format!("group {group}"), response.error_code, None)?;
        let mut results = Vec::new();
        for topic in response.topics {
            results.extend(topic.partitions.into_iter().map(|answer| {
                let partition = PartitionId(answer.partition_index);
                let subject = TopicPartition { topic: topic.name.clone(), partition };
                (subject, Refusal::check(answer.error_code, None))
            }));
        }
        Ok(results)
    }
}

pub(crate) fn list_offsets_request(
    partitions: &[TopicPartition],
    specs: &BTreeMap<TopicPartition, OffsetSpec>,
    read_committed: bool,
) -> ListOffsetsRequest {
    let topics = by_topic(partitions).into_iter().map(|(name, indexes)| ListOffsetsTopic {
        partitions: indexes
            .into_iter()
            .map(|partition| {
                let key = TopicPartition { topic: name.to_owned(), partition };
                ListOffsetsPartition {
                    partition_index: partition.get(),
                    timestamp: specs.get(&key).map_or(-1, |spec| spec.timestamp()),
                    ..Default::default()
                }
            })
            .collect(),
        name: name.to_owned(),
        ..Default::default()
    });
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: i8::from(read_committed),
        topics: topics.collect(),
        ..Default::default()
    }
}

/// Who commits: nobody in particular, or a member of a generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Committer {
    pub(crate) generation_id: i32,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

impl Default for Committer {
    fn default() -> Self {
        Self { generation_id: -1, member_id: String::new(), instance_id: None }
    }
}

/// Versions from 10 on name topics by id; names do here, because a commit is about the topic that
/// the group reads under that name.
const OFFSETS_BY_NAME_MAX: i16 = 9;

pub(crate) async fn commit_offsets(
    client: &Client,
    group: &str,
    committer: &Committer,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<PerItem<TopicPartition, ()>, ClientError> {
    let request = commit_request(group, committer, offsets);
    let retriable = |response: &OffsetCommitResponse| {
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let mut codes = answers.map(|answer| answer.error_code);
        codes.find(|code| code.is_retriable()).unwrap_or(ErrorCode::NONE)
    };
    let response = client
        .call_coordinator_upto(OFFSETS_BY_NAME_MAX, group, |_| request.clone(), retriable)
        .await?;
    let mut results = Vec::new();
    for topic in response.topics {
        results.extend(topic.partitions.into_iter().map(|answer| {
            let partition = PartitionId(answer.partition_index);
            let subject = TopicPartition { topic: topic.name.clone(), partition };
            (subject, Refusal::check(answer.error_code, None))
        }));
    }
    Ok(results)
}

fn commit_request(
    group: &str,
    committer: &Committer,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> OffsetCommitRequest {
    let partitions: Vec<_> = offsets.keys().cloned().collect();
    let topics = by_topic(&partitions).into_iter().map(|(name, indexes)| {
        let partitions = indexes.into_iter().filter_map(|partition| {
            let offset = offsets.get(&TopicPartition { topic: name.to_owned(), partition })?;
            Some(OffsetCommitRequestPartition {
                partition_index: partition.get(),
                committed_offset: offset.offset.get(),
                committed_leader_epoch: offset.leader_epoch.get(),
                committed_metadata: Some(offset.metadata.clone()),
                ..Default::default()
            })
        });
        OffsetCommitRequestTopic {
            name: name.to_owned(),
            partitions: partitions.collect(),
            ..Default::default()
        }
    });
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: committer.generation_id,
        member_id: committer.member_id.clone(),
        group_instance_id: committer.instance_id.clone(),
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) async fn fetch_committed(
    client: &Client,
    group: &str,
    partitions: Option<&[TopicPartition]>,
    require_stable: bool,
) -> Result<PerItem<TopicPartition, CommittedOffset>, ClientError> {
    let mut backoff = client.backoff();
    loop {
        let node = client.coordinator(group).await?;
        let error =
            match fetch_committed_once(client, node, group, partitions, require_stable).await {
                Ok(results) => return Ok(results),
                Err(error) => error,
            };
        client.forget_coordinator(group);
        backoff.pause(error).await?;
    }
}

async fn fetch_committed_once(
    client: &Client,
    node: NodeId,
    group: &str,
    partitions: Option<&[TopicPartition]>,
    require_stable: bool,
) -> Result<PerItem<TopicPartition, CommittedOffset>, ClientError> {
    let connection = client.connection(node, crate::Channel::SHARED).await?;
    let timeout = client.config().connection.request_timeout;
    let build = |version| offset_fetch_request(version, group, partitions, require_stable);
    let response = connection.start(build, OFFSETS_BY_NAME_MAX, timeout)?.receive().await?;
    let results = committed_of(group, response)?;
    match results.iter().find(|(_, result)| matches!(result, Err(r) if r.code.is_retriable())) {
        Some((subject, Err(refusal))) => {
            Err(ClientError::refused(subject.to_string(), refusal.clone()))
        }
        _ => Ok(results),
    }
}

fn offset_fetch_request(
    version: i16,
    group: &str,
    partitions: Option<&[TopicPartition]>,
    require_stable: bool,
) -> OffsetFetchRequest {
    let indexes = |ids: Vec<PartitionId>| ids.into_iter().map(PartitionId::get).collect();
    let by_topic = partitions.map(by_topic);
    let mut request =
        OffsetFetchRequest { require_stable: require_stable && version >= 7, ..Default::default() };
    if version >= 8 {
        request.topics = Some(Vec::new());
        request.groups.push(OffsetFetchRequestGroup {
            group_id: group.to_owned(),
            topics: by_topic.map(|topics| {
                topics
                    .into_iter()
                    .map(|(name, ids)| OffsetFetchRequestTopics {
                        name: name.to_owned(),
                        partition_indexes: indexes(ids),
                        ..Default::default()
                    })
                    .collect()
            }),
            ..Default::default()
        });
    } else {
        request.group_id = group.to_owned();
        request.topics = by_topic.map(|topics| {
            topics
                .into_iter()
                .map(|(name, ids)| OffsetFetchRequestTopic {
                    name: name.to_owned(),
                    partition_indexes: indexes(ids),
                    ..Default::default()
                })
                .collect()
        });
    }
    request
}

fn committed_of(
    group: &str,
    response: OffsetFetchResponse,
) -> Result<PerItem<TopicPartition, CommittedOffset>, ClientError> {
    let subject = || format!("group {group}");
    ClientError::check(subject(), response.error_code, None)?;
    let mut results = Vec::new();
    let mut take = |topic: &str, index, offset, epoch, metadata: Option<String>, code| {
        let key = TopicPartition { topic: topic.to_owned(), partition: PartitionId(index) };
        let committed = CommittedOffset {
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(epoch),
            metadata: metadata.unwrap_or_default(),
        };
        let result = Refusal::check(code, None).map(|()| committed);
        if !matches!(&result, Ok(committed) if committed.offset.get() < 0) {
            results.push((key, result));
        }
    };
    for found in response.groups {
        ClientError::check(subject(), found.error_code, None)?;
        for topic in found.topics {
            for p in topic.partitions {
                let epoch = p.committed_leader_epoch;
                let (index, offset) = (p.partition_index, p.committed_offset);
                take(&topic.name, index, offset, epoch, p.metadata, p.error_code);
            }
        }
    }
    for topic in response.topics {
        for p in topic.partitions {
            let epoch = p.committed_leader_epoch;
            let (index, offset) = (p.partition_index, p.committed_offset);
            take(&topic.name, index, offset, epoch, p.metadata, p.error_code);
        }
    }
    Ok(results)
}
