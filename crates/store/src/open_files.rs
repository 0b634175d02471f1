//! How many files the store holds open at once. A partition opens its files when it needs them;
//! beyond the cap those that were not used lately are closed again (a second-chance ring).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, Weak};

use strandline_types::Offset;

use crate::format::names::FileKind;
use crate::partition::PartitionStore;

/// Which file of a partition.
pub(crate) type FileKey = (Offset, FileKind);

pub struct OpenFiles {
    files_max: usize,
    ring: Mutex<VecDeque<(Weak<PartitionStore>, FileKey)>>,
}

/// Whether an open file may be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// Used since it was last asked; not any more from now on.
    Recent,
    /// Closed, now or before.
    Closed,
}

impl OpenFiles {
    /// Sockets and everything else need descriptors too: half of the process's limit is a good cap.
    pub fn new(files_max: usize) -> Self {
        Self { files_max: files_max.max(8), ring: Mutex::default() }
    }

    /// Notes a file that was just opened. Call it without a partition's lock.
    pub(crate) fn opened(&self, partition: Weak<PartitionStore>, key: FileKey) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.push_back((partition, key));
        // Twice around at most: the first time everything may have been used.
        let mut chances = 2 * ring.len();
        while ring.len() > self.files_max && chances > 0 {
            chances -= 1;
            let Some((partition, key)) = ring.pop_front() else { break };
            let used = partition.upgrade().map_or(Use::Closed, |store| store.try_close(key));
            if used == Use::Recent {
                ring.push_back((partition, key));
            }
        }
    }

    /// How many files are open, closed ones of partitions that have gone included.
    pub fn count(&self) -> usize {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
