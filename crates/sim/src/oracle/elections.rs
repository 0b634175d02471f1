//! Topics that allow unclean elections: WORLD-25.
//!
//! Such an election may take what was acked, so an offset may hold one value after the other, but
//! never two in one leader epoch.

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::Instant;

use super::{Oracle, PartitionKey, Value};

/// Everything that is known of a partition of such a topic.
#[derive(Default)]
pub(super) struct ElectionHistory {
    /// What stands where, as read, by the epoch of its batch.
    values: BTreeMap<(i32, i64), Value>,
    offsets: BTreeMap<(i32, Value), i64>,
    acks: Vec<Ack>,
    /// What clients have noticed that an unclean election must explain: after which epoch, and what.
    losses: Vec<(i32, String)>,
}

struct Ack {
    offset: i64,
    value: Value,
    /// The sender knew of this epoch.
    epoch: i32,
    at: Instant,
}

impl ElectionHistory {
    pub(super) fn acked_count(&self) -> usize {
        self.acks.len()
    }

    pub(super) fn acked(&mut self, now: Instant, epoch: i32, offset: i64, value: Value) {
        self.acks.push(Ack { offset, value, epoch, at: now });
    }

    /// What is wrong with a value read in a batch of `epoch`.
    pub(super) fn read(&mut self, epoch: i32, offset: i64, value: Value) -> Option<String> {
        let known = *self.values.entry((epoch, offset)).or_insert(value);
        let stood = *self.offsets.entry((epoch, value)).or_insert(offset);
        if known != value {
            return Some(format!("offset {offset} of epoch {epoch} holds {known:?} and {value:?}"));
        }
        (stood != offset).then(|| format!("{value:?} of epoch {epoch} is at {stood} and {offset}"))
    }

    /// Compares with the whole log, read since `began`; gives what stands twice.
    pub(super) fn check_whole(&mut self, log: &[(i64, Value)], began: Instant) -> Option<String> {
        let there: BTreeMap<i64, Value> = log.iter().copied().collect();
        let is_lost = |ack: &&Ack| ack.at <= began && there.get(&ack.offset) != Some(&ack.value);
        for Ack { offset, value, epoch, .. } in self.acks.iter().filter(is_lost) {
            self.losses.push((*epoch, format!("{value:?}, acked at {offset}, is lost")));
        }
        let mut seen = BTreeMap::new();
        log.iter().find_map(|(offset, value)| {
            let before = seen.insert(*value, *offset)?;
            Some(format!("{value:?} stands at {before} and {offset}"))
        })
    }
}

impl Oracle {
    /// A client that knew of a leader epoch has noticed that records are gone: that breaks
    /// `invariant`, unless an unclean election can explain it.
    pub fn missed(
        &mut self,
        invariant: &'static str,
        key: PartitionKey,
        epoch: i32,
        detail: String,
    ) {
        match &mut self.history(key).elections {
            Some(elections) => elections.losses.push((epoch, detail)),
            None => self.violate(invariant, format!("{key:?}: {detail}")),
        }
    }

    /// Every loss has an unclean election that came after what was lost; `unclean` are the epochs of
    /// the partition that began with one.
    pub fn check_losses(&mut self, key: PartitionKey, unclean: &BTreeSet<i32>) {
        self.unclean_elections += unclean.len() as u64;
        let Some(elections) = self.partitions.get(&key).and_then(|it| it.elections.as_ref()) else {
            return;
        };
        self.losses += elections.losses.len() as u64;
        let is_unexplained =
            |(epoch, _): &&(i32, String)| unclean.range(epoch + 1..).next().is_none();
        let unexplained = elections.losses.iter().find(is_unexplained);
        if let Some((epoch, detail)) = unexplained {
            let detail =
                format!("{key:?}: {detail} after epoch {epoch}; unclean were only {unclean:?}");
            self.violate("WORLD-25", detail);
        }
    }
}
