//! Produce: inspects each batch, admits it to its partition's log, answers when it is safe.
//!
//! Everything before the first await is the ordered stage: once this future has been polled, the
//! batches have their offsets, and the session may start the Produce behind it. Only where a
//! transaction begins on a partition must its coordinator be asked before (KIP-890); the session is
//! told to wait for that.

mod verify;

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
    let mut checked = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        checked.push(check_topic(cx, acks, topic));
    }
    if let Some(transactional_id) = request.transactional_id {
        verify::verify(cx, transactional_id, &mut checked).await;
    }
    checked.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(|it| it.order(cx));
    let mut deadline = Deadline::after(cx, request.timeout_ms);
    let mut hints = LeaderHints::new(cx);
    let mut response = ProduceResponse::default();
    for Topic { mut answer, partitions } in checked {
        for Batch { index, batch_bytes, partition: held, stage } in partitions {
            let outcome = match stage {
                Stage::Ordered(ordered) => in_time(deadline.wait(ordered.answered()).await),
                Stage::Refused(refusal) => Err(refusal),
                Stage::Checked(_) => unreachable!("every batch that was checked is ordered"),
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

/// One topic of the request.
struct Topic {
    answer: TopicProduceResponse,
    partitions: Vec<Batch>,
}

/// One partition's batch on its way into the log.
struct Batch {
    index: i32,
    batch_bytes: usize,
    /// `None` when there is none here.
    partition: Option<Arc<Partition>>,
    stage: Stage,
}

enum Stage {
    Checked(Checked),
    /// It has its place in the log.
    Ordered(Ordered),
    Refused(Refusal),
}

struct Checked {
    batch: InspectedBatch,
    required_acks: RequiredAcks,
    origin: Origin,
}

impl Batch {
    fn order(&mut self, cx: &Cx) {
        let Some(partition) = &self.partition else { return };
        self.stage = match std::mem::replace(&mut self.stage, Stage::Refused(Refusal::TimedOut)) {
            Stage::Checked(Checked { batch, required_acks, origin }) => {
                Stage::Ordered(partition.produce(cx.now, vec![batch], required_acks, origin))
            }
            stage => stage,
        };
    }
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
    #[error("the records of one request belong to several producers")]
    SeveralProducers,
    #[error("the transaction's coordinator does not let it begin here: {0}")]
    Unverified(ErrorCode),
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
            Self::SeveralProducers => ErrorCode::INVALID_PRODUCER_ID_MAPPING,
            Self::Unverified(code) => *code,
            Self::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
            Self::Lookup(refusal) => refusal.code(),
            Self::Batch(refusal) => refusal.code(),
            Self::Partition(refusal) => refusal.code(),
        }
    }
}

fn check_topic(cx: &Cx, acks: i16, topic: TopicProduceData) -> Topic {
    let TopicProduceData { name, topic_id, partition_data, .. } = topic;
    let partitions = partition_data
        .into_iter()
        .map(|PartitionProduceData { index, records, .. }| {
            let held = find(cx, &name, topic_id, index);
            let partition = held.as_ref().ok().map(|held| Arc::clone(&held.partition));
            let batch_bytes = records.len();
            let stage = match check(cx, acks, held, records) {
                Ok(checked) => Stage::Checked(checked),
                Err(refusal) => Stage::Refused(refusal),
            };
            Batch { index, batch_bytes, partition, stage }
        })
        .collect();
    Topic { answer: TopicProduceResponse { name, topic_id, ..Default::default() }, partitions }
}

/// Whether one partition's batch may be given a place in the log.
fn check(
    cx: &Cx,
    acks: i16,
    held: Result<Held, LookupRefusal>,
    records: Records,
) -> Result<Checked, Refusal> {
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
    Ok(Checked { batch, required_acks, origin: Origin::Leader })
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
