//! Has the markers of decided transactions written by the leaders of their partitions, however long
//! that takes.
//!
//! To each broker one request is under way; what is decided meanwhile goes with the next. Leaders
//! are looked up anew for every attempt. The shard that has decided hears of every partition, and
//! says when nobody waits for more: it has been told everything, or is no longer the one.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_coordinator::transactions::{Event, Markers, Topics};
use strandline_metadata::Image;
use strandline_ports::{Lane, World};
use strandline_types::{ErrorCode, NodeId, PartitionId};
use strandline_wire::messages::WriteTxnMarkersRequest;
use strandline_wire::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use strandline_wire::messages::write_txn_markers_response::WritableTxnMarkerTopicResult;
use tokio::sync::oneshot;

use super::coordinators::Shard;
use super::peers::Peers;
use super::transactions::OfTransactions;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Most markers in one request.
const MARKERS_MAX: usize = 1000;

/// Clones share the queues.
#[derive(Clone)]
pub(crate) struct MarkerSender {
    world: World,
    peers: Peers,
    queues: Arc<Mutex<BTreeMap<NodeId, Vec<Queued>>>>,
}

/// What a broker says of each partition; nothing when it did not answer.
type Said = Vec<WritableTxnMarkerTopicResult>;

struct Queued {
    marker: WritableTxnMarker,
    said: oneshot::Sender<Said>,
}

/// What becomes of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Marked,
    Again,
    /// Another coordinator has taken over, and sees to it.
    Stop,
}

/// Who waits for markers.
trait Waiting: Send + Sync {
    /// Whether these are still the ones.
    fn misses(&self, markers: &Markers) -> bool;
    fn marked(&self, event: Event);
}

impl Waiting for Arc<Shard<OfTransactions>> {
    fn misses(&self, markers: &Markers) -> bool {
        self.look(|core| core.misses(markers)).unwrap_or(false)
    }

    fn marked(&self, event: Event) {
        self.tell(event);
    }
}

impl MarkerSender {
    pub(crate) fn new(world: World, peers: Peers) -> Self {
        Self { world, peers, queues: Arc::default() }
    }

    /// Completes when nobody waits for any of the markers.
    pub(crate) async fn send(self, shard: Arc<Shard<OfTransactions>>, markers: Markers) {
        self.write(&shard, markers).await;
    }

    async fn write(&self, waiting: &impl Waiting, markers: Markers) {
        let mut pause = FIRST_PAUSE;
        let mut missing: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for (topic, partitions) in &markers.topics {
            missing.entry(topic.clone()).or_default().extend(partitions);
        }
        while waiting.misses(&markers) {
            let (gone, by_leader) = by_leader(&self.peers.image(), &missing);
            settle(waiting, &markers, &mut missing, gone);
            let asked: Vec<_> = by_leader
                .into_iter()
                .map(|(leader, topics)| self.enqueue(leader, marker(&markers, topics)))
                .collect();
            for said in asked {
                let mut marked = Topics::new();
                for topic in said.await.unwrap_or_default() {
                    let mut done = Vec::new();
                    for partition in topic.partitions {
                        match verdict(partition.error_code) {
                            Verdict::Marked => done.push(partition.partition_index),
                            Verdict::Again => {}
                            Verdict::Stop => {
                                let id = &markers.transactional_id;
                                tracing::info!(id, "another broker coordinates this transaction");
                                return;
                            }
                        }
                    }
                    marked.push((topic.name, done));
                }
                settle(waiting, &markers, &mut missing, marked);
            }
            if missing.is_empty() {
                return;
            }
            self.world.clock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The answer comes with that of the request in which the marker goes.
    fn enqueue(&self, leader: NodeId, marker: WritableTxnMarker) -> oneshot::Receiver<Said> {
        let (said, receiver) = oneshot::channel();
        let queued = Queued { marker, said };
        let is_idle = {
            let mut queues = self.queues();
            match queues.get_mut(&leader) {
                Some(queue) => {
                    queue.push(queued);
                    false
                }
                None => {
                    queues.insert(leader, vec![queued]);
                    true
                }
            }
        };
        if is_idle {
            self.world.spawn.spawn(Lane::Data, Box::pin(self.clone().drain(leader)));
        }
        receiver
    }

    /// Sends until the queue is empty, which then is gone.
    async fn drain(self, leader: NodeId) {
        loop {
            let batch = {
                let mut queues = self.queues();
                let batch = queues.get_mut(&leader).map(next_batch).unwrap_or_default();
                if batch.is_empty() {
                    queues.remove(&leader);
                    return;
                }
                batch
            };
            let markers = batch.iter().map(|queued| queued.marker.clone()).collect();
            let request = WriteTxnMarkersRequest { markers, ..Default::default() };
            let mut results: BTreeMap<i64, Said> = BTreeMap::new();
            match self.peers.call(leader, request).await {
                Ok(response) => {
                    for result in response.markers {
                        results.entry(result.producer_id).or_default().extend(result.topics);
                    }
                }
                Err(error) => tracing::debug!(%leader, %error, "markers were not written"),
            }
            for Queued { marker, said } in batch {
                // Whoever asked may have stopped.
                let _ = said.send(results.remove(&marker.producer_id).unwrap_or_default());
            }
        }
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<NodeId, Vec<Queued>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers name producer ids only, so one request has one marker of each.
fn next_batch(queue: &mut Vec<Queued>) -> Vec<Queued> {
    let mut producers = BTreeSet::new();
    let goes = |queued: &mut Queued| {
        producers.len() < MARKERS_MAX && producers.insert(queued.marker.producer_id)
    };
    queue.extract_if(.., goes).collect()
}

fn marker(markers: &Markers, topics: Topics) -> WritableTxnMarker {
    let topics = topics.into_iter().map(|(name, partition_indexes)| WritableTxnMarkerTopic {
        name,
        partition_indexes,
        ..Default::default()
    });
    WritableTxnMarker {
        producer_id: markers.producer_id.get(),
        producer_epoch: markers.producer_epoch.get(),
        transaction_result: markers.is_commit,
        topics: topics.collect(),
        coordinator_epoch: markers.coordinator_epoch.get(),
        transaction_version: i8::try_from(markers.transaction_version).unwrap_or(i8::MAX),
        ..Default::default()
    }
}

/// Which partitions are gone, and who leads the others. Those without a leader are left out.
fn by_leader(
    image: &Image,
    missing: &BTreeMap<String, BTreeSet<i32>>,
) -> (Topics, BTreeMap<NodeId, Topics>) {
    let mut gone = Topics::new();
    let mut by_leader: BTreeMap<NodeId, Topics> = BTreeMap::new();
    for (name, partitions) in missing {
        let topic = image.topics.by_name(name);
        let leader = |index: i32| Some(topic?.partition(PartitionId(index))?.leader);
        let mut of_topic: BTreeMap<Option<NodeId>, Vec<i32>> = BTreeMap::new();
        for index in partitions {
            of_topic.entry(leader(*index)).or_default().push(*index);
        }
        for (leader, partitions) in of_topic {
            match leader {
                None => gone.push((name.clone(), partitions)),
                Some(NodeId::NONE) => {}
                Some(leader) => {
                    by_leader.entry(leader).or_default().push((name.clone(), partitions));
                }
            }
        }
    }
    (gone, by_leader)
}

/// Takes partitions off the list, and tells whoever waits.
fn settle(
    waiting: &impl Waiting,
    markers: &Markers,
    missing: &mut BTreeMap<String, BTreeSet<i32>>,
    mut topics: Topics,
) {
    topics.retain(|(_, partitions)| !partitions.is_empty());
    if topics.is_empty() {
        return;
    }
    for (topic, partitions) in &topics {
        if let Some(left) = missing.get_mut(topic) {
            left.retain(|partition| !partitions.contains(partition));
        }
    }
    missing.retain(|_, left| !left.is_empty());
    let Markers { transactional_id, sending, .. } = markers;
    let (transactional_id, sending) = (transactional_id.clone(), *sending);
    waiting.marked(Event::Marked { transactional_id, sending, topics });
}

fn verdict(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::NONE => Verdict::Marked,
        // A later epoch is given only when this transaction has ended everywhere.
        ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::PRODUCER_FENCED => Verdict::Marked,
        ErrorCode::TRANSACTION_COORDINATOR_FENCED => Verdict::Stop,
        // Giving up would leave the partition's readers waiting for ever.
        _ => Verdict::Again,
    }
}
