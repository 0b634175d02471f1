//! A partition whose replicas are throttled. Only copies of replicas out of sync wait: whoever is in
//! the ISR must stay there, however much that takes.

use std::sync::atomic::{AtomicBool, Ordering};

use strandline_types::{Instant, NodeId};

use super::Partition;

/// On which side this node's replica is throttled, and whether a reassignment brings it here.
#[derive(Default)]
pub(super) struct Throttled {
    as_leader: AtomicBool,
    as_follower: AtomicBool,
    is_added: AtomicBool,
}

impl Partition {
    /// What the topic's settings say of this node's replica.
    pub(crate) fn set_throttled(&self, as_leader: bool, as_follower: bool) {
        self.throttled.as_leader.store(as_leader, Ordering::Relaxed);
        self.throttled.as_follower.store(as_follower, Ordering::Relaxed);
    }

    /// Until when this leader gives nothing to a follower; `None` when it may have records now.
    pub(crate) fn gives_nothing_until(&self, follower: NodeId) -> Option<Instant> {
        if !self.throttled.as_leader.load(Ordering::Relaxed) {
            return None;
        }
        let until = self.context.throttles.leader.exceeded_until(self.now().instant)?;
        (!self.core().replica.in_sync().contains(&follower)).then_some(until)
    }

    /// A reassignment adds this node's replica.
    pub(crate) fn set_added(&self, is_added: bool) {
        self.throttled.is_added.store(is_added, Ordering::Relaxed);
    }

    /// A follower was given records, perhaps one that a reassignment adds.
    pub(crate) fn gave(&self, bytes: u64, is_added: bool) {
        self.context.metrics.replication.gave(bytes, is_added);
        if self.throttled.as_leader.load(Ordering::Relaxed) {
            self.context.throttles.leader.record(self.now().instant, bytes);
        }
    }

    /// Until when this follower asks for nothing; `None` when it may ask now. It counts as in sync
    /// when it lacks nothing that its leader said is committed.
    pub(crate) fn asks_nothing_until(&self) -> Option<Instant> {
        if !self.throttled.as_follower.load(Ordering::Relaxed) {
            return None;
        }
        let until = self.context.throttles.follower.exceeded_until(self.now().instant)?;
        (self.core().replica.lag() != Some(0)).then_some(until)
    }

    /// How many offsets this follower lacks of what is committed, as far as it was told.
    pub(crate) fn lag(&self) -> Option<u64> {
        self.core().replica.lag()
    }

    /// This follower was given records.
    pub(crate) fn took(&self, bytes: u64) {
        let is_added = self.throttled.is_added.load(Ordering::Relaxed);
        self.context.metrics.replication.took(bytes, is_added);
        if self.throttled.as_follower.load(Ordering::Relaxed) {
            self.context.throttles.follower.record(self.now().instant, bytes);
        }
    }
}
