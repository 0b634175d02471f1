//! The oracle: what clients were told and what they read must be one history that a Kafka may show.
//!
//! Every value is sent under its own number, so that a single reading says who sent what when.
//! Invariants, by their numbers in ARCHITECTURE.md:
//!
//! - WORLD-1: an acked record stays. After a power loss this holds for partitions that sync each
//!   message; others lose a tail, never something in the middle.
//! - WORLD-2: an offset holds one value for good, in what is acked and in what is read.
//! - WORLD-3: a value stands at one offset (idempotent producers repeat theirs).
//! - WORLD-4: what one producer sent stands in the order in which it was sent.
//! - WORLD-5: offsets are dense, and a reader meets them in order.
//! - WORLD-6: what is read was sent, and not refused.
//! - WORLD-7: every batch served has its checksum.
//! - WORLD-8: nothing is served from beyond the high watermark, which a connection never sees go back.
//! - WORLD-9: a topic whose creation was acked stays, under its id.
//! - WORLD-10: a healthy broker answers; it starts again after every fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who sent a value, and the how-manieth of theirs it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    pub producer: u32,
    pub number: u32,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.producer, self.number)
    }
}

/// A topic by its place in the scenario, and a partition of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionKey {
    pub topic: usize,
    pub index: i32,
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}-{}", self.topic, self.index)
    }
}

/// A broken invariant, with what broke it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

/// Everything that is known of one partition.
#[derive(Default)]
struct History {
    syncs_each_message: bool,
    /// What stands where, as acked or read.
    values: BTreeMap<i64, Value>,
    offsets: BTreeMap<Value, i64>,
    acked: BTreeSet<i64>,
    sent: BTreeSet<Value>,
    refused: BTreeSet<Value>,
}

/// All histories, and what is wrong with them.
#[derive(Default)]
pub struct Oracle {
    partitions: BTreeMap<PartitionKey, History>,
    violations: Vec<Violation>,
    pub acked: u64,
    pub read: u64,
}

impl Oracle {
    /// Begins the history of a partition. `syncs_each_message`: an ack means that the record has
    /// survived a power loss.
    pub fn begin(&mut self, key: PartitionKey, syncs_each_message: bool) {
        let history = History { syncs_each_message, ..History::default() };
        self.partitions.insert(key, history);
    }

    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub fn violate(&mut self, invariant: &'static str, detail: String) {
        self.violations.push(Violation { invariant, detail });
    }

    /// A value is about to be sent.
    pub fn sent(&mut self, key: PartitionKey, value: Value) {
        self.history(key).sent.insert(value);
    }

    /// The broker has said that it will not take a value, and it was sent only once.
    pub fn refused(&mut self, key: PartitionKey, value: Value) {
        let history = self.history(key);
        history.refused.insert(value);
        if let Some(offset) = history.offsets.get(&value).copied() {
            self.violate("WORLD-6", format!("{key:?}: {value:?} at {offset} was refused"));
        }
    }

    /// The broker has said that the values stand from `base_offset` on.
    pub fn acked(&mut self, key: PartitionKey, base_offset: i64, values: &[Value]) {
        for (offset, value) in (base_offset..).zip(values) {
            self.acked += 1;
            self.learn(key, offset, *value, "acked");
            self.history(key).acked.insert(offset);
        }
    }

    /// A value was read.
    pub fn read(&mut self, key: PartitionKey, offset: i64, value: Value) {
        self.read += 1;
        let history = self.history(key);
        if !history.sent.contains(&value) || history.refused.contains(&value) {
            self.violate("WORLD-6", format!("{key:?}: nobody sent {value:?}, read at {offset}"));
        }
        self.learn(key, offset, value, "read");
    }

    /// After a power loss the log ends here, and what the partition did not promise to keep may be
    /// sent anew from here on. The whole log has been read up to it.
    pub fn recovered(&mut self, key: PartitionKey, end: i64) {
        let history = self.history(key);
        if history.syncs_each_message {
            return;
        }
        for value in history.values.split_off(&end).into_values() {
            history.offsets.remove(&value);
        }
        history.acked.split_off(&end);
    }

    /// The log of a partition, read from beginning to end: nothing acked may be missing, and every
    /// producer's values stand in order.
    pub fn check_whole(&mut self, key: PartitionKey, log: &[(i64, Value)]) {
        let there: BTreeSet<i64> = log.iter().map(|(offset, _)| *offset).collect();
        let history = self.history(key);
        let lost: Vec<(i64, Value)> = history
            .acked
            .difference(&there)
            .filter_map(|offset| Some((*offset, *history.values.get(offset)?)))
            .collect();
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            let end = log.last().map(|(offset, _)| offset + 1);
            let detail = format!(
                "{key:?}: {} acked values lost, {first:?} to {last:?}; the log ends at {end:?}",
                lost.len()
            );
            self.violate("WORLD-1", detail);
        }
        let mut last: BTreeMap<u32, (u32, i64)> = BTreeMap::new();
        for (offset, Value { producer, number }) in log {
            let before = last.insert(*producer, (*number, *offset));
            if let Some((earlier, at)) = before.filter(|(earlier, _)| earlier >= number) {
                let detail = format!(
                    "{key:?}: {producer}:{number} at {offset} after {producer}:{earlier} at {at}"
                );
                self.violate("WORLD-4", detail);
            }
        }
    }

    /// How many acked values each partition holds.
    pub fn acks_of(&self, keys: &[PartitionKey]) -> Vec<usize> {
        keys.iter().map(|key| self.partitions.get(key).map_or(0, |it| it.acked.len())).collect()
    }

    fn learn(&mut self, key: PartitionKey, offset: i64, value: Value, how: &str) {
        let history = self.history(key);
        let other_value = history.values.insert(offset, value).filter(|known| *known != value);
        let other_offset = history.offsets.insert(value, offset).filter(|known| *known != offset);
        if let Some(known) = other_value {
            let detail = format!("{key:?}: offset {offset} held {known:?}, {how} as {value:?}");
            self.violate("WORLD-2", detail);
        }
        if let Some(known) = other_offset {
            let detail = format!("{key:?}: {value:?} stood at {known}, {how} at {offset}");
            self.violate("WORLD-3", detail);
        }
    }

    fn history(&mut self, key: PartitionKey) -> &mut History {
        self.partitions.entry(key).or_default()
    }
}
