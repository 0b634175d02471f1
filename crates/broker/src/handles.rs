//! The narrow handles that API handlers work with.

use std::sync::Arc;

use strandline_config::BrokerConfig;
use strandline_metadata::Image;
use strandline_ports::watch;
use strandline_ports::{Clock, Entropy, Spawn};
use strandline_types::{NodeId, Uuid};

use crate::api::fetch::FetchSessions;
use crate::dirs::Dirs;
use crate::driver::controller::ControllerHandle;
use crate::driver::groups::Groups;
use crate::driver::moves::Moves;
use crate::driver::quorum::QuorumHandle;
use crate::driver::transactions::Transactions;
use crate::driver::verifier::Verifier;
use crate::metrics::Metrics;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;

/// Shared by all requests of one node.
pub(crate) struct Handles {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) spawn: Arc<dyn Spawn>,
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) identity: Identity,
    pub(crate) controller: ControllerHandle,
    pub(crate) quorum: QuorumHandle,
    pub(crate) dirs: Arc<Dirs>,
    pub(crate) partitions: Partitions,
    pub(crate) moves: Moves,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) producer_ids: Arc<ProducerIds>,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) verifier: Verifier,
    pub(crate) metrics: Arc<Metrics>,
    /// What clients may know: published once this node has done its part of it, so that a
    /// partition that metadata name is there to be written to.
    pub(crate) image: watch::Receiver<Arc<Image>>,
}

/// Who this node is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node_id: NodeId,
    pub(crate) cluster_id: String,
    pub(crate) incarnation_id: Uuid,
}

impl Handles {
    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }
}
