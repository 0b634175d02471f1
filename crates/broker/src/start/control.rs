//! The metadata quorum, the controller on top of it, and who watches over the brokers for it. On a
//! broker alone, they follow: it reads the metadata from them, and finds the active controller.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use strandline_metadata::{Controller, Image, Record};
use strandline_ports::{Lane, watch};
use strandline_quorum::{Endpoint, ReplicaKey};
use strandline_types::NodeId;

use super::node::Node;
use super::settings::{advertised, controller_settings, quorum_options, to_controller};
use super::{Fatal, StartError};
use crate::driver::controller::{ControllerHandle, ControllerTask};
use crate::driver::lifecycle::Advertised;
use crate::driver::quorum::{self, QuorumHandle, StartedQuorum};
use crate::driver::registration::ControllerRegistration;

pub(super) struct Control {
    pub(super) quorum: QuorumHandle,
    pub(super) controller: ControllerHandle,
    /// It is to become a voter when that helps.
    joins_once: bool,
}

impl Control {
    /// Opens the metadata log and takes part in its quorum from now on.
    ///
    /// # Errors
    /// When the log, or what the directory was formatted with, cannot be read.
    pub(super) async fn start(node: &Node) -> Result<Self, StartError> {
        let Node { world, config, identity, .. } = node;
        let dir = node.dirs.get(node.metadata_dir);
        let bootstrap = quorum::bootstrap_records(&dir.log).await?.unwrap_or_default();
        let bootstrap = decode(&bootstrap)?;
        let directory_id = dir.id.expect("without the metadata log's directory nothing starts");
        let me = ReplicaKey { id: identity.node_id, directory_id };
        let endpoints = endpoints(advertised(&config.advertised_controller_listeners));
        let options = quorum_options(config, me, endpoints, &identity.cluster_id);
        let StartedQuorum { handle: quorum, events, fault, joins_once } =
            quorum::start(world, &dir.log, options).await?;
        let core = Controller::new(controller_settings(config, &identity.cluster_id, bootstrap));
        let connections = to_controller(config);
        let (controller, task) =
            ControllerTask::new(world.clone(), core, quorum.clone(), events, connections);
        let fatal = node.fatal.clone();
        world.spawn.spawn(
            Lane::Control,
            Box::pin(async move {
                let ended = task.run().await;
                // Without a receiver the process is ending already.
                if let Err(fault) = ended {
                    let _ = fatal.send(Fatal::Controller(fault.to_string()));
                } else if let Ok(fault) = fault.await {
                    let _ = fatal.send(Fatal::MetadataLog(fault));
                }
            }),
        );
        Ok(Self { quorum, controller, joins_once })
    }

    /// Sees brokers end, for when this controller is the active one.
    pub(super) fn watch_brokers(&self, node: &Node) {
        let sentinel = self.controller.sentinel(&node.config.inter_broker_listener_name);
        node.world.spawn.spawn(Lane::Control, Box::pin(sentinel.run()));
    }

    /// Lets this controller become a voter when that helps, and its former self be none. Not before
    /// the cluster has taken the node: its id may be in use by one that lives.
    pub(super) fn may_vote(&self, node: &Node) {
        if self.joins_once {
            let telling = tell_controllers(self.quorum.clone(), self.controller.watch_image());
            node.world.spawn.spawn(Lane::Control, Box::pin(telling));
        }
    }

    /// Makes this controller known in its own time.
    pub(super) fn register(&self, node: &Node) {
        let (registration, clock) = (self.registration(node), Arc::clone(&node.world.clock));
        let registering = async move { registration.run(&*clock).await };
        node.world.spawn.spawn(Lane::Control, Box::pin(registering));
    }

    /// How this controller becomes known to the others.
    pub(super) fn registration(&self, node: &Node) -> ControllerRegistration {
        ControllerRegistration {
            controller: self.controller.clone(),
            identity: node.identity.clone(),
            listeners: advertised(&node.config.advertised_controller_listeners),
        }
    }
}

/// Tells the quorum which controllers there are; one whose broker is fenced does not count, as its
/// process may be gone.
async fn tell_controllers(quorum: QuorumHandle, mut images: watch::Receiver<Arc<Image>>) {
    let mut told = BTreeSet::new();
    loop {
        let image = Arc::clone(&images.borrow_and_update());
        let is_fenced = |id| image.cluster.broker(id).is_some_and(|broker| broker.is_fenced());
        let registered = image.cluster.controllers().map(|it| NodeId(it.controller_id));
        let present: BTreeSet<NodeId> = registered.filter(|id| !is_fenced(*id)).collect();
        if present != told {
            quorum.controllers(present.clone());
            told = present;
        }
        if images.changed().await.is_err() {
            return;
        }
    }
}

fn decode(records: &[Bytes]) -> Result<Vec<Record>, StartError> {
    let decoded: Result<_, _> = records.iter().map(Record::decode).collect();
    decoded.map_err(|error| StartError::Metadata(format!("bootstrap.checkpoint: {error}")))
}

fn endpoints(controllers: Vec<Advertised>) -> Vec<Endpoint> {
    let controllers = controllers.into_iter();
    controllers
        .map(|Advertised { name: listener, host, port }| Endpoint { listener, host, port })
        .collect()
}
