//! CreateTopics: names, partition counts, replication factors, assignments and settings are checked
//! topic by topic; what passes is created in one batch.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use strandline_config::{Overrides, alter, describe};
use strandline_types::{ErrorCode, PartitionId, Uuid};
use strandline_wire::messages::{
    ConfigRecord, CreateTopicsRequest, CreateTopicsResponse, TopicRecord,
    create_topics_request::CreatableTopic,
    create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
};

use super::assignment::{PARTITIONS_PER_REQUEST_MAX, too_many_partitions};
use super::context::{Context, Denied, duplicates, join};
use super::internal_topics;
use super::random::Random;
use super::topic_name;
use crate::image::{Partition, ResourceType};
use crate::{Record, Records};

/// "Use the default", for partition counts and replication factors.
const DEFAULT: i32 = -1;

pub(super) fn decide(
    cx: &Context<'_>,
    request: CreateTopicsRequest,
    records: &mut Records,
) -> CreateTopicsResponse {
    let repeated: BTreeSet<&str> =
        duplicates(request.topics.iter().map(|topic| topic.name.as_str())).into_iter().collect();
    let too_many = asked_partitions(cx, &request, &repeated) > PARTITIONS_PER_REQUEST_MAX;
    let mut random = Random::new(cx.seed);
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut created = Records::new();
    for topic in request.topics.iter().filter(|topic| !repeated.contains(topic.name.as_str())) {
        let result = match too_many {
            true => Err(too_many_partitions()),
            false => create(cx, topic, &mut random, &mut created),
        };
        topics.push(result.unwrap_or_else(|denied| refused(&topic.name, denied)));
    }
    topics.extend(repeated.iter().map(|name| refused(name, Denied::topic_named_twice())));
    if !request.validate_only {
        records.append(&mut created);
    }
    CreateTopicsResponse { topics, ..Default::default() }
}

fn refused(name: &str, denied: Denied) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.into(),
        error_code: denied.code,
        error_message: denied.message,
        ..Default::default()
    }
}

/// At most this many: topics that are refused for something else are counted too.
fn asked_partitions(
    cx: &Context<'_>,
    request: &CreateTopicsRequest,
    repeated: &BTreeSet<&str>,
) -> usize {
    let asked = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        DEFAULT => cx.settings.config.topics.num_partitions.max(0) as usize,
        count => count.max(0) as usize,
    };
    let topics = request.topics.iter().filter(|topic| !repeated.contains(topic.name.as_str()));
    topics.map(asked).fold(0, usize::saturating_add)
}

fn create(
    cx: &Context<'_>,
    topic: &CreatableTopic,
    random: &mut Random,
    records: &mut Records,
) -> Result<CreatableTopicResult, Denied> {
    check_name(cx, &topic.name)?;
    let overrides = checked_settings(cx, topic)?;
    let partitions = if topic.assignments.is_empty() {
        placed(cx, topic, random)?
    } else {
        assigned(cx, topic)?
    };
    let topic_id = unused_id(cx, random);
    records.push(Record::from(TopicRecord {
        name: topic.name.clone(),
        topic_id,
        ..Default::default()
    }));
    records.extend(overrides.iter().map(|(name, value)| {
        Record::from(ConfigRecord {
            resource_type: ResourceType::TOPIC.0,
            resource_name: topic.name.clone(),
            name: name.clone(),
            value: Some(value.clone()),
            ..Default::default()
        })
    }));
    cx.write_partitions(topic_id, PartitionId(0), &partitions, records);
    Ok(CreatableTopicResult {
        name: topic.name.clone(),
        topic_id,
        error_message: None,
        num_partitions: partitions.len() as i32,
        replication_factor: partitions.first().map_or(0, |p| p.replicas.len() as i16),
        configs: Some(effective_settings(cx, &overrides)),
        ..Default::default()
    })
}

fn check_name(cx: &Context<'_>, name: &str) -> Result<(), Denied> {
    if name == topic_name::CLUSTER_METADATA {
        let text = format!("{name} belongs to the cluster: nobody can create it");
        return Err(Denied::new(ErrorCode::INVALID_REQUEST, text));
    }
    let invalid = |text| Err(Denied::new(ErrorCode::INVALID_TOPIC_EXCEPTION, text));
    if cx.image.topics.by_name(name).is_some() {
        let text = format!("there is a topic {name} already");
        return Err(Denied::new(ErrorCode::TOPIC_ALREADY_EXISTS, text));
    }
    if let Some(objection) = topic_name::objection(name) {
        return invalid(objection);
    }
    match cx.image.topics.colliding_with(name) {
        Some(other) => {
            invalid(format!("`{name}` looks like topic {other} where metrics write `_` for `.`"))
        }
        None => Ok(()),
    }
}

fn checked_settings(cx: &Context<'_>, topic: &CreatableTopic) -> Result<Overrides, Denied> {
    let valueless = topic.configs.iter().filter(|config| config.value.is_none());
    let valueless: Vec<&str> = valueless.map(|config| config.name.as_str()).collect();
    if !valueless.is_empty() {
        let text = format!("these settings come without a value: {}", join(&valueless));
        return Err(Denied::new(ErrorCode::INVALID_CONFIG, text));
    }
    if topic.configs.is_empty() {
        return Ok(Overrides::new());
    }
    let asked = topic.configs.iter().map(|c| (c.name.as_str(), c.value.as_deref()));
    Ok(alter::topic_overrides(&cx.layers(), asked)?)
}

fn assigned(cx: &Context<'_>, topic: &CreatableTopic) -> Result<Vec<Partition>, Denied> {
    let invalid = |text: &str| Err(Denied::new(ErrorCode::INVALID_REQUEST, text));
    if i32::from(topic.replication_factor) != DEFAULT {
        return invalid("the replication factor must be -1 where the replicas are named");
    }
    if topic.num_partitions != DEFAULT {
        return invalid("the number of partitions must be -1 where the replicas are named");
    }
    let deny = |text: String| Err(Denied::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
    let mut by_index = alloc::collections::BTreeMap::new();
    let mut replication_factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if by_index.contains_key(&index) {
            return deny(format!("the replicas of partition {index} are named twice"));
        }
        let partition =
            cx.assign_by_hand(PartitionId(index), &assignment.broker_ids, replication_factor)?;
        replication_factor = Some(partition.replicas.len());
        by_index.insert(index, partition);
    }
    if !by_index.keys().copied().eq(0..by_index.len() as i32) {
        return deny(
            "the partitions whose replicas are named must count up from 0 without a gap".into(),
        );
    }
    Ok(by_index.into_values().collect())
}

fn placed(
    cx: &Context<'_>,
    topic: &CreatableTopic,
    random: &mut Random,
) -> Result<Vec<Partition>, Denied> {
    let replication_factor = match i32::from(topic.replication_factor) {
        DEFAULT => cx.settings.config.topics.replication_factor.max(0) as usize,
        factor if factor > 0 => internal_topics::for_now(cx, &topic.name, factor as usize),
        _ => {
            return Err(Denied::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                "a replication factor is at least 1, or -1 for the broker's default",
            ));
        }
    };
    let count = match topic.num_partitions {
        DEFAULT => cx.settings.config.topics.num_partitions.max(0) as usize,
        count if count > 0 => count as usize,
        _ => {
            return Err(Denied::new(
                ErrorCode::INVALID_PARTITIONS,
                "a topic has at least 1 partition, or -1 for the broker's default",
            ));
        }
    };
    cx.place(random, count, replication_factor)
}

fn unused_id(cx: &Context<'_>, random: &mut Random) -> Uuid {
    loop {
        let id = random.uuid();
        if cx.image.topics.get(id).is_none() {
            return id;
        }
    }
}

fn effective_settings(cx: &Context<'_>, overrides: &Overrides) -> Vec<CreatableTopicConfigs> {
    let mut described = describe::topic(&cx.layers(), overrides);
    described.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let settings = described.into_iter().map(|setting| CreatableTopicConfigs {
        value: if setting.is_sensitive { None } else { setting.value },
        read_only: setting.is_read_only,
        config_source: setting.source.wire_id(),
        is_sensitive: setting.is_sensitive,
        name: setting.name,
        ..Default::default()
    });
    settings.collect()
}
