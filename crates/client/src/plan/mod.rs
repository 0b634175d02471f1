//! Where partitions should lie: which replicas move when a broker is emptied, or when others have
//! joined.
//!
//! Pure: from what there is to what there should be. The same cluster always gives the same plan, and
//! a plan that is half carried out, planned again, goes on where it stopped. So whoever carries one
//! out needs no memory but the cluster itself.

mod drain;
mod loads;
mod rebalance;

use strandline_types::{NodeId, TopicPartition};

pub use drain::{Unplaceable, drain};
pub use rebalance::rebalance;

/// A broker as a place for replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub id: NodeId,
    pub rack: Option<String>,
    /// Whether new replicas may go there: it is alive, and not cordoned.
    pub is_open: bool,
    /// How many bytes more it has room for; `None` when it does not say.
    pub room_bytes: Option<u64>,
}

/// A partition as it lies, or as it will when what is on its way has arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placed {
    pub partition: TopicPartition,
    /// The preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Of one replica.
    pub bytes: u64,
}

/// A partition that should lie elsewhere, or be led by another of its replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    pub partition: TopicPartition,
    pub from: Vec<NodeId>,
    pub to: Vec<NodeId>,
    /// Each broker that joins copies so many.
    pub bytes: u64,
}

impl Move {
    /// Brokers that get a copy.
    pub fn adding(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.to.iter().copied().filter(|id| !self.from.contains(id))
    }

    /// Whether a copy travels; otherwise only the preferred leader changes.
    pub fn copies(&self) -> bool {
        self.adding().next().is_some()
    }
}
