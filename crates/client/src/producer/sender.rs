//! The task behind a producer: finds leaders, keeps connections, sends what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use strandline_ports::{Lane, timeout};
use strandline_types::{
    ErrorCode, Instant, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp,
    TopicPartition, Uuid,
};
use strandline_wire::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, InitProducerIdRequest, ProduceRequest,
    ProduceResponse, Records,
    add_partitions_to_txn_request::AddPartitionsToTxnTopic,
    produce_request::{PartitionProduceData, TopicProduceData},
};

use super::batches::{Identity, Outgoing, Reply};
use super::enrolment::{Enrolment, Protocol, Question};
use super::error::ProduceError;
use super::{Acks, Shared};
use crate::admin::offsets::by_topic;
use crate::cluster::Coordinated;
use crate::connection::Connection;
use crate::error::{CallError, ClientError, Refusal};
use crate::sync::lock;

/// The first version that names topics by id.
const BY_TOPIC_ID: i16 = 13;
/// AddPartitionsToTxn speaks of several transactions after that, as brokers do to each other.
const ONE_TRANSACTION_MAX: i16 = 3;

/// What the sender knows about the world outside; shared with the tasks it starts.
#[derive(Default)]
struct Links {
    nodes: BTreeMap<NodeId, Link>,
    /// Topics whose leaders must be looked up.
    stale: BTreeSet<String>,
    is_refreshing: bool,
    is_identifying: bool,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    is_connecting: bool,
    retry_at: Instant,
    in_flight: usize,
}

/// One batch of a request.
struct Part {
    partition: TopicPartition,
    topic_id: Uuid,
    batch: Outgoing,
}

type SharedLinks = Arc<Mutex<Links>>;

pub(super) async fn run(shared: Arc<Shared>) {
    let links = SharedLinks::default();
    loop {
        let now = shared.client.now();
        lock(&shared.batches).expire(now);
        let look_again_at = dispatch(&shared, &links, now);
        shared.free_room();
        if shared.is_closed.load(Ordering::Acquire) && lock(&shared.batches).is_empty() {
            return;
        }
        // Timed out or woken: either way there is something to look at.
        let _ = timeout(&**shared.client.clock(), look_again_at, shared.to_send.notified()).await;
    }
}

impl Shared {
    pub(super) fn free_room(&self) {
        let freed = lock(&self.batches).take_freed_bytes();
        self.room.add_permits(freed);
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.client.world().spawn.spawn(Lane::Data, Box::pin(task));
    }
}

/// Sends what can be sent, and starts what must happen before the rest can. Returns when to look
/// again.
fn dispatch(shared: &Arc<Shared>, links: &SharedLinks, now: Instant) -> Instant {
    let (mut due, identity, needs_identity, mut look_again_at) = {
        let batches = lock(&shared.batches);
        let needs_identity = batches.needs_identity();
        (batches.due(now), batches.identity(), needs_identity, batches.next_due_at())
    };
    if let Some(enrolment) = &shared.enrolment
        && let Some(question) = enrolment.admit(&mut due, identity)
    {
        enrol(shared, question);
    }
    if look_again_at <= now {
        // Due, but held up by something that will wake us; deadlines are looked at now and then.
        look_again_at = now + shared.client.config().retry_backoff;
    }
    if needs_identity {
        identify(shared, links);
    }
    let mut by_leader: BTreeMap<NodeId, Vec<(TopicPartition, Uuid)>> = BTreeMap::new();
    {
        let mut links = lock(links);
        for partition in due {
            let topic = shared.client.known_topic(&partition.topic);
            let leader = topic.as_ref().and_then(|t| t.partition(partition.partition)?.leader);
            match (leader, topic) {
                (Some(leader), Some(topic)) if !links.stale.contains(&partition.topic) => {
                    by_leader.entry(leader).or_default().push((partition, topic.id));
                }
                _ => {
                    links.stale.insert(partition.topic);
                }
            }
        }
    }
    refresh(shared, links);
    for (node, partitions) in by_leader {
        send_to(shared, links, now, node, partitions);
    }
    look_again_at
}

/// Asks for a producer id.
fn identify(shared: &Arc<Shared>, links: &SharedLinks) {
    if std::mem::replace(&mut lock(links).is_identifying, true) {
        return;
    }
    let (task_shared, links) = (Arc::clone(shared), Arc::clone(links));
    shared.spawn(async move {
        let shared = task_shared;
        let mut backoff = shared.client.backoff();
        let result = loop {
            let error = match init_producer_id(&shared).await {
                Ok(identity) => break Ok(identity),
                Err(error) => error,
            };
            if let Err(error) = backoff.pause(error).await {
                break Err(error);
            }
        };
        match result {
            Ok(identity) => lock(&shared.batches).set_identity(identity),
            Err(error) => lock(&shared.batches).fail_all(&ProduceError::Client(error)),
        }
        lock(&links).is_identifying = false;
        shared.to_send.notify_one();
    });
}

/// Tells the coordinator which partitions the transaction spans, too.
fn enrol(shared: &Arc<Shared>, question: Question) {
    let task_shared = Arc::clone(shared);
    shared.spawn(async move {
        let shared = task_shared;
        let Some(enrolment) = &shared.enrolment else { return };
        let noted = add_partitions(&shared, enrolment, &question).await;
        let is_noted = noted.is_ok();
        if let Err(error) = noted {
            lock(&shared.batches).fail_all(&ProduceError::Client(error));
            shared.free_room();
        }
        enrolment.answered(question, is_noted);
        shared.to_send.notify_one();
    });
}

async fn add_partitions(
    shared: &Shared,
    enrolment: &Enrolment,
    question: &Question,
) -> Result<(), ClientError> {
    let Question { identity, partitions } = question;
    let topics = by_topic(partitions).into_iter().map(|(name, indexes)| AddPartitionsToTxnTopic {
        name: name.to_owned(),
        partitions: indexes.into_iter().map(PartitionId::get).collect(),
        ..Default::default()
    });
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: enrolment.transactional_id.clone(),
        v3_and_below_producer_id: identity.id.0,
        v3_and_below_producer_epoch: identity.epoch.0,
        v3_and_below_topics: topics.collect(),
        ..Default::default()
    };
    let of = Coordinated::Transaction(enrolment.transactional_id.clone());
    let subject = of.to_string();
    let response = shared
        .client
        .call_coordinator_upto(ONE_TRANSACTION_MAX, of, |_| request.clone(), refusal_of)
        .await?;
    ClientError::check(subject, refusal_of(&response), None)
}

/// What is wrong with any of the partitions; the others are not added then.
fn refusal_of(response: &AddPartitionsToTxnResponse) -> ErrorCode {
    let topics = response.results_by_topic_v3_and_below.iter();
    let mut codes = topics
        .flat_map(|topic| &topic.results_by_partition)
        .map(|answer| answer.partition_error_code)
        .filter(|code| !code.is_none() && *code != ErrorCode::OPERATION_NOT_ATTEMPTED);
    codes.next().unwrap_or(ErrorCode::NONE)
}

async fn init_producer_id(shared: &Shared) -> Result<Identity, ClientError> {
    let request = |_| InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let response = shared.client.call_any(request).await?;
    ClientError::check("producer id", response.error_code, None)?;
    Ok(Identity {
        id: ProducerId(response.producer_id),
        epoch: ProducerEpoch(response.producer_epoch),
    })
}

/// Looks stale leaders up.
fn refresh(shared: &Arc<Shared>, links: &SharedLinks) {
    let topics: Vec<String> = {
        let mut state = lock(links);
        if state.stale.is_empty() || state.is_refreshing {
            return;
        }
        state.is_refreshing = true;
        state.stale.iter().cloned().collect()
    };
    let (task_shared, links) = (Arc::clone(shared), Arc::clone(links));
    shared.spawn(async move {
        let shared = task_shared;
        shared.client.doubt();
        let answers = shared.client.refresh(Some(&topics), false).await.unwrap_or_default();
        let all_led = |topic: &crate::Topic| topic.partitions.iter().all(|p| p.leader.is_some());
        let is_settled = answers.len() == topics.len()
            && answers.iter().all(|(_, answer)| answer.as_ref().is_ok_and(|topic| all_led(topic)));
        if !is_settled {
            // An election is going on: asking all the time would not speed it up.
            shared.client.clock().sleep(shared.client.config().retry_backoff).await;
        }
        let mut links = lock(&links);
        for (name, _) in answers {
            links.stale.remove(&name);
        }
        links.is_refreshing = false;
        drop(links);
        shared.to_send.notify_one();
    });
}

/// Sends one request, or several while batches are due and the leader takes more.
fn send_to(
    shared: &Arc<Shared>,
    links: &SharedLinks,
    now: Instant,
    node: NodeId,
    partitions: Vec<(TopicPartition, Uuid)>,
) {
    let connection = {
        let mut state = lock(links);
        let link = state.nodes.entry(node).or_default();
        if link.in_flight >= shared.config.in_flight_max {
            return;
        }
        match link.connection.as_ref().filter(|connection| connection.is_open()) {
            Some(connection) => connection.clone(),
            None => {
                let may_try = !link.is_connecting && link.retry_at <= now;
                link.is_connecting |= may_try;
                drop(state);
                if may_try {
                    connect(shared, links, node, partitions);
                }
                return;
            }
        }
    };
    let mut parts = Vec::new();
    let mut bytes = 0;
    {
        let mut batches = lock(&shared.batches);
        for (partition, topic_id) in partitions {
            if bytes >= shared.config.request_bytes_max {
                break;
            }
            let Some(batch) = batches.take(&partition) else { continue };
            bytes += batch.bytes.len();
            parts.push(Part { partition, topic_id, batch });
        }
    }
    if !parts.is_empty() {
        send_request(shared, links, &connection, node, parts);
        // What is left, or has become due behind it, follows at once.
        shared.to_send.notify_one();
    }
}

fn connect(
    shared: &Arc<Shared>,
    links: &SharedLinks,
    node: NodeId,
    partitions: Vec<(TopicPartition, Uuid)>,
) {
    let (task_shared, links) = (Arc::clone(shared), Arc::clone(links));
    shared.spawn(async move {
        let shared = task_shared;
        let opened = shared.client.connection(node, shared.channel).await;
        let mut state = lock(&links);
        let link = state.nodes.entry(node).or_default();
        link.is_connecting = false;
        match opened {
            Ok(connection) => link.connection = Some(connection),
            Err(error) => {
                tracing::debug!(%node, %error, "no connection to a leader");
                link.retry_at = shared.client.now() + shared.client.config().retry_backoff;
                state.stale.extend(partitions.into_iter().map(|(partition, _)| partition.topic));
            }
        }
        drop(state);
        shared.to_send.notify_one();
    });
}

fn send_request(
    shared: &Arc<Shared>,
    links: &SharedLinks,
    connection: &Connection,
    node: NodeId,
    parts: Vec<Part>,
) {
    let sending = match sending(shared, connection, &parts) {
        Ok(sending) => sending,
        Err(error) => return complete(shared, links, parts, |_| lost(&error)),
    };
    lock(links).nodes.entry(node).or_default().in_flight += 1;
    let (task_shared, links) = (Arc::clone(shared), Arc::clone(links));
    shared.spawn(async move {
        let shared = task_shared;
        let result = sending.await;
        lock(&links).nodes.entry(node).or_default().in_flight -= 1;
        match result {
            Ok(Some(response)) => {
                complete(&shared, &links, parts, |part| reply_of(&response, part));
            }
            Ok(None) => complete(&shared, &links, parts, |_| Reply::Stored {
                base_offset: Offset(-1),
                log_append_time: Timestamp::NONE,
            }),
            Err(error) => complete(&shared, &links, parts, |_| lost(&error)),
        }
    });
}

/// Without an answer when none was asked for.
type Sending = Pin<Box<dyn Future<Output = Result<Option<ProduceResponse>, CallError>> + Send>>;

fn sending(shared: &Shared, connection: &Connection, parts: &[Part]) -> Result<Sending, CallError> {
    let build = |version| produce_request(shared, version, parts);
    let ids_known = parts.iter().all(|part| !part.topic_id.is_zero());
    let version_max = if ids_known { i16::MAX } else { BY_TOPIC_ID - 1 };
    let protocol = shared.enrolment.as_ref().map(|it| it.protocol);
    let version_max = version_max.min(protocol.map_or(i16::MAX, Protocol::produce_version_max));
    if shared.config.acks == Acks::None {
        let unanswered = connection.send_unanswered(build, version_max)?;
        return Ok(Box::pin(async { unanswered.written().await.map(|()| None) }));
    }
    let timeout = shared.client.config().connection.request_timeout;
    let answer = connection.start(build, version_max, timeout)?;
    Ok(Box::pin(async { answer.receive().await.map(Some) }))
}

/// A request that can never be said is refused, not lost: it would be repeated in vain.
fn lost(error: &CallError) -> Reply {
    match error.is_retriable() {
        true => Reply::Lost(error.to_string()),
        false => Reply::Refused(Refusal {
            code: ErrorCode::UNSUPPORTED_VERSION,
            message: Some(error.to_string()),
        }),
    }
}

fn complete(
    shared: &Arc<Shared>,
    links: &SharedLinks,
    parts: Vec<Part>,
    reply: impl Fn(&Part) -> Reply,
) {
    let now = shared.client.now();
    for part in parts {
        let reply = reply(&part);
        let is_stale =
            lock(&shared.batches).complete(now, &part.partition, part.batch.token, reply);
        if is_stale {
            lock(links).stale.insert(part.partition.topic);
        }
    }
    shared.free_room();
    shared.to_send.notify_one();
}

fn produce_request(shared: &Shared, version: i16, parts: &[Part]) -> ProduceRequest {
    let mut topics: BTreeMap<&str, TopicProduceData> = BTreeMap::new();
    for part in parts {
        let name = part.partition.topic.as_str();
        let topic = topics.entry(name).or_insert_with(|| match version {
            BY_TOPIC_ID.. => TopicProduceData { topic_id: part.topic_id, ..Default::default() },
            _ => TopicProduceData { name: name.to_owned(), ..Default::default() },
        });
        topic.partition_data.push(PartitionProduceData {
            index: part.partition.partition.get(),
            records: Records::Bytes(part.batch.bytes.clone()),
            ..Default::default()
        });
    }
    let timeout = shared.client.config().connection.request_timeout;
    ProduceRequest {
        transactional_id: shared.enrolment.as_ref().map(|it| it.transactional_id.clone()),
        acks: match shared.config.acks {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        },
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_values().collect(),
        ..Default::default()
    }
}

fn reply_of(response: &ProduceResponse, part: &Part) -> Reply {
    let answer = response
        .responses
        .iter()
        .filter(|topic| match topic.topic_id.is_zero() {
            true => topic.name == part.partition.topic,
            false => topic.topic_id == part.topic_id,
        })
        .flat_map(|topic| &topic.partition_responses)
        .find(|answer| answer.index == part.partition.partition.get());
    let Some(answer) = answer else {
        return Reply::Lost("the broker's answer does not mention the partition".into());
    };
    if answer.error_code.is_none() {
        return Reply::Stored {
            base_offset: Offset(answer.base_offset),
            log_append_time: Timestamp(answer.log_append_time_ms),
        };
    }
    let of_record = answer.record_errors.iter().find_map(|e| e.batch_index_error_message.clone());
    let message = of_record.or_else(|| answer.error_message.clone());
    Reply::Refused(Refusal { code: answer.error_code, message })
}
