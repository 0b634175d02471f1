//! The log cleaner: looks for the partition that is the dirtiest, and has a pass made over it.
//!
//! Every replica cleans its own copy. As many passes run at a time as `log.cleaner.threads` says, each
//! with its share of the memory for keys; all of them share one limit for what they read and write.
//! What a pass decides is decided by the log core, what it does to files by the store; here is when, and
//! what becomes of one that fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_config::{CleanerSettings, TopicConfig};
use strandline_log::clean::{CleanSettings, Dirt};
use strandline_ports::{Lane, timeout, watch};
use strandline_types::{Instant, TopicIdPartition};
use strandline_wire::messages::ReplicaCleaning;
use tokio::sync::Notify;

use super::throttles::Throttle;
use super::upkeep::Upkeep;
use crate::partitions::Held;

mod pass;

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Cleaner {
    pub(crate) upkeep: Upkeep,
    /// As they are now: most may change at run time.
    pub(crate) settings: watch::Receiver<CleanerSettings>,
    throttle: Arc<Throttle>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    passes: Mutex<BTreeMap<TopicIdPartition, Turn>>,
    ended: Notify,
}

/// Whose turn it is not.
#[derive(Clone, Copy)]
enum Turn {
    Running,
    /// Its last pass failed or was overtaken: not at once again.
    NotBefore(Instant),
}

impl Cleaner {
    pub(crate) fn new(upkeep: Upkeep, settings: watch::Receiver<CleanerSettings>) -> Self {
        let throttle = Arc::new(Throttle::new(&settings.borrow().throttle));
        Self { upkeep, settings, throttle, shared: Arc::default() }
    }

    /// Looks again whenever a pass has ended, else every `log.cleaner.backoff.ms`.
    pub(crate) async fn run(self) {
        loop {
            let settings = self.settings.borrow().clone();
            self.throttle.set_limit(&settings.throttle);
            let may_start = settings.is_enabled && self.running() < settings.threads;
            if let Some(held) = may_start.then(|| self.dirtiest()).flatten() {
                self.start(held);
                continue;
            }
            let clock = &*self.upkeep.world.clock;
            let until = clock.now().instant + backoff(&settings);
            // Whether a pass has ended or it was long enough: there is another look.
            let _ = timeout(clock, until, self.shared.ended.notified()).await;
        }
    }

    fn start(&self, held: Held) {
        let it = self.clone();
        let id = held.partition.id();
        self.passes().insert(id, Turn::Running);
        let pass = async move {
            let has_cleaned = pass::run(&it, &held).await;
            let now = it.upkeep.world.clock.now().instant;
            match has_cleaned {
                true => _ = it.passes().remove(&id),
                false => {
                    let later = now + backoff(&it.settings.borrow());
                    it.passes().insert(id, Turn::NotBefore(later));
                }
            }
            it.shared.ended.notify_one();
        };
        self.upkeep.world.spawn.spawn(Lane::Data, Box::pin(pass));
    }

    fn running(&self) -> usize {
        self.passes().values().filter(|turn| matches!(turn, Turn::Running)).count()
    }

    /// Of those that are worth a pass the one with the largest share of dirt.
    fn dirtiest(&self) -> Option<Held> {
        let now = self.upkeep.world.clock.now().instant;
        let mut passes = self.passes();
        passes.retain(|_, turn| !matches!(turn, Turn::NotBefore(at) if *at <= now));
        let mut best: Option<(Held, Dirt)> = None;
        for held in self.upkeep.partitions.all() {
            if passes.contains_key(&held.partition.id()) {
                continue;
            }
            let Some(dirt) = dirt(&held) else { continue };
            let is_worth_it = dirt.is_worth_a_pass(&settings_of(&held.config));
            if is_worth_it && best.as_ref().is_none_or(|(_, it)| it.ratio() < dirt.ratio()) {
                best = Some((held, dirt));
            }
        }
        best.map(|(held, _)| held)
    }

    fn passes(&self) -> MutexGuard<'_, BTreeMap<TopicIdPartition, Turn>> {
        self.shared.passes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is to clean; `None` where nothing ever is: see [`pass`].
pub(crate) fn dirt(held: &Held) -> Option<Dirt> {
    let is_damaged = held.partition.clean_fault().is_some_and(|fault| !fault.passes);
    let may_be_cleaned = held.config.cleanup_policy.compact && !is_damaged;
    may_be_cleaned.then(|| held.partition.dirt(&settings_of(&held.config))).flatten()
}

/// How far a compacted partition is cleaned.
pub(crate) fn describe(held: &Held) -> Option<ReplicaCleaning> {
    let Held { partition, config } = held;
    config.cleanup_policy.compact.then(|| {
        let fault = partition.clean_fault();
        ReplicaCleaning {
            dirty_ratio: partition.dirt(&settings_of(config)).map(|dirt| dirt.ratio()),
            cleaned_upto: partition.cleaned_upto(),
            cleaned_at: partition.cleaned_at(),
            is_tried_again: fault.as_ref().is_some_and(|fault| fault.passes),
            fault: fault.map(|fault| fault.text),
        }
    })
}

fn backoff(settings: &CleanerSettings) -> Duration {
    Duration::from_millis(settings.backoff_ms.max(1) as u64)
}

fn settings_of(config: &TopicConfig) -> CleanSettings {
    CleanSettings {
        min_dirty_ratio: config.min_cleanable_dirty_ratio,
        min_lag_ms: config.min_compaction_lag_ms,
        max_lag_ms: config.max_compaction_lag_ms,
    }
}
