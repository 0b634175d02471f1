//! The consumer: partitions chosen by hand or by a group, read ahead, positions kept.
//!
//! ```no_run
//! # async fn example(world: strandline_ports::World) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use strandline_client::{Client, ClientConfig};
//! use strandline_client::consumer::{Consumer, ConsumerConfig, GroupConfig, Reset};
//!
//! let client = Client::new(world, ClientConfig::new("localhost:9092"));
//! let mut consumer = Consumer::new(client, ConsumerConfig {
//!     group: Some(GroupConfig::new("board")),
//!     reset: Reset::Earliest,
//!     ..ConsumerConfig::default()
//! });
//! consumer.subscribe(["flights"]);
//! loop {
//!     for record in consumer.poll(Duration::from_secs(1)).await? {
//!         println!("{}-{} @{}", record.topic, record.partition, record.offset);
//!     }
//!     consumer.commit().await?;
//! }
//! # }
//! ```

mod assignor;
mod bounded;
mod error;
mod fetcher;
mod group;
mod membership;
mod records;
mod session;
mod validation;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strandline_ports::timeout;
use strandline_types::{
    ErrorCode, Instant, LeaderEpoch, NodeId, Offset, Timestamp, TopicPartition, Uuid,
};

use crate::admin::{Admin, CommittedOffset, ListedOffset, OffsetSpec};
use crate::cluster::Client;
use crate::error::ClientError;
use crate::metadata::TopicAnswer;
pub use assignor::Assignor;
pub use bounded::{BoundedConfig, BoundedReader, Place, Progress};
pub use error::ConsumeError;
use fetcher::{Arrived, Fetcher, Refused, Wants, Why};
use group::Group;
pub use group::{GroupConfig, GroupMember, RebalanceListener};
pub use records::ConsumerRecord;
use session::Want;

/// Where to start when there is no offset to go on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reset {
    Earliest,
    Latest,
    /// Fail: somebody must decide.
    None,
}

/// Kafka's settings of a consumer, with its defaults.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// `None` for a consumer that neither shares partitions nor commits.
    pub group: Option<GroupConfig>,
    pub reset: Reset,
    /// Leaves out records of transactions that are open or aborted.
    pub is_read_committed: bool,
    pub fetch_bytes_min: i32,
    pub fetch_bytes_max: i32,
    pub partition_bytes_max: i32,
    pub fetch_max_wait: Duration,
    /// Records that one poll returns at most.
    pub poll_records_max: usize,
    /// Where this consumer stands, for brokers that know nearer replicas.
    pub rack: String,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            group: None,
            reset: Reset::Latest,
            is_read_committed: false,
            fetch_bytes_min: 1,
            fetch_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
            fetch_max_wait: Duration::from_millis(500),
            poll_records_max: 500,
            rack: String::new(),
        }
    }
}

/// Reads records. Everything happens in [`Consumer::poll`], except heartbeats: they go on.
pub struct Consumer {
    client: Client,
    config: ConsumerConfig,
    assigned: BTreeMap<TopicPartition, Assigned>,
    fetcher: Fetcher,
    group: Option<Group>,
    /// Topics whose leaders must be looked up, and not before when.
    stale: BTreeSet<String>,
    look_up_at: Instant,
    is_looking_up: bool,
    /// Why the last look-up got no answer.
    look_up_failure: Option<ClientError>,
    /// Positions are not validated again before.
    validate_at: Instant,
}

#[derive(Clone, Copy, Default, Debug)]
struct Assigned {
    /// The next record to be returned; `None` until it is known.
    position: Option<Offset>,
    /// Where reading began, for want of a committed offset or by a seek.
    origin: Option<Offset>,
    /// Of the last record before the position, where that is known.
    leader_epoch: Option<LeaderEpoch>,
    /// Where it was fetched last.
    topic_id: Option<Uuid>,
    /// Of the leader in whose log the position is known to lie.
    valid_in: Option<LeaderEpoch>,
    /// Set when the position must come from the reset policy, whatever is committed.
    must_reset: bool,
    is_paused: bool,
    /// A fetch was refused: not asked for again before.
    retry_at: Instant,
    /// Read there rather than from the leader, who is asked again for a nearer one after a while.
    nearer: Option<(NodeId, Instant)>,
}

impl Assigned {
    /// Whom to ask.
    fn source(&self, leader: NodeId, now: Instant) -> NodeId {
        self.nearer.filter(|(_, until)| *until > now).map_or(leader, |(node, _)| node)
    }
}

/// A partition that can be read.
struct Led {
    topic_id: Uuid,
    leader: NodeId,
    leader_epoch: LeaderEpoch,
}

fn led(client: &Client, partition: &TopicPartition) -> Option<Led> {
    let topic = client.known_topic(&partition.topic)?;
    let known = topic.partition(partition.partition)?;
    Some(Led { topic_id: topic.id, leader: known.leader?, leader_epoch: known.leader_epoch })
}

fn known(epoch: LeaderEpoch) -> Option<LeaderEpoch> {
    (epoch != LeaderEpoch::NONE).then_some(epoch)
}

impl Consumer {
    pub fn new(client: Client, config: ConsumerConfig) -> Self {
        Self {
            fetcher: Fetcher::new(client.clone()),
            group: config.group.clone().map(|group| Group::new(client.clone(), group)),
            assigned: BTreeMap::new(),
            stale: BTreeSet::new(),
            look_up_at: Instant::ZERO,
            is_looking_up: false,
            look_up_failure: None,
            validate_at: Instant::ZERO,
            client,
            config,
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads exactly these partitions, without rebalances. Ends a subscription.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        if let Some(group) = &mut self.group {
            group.unsubscribe();
        }
        self.set_assignment(partitions.into_iter().collect());
    }

    /// What is read now, in order.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.assigned.keys().cloned().collect()
    }

    pub(crate) fn set_assignment(&mut self, partitions: BTreeSet<TopicPartition>) {
        self.assigned.retain(|partition, _| partitions.contains(partition));
        for partition in partitions {
            self.assigned.entry(partition).or_default();
        }
        let assigned = &self.assigned;
        self.fetcher.buffered.retain(|buffered| assigned.contains_key(&buffered.partition));
    }

    /// Continues at `offset`.
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), ConsumeError> {
        let assigned = self.assigned_mut(partition)?;
        *assigned = Assigned {
            position: Some(offset),
            origin: Some(offset),
            is_paused: assigned.is_paused,
            ..Assigned::default()
        };
        self.fetcher.discard(partition);
        Ok(())
    }

    /// Continues at the committed offsets, and where nothing is committed where reading began: what
    /// was read since then is read again. A seek is forgotten where something is committed. After a
    /// transaction that was dropped, settle its producer first: until then the group's own offsets
    /// wait for it.
    pub fn rewind(&mut self) {
        for (partition, assigned) in &mut self.assigned {
            let Assigned { origin, is_paused, .. } = *assigned;
            *assigned = Assigned { origin, is_paused, ..Assigned::default() };
            self.fetcher.discard(partition);
        }
    }

    /// Continues where `spec` says, for each partition given. A time after the last record is the
    /// end of the log.
    pub async fn seek_to(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<(), ConsumeError> {
        for (partition, offset) in self.offsets(partitions, spec).await? {
            let offset = match offset {
                Some(offset) => offset,
                None => self.offset_of(&partition, OffsetSpec::Latest).await?,
            };
            self.seek(&partition, offset)?;
        }
        Ok(())
    }

    /// Looks offsets up without moving; `None` where no record matches.
    pub async fn offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ConsumeError> {
        let found = |listed: ListedOffset| (listed.offset.get() >= 0).then_some(listed.offset);
        let listed = self.listed(partitions, spec).await?.into_iter();
        Ok(listed.map(|(partition, listed)| (partition, found(listed))).collect())
    }

    async fn listed(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>, ConsumeError> {
        let specs = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        let admin = Admin::new(self.client.clone());
        let listed = admin.list_offsets(&specs, self.config.is_read_committed).await?.into_iter();
        let listed = listed.map(|(partition, result)| match result {
            Ok(listed) => Ok((partition, listed)),
            Err(refusal) => Err(ConsumeError::Refused { partition, refusal }),
        });
        listed.collect()
    }

    /// The first offset of each partition whose record is as old as `timestamp` or younger.
    pub async fn offsets_for_time(
        &self,
        partitions: &[TopicPartition],
        timestamp: Timestamp,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>, ConsumeError> {
        self.offsets(partitions, OffsetSpec::At(timestamp)).await
    }

    async fn offset_of(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<Offset, ConsumeError> {
        let offsets = self.offsets(std::slice::from_ref(partition), spec).await?;
        Ok(offsets.values().next().copied().flatten().unwrap_or(Offset::ZERO))
    }

    /// The offset of the next record to be returned; `None` before the first poll has found it.
    pub fn position(&self, partition: &TopicPartition) -> Result<Option<Offset>, ConsumeError> {
        match self.assigned.get(partition) {
            Some(assigned) => Ok(assigned.position),
            None => Err(ConsumeError::NotAssigned { partition: partition.clone() }),
        }
    }

    /// Leaves the partition out of polls, without giving it up.
    pub fn pause(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.assigned_mut(partition)?.is_paused = true;
        Ok(())
    }

    pub fn resume(&mut self, partition: &TopicPartition) -> Result<(), ConsumeError> {
        self.assigned_mut(partition)?.is_paused = false;
        Ok(())
    }

    fn assigned_mut(&mut self, partition: &TopicPartition) -> Result<&mut Assigned, ConsumeError> {
        self.assigned
            .get_mut(partition)
            .ok_or_else(|| ConsumeError::NotAssigned { partition: partition.clone() })
    }

    /// Returns records as soon as there are some, or none when `wait` is over. Looking up where to
    /// start may take longer than that.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        let deadline = self.client.now() + wait;
        loop {
            self.step_group().await?;
            while let Some(arrived) = self.fetcher.arrived_already() {
                self.take_in(arrived)?;
            }
            self.find_positions().await?;
            self.validate_positions().await?;
            let records = self.take_records()?;
            self.fetch();
            self.look_up_leaders();
            if !records.is_empty() {
                return Ok(records);
            }
            let now = self.client.now();
            if now >= deadline {
                return Ok(records);
            }
            let look_again_at = deadline.min(now + self.patience(now));
            let clock = std::sync::Arc::clone(self.client.clock());
            let arrival = async {
                match &self.group {
                    Some(group) => group.or_changed(self.fetcher.arrival()).await,
                    None => self.fetcher.arrival().await,
                }
            };
            if let Ok(Some(arrived)) = timeout(&*clock, look_again_at, arrival).await {
                self.take_in(arrived)?;
            }
        }
    }

    /// How long nothing but an arrival is worth waking up for.
    fn patience(&self, now: Instant) -> Duration {
        let unsettled = !self.stale.is_empty()
            || self
                .assigned
                .values()
                .any(|assigned| assigned.position.is_none() || assigned.retry_at > now)
            || self
                .client
                .brokers()
                .iter()
                .any(|broker| self.fetcher.is_backing_off(broker.id, now));
        match unsettled {
            true => self.client.config().retry_backoff,
            false => Duration::from_secs(1),
        }
    }

    /// Why nothing comes at the moment, when brokers do not answer; `None` while all do. It ends
    /// by itself once they are back.
    pub fn trouble(&self) -> Option<ClientError> {
        let now = self.client.now();
        let of_source = |(partition, assigned): (_, &Assigned)| match led(&self.client, partition) {
            Some(led) => self.fetcher.failure(assigned.source(led.leader, now)),
            None => self.look_up_failure.as_ref(),
        };
        let of_group = || self.group.as_ref().and_then(Group::trouble);
        self.assigned.iter().find_map(of_source).cloned().or_else(of_group)
    }

    fn take_in(&mut self, arrived: Arrived) -> Result<(), ConsumeError> {
        let fetched = match arrived {
            Arrived::Fetched(fetched) => fetched,
            Arrived::Leaders(answers) => {
                self.looked_up(answers);
                return Ok(());
            }
        };
        let assigned = &self.assigned;
        let position = |partition: &TopicPartition| assigned.get(partition)?.position;
        let refused = self.fetcher.take_in(fetched, position);
        refused.into_iter().try_for_each(|refused| self.handle_refused(refused))
    }

    fn handle_refused(&mut self, refused: Refused) -> Result<(), ConsumeError> {
        let Refused { partition, fetch_offset, why } = refused;
        let Some(assigned) = self.assigned.get_mut(&partition) else { return Ok(()) };
        if assigned.position != Some(fetch_offset) {
            return Ok(());
        }
        let code = match why {
            Why::Code(code) => code,
            Why::Diverges(divergence) => return self.truncated(&partition, divergence),
            Why::Nearer(node) => {
                let until = self.client.now() + self.client.config().metadata_max_age;
                assigned.nearer = Some((node, until));
                return Ok(());
            }
        };
        // Whatever keeps another replica from answering, the leader knows better.
        let was_elsewhere = assigned.nearer.take().is_some();
        if was_elsewhere && code == ErrorCode::OFFSET_OUT_OF_RANGE {
            return Ok(());
        }
        if code == ErrorCode::OFFSET_OUT_OF_RANGE {
            if self.config.reset == Reset::None {
                return Err(ConsumeError::OutOfRange { partition, offset: fetch_offset });
            }
            tracing::info!(%partition, offset = %fetch_offset, "out of range, resetting");
            *assigned =
                Assigned { must_reset: true, is_paused: assigned.is_paused, ..Assigned::default() };
            return Ok(());
        }
        if code.is_retriable() {
            // The next answer would come as fast, and say the same until something has changed.
            assigned.retry_at = self.client.now() + self.client.config().retry_backoff;
            self.stale.insert(partition.topic);
            return Ok(());
        }
        Err(ConsumeError::Refused { partition, refusal: code.into() })
    }

    /// Finds out where to start: at the committed offset, else where the reset policy says.
    async fn find_positions(&mut self) -> Result<(), ConsumeError> {
        let unknown = |must_reset: bool| {
            let unknown = self.assigned.iter().filter(move |(_, assigned)| {
                assigned.position.is_none() && assigned.must_reset == must_reset
            });
            unknown.map(|(partition, _)| partition.clone()).collect::<Vec<_>>()
        };
        let uncommitted = unknown(false);
        if !uncommitted.is_empty() {
            let committed = match &self.group {
                Some(group) => group.committed(&uncommitted).await?,
                None => BTreeMap::new(),
            };
            for partition in uncommitted {
                let assigned = self.assigned_mut(&partition)?;
                match committed.get(&partition) {
                    Some(committed) => {
                        assigned.position = Some(committed.offset);
                        assigned.leader_epoch = known(committed.leader_epoch);
                    }
                    None => {
                        assigned.position = assigned.origin;
                        assigned.must_reset = assigned.origin.is_none();
                    }
                }
            }
        }
        let to_reset: Vec<_> = self
            .assigned
            .iter()
            .filter(|(_, assigned)| assigned.position.is_none() && assigned.must_reset)
            .map(|(partition, _)| partition.clone())
            .collect();
        let Some(first) = to_reset.first() else { return Ok(()) };
        let spec = match self.config.reset {
            Reset::Earliest => OffsetSpec::Earliest,
            Reset::Latest => OffsetSpec::Latest,
            Reset::None => return Err(ConsumeError::NoOffset { partition: first.clone() }),
        };
        for (partition, offset) in self.offsets(&to_reset, spec).await? {
            let assigned = self.assigned_mut(&partition)?;
            assigned.position = Some(offset.unwrap_or(Offset::ZERO));
            assigned.origin = assigned.position;
            assigned.must_reset = false;
        }
        Ok(())
    }

    fn take_records(&mut self) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        let mut records = Vec::new();
        let mut set_aside = Vec::new();
        while let Some(mut buffered) = self.fetcher.buffered.pop_front() {
            let Some(assigned) = self.assigned.get_mut(&buffered.partition) else { continue };
            if assigned.is_paused {
                set_aside.push(buffered);
                continue;
            }
            let mut next = Ok(None);
            while records.len() < self.config.poll_records_max {
                next = buffered.next();
                match std::mem::replace(&mut next, Ok(None)) {
                    Ok(Some(record)) => records.push(record),
                    end => {
                        next = end;
                        break;
                    }
                }
            }
            assigned.position = Some(buffered.position);
            assigned.leader_epoch = buffered.leader_epoch.or(assigned.leader_epoch);
            if records.len() >= self.config.poll_records_max {
                self.fetcher.buffered.push_front(buffered);
                break;
            }
            if let Err(error) = next {
                // What came before the damage is returned first; the next fetch meets it again.
                if records.is_empty() {
                    return Err(error);
                }
                break;
            }
        }
        self.fetcher.buffered.extend(set_aside);
        Ok(records)
    }

    fn look_up_leaders(&mut self) {
        if self.stale.is_empty() || self.is_looking_up || self.client.now() < self.look_up_at {
            return;
        }
        self.is_looking_up = true;
        self.client.doubt();
        self.fetcher.look_up(self.stale.iter().cloned().collect());
    }

    fn looked_up(&mut self, answers: Result<Vec<TopicAnswer>, ClientError>) {
        self.is_looking_up = false;
        self.look_up_at = self.client.now() + self.client.config().retry_backoff;
        self.look_up_failure = answers.as_ref().err().cloned();
        for (name, answer) in answers.unwrap_or_default() {
            let is_led = |topic: &crate::Topic| {
                topic.partitions.iter().all(|partition| partition.leader.is_some())
            };
            if answer.is_ok_and(|topic| is_led(&topic)) {
                self.stale.remove(&name);
            }
        }
    }

    /// Asks the leaders of all partitions of which nothing is buffered.
    fn fetch(&mut self) {
        let now = self.client.now();
        let mut wants = Wants::new();
        for (partition, assigned) in &mut self.assigned {
            let Some(offset) = assigned.position.filter(|_| !assigned.is_paused) else { continue };
            if self.fetcher.holds(partition) || assigned.retry_at > now {
                continue;
            }
            let Some(led) = led(&self.client, partition) else {
                self.stale.insert(partition.topic.clone());
                continue;
            };
            if assigned.topic_id.replace(led.topic_id).is_some_and(|id| id != led.topic_id) {
                // Epochs of a topic that is gone say nothing of the one in its place.
                assigned.leader_epoch = None;
            }
            if assigned.is_past(led.leader_epoch) {
                self.stale.insert(partition.topic.clone());
                continue;
            }
            if assigned.must_validate(led.leader_epoch) {
                continue;
            }
            assigned.valid_in = Some(led.leader_epoch);
            let want = Want {
                topic_id: led.topic_id,
                offset,
                current_leader_epoch: led.leader_epoch,
                last_fetched_epoch: assigned.leader_epoch.unwrap_or(LeaderEpoch::NONE),
            };
            let source = assigned.source(led.leader, now);
            wants.entry(source).or_default().insert(partition.clone(), want);
        }
        wants.retain(|node, _| !self.fetcher.is_busy(*node, now));
        self.fetcher.fetch(&self.config, wants);
    }

    /// What would be committed now: the next record of each partition.
    pub fn positions(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let positions = self.assigned.iter().filter_map(|(partition, assigned)| {
            let leader_epoch = assigned.leader_epoch.unwrap_or(LeaderEpoch::NONE);
            let offset = assigned.position?;
            let committed = CommittedOffset { offset, leader_epoch, metadata: String::new() };
            Some((partition.clone(), committed))
        });
        positions.collect()
    }
}
