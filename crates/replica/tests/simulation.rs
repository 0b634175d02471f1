//! Three replicas of one partition under a toy controller, in random order: whatever is
//! acknowledged to a producer with acks=all stays, and all logs become one.
//!
//! The controller respects the ISR and the ELR (KIP-966): it elects nobody else. Replicas crash and
//! forget what was not written, or lose power and forget what was not synced (then the topic has
//! `flush.messages=1`). Messages are lost, late, and overtaken by elections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRng;
use strandline_log::{
    IndexListing, Listing, Log, LogConfig, Origin, Recovery, SegmentListing, TransactionListing,
};
use strandline_replica::{
    Cut, Effect, Event, FetchAnswer, FetchPosition, Fetched, FollowerChange, Followership,
    IsrAnswer, IsrMember, Leadership, NextFetch, Reader, Replica, ReplicaConfig, RequiredAcks,
    Ticket,
};
use strandline_types::{
    BatchFacts, BrokerEpoch, Compression, Instant, LeaderEpoch, NodeId, Now, Offset, ProducerEpoch,
    ProducerId, Timestamp, TimestampType,
};

#[path = "../../sim/tests/seeded/asked.rs"]
mod asked;
mod files;

use files::Files;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const MIN_IN_SYNC: usize = 2;

/// The partition as the controller has it.
#[derive(Clone, Debug)]
struct Image {
    leader: NodeId,
    leader_epoch: i32,
    partition_epoch: i32,
    in_sync: Vec<NodeId>,
    eligible: Vec<NodeId>,
    alive: BTreeSet<NodeId>,
}

impl Image {
    fn change(&mut self, in_sync: Vec<NodeId>) {
        let left = self.in_sync.iter().filter(|node| !in_sync.contains(node)).copied();
        let left: Vec<NodeId> = left.collect();
        self.partition_epoch += 1;
        self.eligible.extend(left);
        self.eligible.retain(|node| !in_sync.contains(node));
        if in_sync.len() >= MIN_IN_SYNC {
            self.eligible.clear();
        }
        self.in_sync = in_sync;
    }

    /// A new leader where there is none that lives.
    fn elect(&mut self) {
        if self.alive.contains(&self.leader) && self.in_sync.contains(&self.leader) {
            return;
        }
        let lives = |node: &&NodeId| self.alive.contains(node);
        let from_isr = self.in_sync.iter().find(lives).copied();
        let elected = from_isr.or_else(|| self.eligible.iter().find(lives).copied());
        let leader = elected.unwrap_or(NodeId::NONE);
        if leader == self.leader {
            return;
        }
        if elected.is_some() && from_isr.is_none() {
            let mut in_sync = self.in_sync.clone();
            in_sync.push(leader);
            self.change(in_sync);
        }
        (self.leader, self.leader_epoch) = (leader, self.leader_epoch + 1);
        self.partition_epoch += 1;
    }
}

/// A process and its disk.
struct Node {
    id: NodeId,
    /// `None` while it is down.
    replica: Option<Replica>,
    files: Files,
    synced: Offset,
    checkpointed_high_watermark: Offset,
    /// Appends that are not in the files yet.
    unwritten: VecDeque<(Offset, Vec<BatchFacts>)>,
    syncing: Option<Offset>,
    cut: Option<Cut>,
    proposed: Option<(i32, i32, Vec<IsrMember>)>,
    /// The partition epoch it has heard of.
    heard: i32,
}

/// A fetch on its way to the leader, and its answer on the way back.
#[derive(Clone, Debug)]
enum Flight {
    Ask { from: NodeId, at: FetchPosition },
    Answer { to: NodeId, at: FetchPosition, answer: Told },
}

#[derive(Clone, Debug)]
enum Told {
    Records { batches: Vec<BatchFacts>, high_watermark: Offset, log_start: Offset },
    Diverging(strandline_log::EpochEnd),
}

struct World {
    rng: TestRng,
    config: Arc<LogConfig>,
    loses_power: bool,
    millis: u64,
    nodes: Vec<Node>,
    image: Image,
    /// Earlier and present images, for those who hear late.
    images: Vec<Image>,
    flights: Vec<Flight>,
    produced: i64,
    waiting: BTreeMap<(NodeId, Ticket), i64>,
    /// Where each acknowledged record stands, by its number.
    acked: BTreeMap<i64, Offset>,
    cuts: u32,
    elections: u32,
}

fn replica_config() -> ReplicaConfig {
    ReplicaConfig {
        min_in_sync_replicas: MIN_IN_SYNC as u32,
        lag_time_max: Duration::from_millis(400),
    }
}

impl World {
    fn new(seed: u64, loses_power: bool) -> Self {
        let flush_messages = if loses_power { 1 } else { i64::MAX };
        let config = LogConfig { flush_messages, segment_bytes: 700, ..LogConfig::default() };
        let config = Arc::new(config);
        let node = |id| Node {
            id,
            replica: Some(Replica::new(
                id,
                replica_config(),
                Log::create(Arc::clone(&config), 0, Offset(0), Timestamp(0)),
                Offset(0),
            )),
            files: Files::default(),
            synced: Offset(0),
            checkpointed_high_watermark: Offset(0),
            unwritten: VecDeque::new(),
            syncing: None,
            cut: None,
            proposed: None,
            heard: -1,
        };
        let image = Image {
            leader: NodeId(1),
            leader_epoch: 0,
            partition_epoch: 0,
            in_sync: NODES.to_vec(),
            eligible: Vec::new(),
            alive: NODES.into_iter().collect(),
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            rng: TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &bytes),
            nodes: NODES.map(node).into(),
            config,
            loses_power,
            millis: 1000,
            images: vec![image.clone()],
            image,
            flights: Vec::new(),
            produced: 0,
            waiting: BTreeMap::new(),
            acked: BTreeMap::new(),
            cuts: 0,
            elections: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound)
    }

    fn now(&self) -> Now {
        Now {
            instant: Instant::from_nanos(self.millis * 1_000_000),
            timestamp: Timestamp(self.millis as i64),
        }
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        let index = NODES.iter().position(|&node| node == id).expect("one of the three");
        &mut self.nodes[index]
    }

    /// Feeds a node that is up, and notes what it wants done.
    fn step(&mut self, id: NodeId, event: Event<'_>, batches: &[BatchFacts]) {
        let now = self.now();
        let Some(replica) = &mut self.node(id).replica else { return };
        let mut effects = Vec::new();
        replica.step(now, event, &mut effects);
        let leader_epoch = replica.view().leader_epoch;
        for effect in effects {
            match effect {
                Effect::Append(plan) => {
                    let mut offset = plan.appended.base_offset;
                    let stamped = batches.iter().map_while(|batch| {
                        let stands = match plan.stamps.is_empty() {
                            true => batch.clone(),
                            false => {
                                BatchFacts { base_offset: offset, leader_epoch, ..batch.clone() }
                            }
                        };
                        offset = stands.next_offset();
                        (offset <= plan.appended.next_offset).then_some(stands)
                    });
                    let stamped = stamped.collect();
                    self.node(id).unwritten.push_back((plan.segment, stamped));
                }
                Effect::Sync(plan) => {
                    assert_eq!(self.node(id).cut, None, "no sync during a cut");
                    assert_eq!(self.node(id).syncing.replace(plan.upto), None);
                }
                Effect::Cut(cut) => {
                    let node = self.node(id);
                    assert_eq!((node.syncing, node.unwritten.len()), (None, 0));
                    assert_eq!(node.cut.replace(cut), None, "one cut at a time");
                }
                Effect::Answer { ticket, answer } => {
                    let number = self.waiting.remove(&(id, ticket)).expect("answered once");
                    if let Ok(answer) = answer {
                        self.acked.insert(number, answer.appended.base_offset);
                    }
                }
                Effect::AlterIsr { leader_epoch, partition_epoch, in_sync } => {
                    self.node(id).proposed = Some((leader_epoch.get(), partition_epoch, in_sync));
                }
                Effect::RefuseFetched(refusal) => panic!("node {id}: {refusal}"),
                Effect::LogStartRaised(_) | Effect::Delete(_) | Effect::AnswerDelete { .. } => {}
            }
        }
    }

    fn produce(&mut self) {
        let id = NODES[self.below(3)];
        let count = 1 + self.below(3) as i32;
        let Some(replica) = &self.node(id).replica else { return };
        if !replica.view().is_leader {
            return;
        }
        self.produced += 1;
        let (number, ticket) = (self.produced, Ticket(self.produced as u64));
        let batches = [batch(count, number)];
        self.waiting.insert((id, ticket), number);
        let event = Event::Append {
            ticket,
            batches: &batches,
            required_acks: RequiredAcks::All,
            origin: Origin::Leader,
        };
        self.step(id, event, &batches);
    }

    fn write(&mut self, id: NodeId) {
        let node = self.node(id);
        let Some((segment, batches)) = node.unwritten.pop_front() else { return };
        let upto = batches.last().expect("a batch at least").next_offset();
        node.files.append(segment, batches);
        self.step(id, Event::Written { upto }, &[]);
    }

    fn sync(&mut self, id: NodeId) {
        let node = self.node(id);
        let Some(upto) = node.syncing.take() else { return };
        node.synced = node.synced.max(upto);
        self.step(id, Event::Synced { upto }, &[]);
    }

    fn finish_cut(&mut self, id: NodeId) {
        let node = self.node(id);
        let (Some(cut), Some(replica)) = (node.cut.take(), &node.replica) else { return };
        let log = node.files.cut(replica.log(), cut);
        node.synced = node.synced.min(log.log_end());
        self.cuts += 1;
        self.step(id, Event::Cut(log.into()), &[]);
    }

    /// Tells a node an image that is newer than the one it knows; not always the newest.
    fn hear(&mut self, id: NodeId) {
        let heard = self.node(id).heard;
        let later = self.images.iter().filter(|image| image.partition_epoch > heard);
        let later: Vec<Image> = later.cloned().collect();
        if later.is_empty() {
            return;
        }
        let image = later[self.below(later.len())].clone();
        self.apply(id, &image);
    }

    fn apply(&mut self, id: NodeId, image: &Image) {
        self.node(id).heard = image.partition_epoch;
        if image.leader == id {
            let leadership = Leadership {
                leader_epoch: LeaderEpoch(image.leader_epoch),
                partition_epoch: image.partition_epoch,
                replicas: NODES.to_vec(),
                in_sync: image.in_sync.clone(),
            };
            self.step(id, Event::BecomeLeader(leadership), &[]);
            for follower in NODES.into_iter().filter(|&node| node != id) {
                let is_alive = image.alive.contains(&follower);
                let change = FollowerChange { follower, is_alive, may_join_isr: is_alive };
                self.step(id, Event::FollowerChanged(change), &[]);
            }
        } else {
            let followership = Followership {
                leader: image.leader,
                leader_epoch: LeaderEpoch(image.leader_epoch),
                partition_epoch: image.partition_epoch,
                is_in_sync: image.in_sync.contains(&id),
            };
            self.step(id, Event::BecomeFollower(followership), &[]);
        }
    }

    fn ask(&mut self, id: NodeId) {
        let Some(replica) = &self.node(id).replica else { return };
        let NextFetch::From(at) = replica.next_fetch() else { return };
        assert_eq!(at.offset, replica.log().written_end(), "REPL-6");
        assert!(!self.loses_power || at.offset <= self.node(id).synced, "REPL-6");
        self.flights.push(Flight::Ask { from: id, at });
    }

    /// Delivers a message in flight, or the last one again, or loses it.
    fn fly(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let at = self.below(self.flights.len());
        let flight = match self.below(10) {
            0 => self.flights[at].clone(),
            1 => {
                self.flights.swap_remove(at);
                return;
            }
            _ => self.flights.swap_remove(at),
        };
        match flight {
            Flight::Ask { from, at } => self.serve(from, at),
            Flight::Answer { to, at, answer } => self.take_answer(to, at, &answer),
        }
    }

    /// What the leader's shell does with a fetch.
    fn serve(&mut self, from: NodeId, at: FetchPosition) {
        let Some(replica) = &self.node(at.leader).replica else { return };
        let view = replica.view();
        if view.check_leader(at.leader_epoch).is_err() {
            return;
        }
        let diverging = replica.diverging_epoch(at.last_epoch, at.offset);
        let answer = match diverging.expect("a leader knows what its epoch began with") {
            Some(end) => Told::Diverging(end),
            None => {
                view.readable(at.offset, Reader::Follower, at.leader_epoch).expect("in range");
                let event = Event::FollowerFetched {
                    follower: from,
                    broker_epoch: BrokerEpoch(1),
                    log_start: at.log_start,
                    log_end: at.offset,
                };
                self.step(at.leader, event, &[]);
                let node = self.node(at.leader);
                let view = node.replica.as_ref().expect("it answers").view();
                let ahead = node.files.0.iter().filter(|(_, it)| it.base_offset >= at.offset);
                let batches = ahead.map(|(_, batch)| batch.clone()).take(3).collect();
                let (high_watermark, log_start) = (view.high_watermark, view.log_start);
                Told::Records { batches, high_watermark, log_start }
            }
        };
        self.flights.push(Flight::Answer { to: from, at, answer });
    }

    fn take_answer(&mut self, to: NodeId, at: FetchPosition, answer: &Told) {
        let (leader_epoch, offset) = (at.leader_epoch, at.offset);
        let (answer, batches) = match answer {
            Told::Records { batches, high_watermark, log_start } => {
                let (high_watermark, log_start) = (*high_watermark, *log_start);
                (FetchAnswer::Records { batches, high_watermark, log_start }, batches.as_slice())
            }
            Told::Diverging(end) => (FetchAnswer::Diverging(*end), &[] as &[_]),
        };
        self.step(to, Event::Fetched(Fetched { leader_epoch, offset, answer }), batches);
    }

    fn decide_isr(&mut self, id: NodeId) {
        let Some((leader_epoch, partition_epoch, members)) = self.node(id).proposed.take() else {
            return;
        };
        let present = (self.image.leader, self.image.leader_epoch, self.image.partition_epoch);
        let answer = if present != (id, leader_epoch, partition_epoch) {
            IsrAnswer::Outdated
        } else if members.iter().any(|member| !self.image.alive.contains(&member.node)) {
            IsrAnswer::Refused
        } else {
            self.image.change(members.iter().map(|member| member.node).collect());
            self.images.push(self.image.clone());
            IsrAnswer::Committed {
                leader_epoch: LeaderEpoch(leader_epoch),
                partition_epoch: self.image.partition_epoch,
                in_sync: self.image.in_sync.clone(),
            }
        };
        // The answer may be lost: then the image tells.
        if self.below(4) > 0 {
            self.step(id, Event::IsrAnswered(answer), &[]);
        }
    }

    fn controller_changes(&mut self, change: impl FnOnce(&mut Image)) {
        let epoch = self.image.leader_epoch;
        change(&mut self.image);
        self.image.elect();
        if self.image.leader_epoch > epoch {
            self.elections += 1;
        }
        self.image.partition_epoch += 1;
        self.images.push(self.image.clone());
        self.check_leader_has_all();
    }

    /// Whoever is elected holds all that was acknowledged.
    fn check_leader_has_all(&mut self) {
        if self.image.leader == NodeId::NONE {
            return;
        }
        let acked = self.acked.clone();
        let leader = self.image.leader;
        self.node(leader).holds(&acked);
    }

    fn crash(&mut self, id: NodeId) {
        let loses_power = self.loses_power;
        let node = self.node(id);
        let Some(replica) = node.replica.take() else { return };
        // Checkpoints are written now and then.
        if replica.high_watermark().get() % 2 == 0 {
            node.checkpointed_high_watermark = replica.high_watermark();
        }
        node.unwritten.clear();
        (node.syncing, node.cut, node.proposed) = (None, None, None);
        if loses_power {
            let synced = node.synced;
            node.files.0.retain(|(_, batch)| batch.next_offset() <= synced);
        }
        self.waiting.retain(|&(node, _), _| node != id);
        self.controller_changes(|image| {
            image.alive.remove(&id);
            let in_sync: Vec<NodeId> =
                image.in_sync.iter().copied().filter(|&node| node != id).collect();
            if in_sync.len() < image.in_sync.len() {
                image.change(in_sync);
            }
        });
    }

    fn restart(&mut self, id: NodeId) {
        let (config, now) = (Arc::clone(&self.config), self.now());
        let heard = self.image.partition_epoch - 1;
        let node = self.node(id);
        if node.replica.is_some() {
            return;
        }
        let log = node.recovered(config, now.timestamp);
        let high_watermark = node.checkpointed_high_watermark;
        node.replica = Some(Replica::new(id, replica_config(), log, high_watermark));
        node.heard = heard;
        self.controller_changes(|image| {
            image.alive.insert(id);
        });
        let image = self.image.clone();
        self.apply(id, &image);
    }

    fn act(&mut self) {
        self.millis += 1;
        let id = NODES[self.below(3)];
        match self.below(100) {
            0..15 => self.produce(),
            15..30 => self.write(id),
            30..40 => self.sync(id),
            40..50 => self.finish_cut(id),
            50..65 => self.ask(id),
            65..85 => self.fly(),
            85..91 => self.hear(id),
            91..94 => self.decide_isr(id),
            94..96 => self.step(id, Event::CheckIsr, &[]),
            96 => {
                self.millis += 20;
                self.step(id, Event::CheckFlush, &[]);
            }
            97 => self.crash(id),
            _ => self.restart(id),
        }
    }

    /// Everybody is up, hears everything, and nothing is lost any more.
    fn heal(&mut self) {
        for id in NODES {
            self.restart(id);
        }
        self.flights.clear();
        for _ in 0..200 {
            self.millis += 1;
            for id in NODES {
                let image = self.image.clone();
                if self.node(id).heard < image.partition_epoch {
                    self.apply(id, &image);
                }
                while !self.node(id).unwritten.is_empty() {
                    self.write(id);
                }
                self.sync(id);
                self.finish_cut(id);
                self.ask(id);
                for flight in std::mem::take(&mut self.flights) {
                    if let Flight::Ask { from, at } = flight {
                        self.serve(from, at);
                    }
                }
                for flight in std::mem::take(&mut self.flights) {
                    if let Flight::Answer { to, at, answer } = flight {
                        self.take_answer(to, at, &answer);
                    }
                }
                self.decide_isr(id);
            }
        }
    }

    fn check_converged(&self) {
        let [first, others @ ..] = self.nodes.as_slice() else { panic!("three nodes") };
        let batches = |node: &Node| -> Vec<BatchFacts> {
            node.files.0.iter().map(|(_, batch)| batch.clone()).collect()
        };
        for other in others {
            assert_eq!(batches(first), batches(other), "{} and {}", first.id, other.id);
        }
        first.holds(&self.acked);
        let ends = self.nodes.iter().map(|node| {
            let replica = node.replica.as_ref().expect("all are up");
            let (log, high_watermark) = (replica.log(), replica.high_watermark());
            let others = first.replica.as_ref().expect("all are up").log().image();
            assert_eq!(log.image().epochs, others.epochs);
            (log.log_end(), high_watermark)
        });
        for (log_end, high_watermark) in ends {
            assert_eq!(log_end, high_watermark, "all that is there is committed in the end");
        }
    }
}

impl Node {
    fn holds(&self, acked: &BTreeMap<i64, Offset>) {
        let held: BTreeMap<i64, Offset> = (self.files.0.iter())
            .map(|(_, batch)| (batch.base_timestamp.as_millis(), batch.base_offset))
            .collect();
        for (number, offset) in acked {
            assert_eq!(held.get(number), Some(offset), "node {} lost record {number}", self.id);
        }
    }

    /// The log as the next start of the process finds it.
    fn recovered(&mut self, config: Arc<LogConfig>, now: Timestamp) -> Log {
        let mut segments: Vec<SegmentListing> = Vec::new();
        for (segment, batch) in &self.files.0 {
            let size_bytes = u64::from(batch.size_bytes);
            match segments.last_mut().filter(|last| last.base_offset == *segment) {
                Some(last) => last.size_bytes += size_bytes,
                None => segments.push(SegmentListing {
                    base_offset: *segment,
                    size_bytes,
                    modified_at: Timestamp(0),
                    first_timestamp: Timestamp::NONE,
                    indexes: IndexListing::Missing,
                    transactions: TransactionListing::EMPTY,
                }),
            }
        }
        if segments.is_empty() {
            return Log::create(config, 0, Offset(0), now);
        }
        let listing = Listing {
            segments,
            snapshots: Vec::new(),
            recovery_point: self.synced.min(self.files.0.last().expect("some").1.next_offset()),
            log_start: Offset(0),
            is_clean: false,
            epochs: Default::default(),
        };
        self.files.recover(Recovery::new(config, 0, now, listing))
    }
}

/// The number stands in the base timestamp, so that each record is known again.
fn batch(count: i32, number: i64) -> BatchFacts {
    BatchFacts {
        base_offset: Offset(0),
        last_offset_delta: count - 1,
        record_count: count,
        size_bytes: count as u32 * 100,
        leader_epoch: LeaderEpoch::NONE,
        compression: Compression::None,
        timestamp_type: TimestampType::CreateTime,
        is_transactional: false,
        control: None,
        has_delete_horizon: false,
        base_timestamp: Timestamp(number),
        max_timestamp: Timestamp(number),
        max_timestamp_delta: 0,
        min_timestamp: Timestamp(number),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        first_keyless: None,
    }
}

fn live(seed: u64, loses_power: bool) -> World {
    let mut world = World::new(seed, loses_power);
    let first = world.image.clone();
    NODES.into_iter().for_each(|id| world.apply(id, &first));
    for _ in 0..3_000 {
        world.act();
    }
    world.heal();
    world.check_converged();
    world
}

#[test]
fn what_is_acknowledged_stays_and_logs_become_one() {
    let (mut acked, mut cuts, mut elections) = (0, 0, 0);
    for seed in asked::seeds(150) {
        for loses_power in [false, true] {
            let Ok(world) = std::panic::catch_unwind(|| live(seed, loses_power)) else {
                panic!(
                    "loses power: {loses_power}; replay: SEED={seed} cargo test \
                     -p strandline-replica --test simulation"
                );
            };
            acked += world.acked.len();
            (cuts, elections) = (cuts + world.cuts, elections + world.elections);
        }
    }
    if asked::is_ordinary() {
        // A world in which nothing happens proves nothing.
        assert!(acked > 3_000 && cuts > 300 && elections > 1_000, "{acked} {cuts} {elections}");
    }
}
