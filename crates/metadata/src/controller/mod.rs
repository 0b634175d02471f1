//! The active controller: decides what is written to the metadata log, one file per operation.
//!
//! A decision is a function of the latest image, uncommitted records included, and of what brokers
//! have said lately. It yields records and an answer; the records are applied at once, so that the
//! next decision sees them, and the answer is released when they have committed. An answer without
//! records waits for the records before it, because it may tell of them. When the leadership ends,
//! everything uncommitted is forgotten and whoever waits is told to ask again elsewhere.
//!
//! A driver is a loop: [`Controller::decide`], append the records at `next_offset` as one batch,
//! [`Controller::commit`] when the high watermark moves, publish [`Controller::committed`].

mod allocate_producer_ids;
mod alter_configs;
mod alter_partition;
mod alter_partition_reassignments;
mod assign_replicas_to_dirs;
mod assignment;
pub mod bootstrap;
mod broker_heartbeat;
mod broker_registration;
mod context;
mod controller_registration;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod elect_leaders;
mod heartbeats;
mod internal_topics;
mod list_partition_reassignments;
mod partition_change;
#[cfg(test)]
mod partition_change_tests;
mod placement;
mod random;
mod refused;
pub mod topic_name;
mod unregister_broker;
mod update_features;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use strandline_config::BrokerConfig;
use strandline_types::{
    BrokerEpoch, Bug, ErrorCode, Instant, LeaderEpoch, NodeId, Now, Offset, planted,
};
use strandline_wire::messages;

use crate::{Fault, FeatureRange, Image, MetadataVersion, Record, Records};
use context::Context;
use heartbeats::Heartbeats;

/// What a controller knows from its configuration.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    pub cluster_id: String,
    pub supported_features: Vec<FeatureRange>,
    /// What the format step prepared; written when the log names no `metadata.version`.
    pub bootstrap: Records,
    /// The node's own configuration: topics inherit from it.
    pub config: Arc<BrokerConfig>,
    /// `broker.session.timeout.ms`
    pub session_timeout: Duration,
    /// `leader.imbalance.check.interval.seconds`
    pub balance_interval: Duration,
    /// `auto.leader.rebalance.enable`
    pub balances_leaders: bool,
}

/// The caller's name for one request that waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

macro_rules! operations {
    ($($name:ident $request:ident $response:ident;)*) => {
        /// What can be asked of a controller.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Request {
            $($name(messages::$request),)*
        }

        /// What it answers, in the newest version.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Response {
            $($name(messages::$response),)*
        }

        $(impl From<messages::$request> for Request {
            fn from(request: messages::$request) -> Self {
                Self::$name(request)
            }
        }

        impl From<messages::$response> for Response {
            fn from(response: messages::$response) -> Self {
                Self::$name(response)
            }
        }

        impl TryFrom<Response> for messages::$response {
            type Error = Response;

            fn try_from(response: Response) -> Result<Self, Response> {
                match response {
                    Response::$name(response) => Ok(response),
                    other => Err(other),
                }
            }
        })*
    };
}

operations! {
    AllocateProducerIds AllocateProducerIdsRequest AllocateProducerIdsResponse;
    AlterConfigs AlterConfigsRequest AlterConfigsResponse;
    AlterPartition AlterPartitionRequest AlterPartitionResponse;
    AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
    AssignReplicasToDirs AssignReplicasToDirsRequest AssignReplicasToDirsResponse;
    BrokerHeartbeat BrokerHeartbeatRequest BrokerHeartbeatResponse;
    BrokerRegistration BrokerRegistrationRequest BrokerRegistrationResponse;
    ControllerRegistration ControllerRegistrationRequest ControllerRegistrationResponse;
    CreatePartitions CreatePartitionsRequest CreatePartitionsResponse;
    CreateTopics CreateTopicsRequest CreateTopicsResponse;
    DeleteTopics DeleteTopicsRequest DeleteTopicsResponse;
    ElectLeaders ElectLeadersRequest ElectLeadersResponse;
    IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
    ListPartitionReassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
    UnregisterBroker UnregisterBrokerRequest UnregisterBrokerResponse;
    UpdateFeatures UpdateFeaturesRequest UpdateFeaturesResponse;
}

/// Why a whole request is not served. Everything else is said inside the response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("this node is not the active controller")]
    NotController,
}

impl Refusal {
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NotController => ErrorCode::NOT_CONTROLLER,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Timer {
    /// A broker's session may have ended.
    Sessions,
    /// Nothing was written for a while.
    Idle,
    /// Leaderships may have drifted from the preferred replicas.
    Balance,
    /// There may be brokers for replicas that internal topics lack.
    InternalTopics,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    Request(Ticket, Request),
    Timer(Timer),
    /// The broker's process is gone for sure: its connections were reset, and its port refuses new
    /// ones. Whoever was wrong about it did no lasting harm: a heartbeat ends the fence as always.
    BrokerGone {
        broker: NodeId,
        epoch: BrokerEpoch,
    },
}

/// When and where a decision is made.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Now,
    /// The end of the log: where the records of this decision will stand.
    pub next_offset: Offset,
    /// Fresh randomness: ids and placements of this decision follow from it.
    pub seed: u128,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    Reply(Ticket, Result<Response, Refusal>),
    /// Replaces what was armed under the same timer.
    Arm(Timer, Instant),
    Cancel(Timer),
}

/// See the module text.
#[derive(Clone, Debug)]
pub struct Controller {
    settings: ControllerSettings,
    committed: Image,
    /// With what this controller has decided and the quorum has not yet committed.
    latest: Image,
    kraft_version: i16,
    leadership: Option<Leadership>,
}

/// What dies with a leadership.
#[derive(Clone, Debug)]
struct Leadership {
    epoch: LeaderEpoch,
    heartbeats: Heartbeats,
    /// What waits to commit, in the order of the log.
    pending: VecDeque<Pending>,
    /// When the timer of the sessions goes off.
    sessions_armed_at: Option<Instant>,
    last_append_at: Instant,
}

#[derive(Clone, Debug)]
struct Pending {
    last_offset: Offset,
    image: Image,
    replies: Vec<(Ticket, Response)>,
}

impl Controller {
    pub fn new(settings: ControllerSettings) -> Self {
        Self {
            settings,
            committed: Image::default(),
            latest: Image::default(),
            kraft_version: 0,
            leadership: None,
        }
    }

    /// The image that everybody may see. Cloning it is cheap.
    pub fn committed(&self) -> &Image {
        &self.committed
    }

    /// The version in which the records of the last decision are to be written.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.latest.features.metadata_version()
    }

    pub fn is_active(&self) -> bool {
        self.leadership.is_some()
    }

    /// The epoch in which this controller is active.
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        self.leadership.as_ref().map(|leadership| leadership.epoch)
    }

    /// The level of `kraft.version`, which stands in the quorum's own records.
    pub fn set_kraft_version(&mut self, level: i16) {
        self.kraft_version = level;
    }

    /// Begins anew from a snapshot that covers all offsets before `next_offset`.
    ///
    /// # Errors
    /// The snapshot contradicts itself.
    ///
    /// # Panics
    /// META-8: an active controller has everything that has committed.
    pub fn load(&mut self, snapshot: Records, next_offset: Offset) -> Result<(), Fault> {
        assert!(!self.is_active(), "META-8: a snapshot was loaded into an active controller");
        let last = next_offset - 1;
        let mut image = Image::default();
        for record in snapshot {
            image.apply(record, last)?;
        }
        image.offset = Some(last);
        self.latest = image.clone();
        self.committed = image;
        Ok(())
    }

    /// Takes in a committed batch that somebody else has written.
    ///
    /// # Errors
    /// The batch says what cannot be.
    ///
    /// # Panics
    /// META-8: an active controller wrote everything that commits in its epoch.
    pub fn replay(&mut self, base_offset: Offset, records: Records) -> Result<(), Fault> {
        assert!(!self.is_active(), "META-8: a batch was replayed into an active controller");
        for (record, index) in records.into_iter().zip(0..) {
            self.committed.apply(record, base_offset + index)?;
        }
        self.latest = self.committed.clone();
        Ok(())
    }

    /// Begins a leadership. Everything before `moment.next_offset` must have been replayed.
    /// `last_heard` says who led before, and when this node last heard that one.
    ///
    /// # Errors
    /// The bootstrap records are not such that a cluster can begin with them.
    pub fn lead(
        &mut self,
        moment: Moment,
        epoch: LeaderEpoch,
        last_heard: Option<(NodeId, Instant)>,
        effects: &mut Vec<Effect>,
    ) -> Result<Records, Fault> {
        let now = moment.now.instant;
        let ControllerSettings { session_timeout, .. } = self.settings;
        let own = self.settings.config.node_id;
        let mut heartbeats = Heartbeats::new(now, session_timeout, own, &self.latest.cluster);
        if let Some((id, at)) = last_heard {
            heartbeats.was_heard(now, id, at);
        }
        self.leadership = Some(Leadership {
            epoch,
            heartbeats,
            pending: VecDeque::new(),
            sessions_armed_at: None,
            last_append_at: now,
        });
        let mut records = Records::new();
        bootstrap::decide(&self.context(moment), &mut records);
        self.settle(moment, &records, None, effects)?;
        self.watch_internal_topics(moment, effects);
        effects.push(Effect::Arm(Timer::Balance, now + self.settings.balance_interval));
        if let Some(interval) = self.max_idle_interval() {
            effects.push(Effect::Arm(Timer::Idle, now + interval));
        }
        Ok(records)
    }

    /// Ends a leadership: forgets what has not committed.
    pub fn resign(&mut self, effects: &mut Vec<Effect>) {
        let Some(leadership) = self.leadership.take() else { return };
        self.latest = self.committed.clone();
        let waiting = leadership.pending.into_iter().flat_map(|pending| pending.replies);
        effects
            .extend(waiting.map(|(ticket, _)| Effect::Reply(ticket, Err(Refusal::NotController))));
        let timers = [Timer::Sessions, Timer::Idle, Timer::Balance, Timer::InternalTopics];
        effects.extend(timers.map(Effect::Cancel));
    }

    /// Answers a request or a timer. The records returned must be appended at
    /// `moment.next_offset` as one batch, before the next decision; if that fails, [`resign`].
    ///
    /// [`resign`]: Self::resign
    ///
    /// # Errors
    /// The decision broke an invariant; nothing may be appended and the process must stop.
    pub fn decide(
        &mut self,
        moment: Moment,
        input: Input,
        effects: &mut Vec<Effect>,
    ) -> Result<Records, Fault> {
        if self.leadership.is_none() {
            if let Input::Request(ticket, _) = input {
                effects.push(Effect::Reply(ticket, Err(Refusal::NotController)));
            }
            return Ok(Records::new());
        }
        let mut records = Records::new();
        let reply = match input {
            Input::Request(ticket, request) => {
                let beating = match &request {
                    Request::BrokerHeartbeat(beat) => Some(NodeId(beat.broker_id)),
                    _ => None,
                };
                let response = self.answer(moment, request, &mut records);
                if records.is_empty() && beating.is_some_and(|id| self.has_settled(id)) {
                    effects.push(Effect::Reply(ticket, Ok(response)));
                    None
                } else {
                    Some((ticket, response))
                }
            }
            Input::Timer(timer) => {
                self.tick(moment, timer, &mut records, effects);
                None
            }
            Input::BrokerGone { broker, epoch } => {
                self.fence_gone(moment, broker, epoch, &mut records);
                None
            }
        };
        if records.iter().any(alter_configs::concerns_elections) {
            effects.push(Effect::Arm(Timer::Balance, moment.now.instant));
        }
        self.settle(moment, &records, reply, effects)?;
        Ok(records)
    }

    /// Whether nothing that is still to commit is about this broker. Its heartbeat is answered then
    /// without a wait: brokers that beat only once a slow disk lets the controller commit would be
    /// taken for dead.
    fn has_settled(&self, id: NodeId) -> bool {
        self.committed.cluster.broker(id) == self.latest.cluster.broker(id)
    }

    /// Everything before `high_watermark` has committed: publishes it and releases its answers.
    pub fn commit(&mut self, high_watermark: Offset, effects: &mut Vec<Effect>) {
        let Some(leadership) = &mut self.leadership else { return };
        while let Some(first) = leadership.pending.front() {
            if first.last_offset >= high_watermark {
                break;
            }
            if let Some(pending) = leadership.pending.pop_front() {
                self.committed = pending.image;
                let replies = pending.replies.into_iter();
                effects.extend(replies.map(|(t, response)| Effect::Reply(t, Ok(response))));
            }
        }
    }

    /// After so long without a record a NoOp is written; never if it is none.
    fn max_idle_interval(&self) -> Option<Duration> {
        let millis = self.settings.config.metadata.max_idle_interval_ms?;
        Some(Duration::from_millis(millis.max(1) as u64))
    }

    fn context(&self, moment: Moment) -> Context<'_> {
        Context {
            settings: &self.settings,
            image: &self.latest,
            now: moment.now,
            next_offset: moment.next_offset,
            seed: moment.seed,
            kraft_version: self.kraft_version,
        }
    }

    fn answer(&mut self, moment: Moment, request: Request, records: &mut Records) -> Response {
        let cx = &Context {
            settings: &self.settings,
            image: &self.latest,
            now: moment.now,
            next_offset: moment.next_offset,
            seed: moment.seed,
            kraft_version: self.kraft_version,
        };
        let leadership = self.leadership.as_mut().expect("checked by decide");
        let heartbeats = &mut leadership.heartbeats;
        use {Request as Q, Response as R};
        match request {
            Q::AllocateProducerIds(q) => {
                R::AllocateProducerIds(allocate_producer_ids::decide(cx, q, records))
            }
            Q::AlterConfigs(q) => R::AlterConfigs(alter_configs::decide_replacing(cx, q, records)),
            Q::AlterPartition(q) => R::AlterPartition(alter_partition::decide(cx, q, records)),
            Q::AlterPartitionReassignments(q) => R::AlterPartitionReassignments(
                alter_partition_reassignments::decide(cx, q, records),
            ),
            Q::AssignReplicasToDirs(q) => {
                R::AssignReplicasToDirs(assign_replicas_to_dirs::decide(cx, q, records))
            }
            Q::BrokerHeartbeat(q) => {
                R::BrokerHeartbeat(broker_heartbeat::decide(cx, heartbeats, q, records))
            }
            Q::BrokerRegistration(q) => {
                R::BrokerRegistration(broker_registration::decide(cx, heartbeats, q, records))
            }
            Q::ControllerRegistration(q) => {
                R::ControllerRegistration(controller_registration::decide(cx, q, records))
            }
            Q::CreatePartitions(q) => {
                R::CreatePartitions(create_partitions::decide(cx, q, records))
            }
            Q::CreateTopics(q) => R::CreateTopics(create_topics::decide(cx, q, records)),
            Q::DeleteTopics(q) => R::DeleteTopics(delete_topics::decide(cx, q, records)),
            Q::ElectLeaders(q) => R::ElectLeaders(elect_leaders::decide(cx, q, records)),
            Q::IncrementalAlterConfigs(q) => {
                R::IncrementalAlterConfigs(alter_configs::decide_incremental(cx, q, records))
            }
            Q::ListPartitionReassignments(q) => {
                R::ListPartitionReassignments(list_partition_reassignments::decide(cx, q))
            }
            Q::UnregisterBroker(q) => {
                R::UnregisterBroker(unregister_broker::decide(cx, heartbeats, q, records))
            }
            Q::UpdateFeatures(q) => R::UpdateFeatures(update_features::decide(cx, q, records)),
        }
    }

    fn tick(
        &mut self,
        moment: Moment,
        timer: Timer,
        records: &mut Records,
        effects: &mut Vec<Effect>,
    ) {
        let now = moment.now.instant;
        match timer {
            Timer::Sessions => self.fence_expired(moment, records),
            Timer::Idle => {
                let Some(interval) = self.max_idle_interval() else { return };
                let last = self.leadership.as_ref().map_or(now, |l| l.last_append_at);
                if last + interval <= now {
                    records.push(Record::from(messages::NoOpRecord::default()));
                    effects.push(Effect::Arm(Timer::Idle, now + interval));
                } else {
                    effects.push(Effect::Arm(Timer::Idle, last + interval));
                }
            }
            Timer::Balance => {
                let preferred = self.settings.balances_leaders;
                let more = elect_leaders::balance(&self.context(moment), preferred, records);
                let wait = if more { Duration::ZERO } else { self.settings.balance_interval };
                effects.push(Effect::Arm(Timer::Balance, now + wait));
            }
            Timer::InternalTopics => internal_topics::grow(&self.context(moment), records),
        }
    }

    /// One broker at a time, so that the next decision knows who is left.
    fn fence_expired(&mut self, moment: Moment, records: &mut Records) {
        let Some(leadership) = &mut self.leadership else { return };
        leadership.sessions_armed_at = None;
        if let Some(id) = leadership.heartbeats.expired(moment.now.instant) {
            self.end_session(moment, id, records);
        }
    }

    /// Not another incarnation: it may have come since.
    fn fence_gone(
        &mut self,
        moment: Moment,
        id: NodeId,
        epoch: BrokerEpoch,
        records: &mut Records,
    ) {
        if self.latest.cluster.broker(id).is_some_and(|broker| broker.epoch() == epoch) {
            self.end_session(moment, id, records);
        }
    }

    fn end_session(&mut self, moment: Moment, id: NodeId, records: &mut Records) {
        let Some(leadership) = &mut self.leadership else { return };
        leadership.heartbeats.fence(id);
        let cx = self.context(moment);
        if let Some(broker) = cx.image.cluster.broker(id).filter(|broker| !broker.is_fenced()) {
            broker_heartbeat::fence(&cx, broker, records);
        }
    }

    /// Applies what was decided, and holds the answer back until it has committed.
    fn settle(
        &mut self,
        moment: Moment,
        records: &Records,
        reply: Option<(Ticket, Response)>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        for (record, index) in records.iter().zip(0..) {
            self.latest.apply(record.clone(), moment.next_offset + index)?;
        }
        let Some(leadership) = &mut self.leadership else { return Ok(()) };
        if let Some(count) = i64::try_from(records.len()).ok().filter(|count| *count > 0) {
            leadership.last_append_at = moment.now.instant;
            leadership.pending.push_back(Pending {
                last_offset: moment.next_offset + count - 1,
                image: self.latest.clone(),
                replies: Vec::new(),
            });
        }
        if let Some((ticket, response)) = reply {
            match leadership.pending.back_mut() {
                Some(pending) if !planted(Bug::ControllerAnswersEarly) => {
                    pending.replies.push((ticket, response))
                }
                _ => effects.push(Effect::Reply(ticket, Ok(response))),
            }
        }
        // Heartbeats only move deadlines back: the timer that is armed finds out by itself.
        let deadline = leadership.heartbeats.next_deadline();
        let armed = leadership.sessions_armed_at;
        if let Some(at) = deadline.filter(|at| armed.is_none_or(|armed| *at < armed)) {
            leadership.sessions_armed_at = Some(at);
            effects.push(Effect::Arm(Timer::Sessions, at));
        }
        if records.iter().any(internal_topics::concerned) {
            self.watch_internal_topics(moment, effects);
        }
        Ok(())
    }

    fn watch_internal_topics(&self, moment: Moment, effects: &mut Vec<Effect>) {
        if internal_topics::are_short(&self.context(moment)) {
            let at = moment.now.instant + internal_topics::DELAY;
            effects.push(Effect::Arm(Timer::InternalTopics, at));
        }
    }
}
