//! One shard, its log, its timers and a clock, driven by hand.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strandline_coordinator::{
    Caller, Core, Effect, EffectOf, Entry, Input, InputOf, Moment, Ticket,
};
use strandline_types::{Instant, LeaderEpoch, Now, Timestamp};

pub(crate) struct World<C: Core> {
    pub(crate) settings: C::Settings,
    pub(crate) shard: C,
    pub(crate) log: Vec<Entry<C::Record>>,
    pub(crate) now_ms: u64,
    pub(crate) transaction_version: i16,
    pub(crate) leader_epoch: i32,
    pub(crate) unanswered: BTreeSet<Ticket>,
    timers: BTreeMap<C::Timer, Instant>,
    next_ticket: u64,
    seed: u128,
}

/// What one step brought.
pub(crate) struct Outcome<C: Core> {
    pub(crate) replies: Vec<(Ticket, C::Response)>,
    pub(crate) entries: Vec<Entry<C::Record>>,
    pub(crate) actions: Vec<C::Action>,
}

/// Wall clock at the beginning of the story.
const EPOCH_MS: u64 = 1_700_000_000_000;

impl<C> World<C>
where
    C: Core<Record: Clone, Settings: Clone>,
{
    pub(crate) fn new(settings: C::Settings) -> Self {
        let mut world = Self {
            shard: C::new(settings.clone()),
            settings,
            log: Vec::new(),
            now_ms: 0,
            transaction_version: 2,
            leader_epoch: -1,
            unanswered: BTreeSet::new(),
            timers: BTreeMap::new(),
            next_ticket: 0,
            seed: 0,
        };
        world.fail_over();
        world
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            instant: Instant::ZERO + Duration::from_millis(self.now_ms),
            timestamp: Timestamp((EPOCH_MS + self.now_ms) as i64),
        }
    }

    /// Another leader takes over: only what is in the log goes on. Who waited is told elsewhere.
    pub(crate) fn fail_over(&mut self) -> Outcome<C> {
        self.leader_epoch += 1;
        self.unanswered.clear();
        self.timers.clear();
        self.shard = self.replayed();
        let mut effects = Vec::new();
        let entries = self.shard.lead(self.moment(), LeaderEpoch(self.leader_epoch), &mut effects);
        self.obey(effects, entries)
    }

    /// A shard made from the log alone, through the bytes that would be on disk.
    pub(crate) fn replayed(&self) -> C {
        let mut shard = C::new(self.settings.clone());
        let reread = |record: &C::Record| {
            let (key, value) = C::encode(record).expect("records are small");
            C::decode(&key, value.as_ref()).expect("our own record")
        };
        for entry in &self.log {
            let mut entry = entry.clone();
            if let Entry::Record(record) | Entry::InTransaction { record, .. } = &mut entry {
                *record = reread(record);
            }
            shard.replay(entry).expect("our own record");
        }
        shard
    }

    pub(crate) fn ask(
        &mut self,
        version: i16,
        client: &str,
        request: C::Request,
    ) -> (Ticket, Outcome<C>) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.unanswered.insert(ticket);
        let caller = Caller { client_id: client.into(), client_host: "/127.0.0.1".into(), version };
        (ticket, self.decide(Input::Request(ticket, caller, request)))
    }

    pub(crate) fn decide(&mut self, input: InputOf<C>) -> Outcome<C> {
        self.seed += 1;
        let moment = self.moment();
        let mut effects = Vec::new();
        let entries = self.shard.decide(moment, input, &mut effects);
        self.obey(effects, entries)
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now(),
            seed: self.seed,
            record_bytes_max: 1_048_588,
            transaction_version: self.transaction_version,
        }
    }

    fn obey(&mut self, effects: Vec<EffectOf<C>>, entries: Vec<Entry<C::Record>>) -> Outcome<C> {
        self.log.extend(entries.iter().cloned());
        let mut outcome = Outcome { replies: Vec::new(), entries, actions: Vec::new() };
        for effect in effects {
            match effect {
                Effect::Reply(ticket, response) => {
                    assert!(self.unanswered.remove(&ticket), "answered once");
                    outcome.replies.push((ticket, response));
                }
                Effect::AfterCommit(action) => {
                    assert!(!outcome.entries.is_empty(), "an action waits for its own entries");
                    outcome.actions.push(action);
                }
                Effect::Act(action) => outcome.actions.push(action),
                Effect::Arm(timer, at) => drop(self.timers.insert(timer, at)),
                Effect::Cancel(timer) => drop(self.timers.remove(&timer)),
            }
        }
        outcome
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, ms: u64, mut see: impl FnMut(&mut Self, Outcome<C>)) {
        let end = self.now_ms + ms;
        loop {
            let next = self.timers.iter().min_by_key(|(_, at)| **at);
            let Some((timer, at)) = next.map(|(timer, at)| (timer.clone(), *at)) else { break };
            let at_ms = at.as_nanos().div_ceil(1_000_000);
            if at_ms > end {
                break;
            }
            self.now_ms = self.now_ms.max(at_ms);
            self.timers.remove(&timer);
            let outcome = self.decide(Input::Timer(timer));
            see(self, outcome);
        }
        self.now_ms = end;
    }
}
