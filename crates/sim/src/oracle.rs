//! The oracle: what clients were told and what they read must be one history that a Kafka may show.
//!
//! Every value is sent under its own number, so that a single reading says who sent what when.
//! Invariants, by their numbers in ARCHITECTURE.md:
//!
//! - WORLD-1: an acked record stays. After a power loss this holds for partitions that sync each
//!   message; others lose a tail, never something in the middle, and nothing from before a clean
//!   stop or older than `flush.ms`.
//! - WORLD-2: an offset holds one value for good, in what is acked and in what is read.
//! - WORLD-3: a value stands at one offset (idempotent producers repeat theirs).
//! - WORLD-4: what one producer sent stands in the order in which it was sent.
//! - WORLD-5: offsets are dense, and a reader meets them in order.
//! - WORLD-6: what is read was sent, and not refused.
//! - WORLD-7: every batch served has its checksum.
//! - WORLD-8: nothing is served from beyond the high watermark, which a connection never sees go back.
//! - WORLD-9: a topic whose creation was acked stays, under its id.
//! - WORLD-10: a healthy broker answers; it starts again after every fault, partitions take records
//!   and groups move on.
//! - WORLD-11: in one generation of a group a partition has one owner, and an older generation
//!   commits nothing once a newer one has.
//! - WORLD-12: an acked commit stays, and commits never go back. After a power loss this holds for
//!   groups whose commits are synced.
//! - WORLD-13: whatever lies below a committed offset was read by the group, and its owner was handed
//!   one offset after the other.
//! - WORLD-14: in the log of the groups a generation never goes back.
//! - WORLD-15: a producer hears of a gap in its sequence only after a start or a full disk.
//! - WORLD-16: a time leads to the first record that is as young.
//! - WORLD-22: a change of the metadata that was acked stays, whoever crashes and whatever loses power.
//! - WORLD-23: two nodes whose metadata end at the same offset say the same.
//! - WORLD-24: while most of the fixed voters have new disks and the others are down, nothing is decided.
//! - WORLD-25: a leader from outside the ISR and the ELR is elected only where the topic allows it, or
//!   where it led last and nobody else is known to hold everything. Where the topic allows it such an
//!   election, and nothing else, may take what was acked in an earlier epoch; in one epoch WORLD-2 and
//!   WORLD-3 hold still.
//!
//! - WORLD-27: a reader of committed records is given nothing of a transaction that is open or was
//!   aborted.
//! - WORLD-28: a transaction is read as a whole or not at all, and as a whole if its producer was told
//!   that it is committed.
//! - WORLD-29: what lies below an offset that was committed with a transaction was copied once, and
//!   nothing else.
//!
//! Reported, and no rule: how long a value was acked and nobody had read it.
//!
//! WORLD-17 to WORLD-21 are what the nodes of a cluster must agree on, see `watch`.

mod elections;
mod groups;
mod metadata;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use strandline_types::Instant;

use elections::ElectionHistory;
use groups::GroupHistory;
use metadata::MetadataHistory;
pub(crate) use transactions::Copied;
use transactions::TransactionHistory;

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

/// Which acked records survive a power loss, by the topic's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Promise {
    /// Those that happen to be synced.
    #[default]
    Nothing,
    /// Those that were acked so long ago.
    After(Duration),
    All,
    /// All but what an unclean election takes.
    UntilUnclean,
}

/// Everything that is known of one partition.
#[derive(Default)]
struct History {
    promise: Promise,
    /// What no power loss may take ends here.
    durable_end: i64,
    /// What stands where, as acked or read.
    values: BTreeMap<i64, Value>,
    offsets: BTreeMap<Value, i64>,
    /// With the time of the ack.
    acked: BTreeMap<i64, Instant>,
    /// How far anybody has read.
    read_end: i64,
    /// Where unclean elections are allowed, instead of what stands where.
    elections: Option<ElectionHistory>,
    sent: BTreeSet<Value>,
    refused: BTreeSet<Value>,
}

impl History {
    fn acked_end(&self) -> i64 {
        self.acked.last_key_value().map_or(0, |(last, _)| last + 1)
    }
}

/// All histories, and what is wrong with them.
#[derive(Default)]
pub struct Oracle {
    partitions: BTreeMap<PartitionKey, History>,
    groups: BTreeMap<String, GroupHistory>,
    metadata: MetadataHistory,
    transactions: TransactionHistory,
    /// Of the broker's machine, so far.
    pub power_losses: u64,
    violations: Vec<Violation>,
    pub acked: u64,
    pub refused: u64,
    pub read: u64,
    /// Whose producers were told so.
    pub committed_transactions: u64,
    /// See WORLD-25.
    pub unclean_elections: u64,
    /// What clients have noticed of what those took.
    pub losses: u64,
    /// The longest that a value was acked and nobody had read it.
    pub lag_max: Duration,
}

impl Oracle {
    /// Begins the history of a partition.
    pub fn begin(&mut self, key: PartitionKey, promise: Promise) {
        let elections = (promise == Promise::UntilUnclean).then(ElectionHistory::default);
        let history = History { promise, elections, ..History::default() };
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

    /// The broker has said that it has not taken a value, and it was sent only once.
    pub fn refused(&mut self, key: PartitionKey, value: Value) {
        self.refused += 1;
        let history = self.history(key);
        history.refused.insert(value);
        if let Some(offset) = history.offsets.get(&value).copied() {
            self.violate("WORLD-6", format!("{key:?}: {value:?} at {offset} was refused"));
        }
    }

    /// The broker has said that the values stand from `base_offset` on; whoever sent them knew of the
    /// leader epoch `epoch`.
    pub fn acked(
        &mut self,
        key: PartitionKey,
        (now, epoch): (Instant, i32),
        base_offset: i64,
        values: &[Value],
    ) {
        for (offset, value) in (base_offset..).zip(values) {
            self.acked += 1;
            if let Some(elections) = &mut self.history(key).elections {
                elections.acked(now, epoch, offset, *value);
                continue;
            }
            self.learn(key, offset, *value, "acked");
            self.history(key).acked.insert(offset, now);
        }
    }

    /// A value was read, in a batch of the leader epoch `epoch`.
    pub fn read(
        &mut self,
        key: PartitionKey,
        (now, epoch): (Instant, i32),
        offset: i64,
        value: Value,
    ) {
        self.read += 1;
        let history = self.history(key);
        if offset >= history.read_end {
            history.read_end = offset + 1;
            let acked = history.acked.get(&offset);
            let lag = acked.map_or(Duration::ZERO, |at| now.since(*at));
            self.lag_max = self.lag_max.max(lag);
        }
        let history = self.history(key);
        if !history.sent.contains(&value) || history.refused.contains(&value) {
            self.violate("WORLD-6", format!("{key:?}: nobody sent {value:?}, read at {offset}"));
        }
        let Some(elections) = &mut self.history(key).elections else {
            return self.learn(key, offset, value, "read");
        };
        if let Some(detail) = elections.read(epoch, offset, value) {
            self.violate("WORLD-25", format!("{key:?}: {detail}"));
        }
    }

    /// After a power loss the log ends here, and what the partition did not promise to keep may be
    /// sent anew from here on. The whole log has been read up to it.
    pub fn recovered(&mut self, key: PartitionKey, end: i64) {
        let history = self.history(key);
        let promised = history.durable_end;
        if history.promise == Promise::All {
            return;
        }
        if end < promised {
            let detail = format!("{key:?}: the log ends at {end}, {promised} was durable");
            self.violate("WORLD-1", detail);
        }
        let history = self.history(key);
        for value in history.values.split_off(&end).into_values() {
            history.offsets.remove(&value);
        }
        history.acked.split_off(&end);
    }

    /// The log of a partition, read from beginning to end: nothing that was acked before the
    /// reading began may be missing, and every producer's values stand in order.
    pub fn check_whole(&mut self, key: PartitionKey, log: &[(i64, Value)], began: Instant) {
        let there: BTreeSet<i64> = log.iter().map(|(offset, _)| *offset).collect();
        let history = self.history(key);
        let twice = history.elections.as_mut().and_then(|it| it.check_whole(log, began));
        let lost: Vec<(i64, Value)> = history
            .acked
            .iter()
            .filter(|(offset, at)| **at <= began && !there.contains(offset))
            .filter_map(|(offset, _)| Some((*offset, *history.values.get(offset)?)))
            .collect();
        if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
            let end = log.last().map(|(offset, _)| offset + 1);
            let detail = format!(
                "{key:?}: {} acked values lost, {first:?} to {last:?}; the log ends at {end:?}",
                lost.len()
            );
            self.violate("WORLD-1", detail);
        }
        if let Some(detail) = twice {
            self.violate("WORLD-3", format!("{key:?}: {detail}"));
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

    /// The process has ended at once: what is due to be durable is so from now on.
    pub fn crashed(&mut self, now: Instant) {
        for history in self.partitions.values_mut() {
            if let Promise::After(wait) = history.promise {
                let due = history.acked.iter().rev().find(|(_, at)| **at + wait <= now);
                let end = due.map_or(0, |(offset, _)| offset + 1);
                history.durable_end = history.durable_end.max(end);
            }
        }
    }

    /// The process has ended cleanly: everything is durable.
    pub fn stopped(&mut self) {
        for history in self.partitions.values_mut() {
            history.durable_end = history.durable_end.max(history.acked_end());
        }
    }

    /// How many acked values each partition holds.
    pub fn acks_of(&self, keys: &[PartitionKey]) -> Vec<usize> {
        let count = |history: &History| match &history.elections {
            Some(elections) => elections.acked_count(),
            None => history.acked.len(),
        };
        keys.iter().map(|key| self.partitions.get(key).map_or(0, count)).collect()
    }

    /// Of each partition that has kept its records, where what was acked ends.
    pub fn acked_ends(&self, keys: &[PartitionKey]) -> BTreeMap<PartitionKey, i64> {
        let judged = keys.iter().filter(|key| self.is_judged(**key));
        let ends = judged.filter_map(|key| Some((*key, self.partitions.get(key)?.acked_end())));
        ends.collect()
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
