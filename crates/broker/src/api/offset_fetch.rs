//! OffsetFetch: what groups have committed. Up to version 7 a request asks for one group, from
//! version 10 on it names topics by id.

use std::collections::{BTreeMap, BTreeSet};

use strandline_coordinator::groups::{CommittedOffset, OffsetFetchGroup, Request, TopicOffsets};
use strandline_metadata::Image;
use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use strandline_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use strandline_wire::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::cx::Cx;
use crate::session::Hangup;

const FIRST_VERSION_WITH_GROUPS: i16 = 8;
const FIRST_VERSION_WITH_TOPIC_IDS: i16 = 10;

pub(crate) async fn handle(
    cx: &Cx,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, Hangup> {
    let mut response = OffsetFetchResponse::default();
    if cx.version < FIRST_VERSION_WITH_GROUPS {
        let topics = request.topics.map(|topics| {
            let topics = topics.into_iter().map(|topic| (topic.name, topic.partition_indexes));
            once_each(&mut Seen::new(), topics)
        });
        let (group_id, require_stable) = (request.group_id, request.require_stable);
        let group = OffsetFetchGroup { group_id, topics, require_stable };
        single_group(cx, group, &mut response).await;
        return Ok(response);
    }
    let image = cx.image();
    // Whoever asks for all of a group twice is told once.
    let mut seen_whole = BTreeSet::new();
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for group in request.groups {
        if group.topics.is_none() && !seen_whole.insert(group.group_id.clone()) {
            continue;
        }
        let seen = seen.entry(group.group_id.clone()).or_default();
        response.groups.push(match cx.version {
            FIRST_VERSION_WITH_TOPIC_IDS.. => {
                by_topic_id(cx, &image, seen, group, request.require_stable).await
            }
            _ => by_name(cx, seen, group, request.require_stable).await,
        });
    }
    Ok(response)
}

/// The partitions of one group, by topic, that a request has named so far.
type Seen = BTreeMap<String, BTreeSet<i32>>;

/// Each partition once, under its first mention: what was committed with an offset is much larger
/// than a partition's number in a request.
fn once_each(
    seen: &mut Seen,
    topics: impl Iterator<Item = (String, Vec<i32>)>,
) -> Vec<(String, Vec<i32>)> {
    let mut distinct = Vec::new();
    for (topic, mut partitions) in topics {
        let seen = seen.entry(topic.clone()).or_default();
        partitions.retain(|index| seen.insert(*index));
        if !partitions.is_empty() {
            distinct.push((topic, partitions));
        }
    }
    distinct
}

async fn fetch(cx: &Cx, group: OffsetFetchGroup) -> Result<Vec<TopicOffsets>, ErrorCode> {
    let (group_id, asks_for_all) = (group.group_id.clone(), group.topics.is_none());
    let asked = Request::OffsetFetch(group);
    let mut found: Vec<TopicOffsets> =
        cx.handles.groups.ask(&group_id, cx.caller(), asked).await?;
    let image = cx.image();
    for topic in &mut found {
        // A deletion that the coordinator did not hear of, while it was loading or down, leaves
        // offsets behind: they say nothing of another topic of that name.
        let Some(known) = image.topics.by_name(&topic.topic) else { continue };
        let is_of_it = |id: Uuid| id.is_zero() || id == known.id;
        for (_, offset) in &mut topic.partitions {
            offset.take_if(|offset| !is_of_it(offset.topic_id));
        }
        let unstable = &topic.unstable;
        topic.partitions.retain(|(index, offset)| {
            offset.is_some() || !asks_for_all || unstable.contains(index)
        });
    }
    found.retain(|topic| !topic.partitions.is_empty());
    Ok(found)
}

async fn single_group(cx: &Cx, group: OffsetFetchGroup, response: &mut OffsetFetchResponse) {
    let asked = if cx.version < 2 { group.topics.clone() } else { None };
    let (found, error_code) = match fetch(cx, group).await {
        Ok(found) => (found, ErrorCode::NONE),
        // Version 1 has no other place for an error than the partitions.
        Err(code) => (asked.map(nothing_of).unwrap_or_default(), code),
    };
    if cx.version >= 2 {
        response.error_code = error_code;
    }
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: if error_code.is_none() { partition.error_code } else { error_code },
        ..Default::default()
    };
    response.topics = found
        .into_iter()
        .map(|topic| OffsetFetchResponseTopic {
            name: topic.topic,
            partitions: partitions(topic.partitions, topic.unstable).map(partition).collect(),
            ..Default::default()
        })
        .collect();
}

fn nothing_of(topics: Vec<(String, Vec<i32>)>) -> Vec<TopicOffsets> {
    let nothing = |(topic, indexes): (String, Vec<i32>)| TopicOffsets {
        topic,
        partitions: indexes.into_iter().map(|index| (index, None)).collect(),
        unstable: BTreeSet::new(),
    };
    topics.into_iter().map(nothing).collect()
}

async fn by_name(
    cx: &Cx,
    seen: &mut Seen,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let topics = group.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| (topic.name, topic.partition_indexes));
        once_each(seen, topics)
    });
    let group_id = group.group_id;
    let asked = OffsetFetchGroup { group_id: group_id.clone(), topics, require_stable };
    match fetch(cx, asked).await {
        Ok(found) => OffsetFetchResponseGroup {
            group_id,
            topics: found
                .into_iter()
                .map(|topic| OffsetFetchResponseTopics {
                    name: topic.topic,
                    partitions: partitions(topic.partitions, topic.unstable).collect(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        },
        Err(error_code) => failed(group_id, error_code),
    }
}

async fn by_topic_id(
    cx: &Cx,
    image: &Image,
    seen: &mut Seen,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let group_id = group.group_id;
    let mut answers = Vec::new();
    let mut names = Vec::new();
    for topic in group.topics.iter().flatten() {
        match image.topics.get(topic.topic_id) {
            Some(known) => names.push((known.name.to_string(), topic.partition_indexes.clone())),
            None => answers.push(OffsetFetchResponseTopics {
                topic_id: topic.topic_id,
                partitions: unknown(&topic.partition_indexes),
                ..Default::default()
            }),
        }
    }
    let topics = group.topics.is_some().then(|| once_each(seen, names.into_iter()));
    let asked = OffsetFetchGroup { group_id: group_id.clone(), topics, require_stable };
    match fetch(cx, asked).await {
        Ok(found) => {
            for topic in found {
                // Offsets of a topic that has just gone are about to go, too.
                let Some(known) = image.topics.by_name(&topic.topic) else { continue };
                answers.push(OffsetFetchResponseTopics {
                    topic_id: known.id,
                    partitions: partitions(topic.partitions, topic.unstable).collect(),
                    ..Default::default()
                });
            }
            OffsetFetchResponseGroup { group_id, topics: answers, ..Default::default() }
        }
        Err(error_code) => failed(group_id, error_code),
    }
}

fn failed(group_id: String, error_code: ErrorCode) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup { group_id, error_code, ..Default::default() }
}

type Found = Vec<(i32, Option<CommittedOffset>)>;

/// An offset that was never committed is −1, which is no error.
fn partitions(
    found: Found,
    unstable: BTreeSet<i32>,
) -> impl Iterator<Item = OffsetFetchResponsePartitions> {
    found.into_iter().map(move |(partition_index, offset)| match offset {
        _ if unstable.contains(&partition_index) => OffsetFetchResponsePartitions {
            error_code: ErrorCode::UNSTABLE_OFFSET_COMMIT,
            ..nothing(partition_index)
        },
        Some(offset) => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: offset.offset.get(),
            committed_leader_epoch: offset.leader_epoch.get(),
            metadata: Some(offset.metadata),
            ..Default::default()
        },
        None => nothing(partition_index),
    })
}

fn nothing(partition_index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        ..Default::default()
    }
}

fn unknown(indexes: &[i32]) -> Vec<OffsetFetchResponsePartitions> {
    let error_code = ErrorCode::UNKNOWN_TOPIC_ID;
    indexes
        .iter()
        .map(|index| OffsetFetchResponsePartitions { error_code, ..nothing(*index) })
        .collect()
}
