//! Fetches that wait for records. A waiter belongs to a request, not to a partition: it is hung up
//! at each partition it asked for, counts down the bytes it still misses, and is woken once. That of
//! a follower's session hangs at partitions from one request to the next, and is told which of them
//! have stirred: only those need be looked at.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use strandline_replica::{Isolation, Reader, View};
use strandline_types::{Bug, planted};
use tokio::sync::Notify;

use super::Partition;

/// One waiting request, or a session whose requests wait one after the other.
#[derive(Debug)]
pub(crate) struct FetchWaiter {
    missing_bytes: AtomicI64,
    /// Keys of the partitions that have stirred since they were last taken.
    stirred: Mutex<Vec<u64>>,
    ready: Notify,
}

impl FetchWaiter {
    /// `missing_bytes` is what the answer lacks to its minimum.
    pub(crate) fn new(missing_bytes: i64) -> Arc<Self> {
        Arc::new(Self {
            missing_bytes: AtomicI64::new(missing_bytes),
            stirred: Mutex::default(),
            ready: Notify::new(),
        })
    }

    /// What has stirred since this was last asked, by the keys of [`Partition::rest`].
    pub(crate) fn take_stirred(&self) -> Vec<u64> {
        std::mem::take(&mut self.stirred())
    }

    fn stirred(&self) -> MutexGuard<'_, Vec<u64>> {
        self.stirred.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn stir(&self, key: u64) {
        self.stirred().push(key);
        self.wake();
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
    /// Of a session's waiter, which is taken down once it has been told.
    key: Option<u64>,
}

/// What a step brought for readers.
#[derive(Clone, Copy)]
pub(super) struct Gained {
    committed_bytes: i64,
    /// The same for whoever reads committed records only. `None`: a transaction has ended, and how
    /// much that gives nobody has counted.
    stable_bytes: Option<i64>,
    /// What a follower must hear: records, of which it waits for one byte, so it does not matter
    /// how many; and how far the log is committed or was deleted. Or somebody has left the ISR or
    /// joined it, such as this follower, who counts by its fetches.
    log_moved: bool,
    /// A new leader, a fault: answers change even without records.
    everybody: bool,
}

impl Default for Gained {
    /// Nothing.
    fn default() -> Self {
        let stable_bytes = Some(0);
        Self { committed_bytes: 0, stable_bytes, log_moved: false, everybody: false }
    }
}

impl Gained {
    pub(super) fn between(before: &View, after: &View, committed_bytes: i64) -> Self {
        let roles = |view: &View| (view.is_leader, view.is_offline, view.leader_epoch);
        let bounds =
            |view: &View| (view.log_start, view.high_watermark, view.log_end, view.partition_epoch);
        let all_is_stable = |view: &View| view.last_stable_offset == view.high_watermark;
        let stable_bytes = if all_is_stable(before) && all_is_stable(after) {
            Some(committed_bytes)
        } else if before.last_stable_offset < after.last_stable_offset {
            None
        } else {
            Some(0)
        };
        Self {
            committed_bytes,
            stable_bytes,
            log_moved: bounds(before) != bounds(after),
            everybody: roles(before) != roles(after),
        }
    }
}

impl Gained {
    fn bytes_for(&self, isolation: Isolation) -> Option<i64> {
        match isolation {
            Isolation::ReadUncommitted => Some(self.committed_bytes),
            Isolation::ReadCommitted => self.stable_bytes,
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
        self.lock().retain(|Subscriber { waiter, reader, key }| {
            if let Some(key) = key {
                let stirs = gained.everybody || gained.log_moved;
                if stirs {
                    waiter.stir(*key);
                }
                return !stirs;
            }
            match reader {
                _ if gained.everybody => waiter.wake(),
                Reader::Consumer(_) | Reader::Roaming(_) if planted(Bug::FetchSleepsOn) => {}
                Reader::Consumer(isolation) | Reader::Roaming(isolation) => {
                    match gained.bytes_for(*isolation) {
                        Some(bytes) => waiter.gained(bytes),
                        None => waiter.wake(),
                    }
                }
                Reader::Follower if gained.log_moved => waiter.wake(),
                Reader::Follower => {}
            }
            true
        });
    }
}

/// A partition that goes has nothing to say any more, and another may take its place.
impl Drop for Waiters {
    fn drop(&mut self) {
        for Subscriber { waiter, key, .. } in &*self.lock() {
            if let Some(key) = key {
                waiter.stir(*key);
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
        self.waiters.lock().push(Subscriber { waiter: Arc::clone(waiter), reader, key: None });
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

    /// Hangs up the waiter of a follower's session, which is told `key` when the partition does not
    /// look like `seen` any more, once.
    pub(crate) fn rest(&self, waiter: &Arc<FetchWaiter>, key: u64, seen: &View) -> Subscription {
        let subscriber =
            Subscriber { waiter: Arc::clone(waiter), reader: Reader::Follower, key: Some(key) };
        self.waiters.lock().push(subscriber);
        // What has happened meanwhile may have been told to nobody.
        self.waiters.wake(&Gained::between(seen, &self.view(), 0));
        Subscription { partition: Weak::clone(&self.me), waiter: Arc::clone(waiter) }
    }
}
