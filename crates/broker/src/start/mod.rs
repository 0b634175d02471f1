//! Brings a node up, step by step, and down again.

mod bind;
mod close;
mod founding;
mod join;
mod open_dirs;
mod settings;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use strandline_config::{BrokerConfig, HostPort, Listener};
use strandline_metadata::{Controller, Image, Record};
use strandline_ports::watch;
use strandline_ports::{Lane, World, random_uuid};
use strandline_quorum::{Endpoint, ReplicaKey};
use strandline_store::{Checkpoint, DirState, StoreFault};
use strandline_types::{BrokerEpoch, NodeId};
use tokio::sync::{Notify, mpsc};

use crate::api::fetch::FetchSessions;
use crate::cx::ListenerRole;
use crate::dirs::{DirIndex, Dirs};
use crate::driver::assignments::Assignments;
use crate::driver::controller::{ControllerHandle, ControllerTask};
use crate::driver::fetchers::Fetchers;
use crate::driver::groups::Groups;
use crate::driver::images::Follower;
use crate::driver::isr::IsrProposals;
use crate::driver::lifecycle::{Advertised, JoinError, Lifecycle};
use crate::driver::partition::PartitionContext;
use crate::driver::quorum::{self, OpenError, QuorumHandle, StartedQuorum};
use crate::driver::replicas::{self, ReplicaSettings, Replicas};
use crate::driver::upkeep::Upkeep;
use crate::handles::{Handles, Identity};
use crate::inspect::Inspector;
use crate::metrics::{BrokerState, Endpoint as MetricsEndpoint, Metrics, Scrape};
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::session::{ConnectionLimits, Connections};
use bind::{Serving, bind, bind_metrics, request_memory};
use close::ClosedDir;
use join::Joining;
use settings::{controller_settings, quorum_options, refuse_what_is_not_served, to_controller};

pub use open_dirs::DirError;

/// What a person wants to know of a node that has started.
#[derive(Clone, Debug)]
pub struct Ready {
    /// In the order of the setting.
    pub listeners: Vec<BoundAddress>,
    /// Where Prometheus finds the metrics.
    pub metrics: Option<SocketAddr>,
    pub node_id: NodeId,
    pub cluster_id: String,
    pub log_dirs: Vec<String>,
    pub took: Duration,
}

/// One listener and the address it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundAddress {
    pub name: String,
    pub is_controller: bool,
    pub address: SocketAddr,
}

/// Why a node cannot start. Each says what is wrong and, where that helps, what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {listener}: {error}")]
    Listen { listener: String, error: std::io::Error },
    #[error(transparent)]
    Dir(#[from] DirError),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("{0}")]
    Metadata(String),
    #[error("{0}")]
    Join(String),
    #[error("{0}")]
    Unsupported(String),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Metadata(error.to_string())
    }
}

impl From<JoinError> for StartError {
    fn from(error: JoinError) -> Self {
        Self::Join(error.to_string())
    }
}

/// What ends a process that did not want to stop.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error("the metadata log has failed: {0}")]
    MetadataLog(StoreFault),
    #[error("{0}")]
    Controller(String),
    #[error("no log directory is left")]
    NoLogDir,
}

/// A node that serves.
pub struct Broker {
    ready: Ready,
    dirs: Arc<Dirs>,
    metadata_dir: DirIndex,
    partitions: Partitions,
    upkeep: Upkeep,
    lifecycle: Arc<Lifecycle>,
    connections: Connections,
    quorum: QuorumHandle,
    images: watch::Receiver<Arc<Image>>,
    metrics: Arc<Metrics>,
    fatal: mpsc::UnboundedReceiver<Fatal>,
    /// `controlled.shutdown.enable`
    hands_over: bool,
}

/// A node on its way to serve.
pub type Starting = Pin<Box<dyn Future<Output = Result<Broker, StartError>> + Send>>;

/// How long a broker waits for the controller's leave to go.
const LEAVE_PATIENCE: Duration = Duration::from_secs(10);

impl Broker {
    /// Starts a node and returns once it serves. In a box, so that the broker is compiled in its
    /// own crate, once, and not wherever somebody awaits it.
    ///
    /// # Errors
    /// When something is in the way; nothing serves then.
    pub fn start(world: World, config: BrokerConfig) -> Starting {
        Box::pin(Self::begin(world, config))
    }

    async fn begin(world: World, config: BrokerConfig) -> Result<Self, StartError> {
        let began = world.clock.now().instant;
        refuse_what_is_not_served(&config)?;
        let mut bound = bind(&world, &config).await?;
        let metrics_listener = bind_metrics(&world, &config).await?;
        let config = Arc::new(bound.settle(config));
        let endpoints = endpoints(&config);
        let learned = founding::learn(&world, &config, &bound).await;
        let opened = open_dirs::open(&world, &config, learned).await?;
        let (dirs, found) = (Arc::new(opened.dirs), opened.found);
        let identity = Identity {
            node_id: config.node_id,
            cluster_id: opened.cluster_id,
            incarnation_id: random_uuid(&*world.entropy),
        };
        let (fatal_in, mut fatal) = mpsc::unbounded_channel();
        let control = Control::start(
            &world,
            &config,
            (&dirs, opened.metadata_dir),
            (&identity, endpoints),
            &fatal_in,
        )
        .await?;

        let partitions = Partitions::default();
        let names = config.listeners.iter().map(|listener| listener.name.as_str());
        let metrics = Arc::new(Metrics::new(names));
        let (applied_in, applied) = watch::channel(Arc::new(Image::default()));
        let (broker_epoch_in, broker_epoch) = watch::channel(BrokerEpoch::NONE);
        let (isr_proposals, proposed) = mpsc::unbounded_channel();
        let (assignments, assigned) = mpsc::unbounded_channel();
        let (checkpoints, checkpoints_wanted) = mpsc::unbounded_channel();
        let lifecycle = Arc::new(Lifecycle {
            clock: Arc::clone(&world.clock),
            controller: control.handle.clone(),
            identity: identity.clone(),
            rack: config.rack.clone(),
            dirs: Arc::clone(&dirs),
            applied: applied.clone(),
            broker_epoch: broker_epoch_in,
            heartbeat_interval: settings::millis(config.membership.heartbeat_interval_ms),
        });
        let shared = PartitionContext {
            node: config.node_id,
            clock: Arc::clone(&world.clock),
            spawn: Arc::clone(&world.spawn),
            isr_proposals,
            checkpoints,
            metrics: Arc::clone(&metrics),
        };
        let connections = Connections::new(ConnectionLimits::of(&config.network));
        let room = Arc::new(Notify::new());
        let follower = Follower {
            config: Arc::clone(&config),
            connections: connections.clone(),
            replicas: Replicas::new(
                world.clone(),
                Arc::clone(&dirs),
                partitions.clone(),
                Arc::new(shared),
                ReplicaSettings::of(&config),
                found,
                (assignments, Fetchers::new(world.clone(), &config, broker_epoch.clone())),
            ),
            room: Arc::clone(&room),
            applied: applied_in,
        };
        let at = (&*dirs, opened.metadata_dir);
        let groups = Groups::start(&world, &config, partitions.clone(), applied.clone());
        let handles = Arc::new(Handles {
            clock: Arc::clone(&world.clock),
            entropy: Arc::clone(&world.entropy),
            config: Arc::clone(&config),
            identity: identity.clone(),
            controller: control.handle.clone(),
            quorum: control.quorum.clone(),
            dirs: Arc::clone(&dirs),
            partitions: partitions.clone(),
            fetch_sessions: FetchSessions::new(
                config.network.fetch_session_slots.max(0) as usize,
                Arc::clone(&world.entropy),
            ),
            producer_ids: ProducerIds::new(config.node_id, broker_epoch.clone()),
            groups,
            metrics: Arc::clone(&metrics),
            image: applied.clone(),
        });
        let memory = request_memory(&config);
        let serving = Serving {
            world: world.clone(),
            config: Arc::clone(&config),
            handles: Arc::clone(&handles),
            connections: connections.clone(),
            memory: memory.clone(),
        };
        // The other nodes of the quorum ask before there is anything for clients.
        let mut listeners = bound.serve(ListenerRole::Controller, &serving);
        let sentinel = control.handle.sentinel(&config.inter_broker_listener_name);
        world.spawn.spawn(Lane::Control, Box::pin(sentinel.run()));
        let joining = Joining {
            clock: Arc::clone(&world.clock),
            patience: settings::millis(config.membership.registration_timeout_ms),
            lifecycle: Arc::clone(&lifecycle),
            controllers: advertised(&config.advertised_controller_listeners),
            brokers: advertised(&config.advertised_listeners),
            previous_epoch: opened.previous_epoch,
            images: control.handle.watch_image(),
            applied: applied.clone(),
        };
        unless(&mut fatal, joining.run(&world, follower, at)).await?;
        world.spawn.spawn(Lane::Control, Box::pin(Arc::clone(&lifecycle).keep_alive()));
        let proposals = IsrProposals {
            clock: Arc::clone(&world.clock),
            node_id: config.node_id,
            broker_epoch: broker_epoch.clone(),
            controller: control.handle.clone(),
            partitions: partitions.clone(),
            proposed,
        };
        world.spawn.spawn(Lane::Control, Box::pin(proposals.run()));
        let assignments = Assignments {
            clock: Arc::clone(&world.clock),
            node_id: config.node_id,
            broker_epoch: broker_epoch.clone(),
            controller: control.handle.clone(),
            assigned,
        };
        world.spawn.spawn(Lane::Control, Box::pin(assignments.run()));

        let upkeep = Upkeep {
            world: world.clone(),
            dirs: Arc::clone(&dirs),
            partitions: partitions.clone(),
            settings: config.log.clone(),
            producers: config.producers.clone(),
            replica_lag_time_max: replicas::lag_time_max(&config),
            room,
        };
        upkeep.start(checkpoints_wanted);
        watch_dirs(&world, &dirs, &partitions, &fatal_in);
        let sweeping = connections.clone().sweep(Arc::clone(&world.clock));
        world.spawn.spawn(Lane::Data, Box::pin(sweeping));
        listeners.extend(bound.serve(ListenerRole::Broker, &serving));
        listeners.sort_by_key(|bound| config.listeners.iter().position(|it| it.name == bound.name));
        metrics.enter(BrokerState::Running);
        let metrics_address = metrics_listener.as_ref().map(|listener| listener.local_addr());
        if let Some(listener) = metrics_listener {
            let endpoint =
                MetricsEndpoint { world: world.clone(), scrape: Scrape { handles, memory } };
            world.spawn.spawn(Lane::Data, Box::pin(endpoint.run(listener)));
        }
        let ready = Ready {
            listeners,
            metrics: metrics_address,
            node_id: identity.node_id,
            cluster_id: identity.cluster_id,
            log_dirs: config.log_dirs.clone(),
            took: world.clock.now().instant.since(began),
        };
        let metadata_dir = opened.metadata_dir;
        let images = control.handle.watch_image();
        let quorum = control.quorum;
        Ok(Self {
            ready,
            dirs,
            metadata_dir,
            partitions,
            upkeep,
            lifecycle,
            connections,
            quorum,
            images,
            metrics,
            fatal,
            hands_over: config.membership.controlled_shutdown,
        })
    }

    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Shows what the node believes.
    pub fn inspector(&self) -> Inspector {
        Inspector {
            partitions: self.partitions.clone(),
            leadership: self.quorum.leadership(),
            images: self.images.clone(),
        }
    }

    /// Resolves when the node cannot go on.
    pub async fn failed(&mut self) -> Fatal {
        match self.fatal.recv().await {
            Some(fatal) => fatal,
            None => std::future::pending().await,
        }
    }

    /// A clean stop: clients are cut off, everything is flushed and checkpointed.
    ///
    /// # Errors
    /// When the disk refuses; the next start recovers then.
    pub async fn stop(self) -> Result<(), StoreFault> {
        self.metrics.enter(BrokerState::PendingControlledShutdown);
        if self.hands_over {
            self.lifecycle.leave(LEAVE_PATIENCE).await;
        }
        self.connections.close_all();
        let mut open = self.partitions.all();
        open.retain(|held| self.dirs.get(held.dir).is_usable());
        let mut closed = close::close_all(&self.upkeep.world, open).await;
        let metadata = self.quorum.stop().await.transpose();
        let mut first_fault = None;
        for (index, dir) in self.dirs.iter().filter(|(_, dir)| dir.is_usable()) {
            let mut closed = closed.remove(&index).unwrap_or_default();
            if index == self.metadata_dir {
                closed.add(quorum::METADATA_DIR.into(), metadata.clone());
            }
            // The next start recovers this directory; that is no reason to recover the others.
            if let Err(fault) = self.finish(index, closed).await {
                tracing::error!(dir = %dir.log.path().display(), %fault, "no clean stop");
                first_fault.get_or_insert(fault);
            }
        }
        first_fault.map_or(Ok(()), Err)
    }

    /// Leaves one directory as the next start may take it.
    async fn finish(&self, index: DirIndex, closed: ClosedDir) -> Result<(), StoreFault> {
        let checkpoints =
            [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark];
        for checkpoint in checkpoints {
            self.upkeep.checkpoint(index, checkpoint).await?;
        }
        let epoch = *self.lifecycle.broker_epoch.borrow();
        self.dirs.get(index).log.finish(epoch, &closed.images()?).await
    }
}

/// A step of the start, unless what it waits for has failed for good.
async fn unless<E: Into<StartError>>(
    fatal: &mut mpsc::UnboundedReceiver<Fatal>,
    step: impl Future<Output = Result<(), E>>,
) -> Result<(), StartError> {
    tokio::select! {
        biased;
        Some(fatal) = fatal.recv() => Err(StartError::Metadata(fatal.to_string())),
        done = step => done.map_err(E::into),
    }
}

/// The metadata quorum and the controller on top of it.
struct Control {
    quorum: QuorumHandle,
    handle: ControllerHandle,
}

impl Control {
    async fn start(
        world: &World,
        config: &Arc<BrokerConfig>,
        (dirs, metadata_dir): (&Dirs, DirIndex),
        (identity, endpoints): (&Identity, Vec<Endpoint>),
        fatal: &mpsc::UnboundedSender<Fatal>,
    ) -> Result<Self, StartError> {
        let dir = dirs.get(metadata_dir);
        let bootstrap = quorum::bootstrap_records(&dir.log).await?.unwrap_or_default();
        let bootstrap = decode(&bootstrap)?;
        let directory_id = dir.id.expect("without the metadata log's directory nothing starts");
        let me = ReplicaKey { id: identity.node_id, directory_id };
        let options = quorum_options(config, me, endpoints, &identity.cluster_id);
        let StartedQuorum { handle: quorum, events, fault } =
            quorum::start(world, &dir.log, options).await?;
        let connections = to_controller(config);
        let core = Controller::new(controller_settings(config, &identity.cluster_id, bootstrap));
        let (handle, task) =
            ControllerTask::new(world.clone(), core, quorum.clone(), events, connections);
        let fatal = fatal.clone();
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
        Ok(Self { quorum, handle })
    }
}

fn decode(records: &[Bytes]) -> Result<Vec<Record>, StartError> {
    let decoded: Result<_, _> = records.iter().map(Record::decode).collect();
    decoded.map_err(|error| StartError::Metadata(format!("bootstrap.checkpoint: {error}")))
}

fn endpoints(config: &BrokerConfig) -> Vec<Endpoint> {
    let controllers = advertised(&config.advertised_controller_listeners).into_iter();
    controllers
        .map(|Advertised { name: listener, host, port }| Endpoint { listener, host, port })
        .collect()
}

fn advertised(listeners: &[Listener]) -> Vec<Advertised> {
    let named = listeners.iter().cloned();
    named
        .map(|Listener { name, address: HostPort { host, port }, .. }| Advertised {
            name,
            host,
            port,
        })
        .collect()
}

/// What lies in a directory goes offline with it: also what nobody writes to just now must not be
/// served any more. A process without a directory that works has nothing to serve.
fn watch_dirs(
    world: &World,
    dirs: &Arc<Dirs>,
    partitions: &Partitions,
    fatal: &mpsc::UnboundedSender<Fatal>,
) {
    for (index, dir) in dirs.iter() {
        let mut states = dir.log.watch_state();
        let (dirs, partitions, fatal) = (Arc::clone(dirs), partitions.clone(), fatal.clone());
        let path = dir.log.path().display().to_string();
        world.spawn.spawn(
            Lane::Data,
            Box::pin(async move {
                let gone = states.wait_for(|state| *state == DirState::Offline).await.is_ok();
                if gone {
                    tracing::error!(dir = path, "log directory is offline");
                    for held in partitions.all().iter().filter(|held| held.dir == index) {
                        held.partition.take_offline();
                    }
                    if dirs.log_dirs().all(|(_, dir)| !dir.is_usable()) {
                        // Without a receiver the process is ending already.
                        let _ = fatal.send(Fatal::NoLogDir);
                    }
                }
            }),
        );
    }
}
