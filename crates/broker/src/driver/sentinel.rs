//! Notices that a broker's process has ended, long before its session does: each controller holds a
//! connection to every broker. When one breaks and the port refuses the next, nobody is there. A
//! host or a network that is down says nothing of the kind, and a broker that is only slow still
//! has its port: those are left to the session.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_client::CallError;
use strandline_config::HostPort;
use strandline_metadata::Image;
use strandline_metadata::image::Broker;
use strandline_ports::{Lane, World, timeout, watch};
use strandline_types::{BrokerEpoch, NodeId};
use tokio::sync::mpsc;

use super::links::Links;

/// A broker that cannot be reached, for whatever reason, is tried again after this; the pause
/// doubles up to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How often an active controller that does not fence a broker at once is told again.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// One incarnation of a broker.
pub(crate) type Incarnation = (NodeId, BrokerEpoch);

#[derive(Clone)]
pub(crate) struct Sentinel {
    pub(crate) world: World,
    pub(crate) node_id: NodeId,
    pub(crate) links: Links,
    /// `inter.broker.listener.name`: other brokers reach it by that one, too.
    pub(crate) listener: String,
    pub(crate) images: watch::Receiver<Arc<Image>>,
    pub(crate) is_active: watch::Receiver<bool>,
    /// To this node's controller.
    pub(crate) gone: mpsc::UnboundedSender<Incarnation>,
}

type Watched = Arc<Mutex<BTreeSet<Incarnation>>>;

impl Sentinel {
    /// Runs until the node stops.
    pub(crate) async fn run(mut self) {
        let watched = Watched::default();
        loop {
            let image = Arc::clone(&self.images.borrow_and_update());
            for broker in image.cluster.brokers() {
                let incarnation = (broker.id(), broker.epoch());
                let Some(address) = self.address(broker) else { continue };
                if broker.id() == self.node_id || !lock(&watched).insert(incarnation) {
                    continue;
                }
                let (watcher, watched) = (self.clone(), Arc::clone(&watched));
                let watching = async move {
                    watcher.watch(incarnation, address).await;
                    lock(&watched).remove(&incarnation);
                };
                self.world.spawn.spawn(Lane::Control, Box::pin(watching));
            }
            if self.images.changed().await.is_err() {
                return;
            }
        }
    }

    fn address(&self, broker: &Broker) -> Option<HostPort> {
        // A controller alone may not know by which listener brokers reach each other. Any shows
        // whether there is a process.
        let endpoint = broker.endpoint(&self.listener).or(broker.endpoints().first())?;
        Some(HostPort { host: endpoint.host.to_string(), port: endpoint.port })
    }

    /// Watches one broker until another incarnation of it is registered, or none.
    async fn watch(mut self, (broker, epoch): Incarnation, address: HostPort) {
        let mut images = self.images.clone();
        let is_over = move |image: &Arc<Image>| {
            let now = image.cluster.broker(broker);
            now.is_none_or(|it| it.epoch() != epoch)
        };
        let over = images.wait_for(is_over);
        tokio::select! {
            biased;
            // Also when the node stops.
            _ = over => {}
            () = self.keep_connected((broker, epoch), &address) => {}
        }
    }

    async fn keep_connected(&mut self, incarnation: Incarnation, address: &HostPort) {
        let (mut was_connected, mut pause) = (false, FIRST_PAUSE);
        loop {
            match self.links.connection(address).await {
                Ok(connection) => {
                    (was_connected, pause) = (true, FIRST_PAUSE);
                    connection.closed().await;
                }
                Err(CallError::Refused { .. }) if was_connected => self.tell(incarnation).await,
                // The system closes what a dead process had open one by one, and its port may be the
                // last: until then the next connection is made, and reset.
                Err(_) => {
                    self.world.clock.sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE);
                }
            }
        }
    }

    /// Tells this node's controller once it is the active one; a controller that has just died with
    /// that broker has a successor in a moment.
    async fn tell(&mut self, incarnation: Incarnation) {
        let clock = &*self.world.clock;
        let image = Arc::clone(&self.images.borrow());
        if image.cluster.broker(incarnation.0).is_some_and(Broker::is_fenced) {
            return clock.sleep(RETRY_PAUSE).await;
        }
        let deadline = clock.now().instant + RETRY_PAUSE;
        let becomes_active = self.is_active.wait_for(|active| *active);
        let is_active = matches!(timeout(clock, deadline, becomes_active).await, Ok(Ok(_)));
        if is_active {
            // Without a receiver the node is stopping.
            let _ = self.gone.send(incarnation);
            clock.sleep(TELL_AGAIN).await;
        }
    }
}

fn lock(watched: &Watched) -> std::sync::MutexGuard<'_, BTreeSet<Incarnation>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
