//! Changes, and the newest of each key in each partition as far as memory holds them.

use std::collections::BTreeMap;

use strandline_types::{Offset, PartitionId, Timestamp};

use crate::consumer::ConsumerRecord;

/// What one record says of its key. In order by key, partition and offset.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Change {
    pub(super) key: Box<[u8]>,
    pub(super) partition: PartitionId,
    pub(super) offset: Offset,
    pub(super) timestamp: Timestamp,
    /// `None` deletes the key.
    pub(super) value: Option<Box<[u8]>>,
}

/// What a change takes besides its key and value: its place in a tree whose nodes may be half
/// empty, and two allocations.
const OVERHEAD: usize = 2 * size_of::<((Box<[u8]>, PartitionId), Version)>() + 32;

/// The newest change of each key in each partition. Deletions stay: what they delete may be on
/// disk, or in another partition.
#[derive(Default)]
pub(super) struct Newest {
    versions: BTreeMap<(Box<[u8]>, PartitionId), Version>,
    bytes: usize,
}

struct Version {
    offset: Offset,
    timestamp: Timestamp,
    value: Option<Box<[u8]>>,
}

impl Version {
    fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.len())
    }
}

impl Newest {
    /// Copies what counts, since a record would keep its whole batch in memory.
    pub(super) fn add(&mut self, key: &[u8], record: &ConsumerRecord) {
        let version = Version {
            offset: record.offset,
            timestamp: record.timestamp,
            value: record.value.as_deref().map(Box::from),
        };
        self.bytes += version.bytes();
        match self.versions.insert((key.into(), record.partition), version) {
            Some(replaced) => self.bytes -= replaced.bytes(),
            None => self.bytes += key.len() + OVERHEAD,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn pop_first(&mut self) -> Option<Change> {
        let ((key, partition), version) = self.versions.pop_first()?;
        self.bytes -= key.len() + OVERHEAD + version.bytes();
        let Version { offset, timestamp, value } = version;
        Some(Change { key, partition, offset, timestamp, value })
    }
}
