//! Fetches ahead: at most one request per broker, each partition's records held until they are
//! read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use strandline_ports::Lane;
use strandline_types::{ErrorCode, Instant, NodeId, Offset, PartitionId, TopicPartition};
use strandline_wire::messages::{
    FetchRequest, FetchResponse, Records,
    fetch_request::{FetchPartition, FetchTopic, ForgottenTopic},
    fetch_response::PartitionData,
};
use tokio::sync::mpsc;

use super::ConsumerConfig;
use super::records::Buffered;
use super::session::{Plan, Session, Want};
use super::validation::Divergence;
use crate::cluster::{Channel, Client};
use crate::error::ClientError;
use crate::metadata::TopicAnswer;

/// The first version that names topics by id.
const BY_TOPIC_ID: i16 = 13;

pub(super) struct Fetcher {
    client: Client,
    channel: Channel,
    nodes: BTreeMap<NodeId, Node>,
    /// In the order in which they arrived.
    pub(super) buffered: VecDeque<Buffered>,
    sender: mpsc::UnboundedSender<Arrived>,
    arrivals: mpsc::UnboundedReceiver<Arrived>,
}

#[derive(Default)]
struct Node {
    session: Session,
    is_fetching: bool,
    retry_at: Instant,
    /// Why the last request got no answer.
    failure: Option<ClientError>,
}

/// What the tasks behind the reader bring.
pub(super) enum Arrived {
    Fetched(Fetched),
    /// What the cluster says about topics whose leaders were looked up.
    Leaders(Result<Vec<TopicAnswer>, ClientError>),
}

pub(super) struct Fetched {
    node: NodeId,
    answer: Result<FetchResponse, ClientError>,
}

/// A partition whose fetch brought nothing to read.
pub(super) struct Refused {
    pub(super) partition: TopicPartition,
    pub(super) fetch_offset: Offset,
    pub(super) why: Why,
}

pub(super) enum Why {
    Code(ErrorCode),
    /// The leader's log is not the one that was read so far.
    Diverges(Divergence),
    /// The leader knows of a replica that is nearer (KIP-392).
    Nearer(NodeId),
}

/// Where the assigned partitions are read.
pub(super) type Wants = BTreeMap<NodeId, BTreeMap<TopicPartition, Want>>;

impl Fetcher {
    pub(super) fn new(client: Client) -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let channel = client.new_channel();
        let (nodes, buffered) = Default::default();
        Self { client, channel, nodes, buffered, sender, arrivals }
    }

    pub(super) fn holds(&self, partition: &TopicPartition) -> bool {
        holds(&self.buffered, partition)
    }

    /// Whether a request is on its way to the broker, or just failed.
    pub(super) fn is_busy(&self, node: NodeId, now: Instant) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.is_fetching || node.retry_at > now)
    }

    /// Whether the last request to the broker failed a moment ago.
    pub(super) fn is_backing_off(&self, node: NodeId, now: Instant) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.retry_at > now)
    }

    /// Why the last request to the broker got no answer; `None` if it got one.
    pub(super) fn failure(&self, node: NodeId) -> Option<&ClientError> {
        self.nodes.get(&node)?.failure.as_ref()
    }

    /// Throws away what was fetched of a partition.
    pub(super) fn discard(&mut self, partition: &TopicPartition) {
        self.buffered.retain(|buffered| buffered.partition != *partition);
    }

    /// Sends a fetch to each broker that has something to give and is not busy.
    pub(super) fn fetch(&mut self, config: &ConsumerConfig, wants: Wants) {
        for (node, wanted) in wants {
            let state = self.nodes.entry(node).or_default();
            state.is_fetching = true;
            let plan = state.session.plan(wanted);
            let config = config.clone();
            let (client, channel) = (self.client.clone(), self.channel);
            let sender = self.sender.clone();
            let spawn = Arc::clone(&self.client.world().spawn);
            spawn.spawn(
                Lane::Data,
                Box::pin(async move {
                    let build = |version| fetch_request(&config, &plan, version);
                    let answer = call(&client, node, channel, &plan, build).await;
                    // The consumer may have gone.
                    let _ = sender.send(Arrived::Fetched(Fetched { node, answer }));
                }),
            );
        }
    }

    /// Asks who leads: that may take as long as no broker answers.
    pub(super) fn look_up(&self, topics: Vec<String>) {
        let (client, sender) = (self.client.clone(), self.sender.clone());
        let look_up = async move {
            let answers = client.refresh(Some(&topics), false).await;
            // The consumer may have gone.
            let _ = sender.send(Arrived::Leaders(answers));
        };
        self.client.world().spawn.spawn(Lane::Data, Box::pin(look_up));
    }

    /// The next answer; for ever pending while none is on its way.
    pub(super) async fn arrival(&mut self) -> Option<Arrived> {
        self.arrivals.recv().await
    }

    pub(super) fn arrived_already(&mut self) -> Option<Arrived> {
        self.arrivals.try_recv().ok()
    }

    /// Buffers what came, if it is still wanted from there, and returns what was refused.
    pub(super) fn take_in(
        &mut self,
        fetched: Fetched,
        position: impl Fn(&TopicPartition) -> Option<Offset>,
    ) -> Vec<Refused> {
        let now = self.client.now();
        let backoff = self.client.config().retry_backoff;
        let node = self.nodes.entry(fetched.node).or_default();
        node.is_fetching = false;
        node.failure = fetched.answer.as_ref().err().cloned();
        let response = match fetched.answer {
            Ok(response) if response.error_code.is_none() => response,
            Ok(response) => {
                let code = response.error_code;
                tracing::debug!(node = %fetched.node, %code, "fetch refused");
                node.session.reset();
                if !is_of_session(code) {
                    node.retry_at = now + backoff;
                }
                return Vec::new();
            }
            Err(error) => {
                tracing::debug!(node = %fetched.node, %error, "fetch failed");
                node.session.reset();
                node.retry_at = now + backoff;
                return node.refuse_all(ErrorCode::NETWORK_EXCEPTION);
            }
        };
        let mut refused = Vec::new();
        for topic in response.responses {
            let name = match topic.topic_id.is_zero() {
                true => Some(topic.topic),
                false => node.session.topic_of(topic.topic_id).map(str::to_owned),
            };
            let Some(name) = name else { continue };
            for data in topic.partitions {
                let index = PartitionId(data.partition_index);
                let partition = TopicPartition { topic: name.clone(), partition: index };
                let Some(want) = node.session.wanted(&partition) else { continue };
                let (code, fetch_offset) = (data.error_code, want.offset);
                let diverging = &data.diverging_epoch;
                if !code.is_none() {
                    refused.push(Refused { partition, fetch_offset, why: Why::Code(code) });
                } else if diverging.epoch >= 0 {
                    let divergence = Divergence::of(diverging.epoch, diverging.end_offset);
                    refused.push(Refused {
                        partition,
                        fetch_offset,
                        why: Why::Diverges(divergence),
                    });
                } else if data.preferred_read_replica >= 0 {
                    let why = Why::Nearer(NodeId(data.preferred_read_replica));
                    refused.push(Refused { partition, fetch_offset, why });
                } else if position(&partition) == Some(fetch_offset)
                    // When leaders change, the former one may have answered as well.
                    && !holds(&self.buffered, &partition)
                {
                    self.buffered.extend(buffered(partition, fetch_offset, data));
                }
            }
        }
        node.session.answered(response.session_id);
        refused
    }
}

/// The broker has lost the session: the next request opens another, there is nothing to wait for.
fn is_of_session(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
            | ErrorCode::INVALID_FETCH_SESSION_EPOCH
            | ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR
    )
}

impl Node {
    fn refuse_all(&self, code: ErrorCode) -> Vec<Refused> {
        let refused = |(partition, want): (&TopicPartition, &Want)| Refused {
            partition: partition.clone(),
            fetch_offset: want.offset,
            why: Why::Code(code),
        };
        self.session.partitions().map(refused).collect()
    }
}

fn holds(buffered: &VecDeque<Buffered>, partition: &TopicPartition) -> bool {
    buffered.iter().any(|buffered| buffered.partition == *partition)
}

fn buffered(partition: TopicPartition, position: Offset, data: PartitionData) -> Option<Buffered> {
    let Records::Bytes(bytes) = data.records else { return None };
    if bytes.is_empty() {
        return None;
    }
    let aborted = data.aborted_transactions.unwrap_or_default();
    Some(Buffered::new(partition, position, &bytes, aborted))
}

async fn call(
    client: &Client,
    node: NodeId,
    channel: Channel,
    plan: &Plan,
    build: impl FnOnce(i16) -> FetchRequest,
) -> Result<FetchResponse, ClientError> {
    let ids_known = plan.fetch.iter().all(|(_, want)| !want.topic_id.is_zero());
    let version_max = if ids_known { i16::MAX } else { BY_TOPIC_ID - 1 };
    let timeout = client.config().connection.request_timeout;
    let connection = client.connection(node, channel).await?;
    Ok(connection.start(build, version_max, timeout)?.receive().await?)
}

fn fetch_request(config: &ConsumerConfig, plan: &Plan, version: i16) -> FetchRequest {
    let by_id = version >= BY_TOPIC_ID;
    let mut topics: BTreeMap<&str, FetchTopic> = BTreeMap::new();
    for (partition, want) in &plan.fetch {
        let topic = topics.entry(&partition.topic).or_insert_with(|| match by_id {
            true => FetchTopic { topic_id: want.topic_id, ..Default::default() },
            false => FetchTopic { topic: partition.topic.clone(), ..Default::default() },
        });
        topic.partitions.push(FetchPartition {
            partition: partition.partition.get(),
            current_leader_epoch: if version >= 9 { want.current_leader_epoch.get() } else { -1 },
            last_fetched_epoch: if version >= 12 { want.last_fetched_epoch.get() } else { -1 },
            fetch_offset: want.offset.get(),
            partition_max_bytes: config.partition_bytes_max,
            ..Default::default()
        });
    }
    let mut forgotten: BTreeMap<(&str, _), ForgottenTopic> = BTreeMap::new();
    for (partition, topic_id) in &plan.forget {
        let key = (partition.topic.as_str(), *topic_id);
        let topic = forgotten.entry(key).or_insert_with(|| match by_id {
            true => ForgottenTopic { topic_id: *topic_id, ..Default::default() },
            false => ForgottenTopic { topic: partition.topic.clone(), ..Default::default() },
        });
        topic.partitions.push(partition.partition.get());
    }
    FetchRequest {
        max_wait_ms: i32::try_from(config.fetch_max_wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: config.fetch_bytes_min,
        max_bytes: config.fetch_bytes_max,
        isolation_level: i8::from(config.is_read_committed),
        session_id: if version >= 7 { plan.id } else { 0 },
        session_epoch: if version >= 7 { plan.epoch } else { -1 },
        topics: topics.into_values().collect(),
        forgotten_topics_data: forgotten.into_values().collect(),
        rack_id: if version >= 11 { config.rack.clone() } else { String::new() },
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use strandline_types::{LeaderEpoch, Uuid};
    use strandline_wire::messages::fetch_response::FetchableTopicResponse;

    use super::*;
    use crate::cluster::ClientConfig;
    use crate::testing::world;

    fn fetcher() -> Fetcher {
        Fetcher::new(Client::new(world(), ClientConfig::new("localhost:9092")))
    }

    /// The leader moves while its answer is on the way, and the next leader answers the same.
    #[tokio::test]
    async fn what_two_leaders_answer_is_buffered_once() {
        let mut fetcher = fetcher();
        let partition = TopicPartition { topic: "t".into(), partition: PartitionId(0) };
        let want = Want {
            topic_id: Uuid::ONE,
            offset: Offset(7),
            current_leader_epoch: LeaderEpoch(0),
            last_fetched_epoch: LeaderEpoch::NONE,
        };
        for node in [NodeId(1), NodeId(2)] {
            let state = fetcher.nodes.entry(node).or_default();
            state.session.plan([(partition.clone(), want)].into());
        }
        for node in [NodeId(1), NodeId(2)] {
            let records = Records::Bytes(b"seven".as_slice().into());
            let topic = FetchableTopicResponse {
                topic_id: Uuid::ONE,
                partitions: vec![PartitionData { records, ..Default::default() }],
                ..Default::default()
            };
            let answer = Ok(FetchResponse { responses: vec![topic], ..Default::default() });
            fetcher.take_in(Fetched { node, answer }, |_| Some(Offset(7)));
        }
        assert_eq!(fetcher.buffered.len(), 1);
    }
}
