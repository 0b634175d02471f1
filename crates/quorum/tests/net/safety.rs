//! What must hold over all nodes and all time.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hasher;

use strandline_quorum::{
    ControlRecord, Election, Membership, Quorum, RoleName, SnapshotFacts, SnapshotId,
};
use strandline_types::{LeaderEpoch, Offset, Timestamp};

use super::disk::{Disk, Entry, Kind, Op};

#[derive(Default)]
pub struct Safety {
    leaders: BTreeMap<LeaderEpoch, i32>,
    /// Every entry ever appended, with the epoch of the entry before it.
    written: BTreeMap<(Offset, LeaderEpoch), (Entry, LeaderEpoch)>,
    pub committed: Vec<Entry>,
    pub snapshots: BTreeMap<SnapshotId, (SnapshotFacts, Membership)>,
    trace: Fnv,
}

impl Safety {
    pub fn check_node(&mut self, id: i32, quorum: &Quorum, view: &Disk) {
        assert_eq!(quorum.log_end(), view.end(), "node {id}: machine and disk agree on the end");
        if quorum.role() != RoleName::Leader {
            return;
        }
        let epoch = quorum.epoch();
        let known = self.leaders.get(&epoch).copied();
        assert!(known.is_none_or(|known| known == id), "election safety: two leaders of {epoch}");
        if known.is_none() {
            self.leaders.insert(epoch, id);
            self.check_completeness(id, view);
        }
    }

    /// A new leader has everything that was ever committed.
    fn check_completeness(&self, id: i32, view: &Disk) {
        for entry in &self.committed {
            assert!(view.holds(entry), "leader completeness: {id} lacks {entry:?}");
        }
    }

    /// Log matching: the same offset and epoch is the same entry after the same history.
    pub fn saw_write(&mut self, op: &Op, before: &Disk) {
        let Op::Append(entries) = op else { return };
        let last = entries[0].offset - 1;
        let mut previous = before.entry(last).map(|entry| entry.epoch).or_else(|| {
            before.snapshots.iter().find(|id| id.end_offset == last + 1).map(|id| id.epoch)
        });
        for entry in entries {
            let history = previous.unwrap_or(LeaderEpoch(0));
            let slot = (entry.offset, entry.epoch);
            let known = self.written.entry(slot).or_insert((entry.clone(), history));
            assert_eq!(known, &(entry.clone(), history), "log matching");
            previous = Some(entry.epoch);
        }
    }

    /// A leadership that never became durable was told to nobody: its epoch may begin otherwise.
    pub fn forgot(&mut self, id: i32, op: &Op) {
        let Op::Persist(Election { epoch, leader: Some(leader), .. }) = op else { return };
        if leader.0 == id {
            self.written.retain(|(_, of), _| of != epoch);
        }
    }

    /// One history is committed. True when it grew.
    pub fn committed(&mut self, from: Offset, entries: &[Entry]) -> bool {
        let mut grew = false;
        for (entry, offset) in entries.iter().zip(from.0..) {
            assert_eq!(entry.offset.0, offset, "commits are dense");
            match self.committed.get(offset as usize) {
                Some(known) => assert_eq!(known, entry, "one history is committed"),
                None => {
                    assert_eq!(self.committed.len(), offset as usize);
                    self.committed.push(entry.clone());
                    grew = true;
                }
            }
        }
        grew
    }

    /// Registers a snapshot, and says how large it is.
    pub fn take_snapshot(&mut self, id: SnapshotId, view: &Disk, base: &Membership) -> u64 {
        assert!(view.start <= id.end_offset);
        assert_eq!(
            self.committed[id.end_offset.0 as usize - 1].epoch,
            id.epoch,
            "QUORUM-9: a snapshot is named by its last record"
        );
        let mut membership = base.clone();
        for entry in &self.committed[..id.end_offset.0 as usize] {
            match &entry.kind {
                Kind::Control(ControlRecord::Voters(voters)) => membership.voters = voters.clone(),
                Kind::Control(ControlRecord::KraftVersion(v)) => membership.kraft_version = *v,
                _ => {}
            }
        }
        let size_bytes = 100 + 20 * id.end_offset.0 as u64;
        let facts = SnapshotFacts { id, size_bytes, last_timestamp: Timestamp(1_000_000) };
        self.snapshots.entry(id).or_insert((facts, membership));
        size_bytes
    }

    pub fn hash(&mut self, what: &impl Debug) {
        self.trace.write(format!("{what:?}").as_bytes());
    }

    /// Same seed, same number.
    pub fn fingerprint(&self) -> u64 {
        self.trace.finish()
    }

    pub fn values(&self) -> Vec<u64> {
        let value = |entry: &Entry| match entry.kind {
            Kind::Value(value) => Some(value),
            Kind::Control(_) => None,
        };
        self.committed.iter().filter_map(value).collect()
    }
}

/// FNV-1a: stable over runs and machines.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}
