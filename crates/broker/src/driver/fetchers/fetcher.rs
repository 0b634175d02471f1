//! Fetches from one leader, request by request.
//!
//! All records of an answer are handed to their partitions, which write them side by side, and the
//! next request goes out once all of them are written: by asking on from there a follower
//! acknowledges them. A partition with an error waits by itself, for longer each time.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use strandline_client::{Answer, CallError, Connection, ConnectionConfig};
use strandline_log::EpochEnd;
use strandline_ports::{Lane, timeout, watch};
use strandline_replica::{FetchAnswer, FetchPosition, NextFetch};
use strandline_types::{
    ErrorCode, Instant, LeaderEpoch, Offset, PartitionId, TopicIdPartition, TopicPartition,
};
use strandline_wire::messages::fetch_request::ReplicaState;
use strandline_wire::messages::fetch_response::PartitionData;
use strandline_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use strandline_wire::messages::{ApiKey, FetchRequest, FetchResponse, ListOffsetsRequest, Records};
use strandline_wire::records::{BatchRefusal, BatchTail, InspectedBatch, batches, inspect_header};

use super::session::FetchSession;
use super::{Endpoint, FetcherContext, Inbox, Source};
use crate::driver::partition::Partition;

/// The first pause after an error; it doubles up to `replica.fetch.backoff.ms`. Most errors say that
/// one of the two brokers has not heard of an election yet, and are over in no time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// In a row, of one partition.
const FAILURES_WORTH_TELLING: u32 = 5;
/// What a Fetch counts its wait in.
const TICK: Duration = Duration::from_millis(1);
/// Topic ids came with this version of Fetch.
const VERSION_MIN: i16 = 13;

/// What ListOffsets takes for the two ends of a log.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(super) struct Fetcher {
    context: Arc<FetcherContext>,
    source: Source,
    inbox: Arc<Inbox>,
    endpoint: watch::Receiver<Option<Endpoint>>,
    followed: BTreeMap<TopicIdPartition, Followed>,
    session: FetchSession,
    /// When partitions that had an error may be asked for again.
    retries: BTreeSet<(Instant, TopicIdPartition)>,
    connection: Option<Connection>,
    failed_connections: u32,
    /// What is to be told of partitions that go on to fail: one of each reason, and how many more.
    failing: BTreeMap<String, (TopicPartition, usize)>,
}

struct Followed {
    partition: Arc<Partition>,
    /// The leader's epoch at the last look.
    leader_epoch: LeaderEpoch,
    failures: u32,
    retry_at: Option<Instant>,
}

/// Why a whole fetch came to nothing.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("it answers {0}")]
    Refused(ErrorCode),
}

/// Why what a leader sent for one partition is of no use.
#[derive(Debug, thiserror::Error)]
enum BadRecords {
    #[error("a damaged batch: {0}")]
    Batch(#[from] BatchRefusal),
    #[error("not one whole batch")]
    Incomplete,
}

impl Fetcher {
    pub(super) fn new(
        context: Arc<FetcherContext>,
        source: Source,
        inbox: Arc<Inbox>,
        endpoint: watch::Receiver<Option<Endpoint>>,
    ) -> Self {
        Self {
            context,
            source,
            inbox,
            endpoint,
            followed: BTreeMap::new(),
            session: FetchSession::default(),
            retries: BTreeSet::new(),
            connection: None,
            failed_connections: 0,
            failing: BTreeMap::new(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.look_around();
            if self.session.is_empty() {
                self.idle().await;
                continue;
            }
            let fetched = match self.connect().await {
                Ok(connection) => self.fetch(&connection).await,
                Err(error) => Err(error.into()),
            };
            match fetched {
                Ok(()) => self.failed_connections = 0,
                Err(error) => self.lost(&error).await,
            }
        }
    }

    /// Takes in what has changed, and those whose pause is over.
    fn look_around(&mut self) {
        for (id, partition) in self.inbox.take() {
            self.look_at(id, partition);
        }
        let now = self.now();
        while let Some(&(at, id)) = self.retries.first().filter(|(at, _)| *at <= now) {
            self.retries.remove(&(at, id));
            let Some(followed) = self.followed.get_mut(&id) else { continue };
            followed.retry_at = None;
            let partition = Arc::clone(&followed.partition);
            self.look_at(id, partition);
        }
    }

    fn look_at(&mut self, id: TopicIdPartition, partition: Arc<Partition>) {
        let next = partition.next_fetch_by(&self.inbox);
        let NextFetch::From(from) = next else {
            self.session.forget(id);
            if next == NextFetch::Stopped {
                self.drop_partition(id);
            }
            return;
        };
        if from.leader != self.source.leader {
            self.session.forget(id);
            self.drop_partition(id);
            return;
        }
        let followed = self.followed.entry(id).or_insert_with(|| Followed {
            partition: Arc::clone(&partition),
            leader_epoch: from.leader_epoch,
            failures: 0,
            retry_at: None,
        });
        followed.partition = partition;
        if followed.leader_epoch != from.leader_epoch {
            // What was wrong before the election is not wrong any more.
            followed.leader_epoch = from.leader_epoch;
            followed.failures = 0;
            if let Some(at) = followed.retry_at.take() {
                self.retries.remove(&(at, id));
            }
        }
        if followed.retry_at.is_some() {
            return;
        }
        match followed.partition.asks_nothing_until() {
            Some(until) => self.wait(id, until),
            None => self.session.want(id, from),
        }
    }

    fn drop_partition(&mut self, id: TopicIdPartition) {
        let dropped = self.followed.remove(&id);
        if let Some(at) = dropped.and_then(|followed| followed.retry_at) {
            self.retries.remove(&(at, id));
        }
    }

    /// Nothing to ask for.
    async fn idle(&mut self) {
        if self.followed.is_empty() {
            self.connection = None;
            self.session.begin_again();
        }
        let until = self.retries.first().map_or(Instant::NEVER, |(at, _)| *at);
        // Either is worth another look.
        let _ = timeout(&*self.context.world.clock, until, self.inbox.arrived()).await;
    }

    async fn connect(&mut self) -> Result<Connection, CallError> {
        if let Some(open) = self.connection.as_ref().filter(|it| it.is_open()) {
            return Ok(open.clone());
        }
        self.session.begin_again();
        let Some(Endpoint { host, port }) = self.endpoint.borrow_and_update().clone() else {
            return Err(CallError::Unreachable {
                address: format!("broker {}", self.source.leader),
                reason: format!("it has no listener {}", self.context.listener),
            });
        };
        let config = ConnectionConfig {
            client_id: format!("broker-{}-fetcher-{}", self.context.node, self.source.fetcher),
            request_timeout: self.patience(),
            // One batch may be larger than what was asked for.
            response_bytes_max: i32::MAX as u32,
            lane: Lane::Data,
            ..ConnectionConfig::default()
        };
        let opened = Connection::open(&self.context.world, &host, port, config).await?;
        if opened.versions().highest_common(ApiKey::Fetch).is_none_or(|it| it < VERSION_MIN) {
            let address = opened.address().to_owned();
            return Err(CallError::NoCommonVersion { address, api: ApiKey::Fetch });
        }
        self.connection = Some(opened.clone());
        Ok(opened)
    }

    /// The leader cannot be reached, or does not answer.
    async fn lost(&mut self, error: &FetchError) {
        let leader = self.source.leader;
        if self.failed_connections == 0 {
            tracing::warn!(%leader, %error, "cannot fetch from a leader");
        } else {
            tracing::debug!(%leader, %error, "still cannot fetch from a leader");
        }
        self.connection = None;
        self.session.begin_again();
        let until = self.now() + self.pause_after(self.failed_connections);
        self.failed_connections = self.failed_connections.saturating_add(1);
        // A leader that has moved is worth a try at once.
        let _ = timeout(&*self.context.world.clock, until, self.endpoint.changed()).await;
    }

    async fn fetch(&mut self, connection: &Connection) -> Result<(), FetchError> {
        let inbox = Arc::clone(&self.inbox);
        let mut parked = pin!(self.send(connection)?.receive());
        // Whoever comes while the leader waits for records must not wait with it: the request
        // behind makes a leader answer the one before.
        let mut behind = None;
        let response = loop {
            tokio::select! {
                biased;
                response = &mut parked => break response?,
                () = inbox.arrived(), if behind.is_none() => {}
            }
            self.look_around();
            if self.session.is_open() && self.session.has_untold() {
                behind = Some(self.send(connection)?);
            }
        };
        self.take(connection, response).await?;
        if let Some(behind) = behind {
            self.take(connection, behind.receive().await?).await?;
        }
        Ok(())
    }

    fn send(&mut self, connection: &Connection) -> Result<Answer<FetchRequest>, CallError> {
        let settings = &self.context.settings;
        let is_opening = self.session.is_opening();
        let mut request = self.session.next_request(settings.fetch_max_bytes);
        // A partition that waits for another try does not wait for the others' records.
        let retry = self.retries.first().map(|(at, _)| at.since(self.context.now()));
        let wait_max = Duration::from_millis(settings.fetch_wait_max_ms.max(0) as u64);
        let wait = retry.map_or(wait_max, |retry| wait_max.min(retry + TICK));
        request.max_wait_ms = if is_opening { 0 } else { wait.as_millis() as i32 };
        request.min_bytes = settings.fetch_min_bytes;
        request.max_bytes = settings.fetch_response_max_bytes;
        let (node, epoch) = (self.context.node.get(), self.context.broker_epoch.borrow().get());
        let build = |version| {
            match version {
                ..15 => request.replica_id = node,
                15.. => {
                    let (replica_id, replica_epoch) = (node, epoch);
                    request.replica_state =
                        ReplicaState { replica_id, replica_epoch, ..Default::default() };
                }
            }
            request
        };
        connection.start(build, i16::MAX, self.patience())
    }

    async fn take(
        &mut self,
        connection: &Connection,
        response: FetchResponse,
    ) -> Result<(), FetchError> {
        match response.error_code {
            ErrorCode::NONE => {}
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND
            | ErrorCode::INVALID_FETCH_SESSION_EPOCH
            | ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR => {
                // The next one is told everything.
                self.session.begin_again();
                return Ok(());
            }
            code => return Err(FetchError::Refused(code)),
        }
        let mut writing = BTreeMap::new();
        let mut out_of_range = BTreeMap::new();
        for topic in response.responses {
            for data in topic.partitions {
                let partition = PartitionId(data.partition_index);
                let id = TopicIdPartition { topic_id: topic.topic_id, partition };
                // What is not asked like that any more is no news.
                let Some(asked) = self.session.asked(&id) else { continue };
                match data.error_code {
                    ErrorCode::NONE => self.take_one(id, &asked, data, &mut writing),
                    ErrorCode::OFFSET_OUT_OF_RANGE => {
                        out_of_range.insert(id, asked);
                    }
                    code => self.put_off(id, &format!("the leader answers {code}")),
                }
            }
        }
        self.session.answered(response.session_id);
        if !out_of_range.is_empty() {
            self.find_range(connection, out_of_range).await?;
        }
        self.tell_failing();
        self.all_written(writing).await;
        Ok(())
    }

    /// Thousands may fail for one reason: a leader that has just been told of a large topic.
    fn tell_failing(&mut self) {
        for (reason, (partition, others)) in std::mem::take(&mut self.failing) {
            let leader = self.source.leader;
            tracing::warn!(%partition, others, %leader, reason, "still cannot fetch");
        }
    }

    fn take_one(
        &mut self,
        id: TopicIdPartition,
        asked: &FetchPosition,
        data: PartitionData,
        writing: &mut BTreeMap<TopicIdPartition, Arc<Partition>>,
    ) {
        let Some(followed) = self.followed.get_mut(&id) else { return };
        let partition = Arc::clone(&followed.partition);
        partition.took(data.records.len() as u64);
        let diverging = &data.diverging_epoch;
        let taken = if diverging.epoch >= 0 {
            let epoch = LeaderEpoch(diverging.epoch);
            let end = EpochEnd { epoch, end: Offset(diverging.end_offset) };
            partition.corrected(asked, FetchAnswer::Diverging(end)).map_err(|it| it.to_string())
        } else {
            match whole_batches(data.records) {
                Ok(batches) => {
                    if !batches.is_empty() {
                        writing.insert(id, Arc::clone(&partition));
                    }
                    let (high_watermark, log_start) =
                        (Offset(data.high_watermark), Offset(data.log_start_offset));
                    let copied = partition.copy(asked, batches, high_watermark, log_start);
                    copied.map_err(|refusal| refusal.to_string())
                }
                Err(bad) => Err(bad.to_string()),
            }
        };
        match taken {
            Ok(()) => {
                followed.failures = 0;
                self.look_at(id, partition);
            }
            Err(reason) => self.put_off(id, &reason),
        }
    }

    /// Waits until what was just taken is written. What waits for something else (a full disk, a
    /// cut) is not waited for.
    async fn all_written(&mut self, mut writing: BTreeMap<TopicIdPartition, Arc<Partition>>) {
        loop {
            writing.retain(|_, partition| partition.is_writing_for(&self.inbox));
            if writing.is_empty() {
                return;
            }
            self.inbox.arrived().await;
            self.look_around();
        }
    }

    /// A partition has an error, and waits by itself.
    fn put_off(&mut self, id: TopicIdPartition, reason: &str) {
        let Some(followed) = self.followed.get_mut(&id) else { return };
        let partition = followed.partition.name();
        if followed.failures == 0 {
            tracing::debug!(%partition, leader = %self.source.leader, reason, "cannot fetch");
        } else if followed.failures == FAILURES_WORTH_TELLING {
            match self.failing.get_mut(reason) {
                Some((_, others)) => *others += 1,
                None => _ = self.failing.insert(reason.to_owned(), (partition.clone(), 0)),
            }
        }
        let failures = followed.failures;
        followed.failures = failures.saturating_add(1);
        self.wait(id, self.now() + self.pause_after(failures));
    }

    /// The partition is not asked for before.
    fn wait(&mut self, id: TopicIdPartition, until: Instant) {
        self.session.forget(id);
        let Some(followed) = self.followed.get_mut(&id) else { return };
        if let Some(earlier) = followed.retry_at.replace(until) {
            self.retries.remove(&(earlier, id));
        }
        self.retries.insert((until, id));
    }

    /// The leader's logs do not reach these partitions' ends, or begin later: from where to where
    /// do they go?
    async fn find_range(
        &mut self,
        connection: &Connection,
        asked: BTreeMap<TopicIdPartition, FetchPosition>,
    ) -> Result<(), CallError> {
        let starts = self.list_offsets(connection, &asked, EARLIEST).await?;
        let ends = self.list_offsets(connection, &asked, LATEST).await?;
        for (id, asked) in asked {
            let Some(followed) = self.followed.get(&id) else { continue };
            let partition = Arc::clone(&followed.partition);
            let (Some(&log_start), Some(&log_end)) = (starts.get(&id), ends.get(&id)) else {
                self.put_off(id, "the leader does not say where its log begins and ends");
                continue;
            };
            let answer = FetchAnswer::OutOfRange { log_start, log_end };
            match partition.corrected(&asked, answer) {
                Ok(()) => self.look_at(id, partition),
                Err(refusal) => self.put_off(id, &refusal.to_string()),
            }
        }
        Ok(())
    }

    /// One end of each log. Partitions that the leader refuses to tell of are left out.
    async fn list_offsets(
        &self,
        connection: &Connection,
        asked: &BTreeMap<TopicIdPartition, FetchPosition>,
        timestamp: i64,
    ) -> Result<BTreeMap<TopicIdPartition, Offset>, CallError> {
        let mut request =
            ListOffsetsRequest { replica_id: self.context.node.get(), ..Default::default() };
        let mut names = BTreeMap::new();
        for (id, asked) in asked {
            let Some(followed) = self.followed.get(id) else { continue };
            let name = followed.partition.name().topic.clone();
            names.insert((name.clone(), id.partition.get()), *id);
            request.topics.push(ListOffsetsTopic {
                name,
                partitions: vec![ListOffsetsPartition {
                    partition_index: id.partition.get(),
                    current_leader_epoch: asked.leader_epoch.get(),
                    timestamp,
                    ..Default::default()
                }],
                ..Default::default()
            });
        }
        let response = connection.call(request).await?;
        let mut found = BTreeMap::new();
        for topic in response.topics {
            for told in topic.partitions {
                let id = names.get(&(topic.name.clone(), told.partition_index));
                if let (Some(id), ErrorCode::NONE) = (id, told.error_code) {
                    found.insert(*id, Offset(told.offset));
                }
            }
        }
        Ok(found)
    }

    fn pause_after(&self, failures: u32) -> Duration {
        let pause_max = Duration::from_millis(self.context.settings.fetch_backoff_ms.max(1) as u64);
        FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(pause_max)
    }

    /// How long an answer may take.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.context.settings.socket_timeout_ms.max(1) as u64)
    }

    fn now(&self) -> Instant {
        self.context.now()
    }
}

impl FetcherContext {
    fn now(&self) -> Instant {
        self.world.clock.now().instant
    }
}

/// The batches of an answer, each with its checksum checked. The last one may be cut off.
fn whole_batches(records: Records) -> Result<Vec<InspectedBatch>, BadRecords> {
    let Records::Bytes(bytes) = records else { return Ok(Vec::new()) };
    let mut whole = Vec::new();
    for batch in batches(&bytes) {
        match batch {
            Ok(batch) => whole.push(inspect_header(batch)?),
            Err(BatchTail::Incomplete { .. }) if whole.is_empty() => {
                return Err(BadRecords::Incomplete);
            }
            Err(BatchTail::Incomplete { .. }) => break,
            Err(BatchTail::Corrupt(refusal)) => return Err(refusal.into()),
        }
    }
    Ok(whole)
}
