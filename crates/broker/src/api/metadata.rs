//! Metadata: topics, partitions, leaders, and the brokers of this listener.

use std::collections::BTreeSet;

use strandline_metadata::Image;
use strandline_metadata::describe::{
    self, Listening, MetadataVersionQuirks, live_brokers, unknown_topic,
};
use strandline_types::ErrorCode;
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::metadata_request::MetadataRequestTopic;
use strandline_wire::messages::metadata_response::MetadataResponseTopic;
use strandline_wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, MetadataRequest, MetadataResponse,
};

use crate::cx::Cx;
use crate::internal_topics;
use crate::session::Hangup;

/// From this version on, clients may ask by topic id; the two before it carry ids in answers only.
const FIRST_VERSION_BY_TOPIC_ID: i16 = 12;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: MetadataRequest,
) -> Result<MetadataResponse, Hangup> {
    let asked = request.topics.iter().flatten();
    let by_id = |topic: &MetadataRequestTopic| topic.name.is_none() || !topic.topic_id.is_zero();
    if cx.version < FIRST_VERSION_BY_TOPIC_ID && asked.clone().any(by_id) {
        return Ok(refused(asked));
    }
    if let Some(topics) = &mut request.topics {
        // A topic that is asked for twice is described once.
        let mut seen = BTreeSet::new();
        topics.retain(|topic| seen.insert((topic.name.clone(), topic.topic_id)));
    }
    let image = cx.image();
    let listening = Listening { listener: &cx.session.listener };
    let quirks = MetadataVersionQuirks::of(cx.version);
    // Version 0 has no null: there an empty list asks for all topics.
    let asked = request.topics.filter(|topics| cx.version > 0 || !topics.is_empty());
    let topics = match asked {
        None => {
            let all = image.topics.iter_by_name();
            all.map(|topic| describe::topic(&image, listening, quirks, topic)).collect()
        }
        Some(asked) => {
            let found: Vec<_> =
                asked.iter().map(|topic| find(&image, listening, quirks, topic)).collect();
            // Clients that cannot say no (before version 4) always ask for creation.
            if request.allow_auto_topic_creation || cx.version < 4 {
                auto_create(cx, &found).await;
            }
            found
        }
    };
    Ok(MetadataResponse {
        brokers: live_brokers(&image, listening).collect(),
        cluster_id: Some(cx.handles.identity.cluster_id.clone()),
        controller_id: random_broker(cx, &image),
        topics,
        ..Default::default()
    })
}

/// There is no place for one error of the whole request, so every topic carries it.
fn refused<'a>(asked: impl Iterator<Item = &'a MetadataRequestTopic>) -> MetadataResponse {
    let topics = asked.map(|topic| MetadataResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST,
        name: Some(topic.name.clone().unwrap_or_default()),
        ..Default::default()
    });
    MetadataResponse { topics: topics.collect(), controller_id: -1, ..Default::default() }
}

fn find(
    image: &Image,
    listening: Listening<'_>,
    quirks: MetadataVersionQuirks,
    asked: &MetadataRequestTopic,
) -> MetadataResponseTopic {
    let by_name = asked.name.as_deref().filter(|_| asked.topic_id.is_zero());
    let topic = match by_name {
        Some(name) => image.topics.by_name(name),
        None => image.topics.get(asked.topic_id),
    };
    match (topic, by_name) {
        (Some(topic), _) => describe::topic(image, listening, quirks, topic),
        (None, Some(name)) => unknown_topic(name),
        (None, None) => MetadataResponseTopic {
            error_code: ErrorCode::UNKNOWN_TOPIC_ID,
            topic_id: asked.topic_id,
            ..Default::default()
        },
    }
}

/// Asks the controller for topics that were asked for by name and do not exist. This answer still
/// says so: clients ask again.
async fn auto_create(cx: &Cx, found: &[MetadataResponseTopic]) {
    let config = &cx.handles.config;
    let missing =
        found.iter().filter(|topic| topic.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let topics: Vec<CreatableTopic> = missing
        .filter_map(|topic| topic.name.clone())
        .filter(|name| config.topics.auto_create || internal_topics::is_internal(name))
        .map(|name| internal_topics::creation(config, name))
        .collect();
    if topics.is_empty() {
        return;
    }
    let request = CreateTopicsRequest { topics, timeout_ms: 30_000, ..Default::default() };
    let answer: Result<CreateTopicsResponse, _> = cx.handles.controller.ask(request).await;
    match answer {
        Ok(response) => {
            for topic in response.topics {
                if !matches!(
                    topic.error_code,
                    ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS
                ) {
                    tracing::warn!(topic = topic.name, error = %topic.error_code, "no auto-creation");
                }
            }
        }
        Err(refusal) => tracing::warn!(%refusal, "no auto-creation"),
    }
}

/// Kafka names a random live broker as the controller: any of them forwards what only the
/// controller may decide.
pub(super) fn random_broker(cx: &Cx, image: &Image) -> i32 {
    let live: Vec<i32> = image
        .cluster
        .brokers()
        .filter(|broker| !broker.is_fenced())
        .map(|broker| broker.id().get())
        .collect();
    match live.len() {
        0 => -1,
        count => live[(cx.handles.entropy.next_u64() % count as u64) as usize],
    }
}
