//! A look into a node that serves, for whoever holds what it says against what other nodes say.

use std::sync::Arc;

use strandline_metadata::Image;
use strandline_ports::watch;
use strandline_replica::View;
use strandline_types::{LeaderEpoch, NodeId, TopicPartition};

use crate::driver::quorum::Leadership;
use crate::partitions::Partitions;

/// Sees what the node believes at this moment. Keeps its partitions alive: drop it with the node.
#[derive(Clone)]
pub struct Inspector {
    pub(crate) partitions: Partitions,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) images: watch::Receiver<Arc<Image>>,
}

impl Inspector {
    /// The quorum's epoch and who leads it.
    pub fn quorum(&self) -> (LeaderEpoch, Option<NodeId>) {
        let leadership = self.leadership.borrow();
        (leadership.epoch, leadership.leader.id)
    }

    /// The metadata as far as they are committed here.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.images.borrow())
    }

    /// The replicas that this node holds.
    pub fn replicas(&self) -> Vec<(TopicPartition, View)> {
        let held = self.partitions.all().into_iter();
        held.map(|held| (held.partition.name().clone(), held.partition.view())).collect()
    }
}
