//! How fast replicas are copied that an administrator has throttled (KIP-73), and moved between
//! log dirs (KIP-113). All partitions of a
//! broker share one limit for what it gives, one for what it takes, and one for what it moves.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_config::{ReplicationSettings, ThrottleSettings};
use strandline_replica::{Quota, QuotaWindow};
use strandline_types::Instant;

/// The limits of one node.
pub(crate) struct Throttles {
    pub(crate) leader: Throttle,
    pub(crate) follower: Throttle,
    pub(crate) moves: Throttle,
}

pub(crate) struct Throttle(Mutex<Quota>);

impl Throttles {
    pub(crate) fn new(settings: &ReplicationSettings) -> Self {
        let leader = Throttle::new(&settings.leader_throttle);
        let follower = Throttle::new(&settings.follower_throttle);
        Self { leader, follower, moves: Throttle::new(&settings.moves_throttle) }
    }

    /// Limits that were set at run time.
    pub(crate) fn set_limits(&self, settings: &ReplicationSettings) {
        self.leader.set_limit(&settings.leader_throttle);
        self.follower.set_limit(&settings.follower_throttle);
        self.moves.set_limit(&settings.moves_throttle);
    }
}

impl Throttle {
    pub(crate) fn new(settings: &ThrottleSettings) -> Self {
        let sample = Duration::from_secs(settings.sample_seconds.into());
        let quota = Quota::new(QuotaWindow { samples: settings.samples, sample });
        let throttle = Self(Mutex::new(quota));
        throttle.set_limit(settings);
        throttle
    }

    pub(crate) fn set_limit(&self, settings: &ThrottleSettings) {
        self.quota().set_limit(settings.bytes_per_second);
    }

    /// Bytes per second, if there is a limit.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.quota().limit()
    }

    pub(crate) fn record(&self, now: Instant, bytes: u64) {
        self.quota().record(now, bytes);
    }

    /// When to ask again; `None` when more may be copied now.
    pub(crate) fn exceeded_until(&self, now: Instant) -> Option<Instant> {
        self.quota().exceeded_until(now)
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
