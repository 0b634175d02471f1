//! The shell around one core.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use strandline_coordinator::{
    Caller, Core, Effect, EffectOf, Entry, Input, InputOf, Moment, Ticket,
};
use strandline_log::Origin;
use strandline_metadata::feature;
use strandline_ports::{Lane, timeout};
use strandline_replica::{ProduceAnswer, ProduceRefusal, RequiredAcks, View};
use strandline_types::{Bug, ErrorCode, Instant, LeaderEpoch, Now, TopicIdPartition, planted};
use tokio::sync::oneshot;

use super::batches::batches;
use super::timers::Timers;
use super::{Action, Coordinators, Event, Kind, Request, Response};
use crate::driver::partition::{Ordered, Partition};

/// How long a leadership is waited for that the metadata have announced, before it is looked for again.
const LEADERSHIP_PAUSE: Duration = Duration::from_millis(5);

/// A log that has refused records is not read again before: whoever begins to lead may have something to
/// write at once, which is refused like the last, and so on as fast as a log can be read.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

type Answer<K> = Result<Response<K>, ErrorCode>;
type Sender<K> = oneshot::Sender<Answer<K>>;
type Written<K> = Entry<<<K as Kind>::Core as Core>::Record>;
type Timer<K> = <<K as Kind>::Core as Core>::Timer;

/// One partition of the topic for as long as this node leads it in one epoch.
pub(crate) struct Shard<K: Kind> {
    coordinators: Coordinators<K>,
    partition: Arc<Partition>,
    leader_epoch: LeaderEpoch,
    state: Mutex<State<K>>,
}

enum State<K: Kind> {
    Loading,
    Active(Box<Active<K>>),
    /// No longer led, or the log cannot be used.
    Gone,
}

struct Active<K: Kind> {
    core: K::Core,
    timers: Timers<Timer<K>>,
    waiting: BTreeMap<Ticket, Sender<K>>,
    releases: VecDeque<Release<K>>,
    is_releasing: bool,
}

/// What one decision has led to, and the append that it waits for.
struct Release<K: Kind> {
    append: Option<Ordered>,
    answers: Vec<(Sender<K>, Response<K>)>,
    actions: Vec<Action<K>>,
}

type Answered = Pin<Box<dyn Future<Output = Result<ProduceAnswer, ProduceRefusal>> + Send>>;

/// How an append has ended for those who wait for it.
enum Commit {
    Done,
    /// Not in time; it may commit yet.
    Late(Answered),
    Refused(ErrorCode),
}

impl<K: Kind> Shard<K> {
    pub(super) fn new(
        coordinators: Coordinators<K>,
        partition: Arc<Partition>,
        leader_epoch: LeaderEpoch,
    ) -> Arc<Self> {
        let state = Mutex::new(State::Loading);
        Arc::new(Self { coordinators, partition, leader_epoch, state })
    }

    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    fn id(&self) -> TopicIdPartition {
        self.partition.id()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.coordinators.0.world.clock.now()
    }

    /// Reads the log; requests are told to come back meanwhile.
    pub(super) async fn load(self: Arc<Self>) {
        if !self.comes_to_lead().await {
            *self.lock() = State::Gone;
            return;
        }
        let began = self.now().instant;
        let core = K::Core::new(self.coordinators.0.settings.clone());
        let loaded = super::load::replay(&self.partition, core).await;
        let name = self.partition.name();
        match loaded {
            Ok(core) => {
                let took = self.now().instant.since(began);
                tracing::debug!(partition = %name, ?took, "coordinator loaded");
                self.activate(core);
            }
            Err(error) => {
                tracing::error!(partition = %name, %error, "cannot coordinate");
                *self.lock() = State::Gone;
            }
        }
    }

    /// Waits until the replica leads in this shard's epoch, and its log holds all that was admitted
    /// before. A replica that is cutting its log when the metadata name it leader begins when that is
    /// done; its shard, given up before, would be nowhere until the next election. And where this node
    /// has led in the epoch before, a record may have its place and not be written yet: whoever reads
    /// the log without it has a transaction open for good that was ended by it. False when it can no
    /// longer come to lead in that epoch.
    async fn comes_to_lead(&self) -> bool {
        loop {
            let view = self.partition.view();
            let is_wanted = matches!(*self.lock(), State::Loading);
            if !is_wanted || !self.may_lead(&view) {
                return false;
            }
            if view.leader_epoch == self.leader_epoch && !view.is_leader {
                return false;
            }
            if view.leader_epoch == self.leader_epoch && !self.partition.is_writing() {
                return true;
            }
            self.coordinators.0.world.clock.sleep(LEADERSHIP_PAUSE).await;
        }
    }

    fn may_lead(&self, view: &View) -> bool {
        !view.is_offline && view.leader_epoch <= self.leader_epoch
    }

    fn activate(self: &Arc<Self>, core: K::Core) {
        let mut state = self.lock();
        if !matches!(*state, State::Loading) {
            return;
        }
        let mut active: Box<Active<K>> = Box::new(Active {
            core,
            timers: Timers::new(),
            waiting: BTreeMap::new(),
            releases: VecDeque::new(),
            is_releasing: false,
        });
        let moment = self.moment();
        let mut effects = Vec::new();
        let entries = active.core.lead(moment, self.leader_epoch, &mut effects);
        self.obey(&mut active, moment, &entries, effects);
        let releases = active.begin_releasing();
        *state = State::Active(active);
        drop(state);
        self.release(releases);
    }

    /// Decides a request, if the log still is as it must be for that, and waits for its answer.
    pub(super) async fn submit(
        self: Arc<Self>,
        caller: Caller,
        request: Request<K>,
        may_be_decided: impl FnOnce(&Partition) -> Result<(), ErrorCode>,
    ) -> Answer<K> {
        let answer = {
            let mut state = self.lock();
            let active = match &mut *state {
                State::Active(active) => active,
                State::Loading => return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
                State::Gone => return Err(ErrorCode::NOT_COORDINATOR),
            };
            may_be_decided(&self.partition)?;
            let (sender, answer) = oneshot::channel();
            let ticket = self.coordinators.0.new_ticket();
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
    pub(crate) fn tell(self: &Arc<Self>, event: Event<K>) {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return };
        self.decide(active, Input::Event(event));
        let releases = active.begin_releasing();
        drop(state);
        self.release(releases);
    }

    /// Looks at what has been decided; `None` when nothing is decided here just now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&K::Core) -> T) -> Option<T> {
        match &*self.lock() {
            State::Active(active) => Some(look(&active.core)),
            State::Loading | State::Gone => None,
        }
    }

    /// Decides what is due.
    pub(super) fn fire(self: &Arc<Self>, now: Instant) {
        let mut state = self.lock();
        let State::Active(active) = &mut *state else { return };
        while let Some(timer) = active.timers.pop_due(now) {
            self.decide(active, Input::Timer(timer));
        }
        self.coordinators.set_alarm(self.id(), active.timers.earliest());
        let releases = active.begin_releasing();
        drop(state);
        self.release(releases);
    }

    /// This node no longer leads the partition: whoever waits must ask the new leader.
    pub(super) fn resign(&self) {
        *self.lock() = State::Gone;
    }

    fn moment(&self) -> Moment {
        let entropy = &self.coordinators.0.world.entropy;
        let [high, low] = [(); 2].map(|()| u128::from(entropy.next_u64()));
        let record_bytes_max = self.partition.with_log(|log| log.config().max_message_bytes);
        let image = self.coordinators.0.image.borrow();
        Moment {
            now: self.now(),
            seed: (high << 64) | low,
            record_bytes_max: record_bytes_max as usize,
            transaction_version: image.features.level(feature::TRANSACTION_VERSION),
        }
    }

    fn decide(self: &Arc<Self>, active: &mut Active<K>, input: InputOf<K::Core>) {
        let moment = self.moment();
        let mut effects = Vec::new();
        let entries = active.core.decide(moment, input, &mut effects);
        self.obey(active, moment, &entries, effects);
    }

    fn obey(
        self: &Arc<Self>,
        active: &mut Active<K>,
        moment: Moment,
        entries: &[Written<K>],
        effects: Vec<EffectOf<K::Core>>,
    ) {
        let (mut answers, mut actions) = (Vec::new(), Vec::new());
        let mut timers_changed = false;
        for effect in effects {
            match effect {
                Effect::Reply(ticket, response) => {
                    let waiting = active.waiting.remove(&ticket);
                    answers.extend(waiting.map(|sender| (sender, response)));
                }
                Effect::AfterCommit(action) => actions.push(action),
                Effect::Act(action) => self.coordinators.0.kind.carry_out(self, action),
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
            self.coordinators.set_alarm(self.id(), active.timers.earliest());
        }
        let append = (!entries.is_empty()).then(|| self.append(moment, entries));
        if planted(Bug::CommitAnsweredEarly) {
            answers.drain(..).for_each(|(sender, response)| send(sender, Ok(response)));
        }
        assert!(append.is_some() || actions.is_empty(), "an action waits for its own entries");
        if append.is_none() && active.releases.is_empty() && !active.is_releasing {
            answers.into_iter().for_each(|(sender, response)| send(sender, Ok(response)));
        } else {
            active.releases.push_back(Release { append, answers, actions });
        }
    }

    /// Gives the entries their places in the log.
    fn append(&self, moment: Moment, entries: &[Written<K>]) -> Ordered {
        let Moment { now, record_bytes_max, .. } = moment;
        let compression = self.coordinators.0.writing.compression;
        let batches = batches::<K::Core>(entries, now.timestamp, compression, record_bytes_max);
        let batches = batches.unwrap_or_else(|error| {
            tracing::error!(partition = %self.partition.name(), %error, "cannot write records");
            // An append of nothing is refused: the shard is loaded again without them.
            Vec::new()
        });
        let bumps = |entry: &Written<K>| matches!(entry, Entry::Marker { bumps_epoch: true, .. });
        let origin = match entries.iter().any(bumps) {
            true => Origin::Marker { bumps_epoch: true },
            false => Origin::Coordinator,
        };
        self.partition.produce(now, batches, RequiredAcks::All, origin)
    }

    fn carry_out(self: &Arc<Self>, actions: Vec<Action<K>>) {
        let kind = &self.coordinators.0.kind;
        actions.into_iter().for_each(|action| kind.carry_out(self, action));
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
            self.coordinators.0.world.spawn.spawn(Lane::Data, releasing);
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
            let Some(Release { append, answers, actions }) = next else { return };
            if let Some(append) = append {
                match self.committed(append).await {
                    Commit::Done => {
                        is_behind = false;
                        self.carry_out(actions);
                    }
                    Commit::Late(append) => {
                        is_behind = true;
                        if !actions.is_empty() {
                            let waiting = Arc::clone(&self).carry_out_late(append, actions);
                            self.coordinators.0.world.spawn.spawn(Lane::Data, Box::pin(waiting));
                        }
                    }
                    Commit::Refused(code) => {
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

    async fn committed(&self, append: Ordered) -> Commit {
        let clock = &self.coordinators.0.world.clock;
        let deadline = clock.now().instant + self.coordinators.0.writing.commit_timeout;
        let mut answered: Answered = Box::pin(append.answered());
        match timeout(&**clock, deadline, answered.as_mut()).await {
            Ok(Ok(_)) => Commit::Done,
            Ok(Err(refusal)) => Commit::Refused(self.refused(&refusal)),
            Err(_) => Commit::Late(answered),
        }
    }

    /// Nobody waits for an answer any more, but what was decided may still come to hold.
    async fn carry_out_late(self: Arc<Self>, append: Answered, actions: Vec<Action<K>>) {
        match append.await {
            Ok(_) => self.carry_out(actions),
            Err(refusal) => self.start_over(self.refused(&refusal)),
        }
    }

    /// What those are told who wait for records that are not written.
    fn refused(&self, refusal: &ProduceRefusal) -> ErrorCode {
        let partition = self.partition.name();
        tracing::warn!(%partition, %refusal, "a coordinator's records were not written");
        answer_for(refusal.code())
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
        self.coordinators.set_alarm(self.id(), None);
        if self.may_lead(&self.partition.view()) {
            let (clock, shard) = (Arc::clone(&self.coordinators.0.world.clock), Arc::clone(self));
            let load = async move {
                clock.sleep(REFUSED_PAUSE).await;
                shard.load().await;
            };
            self.coordinators.0.world.spawn.spawn(Lane::Data, Box::pin(load));
        } else {
            *self.lock() = State::Gone;
        }
    }
}

impl<K: Kind> Active<K> {
    /// Whether the caller must release what has been queued.
    fn begin_releasing(&mut self) -> bool {
        let begins = !self.is_releasing && !self.releases.is_empty();
        self.is_releasing |= begins;
        begins
    }
}

fn send<T>(sender: oneshot::Sender<T>, answer: T) {
    // Whoever asked may have gone.
    let _ = sender.send(answer);
}

/// What clients are told when a coordinator's records cannot be written: words that make them
/// look for the coordinator again, where that helps.
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
