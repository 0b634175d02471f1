//! The shell around one shard.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use strandline_coordinator::{
    Caller, Effect, Input, Moment, Record, Request, Response, Settings, Shard, Ticket, encode,
};
use strandline_log::Origin;
use strandline_ports::{Lane, timeout};
use strandline_replica::{ProduceRefusal, RequiredAcks, View};
use strandline_types::{Bug, ErrorCode, Instant, LeaderEpoch, Now, TopicIdPartition, planted};
use strandline_wire::EncodeError;
use strandline_wire::records::{
    BatchBuilder, BatchOptions, BatchRefusal, InspectLimits, InspectedBatch, NewRecord, inspect,
};
use tokio::sync::oneshot;

use super::Groups;
use super::timers::Timers;
use crate::driver::partition::{Ordered, Partition};

/// How long a leadership is waited for that the metadata have announced, before it is looked for again.
const LEADERSHIP_PAUSE: Duration = Duration::from_millis(5);

type Answer = Result<Response, ErrorCode>;

/// One partition of `__consumer_offsets` for as long as this node leads it.
pub(super) struct ShardDriver {
    groups: Groups,
    partition: Arc<Partition>,
    leader_epoch: LeaderEpoch,
    settings: Settings,
    state: Mutex<State>,
}

enum State {
    Loading,
    Active(Box<Active>),
    /// No longer led, or the log cannot be used.
    Gone,
}

struct Active {
    shard: Shard,
    timers: Timers,
    waiting: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    releases: VecDeque<Release>,
    is_releasing: bool,
}

/// Answers of one decision, and the append that they wait for.
struct Release {
    append: Option<Ordered>,
    answers: Vec<(oneshot::Sender<Answer>, Response)>,
}

/// Why decided records cannot be appended.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Batch(#[from] BatchRefusal),
}

impl ShardDriver {
    pub(super) fn new(
        groups: Groups,
        partition: Arc<Partition>,
        leader_epoch: LeaderEpoch,
        settings: Settings,
    ) -> Arc<Self> {
        let state = Mutex::new(State::Loading);
        Arc::new(Self { groups, partition, leader_epoch, settings, state })
    }

    pub(super) fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    fn id(&self) -> TopicIdPartition {
        self.partition.id()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.groups.0.world.clock.now()
    }

    /// Reads the log; requests are told to come back meanwhile.
    pub(super) async fn load(self: Arc<Self>) {
        if !self.comes_to_lead().await {
            *self.lock() = State::Gone;
            return;
        }
        let began = self.now().instant;
        let loaded = super::load::replay(&self.partition, self.settings.clone()).await;
        let name = self.partition.name();
        match loaded {
            Ok(shard) => {
                let took = self.now().instant.since(began);
                tracing::debug!(partition = %name, ?took, "group coordinator loaded");
                self.activate(shard);
            }
            Err(error) => {
                tracing::error!(partition = %name, %error, "cannot coordinate its groups");
                *self.lock() = State::Gone;
            }
        }
    }

    /// Waits until the replica leads in this shard's epoch. A replica that is cutting its log when the
    /// metadata name it leader begins when that is done; its shard, given up before, would be nowhere
    /// until the next election. False when it can no longer come to lead in that epoch.
    async fn comes_to_lead(&self) -> bool {
        loop {
            let view = self.partition.view();
            let is_wanted = matches!(*self.lock(), State::Loading);
            if !is_wanted || !self.may_lead(&view) {
                return false;
            }
            if view.leader_epoch == self.leader_epoch {
                return view.is_leader;
            }
            self.groups.0.world.clock.sleep(LEADERSHIP_PAUSE).await;
        }
    }

    fn may_lead(&self, view: &View) -> bool {
        !view.is_offline && view.leader_epoch <= self.leader_epoch
    }

    fn activate(self: &Arc<Self>, shard: Shard) {
        let mut state = self.lock();
        if !matches!(*state, State::Loading) {
            return;
        }
        let mut active = Box::new(Active {
            shard,
            timers: Timers::default(),
            waiting: BTreeMap::new(),
            releases: VecDeque::new(),
            is_releasing: false,
        });
        let moment = self.moment();
        let mut effects = Vec::new();
        let records = active.shard.lead(moment, &mut effects);
        self.obey(&mut active, moment, records, effects);
        let releases = active.begin_releasing();
        *state = State::Active(active);
        drop(state);
        self.release(releases);
    }

    /// Decides a request and waits for its answer.
    pub(super) async fn submit(self: Arc<Self>, caller: Caller, request: Request) -> Answer {
        let answer = {
            let mut state = self.lock();
            let active = match &mut *state {
                State::Active(active) => active,
                State::Loading => return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
                State::Gone => return Err(ErrorCode::NOT_COORDINATOR),
            };
            let (sender, answer) = oneshot::channel();
            let ticket = self.groups.0.new_ticket();
            active.waiting.insert(ticket, sender);
            self.decide(active, Input::Request(ticket, caller, request));
            let releases = active.begin_releasing();
            drop(state);
            self.release(releases);
            answer
        };
        answer.await.unwrap_or(Err(ErrorCode::NOT_COORDINATOR))
    }

    /// Something to decide that nobody waits for.
    pub(super) fn tell(self: &Arc<Self>, input: Input) {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return };
        self.decide(active, input);
        let releases = active.begin_releasing();
        drop(state);
        self.release(releases);
    }

    /// Decides what is due.
    pub(super) fn fire(self: &Arc<Self>, now: Instant) {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return };
        while let Some(timer) = active.timers.pop_due(now) {
            self.decide(active, Input::Timer(timer));
        }
        self.groups.set_alarm(self.id(), active.timers.earliest());
        let releases = active.begin_releasing();
        drop(state);
        self.release(releases);
    }

    /// This node no longer leads the partition: whoever waits must ask the new leader.
    pub(super) fn resign(&self) {
        *self.lock() = State::Gone;
    }

    fn moment(&self) -> Moment {
        let entropy = &self.groups.0.world.entropy;
        let [high, low] = [(); 2].map(|()| u128::from(entropy.next_u64()));
        let record_bytes_max = self.partition.with_log(|log| log.config().max_message_bytes);
        Moment {
            now: self.now(),
            seed: (high << 64) | low,
            record_bytes_max: record_bytes_max as usize,
        }
    }

    fn decide(&self, active: &mut Active, input: Input) {
        let moment = self.moment();
        let mut effects = Vec::new();
        let records = active.shard.decide(moment, input, &mut effects);
        self.obey(active, moment, records, effects);
    }

    fn obey(
        &self,
        active: &mut Active,
        moment: Moment,
        records: Vec<Record>,
        effects: Vec<Effect>,
    ) {
        let mut answers = Vec::new();
        let mut timers_changed = false;
        for effect in effects {
            match effect {
                Effect::Reply(ticket, response) => {
                    let waiting = active.waiting.remove(&ticket);
                    answers.extend(waiting.map(|sender| (sender, response)));
                }
                Effect::Arm(timer, at) => {
                    active.timers.arm(timer, at);
                    timers_changed = true;
                }
                Effect::Cancel(timer) => {
                    active.timers.cancel(&timer);
                    timers_changed = true;
                }
            }
        }
        if timers_changed {
            self.groups.set_alarm(self.id(), active.timers.earliest());
        }
        let append = (!records.is_empty()).then(|| self.append(moment, &records));
        if planted(Bug::CommitAnsweredEarly) {
            answers.drain(..).for_each(|(sender, response)| send(sender, Ok(response)));
        }
        if append.is_none() && active.releases.is_empty() && !active.is_releasing {
            answers.into_iter().for_each(|(sender, response)| send(sender, Ok(response)));
        } else {
            active.releases.push_back(Release { append, answers });
        }
    }

    /// Gives the records their places in the log.
    fn append(&self, moment: Moment, records: &[Record]) -> Ordered {
        let batches = self.batches(moment, records).unwrap_or_else(|error| {
            tracing::error!(partition = %self.partition.name(), %error, "cannot write records");
            // An append of nothing is refused: the shard is loaded again without them.
            Vec::new()
        });
        self.partition.produce(moment.now, batches, RequiredAcks::All, Origin::Coordinator)
    }

    /// As few batches as `max.message.bytes` allows.
    fn batches(
        &self,
        moment: Moment,
        records: &[Record],
    ) -> Result<Vec<InspectedBatch>, WriteError> {
        let options = BatchOptions {
            compression: self.groups.0.compression.into(),
            ..BatchOptions::default()
        };
        let mut finished = Vec::new();
        let mut batch = BatchBuilder::new(options);
        for record in records {
            let (key, value) = encode(record)?;
            let record = NewRecord {
                timestamp: moment.now.timestamp,
                key: Some(&key),
                value: value.as_deref(),
                headers: &[],
            };
            if !batch.fits(&record, moment.record_bytes_max) {
                finished.push(std::mem::replace(&mut batch, BatchBuilder::new(options)));
            }
            // One batch never holds more than a request asked for.
            if batch.append(&record).is_err() {
                return Err(BatchRefusal::NoBatch.into());
            }
        }
        finished.push(batch);
        let limits = InspectLimits::default();
        let inspected = finished.into_iter().map(|batch| Ok(inspect(batch.build(), &limits)?));
        inspected.collect()
    }

    /// Releases answers, at once as far as nothing has to be waited for, then on a task.
    fn release(self: &Arc<Self>, is_needed: bool) {
        if !is_needed {
            return;
        }
        let releasing = Arc::clone(self).release_all();
        let mut releasing: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(releasing);
        let mut nobody = Context::from_waker(Waker::noop());
        if releasing.as_mut().poll(&mut nobody).is_pending() {
            self.groups.0.world.spawn.spawn(Lane::Data, releasing);
        }
    }

    async fn release_all(self: Arc<Self>) {
        // After an append that has not committed in time, nothing is answered until a later one
        // has: what the answers tell might still be lost.
        let mut is_behind = false;
        loop {
            let next = match &mut *self.lock() {
                State::Active(active) => {
                    let next = active.releases.pop_front();
                    active.is_releasing = next.is_some();
                    next
                }
                State::Loading | State::Gone => None,
            };
            let Some(Release { append, answers }) = next else { return };
            if let Some(append) = append {
                match self.committed(append).await {
                    Ok(()) => is_behind = false,
                    Err(ErrorCode::REQUEST_TIMED_OUT) => is_behind = true,
                    Err(code) => {
                        let code = answer_for(code);
                        answers.into_iter().for_each(|(sender, _)| send(sender, Err(code)));
                        self.start_over(code);
                        return;
                    }
                }
            }
            let behind = answer_for(ErrorCode::REQUEST_TIMED_OUT);
            for (sender, response) in answers {
                send(sender, if is_behind { Err(behind) } else { Ok(response) });
            }
        }
    }

    async fn committed(&self, append: Ordered) -> Result<(), ErrorCode> {
        let clock = &self.groups.0.world.clock;
        let deadline = clock.now().instant + self.groups.0.commit_timeout;
        match timeout(&**clock, deadline, append.answered()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refusal)) => Err(self.refused(&refusal)),
            Err(_) => Err(ErrorCode::REQUEST_TIMED_OUT),
        }
    }

    fn refused(&self, refusal: &ProduceRefusal) -> ErrorCode {
        tracing::warn!(partition = %self.partition.name(), %refusal, "group records were not written");
        refusal.code()
    }

    /// The state is ahead of the log, and nobody has been told: whatever waits is refused, and the
    /// log is read again.
    fn start_over(self: &Arc<Self>, code: ErrorCode) {
        let former = {
            let mut state = self.lock();
            match &*state {
                State::Active(_) => std::mem::replace(&mut *state, State::Loading),
                State::Loading | State::Gone => return,
            }
        };
        if let State::Active(active) = former {
            let released = active.releases.into_iter().flat_map(|release| release.answers);
            let refused = active.waiting.into_values().chain(released.map(|(sender, _)| sender));
            refused.for_each(|sender| send(sender, Err(code)));
        }
        self.groups.set_alarm(self.id(), None);
        if self.may_lead(&self.partition.view()) {
            self.groups.0.world.spawn.spawn(Lane::Data, Box::pin(Arc::clone(self).load()));
        } else {
            *self.lock() = State::Gone;
        }
    }
}

impl Active {
    /// Whether the caller must release what has been queued.
    fn begin_releasing(&mut self) -> bool {
        let begins = !self.is_releasing && !self.releases.is_empty();
        self.is_releasing |= begins;
        begins
    }
}

fn send(sender: oneshot::Sender<Answer>, answer: Answer) {
    // Whoever asked may have gone.
    let _ = sender.send(answer);
}

/// What clients of a group are told when its records cannot be written: words that make them look
/// for the coordinator again, where that helps.
fn answer_for(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => {
            ErrorCode::NOT_COORDINATOR
        }
        ErrorCode::MESSAGE_TOO_LARGE
        | ErrorCode::RECORD_LIST_TOO_LARGE
        | ErrorCode::INVALID_RECORD => ErrorCode::UNKNOWN_SERVER_ERROR,
        other => other,
    }
}
