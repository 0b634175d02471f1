//! The broker role: partitions and their copies, groups, and this broker's place in the cluster.

use std::sync::Arc;

use strandline_metadata::Image;
use strandline_ports::{Lane, watch};
use strandline_store::DirState;
use strandline_types::BrokerEpoch;
use tokio::sync::{Notify, mpsc};

use super::control::Control;
use super::join::Joining;
use super::node::{Node, Served};
use super::settings::{advertised, millis};
use super::{Fatal, StartError};
use crate::driver::assignments::Assignments;
use crate::driver::cleaner::Cleaner;
use crate::driver::coordinators::Place;
use crate::driver::fetchers::Fetchers;
use crate::driver::groups::Groups;
use crate::driver::images::Follower;
use crate::driver::isr::IsrProposals;
use crate::driver::lifecycle::Lifecycle;
use crate::driver::moves::{Mover, Moves};
use crate::driver::partition::{CheckpointWanted, PartitionContext};
use crate::driver::replicas::{self, FoundOnDisk, ReplicaSettings, Replicas};
use crate::driver::throttles::Throttles;
use crate::driver::transactions::Transactions;
use crate::driver::upkeep::Upkeep;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::session::Connections;

/// What requests and a clean stop need of it.
pub(super) struct BrokerRole {
    pub(super) partitions: Partitions,
    pub(super) moves: Moves,
    pub(super) groups: Groups,
    pub(super) transactions: Transactions,
    pub(super) producer_ids: Arc<ProducerIds>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) upkeep: Upkeep,
    /// The image that this node has done its part of.
    pub(super) applied: watch::Receiver<Arc<Image>>,
}

/// Its tasks, before any has begun.
pub(super) struct BrokerTasks {
    follower: Follower,
    proposals: IsrProposals,
    assignments: Assignments,
    mover: Mover,
    cleaner: Cleaner,
    checkpoints_wanted: mpsc::UnboundedReceiver<CheckpointWanted>,
}

impl BrokerRole {
    /// Puts its parts together. Nothing of it moves before [`BrokerRole::join`], but for groups,
    /// which wait for an image.
    pub(super) fn assemble(
        node: &Node,
        control: &Control,
        connections: &Connections,
        found: FoundOnDisk,
    ) -> (Self, BrokerTasks) {
        let Node { world, config, .. } = node;
        let partitions = Partitions::default();
        let (applied_in, applied) = watch::channel(Arc::new(Image::default()));
        let (broker_epoch_in, broker_epoch) = watch::channel(BrokerEpoch::NONE);
        let (isr_proposals, proposed) = mpsc::unbounded_channel();
        let (assignments, assigned) = mpsc::unbounded_channel();
        let (checkpoints, checkpoints_wanted) = mpsc::unbounded_channel();
        let room = Arc::new(Notify::new());
        let moves = Moves::default();
        let (cleaner_settings_in, cleaner_settings) = watch::channel(config.cleaner.clone());
        let context = Arc::new(PartitionContext {
            node: config.node_id,
            clock: Arc::clone(&world.clock),
            spawn: Arc::clone(&world.spawn),
            isr_proposals,
            checkpoints,
            metrics: Arc::clone(&node.metrics),
            throttles: Throttles::new(&config.replication),
        });
        let replicas = Replicas::new(
            world.clone(),
            Arc::clone(&node.dirs),
            partitions.clone(),
            Arc::clone(&context),
            ReplicaSettings::of(config),
            found,
            (
                assignments.clone(),
                Fetchers::new(world.clone(), config, broker_epoch.clone()),
                moves.clone(),
            ),
        );
        let upkeep = Upkeep {
            world: world.clone(),
            dirs: Arc::clone(&node.dirs),
            partitions: partitions.clone(),
            settings: config.log.clone(),
            producers: config.producers.clone(),
            replica_lag_time_max: replicas::lag_time_max(config),
            room: Arc::clone(&room),
        };
        let tasks = BrokerTasks {
            follower: Follower {
                config: Arc::clone(config),
                connections: connections.clone(),
                replicas,
                dirs: Arc::clone(&node.dirs),
                cleaner: cleaner_settings_in,
                room,
                applied: applied_in,
            },
            proposals: IsrProposals {
                clock: Arc::clone(&world.clock),
                node_id: config.node_id,
                broker_epoch: broker_epoch.clone(),
                controller: control.controller.clone(),
                partitions: partitions.clone(),
                proposed,
            },
            assignments: Assignments {
                clock: Arc::clone(&world.clock),
                node_id: config.node_id,
                broker_epoch,
                controller: control.controller.clone(),
                assigned,
            },
            mover: Mover {
                world: world.clone(),
                dirs: Arc::clone(&node.dirs),
                partitions: partitions.clone(),
                context,
                moves: moves.clone(),
                assignments,
            },
            cleaner: Cleaner::new(upkeep.clone(), cleaner_settings),
            checkpoints_wanted,
        };
        let groups = Groups::of(world, config, partitions.clone(), applied.clone());
        groups.start();
        let (me, epochs) = (config.node_id, broker_epoch_in.subscribe());
        let producer_ids = Arc::new(ProducerIds::new(me, epochs));
        let place = Place::new(world, me, &partitions, &applied);
        let controller = control.controller.clone();
        let transactions = Transactions::of(place, config, Arc::clone(&producer_ids), controller);
        transactions.start();
        let role = Self {
            groups,
            transactions,
            producer_ids,
            lifecycle: Arc::new(Lifecycle {
                clock: Arc::clone(&world.clock),
                controller: control.controller.clone(),
                identity: node.identity.clone(),
                rack: config.rack.clone(),
                dirs: Arc::clone(&node.dirs),
                applied: applied.clone(),
                broker_epoch: broker_epoch_in,
                heartbeat_interval: millis(config.membership.heartbeat_interval_ms),
            }),
            upkeep,
            partitions,
            moves,
            applied,
        };
        (role, tasks)
    }

    pub(super) fn served(&self) -> Served {
        Served {
            partitions: self.partitions.clone(),
            moves: self.moves.clone(),
            groups: self.groups.clone(),
            transactions: self.transactions.clone(),
            producer_ids: Arc::clone(&self.producer_ids),
            image: self.applied.clone(),
        }
    }

    /// Becomes a member of the cluster: returns when clients may come. `previous_epoch` is that of
    /// the last stop if it was clean, else −1.
    ///
    /// # Errors
    /// When the cluster does not take this node, or the metadata log has failed.
    pub(super) async fn join(
        &self,
        node: &Node,
        control: &Control,
        tasks: BrokerTasks,
        previous_epoch: BrokerEpoch,
    ) -> Result<(), StartError> {
        let Node { world, config, .. } = node;
        let mut joining = Joining {
            clock: Arc::clone(&world.clock),
            patience: millis(config.membership.registration_timeout_ms),
            lifecycle: Arc::clone(&self.lifecycle),
            controller: config.roles.controller.then(|| control.registration(node)),
            brokers: advertised(&config.advertised_listeners),
            previous_epoch,
            images: control.controller.watch_image(),
        };
        joining.follow(world, tasks.follower, (&node.dirs, node.metadata_dir)).await?;
        // What follows the metadata may wait for these, and this node for it: a partition that is
        // taken away while it is cut closes when a checkpoint has been written.
        let spawn = &world.spawn;
        spawn.spawn(Lane::Control, Box::pin(tasks.proposals.run()));
        spawn.spawn(Lane::Control, Box::pin(tasks.assignments.run()));
        spawn.spawn(Lane::Data, Box::pin(tasks.mover.run()));
        self.upkeep.start(tasks.checkpoints_wanted);
        spawn.spawn(Lane::Data, Box::pin(tasks.cleaner.run()));
        self.watch_dirs(node);
        joining.become_available().await?;
        spawn.spawn(Lane::Control, Box::pin(Arc::clone(&self.lifecycle).keep_alive()));
        Ok(())
    }

    /// What lies in a directory goes offline with it: also what nobody writes to just now must not
    /// be served any more. A process without a directory that works has nothing to serve.
    fn watch_dirs(&self, node: &Node) {
        for (index, dir) in node.dirs.iter() {
            let mut states = dir.log.watch_state();
            let (dirs, fatal) = (Arc::clone(&node.dirs), node.fatal.clone());
            let partitions = self.partitions.clone();
            let path = dir.log.path().display().to_string();
            let watching = async move {
                let gone = states.wait_for(|state| *state == DirState::Offline).await.is_ok();
                if gone {
                    tracing::error!(dir = path, "log directory is offline");
                    for held in partitions.all().iter().filter(|held| held.partition.dir() == index)
                    {
                        held.partition.take_offline();
                    }
                    if dirs.log_dirs().all(|(_, dir)| !dir.is_usable()) {
                        // Without a receiver the process is ending already.
                        let _ = fatal.send(Fatal::NoLogDir);
                    }
                }
            };
            node.world.spawn.spawn(Lane::Data, Box::pin(watching));
        }
    }
}
