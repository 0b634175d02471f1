//! What both roles of a node stand on.

use std::sync::Arc;

use strandline_config::BrokerConfig;
use strandline_metadata::Image;
use strandline_ports::{World, random_uuid, watch};
use strandline_types::BrokerEpoch;
use tokio::sync::mpsc;

use super::control::Control;
use super::{Fatal, StartError};
use crate::api::fetch::FetchSessions;
use crate::dirs::{DirIndex, Dirs};
use crate::driver::coordinators::Place;
use crate::driver::groups::Groups;
use crate::driver::moves::Moves;
use crate::driver::peers::Peers;
use crate::driver::transactions::Transactions;
use crate::driver::verifier::Verifier;
use crate::handles::{Handles, Identity};
use crate::metrics::Metrics;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;

/// Clones share everything.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) world: World,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) identity: Identity,
    pub(super) dirs: Arc<Dirs>,
    pub(super) metadata_dir: DirIndex,
    pub(super) metrics: Arc<Metrics>,
    /// What the process cannot go on with.
    pub(super) fatal: mpsc::UnboundedSender<Fatal>,
}

impl Node {
    pub(super) fn new(
        world: World,
        config: Arc<BrokerConfig>,
        cluster_id: String,
        (dirs, metadata_dir): (Dirs, DirIndex),
    ) -> (Self, mpsc::UnboundedReceiver<Fatal>) {
        let (fatal, failed) = mpsc::unbounded_channel();
        let incarnation_id = random_uuid(&*world.entropy);
        let names = config.listeners.iter().map(|listener| listener.name.as_str());
        let node = Self {
            identity: Identity { node_id: config.node_id, cluster_id, incarnation_id },
            dirs: Arc::new(dirs),
            metadata_dir,
            metrics: Arc::new(Metrics::new(names)),
            fatal,
            world,
            config,
        };
        (node, failed)
    }

    /// What requests work with.
    pub(super) fn handles(&self, control: &Control, served: Served) -> Arc<Handles> {
        let fetch_sessions_max = self.config.network.fetch_session_slots.max(0) as usize;
        let entropy = Arc::clone(&self.world.entropy);
        let Served { partitions, moves, groups, transactions, producer_ids, image } = served;
        let peers = Peers::new(&self.world, &self.config, image.clone(), "verifier");
        let clock = Arc::clone(&self.world.clock);
        let verifier = Verifier::new(peers, clock, &self.config.producers);
        Arc::new(Handles {
            clock: Arc::clone(&self.world.clock),
            entropy: Arc::clone(&entropy),
            spawn: Arc::clone(&self.world.spawn),
            config: Arc::clone(&self.config),
            identity: self.identity.clone(),
            controller: control.controller.clone(),
            quorum: control.quorum.clone(),
            dirs: Arc::clone(&self.dirs),
            partitions,
            moves,
            fetch_sessions: FetchSessions::new(fetch_sessions_max, entropy),
            producer_ids,
            groups,
            transactions,
            verifier,
            metrics: Arc::clone(&self.metrics),
            image,
        })
    }
}

/// What the roles differ in, as far as requests see it.
pub(super) struct Served {
    pub(super) partitions: Partitions,
    pub(super) moves: Moves,
    pub(super) groups: Groups,
    pub(super) transactions: Transactions,
    pub(super) producer_ids: Arc<ProducerIds>,
    pub(super) image: watch::Receiver<Arc<Image>>,
}

impl Served {
    /// A controller alone holds no partitions, coordinates no groups, and shows the metadata as they
    /// are committed.
    pub(super) fn by_controller(node: &Node, control: &Control) -> Self {
        let (partitions, image) = (Partitions::default(), control.controller.watch_image());
        let (_, no_epoch) = watch::channel(BrokerEpoch::NONE);
        let ids = Arc::new(ProducerIds::new(node.config.node_id, no_epoch));
        let place = Place::new(&node.world, node.config.node_id, &partitions, &image);
        let controller = control.controller.clone();
        Self {
            transactions: Transactions::of(place, &node.config, Arc::clone(&ids), controller),
            groups: Groups::of(&node.world, &node.config, partitions.clone(), image.clone()),
            producer_ids: ids,
            partitions,
            moves: Moves::default(),
            image,
        }
    }
}

/// A step of the start, unless what it waits for has failed for good.
pub(super) async fn unless<T>(
    failed: &mut mpsc::UnboundedReceiver<Fatal>,
    step: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    tokio::select! {
        biased;
        Some(fatal) = failed.recv() => Err(StartError::Metadata(fatal.to_string())),
        done = step => done,
    }
}
