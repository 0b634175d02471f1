//! A cleaned log stands for the same table as the log it was made from, at every offset from the end
//! of the pass on; deleted keys stay deleted, offsets stay, and producers are remembered.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use strandline_log::clean::{BatchFate, CleanPlan, HashKey, Seen, Survey, SurveyLimits};
use strandline_log::{AbortedTransaction, ProducerSnapshot};
use strandline_types::{
    BatchFacts, Compression, ControlType, LeaderEpoch, Offset, ProducerEpoch, ProducerId,
    Timestamp, TimestampType,
};

const DELETE_RETENTION_MS: i64 = 100;
/// Segments begin at multiples of this.
const SEGMENT_OFFSETS: i64 = 8;

#[derive(Clone, PartialEq, Debug)]
struct Entry {
    offset: i64,
    key: Option<u8>,
    value: Option<i64>,
}

#[derive(Clone, PartialEq, Debug)]
struct Batch {
    facts: BatchFacts,
    entries: Vec<Entry>,
}

/// A log as a list of batches, what is known of it, and the same log as if it were never cleaned.
struct World {
    batches: Vec<Batch>,
    original: Vec<Batch>,
    aborted: Vec<AbortedTransaction>,
    open: BTreeMap<i64, i64>,
    producers: BTreeMap<i64, ProducerSnapshot>,
    cleaned_upto: i64,
    end: i64,
    now: i64,
}

#[derive(Clone, Debug)]
enum Op {
    /// Keys with values (tombstones without), by a producer (0 is none).
    Write {
        producer: i64,
        entries: Vec<(Option<u8>, bool)>,
    },
    End {
        producer: i64,
        commits: bool,
    },
    Wait(i64),
    /// With room for so many keys.
    Clean {
        keys: u64,
    },
}

fn see(entry: &Entry, hash_key: HashKey) -> Seen {
    Seen {
        offset: Offset(entry.offset),
        key: entry.key.map(|key| hash_key.stand_in(&[key])),
        has_value: entry.value.is_some(),
    }
}

fn op() -> impl Strategy<Value = Op> {
    let key = prop_oneof![12 => (0..12_u8).prop_map(Some), 1 => Just(None)];
    let entries = prop::collection::vec((key, prop::bool::weighted(0.7)), 1..5);
    prop_oneof![
        10 => (0..4_i64, entries).prop_map(|(producer, entries)| Op::Write { producer, entries }),
        4 => (1..3_i64, any::<bool>()).prop_map(|(producer, commits)| Op::End { producer, commits }),
        2 => (1..150_i64).prop_map(Op::Wait),
        3 => prop_oneof![1..8_u64, Just(1000)].prop_map(|keys| Op::Clean { keys }),
    ]
}

fn facts(base: i64, count: i32, producer: i64) -> BatchFacts {
    BatchFacts {
        base_offset: Offset(base),
        last_offset_delta: count - 1,
        record_count: count,
        size_bytes: 61,
        leader_epoch: LeaderEpoch(0),
        compression: Compression::None,
        timestamp_type: TimestampType::CreateTime,
        is_transactional: false,
        control: None,
        has_delete_horizon: false,
        base_timestamp: Timestamp(0),
        max_timestamp: Timestamp(0),
        max_timestamp_delta: 0,
        min_timestamp: Timestamp(0),
        producer_id: if producer == 0 { ProducerId::NONE } else { ProducerId(producer) },
        producer_epoch: ProducerEpoch(0),
        base_sequence: if producer == 0 { -1 } else { base as i32 },
        first_keyless: None,
    }
}

impl World {
    fn new() -> Self {
        Self {
            batches: Vec::new(),
            original: Vec::new(),
            aborted: Vec::new(),
            open: BTreeMap::new(),
            producers: BTreeMap::new(),
            cleaned_upto: 0,
            end: 0,
            now: 1_000,
        }
    }

    fn append(&mut self, facts: BatchFacts, entries: Vec<Entry>) {
        self.end = facts.next_offset().get();
        let batch = Batch { facts, entries };
        self.batches.push(batch.clone());
        self.original.push(batch);
    }

    fn remember(&mut self, producer: i64, last_offset: Option<i64>) {
        let known = self.producers.entry(producer).or_insert(ProducerSnapshot {
            producer_id: ProducerId(producer),
            epoch: ProducerEpoch(0),
            last_sequence: -1,
            last_offset: Offset(-1),
            offset_delta: 0,
            timestamp: Timestamp(0),
            coordinator_epoch: -1,
            transaction_first_offset: Offset(-1),
        });
        if let Some(last) = last_offset {
            known.last_offset = Offset(last);
        }
    }

    /// Producers 1 and 2 write transactions, 3 is idempotent only.
    fn write(&mut self, producer: i64, entries: &[(Option<u8>, bool)]) {
        let base = self.end;
        let numbered = entries.iter().zip(base..).map(|(&(key, has_value), offset)| Entry {
            offset,
            key,
            value: has_value.then_some(offset),
        });
        let entries: Vec<Entry> = numbered.collect();
        let mut facts = facts(base, entries.len() as i32, producer);
        facts.is_transactional = matches!(producer, 1 | 2);
        if facts.is_transactional {
            self.open.entry(producer).or_insert(base);
        }
        if producer > 0 {
            self.remember(producer, Some(facts.last_offset().get()));
        }
        self.append(facts, entries);
    }

    fn end_transaction(&mut self, producer: i64, commits: bool) {
        let first = self.open.remove(&producer);
        let mut facts = facts(self.end, 1, producer);
        facts.base_sequence = -1;
        facts.is_transactional = true;
        facts.control = Some(match commits {
            true => ControlType::Commit { coordinator_epoch: 0 },
            false => ControlType::Abort { coordinator_epoch: 0 },
        });
        if let (Some(first), false) = (first, commits) {
            self.aborted.push(AbortedTransaction {
                producer_id: ProducerId(producer),
                first_offset: Offset(first),
                last_offset: Offset(self.end),
                last_stable_offset: Offset(first),
            });
        }
        self.remember(producer, None);
        let marker = Entry { offset: self.end, key: None, value: None };
        self.append(facts, vec![marker]);
    }

    fn clean(&mut self, keys: u64) {
        let stable = self.open.values().copied().min().unwrap_or(self.end);
        let before = self.batches.clone();
        let plan = CleanPlan {
            segments: Vec::new(),
            first_dirty: Offset(self.cleaned_upto),
            first_uncleanable: Offset(stable),
            producers: self.producers.values().copied().collect(),
            now: Timestamp(self.now),
        };
        if stable <= self.cleaned_upto {
            return;
        }
        let limits = SurveyLimits { map_bytes: 16 * (keys + 1), load_factor: 0.95 };
        let mut survey = Survey::new(plan, limits, HashKey([3, 4]));
        let mut segment = None;
        for batch in before.iter().filter(|it| it.facts.base_offset < Offset(stable)) {
            for (base, aborted) in self.next_segments(&mut segment, batch) {
                survey.begin_segment(base, aborted);
            }
            if survey.begin_batch(&batch.facts) {
                let seen: Vec<Seen> =
                    batch.entries.iter().map(|it| see(it, survey.hash_key())).collect();
                survey.records(&seen);
            }
            survey.end_batch(&batch.facts);
            if survey.is_full() {
                break;
            }
        }
        let mut cleaning = survey.finish(DELETE_RETENTION_MS);
        let mut segment = None;
        let end = cleaning.end().get();
        assert!(end > self.cleaned_upto, "a pass makes way");
        let mut after = Vec::new();
        for mut batch in before.clone() {
            if batch.facts.base_offset >= Offset(stable) {
                after.push(batch);
                continue;
            }
            for (base, aborted) in self.next_segments(&mut segment, &batch) {
                cleaning.begin_segment(base, aborted);
            }
            let mut look = cleaning.begin_batch(&batch.facts);
            let mut kept = Vec::new();
            if look.needs_records() {
                let seen: Vec<Seen> =
                    batch.entries.iter().map(|it| see(it, cleaning.hash_key())).collect();
                cleaning.records(&mut look, &seen, &mut kept);
            }
            match cleaning.end_batch(&batch.facts, &look) {
                BatchFate::Whole => {}
                BatchFate::Rewritten { delete_horizon } => {
                    let mut kept = kept.into_iter();
                    batch.entries.retain(|_| kept.next() == Some(true));
                    if let Some(horizon) = delete_horizon {
                        batch.facts.has_delete_horizon = true;
                        batch.facts.base_timestamp = horizon;
                    }
                }
                BatchFate::Empty => {
                    batch.entries.clear();
                    batch.facts.has_delete_horizon = false;
                    batch.facts.control = batch.facts.control.map(|_| ControlType::Other(-1));
                }
                BatchFate::Gone => continue,
            }
            batch.facts.record_count = batch.entries.len() as i32;
            after.push(batch);
        }
        // What lies behind the plan keeps its index entries.
        let mut aborted = cleaning.take_aborted();
        aborted.extend(self.aborted.iter().filter(|it| it.last_offset >= Offset(stable)));
        self.check(&before, &after, &aborted, end);
        (self.batches, self.aborted, self.cleaned_upto) = (after, aborted, end);
    }

    /// The segments after the last one up to that of a batch, those too of which nothing is left:
    /// where each begins, and which aborted transactions have offsets in it.
    fn next_segments(
        &self,
        last: &mut Option<i64>,
        batch: &Batch,
    ) -> Vec<(Offset, Vec<AbortedTransaction>)> {
        let base = batch.facts.base_offset.get() / SEGMENT_OFFSETS * SEGMENT_OFFSETS;
        let next = last.map_or(base, |last| last + SEGMENT_OFFSETS);
        *last = Some(base);
        let with_aborted = |base: i64| {
            let reaches = |it: &&AbortedTransaction| {
                it.first_offset < Offset(base + SEGMENT_OFFSETS) && it.last_offset >= Offset(base)
            };
            (Offset(base), self.aborted.iter().filter(reaches).copied().collect())
        };
        (next..=base).step_by(SEGMENT_OFFSETS as usize).map(with_aborted).collect()
    }

    fn check(&self, before: &[Batch], after: &[Batch], aborted: &[AbortedTransaction], end: i64) {
        for upto in end..=self.end {
            assert_eq!(
                table(after, aborted, upto),
                table(&self.original, &self.all_aborted(), upto),
                "the table at {upto}"
            );
        }
        let entries = |batches: &[Batch]| -> BTreeMap<i64, Entry> {
            batches.iter().flat_map(|it| &it.entries).map(|it| (it.offset, it.clone())).collect()
        };
        let (earlier, later) = (entries(before), entries(after));
        for (offset, entry) in &later {
            assert_eq!(earlier.get(offset), Some(entry), "offset {offset} was made up");
        }
        for offset in earlier.range(end..).map(|(offset, _)| offset) {
            assert!(later.contains_key(offset), "offset {offset} lies behind the end of the pass");
        }
        for producer in self.producers.values().filter(|it| it.last_offset >= Offset::ZERO) {
            let is_last = |it: &Batch| {
                it.facts.producer_id == producer.producer_id
                    && it.facts.last_offset() == producer.last_offset
            };
            assert!(after.iter().any(is_last), "the last sequence of {producer:?} is gone");
            // The log may be cut at the end of the pass.
            let is_theirs = |it: &&Batch| {
                it.facts.producer_id == producer.producer_id && it.facts.control.is_none()
            };
            let stays = |it: &&Batch| is_theirs(it) && it.facts.next_offset() <= Offset(end);
            let last = |batches: &[Batch]| {
                batches.iter().rev().find(stays).map(|it| it.facts.last_offset())
            };
            assert_eq!(last(after), last(before), "the last sequence of {producer:?} before {end}");
        }
        assert!(after.is_sorted_by_key(|it| it.facts.base_offset));
        self.check_what_waits(before, after);
    }

    /// Tombstones and markers stay for those who have seen what they end.
    fn check_what_waits(&self, before: &[Batch], after: &[Batch]) {
        let all_aborted = self.all_aborted();
        let later: BTreeSet<i64> = after.iter().map(|it| it.facts.base_offset.get()).collect();
        let newest: BTreeMap<u8, i64> = committed(&self.original, &all_aborted)
            .filter_map(|it| Some((it.key?, it.offset)))
            .collect();
        for Batch { facts, entries } in before {
            let is_over = facts.has_delete_horizon && facts.base_timestamp <= Timestamp(self.now);
            let is_awaited = |it: &&Entry| {
                let is_newest = it.key.is_some_and(|key| newest.get(&key) == Some(&it.offset));
                facts.control.is_none() && it.value.is_none() && is_newest
            };
            for tombstone in entries.iter().filter(is_awaited).filter(|_| !is_over) {
                let is_there = after.iter().any(|it| it.entries.contains(tombstone));
                assert!(is_there, "{tombstone:?} went before its time");
            }
            let is_marker = facts.is_transactional && facts.control.is_some();
            let has_data = |it: &Batch| {
                let is_theirs = it.facts.producer_id == facts.producer_id;
                is_theirs && it.facts.is_transactional && it.facts.control.is_none()
            };
            // Of the last transaction of this producer before the marker, if any data is left.
            let ends = |it: &&Batch| it.facts.base_offset < facts.base_offset && has_data(it);
            let ended = after.iter().rev().find(ends).map(|it| it.facts.base_offset);
            let earlier = self.original.iter().rev().find(|it| {
                let is_theirs = it.facts.producer_id == facts.producer_id;
                let is_marker = is_theirs && it.facts.control.is_some();
                is_marker && it.facts.base_offset < facts.base_offset
            });
            let began = earlier.map_or(Offset(-1), |it| it.facts.base_offset);
            if is_marker && ended.is_some_and(|data| data > began) {
                let base_offset = facts.base_offset;
                assert!(later.contains(&base_offset.get()), "the marker at {base_offset} is gone");
            }
        }
    }

    fn all_aborted(&self) -> Vec<AbortedTransaction> {
        let mut first: BTreeMap<ProducerId, Offset> = BTreeMap::new();
        let mut all = Vec::new();
        for Batch { facts, .. } in &self.original {
            match facts.control {
                None if facts.is_transactional => {
                    first.entry(facts.producer_id).or_insert(facts.base_offset);
                }
                None => {}
                Some(control) => {
                    let began = first.remove(&facts.producer_id);
                    if let (Some(first_offset), ControlType::Abort { .. }) = (began, control) {
                        all.push(AbortedTransaction {
                            producer_id: facts.producer_id,
                            first_offset,
                            last_offset: facts.base_offset,
                            last_stable_offset: first_offset,
                        });
                    }
                }
            }
        }
        all
    }
}

/// What a reader of committed records sees.
fn committed<'a>(
    batches: &'a [Batch],
    aborted: &'a [AbortedTransaction],
) -> impl Iterator<Item = &'a Entry> {
    let is_aborted = |facts: &BatchFacts| {
        facts.is_transactional
            && aborted.iter().any(|it| {
                it.producer_id == facts.producer_id
                    && it.first_offset <= facts.base_offset
                    && facts.base_offset < it.last_offset
            })
    };
    let data = move |it: &&Batch| it.facts.control.is_none() && !is_aborted(&it.facts);
    batches.iter().filter(data).flat_map(|it| &it.entries)
}

/// What they add up to from the start to `upto`.
fn table(batches: &[Batch], aborted: &[AbortedTransaction], upto: i64) -> BTreeMap<u8, i64> {
    let mut table = BTreeMap::new();
    for entry in committed(batches, aborted).filter(|it| it.offset < upto) {
        match (entry.key, entry.value) {
            (Some(key), Some(value)) => _ = table.insert(key, value),
            (Some(key), None) => _ = table.remove(&key),
            (None, _) => {}
        }
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_cleaned_log_stands_for_the_same_table(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in ops {
            match op {
                Op::Write { producer, entries } => world.write(producer, &entries),
                Op::End { producer, commits } => world.end_transaction(producer, commits),
                Op::Wait(ms) => world.now += ms,
                Op::Clean { keys } => world.clean(keys),
            }
        }
    }
}

/// After two passes with enough time in between nothing is left but values, one per key.
#[test]
fn what_is_cleaned_long_enough_is_the_table() {
    let mut world = World::new();
    for round in 0..20 {
        let is_last = round == 19;
        world.write(1, &[(Some(1), true), (Some(2), true), (Some(3), is_last)]);
        world.end_transaction(1, round % 2 == 1);
        world.write(0, &[(Some(4), !is_last)]);
    }
    for _ in 0..3 {
        world.now += 2 * DELETE_RETENTION_MS;
        // Something new, without which there would be nothing to clean.
        world.write(0, &[(Some(5), true)]);
        world.clean(1_000);
    }
    let left: Vec<&Entry> = world.batches.iter().flat_map(|it| &it.entries).collect();
    let keys: BTreeSet<u8> = left.iter().filter_map(|it| it.key).collect();
    assert_eq!(keys, BTreeSet::from([1, 2, 3, 5]));
    let markers = world.batches.iter().filter(|it| it.facts.control.is_some()).count();
    assert_eq!((left.len(), markers), (5, 1), "one marker has data of its transaction before it");
}

/// An entry that is left over in an index, before real ones of the same producer.
#[test]
fn an_entry_of_an_index_speaks_of_its_own_offsets_alone() {
    let mut world = World::new();
    world.aborted.push(AbortedTransaction {
        producer_id: ProducerId(1),
        first_offset: Offset(0),
        last_offset: Offset(1),
        last_stable_offset: Offset(0),
    });
    world.write(0, &[(Some(1), true), (Some(2), true), (Some(3), true)]);
    world.write(1, &[(Some(4), true)]);
    world.end_transaction(1, true);
    world.write(1, &[(Some(5), true)]);
    world.end_transaction(1, false);
    world.clean(1_000);
    let keys = world.batches.iter().flat_map(|it| &it.entries).filter_map(|it| it.key);
    assert_eq!(keys.collect::<BTreeSet<u8>>(), BTreeSet::from([1, 2, 3, 4]));
    let first: Vec<Offset> = world.aborted.iter().map(|it| it.first_offset).collect();
    assert_eq!(first, [Offset(5)], "what is left over goes");
}
