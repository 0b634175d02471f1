//! DeleteTopics: decided by the controller. Metadata forget the topic at once, the disk a little
//! later (`file.delete.delay.ms`).

use strandline_types::{ErrorCode, Uuid};
use strandline_wire::messages::delete_topics_response::DeletableTopicResult;
use strandline_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::cx::Cx;
use crate::forward::forward;
use crate::session::Hangup;

/// Versions before this one do not know TOPIC_DELETION_DISABLED.
const FIRST_VERSION_WITH_DISABLED: i16 = 3;

pub(crate) async fn handle(
    cx: &Cx,
    request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, Hangup> {
    if !cx.handles.config.topics.delete_enabled {
        return Ok(disabled(cx.version, request));
    }
    forward(cx, request).await
}

fn disabled(version: i16, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let error_code = match version {
        ..FIRST_VERSION_WITH_DISABLED => ErrorCode::INVALID_REQUEST,
        _ => ErrorCode::TOPIC_DELETION_DISABLED,
    };
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), Uuid::ZERO));
    let asked = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let responses = asked.chain(by_name).map(|(name, topic_id)| DeletableTopicResult {
        name,
        topic_id,
        error_code,
        error_message: Some("delete.topic.enable is false on this broker".into()),
        ..Default::default()
    });
    DeleteTopicsResponse { responses: responses.collect(), ..Default::default() }
}
