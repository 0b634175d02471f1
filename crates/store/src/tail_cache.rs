//! The newest batches of all partitions, kept as the very bytes that were received, so that whoever
//! reads at the end of a log touches neither the disk nor its index.
//!
//! One budget for the broker, first in first out: a partition that nobody writes to holds nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, Weak};

use strandline_types::Offset;

use crate::partition::PartitionStore;

pub struct TailCache {
    budget_bytes: u64,
    order: Mutex<Order>,
}

#[derive(Default)]
struct Order {
    used_bytes: u64,
    /// Oldest first.
    appends: VecDeque<Cached>,
}

/// What one append left: the partition's batches before `upto`.
struct Cached {
    partition: Weak<PartitionStore>,
    upto: Offset,
    bytes: u32,
}

impl TailCache {
    /// 0 keeps nothing.
    pub fn new(budget_bytes: u64) -> Self {
        Self { budget_bytes, order: Mutex::default() }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.budget_bytes > 0
    }

    /// Notes that a partition keeps `bytes` more, up to an offset, and takes the oldest bytes of
    /// whichever partition away until the budget holds. Call it without a partition's lock.
    pub(crate) fn added(&self, partition: Weak<PartitionStore>, upto: Offset, bytes: u32) {
        let mut evicted = Vec::new();
        {
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            order.used_bytes += u64::from(bytes);
            order.appends.push_back(Cached { partition, upto, bytes });
            while order.used_bytes > self.budget_bytes {
                let Some(oldest) = order.appends.pop_front() else { break };
                order.used_bytes -= u64::from(oldest.bytes);
                evicted.push(oldest);
            }
        }
        for Cached { partition, upto, .. } in evicted {
            if let Some(partition) = partition.upgrade() {
                partition.evict_from_tail(upto);
            }
        }
    }
}
