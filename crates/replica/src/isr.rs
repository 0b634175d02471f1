//! The in-sync replicas: what the controller has committed, and what we have asked for (KIP-497).

use alloc::vec::Vec;

use strandline_types::{Bug, NodeId, planted};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Isr {
    pub(crate) committed: Vec<NodeId>,
    pub(crate) proposed: Option<Vec<NodeId>>,
}

impl Isr {
    pub(crate) fn new(committed: Vec<NodeId>) -> Self {
        Self { committed, proposed: None }
    }

    /// While a change is pending either may hold, so the high watermark respects both.
    pub(crate) fn is_in_maximal(&self, node: NodeId) -> bool {
        if planted(Bug::PendingIsrCounts) {
            return self.proposed.as_ref().unwrap_or(&self.committed).contains(&node);
        }
        self.committed.contains(&node)
            || self.proposed.as_ref().is_some_and(|proposed| proposed.contains(&node))
    }
}
