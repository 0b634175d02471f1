//! Takes the ISRs that leaders propose to the controller, and its answers back (KIP-497).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::image::LeaderRecoveryState;
use strandline_ports::Clock;
use strandline_ports::watch;
use strandline_replica::IsrAnswer;
use strandline_types::{
    BrokerEpoch, ErrorCode, LeaderEpoch, NodeId, PartitionId, TopicIdPartition, Uuid,
};
use strandline_wire::messages::{
    AlterPartitionRequest, AlterPartitionResponse,
    alter_partition_request::{BrokerState, PartitionData, TopicData},
    alter_partition_response,
};
use tokio::sync::mpsc;

use super::controller::ControllerHandle;
use super::partition::IsrProposal;
use crate::partitions::Partitions;

/// After an answer that says "not now", the next try waits this long.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// One request carries this many proposals at most.
const PROPOSALS_PER_REQUEST_MAX: usize = 1_000;

/// One request at a time; what is proposed meanwhile goes into the next one.
pub(crate) struct IsrProposals {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node_id: NodeId,
    pub(crate) broker_epoch: watch::Receiver<BrokerEpoch>,
    pub(crate) controller: ControllerHandle,
    pub(crate) partitions: Partitions,
    pub(crate) proposed: mpsc::UnboundedReceiver<IsrProposal>,
}

/// What becomes of one proposal.
enum Outcome {
    Answered(IsrAnswer),
    TryAgain,
}

impl IsrProposals {
    /// Runs until no partition can propose any more.
    pub(crate) async fn run(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let Some(first) = self.proposed.recv().await else { return };
                waiting.push_back(first);
            }
            while let Ok(next) = self.proposed.try_recv() {
                waiting.push_back(next);
            }
            let batch = next_batch(&mut waiting);
            let again = self.send(batch).await;
            if !again.is_empty() {
                waiting.extend(again);
                self.clock.sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Gives what must be sent again.
    async fn send(&self, batch: BTreeMap<TopicIdPartition, IsrProposal>) -> Vec<IsrProposal> {
        let request = self.request(&batch);
        let response: AlterPartitionResponse = match self.controller.ask(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::warn!(%error, "the controller does not answer AlterPartition");
                return self.still_current(batch);
            }
        };
        if response.error_code != ErrorCode::NONE {
            tracing::warn!(error = %response.error_code, "AlterPartition was refused");
            return self.still_current(batch);
        }
        let mut again = batch;
        for topic in response.topics {
            for answer in topic.partitions {
                let partition = PartitionId(answer.partition_index);
                let id = TopicIdPartition { topic_id: topic.topic_id, partition };
                if let Outcome::Answered(answer) = outcome(answer)
                    && let Some(proposal) = again.remove(&id)
                    && let Some(held) = self.partitions.get(id)
                {
                    held.partition.isr_answered(proposal.change, answer);
                }
            }
        }
        self.still_current(again)
    }

    fn request(&self, batch: &BTreeMap<TopicIdPartition, IsrProposal>) -> AlterPartitionRequest {
        let mut topics: BTreeMap<Uuid, Vec<PartitionData>> = BTreeMap::new();
        for (id, proposal) in batch {
            let members = proposal.in_sync.iter().map(|member| BrokerState {
                broker_id: member.node.get(),
                broker_epoch: member.broker_epoch.get(),
                ..Default::default()
            });
            topics.entry(id.topic_id).or_default().push(PartitionData {
                partition_index: id.partition.get(),
                leader_epoch: proposal.leader_epoch.get(),
                new_isr_with_epochs: members.collect(),
                // Whoever leads has all there is: an unclean election is over with this.
                leader_recovery_state: LeaderRecoveryState::Recovered as i8,
                partition_epoch: proposal.partition_epoch,
                ..Default::default()
            });
        }
        let topics = topics.into_iter();
        AlterPartitionRequest {
            broker_id: self.node_id.get(),
            broker_epoch: self.broker_epoch.borrow().get(),
            topics: topics
                .map(|(topic_id, partitions)| TopicData {
                    topic_id,
                    partitions,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    /// Leaves out what an election or a deletion has overtaken.
    fn still_current(&self, batch: BTreeMap<TopicIdPartition, IsrProposal>) -> Vec<IsrProposal> {
        let is_current = |proposal: &IsrProposal| {
            let held = self.partitions.get(proposal.partition);
            held.is_some_and(|held| held.partition.view().leader_epoch == proposal.leader_epoch)
        };
        batch.into_values().filter(is_current).collect()
    }
}

/// At most one proposal of each partition: what it proposed last.
fn next_batch(waiting: &mut VecDeque<IsrProposal>) -> BTreeMap<TopicIdPartition, IsrProposal> {
    let count = waiting.len().min(PROPOSALS_PER_REQUEST_MAX);
    waiting.drain(..count).map(|proposal| (proposal.partition, proposal)).collect()
}

fn outcome(answer: alter_partition_response::PartitionData) -> Outcome {
    Outcome::Answered(match answer.error_code {
        ErrorCode::NONE => IsrAnswer::Committed {
            leader_epoch: LeaderEpoch(answer.leader_epoch),
            partition_epoch: answer.partition_epoch,
            in_sync: answer.isr.into_iter().map(NodeId).collect(),
        },
        ErrorCode::INELIGIBLE_REPLICA | ErrorCode::OPERATION_NOT_ATTEMPTED => IsrAnswer::Refused,
        ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::INVALID_UPDATE_VERSION
        | ErrorCode::INVALID_REQUEST
        | ErrorCode::NEW_LEADER_ELECTED => IsrAnswer::Outdated,
        _ => return Outcome::TryAgain,
    })
}
