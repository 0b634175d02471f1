//! The task that keeps a member in its group: join, sync, heartbeats, leave (the classic protocol).
//!
//! It runs beside the polls, so that a slow reader stays a member. What concerns the reader (give
//! up, take over) waits for its next poll: see [`Membership::turn`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_ports::{Lane, timeout};
use strandline_types::{ErrorCode, Instant, PartitionId, TopicPartition};
use strandline_wire::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, Request, SyncGroupRequest, consumer_protocol_assignment,
    consumer_protocol_subscription, decode_forward, encode_prefixed,
    join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
    sync_group_request::SyncGroupRequestAssignment,
};
use tokio::sync::Notify;

use super::assignor::{Assignor, Member, PartitionCounts};
use super::error::ConsumeError;
use super::group::GroupConfig;
use crate::admin::offsets::Committer;
use crate::cluster::{Channel, Client};
use crate::error::{ClientError, Refusal};
use crate::sync::lock;

const PROTOCOL_TYPE: &str = "consumer";
/// The newest of Kafka 4.3; members with older ones skip what they do not know.
const SUBSCRIPTION_VERSION: i16 = 3;
const ASSIGNMENT_VERSION: i16 = 3;
/// A join is parked until all members have joined; the broker's own limit comes first.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// What the reader must do next.
pub(super) enum Turn {
    /// A rebalance is coming: give up what must be, then join.
    Prepare,
    /// The membership ended behind our back.
    Lost,
    Assigned(Vec<TopicPartition>),
}

pub(super) struct Membership {
    client: Client,
    config: GroupConfig,
    topics: BTreeSet<String>,
    /// JoinGroup is parked: it must hold back nobody else.
    channel: Channel,
    state: Mutex<State>,
    /// Something for the task.
    to_task: Notify,
    /// Something for the reader.
    to_reader: Notify,
    has_left: Notify,
}

struct State {
    phase: Phase,
    member_id: String,
    generation_id: i32,
    /// Of the assignment that the reader took last. Until the next one the reader works on it,
    /// though a rebalance may have begun a later generation.
    assigned_generation: Option<i32>,
    /// What was owned when the join began.
    owned: Vec<TopicPartition>,
    last_poll_at: Instant,
    failure: Option<ConsumeError>,
    /// As the leader: the partitions that the assignment was made of.
    counts: Option<PartitionCounts>,
    /// Why the last call got no answer.
    trouble: Option<ClientError>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// The reader must give up and say so.
    Preparing {
        is_lost: bool,
    },
    Joining,
    /// The reader has not seen the assignment yet.
    Assigned(Vec<TopicPartition>),
    Stable,
    Leaving,
    Left,
}

impl Membership {
    pub(super) fn start(
        client: Client,
        config: GroupConfig,
        topics: BTreeSet<String>,
    ) -> Arc<Self> {
        let state = State {
            phase: Phase::Preparing { is_lost: false },
            member_id: String::new(),
            generation_id: -1,
            assigned_generation: None,
            owned: Vec::new(),
            last_poll_at: client.now(),
            failure: None,
            counts: None,
            trouble: None,
        };
        let membership = Arc::new(Self {
            channel: client.new_channel(),
            client,
            config,
            topics,
            state: Mutex::new(state),
            to_task: Notify::new(),
            to_reader: Notify::new(),
            has_left: Notify::new(),
        });
        let spawn = Arc::clone(&membership.client.world().spawn);
        spawn.spawn(Lane::Data, Box::pin(run(Arc::clone(&membership))));
        membership
    }

    /// What the reader must do, if anything.
    pub(super) fn turn(&self) -> Result<Option<Turn>, ConsumeError> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        Ok(match state.phase.clone() {
            Phase::Preparing { is_lost: false } => Some(Turn::Prepare),
            Phase::Preparing { is_lost: true } => Some(Turn::Lost),
            Phase::Assigned(partitions) => {
                state.phase = Phase::Stable;
                state.assigned_generation = Some(state.generation_id);
                Some(Turn::Assigned(partitions))
            }
            Phase::Joining | Phase::Stable | Phase::Leaving | Phase::Left => None,
        })
    }

    /// The reader is ready for a rebalance and still owns `owned`.
    pub(super) fn join(&self, owned: Vec<TopicPartition>) {
        let mut state = lock(&self.state);
        if !matches!(state.phase, Phase::Leaving | Phase::Left) {
            state.phase = Phase::Joining;
            state.owned = owned;
        }
        drop(state);
        self.to_task.notify_one();
    }

    pub(super) fn polled(&self, now: Instant) {
        lock(&self.state).last_poll_at = now;
    }

    pub(super) fn leave(&self) {
        lock(&self.state).phase = Phase::Leaving;
        self.to_task.notify_one();
    }

    pub(super) async fn left(&self) {
        let left = self.has_left.notified();
        if lock(&self.state).phase != Phase::Left {
            left.await;
        }
    }

    pub(super) async fn changed(&self) {
        self.to_reader.notified().await;
    }

    pub(super) fn committer(&self) -> Committer {
        let state = lock(&self.state);
        Committer {
            generation_id: state.generation_id,
            member_id: state.member_id.clone(),
            instance_id: self.config.instance_id.clone(),
        }
    }

    /// As a member of the generation that gave it what it owns.
    pub(super) fn assigned(&self) -> Option<Committer> {
        let state = lock(&self.state);
        Some(Committer {
            generation_id: state.assigned_generation?,
            member_id: state.member_id.clone(),
            instance_id: self.config.instance_id.clone(),
        })
    }

    pub(super) fn assigned_generation(&self) -> Option<i32> {
        lock(&self.state).assigned_generation
    }

    /// As the leader soon again, while a topic is missing: one that has just been created shows up
    /// a moment later.
    fn next_look_at_topics(&self) -> Instant {
        let config = self.client.config();
        let state = lock(&self.state);
        let is_missing =
            |topic: &String| state.counts.as_ref().is_some_and(|c| !c.contains_key(topic));
        let wait = match self.topics.iter().any(is_missing) {
            true => config.retry_backoff_max,
            false => config.metadata_max_age,
        };
        self.client.now() + wait
    }

    fn phase(&self) -> Phase {
        lock(&self.state).phase.clone()
    }

    /// A change that the task makes is dropped once the reader has asked to leave.
    fn enter(&self, phase: Phase) {
        let mut state = lock(&self.state);
        if state.phase != Phase::Leaving {
            state.phase = phase;
        }
        drop(state);
        self.to_reader.notify_one();
    }

    fn refused(&self, code: ErrorCode) -> ClientError {
        ClientError::refused(format!("group {}", self.config.id), code)
    }

    pub(super) fn trouble(&self) -> Option<ClientError> {
        lock(&self.state).trouble.clone()
    }

    async fn call<R: Request>(
        &self,
        request: R,
        within: Duration,
    ) -> Result<R::Response, ClientError> {
        let result = self.try_to_call(request, within).await;
        let unanswered = result.as_ref().err().filter(|e| matches!(e, ClientError::Call(_)));
        lock(&self.state).trouble = unanswered.cloned();
        result
    }

    async fn try_to_call<R: Request>(
        &self,
        request: R,
        within: Duration,
    ) -> Result<R::Response, ClientError> {
        let node = self.client.coordinator_once(&self.config.id).await?;
        let connection = self.client.connection(node, self.channel).await?;
        Ok(connection.start(|_| request, i16::MAX, within)?.receive().await?)
    }

    /// A call that the coordinator answers once all members are there, which may take as long as
    /// they may. `None` when the reader does not want to wait for them any more.
    async fn call_with_others<R: Request>(
        &self,
        request: R,
    ) -> Result<Option<R::Response>, ClientError> {
        let within = self.config.max_poll_interval + JOIN_GRACE;
        tokio::select! {
            biased;
            answer = self.call(request, within) => answer.map(Some),
            () = self.leaving() => Ok(None),
        }
    }

    async fn leaving(&self) {
        while self.phase() != Phase::Leaving {
            self.to_task.notified().await;
        }
    }

    async fn pause(&self, wait: Duration) {
        let deadline = self.client.now() + wait;
        // Woken or timed out: the phase says what to do.
        let _ = timeout(&**self.client.clock(), deadline, self.to_task.notified()).await;
    }

    /// What an answer's code means for the membership. `true` when all is well.
    fn heed(&self, code: ErrorCode) -> bool {
        match code {
            ErrorCode::NONE => return true,
            ErrorCode::REBALANCE_IN_PROGRESS => self.enter(Phase::Preparing { is_lost: false }),
            ErrorCode::ILLEGAL_GENERATION => {
                lock(&self.state).generation_id = -1;
                self.enter(Phase::Preparing { is_lost: true });
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                let mut state = lock(&self.state);
                (state.generation_id, state.member_id) = (-1, String::new());
                drop(state);
                self.enter(Phase::Preparing { is_lost: true });
            }
            code if code.is_retriable() => self.client.forget_coordinator(&self.config.id),
            code => self.fail(code.into()),
        }
        false
    }

    fn fail(&self, refusal: Refusal) {
        let group = self.config.id.clone();
        let mut state = lock(&self.state);
        state.failure = Some(ConsumeError::Group { group, refusal });
        // The broker has already forgotten this member, or never knew it.
        state.member_id = String::new();
        state.phase = Phase::Leaving;
        drop(state);
        self.to_reader.notify_one();
    }
}

async fn run(this: Arc<Membership>) {
    let mut look_at_topics_at = Instant::NEVER;
    loop {
        match this.phase() {
            Phase::Leaving => break,
            Phase::Left => return,
            Phase::Joining => {
                if let Err(error) = join_and_sync(&this).await {
                    tracing::debug!(%error, "joining again");
                    this.client.forget_coordinator(&this.config.id);
                    this.pause(this.client.config().retry_backoff).await;
                }
                look_at_topics_at = this.next_look_at_topics();
            }
            Phase::Preparing { .. } | Phase::Assigned(_) | Phase::Stable => {
                this.pause(this.config.heartbeat_interval).await;
                if matches!(this.phase(), Phase::Joining | Phase::Leaving) {
                    continue;
                }
                heartbeat(&this).await;
                if this.client.now() >= look_at_topics_at {
                    look_at_topics(&this).await;
                    look_at_topics_at = this.next_look_at_topics();
                }
            }
        }
    }
    leave(&this).await;
    lock(&this.state).phase = Phase::Left;
    this.has_left.notify_one();
}

async fn heartbeat(this: &Membership) {
    let (committer, last_poll_at) = (this.committer(), lock(&this.state).last_poll_at);
    if committer.generation_id < 0 {
        return;
    }
    if this.client.now().since(last_poll_at) > this.config.max_poll_interval {
        tracing::warn!(group = %this.config.id, "no poll for max_poll_interval: leaving the group");
        leave(this).await;
        let mut state = lock(&this.state);
        (state.generation_id, state.member_id) = (-1, String::new());
        drop(state);
        return this.enter(Phase::Preparing { is_lost: true });
    }
    let request = HeartbeatRequest {
        group_id: this.config.id.clone(),
        generation_id: committer.generation_id,
        member_id: committer.member_id,
        group_instance_id: committer.instance_id,
        ..Default::default()
    };
    let before = this.phase();
    match this.call(request, this.config.session_timeout).await {
        // While the reader prepares, that a rebalance goes on is no news; nor is it, when the
        // reader has joined meanwhile.
        Ok(answer)
            if answer.error_code == ErrorCode::REBALANCE_IN_PROGRESS
                && (matches!(before, Phase::Preparing { .. })
                    || this.phase() == Phase::Joining) => {}
        Ok(answer) => drop(this.heed(answer.error_code)),
        Err(error) => {
            tracing::debug!(%error, "heartbeat failed");
            this.client.forget_coordinator(&this.config.id);
        }
    }
}

/// The leader's duty: when topics have grown, the group must share the new partitions.
async fn look_at_topics(this: &Membership) {
    let Some(counts) = lock(&this.state).counts.clone() else { return };
    let topics: Vec<String> = this.topics.iter().cloned().collect();
    let Ok(now) = partition_counts(&this.client, &topics).await else { return };
    if now.iter().any(|(topic, count)| counts.get(topic) != Some(count))
        && this.phase() == Phase::Stable
    {
        this.enter(Phase::Preparing { is_lost: false });
    }
}

async fn leave(this: &Membership) {
    let committer = this.committer();
    // A static member keeps its place until its session ends.
    if committer.member_id.is_empty() || this.config.instance_id.is_some() {
        return;
    }
    let Ok(node) = this.client.coordinator_once(&this.config.id).await else { return };
    let (group, member) = (&this.config.id, &committer.member_id);
    let request = |version| match version {
        3.. => LeaveGroupRequest {
            group_id: group.clone(),
            members: vec![MemberIdentity { member_id: member.clone(), ..Default::default() }],
            ..Default::default()
        },
        _ => LeaveGroupRequest {
            group_id: group.clone(),
            member_id: member.clone(),
            ..Default::default()
        },
    };
    if let Err(error) = this.client.call_node_once(node, Channel::SHARED, request).await {
        tracing::debug!(%error, "leaving the group failed; its session will run out");
    }
}

async fn join_and_sync(this: &Membership) -> Result<(), ClientError> {
    let joined = join(this).await?;
    let Some(joined) = joined else { return Ok(()) };
    let is_leader = joined.leader == joined.member_id && !joined.skip_assignment;
    let assignments = match is_leader {
        true => assign(this, &joined).await?,
        false => {
            lock(&this.state).counts = None;
            Vec::new()
        }
    };
    let request = SyncGroupRequest {
        group_id: this.config.id.clone(),
        generation_id: joined.generation_id,
        member_id: joined.member_id,
        group_instance_id: this.config.instance_id.clone(),
        protocol_type: Some(PROTOCOL_TYPE.into()),
        protocol_name: joined.protocol_name,
        assignments,
        ..Default::default()
    };
    let Some(answer) = this.call_with_others(request).await? else { return Ok(()) };
    match answer.error_code {
        // Somebody came or went meanwhile: all join again.
        ErrorCode::REBALANCE_IN_PROGRESS => return Ok(()),
        code if code.is_retriable() => return Err(this.refused(code)),
        code if !this.heed(code) => return Ok(()),
        _ => {}
    }
    let assignment = match answer.assignment.is_empty() {
        true => ConsumerProtocolAssignment::default(),
        false => decode_forward::<ConsumerProtocolAssignment>(&answer.assignment)
            .map_err(|_| this.refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL))?,
    };
    let partitions = assignment.assigned_partitions.into_iter().flat_map(|topic| {
        let of_topic = move |index: i32| TopicPartition {
            topic: topic.topic.clone(),
            partition: PartitionId(index),
        };
        topic.partitions.into_iter().map(of_topic).collect::<Vec<_>>()
    });
    this.enter(Phase::Assigned(partitions.collect()));
    Ok(())
}

/// `None` when the answer has changed the phase.
async fn join(this: &Membership) -> Result<Option<JoinGroupResponse>, ClientError> {
    loop {
        let answer = this.call_with_others(join_request(this)).await?;
        let Some(answer) = answer else { return Ok(None) };
        match answer.error_code {
            ErrorCode::NONE => {
                let mut state = lock(&this.state);
                state.member_id.clone_from(&answer.member_id);
                state.generation_id = answer.generation_id;
                return Ok(Some(answer));
            }
            // The broker hands out an id, so that it need not remember who never comes back.
            ErrorCode::MEMBER_ID_REQUIRED => lock(&this.state).member_id = answer.member_id,
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                let mut state = lock(&this.state);
                (state.generation_id, state.member_id) = (-1, String::new());
            }
            code if code.is_retriable() || code == ErrorCode::REBALANCE_IN_PROGRESS => {
                return Err(this.refused(code));
            }
            code => {
                this.fail(code.into());
                return Ok(None);
            }
        }
        if this.phase() == Phase::Leaving {
            return Ok(None);
        }
    }
}

fn join_request(this: &Membership) -> JoinGroupRequest {
    let state = lock(&this.state);
    let mut owned: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &state.owned {
        owned.entry(&partition.topic).or_default().push(partition.partition.get());
    }
    let subscription = ConsumerProtocolSubscription {
        topics: this.topics.iter().cloned().collect(),
        owned_partitions: owned
            .into_iter()
            .map(|(topic, partitions)| consumer_protocol_subscription::TopicPartition {
                topic: topic.to_owned(),
                partitions,
            })
            .collect(),
        generation_id: state.generation_id,
        ..Default::default()
    };
    let metadata = encode_prefixed(&subscription, SUBSCRIPTION_VERSION).unwrap_or_default();
    let millis = |wait: Duration| i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    JoinGroupRequest {
        group_id: this.config.id.clone(),
        session_timeout_ms: millis(this.config.session_timeout),
        rebalance_timeout_ms: millis(this.config.max_poll_interval),
        member_id: state.member_id.clone(),
        group_instance_id: this.config.instance_id.clone(),
        protocol_type: PROTOCOL_TYPE.into(),
        protocols: this
            .config
            .assignors
            .iter()
            .map(|assignor| JoinGroupRequestProtocol {
                name: assignor.name().into(),
                metadata: metadata.clone(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// The leader's decision, in the bytes that every member understands.
async fn assign(
    this: &Membership,
    joined: &JoinGroupResponse,
) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
    let inconsistent = || this.refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    let name = joined.protocol_name.as_deref().unwrap_or_default();
    let assignor = Assignor::from_name(name).ok_or_else(inconsistent)?;
    let mut members = Vec::with_capacity(joined.members.len());
    for member in &joined.members {
        let subscription = decode_forward::<ConsumerProtocolSubscription>(&member.metadata)
            .map_err(|_| inconsistent())?;
        let (id, instance_id) = (member.member_id.clone(), member.group_instance_id.clone());
        members.push(member_of(id, instance_id, subscription));
    }
    let topics: BTreeSet<String> = members.iter().flat_map(|m| m.topics.iter().cloned()).collect();
    let topics: Vec<String> = topics.into_iter().collect();
    let counts = partition_counts(&this.client, &topics).await?;
    let assignments = assignor.assign(&members, &counts);
    lock(&this.state).counts = Some(counts);
    let encode = |(member_id, partitions): (String, Vec<TopicPartition>)| {
        let assignment = encode_assignment(&partitions).map_err(|_| inconsistent())?;
        Ok(SyncGroupRequestAssignment { member_id, assignment, ..Default::default() })
    };
    assignments.into_iter().map(encode).collect()
}

fn member_of(
    id: String,
    instance_id: Option<String>,
    subscription: ConsumerProtocolSubscription,
) -> Member {
    let owned = subscription.owned_partitions.into_iter().flat_map(|topic| {
        let of_topic = move |index: i32| TopicPartition {
            topic: topic.topic.clone(),
            partition: PartitionId(index),
        };
        topic.partitions.into_iter().map(of_topic).collect::<Vec<_>>()
    });
    Member {
        id,
        instance_id,
        topics: subscription.topics.into_iter().collect(),
        owned: owned.collect(),
        generation: subscription.generation_id,
    }
}

fn encode_assignment(
    partitions: &[TopicPartition],
) -> Result<bytes::Bytes, strandline_wire::EncodeError> {
    let by_topic = crate::admin::offsets::by_topic(partitions).into_iter();
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: by_topic
            .map(|(topic, indexes)| consumer_protocol_assignment::TopicPartition {
                topic: topic.to_owned(),
                partitions: indexes.into_iter().map(PartitionId::get).collect(),
            })
            .collect(),
        ..Default::default()
    };
    encode_prefixed(&assignment, ASSIGNMENT_VERSION)
}

async fn partition_counts(
    client: &Client,
    topics: &[String],
) -> Result<PartitionCounts, ClientError> {
    let answers = client.refresh(Some(topics), true).await?;
    let known = answers.into_iter().filter_map(|(name, answer)| {
        Some((name, i32::try_from(answer.ok()?.partitions.len()).ok()?))
    });
    Ok(known.collect())
}
