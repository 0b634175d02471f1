//! What a replica knows while it leads.

use alloc::vec::Vec;

use strandline_types::{Bug, Instant, NodeId, Offset, planted};

use crate::isr::Isr;
use crate::tickets::{Tickets, Waiting};
use crate::{FollowerProgress, IsrMember, Leadership, ReplicaConfig, RequiredAcks, Ticket};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Leader {
    node: NodeId,
    pub(crate) epoch_start: Offset,
    pub(crate) isr: Isr,
    pub(crate) followers: Vec<FollowerProgress>,
    /// Produce requests that wait for the leader's own copy.
    pub(crate) until_counted: Tickets,
    /// Produce requests that wait for the high watermark.
    pub(crate) until_committed: Tickets,
    /// DeleteRecords that wait for the low watermark.
    pub(crate) until_deleted: Vec<(Ticket, Offset)>,
}

impl Leader {
    pub(crate) fn new(
        node: NodeId,
        leadership: &Leadership,
        epoch_start: Offset,
        now: Instant,
    ) -> Self {
        let mut leader = Self {
            node,
            epoch_start,
            isr: Isr::new(leadership.in_sync.clone()),
            followers: Vec::new(),
            until_counted: Tickets::default(),
            until_committed: Tickets::default(),
            until_deleted: Vec::new(),
        };
        leader.set_replicas(leadership, now);
        leader
    }

    /// The same leadership with other replicas or another ISR.
    pub(crate) fn set_replicas(&mut self, leadership: &Leadership, now: Instant) {
        self.isr = Isr::new(leadership.in_sync.clone());
        let progress_of = |&node: &NodeId| {
            let known = self.followers.iter().find(|follower| follower.node == node);
            let is_in_sync = leadership.in_sync.contains(&node);
            known.copied().unwrap_or_else(|| FollowerProgress::new(node, now, is_in_sync))
        };
        let others = leadership.replicas.iter().filter(|&&node| node != self.node);
        self.followers = others.map(progress_of).collect();
    }

    /// Until as much holds the records as the request asks for.
    pub(crate) fn park(&mut self, required_acks: RequiredAcks, waiting: Waiting) {
        match required_acks {
            RequiredAcks::All => self.until_committed.park(waiting),
            RequiredAcks::None | RequiredAcks::Leader => self.until_counted.park(waiting),
        }
    }

    pub(crate) fn follower_mut(&mut self, node: NodeId) -> Option<&mut FollowerProgress> {
        self.followers.iter_mut().find(|follower| follower.node == node)
    }

    /// `min.insync.replicas`, never more than there are replicas.
    pub(crate) fn required_in_sync(&self, config: &ReplicaConfig) -> usize {
        (config.min_in_sync_replicas as usize).min(self.followers.len() + 1)
    }

    /// End of what every replica holds that the high watermark must respect: the maximal ISR, and
    /// those who have caught up and are about to join, or they would be behind it when they do.
    pub(crate) fn replicated_end(
        &self,
        own_end: Offset,
        leader_end: Offset,
        now: Instant,
        config: &ReplicaConfig,
    ) -> Offset {
        let mut end = own_end;
        if planted(Bug::WatermarkIgnoresIsr) {
            return end;
        }
        for follower in &self.followers {
            let is_joining = follower.may_join_isr
                && follower.is_alive
                && follower.log_end.is_some()
                && follower.is_caught_up(now, leader_end, config.lag_time_max);
            if self.isr.is_in_maximal(follower.node) || is_joining {
                end = end.min(follower.log_end.unwrap_or(Offset::ZERO));
            }
        }
        end
    }

    /// Where every living replica's log starts, at the least.
    pub(crate) fn low_watermark(&self, own_start: Offset) -> Offset {
        let living = self.followers.iter().filter(|follower| follower.is_alive);
        living.map(|follower| follower.log_start).fold(own_start, Offset::min)
    }

    /// The ISR with `follower`, when it may join.
    pub(crate) fn expanded(&self, node: NodeId, high_watermark: Offset) -> Option<Vec<NodeId>> {
        let follower = self.followers.iter().find(|follower| follower.node == node)?;
        let log_end = follower.log_end?;
        let may_join = self.isr.proposed.is_none()
            && !self.isr.committed.contains(&node)
            && follower.is_alive
            && follower.may_join_isr
            && log_end >= high_watermark
            && log_end >= self.epoch_start;
        may_join.then(|| {
            let mut expanded = self.isr.committed.clone();
            expanded.push(node);
            expanded
        })
    }

    /// The ISR without those who lag, when there are any.
    pub(crate) fn shrunk(
        &self,
        leader_end: Offset,
        now: Instant,
        config: &ReplicaConfig,
    ) -> Option<Vec<NodeId>> {
        if self.isr.proposed.is_some() {
            return None;
        }
        let lags = |node: &NodeId| {
            let follower = self.followers.iter().find(|follower| follower.node == *node);
            follower.is_some_and(|it| !it.is_caught_up(now, leader_end, config.lag_time_max))
        };
        let kept: Vec<NodeId> =
            self.isr.committed.iter().copied().filter(|node| !lags(node)).collect();
        (kept.len() < self.isr.committed.len()).then_some(kept)
    }

    /// Of the followers in sync that hold `from` and are near, the one that has most.
    pub(crate) fn near_follower(
        &self,
        from: Offset,
        is_near: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        let holds = |it: &&FollowerProgress| {
            it.log_start <= from && it.log_end.is_some_and(|end| end >= from)
        };
        let in_sync = self.followers.iter().filter(|it| self.isr.committed.contains(&it.node));
        let near = in_sync.filter(holds).filter(|it| is_near(it.node));
        near.max_by_key(|it| (it.log_end, it.last_caught_up_at, it.node)).map(|it| it.node)
    }

    pub(crate) fn members(&self, nodes: &[NodeId]) -> Vec<IsrMember> {
        let member = |&node: &NodeId| {
            let follower = self.followers.iter().find(|follower| follower.node == node);
            let broker_epoch = follower
                .map_or(strandline_types::BrokerEpoch::NONE, |follower| follower.broker_epoch);
            IsrMember { node, broker_epoch }
        };
        nodes.iter().map(member).collect()
    }
}
