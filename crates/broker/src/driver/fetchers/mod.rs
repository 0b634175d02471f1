//! Followers fetch: `num.replica.fetchers` tasks per leading broker, each with a connection of its
//! own, share the partitions that follow it.

mod fetcher;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strandline_config::{BrokerConfig, ReplicationSettings};
use strandline_metadata::image::Cluster;
use strandline_ports::{Lane, World, watch};
use strandline_types::{BrokerEpoch, NodeId, TopicIdPartition};
use tokio::sync::Notify;

use super::partition::Partition;
use fetcher::Fetcher;

/// Who fetches from whom.
pub(crate) struct Fetchers {
    context: Arc<FetcherContext>,
    /// `num.replica.fetchers`.
    per_leader: u32,
    links: BTreeMap<Source, LeaderLink>,
    /// Those that wait for [`Fetchers::begin`].
    held_back: Option<Vec<Fetcher>>,
}

/// What all fetchers of a node need.
pub(crate) struct FetcherContext {
    pub(crate) world: World,
    pub(crate) node: NodeId,
    pub(crate) listener: String,
    pub(crate) settings: ReplicationSettings,
    pub(crate) broker_epoch: watch::Receiver<BrokerEpoch>,
}

/// Whom a fetcher asks, and which of those who ask it this is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Source {
    leader: NodeId,
    fetcher: u32,
}

struct LeaderLink {
    inbox: Arc<Inbox>,
    endpoint: watch::Sender<Option<Endpoint>>,
}

/// Where a leader listens to other brokers.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Endpoint {
    host: String,
    port: u16,
}

/// Partitions that a fetcher must look at: they are new, have other leaders, or may go on.
#[derive(Default)]
pub(crate) struct Inbox {
    partitions: Mutex<BTreeMap<TopicIdPartition, Arc<Partition>>>,
    arrived: Notify,
}

impl Inbox {
    pub(crate) fn push(&self, partition: Arc<Partition>) {
        self.lock().insert(partition.id(), partition);
        self.arrived.notify_one();
    }

    fn take(&self) -> BTreeMap<TopicIdPartition, Arc<Partition>> {
        std::mem::take(&mut self.lock())
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Completes when there is something to take.
    async fn arrived(&self) {
        while self.is_empty() {
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicIdPartition, Arc<Partition>>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetchers {
    pub(crate) fn new(
        world: World,
        config: &BrokerConfig,
        broker_epoch: watch::Receiver<BrokerEpoch>,
    ) -> Self {
        let context = FetcherContext {
            world,
            node: config.node_id,
            listener: config.inter_broker_listener_name.clone(),
            settings: config.replication.clone(),
            broker_epoch,
        };
        Self {
            context: Arc::new(context),
            per_leader: config.replication.fetchers_per_leader,
            links: BTreeMap::new(),
            held_back: Some(Vec::new()),
        }
    }

    /// From now on logs may be written. Before, the directories still say that the last stop was
    /// clean, and a start after a crash would believe them.
    pub(crate) fn begin(&mut self) {
        for fetcher in self.held_back.take().into_iter().flatten() {
            self.spawn(fetcher);
        }
    }

    fn spawn(&self, fetcher: Fetcher) {
        self.context.world.spawn.spawn(Lane::Data, Box::pin(fetcher.run()));
    }

    /// True when partitions must be shared out anew. Whoever has none left keeps no connection.
    pub(crate) fn set_per_leader(&mut self, per_leader: u32) -> bool {
        std::mem::replace(&mut self.per_leader, per_leader) != per_leader
    }

    /// The inbox of the fetcher that asks `leader` for this partition; `None` while nobody leads.
    pub(crate) fn of(
        &mut self,
        leader: NodeId,
        partition: TopicIdPartition,
        cluster: &Cluster,
    ) -> Option<Arc<Inbox>> {
        if leader == NodeId::NONE || leader == self.context.node {
            return None;
        }
        let source = Source { leader, fetcher: share(partition, self.per_leader) };
        if let Some(link) = self.links.get(&source) {
            return Some(Arc::clone(&link.inbox));
        }
        let inbox = Arc::new(Inbox::default());
        let (endpoint, endpoints) = watch::channel(self.endpoint_of(leader, cluster));
        let fetcher =
            Fetcher::new(Arc::clone(&self.context), source, Arc::clone(&inbox), endpoints);
        match &mut self.held_back {
            Some(held_back) => held_back.push(fetcher),
            None => self.spawn(fetcher),
        }
        self.links.insert(source, LeaderLink { inbox: Arc::clone(&inbox), endpoint });
        Some(inbox)
    }

    /// Brokers may have moved.
    pub(crate) fn update_endpoints(&self, cluster: &Cluster) {
        for (source, link) in &self.links {
            let now = self.endpoint_of(source.leader, cluster);
            link.endpoint.send_if_modified(|known| {
                let changes = *known != now;
                if changes {
                    known.clone_from(&now);
                }
                changes
            });
        }
    }

    fn endpoint_of(&self, leader: NodeId, cluster: &Cluster) -> Option<Endpoint> {
        let endpoint = cluster.broker(leader)?.endpoint(&self.context.listener)?;
        Some(Endpoint { host: endpoint.host.clone(), port: endpoint.port })
    }
}

/// Which of so many fetchers a partition belongs to: a topic's partitions take turns.
fn share(partition: TopicIdPartition, fetchers: u32) -> u32 {
    let topic = u128::from_be_bytes(partition.topic_id.0) as u32;
    topic.wrapping_add(partition.partition.get() as u32) % fetchers.max(1)
}
