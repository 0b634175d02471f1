//! A broker as a process of a simulated machine: started, stopped, crashed, started again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use strandline_broker::format::{self, DirState, FirstLevels, Founding, Plan};
use strandline_broker::{Broker, FORGOTTEN_FILE, Inspector, Ready};
use strandline_config::BrokerConfig;
use strandline_ports::{Clock, World, watch};
use strandline_types::Uuid;
use tokio::sync::oneshot;

use crate::executor::Sim;
use crate::node::{Crash, Node};

/// Where clients find the broker.
pub const BROKER_PORT: u16 = 9092;

/// Says whose a log dir is.
const IDENTITY_FILE: &str = "meta.properties";

/// What the process is doing.
#[derive(Clone, Debug)]
pub enum Status {
    Down,
    Starting,
    Serving(Ready),
    /// It ended by itself: it could not start, or not go on. Why, in its own words.
    Failed(String),
    Stopped,
}

/// One broker and its machine. Everything of the process runs as tasks of its node, so that a crash
/// leaves nothing behind.
pub struct BrokerProcess {
    sim: Sim,
    node: Arc<Node>,
    config: BrokerConfig,
    status: Arc<watch::Sender<Status>>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    /// While it serves.
    inspector: Arc<Mutex<Option<Inspector>>>,
    starts: AtomicU64,
}

impl BrokerProcess {
    /// `settings` in the words of `server.properties`, on top of a bare start.
    ///
    /// # Panics
    /// When the settings are not allowed.
    pub fn new(sim: &Sim, node: Node, settings: &[(&str, String)]) -> Arc<Self> {
        Self::at(sim, node, BROKER_PORT, settings)
    }

    /// As [`BrokerProcess::new`], with the broker at `port` and the controller behind it.
    ///
    /// # Panics
    /// When the settings are not allowed.
    pub fn at(sim: &Sim, node: Node, port: u16, settings: &[(&str, String)]) -> Arc<Self> {
        let controller = port + 1;
        let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
        let mut overrides = vec![("listeners".to_owned(), listeners)];
        // Far below what a process may open, so that files are closed and opened again.
        overrides.push(("strandline.open.files.max".into(), "64".into()));
        overrides.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let resolved = BrokerConfig::resolve(None, &overrides).expect("settings of a scenario");
        let status = Arc::new(watch::Sender::new(Status::Down));
        let (sim, config) = (sim.clone(), resolved.config);
        Arc::new(Self {
            sim,
            node: Arc::new(node),
            config,
            status,
            stop: Mutex::default(),
            inspector: Arc::default(),
            starts: AtomicU64::new(0),
        })
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Makes the node's directories its own, as a member of a cluster with fixed voters.
    ///
    /// # Panics
    /// When the disk refuses.
    pub async fn format(&self, cluster_id: &str) {
        self.format_as(cluster_id, Founding::ByOthers, &FirstLevels::default()).await;
    }

    /// Makes the node's directories its own.
    ///
    /// # Panics
    /// When the disk refuses.
    pub(crate) async fn format_as(
        &self,
        cluster_id: &str,
        founding: Founding<'_>,
        levels: &FirstLevels,
    ) {
        let World { disk, entropy, clock, .. } = self.node.world();
        let dirs = (&self.config, format::directories(&self.config));
        let now = clock.now().timestamp;
        let plan = Plan { cluster_id, founding, levels, keep_formatted: false };
        format::format(&*disk, &*entropy, now, dirs, plan)
            .await
            .expect("an empty disk takes a new node");
    }

    pub(crate) fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// The id of its one log directory, if the disk has been formatted.
    pub(crate) fn directory_id(&self) -> Option<Uuid> {
        let dirs = format::directories(&self.config);
        let found = format::inspect(&*self.node.disk, dirs).ok()?;
        found.into_iter().find_map(|dir| match dir.state {
            DirState::Formatted(identity) => identity.directory_id,
            DirState::Unformatted => None,
        })
    }

    /// Shows what the process believes, while it serves; drop it before anything else happens.
    pub fn inspector(&self) -> Option<Inspector> {
        lock(&self.inspector).clone()
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.starts.load(Relaxed)
    }

    /// Whether its disk is a new one that does not know yet what the node has promised; after a loss
    /// of power, if nothing unsynced outlives it.
    pub(crate) fn has_forgotten(&self, after: Crash) -> bool {
        let disk = &self.node.disk;
        !disk.holds(IDENTITY_FILE, after) || disk.holds(FORGOTTEN_FILE, after)
    }

    /// The disk of one of them may be lost: those of the others know what was promised.
    pub(crate) fn may_lose_disk(nodes: &[Arc<Self>]) -> bool {
        let forgets = |node: &Arc<Self>| {
            node.has_forgotten(Crash::Process) || node.has_forgotten(Crash::Power)
        };
        !nodes.iter().any(forgets)
    }

    /// Waits until no voter stands aside any more because its disk was replaced.
    pub(crate) async fn all_remember(nodes: Vec<Arc<Self>>, clock: Arc<dyn Clock>) {
        while nodes.iter().any(|node| node.has_forgotten(Crash::Process)) {
            clock.sleep(Duration::from_millis(100)).await;
        }
    }

    /// Starts the process; [`BrokerProcess::settled`] waits until it serves.
    pub fn start(&self) {
        // Whatever an earlier process left has ended with it.
        self.node.crash(Crash::Process);
        let (stop_in, stop) = oneshot::channel();
        *lock(&self.stop) = Some(stop_in);
        *lock(&self.inspector) = None;
        self.starts.fetch_add(1, Relaxed);
        self.status.send_replace(Status::Starting);
        let (world, config, status) =
            (self.node.world(), self.config.clone(), Arc::clone(&self.status));
        let (inspector, node) = (Arc::clone(&self.inspector), Arc::clone(&self.node));
        self.sim.spawn(
            self.node.id,
            Box::pin(async move {
                let broker = match Broker::start(world, config).await {
                    Ok(broker) => broker,
                    Err(error) => {
                        status.send_replace(Status::Failed(format!("cannot start: {error}")));
                        return;
                    }
                };
                *lock(&inspector) = Some(broker.inspector());
                status.send_replace(Status::Serving(broker.ready().clone()));
                let last = live(broker, stop).await;
                *lock(&inspector) = None;
                // With such a process ends whatever it was doing, or what is left would serve on.
                if matches!(last, Status::Failed(_)) {
                    node.crash(Crash::Process);
                }
                status.send_replace(last);
            }),
        );
    }

    /// Waits until the process serves or has ended.
    pub async fn settled(&self) -> Status {
        let mut watching = self.status.subscribe();
        let settled = watching.wait_for(|status| !matches!(status, Status::Starting)).await;
        settled.map(|status| status.clone()).unwrap_or(Status::Down)
    }

    /// Waits until the process has ended, in whatever way.
    pub async fn ended(&self) -> Status {
        let mut watching = self.status.subscribe();
        let is_over = |status: &Status| !matches!(status, Status::Starting | Status::Serving(_));
        watching.wait_for(is_over).await.map(|status| status.clone()).unwrap_or(Status::Down)
    }

    /// Asks for a clean stop.
    pub fn stop(&self) {
        let stop = lock(&self.stop).take();
        if let Some(stop) = stop {
            // Whoever would listen has failed already.
            let _ = stop.send(());
        }
    }

    /// Ends the process at once, or its whole machine.
    pub fn crash(&self, crash: Crash) {
        self.node.crash(crash);
        *lock(&self.inspector) = None;
        self.status.send_replace(Status::Down);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until told to stop, or until the broker cannot go on.
async fn live(mut broker: Broker, mut stop: oneshot::Receiver<()>) -> Status {
    let fatal = {
        let mut failed = pin!(broker.failed());
        poll_fn(|cx| {
            if pin!(&mut stop).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            failed.as_mut().poll(cx).map(Some)
        })
        .await
    };
    match fatal {
        Some(fatal) => Status::Failed(fatal.to_string()),
        None => match broker.stop().await {
            Ok(()) => Status::Stopped,
            Err(fault) => Status::Failed(format!("no clean stop: {fault}")),
        },
    }
}
