//! What must hold for every history: offsets are dense, producers are deduplicated as by a list of
//! everything they ever sent, and no crash loses what was synced or leaves a hole.

mod files;

use std::collections::BTreeMap;
use std::sync::Arc;

use files::{Files, batch, from_producer, marker, now};
use proptest::prelude::*;
use strandline_log::{
    AbortedTransaction, AdmitRefusal, Admitted, Log, LogConfig, Origin, ProducerStates,
};
use strandline_types::{BatchFacts, ControlType, Offset, ProducerId};

fn small() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 300,
        verifies_transactions: false,
        ..LogConfig::default()
    })
}

#[derive(Clone, Debug)]
enum Op {
    /// From a producer (0 is none): the next batch, or with `back` the one sent so long ago, or with
    /// `skip` one too far ahead.
    Produce {
        producer: i64,
        count: i32,
        back: usize,
        skip: bool,
    },
    /// In a transaction, by a producer that writes nothing else.
    Transact {
        producer: i64,
        count: i32,
    },
    /// Whether there is a transaction or not.
    End {
        producer: i64,
        commits: bool,
    },
    /// Everything but so many batches is committed.
    Commit {
        behind: usize,
    },
    Sync,
    NewLeader,
    Tick,
}

/// Producers of transactions are numbered behind the others.
const TRANSACTIONAL: i64 = 4;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..4_i64, 1..5_i32, prop_oneof![4 => Just(0_usize), 1 => 1..8_usize], prop::bool::weighted(0.1))
            .prop_map(|(producer, count, back, skip)| Op::Produce { producer, count, back, skip }),
        4 => (0..3_i64, 1..4_i32)
            .prop_map(|(producer, count)| Op::Transact { producer, count }),
        3 => (0..3_i64, prop::bool::ANY)
            .prop_map(|(producer, commits)| Op::End { producer, commits }),
        2 => (0..6_usize).prop_map(|behind| Op::Commit { behind }),
        1 => Just(Op::Sync),
        1 => Just(Op::NewLeader),
        2 => Just(Op::Tick),
    ]
}

/// A log beside everything that each producer ever sent.
struct World {
    config: Arc<LogConfig>,
    files: Files,
    log: Log,
    epoch: i32,
    now: i64,
    sent: [Vec<(BatchFacts, Offset)>; 7],
    stored: Vec<(Offset, i32)>,
    committed: Offset,
}

impl World {
    fn new() -> Self {
        let config = small();
        Self {
            log: Log::create(Arc::clone(&config), 0, Offset(0), now(1000).timestamp),
            config,
            files: Files::create(Offset(0)),
            epoch: 0,
            now: 1000,
            sent: Default::default(),
            stored: Vec::new(),
            committed: Offset(0),
        }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Produce { producer, count, back, skip } => {
                self.produce(producer, count, back, skip);
            }
            Op::Transact { producer, count } => {
                let producer = TRANSACTIONAL + producer;
                let last = self.sent[producer as usize].last();
                let next = last.map_or(0, |(last, _)| last.last_sequence() + 1);
                let mut batch = from_producer(batch(count, self.now), producer, 0, next);
                batch.is_transactional = true;
                self.expect_append(batch, producer as usize);
            }
            Op::End { producer, commits } => {
                let marker = marker(TRANSACTIONAL + producer, 0, commits, 0);
                self.expect_append(marker, 0);
            }
            Op::Commit { behind } => {
                let batches = self.files.batches();
                let upto = batches.len().saturating_sub(behind);
                let end = batches.get(upto).map_or(self.log.written_end(), |it| it.base_offset);
                self.committed = self.committed.max(end);
                self.log.committed(self.committed);
            }
            Op::Sync => {
                if let Some(plan) = self.log.plan_sync(self.log.written_end()) {
                    self.files.sync(&mut self.log, now(self.now), &plan);
                }
            }
            Op::NewLeader => self.epoch += 1,
            Op::Tick => self.now += 7,
        }
        let (_, unstable) = transactions(&self.files.batches(), self.committed);
        assert_eq!(self.log.first_unstable(), unstable);
    }

    fn produce(&mut self, producer: i64, count: i32, back: usize, skip: bool) {
        let fresh = batch(count, self.now);
        if producer == 0 {
            return self.expect_append(fresh, 0);
        }
        let known = self.sent[producer as usize].clone();
        let next = known
            .last()
            .map_or(i32::MAX - 3, |(last, _)| last.last_sequence().checked_add(1).unwrap_or(0));
        if back > 0 && back <= known.len() {
            let (repeated, offset) = known[known.len() - back].clone();
            let answer = self.files.append(&mut self.log, now(self.now), &[repeated], self.epoch);
            match answer {
                Ok(Admitted::Duplicate(first)) => {
                    assert!(back <= 5, "only five batches are remembered");
                    assert_eq!(first.base_offset, offset);
                }
                Err(AdmitRefusal::OutOfOrderSequence { .. }) => assert!(back > 5),
                other => panic!("a repeated batch: {other:?}"),
            }
        } else if skip && !known.is_empty() {
            let gap = from_producer(fresh, producer, 0, next.checked_add(3).unwrap_or(2));
            let answer = self.files.append(&mut self.log, now(self.now), &[gap], self.epoch);
            assert!(matches!(answer, Err(AdmitRefusal::OutOfOrderSequence { .. })), "{answer:?}");
        } else {
            self.expect_append(from_producer(fresh, producer, 0, next), producer as usize);
        }
    }

    fn expect_append(&mut self, batch: BatchFacts, producer: usize) {
        let end = self.stored.last().map_or(Offset(0), |&(first, count)| first + i64::from(count));
        let batches = [batch];
        let origin = match batches[0].control {
            Some(_) => Origin::Marker { bumps_epoch: false },
            None => Origin::Leader,
        };
        let now = now(self.now);
        match self.files.append_from(&mut self.log, now, &batches, self.epoch, origin) {
            Ok(Admitted::Append(admission)) => {
                assert_eq!(admission.appended.base_offset, end, "offsets are dense");
                assert_eq!(self.log.log_end(), end + i64::from(batches[0].record_count));
            }
            other => panic!("a fresh batch: {other:?}"),
        }
        self.stored.push((end, batches[0].record_count));
        let [batch] = batches;
        if producer > 0 {
            self.sent[producer].push((batch, end));
        }
    }
}

/// By looking at everything: the aborted transactions, and where the first one begins that is open or
/// whose marker is not committed.
fn transactions(
    batches: &[BatchFacts],
    committed: Offset,
) -> (Vec<AbortedTransaction>, Option<Offset>) {
    let mut open: BTreeMap<ProducerId, Offset> = BTreeMap::new();
    let mut decided = Vec::new();
    let mut aborted = Vec::new();
    for batch in batches.iter().filter(|batch| batch.is_transactional) {
        let Some(control) = batch.control else {
            open.entry(batch.producer_id).or_insert(batch.base_offset);
            continue;
        };
        let Some(first_offset) = open.remove(&batch.producer_id) else { continue };
        let last_offset = batch.base_offset;
        decided.push((first_offset, last_offset));
        if matches!(control, ControlType::Abort { .. }) {
            let last_stable_offset = open.values().min().copied().unwrap_or(last_offset + 1);
            let producer_id = batch.producer_id;
            aborted.push(AbortedTransaction {
                producer_id,
                first_offset,
                last_offset,
                last_stable_offset,
            });
        }
    }
    let waiting = decided.into_iter().filter(|(_, marker)| *marker >= committed);
    let unstable = open.into_values().chain(waiting.map(|(first, _)| first)).min();
    (aborted, unstable)
}

/// Replays batches from nothing.
fn replayed(batches: &[BatchFacts]) -> ProducerStates {
    let mut newest: BTreeMap<ProducerId, strandline_log::ProducerSnapshot> = BTreeMap::new();
    for batch in batches.iter().filter(|batch| batch.is_idempotent()) {
        let entry = newest.entry(batch.producer_id).or_insert(strandline_log::ProducerSnapshot {
            producer_id: batch.producer_id,
            epoch: batch.producer_epoch,
            last_sequence: -1,
            last_offset: Offset(-1),
            offset_delta: 0,
            timestamp: batch.max_timestamp,
            coordinator_epoch: -1,
            transaction_first_offset: Offset(-1),
        });
        entry.timestamp = batch.max_timestamp;
        if batch.control.is_some() {
            entry.coordinator_epoch = 0;
            entry.transaction_first_offset = Offset(-1);
            continue;
        }
        entry.last_sequence = batch.last_sequence();
        entry.last_offset = batch.last_offset();
        entry.offset_delta = batch.last_offset_delta;
        if batch.is_transactional && entry.transaction_first_offset == Offset(-1) {
            entry.transaction_first_offset = batch.base_offset;
        }
    }
    let entries: Vec<_> = newest.into_values().collect();
    ProducerStates::from_snapshot(&entries, now(1000).timestamp, i64::MAX)
}

fn assert_recovered(before: &[BatchFacts], after: &Files, log: &Log) {
    let left = after.batches();
    assert_eq!(left.as_slice(), &before[..left.len()], "a prefix of what was written");
    let end = left.last().map_or(Offset(0), BatchFacts::next_offset);
    assert_eq!(log.log_end(), end, "the log ends with its last batch");
    assert_eq!(log.producers().snapshot(), replayed(&left).snapshot(), "as if replayed from zero");
    let (aborted, _) = transactions(&left, end);
    let stored = after.segments.values().flat_map(|file| &file.aborted);
    assert_eq!(stored.copied().collect::<Vec<_>>(), aborted, "every abort is remembered");
    for batch in &left {
        assert_eq!(log.epoch_of(batch.base_offset), Some(batch.leader_epoch));
    }
    for (file, segment) in after.segments.values().zip(log.segments()) {
        assert_eq!(file.size_bytes(), segment.size_bytes, "LOG-5: positions are sums of sizes");
        assert_eq!(file.index.len() as u32, segment.index_entries);
        assert_eq!(file.time_index.len() as u32, segment.time_index_entries);
        assert_eq!(file.aborted.len() as u32, segment.aborted_transactions);
    }
    assert_eq!(after.segments.len(), log.segments().len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn admissions_agree_with_a_list(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
        }
        let stored: Vec<(Offset, i32)> =
            world.files.batches().iter().map(|b| (b.base_offset, b.record_count)).collect();
        prop_assert_eq!(&stored, &world.stored);
        prop_assert_eq!(
            world.log.size_bytes(),
            world.files.segments.values().map(|file| u64::from(file.size_bytes())).sum::<u64>()
        );
    }

    /// A power loss takes any part of what was not synced, from any file, and may tear a batch.
    #[test]
    fn no_crash_loses_what_was_synced(
        ops in prop::collection::vec(op(), 1..80),
        cuts in prop::collection::vec((0.0..1.0_f64, prop::bool::ANY), 40),
        lost_snapshots in prop::collection::vec(prop::bool::ANY, 40),
        checkpoint_is_old in prop::bool::ANY,
        more in prop::collection::vec(op(), 1..10),
    ) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
        }
        let before = world.files.batches();
        let synced = world.log.recovery_point();
        for (file, &(keep, tears)) in world.files.segments.values_mut().zip(&cuts) {
            let unsynced = file.batches.len() - file.synced;
            let kept = file.synced + (keep * (unsynced + 1) as f64) as usize;
            if kept < file.batches.len() {
                file.batches.truncate(kept);
                file.torn_bytes = if tears { 40 } else { 0 };
                file.has_indexes = !tears;
                if tears {
                    file.aborted.pop();
                }
            }
        }
        let mut lost = lost_snapshots.iter();
        world.files.snapshots.retain(|&at, _| at <= synced || !lost.next().unwrap_or(&false));
        if checkpoint_is_old {
            world.files.recovery_point = Offset(0);
        }
        let config = Arc::clone(&world.config);
        let recovered = world.files.recover(&config, now(1000), false).expect("nothing durable is damaged");
        prop_assert!(recovered.log.log_end() >= synced, "everything synced is there");
        assert_recovered(&before, &world.files, &recovered.log);

        let again = world.files.recover(&config, now(1000), false).expect("repaired files are whole");
        prop_assert_eq!(again.log.log_end(), recovered.log.log_end());
        assert_recovered(&before, &world.files, &again.log);

        world.log = again.log;
        world.committed = world.log.log_end();
        world.log.committed(world.committed);
        world.stored = world.files.batches().iter().map(|b| (b.base_offset, b.record_count)).collect();
        for sent in &mut world.sent {
            let end = world.log.log_end();
            sent.retain(|&(_, offset)| offset < end);
            // A reload remembers one batch per producer.
            sent.drain(..sent.len().saturating_sub(1));
        }
        for op in &more {
            world.run(op);
        }
    }

    #[test]
    fn a_clean_stop_forgets_nothing(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
        }
        let before = world.files.batches();
        let plan = world.log.plan_close();
        world.files.close(&mut world.log, now(1000), &plan);
        let config = Arc::clone(&world.config);
        let recovered = world.files.recover(&config, now(1000), true).expect("nothing is damaged");
        prop_assert_eq!(recovered.log.log_end(), world.log.log_end());
        prop_assert!(recovered.repair.truncate.is_none() && recovered.repair.delete_segments.is_empty());
        prop_assert_eq!(world.files.scanned.len(), 1, "only the active segment is read");
        assert_recovered(&before, &world.files, &recovered.log);
    }

    #[test]
    fn truncation_leaves_the_batches_before_it(
        ops in prop::collection::vec(op(), 1..80),
        part in 0.0..1.0_f64,
        unwritten in 0..3_usize,
    ) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
        }
        let before = world.files.batches();
        let target = Offset((part * (world.log.log_end().0 + 1) as f64) as i64);
        for _ in 0..unwritten {
            // Admitted, and then the disk was full: the files know nothing of these.
            let fresh = from_producer(batch(4, 1000), 99, 0, 0);
            let _ = world.log.admit(now(1000), &[fresh], strandline_log::Origin::Leader, 50.into());
        }
        let snapshots = world.files.snapshots.keys().copied().collect();
        let recovery = world.log.truncate_to(target, snapshots, now(1000).timestamp);
        let recovered = world.files.run(recovery).expect("the files are whole");
        prop_assert!(recovered.log.log_end() <= target);
        prop_assert!(world.files.scanned.len() <= 1, "only the segment that is cut is read");
        let next = before.iter().find(|batch| batch.base_offset == recovered.log.log_end());
        prop_assert!(next.is_none_or(|next| next.next_offset() > target), "no more than asked");
        assert_recovered(&before, &world.files, &recovered.log);
    }
}
