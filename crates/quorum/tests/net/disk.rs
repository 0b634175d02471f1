//! A node's disk: the promise, the log, the snapshots.

use std::collections::{BTreeMap, BTreeSet};

use strandline_quorum::{
    ControlRecord, Election, EpochStart, FetchedBatch, Membership, Recovered, SnapshotFacts,
    SnapshotId,
};
use strandline_types::{LeaderEpoch, Offset};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    Value(u64),
    Control(ControlRecord),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub offset: Offset,
    pub batch: Offset,
    pub epoch: LeaderEpoch,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub enum Op {
    Persist(Election),
    Append(Vec<Entry>),
    Truncate(Offset),
    /// Became durable earlier than it is told.
    Done,
}

#[derive(Clone, Default, Debug)]
pub struct Disk {
    pub election: Option<Election>,
    pub start: Offset,
    pub log: Vec<Entry>,
    pub snapshots: BTreeSet<SnapshotId>,
}

pub fn entries(
    base: Offset,
    epoch: LeaderEpoch,
    kinds: impl IntoIterator<Item = Kind>,
) -> Vec<Entry> {
    let entry = |(index, kind)| Entry { offset: base + index as i64, batch: base, epoch, kind };
    kinds.into_iter().enumerate().map(entry).collect()
}

pub fn batches_of(entries: &[Entry]) -> Vec<Vec<Entry>> {
    entries.chunk_by(|a, b| a.batch == b.batch).map(<[Entry]>::to_vec).collect()
}

pub fn facts(batch: &[Entry]) -> FetchedBatch {
    let (first, last) = (&batch[0], &batch[batch.len() - 1]);
    let control = batch
        .iter()
        .filter_map(|entry| match &entry.kind {
            Kind::Control(record) => Some((entry.offset, record.clone())),
            Kind::Value(_) => None,
        })
        .collect();
    FetchedBatch {
        base_offset: first.offset,
        next_offset: last.offset + 1,
        epoch: first.epoch,
        size_bytes: 100 * batch.len() as u64,
        control,
    }
}

impl Op {
    pub fn may_change_membership(&self) -> bool {
        match self {
            Self::Append(entries) => {
                entries.iter().any(|entry| matches!(entry.kind, Kind::Control(_)))
            }
            Self::Truncate(_) => true,
            Self::Persist(_) | Self::Done => false,
        }
    }
}

impl Disk {
    pub fn end(&self) -> Offset {
        self.start + self.log.len() as i64
    }

    fn index(&self, offset: Offset) -> usize {
        usize::try_from(offset.since(self.start)).unwrap_or(0).min(self.log.len())
    }

    pub fn read(&self, from: Offset, to: Offset) -> Vec<Entry> {
        self.log[self.index(from)..self.index(to).max(self.index(from))].to_vec()
    }

    pub fn entry(&self, offset: Offset) -> Option<&Entry> {
        if offset < self.start { None } else { self.log.get(offset.since(self.start) as usize) }
    }

    /// Whether this disk has `entry`, by itself or within a snapshot.
    pub fn holds(&self, entry: &Entry) -> bool {
        let in_snapshot = self.snapshots.last().is_some_and(|id| id.end_offset > entry.offset);
        in_snapshot || self.entry(entry.offset) == Some(entry)
    }

    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Done => {}
            Op::Persist(election) => self.election = Some(election.clone()),
            Op::Append(entries) => {
                assert_eq!(entries[0].offset, self.end(), "appends are dense");
                self.log.extend(entries.iter().cloned());
            }
            Op::Truncate(end) => {
                let keep = self.index(*end);
                self.log.truncate(keep);
            }
        }
    }

    pub fn delete_prefix(&mut self, start: Offset) {
        if self.end() < start {
            // What was not synced here lives in the snapshot.
            self.log.clear();
        } else {
            let index = self.index(start);
            self.log.drain(..index);
        }
        self.start = start;
        self.snapshots.retain(|id| id.end_offset >= start);
    }

    pub fn install(&mut self, id: SnapshotId) {
        self.log.clear();
        self.start = id.end_offset;
        self.snapshots = BTreeSet::from([id]);
    }

    pub fn recovered(
        &self,
        base: &Membership,
        snapshots: &BTreeMap<SnapshotId, (SnapshotFacts, Membership)>,
    ) -> Recovered {
        let mut epochs: Vec<EpochStart> = Vec::new();
        let base = match self.snapshots.first().filter(|id| id.end_offset <= self.start) {
            Some(id) => snapshots[id].1.clone(),
            None => base.clone(),
        };
        let mut current = base.clone();
        let mut memberships = Vec::new();
        for entry in &self.log {
            if epochs.last().is_none_or(|last| last.epoch < entry.epoch) {
                epochs.push(EpochStart { epoch: entry.epoch, start_offset: entry.offset });
            }
            match &entry.kind {
                Kind::Control(ControlRecord::Voters(voters)) => current.voters = voters.clone(),
                Kind::Control(ControlRecord::KraftVersion(level)) => current.kraft_version = *level,
                _ => continue,
            }
            memberships.push((entry.offset, current.clone()));
        }
        let latest = self.snapshots.last().map_or(self.start, |id| id.end_offset);
        Recovered {
            election: self.election.clone(),
            start_offset: self.start,
            end_offset: self.end(),
            epochs,
            snapshots: self.snapshots.iter().map(|id| snapshots[id].0).collect(),
            new_record_bytes: 100 * u64::try_from(self.end().since(latest)).unwrap_or(0),
            log_size_bytes: 100 * self.log.len() as u64,
            base_membership: base,
            memberships,
        }
    }
}
