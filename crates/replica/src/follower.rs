//! What a leader knows of one follower.

use core::time::Duration;

use strandline_types::{BrokerEpoch, Instant, NodeId, Offset};

/// Progress as the follower's fetches tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerProgress {
    pub node: NodeId,
    pub broker_epoch: BrokerEpoch,
    /// `None` until the first fetch of this leadership.
    pub log_end: Option<Offset>,
    pub log_start: Offset,
    pub last_caught_up_at: Instant,
    pub is_alive: bool,
    pub may_join_isr: bool,
    last_fetch_at: Instant,
    leader_end_at_last_fetch: Offset,
}

impl FollowerProgress {
    pub(crate) fn new(node: NodeId, now: Instant, is_in_sync: bool) -> Self {
        Self {
            node,
            broker_epoch: BrokerEpoch::NONE,
            log_end: None,
            log_start: Offset(-1),
            // A member gets the full time to show itself, anybody else none.
            last_caught_up_at: if is_in_sync { now } else { Instant::ZERO },
            is_alive: true,
            may_join_isr: true,
            last_fetch_at: Instant::ZERO,
            leader_end_at_last_fetch: Offset::ZERO,
        }
    }

    pub(crate) fn fetched(
        &mut self,
        now: Instant,
        broker_epoch: BrokerEpoch,
        log_start: Offset,
        log_end: Offset,
        leader_end: Offset,
    ) {
        if log_end >= leader_end {
            self.last_caught_up_at = self.last_caught_up_at.max(now);
        } else if log_end >= self.leader_end_at_last_fetch {
            // It has all that there was when it last asked: under a steady load it never has more,
            // and would otherwise count as lagging for ever.
            self.last_caught_up_at = self.last_caught_up_at.max(self.last_fetch_at);
        }
        self.broker_epoch = broker_epoch;
        self.log_start = log_start;
        self.log_end = Some(log_end);
        self.last_fetch_at = now;
        self.leader_end_at_last_fetch = leader_end;
    }

    pub(crate) fn is_caught_up(&self, now: Instant, leader_end: Offset, lag: Duration) -> bool {
        self.log_end == Some(leader_end) || now.since(self.last_caught_up_at) <= lag
    }
}
