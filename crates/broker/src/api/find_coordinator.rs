//! FindCoordinator: the broker that leads the partition of `__consumer_offsets` or
//! `__transaction_state` which is responsible for a group or a transactional id. The first one to ask
//! has that topic created.

use strandline_metadata::Image;
use strandline_types::{ErrorCode, TopicIdPartition};
use strandline_wire::messages::find_coordinator_response::Coordinator;
use strandline_wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
};

use crate::cx::Cx;
use crate::forward::ask;
use crate::internal_topics::{self, CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::session::Hangup;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// From this version on, a request has several keys (KIP-699).
const FIRST_VERSION_WITH_BATCHES: i16 = 4;

pub(crate) async fn handle(
    cx: &Cx,
    request: FindCoordinatorRequest,
) -> Result<FindCoordinatorResponse, Hangup> {
    match request.key_type {
        GROUP => create_if_missing(cx, CONSUMER_OFFSETS).await,
        TRANSACTION => create_if_missing(cx, TRANSACTION_STATE).await,
        _ => {}
    }
    let image = cx.image();
    let find = |key: String| {
        let found = match request.key_type {
            GROUP => leader_of(cx, &image, &key, cx.handles.groups.partition_of(&key)),
            TRANSACTION => leader_of(cx, &image, &key, cx.handles.transactions.partition_of(&key)),
            SHARE => {
                Err((ErrorCode::UNSUPPORTED_VERSION, "this broker coordinates no share groups"))
            }
            _ => Err((ErrorCode::INVALID_REQUEST, "unknown type of coordinator")),
        };
        found.unwrap_or_else(|(error_code, message)| Coordinator {
            key: key.clone(),
            node_id: -1,
            port: -1,
            error_code,
            error_message: Some(message.into()),
            ..Default::default()
        })
    };
    if cx.version >= FIRST_VERSION_WITH_BATCHES {
        let coordinators = request.coordinator_keys.into_iter().map(find).collect();
        return Ok(FindCoordinatorResponse { coordinators, ..Default::default() });
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = find(request.key);
    let error_message = match error_code {
        ErrorCode::NONE => Some("NONE".into()),
        _ => error_message,
    };
    Ok(FindCoordinatorResponse {
        error_code,
        error_message,
        node_id,
        host,
        port,
        ..Default::default()
    })
}

/// The broker that leads the partition which is responsible for the key.
fn leader_of(
    cx: &Cx,
    image: &Image,
    key: &str,
    responsible: Option<TopicIdPartition>,
) -> Result<Coordinator, (ErrorCode, &'static str)> {
    let not_available =
        || (ErrorCode::COORDINATOR_NOT_AVAILABLE, "The coordinator is not available.");
    let id = responsible.ok_or_else(not_available)?;
    let partition = image.topics.partition(id.topic_id, id.partition).ok_or_else(not_available)?;
    let broker = image.cluster.broker(partition.leader).filter(|broker| !broker.is_fenced());
    let endpoint = broker.and_then(|broker| broker.endpoint(&cx.session.listener));
    let endpoint = endpoint.ok_or_else(not_available)?;
    Ok(Coordinator {
        key: key.into(),
        node_id: partition.leader.get(),
        host: endpoint.host.clone(),
        port: i32::from(endpoint.port),
        error_message: Some(String::new()),
        ..Default::default()
    })
}

/// Whoever asks is told to ask again unless the topic is there afterwards.
pub(crate) async fn create_if_missing(cx: &Cx, topic: &'static str) {
    if cx.image().topics.by_name(topic).is_some() {
        return;
    }
    let creation = internal_topics::creation(&cx.handles.config, topic.into());
    let request =
        CreateTopicsRequest { topics: vec![creation], timeout_ms: 30_000, ..Default::default() };
    let answer: Result<CreateTopicsResponse, _> = ask(cx, request).await;
    match answer {
        Ok(response) => {
            for result in response.topics {
                if !matches!(result.error_code, ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS) {
                    let reason = result.error_message.as_deref().unwrap_or_default();
                    tracing::warn!(error = %result.error_code, reason, "cannot create {topic}");
                }
            }
        }
        Err(refusal) => tracing::warn!(%refusal, "cannot create {topic}"),
    }
}
