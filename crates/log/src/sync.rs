//! From admitted to written to durable.
//!
//! A record counts towards the high watermark once at most `flush.messages` − 1 records before the
//! written end may still be lost with the power. With Kafka's default (never) that is at once; with
//! 1 it is only after a sync, and one sync serves every append that it covers.

use alloc::vec::Vec;

use strandline_types::{Bug, Offset, Timestamp, planted};

use crate::{ClosePlan, Log, SyncPlan};

impl Log {
    /// The files hold everything before `upto`.
    ///
    /// # Panics
    /// When `upto` was never admitted.
    pub fn written(&mut self, upto: Offset) {
        assert!(
            self.written_end <= upto && upto <= self.log_end,
            "LOG-3: written end moves forward to {upto}, within {} to {}",
            self.written_end,
            self.log_end
        );
        self.written_end = upto;
    }

    /// A sync that was planned up to `upto` is done.
    ///
    /// # Panics
    /// When `upto` was not written when the sync began.
    pub fn synced(&mut self, now: Timestamp, upto: Offset) {
        assert!(upto <= self.written_end, "LOG-3: only what is written can be synced");
        let upto = if planted(Bug::SyncVouchesTooMuch) { self.written_end } else { upto };
        // Syncs may end in another order than they began, and a truncation may come between.
        self.recovery_point = self.recovery_point.max(upto);
        self.last_flush_at = now;
    }

    /// End of what this replica may count as stored: see the module.
    pub fn counted_end(&self) -> Offset {
        let unsynced = self.written_end.since(self.recovery_point);
        if unsynced < self.config.flush_messages.max(1) || planted(Bug::CountsUnsynced) {
            self.written_end
        } else {
            self.recovery_point
        }
    }

    /// Whether answers wait for a sync of what is written.
    pub fn wants_sync(&self) -> bool {
        self.counted_end() < self.written_end
    }

    /// Whether `flush.ms` has passed since the last sync with something left to sync.
    pub fn flush_is_due(&self, now: Timestamp) -> bool {
        self.recovery_point < self.written_end
            && now.millis_since(self.last_flush_at) >= self.config.flush_ms
    }

    /// What to sync so that everything before `upto` is durable; `None` when it is already.
    pub fn plan_sync(&self, upto: Offset) -> Option<SyncPlan> {
        self.plan_sync_of_admitted(upto.min(self.written_end))
    }

    /// The same, for when everything before `upto` is written.
    pub(crate) fn plan_sync_of_admitted(&self, upto: Offset) -> Option<SyncPlan> {
        if upto <= self.recovery_point {
            return None;
        }
        let first = self.segment_index_of(self.recovery_point);
        let segments: Vec<Offset> = self.segments[first..]
            .iter()
            .map(|segment| segment.base_offset)
            .take_while(|&base_offset| base_offset < upto)
            .collect();
        Some(SyncPlan { upto, segments })
    }

    /// A clean stop. Call it when everything admitted is written; no admission may follow.
    ///
    /// # Panics
    /// When something admitted is not written yet.
    pub fn plan_close(&mut self) -> ClosePlan {
        assert_eq!(self.written_end, self.log_end, "a log is closed between appends");
        ClosePlan {
            close: self.active_mut().close(),
            snapshot_offset: self.log_end,
            producers: self.producers.snapshot(),
            sync: self.plan_sync(self.log_end),
        }
    }
}
