//! Incremental fetch sessions (KIP-227): a client names its partitions once, later requests carry
//! only changes, and answers only partitions that have news.
//!
//! A session is soft state: it may be evicted at any time, and the client then opens a new one.
//!
//! What a follower in sync has all of rests until something happens to the log, or to the ISR, which
//! tells the session: of thousands of partitions a few are busy, and a request costs what is due. Now
//! and then each is read all the same, so that the leader knows when the follower was last seen to
//! have all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_ports::Entropy;
use strandline_replica::View;
use strandline_types::{ErrorCode, Instant, Uuid};
use strandline_wire::messages::fetch_request::{FetchPartition, FetchRequest};
use strandline_wire::messages::fetch_response::PartitionData;

use crate::driver::partition::{FetchWaiter, Partition, Subscription};

/// Epoch of a request that opens a session.
const OPENING_EPOCH: i32 = 0;
/// Epoch of a request that closes its session, or never wanted one.
const CLOSING_EPOCH: i32 = -1;
/// A full cache gives up a session that has not been used for this long.
const EVICTABLE_AFTER: Duration = Duration::from_secs(120);

/// A partition as the client names it: by name before version 13, by id since.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Wanted {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
}

/// The sessions of one broker, at most `max.incremental.fetch.session.cache.slots`.
pub(crate) struct FetchSessions {
    slots: usize,
    entropy: Arc<dyn Entropy>,
    sessions: Mutex<BTreeMap<i32, Session>>,
}

struct Session {
    /// The epoch that the next request must carry.
    next_epoch: i32,
    uses_topic_ids: bool,
    last_used: Instant,
    next_turn: u64,
    /// Keyed by turn: partitions that were served move to the end, so that with a small
    /// `max_bytes` the busy ones do not starve the rest.
    by_turn: BTreeMap<u64, Wanted>,
    partitions: BTreeMap<Wanted, Cached>,
    /// Turns of the partitions that do not rest.
    due: BTreeSet<u64>,
    /// When to look after a turn that may rest too long by then, one for each.
    looks: BTreeSet<(Instant, u64)>,
    /// Hangs at the partitions that rest, and is told their turns.
    waiter: Arc<FetchWaiter>,
}

struct Cached {
    turn: u64,
    wants: FetchPartition,
    /// What the client was told last; `None` until the first answer.
    told: Option<Told>,
    rest: Option<Rest>,
    /// Whether its turn is among the session's `looks`.
    is_looked_after: bool,
}

/// A partition that is not read until something happens to it, or until some time.
struct Rest {
    until: Instant,
    _subscription: Subscription,
}

/// How a log lies, as a client was told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

impl Told {
    const NOTHING: Self = Self { high_watermark: -1, last_stable_offset: -1, log_start_offset: -1 };

    pub(crate) fn by(data: &PartitionData) -> Self {
        Self {
            high_watermark: data.high_watermark,
            last_stable_offset: data.last_stable_offset,
            log_start_offset: data.log_start_offset,
        }
    }
}

/// What one request asks for, once its session has been brought up to date.
pub(crate) struct Plan {
    /// In the order in which to serve them.
    pub(crate) partitions: Vec<Planned>,
    kind: Kind,
    /// Wakes a request of a session when something happens to what rests.
    pub(crate) waiter: Option<Arc<FetchWaiter>>,
}

impl Plan {
    fn new(partitions: Vec<Planned>, kind: Kind) -> Self {
        Self { partitions, kind, waiter: None }
    }

    /// Whether there is anything that more could be waited for.
    pub(crate) fn is_about_something(&self) -> bool {
        !self.partitions.is_empty() || matches!(self.kind, Kind::Incremental { .. })
    }
}

/// One partition to be read.
pub(crate) struct Planned {
    pub(crate) wanted: Wanted,
    pub(crate) wants: FetchPartition,
    /// What the client knows by its session; `None` where no session remembers.
    pub(crate) told: Option<Told>,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Every partition is answered, and no session remembers it.
    Sessionless,
    /// Every partition is answered, and a session is opened if there is room.
    Opening,
    /// Only news are answered.
    Incremental { session_id: i32 },
}

impl FetchSessions {
    pub(crate) fn new(slots: usize, entropy: Arc<dyn Entropy>) -> Self {
        Self { slots, entropy, sessions: Mutex::default() }
    }

    /// Applies a request to its session and says what to read.
    pub(crate) fn plan(
        &self,
        now: Instant,
        version: i16,
        request: &mut FetchRequest,
    ) -> Result<Plan, ErrorCode> {
        let (session_id, epoch) = (request.session_id, request.session_epoch);
        let asked = take_partitions(request);
        if epoch == OPENING_EPOCH || epoch == CLOSING_EPOCH {
            self.lock().remove(&session_id);
            let opening = epoch == OPENING_EPOCH && !asked.is_empty();
            let kind = if opening { Kind::Opening } else { Kind::Sessionless };
            return Ok(Plan::new(asked, kind));
        }
        let mut sessions = self.lock();
        let session = sessions.get_mut(&session_id).ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.next_epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.uses_topic_ids != (version >= 13) {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        session.next_epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.last_used = now;
        for Planned { wanted, wants, .. } in asked {
            session.want(wanted, wants);
        }
        for topic in &request.forgotten_topics_data {
            for partition in &topic.partitions {
                session.forget(&Wanted {
                    topic: topic.topic.clone(),
                    topic_id: topic.topic_id,
                    partition: *partition,
                });
            }
        }
        if session.partitions.is_empty() {
            sessions.remove(&session_id);
            return Ok(Plan::new(Vec::new(), Kind::Sessionless));
        }
        let kind = Kind::Incremental { session_id };
        let waiter = Some(Arc::clone(&session.waiter));
        Ok(Plan { partitions: session.due(now), kind, waiter })
    }

    /// What is to be read now, some time after the plan was made.
    pub(crate) fn plan_again(&self, now: Instant, plan: &mut Plan) {
        let Kind::Incremental { session_id } = plan.kind else { return };
        // Of one that was evicted meanwhile the plan goes on with what it has.
        if let Some(session) = self.lock().get_mut(&session_id) {
            plan.partitions = session.due(now);
        }
    }

    /// Of what was read, leaves alone until then what is given with how it looked.
    pub(crate) fn rest<'a>(
        &self,
        plan: &Plan,
        until: Instant,
        read: impl Iterator<Item = (&'a Wanted, Option<&'a (Arc<Partition>, View)>)>,
    ) {
        let Kind::Incremental { session_id } = plan.kind else { return };
        let mut sessions = self.lock();
        let Some(session) = sessions.get_mut(&session_id) else { return };
        for (wanted, looked) in read {
            match looked {
                Some((partition, seen)) => session.rest(wanted, partition, seen, until),
                None => session.end_rest(wanted),
            }
        }
    }

    /// Turns what was read into what is answered: the session id, and the partitions to keep in
    /// the answer (all of them, or those with news).
    pub(crate) fn conclude(
        &self,
        now: Instant,
        version: i16,
        plan: Plan,
        read: Vec<(Wanted, PartitionData)>,
    ) -> (i32, Vec<(Wanted, PartitionData)>) {
        match plan.kind {
            Kind::Sessionless => (0, read),
            Kind::Opening => {
                let id = self.open(now, version, plan.partitions, &read).unwrap_or(0);
                (id, read)
            }
            Kind::Incremental { session_id } => {
                let mut sessions = self.lock();
                // Evicted while the request was parked: the answer still counts, and the client
                // learns of the eviction with its next request.
                let Some(session) = sessions.get_mut(&session_id) else {
                    return (session_id, read);
                };
                let mut news = read;
                news.retain(|(wanted, data)| session.is_news(wanted, data));
                (session_id, news)
            }
        }
    }

    fn open(
        &self,
        now: Instant,
        version: i16,
        partitions: Vec<Planned>,
        read: &[(Wanted, PartitionData)],
    ) -> Option<i32> {
        let mut sessions = self.lock();
        if sessions.len() >= self.slots {
            let (oldest, session) = sessions.iter().min_by_key(|(_, session)| session.last_used)?;
            if now.since(session.last_used) < EVICTABLE_AFTER {
                return None;
            }
            let oldest = *oldest;
            sessions.remove(&oldest);
        }
        let id = loop {
            let id = (self.entropy.next_u64() >> 33) as i32;
            if id != 0 && !sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            next_epoch: 1,
            uses_topic_ids: version >= 13,
            last_used: now,
            next_turn: 0,
            by_turn: BTreeMap::new(),
            partitions: BTreeMap::new(),
            due: BTreeSet::new(),
            looks: BTreeSet::new(),
            waiter: FetchWaiter::new(0),
        };
        for Planned { wanted, wants, .. } in partitions {
            session.want(wanted, wants);
        }
        for (wanted, data) in read {
            session.is_news(wanted, data);
        }
        sessions.insert(id, session);
        Some(id)
    }

    /// How many sessions there are, and partitions in them.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let sessions = self.lock();
        (sessions.len(), sessions.values().map(|session| session.partitions.len()).sum())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn want(&mut self, wanted: Wanted, wants: FetchPartition) {
        if let Some(cached) = self.partitions.get_mut(&wanted) {
            cached.wants = wants;
            return self.end_rest(&wanted);
        }
        let turn = self.take_turn();
        self.by_turn.insert(turn, wanted.clone());
        self.due.insert(turn);
        let cached = Cached { turn, wants, told: None, rest: None, is_looked_after: false };
        self.partitions.insert(wanted, cached);
    }

    fn forget(&mut self, wanted: &Wanted) {
        if let Some(cached) = self.partitions.remove(wanted) {
            self.by_turn.remove(&cached.turn);
            self.due.remove(&cached.turn);
        }
    }

    fn rest(&mut self, wanted: &Wanted, partition: &Partition, seen: &View, until: Instant) {
        let Some(cached) = self.partitions.get_mut(wanted) else { return };
        let turn = cached.turn;
        // A waiter hangs at a partition once.
        cached.rest = None;
        let _subscription = partition.rest(&self.waiter, turn, seen);
        cached.rest = Some(Rest { until, _subscription });
        self.due.remove(&turn);
        if !std::mem::replace(&mut cached.is_looked_after, true) {
            self.looks.insert((until, turn));
        }
    }

    fn end_rest(&mut self, wanted: &Wanted) {
        if let Some(cached) = self.partitions.get_mut(wanted) {
            cached.rest = None;
            self.due.insert(cached.turn);
        }
    }

    /// Ends the rest of what has stirred, and of what has rested for long enough.
    fn end_rests(&mut self, now: Instant) {
        for turn in self.waiter.take_stirred() {
            // It may have been forgotten, or served since.
            if let Some(wanted) = self.by_turn.get(&turn).cloned() {
                self.end_rest(&wanted);
            }
        }
        while let Some((at, turn)) = self.looks.pop_first() {
            if at > now {
                self.looks.insert((at, turn));
                break;
            }
            let Some(wanted) = self.by_turn.get(&turn).cloned() else { continue };
            let Some(cached) = self.partitions.get_mut(&wanted) else { continue };
            match cached.rest.as_ref().map(|rest| rest.until) {
                Some(until) if until > now => drop(self.looks.insert((until, turn))),
                _ => {
                    cached.is_looked_after = false;
                    self.end_rest(&wanted);
                }
            }
        }
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    /// What does not rest, in turn.
    fn due(&mut self, now: Instant) -> Vec<Planned> {
        self.end_rests(now);
        let planned = |turn: &u64| {
            let wanted = &self.by_turn[turn];
            let cached = &self.partitions[wanted];
            Planned {
                wanted: wanted.clone(),
                wants: cached.wants.clone(),
                told: Some(cached.told.unwrap_or(Told::NOTHING)),
            }
        };
        self.due.iter().map(planned).collect()
    }

    /// Whether the client must be told, and remembers that it was.
    fn is_news(&mut self, wanted: &Wanted, data: &PartitionData) -> bool {
        let next_turn = self.take_turn();
        let Some(cached) = self.partitions.get_mut(wanted) else { return true };
        let telling = Told::by(data);
        if data.error_code != ErrorCode::NONE {
            // Told again with every answer until it is gone.
            cached.told = None;
            return true;
        }
        if !data.records.is_empty() {
            self.by_turn.remove(&cached.turn);
            self.due.remove(&cached.turn);
            (cached.turn, cached.is_looked_after) = (next_turn, false);
            self.by_turn.insert(next_turn, wanted.clone());
            // Whoever was given records does not rest.
            self.due.insert(next_turn);
        }
        let diverged = data.diverging_epoch.epoch >= 0;
        let elsewhere = data.preferred_read_replica >= 0;
        let news = !data.records.is_empty() || cached.told != Some(telling) || diverged || elsewhere;
        cached.told = Some(telling);
        news
    }
}

fn take_partitions(request: &mut FetchRequest) -> Vec<Planned> {
    let mut partitions = Vec::new();
    for topic in std::mem::take(&mut request.topics) {
        for wants in topic.partitions {
            let wanted = Wanted {
                topic: topic.topic.clone(),
                topic_id: topic.topic_id,
                partition: wants.partition,
            };
            partitions.push(Planned { wanted, wants, told: None });
        }
    }
    partitions
}
