//! What must hold whatever happens to three replicas: the high watermark never falls and never
//! passes what the in-sync replicas hold, and each request is answered once, truthfully.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use strandline_log::{EpochEnd, Log, LogConfig, Origin};
use strandline_replica::{
    Effect, Event, FetchAnswer, Fetched, FollowerChange, Followership, IsrAnswer, Leadership,
    NextFetch, Replica, ReplicaConfig, RequiredAcks, Ticket,
};
use strandline_types::{
    BatchFacts, BrokerEpoch, Compression, Instant, LeaderEpoch, NodeId, Now, Offset, ProducerEpoch,
    ProducerId, Timestamp, TimestampType,
};

mod files;

use files::Files;

#[derive(Clone, Debug)]
enum Op {
    Produce {
        all: bool,
        count: i32,
    },
    /// The oldest append that is not written yet.
    Write,
    Sync,
    Fetch {
        follower: i32,
        part: f64,
    },
    Seconds(u64),
    CheckIsr,
    IsrAnswer {
        commits: bool,
    },
    Expire,
    Lead {
        in_sync: Vec<i32>,
    },
    Follow,
    Alive {
        follower: i32,
        is_alive: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<bool>(), 1..4_i32).prop_map(|(all, count)| Op::Produce { all, count }),
        6 => Just(Op::Write),
        3 => Just(Op::Sync),
        8 => (2..4_i32, 0.0..=1.0_f64).prop_map(|(follower, part)| Op::Fetch { follower, part }),
        2 => (1..40_u64).prop_map(Op::Seconds),
        2 => Just(Op::CheckIsr),
        3 => any::<bool>().prop_map(|commits| Op::IsrAnswer { commits }),
        1 => Just(Op::Expire),
        1 => prop::sample::subsequence(vec![2, 3], 0..=2).prop_map(|in_sync| Op::Lead { in_sync }),
        1 => Just(Op::Follow),
        1 => (2..4_i32, any::<bool>())
            .prop_map(|(follower, is_alive)| Op::Alive { follower, is_alive }),
    ]
}

struct World {
    replica: Replica,
    flush_messages: i64,
    seconds: u64,
    epoch: i32,
    partition_epoch: i32,
    leads: bool,
    /// Ends of appends that are not written yet.
    unwritten: Vec<Offset>,
    syncing: Option<Offset>,
    synced: Offset,
    proposed: Option<Vec<NodeId>>,
    /// Furthest fetch of each follower in this leadership.
    fetched: BTreeMap<i32, Offset>,
    waiting: BTreeMap<Ticket, (Offset, bool)>,
    answered: BTreeSet<Ticket>,
}

impl World {
    fn new(flush_messages: i64) -> Self {
        let config = Arc::new(LogConfig { flush_messages, ..LogConfig::default() });
        let log = Log::create(config, 0, Offset(0), Timestamp(0));
        let config =
            ReplicaConfig { min_in_sync_replicas: 2, lag_time_max: Duration::from_secs(30) };
        Self {
            replica: Replica::new(NodeId(1), config, log, Offset(0)),
            flush_messages,
            seconds: 100,
            epoch: 0,
            partition_epoch: 0,
            leads: false,
            unwritten: Vec::new(),
            syncing: None,
            synced: Offset(0),
            proposed: None,
            fetched: BTreeMap::new(),
            waiting: BTreeMap::new(),
            answered: BTreeSet::new(),
        }
    }

    fn step(&mut self, event: Event<'_>) {
        let now = Now {
            instant: Instant::from_nanos(self.seconds * 1_000_000_000),
            timestamp: Timestamp(self.seconds as i64 * 1000),
        };
        let before = self.replica.high_watermark();
        let mut effects = Vec::new();
        self.replica.step(now, event, &mut effects);
        for effect in effects {
            self.take(effect);
        }
        let after = self.replica.high_watermark();
        assert!(before <= after, "REPL-1");
        if before < after {
            self.check_committed(after);
        }
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::Append(plan) => self.unwritten.push(plan.appended.next_offset),
            Effect::Sync(plan) => {
                assert!(self.syncing.is_none(), "one sync at a time");
                self.syncing = Some(plan.upto);
            }
            Effect::AlterIsr { partition_epoch, in_sync, .. } => {
                assert_eq!(partition_epoch, self.partition_epoch);
                assert!(in_sync.iter().any(|member| member.node == NodeId(1)), "a leader stays");
                self.proposed = Some(in_sync.iter().map(|member| member.node).collect());
            }
            Effect::Answer { ticket, answer } => {
                assert!(self.answered.insert(ticket), "{ticket:?} is answered once");
                let waiting = self.waiting.remove(&ticket);
                if let (Ok(answer), Some((_, all))) = (answer, waiting) {
                    let end = answer.appended.next_offset;
                    assert!(end <= self.replica.log().written_end(), "what is acked is written");
                    assert!(!all || end <= self.replica.high_watermark(), "and committed");
                    assert!(self.flush_messages > 1 || end <= self.synced, "and durable");
                }
            }
            _ => {}
        }
    }

    /// The high watermark has just risen to `end`.
    fn check_committed(&self, end: Offset) {
        let in_sync = self.replica.in_sync();
        assert!(in_sync.len() >= 2, "below the minimum nothing is committed");
        assert!(end <= self.replica.log().written_end(), "REPL-2");
        assert!(self.flush_messages > 1 || end <= self.synced, "a leader counts what it synced");
        let proposed = self.proposed.iter().flatten();
        for node in in_sync.iter().chain(proposed).filter(|node| node.0 != 1) {
            let has = self.fetched.get(&node.0).copied().unwrap_or(Offset(0));
            assert!(has >= end, "{node} holds {has}, the high watermark is {end}");
        }
    }

    fn lead(&mut self, in_sync: &[i32]) {
        self.epoch += 1;
        self.partition_epoch += 1;
        self.leads = true;
        self.proposed = None;
        self.fetched.clear();
        let leadership = Leadership {
            leader_epoch: LeaderEpoch(self.epoch),
            partition_epoch: self.partition_epoch,
            replicas: vec![NodeId(1), NodeId(2), NodeId(3)],
            in_sync: [1].iter().chain(in_sync).map(|&id| NodeId(id)).collect(),
        };
        self.step(Event::BecomeLeader(leadership));
    }

    fn run(&mut self, number: u64, op: &Op) {
        match op {
            Op::Produce { all, count } => self.produce(Ticket(number), *all, *count),
            Op::Write => {
                if !self.unwritten.is_empty() {
                    let upto = self.unwritten.remove(0);
                    self.step(Event::Written { upto });
                }
            }
            Op::Sync => {
                if let Some(upto) = self.syncing.take() {
                    self.synced = self.synced.max(upto);
                    self.step(Event::Synced { upto });
                }
            }
            Op::Fetch { follower, part } => {
                let known = self.fetched.get(follower).copied().unwrap_or(Offset(0));
                let end = self.replica.log().written_end();
                let log_end = Offset(known.0 + ((end.0 - known.0) as f64 * part) as i64);
                if self.leads {
                    self.fetched.insert(*follower, log_end);
                }
                self.step(Event::FollowerFetched {
                    follower: NodeId(*follower),
                    broker_epoch: BrokerEpoch(1),
                    log_start: Offset(0),
                    log_end,
                });
            }
            Op::Seconds(seconds) => self.seconds += seconds,
            Op::CheckIsr => self.step(Event::CheckIsr),
            Op::IsrAnswer { commits } => {
                let Some(in_sync) = self.proposed.take() else { return };
                let answer = if *commits {
                    self.partition_epoch += 1;
                    let (leader_epoch, partition_epoch) =
                        (LeaderEpoch(self.epoch), self.partition_epoch);
                    IsrAnswer::Committed { leader_epoch, partition_epoch, in_sync }
                } else {
                    IsrAnswer::Refused
                };
                self.step(Event::IsrAnswered(answer));
            }
            Op::Expire => {
                if let Some((&ticket, _)) = self.waiting.iter().next() {
                    self.waiting.remove(&ticket);
                    self.step(Event::Expired(ticket));
                    self.answered.insert(ticket);
                }
            }
            Op::Lead { in_sync } => self.lead(in_sync),
            Op::Follow => {
                self.epoch += 1;
                self.partition_epoch += 1;
                self.leads = false;
                self.proposed = None;
                self.step(Event::BecomeFollower(Followership {
                    leader: NodeId(2),
                    leader_epoch: LeaderEpoch(self.epoch),
                    partition_epoch: self.partition_epoch,
                    is_in_sync: true,
                }));
                assert!(self.waiting.is_empty(), "nobody waits for a former leader");
            }
            Op::Alive { follower, is_alive } => {
                self.step(Event::FollowerChanged(FollowerChange {
                    follower: NodeId(*follower),
                    is_alive: *is_alive,
                    may_join_isr: *is_alive,
                }));
            }
        }
    }

    fn produce(&mut self, ticket: Ticket, all: bool, count: i32) {
        let required_acks = if all { RequiredAcks::All } else { RequiredAcks::Leader };
        let batches = [batch(count, Timestamp(self.seconds as i64 * 1000))];
        let origin = Origin::Leader;
        self.waiting.insert(ticket, (self.replica.log().log_end() + i64::from(count), all));
        self.step(Event::Append { ticket, batches: &batches, required_acks, origin });
    }
}

fn batch(count: i32, timestamp: Timestamp) -> BatchFacts {
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
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        max_timestamp_delta: 0,
        min_timestamp: timestamp,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        first_keyless: None,
    }
}

/// Offsets near those that make sense, and far from them.
fn any_offset() -> impl Strategy<Value = Offset> {
    prop_oneof![
        6 => 0..40_i64,
        1 => Just(-1),
        1 => Just(i64::MAX),
        1 => i64::MAX - 3_000_000_000..i64::MAX,
        1 => any::<i64>(),
    ]
    .prop_map(Offset)
}

#[derive(Clone, Debug)]
enum Told {
    Records { batches: Vec<(Offset, i32, i32)>, high_watermark: Offset, log_start: Offset },
    Diverging { epoch: i32, end: Offset },
    OutOfRange { log_start: Offset, log_end: Offset },
}

/// What a leader may say that is broken, or no leader.
fn told() -> impl Strategy<Value = Told> {
    let delta = prop_oneof![4 => 0..4_i32, 1 => any::<i32>()];
    let epoch = prop_oneof![4 => -1..6_i32, 1 => any::<i32>()];
    let batches = prop::collection::vec((any_offset(), delta, epoch.clone()), 0..4);
    prop_oneof![
        4 => (batches, any_offset(), any_offset()).prop_map(|(batches, high_watermark, log_start)| {
            Told::Records { batches, high_watermark, log_start }
        }),
        // The next batches in order, so that something grows.
        4 => (prop::collection::vec(0..4_i32, 1..3), any_offset(), 0..6_i32).prop_map(
            |(deltas, high_watermark, epoch)| {
                let batches = deltas.iter().map(|&delta| (Offset(-7), delta, epoch)).collect();
                Told::Records { batches, high_watermark, log_start: Offset(0) }
            }
        ),
        2 => (epoch, any_offset()).prop_map(|(epoch, end)| Told::Diverging { epoch, end }),
        1 => (any_offset(), any_offset())
            .prop_map(|(log_start, log_end)| Told::OutOfRange { log_start, log_end }),
    ]
}

/// A follower whose shell does at once what it asks for.
struct Copy {
    replica: Replica,
    files: Files,
}

impl Copy {
    fn hears(&mut self, told: &Told) {
        let NextFetch::From(at) = self.replica.next_fetch() else { panic!("nothing is under way") };
        let mut next = self.replica.log().log_end();
        let (mut facts, mut told_range) = (Vec::new(), (Offset(0), Offset(0)));
        if let Told::Records { batches, high_watermark, log_start } = told {
            told_range = (*high_watermark, *log_start);
            for &(base, delta, epoch) in batches {
                let base_offset = if base == Offset(-7) { next } else { base };
                next = base_offset.checked_add(i64::from(delta) + 1).unwrap_or(next);
                facts.push(BatchFacts {
                    base_offset,
                    last_offset_delta: delta,
                    leader_epoch: LeaderEpoch(epoch),
                    ..batch(1, Timestamp(1))
                });
            }
        }
        let answer = match told {
            Told::Records { .. } => {
                let (high_watermark, log_start) = told_range;
                FetchAnswer::Records { batches: &facts, high_watermark, log_start }
            }
            Told::Diverging { epoch, end } => {
                FetchAnswer::Diverging(EpochEnd { epoch: LeaderEpoch(*epoch), end: *end })
            }
            Told::OutOfRange { log_start, log_end } => {
                FetchAnswer::OutOfRange { log_start: *log_start, log_end: *log_end }
            }
        };
        let (leader_epoch, offset) = (at.leader_epoch, at.offset);
        self.step(Event::Fetched(Fetched { leader_epoch, offset, answer }), &facts);
    }

    fn step(&mut self, event: Event<'_>, facts: &[BatchFacts]) {
        let now = Now { instant: Instant::from_nanos(1), timestamp: Timestamp(1) };
        let mut effects = Vec::new();
        self.replica.step(now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Append(plan) => {
                    let count = (plan.size_bytes / 100) as usize;
                    self.files.append(plan.segment, facts[..count].iter().cloned());
                    self.step(Event::Written { upto: plan.appended.next_offset }, &[]);
                }
                Effect::Sync(plan) => self.step(Event::Synced { upto: plan.upto }, &[]),
                Effect::Cut(cut) => {
                    let log = self.files.cut(self.replica.log(), cut);
                    self.step(Event::Cut(log.into()), &[]);
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn no_leader_can_break_a_follower(
        tellings in prop::collection::vec(told(), 1..20),
        is_in_sync in any::<bool>(),
    ) {
        let config = Arc::new(LogConfig { segment_bytes: 300, ..LogConfig::default() });
        let log = Log::create(config, 0, Offset(0), Timestamp(0));
        let config = ReplicaConfig::default();
        let replica = Replica::new(NodeId(1), config, log, Offset(0));
        let mut copy = Copy { replica, files: Files::default() };
        let followership = Followership {
            leader: NodeId(2),
            leader_epoch: LeaderEpoch(4),
            partition_epoch: 0,
            is_in_sync,
        };
        copy.step(Event::BecomeFollower(followership), &[]);
        for told in &tellings {
            let before = copy.replica.view();
            // A leader's high watermark lies between batches.
            let mut ends = copy.files.0.iter().map(|(_, batch)| batch.next_offset());
            let is_sound = ends.any(|end| end == before.high_watermark);
            copy.hears(told);
            let after = copy.replica.view();
            // What is in the files is what the log says.
            let end = copy.files.0.last().map(|(_, last)| last.next_offset());
            prop_assert!(end.is_none_or(|end| end == after.log_end), "{end:?} {after:?}");
            let kept = copy.files.0.iter().map(|(_, batch)| batch);
            let kept = kept.filter(|batch| batch.base_offset >= after.log_start);
            let epochs = kept.map(|batch| batch.leader_epoch);
            prop_assert!(epochs.clone().is_sorted() && epochs.max() <= Some(LeaderEpoch(4)));
            let lost = after.high_watermark < before.high_watermark;
            let is_empty = before.log_start == before.log_end;
            prop_assert!(!lost || !is_in_sync || is_empty || !is_sound, "REPL-4");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_high_watermark_tells_the_truth(
        ops in prop::collection::vec(op(), 1..120),
        syncs in any::<bool>(),
    ) {
        let mut world = World::new(if syncs { 1 } else { i64::MAX });
        world.lead(&[2, 3]);
        for (number, op) in ops.iter().enumerate() {
            world.run(number as u64, op);
        }
        // Everything arrives in the end: whoever still waits is answered.
        world.lead(&[2, 3]);
        for op in [Op::Write, Op::Sync].iter().cycle().take(3 * ops.len() + 6) {
            world.run(0, op);
        }
        for follower in [2, 3] {
            world.run(0, &Op::Fetch { follower, part: 1.0 });
        }
        prop_assert_eq!(world.replica.high_watermark(), world.replica.log().log_end());
        prop_assert!(world.waiting.is_empty(), "{:?}", world.waiting);
    }
}
