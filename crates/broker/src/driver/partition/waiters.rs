//! Fetches that wait for records. A waiter belongs to a request, not to a partition: it is hung up
//! at each partition it asked for, counts down the bytes it still misses, and is woken once.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use strandline_replica::{Reader, View};
use strandline_types::{Bug, planted};
use tokio::sync::Notify;

use super::Partition;

/// One waiting request.
#[derive(Debug)]
pub(crate) struct FetchWaiter {
    missing_bytes: AtomicI64,
    ready: Notify,
}

impl FetchWaiter {
    /// `missing_bytes` is what the answer lacks to its minimum.
    pub(crate) fn new(missing_bytes: i64) -> Arc<Self> {
        Arc::new(Self { missing_bytes: AtomicI64::new(missing_bytes), ready: Notify::new() })
    }

    /// Completes when enough was gained, or when something happened that must be told at once.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }

    fn gained(&self, bytes: i64) {
        let before = self.missing_bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before > 0 && before <= bytes {
            self.ready.notify_one();
        }
    }

    fn wake(&self) {
        self.ready.notify_one();
    }
}

/// A waiter hung up at a partition, until dropped.
pub(crate) struct Subscription {
    partition: Weak<Partition>,
    waiter: Arc<FetchWaiter>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(partition) = self.partition.upgrade() {
            let mut subscribers = partition.waiters.lock();
            subscribers.retain(|known| !Arc::ptr_eq(&known.waiter, &self.waiter));
            if subscribers.is_empty() {
                // An idle partition keeps no memory for those who waited once.
                *subscribers = Vec::new();
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Waiters(Mutex<Vec<Subscriber>>);

struct Subscriber {
    waiter: Arc<FetchWaiter>,
    reader: Reader,
}

/// What a step brought for readers.
#[derive(Clone, Copy, Default)]
pub(super) struct Gained {
    committed_bytes: i64,
    /// What a follower must hear: records, of which it waits for one byte, so it does not matter
    /// how many; and how far the log is committed or was deleted.
    log_moved: bool,
    /// A new leader, a fault: answers change even without records.
    everybody: bool,
}

impl Gained {
    pub(super) fn between(before: &View, after: &View, committed_bytes: i64) -> Self {
        let roles = |view: &View| (view.is_leader, view.is_offline, view.leader_epoch);
        let bounds = |view: &View| (view.log_start, view.high_watermark, view.log_end);
        Self {
            committed_bytes,
            log_moved: bounds(before) != bounds(after),
            everybody: roles(before) != roles(after),
        }
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self, gained: &Gained) {
        if gained.committed_bytes == 0 && !gained.log_moved && !gained.everybody {
            return;
        }
        for Subscriber { waiter, reader } in &*self.lock() {
            match reader {
                _ if gained.everybody => waiter.wake(),
                Reader::Consumer(_) | Reader::Roaming(_) if planted(Bug::FetchSleepsOn) => {}
                Reader::Consumer(_) | Reader::Roaming(_) => waiter.gained(gained.committed_bytes),
                Reader::Follower if gained.log_moved => waiter.wake(),
                Reader::Follower => {}
            }
        }
    }
}

impl Partition {
    /// Hangs up a waiter. `seen` is what the request has read: if there is news already, the waiter
    /// is woken at once.
    pub(crate) fn subscribe(
        &self,
        waiter: &Arc<FetchWaiter>,
        reader: Reader,
        seen: &View,
    ) -> Subscription {
        self.waiters.lock().push(Subscriber { waiter: Arc::clone(waiter), reader });
        let view = self.view();
        let gained = Gained::between(seen, &view, 0);
        let has_news = match reader {
            Reader::Consumer(_) | Reader::Roaming(_) => view.end_for(reader) > seen.end_for(reader),
            Reader::Follower => gained.log_moved,
        };
        if view.check_reader(reader, seen.leader_epoch).is_err() || has_news {
            waiter.wake();
        }
        Subscription { partition: Weak::clone(&self.me), waiter: Arc::clone(waiter) }
    }
}
