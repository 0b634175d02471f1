//! A look into a node that serves, for whoever holds what it says against what other nodes say.

use std::sync::{Arc, Weak};

use strandline_metadata::Image;
use strandline_ports::watch;
use strandline_replica::View;
use strandline_types::{LeaderEpoch, NodeId, TopicPartition};

use crate::driver::partition::Partition;
use crate::driver::quorum::Leadership;
use crate::partitions::{Held, Partitions};

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
    pub fn replicas(&self) -> Vec<Replica> {
        let replica = |Held { partition, .. }: Held| Replica {
            partition: partition.name().clone(),
            view: partition.view(),
            identity: Identity(Arc::downgrade(&partition)),
        };
        self.partitions.all().into_iter().map(replica).collect()
    }
}

/// A replica at one moment.
pub struct Replica {
    pub partition: TopicPartition,
    pub view: View,
    pub identity: Identity,
}

/// Tells a replica from another one of the same partition: one that leaves a node and comes back
/// begins anew.
#[derive(Clone)]
pub struct Identity(Weak<Partition>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Identity {}
