//! One shard, its log, its timers and a clock, driven by hand.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strandline_coordinator::groups::{
    Effect, Entry, Input, Record, Request, Response, Settings, Shard, Timer,
};
use strandline_coordinator::{Caller, Core, Moment, Ticket};
use strandline_types::{Instant, LeaderEpoch, Now, Timestamp};

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) shard: Shard,
    pub(crate) log: Vec<Entry>,
    pub(crate) now_ms: u64,
    pub(crate) unanswered: BTreeSet<Ticket>,
    timers: BTreeMap<Timer, Instant>,
    next_ticket: u64,
    seed: u128,
}

/// What one step brought.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) replies: Vec<(Ticket, Response)>,
    pub(crate) entries: Vec<Entry>,
}

/// Wall clock at the beginning of the story.
const EPOCH_MS: u64 = 1_700_000_000_000;

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut world = Self {
            shard: Shard::new(settings.clone()),
            settings,
            log: Vec::new(),
            now_ms: 0,
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
    pub(crate) fn fail_over(&mut self) -> Outcome {
        self.unanswered.clear();
        self.timers.clear();
        self.shard = self.replayed();
        let mut effects = Vec::new();
        let entries = self.shard.lead(self.moment(), LeaderEpoch(0), &mut effects);
        self.obey(effects, entries)
    }

    /// A shard made from the log alone, through the bytes that would be on disk.
    pub(crate) fn replayed(&self) -> Shard {
        let mut shard = Shard::new(self.settings.clone());
        for entry in self.log.iter().cloned() {
            let reread = |record: Record| {
                let (key, value) = Shard::encode(&record).expect("records are small");
                Shard::decode(&key, value.as_ref()).expect("our own record")
            };
            let entry = match entry {
                Entry::Record(record) => Entry::Record(reread(record)),
                Entry::InTransaction { producer_id, producer_epoch, record } => {
                    let record = reread(record);
                    Entry::InTransaction { producer_id, producer_epoch, record }
                }
                marker @ Entry::Marker { .. } => marker,
            };
            shard.replay(entry).expect("our own record");
        }
        shard
    }

    pub(crate) fn ask(
        &mut self,
        version: i16,
        client: &str,
        request: Request,
    ) -> (Ticket, Outcome) {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.unanswered.insert(ticket);
        let caller = Caller { client_id: client.into(), client_host: "/127.0.0.1".into(), version };
        (ticket, self.decide(Input::Request(ticket, caller, request)))
    }

    pub(crate) fn decide(&mut self, input: Input) -> Outcome {
        self.seed += 1;
        let moment = self.moment();
        let mut effects = Vec::new();
        let entries = self.shard.decide(moment, input, &mut effects);
        self.obey(effects, entries)
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now(), seed: self.seed, record_bytes_max: 1_048_588 }
    }

    fn obey(&mut self, effects: Vec<Effect>, entries: Vec<Entry>) -> Outcome {
        self.log.extend(entries.clone());
        let mut outcome = Outcome { replies: Vec::new(), entries };
        for effect in effects {
            match effect {
                Effect::Reply(ticket, response) => {
                    assert!(self.unanswered.remove(&ticket), "answered once");
                    outcome.replies.push((ticket, response));
                }
                Effect::Arm(timer, at) => drop(self.timers.insert(timer, at)),
                Effect::Cancel(timer) => drop(self.timers.remove(&timer)),
                Effect::AfterCommit(nothing) => match nothing {},
            }
        }
        outcome
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn pass(&mut self, ms: u64, mut see: impl FnMut(&Self, Outcome)) {
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
