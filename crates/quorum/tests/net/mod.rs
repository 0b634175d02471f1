//! A deterministic world of quorum nodes: one queue of happenings, disks that forget what was not
//! synced, and a network that may lose, delay and repeat. Every step is followed by the global
//! checks in `safety`.
#![allow(dead_code, reason = "each test file uses its own part")]

mod disk;
mod identity;
mod safety;
pub mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strandline_quorum::{
    Config, Effect, Event, FetchReply, FetchResponse, FetchSnapshotResponse, Join, Membership,
    Peer, Quorum, Random, ReplicaKey, Reply, ReplyBody, Request, RequestId, Response, ResponseBody,
    RoleName, SnapshotFacts, SnapshotId, Ticket, Timer, Voter, VoterChange, VoterSet, WriteId,
};
use strandline_types::{Instant, NodeId, Now, Offset, Timestamp};

pub use disk::{Disk, Entry, Kind};
use disk::{Op, batches_of};
use identity::Identities;
#[allow(unused_imports, reason = "each test file takes what it needs")]
pub use identity::{key, voter};
use safety::Safety;

pub struct Node {
    pub quorum: Option<Quorum>,
    incarnation: u64,
    /// What this process sees.
    pub view: Disk,
    /// What a crash leaves.
    pub durable: Disk,
    writes: Vec<(WriteId, Op)>,
    waiting: Vec<(WriteId, Message)>,
    /// Entries of the answer being stepped.
    payload: Vec<Entry>,
    pub applied: Offset,
}

#[derive(Clone, Debug)]
enum Message {
    Request { from: i32, incarnation: u64, id: RequestId, to: i32, request: Request },
    Response { to: i32, incarnation: u64, id: RequestId, response: Response, payload: Vec<Entry> },
}

#[derive(Clone, Debug)]
enum Happening {
    Deliver(Message),
    Timer { node: i32, incarnation: u64, timer: Timer },
    Synced { node: i32, incarnation: u64 },
    Tell { node: i32, incarnation: u64, event: Event },
}

/// How the network and the disks behave.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub delay_min: Duration,
    pub delay_max: Duration,
    pub sync_max: Duration,
    /// Of 1,000 messages.
    pub lost: u64,
    pub repeated: u64,
}

pub const CALM: Weather = Weather {
    delay_min: Duration::from_millis(1),
    delay_max: Duration::from_millis(1),
    sync_max: Duration::ZERO,
    lost: 0,
    repeated: 0,
};

pub struct World {
    pub now: Now,
    pub nodes: BTreeMap<i32, Node>,
    pub weather: Weather,
    pub cut: BTreeSet<(i32, i32)>,
    pub random: Random,
    pub safety: Safety,
    pub snapshot_entries: u64,
    /// Logs forget what is older, instead of what is too much.
    pub retention_max_age: Option<Duration>,
    base: Membership,
    queue: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    tickets: BTreeMap<Ticket, (i32, u64, RequestId, i32)>,
    admin: BTreeSet<Ticket>,
    last_ticket: u64,
    values: BTreeMap<Ticket, Vec<u64>>,
    pub trace: String,
    pub tell_all: bool,
    pub steps: u64,
    pub truncations: usize,
    pub installs: usize,
    /// Nodes that lost their disks, and know it.
    pub forgetful: BTreeSet<i32>,
    identities: Identities,
    pub join: Join,
    pub replaces_former_self: bool,
    /// Whom nodes ask that know no voter.
    pub bootstrap: Vec<i32>,
    /// The log was cut, or a control record came into it.
    recheck: bool,
}

const REQUEST_TIMEOUT: Duration = Duration::from_millis(2000);

impl World {
    pub fn new(seed: u64, voters: &[i32], weather: Weather) -> Self {
        let voters = VoterSet::new(voters.iter().map(|id| voter(*id)));
        Self {
            now: Now { instant: Instant::ZERO, timestamp: Timestamp(1_000_000) },
            nodes: BTreeMap::new(),
            weather,
            cut: BTreeSet::new(),
            random: Random::new(seed),
            safety: Safety::default(),
            snapshot_entries: u64::MAX,
            retention_max_age: None,
            base: Membership { kraft_version: 1, voters },
            queue: BTreeMap::new(),
            sequence: 0,
            tickets: BTreeMap::new(),
            admin: BTreeSet::new(),
            last_ticket: 0,
            values: BTreeMap::new(),
            trace: String::new(),
            tell_all: true,
            steps: 0,
            truncations: 0,
            installs: 0,
            forgetful: BTreeSet::new(),
            identities: Identities::default(),
            join: Join::Never,
            replaces_former_self: true,
            bootstrap: Vec::new(),
            recheck: false,
        }
    }

    pub fn start(&mut self, id: i32) {
        let node = self.nodes.entry(id).or_insert_with(|| Node {
            quorum: None,
            incarnation: 0,
            view: Disk::default(),
            durable: Disk::default(),
            writes: Vec::new(),
            waiting: Vec::new(),
            payload: Vec::new(),
            applied: Offset::ZERO,
        });
        assert!(node.quorum.is_none(), "node {id} runs already");
        node.incarnation += 1;
        node.view = node.durable.clone();
        let view = node.view.clone();
        let recovered = view.recovered(&self.base_of(id), &self.safety.snapshots);
        self.node(id).applied =
            recovered.snapshots.last().map_or(Offset::ZERO, |s| s.id.end_offset);
        let Voter { key, endpoints, .. } = self.voter(id);
        let mut config = Config::new(key);
        config.endpoints = endpoints;
        config.join = self.join;
        config.replaces_former_self = self.replaces_former_self;
        config.bootstrap_servers = self.bootstrap.len() as u32;
        config.has_forgotten = self.forgetful.contains(&id);
        if self.snapshot_entries != u64::MAX {
            config.snapshot_max_new_record_bytes = self.snapshot_entries * 100;
            match self.retention_max_age {
                Some(age) => config.retention_max_age = age,
                None => config.retention_max_bytes = self.snapshot_entries * 150,
            }
        }
        let mut effects = Vec::new();
        let seed = self.random.next_u64();
        self.say(id, "starts");
        let quorum = Quorum::open(self.now, config, recovered, seed, &mut effects);
        self.node(id).quorum = Some(quorum);
        self.obey(id, effects);
        self.checked(id);
    }

    /// The process dies; unsynced writes are lost, but for a prefix of them.
    pub fn crash(&mut self, id: i32) {
        let pending = self.nodes[&id].writes.len() as u64;
        let keep = self.random.below(pending + 1) as usize;
        let node = self.node(id);
        node.quorum = None;
        node.waiting.clear();
        let lost = node.writes.split_off(keep);
        for (_, op) in node.writes.drain(..) {
            node.durable.apply(&op);
        }
        for (_, op) in lost {
            self.safety.forgot(id, &op);
        }
        self.say(id, "crashes");
    }

    pub fn node(&mut self, id: i32) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node that was started")
    }

    pub fn quorum(&self, id: i32) -> &Quorum {
        self.nodes[&id].quorum.as_ref().expect("a running node")
    }

    pub fn is_up(&self, id: i32) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.quorum.is_some())
    }

    pub fn leaders(&self) -> Vec<i32> {
        let leads = |node: &&i32| {
            self.nodes[node].quorum.as_ref().is_some_and(|q| q.role() == RoleName::Leader)
        };
        self.nodes.keys().filter(leads).copied().collect()
    }

    /// The leader of the highest epoch.
    pub fn leader(&self) -> Option<i32> {
        self.leaders().into_iter().max_by_key(|id| self.quorum(*id).epoch())
    }

    pub fn cut_off(&mut self, id: i32) {
        let others: Vec<i32> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            self.cut.insert((id, other));
            self.cut.insert((other, id));
        }
        self.say(id, "is cut off");
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Appends one batch of values through node `id`.
    pub fn append(&mut self, id: i32, values: &[u64]) {
        let ticket = self.next_ticket();
        self.values.insert(ticket, values.to_vec());
        let event = Event::Append {
            ticket,
            epoch: self.quorum(id).epoch(),
            records: values.len() as u32,
            size_bytes: 100 * values.len() as u64,
        };
        self.say(id, &format!("is asked to append {values:?}"));
        self.step(id, event);
    }

    pub fn change_voter(&mut self, id: i32, change: VoterChange) {
        let ticket = self.next_ticket();
        self.admin.insert(ticket);
        self.say(id, &format!("is asked to {}", tell::change(&change)));
        self.step(id, Event::Request { ticket, request: Request::ChangeVoter(change) });
    }

    /// Asks a question that no node of this world asks.
    pub fn ask(&mut self, id: i32, request: Request) {
        let ticket = self.next_ticket();
        self.admin.insert(ticket);
        self.say(id, &format!("is asked: {}", tell::asked(&request)));
        self.step(id, Event::Request { ticket, request });
    }

    /// Lets node `id` win an election: all others grant what it asks, and then are silent.
    pub fn become_leader(&mut self, id: i32) {
        while self.quorum(id).role() != RoleName::Leader {
            self.run(Duration::from_millis(1));
            // Answers to what was never asked, or is not waited for any more, say nothing.
            for request in 1..256 {
                let granted = Response {
                    refusal: None,
                    epoch: self.quorum(id).epoch(),
                    leader: None,
                    body: ResponseBody::Vote { granted: true },
                };
                self.step(id, Event::Response { id: RequestId(request), response: granted });
            }
        }
    }

    /// The metadata name these controllers.
    pub fn tell_controllers(&mut self, id: i32, controllers: &[i32]) {
        let ids = controllers.iter().map(|id| NodeId(*id)).collect();
        self.step(id, Event::Controllers(ids));
    }

    pub fn resign(&mut self, id: i32) {
        self.say(id, "is asked to resign");
        self.step(id, Event::Resign);
    }

    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    pub fn run(&mut self, wait: Duration) {
        let end = self.now.instant + wait;
        self.run_while(end, |_| true);
    }

    /// Runs until `done`, at most a minute.
    pub fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let end = self.now.instant + Duration::from_secs(60);
        self.run_while(end, |world| !done(world));
        assert!(done(self), "not within a minute:\n{}{}", self.trace, self.state());
    }

    /// One line per node.
    pub fn state(&self) -> String {
        let mut text = String::new();
        for (id, node) in &self.nodes {
            let Some(quorum) = &node.quorum else {
                text += &format!("{id} is down\n");
                continue;
            };
            let voters: Vec<i32> = quorum.membership().voters.ids().map(|id| id.0).collect();
            text += &format!(
                "{id} {} epoch {} leader {} log {}..{} committed {} voters {voters:?}\n",
                quorum.role(),
                quorum.epoch(),
                quorum.leader().map_or("none".into(), |id| id.to_string()),
                quorum.log_start(),
                quorum.log_end(),
                quorum.high_watermark(),
            );
        }
        text
    }

    fn run_while(&mut self, end: Instant, wanted: impl Fn(&Self) -> bool) {
        while wanted(self) {
            let Some(((at, sequence), _)) = self.queue.first_key_value() else { break };
            if *at > end {
                break;
            }
            let slot = (*at, *sequence);
            let Some(happening) = self.queue.remove(&slot) else { break };
            self.advance_to(slot.0);
            self.happen(happening);
        }
        if wanted(self) {
            self.advance_to(end);
        }
    }

    fn advance_to(&mut self, at: Instant) {
        let millis = at.since(Instant::ZERO).as_millis() as i64;
        self.now = Now { instant: at, timestamp: Timestamp(1_000_000 + millis) };
    }

    fn schedule(&mut self, wait: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now.instant + wait, self.sequence), happening);
    }

    fn lives(&self, node: i32, incarnation: u64) -> bool {
        self.is_up(node) && self.nodes[&node].incarnation == incarnation
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Timer { node, incarnation, timer } => {
                if self.lives(node, incarnation) {
                    self.step(node, Event::Timer(timer));
                }
            }
            Happening::Tell { node, incarnation, event } => {
                if self.lives(node, incarnation) {
                    if let Event::SnapshotInstalled { snapshot, .. } = &event {
                        self.install(node, snapshot.id);
                    }
                    self.step(node, event);
                }
            }
            Happening::Synced { node, incarnation } => {
                if self.lives(node, incarnation) {
                    self.sync(node);
                }
            }
            Happening::Deliver(message) => self.deliver(message),
        }
    }

    fn sync(&mut self, id: i32) {
        let node = self.node(id);
        let Some(last) = node.writes.last().map(|(write, _)| *write) else { return };
        for (_, op) in node.writes.drain(..) {
            node.durable.apply(&op);
        }
        let waiting = std::mem::take(&mut node.waiting);
        let (free, still): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(w, _)| *w <= last);
        node.waiting = still;
        for (_, message) in free {
            self.post(message);
        }
        self.step(id, Event::Durable(last));
    }

    fn install(&mut self, id: i32, snapshot: SnapshotId) {
        let node = self.node(id);
        // Promises outlive the log, and writes to the log that is gone need no sync.
        node.durable.election = node.view.election.clone();
        node.view.install(snapshot);
        node.durable.install(snapshot);
        node.writes.clear();
        for (_, message) in std::mem::take(&mut self.node(id).waiting) {
            self.post(message);
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Request { from, incarnation, id, to, request } => {
                if !self.is_up(to) || self.cut.contains(&(from, to)) {
                    return;
                }
                let ticket = self.next_ticket();
                self.tickets.insert(ticket, (from, incarnation, id, to));
                self.step(to, Event::Request { ticket, request });
            }
            Message::Response { to, incarnation, id, response, payload } => {
                if self.lives(to, incarnation) {
                    self.node(to).payload = payload;
                    self.step(to, Event::Response { id, response });
                }
            }
        }
    }

    /// Puts a message on the network.
    fn post(&mut self, message: Message) {
        let (from, to) = match &message {
            Message::Request { from, to, .. } => (*from, *to),
            Message::Response { to, .. } => (0, *to),
        };
        if self.cut.contains(&(from, to)) || self.random.below(1000) < self.weather.lost {
            return;
        }
        let copies = 1 + u64::from(self.random.below(1000) < self.weather.repeated);
        for _ in 0..copies {
            let spread = self.weather.delay_max - self.weather.delay_min;
            let extra = self.random.below(spread.as_nanos() as u64 + 1);
            let delay = self.weather.delay_min + Duration::from_nanos(extra);
            self.schedule(delay, Happening::Deliver(message.clone()));
        }
    }

    fn step(&mut self, id: i32, event: Event) {
        self.steps += 1;
        let now = self.now;
        let mut effects = Vec::new();
        self.safety.hash(&(now, id, &event));
        let before = self.quorum(id).role();
        let node = self.node(id);
        node.quorum.as_mut().expect("a running node").step(now, event, &mut effects);
        self.safety.hash(&effects);
        let after = self.quorum(id).role();
        if before != after {
            let epoch = self.quorum(id).epoch();
            self.say(id, &format!("{before} -> {after}, epoch {epoch}"));
        }
        self.obey(id, effects);
        self.checked(id);
    }

    fn checked(&mut self, id: i32) {
        let Some(node) = self.nodes.get(&id) else { return };
        let Some(quorum) = &node.quorum else { return };
        self.safety.check_node(id, quorum, &node.view);
        if std::mem::take(&mut self.recheck) {
            let recovered = node.view.recovered(&self.base_of(id), &self.safety.snapshots);
            let last = recovered.memberships.last().map(|(_, membership)| membership);
            let found = last.unwrap_or(&recovered.base_membership);
            assert_eq!(quorum.membership(), found, "machine and disk agree on who votes");
        }
    }

    fn obey(&mut self, id: i32, effects: Vec<Effect>) {
        let mut wrote = false;
        for effect in effects {
            if let Some(line) = tell::effect(&effect) {
                self.say(id, &line);
            }
            wrote |= self.obey_one(id, effect);
        }
        if wrote {
            let incarnation = self.nodes[&id].incarnation;
            let nanos = self.random.below(self.weather.sync_max.as_nanos() as u64 + 1);
            let synced = Happening::Synced { node: id, incarnation };
            self.schedule(Duration::from_nanos(nanos), synced);
        }
    }

    fn write(&mut self, id: i32, write: WriteId, op: Op) -> bool {
        self.safety.saw_write(&op, &self.nodes[&id].view);
        self.recheck |= op.may_change_membership();
        let node = self.node(id);
        node.view.apply(&op);
        node.writes.push((write, op));
        true
    }

    fn obey_one(&mut self, id: i32, effect: Effect) -> bool {
        let incarnation = self.nodes[&id].incarnation;
        match effect {
            Effect::Persist { write, election } => {
                return self.write(id, write, Op::Persist(election));
            }
            Effect::Append { write, ticket, base_offset, epoch } => {
                let kinds =
                    self.values.remove(&ticket).expect("values").into_iter().map(Kind::Value);
                let entries = disk::entries(base_offset, epoch, kinds);
                return self.write(id, write, Op::Append(entries));
            }
            Effect::AppendControl { write, base_offset, epoch, records } => {
                let kinds = records.into_iter().map(Kind::Control);
                let entries = disk::entries(base_offset, epoch, kinds);
                return self.write(id, write, Op::Append(entries));
            }
            Effect::AppendFetched { write, batches, .. } => {
                let payload = std::mem::take(&mut self.node(id).payload);
                let taken = batches_of(&payload).into_iter().take(batches).flatten().collect();
                return self.write(id, write, Op::Append(taken));
            }
            Effect::Truncate { write, end_offset } => {
                self.truncations += 1;
                return self.write(id, write, Op::Truncate(end_offset));
            }
            Effect::DeletePrefix { start_offset } => {
                let node = self.node(id);
                // Whoever deletes files has written all that comes before.
                for (_, op) in &mut node.writes {
                    node.durable.apply(&std::mem::replace(op, Op::Done));
                }
                node.view.delete_prefix(start_offset);
                node.durable.delete_prefix(start_offset);
            }
            Effect::AppendRefused { ticket, .. } => {
                self.values.remove(&ticket);
            }
            Effect::Send { after, to, id: request_id, request } => {
                let to = match to {
                    Peer::Node(to) => to,
                    Peer::Bootstrap(index) => NodeId(self.bootstrap[index as usize]),
                };
                let unanswered = Event::Unanswered { id: request_id };
                let tell = Happening::Tell { node: id, incarnation, event: unanswered };
                // A refused connection is noticed at once.
                let refused = !self.is_up(to.0);
                self.schedule(
                    if refused { Duration::from_millis(1) } else { REQUEST_TIMEOUT },
                    tell,
                );
                let message =
                    Message::Request { from: id, incarnation, id: request_id, to: to.0, request };
                self.release(id, after, message);
            }
            Effect::Reply { after, ticket, reply } => {
                let Some((to, incarnation, request, _)) = self.tickets.remove(&ticket) else {
                    assert!(self.admin.remove(&ticket), "every question has one answer");
                    self.say(id, &format!("answers: {}", tell::verdict(&reply)));
                    return false;
                };
                let (response, payload) = self.respond(id, reply);
                let message = Message::Response { to, incarnation, id: request, response, payload };
                self.release(id, after, message);
            }
            Effect::Arm { timer, at } => {
                let timer = Happening::Timer { node: id, incarnation, timer };
                self.schedule(at.since(self.now.instant), timer);
            }
            Effect::Committed { end_offset } => self.committed(id, end_offset),
            Effect::TakeSnapshot { id: snapshot } => {
                let node = &self.nodes[&id];
                let last = self.safety.take_snapshot(snapshot, &node.view, &self.base);
                let facts = SnapshotFacts {
                    id: snapshot,
                    size_bytes: last,
                    last_timestamp: self.now.timestamp,
                };
                let node = self.node(id);
                node.view.snapshots.insert(snapshot);
                node.durable.snapshots.insert(snapshot);
                let event = Event::SnapshotTaken(facts);
                self.schedule(Duration::ZERO, Happening::Tell { node: id, incarnation, event });
            }
            Effect::InstallSnapshot { id: snapshot } => {
                self.installs += 1;
                let (facts, membership) = self.safety.snapshots[&snapshot].clone();
                let event = Event::SnapshotInstalled { snapshot: facts, membership };
                let tell = Happening::Tell { node: id, incarnation, event };
                self.schedule(Duration::from_millis(1), tell);
            }
            Effect::KeepSnapshotChunk { .. }
            | Effect::Cancel { .. }
            | Effect::LeaderChanged { .. }
            | Effect::Remembered { .. }
            | Effect::Joined
            | Effect::LeaderReady { .. } => {}
        }
        false
    }

    fn release(&mut self, id: i32, after: Option<WriteId>, message: Message) {
        let pending = self.nodes[&id].writes.iter().any(|(write, _)| Some(*write) <= after);
        match after {
            Some(after) if pending => self.node(id).waiting.push((after, message)),
            _ => self.post(message),
        }
    }

    fn committed(&mut self, id: i32, end_offset: Offset) {
        let from = self.nodes[&id].applied;
        if self.nodes[&id].view.start > from {
            // Installed as a snapshot.
            self.node(id).applied = end_offset;
            return;
        }
        let entries = self.nodes[&id].view.read(from, end_offset);
        let is_leader = self.quorum(id).role() == RoleName::Leader;
        let voters: Vec<ReplicaKey> =
            self.quorum(id).membership().voters.iter().map(|voter| voter.key).collect();
        let extends = self.safety.committed(from, &entries);
        if extends && is_leader {
            let holders = voters
                .iter()
                .filter_map(|voter| self.disk_of(*voter))
                .filter(|disk| entries.last().is_none_or(|last| disk.holds(last)))
                .count();
            assert!(
                holders > voters.len() / 2,
                "QUORUM-6: committed {end_offset} without majority"
            );
        }
        self.node(id).applied = end_offset;
    }

    /// What the driver does with a reply: reads the log or the snapshot.
    fn respond(&self, id: i32, reply: Reply) -> (Response, Vec<Entry>) {
        let mut payload = Vec::new();
        let node = &self.nodes[&id];
        let body = match reply.body {
            ReplyBody::Empty => ResponseBody::Empty,
            ReplyBody::Vote { granted } => ResponseBody::Vote { granted },
            ReplyBody::Fetch(FetchReply::Read { offset, end_offset, high_watermark, .. }) => {
                let some = end_offset.min(offset + 8);
                let entries = node.view.read(offset, some);
                let mut groups = batches_of(&entries);
                // Never half a batch.
                if groups.len() > 1 && some < end_offset {
                    groups.pop();
                } else if some < end_offset {
                    groups = batches_of(&node.view.read(offset, end_offset));
                    groups.truncate(1);
                }
                payload = groups.iter().flatten().cloned().collect();
                let batches = groups.iter().map(|batch| disk::facts(batch)).collect();
                ResponseBody::Fetch(FetchResponse::Batches { batches, high_watermark })
            }
            ReplyBody::Fetch(FetchReply::Diverging { end, .. }) => {
                ResponseBody::Fetch(FetchResponse::Diverging { end })
            }
            ReplyBody::Fetch(FetchReply::Snapshot { id, .. }) => {
                ResponseBody::Fetch(FetchResponse::Snapshot { id })
            }
            ReplyBody::FetchSnapshot(chunk) => {
                let len = (chunk.size_bytes - chunk.position).min(500);
                ResponseBody::FetchSnapshot(FetchSnapshotResponse {
                    id: chunk.id,
                    size_bytes: chunk.size_bytes,
                    position: chunk.position,
                    len,
                })
            }
        };
        let (refusal, epoch, leader) = (reply.refusal, reply.epoch, reply.leader);
        (Response { refusal, epoch, leader, body }, payload)
    }

    pub fn say(&mut self, id: i32, line: &str) {
        if self.tell_all {
            let millis = self.now.instant.since(Instant::ZERO).as_millis();
            self.trace.push_str(&format!("{millis:<5} {id}: {line}\n"));
        }
    }

    pub fn note(&mut self, line: &str) {
        self.trace.push_str(&format!("-- {line}\n"));
    }
}
