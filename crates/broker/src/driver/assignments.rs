//! Tells the controller which log directory each partition lies in (KIP-858), where it does not
//! know. Only then can it elect somebody else, or nobody, when that directory fails.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use strandline_ports::Clock;
use strandline_ports::watch;
use strandline_types::{BrokerEpoch, ErrorCode, NodeId, PartitionId, TopicIdPartition, Uuid};
use strandline_wire::messages::assign_replicas_to_dirs_request::{
    DirectoryData, PartitionData, TopicData,
};
use strandline_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use tokio::sync::{mpsc, oneshot};

use super::controller::ControllerHandle;

/// After an answer that says "not now", the next try waits this long.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// One request carries this many partitions at most.
const PARTITIONS_PER_REQUEST_MAX: usize = 2_000;

/// A partition, and the id of the directory that it lies in or is about to.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) partition: TopicIdPartition,
    pub(crate) directory: Uuid,
    /// For whoever waits until the controller knows. Dropped when a later assignment of the
    /// partition takes its place.
    pub(crate) told: Option<oneshot::Sender<()>>,
}

type Batch = BTreeMap<TopicIdPartition, Assignment>;

/// One request at a time; what is assigned meanwhile goes into the next one.
pub(crate) struct Assignments {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node_id: NodeId,
    pub(crate) broker_epoch: watch::Receiver<BrokerEpoch>,
    pub(crate) controller: ControllerHandle,
    pub(crate) assigned: mpsc::UnboundedReceiver<Assignment>,
}

impl Assignments {
    /// Runs until no partition can be opened any more.
    pub(crate) async fn run(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let Some(first) = self.assigned.recv().await else { return };
                waiting.push_back(first);
            }
            while let Ok(next) = self.assigned.try_recv() {
                waiting.push_back(next);
            }
            let count = waiting.len().min(PARTITIONS_PER_REQUEST_MAX);
            let batch: Batch = waiting.drain(..count).map(|it| (it.partition, it)).collect();
            let again = self.send(batch).await;
            if !again.is_empty() {
                // Before what was assigned later: of two for one partition the later one holds.
                again.into_values().rev().for_each(|it| waiting.push_front(it));
                self.clock.sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Gives what must be sent again.
    async fn send(&self, batch: Batch) -> Batch {
        let response: AssignReplicasToDirsResponse =
            match self.controller.ask(self.request(&batch)).await {
                Ok(response) => response,
                Err(error) => {
                    tracing::warn!(%error, "the controller does not answer AssignReplicasToDirs");
                    return batch;
                }
            };
        match response.error_code {
            ErrorCode::NONE => {
                let asked = batch.len();
                let again = unsettled(batch, response);
                let partitions = asked - again.len();
                tracing::debug!(
                    partitions,
                    "told the controller which directories partitions lie in"
                );
                again
            }
            // Metadata of that version do not know directories.
            ErrorCode::UNSUPPORTED_VERSION => {
                batch.into_values().for_each(settle);
                Batch::new()
            }
            error => {
                tracing::warn!(%error, "AssignReplicasToDirs was refused");
                batch
            }
        }
    }

    fn request(&self, batch: &Batch) -> AssignReplicasToDirsRequest {
        let mut directories: BTreeMap<Uuid, BTreeMap<Uuid, Vec<PartitionData>>> = BTreeMap::new();
        for (id, Assignment { directory, .. }) in batch {
            let partition_index = id.partition.get();
            let partition = PartitionData { partition_index, ..Default::default() };
            let topics = directories.entry(*directory).or_default();
            topics.entry(id.topic_id).or_default().push(partition);
        }
        let topics = |topics: BTreeMap<Uuid, Vec<PartitionData>>| {
            let topics = topics.into_iter().map(|(topic_id, partitions)| TopicData {
                topic_id,
                partitions,
                ..Default::default()
            });
            topics.collect()
        };
        let directories = directories.into_iter().map(|(id, assigned)| DirectoryData {
            id,
            topics: topics(assigned),
            ..Default::default()
        });
        AssignReplicasToDirsRequest {
            broker_id: self.node_id.get(),
            broker_epoch: self.broker_epoch.borrow().get(),
            directories: directories.collect(),
            ..Default::default()
        }
    }
}

/// What is done needs no more words, and neither does a partition that is not this broker's any more.
fn unsettled(mut batch: Batch, response: AssignReplicasToDirsResponse) -> Batch {
    for topic in response.directories.into_iter().flat_map(|directory| directory.topics) {
        for partition in topic.partitions {
            let is_settled = matches!(
                partition.error_code,
                ErrorCode::NONE
                    | ErrorCode::UNKNOWN_TOPIC_ID
                    | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                    | ErrorCode::NOT_LEADER_OR_FOLLOWER
            );
            if is_settled {
                let topic_id = topic.topic_id;
                let partition = PartitionId(partition.partition_index);
                let settled = batch.remove(&TopicIdPartition { topic_id, partition });
                settled.into_iter().for_each(settle);
            }
        }
    }
    batch
}

fn settle(assignment: Assignment) {
    if let Some(told) = assignment.told {
        // Whoever waited may have gone.
        let _ = told.send(());
    }
}
