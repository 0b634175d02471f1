//! A broker as a process of a simulated machine: started, stopped, crashed, started again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use strandline_broker::{Broker, Ready};
use strandline_config::BrokerConfig;
use strandline_ports::watch;
use tokio::sync::oneshot;

use crate::executor::Sim;
use crate::node::{Crash, Node};

/// Where clients find the broker.
pub const BROKER_PORT: u16 = 9092;

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
    node: Node,
    config: BrokerConfig,
    status: Arc<watch::Sender<Status>>,
    stop: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl BrokerProcess {
    /// `settings` in the words of `server.properties`, on top of a bare start.
    ///
    /// # Panics
    /// When the settings are not allowed.
    pub fn new(sim: &Sim, node: Node, settings: &[(&str, String)]) -> Arc<Self> {
        let listeners = format!("PLAINTEXT://127.0.0.1:{BROKER_PORT},CONTROLLER://127.0.0.1:9093");
        let mut overrides = vec![("listeners".to_owned(), listeners)];
        // Far below what a process may open, so that files are closed and opened again.
        overrides.push(("strandline.open.files.max".into(), "64".into()));
        overrides.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let resolved = BrokerConfig::resolve(None, &overrides).expect("settings of a scenario");
        let status = Arc::new(watch::Sender::new(Status::Down));
        let (sim, config) = (sim.clone(), resolved.config);
        Arc::new(Self { sim, node, config, status, stop: std::sync::Mutex::default() })
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Starts the process; [`BrokerProcess::settled`] waits until it serves.
    pub fn start(&self) {
        // Whatever an earlier process left has ended with it.
        self.node.crash(Crash::Process);
        let (stop_in, stop) = oneshot::channel();
        *self.stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(stop_in);
        self.status.send_replace(Status::Starting);
        let (world, config, status) =
            (self.node.world(), self.config.clone(), Arc::clone(&self.status));
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
                status.send_replace(Status::Serving(broker.ready().clone()));
                let last = live(broker, stop).await;
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
        let stop = self.stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(stop) = stop {
            // Whoever would listen has failed already.
            let _ = stop.send(());
        }
    }

    /// Ends the process at once, or its whole machine.
    pub fn crash(&self, crash: Crash) {
        self.node.crash(crash);
        self.status.send_replace(Status::Down);
    }
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
