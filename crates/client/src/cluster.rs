//! One view of a cluster: connections, metadata, coordinators, and the patience to try again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_ports::{Clock, Entropy, World};
use strandline_types::{ErrorCode, Instant, NodeId};
use strandline_wire::messages::metadata_request::MetadataRequestTopic;
use strandline_wire::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, Request,
};

use crate::connection::{Connection, ConnectionConfig};
use crate::error::{CallError, ClientError, Refusal};
use crate::metadata::{Broker, Metadata, Topic, TopicAnswer};
use crate::sync::lock;

/// The first pause while a transaction comes to its end, which is a matter of milliseconds.
pub(crate) const BUSY_BACKOFF: Duration = Duration::from_millis(5);

/// Settings that all clients have in common.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `HOST:PORT` each; any of them leads to the whole cluster.
    pub bootstrap: Vec<String>,
    pub connection: ConnectionConfig,
    /// First pause between attempts; it doubles up to the maximum and varies by a fifth.
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// How long an operation is tried again, `default.api.timeout.ms`.
    pub operation_timeout: Duration,
    pub metadata_max_age: Duration,
}

impl ClientConfig {
    /// Kafka's defaults. `bootstrap` is a comma-separated list.
    pub fn new(bootstrap: &str) -> Self {
        let servers = bootstrap.split(',').map(str::trim).filter(|server| !server.is_empty());
        Self {
            bootstrap: servers.map(str::to_owned).collect(),
            connection: ConnectionConfig::default(),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            operation_timeout: Duration::from_secs(60),
            metadata_max_age: Duration::from_secs(300),
        }
    }
}

/// Whose connection to a broker it is. A long poll holds back everything behind it on its
/// connection, so those who wait long have a channel of their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Channel(u64);

impl Channel {
    /// For calls that are answered at once.
    pub const SHARED: Self = Self(0);
}

/// A handle on one view of a cluster; clones share it.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    world: World,
    config: ClientConfig,
    state: Mutex<State>,
}

/// Where one connection is opened at a time.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

#[derive(Default)]
struct State {
    metadata: Metadata,
    coordinators: BTreeMap<Coordinated, NodeId>,
    connections: BTreeMap<(NodeId, Channel), Slot>,
    bootstrap: Slot,
    /// See [`Client::doubt`].
    is_in_doubt: bool,
    channels: u64,
}

impl Client {
    /// Connects only when something is asked.
    pub fn new(world: World, config: ClientConfig) -> Self {
        Self(Arc::new(Inner { world, config, state: Mutex::default() }))
    }

    pub fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    pub fn world(&self) -> &World {
        &self.0.world
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.world.clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.world.clock.now().instant
    }

    /// A channel that nobody else has.
    pub fn new_channel(&self) -> Channel {
        let mut state = lock(&self.0.state);
        state.channels += 1;
        Channel(state.channels)
    }

    /// The brokers known so far, in order of their ids.
    pub fn brokers(&self) -> Vec<Broker> {
        lock(&self.0.state).metadata.brokers.values().cloned().collect()
    }

    pub fn cluster_id(&self) -> Option<String> {
        lock(&self.0.state).metadata.cluster_id.clone()
    }

    pub fn controller(&self) -> Option<NodeId> {
        lock(&self.0.state).metadata.controller
    }

    /// An open connection to a broker.
    pub async fn connection(
        &self,
        node: NodeId,
        channel: Channel,
    ) -> Result<Connection, ClientError> {
        if !lock(&self.0.state).metadata.brokers.contains_key(&node) {
            self.refresh(Some(&[]), false).await?;
        }
        self.known_connection(node, channel).await
    }

    async fn known_connection(
        &self,
        node: NodeId,
        channel: Channel,
    ) -> Result<Connection, ClientError> {
        let (broker, slot) = {
            let mut state = lock(&self.0.state);
            let broker = state.metadata.brokers.get(&node).cloned();
            let broker = broker.ok_or_else(|| unknown_broker(node))?;
            (broker, Arc::clone(state.connections.entry((node, channel)).or_default()))
        };
        Ok(self.open(&slot, &broker.host, broker.port).await?)
    }

    /// A connection to whichever broker answers first: one that is open, then the brokers known,
    /// then the bootstrap servers. Any broker, by chance, if what one said has led nowhere: turns
    /// that several tasks take together can come to the same one every time.
    pub async fn any_connection(&self) -> Result<Connection, ClientError> {
        let (bootstrap, is_in_doubt) = {
            let state = lock(&self.0.state);
            (Arc::clone(&state.bootstrap), state.is_in_doubt)
        };
        let open = bootstrap.lock().await.clone().filter(|connection| connection.is_open());
        if let (Some(open), false) = (open, is_in_doubt) {
            return Ok(open);
        }
        let mut brokers = self.brokers();
        if !brokers.is_empty() {
            let first = self.0.world.entropy.next_u64() as usize % brokers.len();
            brokers.rotate_left(first);
        }
        let mut failure = None;
        for broker in brokers {
            match self.known_connection(broker.id, Channel::SHARED).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = Some(error),
            }
        }
        for address in &self.0.config.bootstrap {
            let (host, port) = split_address(address)?;
            match self.open(&bootstrap, host, port).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = Some(error.into()),
            }
        }
        Err(failure.unwrap_or(ClientError::NoBootstrap))
    }

    async fn open(&self, slot: &Slot, host: &str, port: u16) -> Result<Connection, CallError> {
        let mut slot = slot.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(open.clone());
        }
        let config = self.0.config.connection.clone();
        let connection = Connection::open(&self.0.world, host, port, config).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Calls whichever broker answers, again and again while the call itself fails.
    pub async fn call_any<R: Request>(
        &self,
        build: impl Fn(i16) -> R + Send + Sync,
    ) -> Result<R::Response, ClientError> {
        let mut backoff = self.backoff();
        loop {
            let error = match self.any_connection().await {
                Ok(connection) => match connection.call_with(&build).await {
                    Ok(response) => return Ok(response),
                    Err(error) => error.into(),
                },
                Err(error) => error,
            };
            self.doubt();
            backoff.pause(error).await?;
        }
    }

    /// Calls one broker, again and again while the call itself fails.
    pub async fn call_node<R: Request>(
        &self,
        node: NodeId,
        build: impl Fn(i16) -> R + Send + Sync,
    ) -> Result<R::Response, ClientError> {
        let mut backoff = self.backoff();
        loop {
            match self.call_node_once(node, Channel::SHARED, &build).await {
                Ok(response) => return Ok(response),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    pub(crate) async fn call_node_once<R: Request>(
        &self,
        node: NodeId,
        channel: Channel,
        build: impl FnOnce(i16) -> R + Send,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection(node, channel).await?;
        Ok(connection.call_with(build).await?)
    }

    /// Asks about topics: `None` for all of them. Each answer is kept.
    pub(crate) async fn refresh(
        &self,
        topics: Option<&[String]>,
        may_create: bool,
    ) -> Result<Vec<TopicAnswer>, ClientError> {
        let named =
            |name: &String| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        let response = self
            .call_any(|version| MetadataRequest {
                topics: topics.map(|names| names.iter().map(named).collect()),
                // Before version 4 brokers create what their own setting says.
                allow_auto_topic_creation: may_create || version < 4,
                ..Default::default()
            })
            .await?;
        Refusal::check(response.error_code, None)
            .map_err(|refusal| ClientError::refused("metadata", refusal))?;
        let now = self.now();
        Ok(lock(&self.0.state).metadata.learn(now, response))
    }

    /// All topics that there are, internal ones too.
    pub async fn all_topics(&self) -> Result<Vec<Arc<Topic>>, ClientError> {
        let answers = self.refresh(None, false).await?;
        Ok(answers.into_iter().filter_map(|(_, answer)| answer.ok()).collect())
    }

    /// The topic as known, if that is not too old.
    pub fn known_topic(&self, name: &str) -> Option<Arc<Topic>> {
        let not_before = self.now() - self.0.config.metadata_max_age;
        lock(&self.0.state).metadata.topic(name, not_before)
    }

    /// The topic as known, else as the cluster says now. Its leaders may be missing.
    pub async fn topic(&self, name: &str, may_create: bool) -> Result<Arc<Topic>, ClientError> {
        match self.known_topic(name) {
            Some(topic) => Ok(topic),
            None => self.fresh_topic(name, may_create).await,
        }
    }

    /// The topic as the cluster says now; asked once.
    pub async fn fresh_topic(
        &self,
        name: &str,
        may_create: bool,
    ) -> Result<Arc<Topic>, ClientError> {
        let answers = self.refresh(Some(&[name.to_owned()]), may_create).await?;
        let subject = || format!("topic {name}");
        let (_, answer) = answers
            .into_iter()
            .find(|(answered, _)| answered == name)
            .ok_or_else(|| ClientError::NotAnswered { subject: subject() })?;
        answer.map_err(|refusal| ClientError::refused(subject(), refusal))
    }

    /// The topic, waiting while it is on its way into being; `Refused` when it does not come.
    pub async fn existing_topic(
        &self,
        name: &str,
        may_create: bool,
    ) -> Result<Arc<Topic>, ClientError> {
        let mut backoff = self.backoff();
        loop {
            match self.topic(name, may_create).await {
                Ok(topic) => return Ok(topic),
                // Without the wish to create it an unknown topic stays unknown.
                Err(error)
                    if !may_create
                        && error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) =>
                {
                    return Err(error);
                }
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// The next question about the topic goes to the cluster.
    pub fn forget_topic(&self, name: &str) {
        lock(&self.0.state).metadata.forget(name);
    }

    /// Somebody whom a broker named does not answer, or not as named. A broker that is cut off from
    /// the others goes on telling what it knew: all are asked from now on.
    pub(crate) fn doubt(&self) {
        lock(&self.0.state).is_in_doubt = true;
    }

    /// The coordinator of a group or a transactional id, asked for until there is one.
    pub async fn coordinator(&self, of: impl Into<Coordinated>) -> Result<NodeId, ClientError> {
        let of = of.into();
        let mut backoff = self.backoff();
        loop {
            match self.coordinator_once(of.clone()).await {
                Ok(node) => return Ok(node),
                Err(error) => {
                    self.doubt();
                    backoff.pause(error).await?;
                }
            }
        }
    }

    pub(crate) async fn coordinator_once(
        &self,
        of: impl Into<Coordinated>,
    ) -> Result<NodeId, ClientError> {
        let of = of.into();
        if let Some(node) = lock(&self.0.state).coordinators.get(&of) {
            return Ok(*node);
        }
        let (key_type, key) = of.key();
        let response = self
            .call_any(|version| match version {
                4.. => FindCoordinatorRequest {
                    key_type,
                    coordinator_keys: vec![key.to_owned()],
                    ..Default::default()
                },
                _ => FindCoordinatorRequest { key: key.to_owned(), key_type, ..Default::default() },
            })
            .await?;
        let broker = coordinator_of(&of, response)?;
        let mut state = lock(&self.0.state);
        let id = broker.id;
        state.metadata.learn_address(broker);
        state.coordinators.insert(of, id);
        Ok(id)
    }

    pub fn forget_coordinator(&self, of: impl Into<Coordinated>) {
        lock(&self.0.state).coordinators.remove(&of.into());
        self.doubt();
    }

    /// Calls the coordinator while it says "not me", "not yet" or another thing that passes. `code`
    /// finds what the whole answer says.
    pub(crate) async fn call_coordinator<R: Request>(
        &self,
        of: impl Into<Coordinated>,
        build: impl Fn(i16) -> R + Send + Sync,
        code: impl Fn(&R::Response) -> ErrorCode + Send + Sync,
    ) -> Result<R::Response, ClientError> {
        self.call_coordinator_upto(i16::MAX, of, build, code).await
    }

    /// As [`Client::call_coordinator`], in a version up to `version_max`.
    pub(crate) async fn call_coordinator_upto<R: Request>(
        &self,
        version_max: i16,
        of: impl Into<Coordinated>,
        build: impl Fn(i16) -> R + Send + Sync,
        code: impl Fn(&R::Response) -> ErrorCode + Send + Sync,
    ) -> Result<R::Response, ClientError> {
        let of = of.into();
        let timeout = self.0.config.connection.request_timeout;
        let mut backoff = self.backoff();
        let mut busy = Backoff { next: BUSY_BACKOFF, ..self.backoff() };
        loop {
            let node = self.coordinator(of.clone()).await?;
            let answer = async {
                let connection = self.connection(node, Channel::SHARED).await?;
                Ok(connection.start(&build, version_max, timeout)?.receive().await?)
            };
            let error = match answer.await {
                Ok(response) => match code(&response) {
                    ErrorCode::CONCURRENT_TRANSACTIONS => {
                        let error = ErrorCode::CONCURRENT_TRANSACTIONS;
                        busy.pause(ClientError::refused(of.to_string(), error)).await?;
                        continue;
                    }
                    code if code.is_retriable() => ClientError::refused(of.to_string(), code),
                    _ => return Ok(response),
                },
                Err(error) => error,
            };
            self.forget_coordinator(of.clone());
            backoff.pause(error).await?;
        }
    }

    /// Pauses between attempts of one operation.
    pub(crate) fn backoff(&self) -> Backoff {
        self.backoff_until(self.now() + self.0.config.operation_timeout)
    }

    pub(crate) fn backoff_until(&self, deadline: Instant) -> Backoff {
        Backoff {
            clock: Arc::clone(&self.0.world.clock),
            entropy: Arc::clone(&self.0.world.entropy),
            next: self.0.config.retry_backoff,
            max: self.0.config.retry_backoff_max,
            deadline,
        }
    }
}

/// What has a coordinator. Where a text will do, it is a group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Coordinated {
    Group(String),
    /// By its transactional id.
    Transaction(String),
}

impl Coordinated {
    /// Type and key of FindCoordinator.
    fn key(&self) -> (i8, &str) {
        match self {
            Self::Group(id) => (0, id),
            Self::Transaction(id) => (1, id),
        }
    }
}

impl fmt::Display for Coordinated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(id) => write!(f, "group {id}"),
            Self::Transaction(id) => write!(f, "transactional id {id}"),
        }
    }
}

impl From<&str> for Coordinated {
    fn from(group: &str) -> Self {
        Self::Group(group.to_owned())
    }
}

impl From<&String> for Coordinated {
    fn from(group: &String) -> Self {
        Self::Group(group.clone())
    }
}

/// Growing pauses, with jitter so that clients that failed together do not come back together.
pub(crate) struct Backoff {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    next: Duration,
    max: Duration,
    deadline: Instant,
}

impl Backoff {
    /// Waits, or gives the error back when it is final or the time is over.
    pub(crate) async fn pause(&mut self, error: ClientError) -> Result<(), ClientError> {
        let wait = self.step();
        let now = self.clock.now().instant;
        if !error.is_retriable() || now + wait >= self.deadline {
            return Err(error);
        }
        tracing::debug!(%error, ?wait, "trying again");
        self.clock.sleep(wait).await;
        Ok(())
    }

    fn step(&mut self) -> Duration {
        let wait = jittered(self.next, self.entropy.next_u64());
        self.next = (self.next * 2).min(self.max);
        wait
    }
}

/// Four to six fifths of `wait`.
pub(crate) fn jittered(wait: Duration, random: u64) -> Duration {
    wait * 4 / 5 + wait * (random % 401) as u32 / 1000
}

fn unknown_broker(node: NodeId) -> ClientError {
    let reason = "the cluster's metadata does not mention it".into();
    CallError::Unreachable { address: format!("broker {node}"), reason }.into()
}

/// `[::1]:9092` is an address, too.
fn split_address(address: &str) -> Result<(&str, u16), ClientError> {
    let bad = || ClientError::BadAddress { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(bad());
    }
    Ok((host, port.parse().map_err(|_| bad())?))
}

fn coordinator_of(
    of: &Coordinated,
    response: FindCoordinatorResponse,
) -> Result<Broker, ClientError> {
    let subject = || format!("coordinator of {of}");
    let broker = |id: i32, host, port: i32| Broker {
        id: NodeId(id),
        host,
        port: u16::try_from(port).unwrap_or(0),
        rack: None,
    };
    ClientError::check(subject(), response.error_code, response.error_message)?;
    match response.coordinators.into_iter().find(|found| found.key == of.key().1) {
        Some(found) => {
            ClientError::check(subject(), found.error_code, found.error_message)?;
            Ok(broker(found.node_id, found.host, found.port))
        }
        None if response.node_id >= 0 => Ok(broker(response.node_id, response.host, response.port)),
        None => Err(ClientError::NotAnswered { subject: subject() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        assert_eq!(split_address("127.0.0.1:9092"), Ok(("127.0.0.1", 9092)));
        assert_eq!(split_address("[::1]:9092"), Ok(("::1", 9092)));
        for bad in ["9092", ":9092", "host:", "host:70000", "host"] {
            let error = ClientError::BadAddress { address: bad.into() };
            assert_eq!(split_address(bad), Err(error), "{bad}");
        }
        assert_eq!(ClientConfig::new(" a:1, b:2,,").bootstrap, ["a:1", "b:2"]);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let wait = Duration::from_millis(100);
        assert_eq!(jittered(wait, 0), Duration::from_millis(80));
        assert_eq!(jittered(wait, 400), Duration::from_millis(120));
    }
}
