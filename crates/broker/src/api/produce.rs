//! Produce: inspects each batch, admits it to its partition's log, answers when it is safe.
//!
//! Everything before the first await is the ordered stage: once this future has been polled, the
//! batches have their offsets, and the session may start the Produce behind it.

use std::sync::Arc;
use std::time::Duration;

use strandline_config::TopicConfig;
use strandline_log::{AdmitRefusal, Origin};
use strandline_ports::TimedOut;
use strandline_replica::{ProduceAnswer, ProduceRefusal, RequiredAcks};
use strandline_types::{Bug, Compression, ErrorCode, planted};
use strandline_wire::compression::CompressionChoice;
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use strandline_wire::messages::{ProduceRequest, ProduceResponse, Records};
use strandline_wire::records::{BatchRefusal, InspectLimits, InspectedBatch, inspect};

use crate::cx::Cx;
use crate::deadline::Deadline;
use crate::driver::partition::{Ordered, Partition};
use crate::internal_topics;
use crate::leader_hints::LeaderHints;
use crate::partitions::{Held, LookupRefusal, find};
use crate::session::Hangup;

/// zstd came with this version (KIP-110): an older client could not read its own records back.
const FIRST_VERSION_WITH_ZSTD: i16 = 7;

/// `None`: acks=0, the client expects no answer.
pub(crate) async fn handle(
    cx: &Cx,
    request: ProduceRequest,
) -> Result<Option<ProduceResponse>, Hangup> {
    let acks = request.acks;
    if planted(Bug::LeaderAcksOvertaken) && acks == 1 && cx.correlation_id % 2 == 1 {
        cx.handles.clock.sleep(Duration::from_millis(1)).await;
    }
    let mut ordered = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        ordered.push(order_topic(cx, acks, topic));
    }
    let mut deadline = Deadline::after(cx, request.timeout_ms);
    let mut hints = LeaderHints::new(cx);
    let mut response = ProduceResponse::default();
    for OrderedTopic { mut answer, partitions } in ordered {
        for OrderedPartition { index, batch_bytes, partition: held, outcome } in partitions {
            let outcome = match outcome {
                Ok(ordered) => in_time(deadline.wait(ordered.answered()).await),
                Err(refusal) => Err(refusal),
            };
            let mut partition = match outcome {
                Ok(appended) => accepted(index, &appended),
                Err(refusal) => refused(cx, index, &refusal),
            };
            let code = partition.error_code;
            let metrics = &cx.handles.metrics;
            for traffic in held.iter().map(|it| it.traffic()).chain([&metrics.traffic]) {
                traffic.produced(batch_bytes, code);
            }
            if let Some(leader) = hints.leader(code, &answer.name, answer.topic_id, index) {
                partition.current_leader.leader_id = leader.node.get();
                partition.current_leader.leader_epoch = leader.epoch.get();
            }
            answer.partition_responses.push(partition);
        }
        response.responses.push(answer);
    }
    if acks == 0 {
        return hang_up_on_error(&response).map_or(Ok(None), Err);
    }
    response.node_endpoints = hints.into_produce_endpoints();
    Ok(Some(response))
}

/// One topic of the request whose batches have their places in the logs.
struct OrderedTopic {
    answer: TopicProduceResponse,
    partitions: Vec<OrderedPartition>,
}

struct OrderedPartition {
    index: i32,
    batch_bytes: usize,
    /// `None` when there is none here.
    partition: Option<Arc<Partition>>,
    outcome: Result<Ordered, Refusal>,
}

/// Why a partition's batch was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("acks must be 0, 1 or -1")]
    BadAcks,
    #[error("clients may not write to internal topics")]
    InternalTopic,
    #[error("zstd needs a client that speaks Produce {FIRST_VERSION_WITH_ZSTD}")]
    ZstdTooEarly,
    #[error("transactions are not served")]
    Transactional,
    #[error("the records were not replicated in time; they stay in the log")]
    TimedOut,
    #[error(transparent)]
    Lookup(#[from] LookupRefusal),
    #[error(transparent)]
    Batch(#[from] BatchRefusal),
    #[error(transparent)]
    Partition(#[from] ProduceRefusal),
}

impl Refusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::BadAcks => ErrorCode::INVALID_REQUIRED_ACKS,
            Self::InternalTopic => ErrorCode::INVALID_TOPIC_EXCEPTION,
            Self::ZstdTooEarly => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            Self::Transactional => ErrorCode::INVALID_TXN_STATE,
            Self::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
            Self::Lookup(refusal) => refusal.code(),
            Self::Batch(refusal) => refusal.code(),
            Self::Partition(refusal) => refusal.code(),
        }
    }
}

fn order_topic(cx: &Cx, acks: i16, topic: TopicProduceData) -> OrderedTopic {
    let TopicProduceData { name, topic_id, partition_data, .. } = topic;
    let partitions = partition_data
        .into_iter()
        .map(|PartitionProduceData { index, records, .. }| {
            let held = find(cx, &name, topic_id, index);
            let partition = held.as_ref().ok().map(|held| Arc::clone(&held.partition));
            let batch_bytes = records.len();
            let outcome = order(cx, acks, held, records);
            OrderedPartition { index, batch_bytes, partition, outcome }
        })
        .collect();
    OrderedTopic { answer: TopicProduceResponse { name, topic_id, ..Default::default() }, partitions }
}

/// Checks one partition's batch and gives it its place in the log.
fn order(
    cx: &Cx,
    acks: i16,
    held: Result<Held, LookupRefusal>,
    records: Records,
) -> Result<Ordered, Refusal> {
    let required_acks = match acks {
        0 => RequiredAcks::None,
        1 => RequiredAcks::Leader,
        -1 => RequiredAcks::All,
        _ => return Err(Refusal::BadAcks),
    };
    let Held { partition, config, .. } = held?;
    if internal_topics::is_internal(&partition.name().topic)
        && cx.client_id != internal_topics::ADMIN_CLIENT_ID
    {
        return Err(Refusal::InternalTopic);
    }
    let batch = checked(cx, &config, records)?;
    Ok(partition.produce(cx.now, vec![batch], required_acks, Origin::Leader))
}

/// Inspects the bytes, before any lock, and gives them the codec that the topic demands.
fn checked(cx: &Cx, config: &TopicConfig, records: Records) -> Result<InspectedBatch, Refusal> {
    let Records::Bytes(bytes) = records else { return Err(BatchRefusal::NoBatch.into()) };
    let limits = InspectLimits::default();
    let batch = inspect(bytes, &limits)?;
    let codec = batch.facts.compression;
    if codec == Compression::Zstd && cx.version < FIRST_VERSION_WITH_ZSTD {
        return Err(Refusal::ZstdTooEarly);
    }
    if batch.facts.is_transactional {
        return Err(Refusal::Transactional);
    }
    let stored = config.stored_compression(codec);
    let renumber = !batch.offsets_are_dense && codec != Compression::None;
    if stored == codec && !renumber {
        return Ok(batch);
    }
    let level = Some(config.compression_level(stored));
    Ok(batch.rebuild(CompressionChoice { codec: stored, level }, &limits)?)
}

fn in_time(
    answer: Result<Result<ProduceAnswer, ProduceRefusal>, TimedOut>,
) -> Result<ProduceAnswer, Refusal> {
    match answer {
        Ok(answer) => Ok(answer?),
        Err(TimedOut) => Err(Refusal::TimedOut),
    }
}

fn accepted(index: i32, answer: &ProduceAnswer) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        base_offset: answer.appended.base_offset.get(),
        log_append_time_ms: answer.appended.log_append_time.map_or(-1, |time| time.as_millis()),
        log_start_offset: answer.log_start.get(),
        ..Default::default()
    }
}

fn refused(cx: &Cx, index: i32, refusal: &Refusal) -> PartitionProduceResponse {
    let error_code = refusal.code();
    tracing::debug!(client = cx.client_id, partition = index, %error_code, %refusal, "refused a batch");
    PartitionProduceResponse {
        index,
        error_code,
        base_offset: -1,
        log_start_offset: -1,
        record_errors: record_errors(refusal),
        error_message: Some(refusal.to_string()),
        ..Default::default()
    }
}

/// Which record of the batch is to blame, where one is.
fn record_errors(refusal: &Refusal) -> Vec<BatchIndexAndErrorMessage> {
    let index = match refusal {
        Refusal::Batch(
            BatchRefusal::MalformedRecord { index } | BatchRefusal::MissingRecord { index, .. },
        ) => *index,
        Refusal::Partition(ProduceRefusal::Admit(AdmitRefusal::KeyMissing { first_keyless })) => {
            *first_keyless
        }
        _ => return Vec::new(),
    };
    let batch_index_error_message = Some(refusal.to_string());
    vec![BatchIndexAndErrorMessage {
        batch_index: index,
        batch_index_error_message,
        ..Default::default()
    }]
}

/// With acks=0 there is no answer to carry an error: the end of the connection says it, and makes
/// the client look for its leaders again.
fn hang_up_on_error(response: &ProduceResponse) -> Option<Hangup> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    let failed = partitions.into_iter().find(|it| it.error_code != ErrorCode::NONE)?;
    Some(Hangup(format!("Produce with acks=0 failed: {}", failed.error_code)))
}
