//! DeleteTopics, by name or by id.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, RemoveTopicRecord,
    delete_topics_response::DeletableTopicResult,
};

use super::context::{Context, Denied, duplicates};
use crate::{Record, Records};

/// What one entry of the request names. Versions before 6 know only names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named<'a> {
    Name(&'a str),
    Id(Uuid),
    Both(&'a str, Uuid),
    Neither,
}

pub(super) fn decide(
    cx: &Context<'_>,
    request: DeleteTopicsRequest,
    records: &mut Records,
) -> DeleteTopicsResponse {
    let entries: Vec<Named<'_>> = request
        .topic_names
        .iter()
        .map(|name| Named::Name(name))
        .chain(request.topics.iter().map(|topic| match topic.name.as_deref() {
            Some(name) if topic.topic_id.is_zero() => Named::Name(name),
            Some(name) => Named::Both(name, topic.topic_id),
            None if topic.topic_id.is_zero() => Named::Neither,
            None => Named::Id(topic.topic_id),
        }))
        .collect();
    let repeated: BTreeSet<Named<'_>> = duplicates(entries.iter().copied()).into_iter().collect();
    let distinct: BTreeSet<Named<'_>> = entries.iter().copied().collect();
    let named_ids = distinct.iter().filter_map(|entry| resolve(cx, *entry).ok());
    let ids_of_two: BTreeSet<Uuid> = duplicates(named_ids).into_iter().collect();
    let mut answered = BTreeSet::new();
    let mut responses = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().filter(|entry| answered.insert(*entry)) {
        let result = match repeated.contains(&entry) {
            true => Err(twice(entry)),
            false => resolve(cx, entry).and_then(|id| match ids_of_two.contains(&id) {
                true => Err(invalid("this topic is named twice, by its name and by its id")),
                false => Ok(id),
            }),
        };
        if let Ok(topic_id) = result {
            records.push(Record::from(RemoveTopicRecord { topic_id, ..Default::default() }));
        }
        responses.push(answer(cx, entry, result));
    }
    DeleteTopicsResponse { responses, ..Default::default() }
}

fn invalid(text: &str) -> Denied {
    Denied::new(ErrorCode::INVALID_REQUEST, text)
}

fn twice(entry: Named<'_>) -> Denied {
    match entry {
        Named::Id(_) => invalid("this topic id comes twice in one request"),
        _ => Denied::topic_named_twice(),
    }
}

fn resolve(cx: &Context<'_>, entry: Named<'_>) -> Result<Uuid, Denied> {
    match entry {
        Named::Name(name) => match cx.image.topics.by_name(name) {
            Some(topic) => Ok(topic.id),
            None => Err(Denied::bare(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
        },
        Named::Id(id) => match cx.image.topics.get(id) {
            Some(topic) => Ok(topic.id),
            None => Err(Denied::bare(ErrorCode::UNKNOWN_TOPIC_ID)),
        },
        Named::Both(..) => Err(invalid("give a name or an id, not both")),
        Named::Neither => Err(invalid("give the name or the id of a topic")),
    }
}

fn answer(
    cx: &Context<'_>,
    entry: Named<'_>,
    result: Result<Uuid, Denied>,
) -> DeletableTopicResult {
    let (name, topic_id): (Option<String>, Uuid) = match (entry, &result) {
        (_, Ok(id)) => (cx.image.topics.get(*id).map(|topic| topic.name.to_string()), *id),
        (Named::Name(name), Err(_)) => (Some(name.into()), Uuid::ZERO),
        (Named::Both(name, id), Err(_)) => (Some(name.into()), id),
        (Named::Id(id), Err(_)) => (None, id),
        (Named::Neither, Err(_)) => (None, Uuid::ZERO),
    };
    let (error_code, error_message) = super::context::split(result.map(|_| ()));
    DeletableTopicResult { name, topic_id, error_code, error_message, ..Default::default() }
}
