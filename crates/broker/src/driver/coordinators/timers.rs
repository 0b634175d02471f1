//! The timers of the shards: each shard has a queue of its own, one task watches them all.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use strandline_types::Instant;

use super::{Coordinators, Kind};

/// What one shard waits for.
pub(super) struct Timers<Timer> {
    by_name: BTreeMap<Timer, Instant>,
    by_time: BTreeSet<(Instant, Timer)>,
}

impl<Timer: Clone + Ord> Timers<Timer> {
    pub(super) fn new() -> Self {
        Self { by_name: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        self.cancel(&timer);
        self.by_time.insert((at, timer.clone()));
        self.by_name.insert(timer, at);
    }

    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some((timer, at)) = self.by_name.remove_entry(timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.earliest().filter(|at| *at <= now)?;
        let (_, timer) = self.by_time.pop_first()?;
        self.by_name.remove(&timer);
        Some(timer)
    }
}

/// Wakes shards when their time has come.
pub(super) async fn run<K: Kind>(coordinators: Coordinators<K>) {
    let clock = coordinators.0.world.clock.clone();
    loop {
        let next = coordinators.alarms().values().min().copied().unwrap_or(Instant::NEVER);
        let mut sleep = clock.sleep_until(next);
        let mut rung = pin!(coordinators.0.rung.notified());
        poll_fn(|cx| match rung.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => sleep.as_mut().poll(cx),
        })
        .await;
        let now = clock.now().instant;
        let due: Vec<_> = {
            let mut alarms = coordinators.alarms();
            let due = alarms.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
            alarms.retain(|_, at| *at > now);
            due
        };
        for id in due {
            if let Some(shard) = coordinators.shard(id) {
                shard.fire(now);
            }
        }
    }
}
