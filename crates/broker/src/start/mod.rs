//! Brings a node up, step by step, and down again.

mod bind;
mod broker_role;
mod close;
mod control;
mod founding;
mod join;
mod node;
mod open_dirs;
mod settings;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use strandline_config::BrokerConfig;
use strandline_ports::World;
use strandline_store::StoreFault;
use strandline_types::NodeId;
use tokio::sync::mpsc;

use crate::cx::ListenerRole;
use crate::driver::lifecycle::JoinError;
use crate::driver::quorum::OpenError;
use crate::inspect::Inspector;
use crate::metrics::BrokerState;
use crate::session::{ConnectionLimits, Connections};
use bind::{Serving, bind, bind_metrics};
use broker_role::BrokerRole;
use control::Control;
use node::{Node, Served, unless};
use open_dirs::OpenedDirs;

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
    node: Node,
    control: Control,
    /// `None` on a controller alone.
    broker: Option<BrokerRole>,
    serving: Serving,
    failed: mpsc::UnboundedReceiver<Fatal>,
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
        let mut bound = bind(&world, &config).await?;
        let metrics_listener = bind_metrics(&world, &config).await?;
        let config = Arc::new(bound.settle(config, &world.net.host_name()));
        let learned = founding::learn(&world, &config, &bound).await;
        let opened = open_dirs::open(&world, &config, learned).await?;
        let OpenedDirs { dirs, metadata_dir, cluster_id, previous_epoch, found } = opened;
        let (node, mut failed) = Node::new(world, config, cluster_id, (dirs, metadata_dir));
        let control = Control::start(&node).await?;
        let connections = Connections::new(ConnectionLimits::of(&node.config.network));
        let roles = node.config.roles;
        let assembled =
            roles.broker.then(|| BrokerRole::assemble(&node, &control, &connections, found));
        let served = match &assembled {
            Some((broker, _)) => broker.served(),
            None => Served::by_controller(&node, &control),
        };
        let serving = Serving::new(&node, node.handles(&control, served), connections);
        // The other nodes of the quorum ask before there is anything for clients.
        let mut listeners = bound.serve(ListenerRole::Controller, &serving);
        serving.sweep();
        if roles.controller {
            control.watch_brokers(&node);
        }
        let broker = match assembled {
            Some((broker, tasks)) => {
                let joining = broker.join(&node, &control, tasks, previous_epoch);
                unless(&mut failed, joining).await?;
                listeners.extend(bound.serve(ListenerRole::Broker, &serving));
                node.metrics.enter(BrokerState::Running);
                Some(broker)
            }
            None => {
                control.register(&node);
                None
            }
        };
        control.may_vote(&node);
        let metrics = metrics_listener.map(|listener| serving.metrics(listener));
        let order = |bound: &BoundAddress| {
            node.config.listeners.iter().position(|it| it.name == bound.name)
        };
        listeners.sort_by_key(order);
        let ready = Ready {
            listeners,
            metrics,
            node_id: node.identity.node_id,
            cluster_id: node.identity.cluster_id.clone(),
            log_dirs: node.config.log_dirs.clone(),
            took: node.world.clock.now().instant.since(began),
        };
        Ok(Self { ready, node, control, broker, serving, failed })
    }

    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Shows what the node believes.
    pub fn inspector(&self) -> Inspector {
        Inspector {
            partitions: self.broker.as_ref().map(|it| it.partitions.clone()).unwrap_or_default(),
            leadership: self.control.quorum.leadership(),
            images: self.control.controller.watch_image(),
        }
    }

    /// Resolves when the node cannot go on.
    pub async fn failed(&mut self) -> Fatal {
        match self.failed.recv().await {
            Some(fatal) => fatal,
            None => std::future::pending().await,
        }
    }

    /// A clean stop: clients are cut off, everything is flushed and checkpointed.
    ///
    /// # Errors
    /// When the disk refuses; the next start recovers then.
    pub async fn stop(self) -> Result<(), StoreFault> {
        self.node.metrics.enter(BrokerState::PendingControlledShutdown);
        if let Some(broker) = &self.broker
            && self.node.config.membership.controlled_shutdown
        {
            broker.lifecycle.leave(LEAVE_PATIENCE).await;
        }
        drop(self.serving);
        close::close(&self.node, &self.control, self.broker.as_ref()).await
    }
}
