//! Whether a position still lies in the log (KIP-320). A new leader may lack records that an old
//! one had served: reading on at the same offset would skip what was written in their place.

use std::collections::BTreeMap;

use strandline_types::{ErrorCode, LeaderEpoch, NodeId, Offset, PartitionId, TopicPartition};
use strandline_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use strandline_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::error::ConsumeError;
use super::{Assigned, Consumer, Reset, known, led};
use crate::cluster::{Channel, Client};
use crate::error::{CallError, ClientError};

/// The replica id of whoever is no replica.
const CONSUMER: i32 = -1;

/// A position as it is asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Question {
    offset: Offset,
    /// Of the last record before it.
    leader_epoch: LeaderEpoch,
    /// Of the leader that is asked.
    current_leader_epoch: LeaderEpoch,
}

/// What the leader's log says of a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// It lies in the log.
    Valid,
    Diverges(Divergence),
    Refused(ErrorCode),
}

/// Where the log is another than the one that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Divergence {
    /// The first offset that may hold another record; `None` when the leader cannot tell.
    pub(super) end: Option<Offset>,
    /// Of the last record before `end`.
    pub(super) leader_epoch: LeaderEpoch,
}

impl Divergence {
    /// From what answers say, where −1 stands for unknown.
    pub(super) fn of(epoch: i32, end: i64) -> Self {
        let is_known = epoch >= 0 && end >= 0;
        Self { end: is_known.then_some(Offset(end)), leader_epoch: LeaderEpoch(epoch) }
    }
}

impl Assigned {
    /// Whether what was read or committed comes from a later leader than this one. An old leader that
    /// nobody hears any more believes that its log ends where it ends: asked for a later offset it says
    /// that there is none, and the position would be reset.
    pub(super) fn is_past(&self, leader_epoch: LeaderEpoch) -> bool {
        known(leader_epoch).is_some_and(|epoch| self.leader_epoch > Some(epoch))
    }

    /// Whether a leader of this epoch may lack what lies before the position. Where that is not
    /// known, as after a seek, there is nothing to compare.
    pub(super) fn must_validate(&self, leader_epoch: LeaderEpoch) -> bool {
        self.valid_in != Some(leader_epoch)
            && self.leader_epoch.is_some_and(|epoch| epoch < leader_epoch)
    }
}

impl Consumer {
    /// Asks new leaders whether they have what lies before the positions, once per leader.
    pub(super) async fn validate_positions(&mut self) -> Result<(), ConsumeError> {
        if self.client.now() < self.validate_at {
            return Ok(());
        }
        let mut questions: BTreeMap<NodeId, BTreeMap<TopicPartition, Question>> = BTreeMap::new();
        for (partition, assigned) in &self.assigned {
            let Some(offset) = assigned.position.filter(|_| !assigned.is_paused) else { continue };
            let (Some(leader_epoch), Some(led)) =
                (assigned.leader_epoch, led(&self.client, partition))
            else {
                continue;
            };
            if !assigned.must_validate(led.leader_epoch) || self.fetcher.holds(partition) {
                continue;
            }
            let current_leader_epoch = led.leader_epoch;
            let question = Question { offset, leader_epoch, current_leader_epoch };
            questions.entry(led.leader).or_default().insert(partition.clone(), question);
        }
        for (leader, questions) in questions {
            let verdicts = match validate(&self.client, leader, &questions).await {
                Ok(verdicts) => verdicts,
                Err(error) if error.is_retriable() => {
                    tracing::debug!(%leader, %error, "positions are not validated yet");
                    self.validate_later(questions.into_keys());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (partition, question) in questions {
                match verdicts.get(&partition).copied() {
                    Some(Verdict::Valid) => self.valid(&partition, question),
                    Some(Verdict::Diverges(divergence)) => {
                        self.truncated(&partition, divergence)?;
                        // Up to there it has been asked for just now.
                        self.valid(&partition, question);
                    }
                    Some(Verdict::Refused(code)) if !code.is_retriable() => {
                        return Err(ConsumeError::Refused { partition, refusal: code.into() });
                    }
                    Some(Verdict::Refused(_)) | None => self.validate_later([partition]),
                }
            }
        }
        Ok(())
    }

    fn valid(&mut self, partition: &TopicPartition, question: Question) {
        if let Some(assigned) = self.assigned.get_mut(partition) {
            assigned.valid_in = Some(question.current_leader_epoch);
        }
    }

    /// The leaders may be others by now.
    fn validate_later(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        self.validate_at = self.client.now() + self.client.config().retry_backoff;
        self.stale.extend(partitions.into_iter().map(|partition| partition.topic));
    }

    /// Continues where the log diverges from what was read, else as the reset policy says.
    pub(super) fn truncated(
        &mut self,
        partition: &TopicPartition,
        divergence: Divergence,
    ) -> Result<(), ConsumeError> {
        let reset = self.config.reset;
        let assigned = self.assigned_mut(partition)?;
        let Some(offset) = assigned.position else { return Ok(()) };
        if reset == Reset::None {
            let (partition, divergent) = (partition.clone(), divergence.end);
            return Err(ConsumeError::Truncated { partition, offset, divergent });
        }
        tracing::info!(%partition, %offset, ?divergence, "the log was truncated, going back");
        *assigned = Assigned {
            position: divergence.end,
            leader_epoch: divergence.end.and(known(divergence.leader_epoch)),
            must_reset: divergence.end.is_none(),
            is_paused: assigned.is_paused,
            ..Assigned::default()
        };
        Ok(())
    }
}

/// Asks a leader where the epochs of the positions end. A broker that cannot be asked has no way
/// to say no.
async fn validate(
    client: &Client,
    leader: NodeId,
    questions: &BTreeMap<TopicPartition, Question>,
) -> Result<BTreeMap<TopicPartition, Verdict>, ClientError> {
    let answer = client.call_node_once(leader, Channel::SHARED, |_| request(questions)).await;
    match answer {
        Ok(response) => Ok(verdicts(questions, response)),
        Err(ClientError::Call(CallError::NoCommonVersion { .. })) => {
            Ok(questions.keys().map(|partition| (partition.clone(), Verdict::Valid)).collect())
        }
        Err(error) => Err(error),
    }
}

fn request(questions: &BTreeMap<TopicPartition, Question>) -> OffsetForLeaderEpochRequest {
    let mut topics: BTreeMap<&str, OffsetForLeaderTopic> = BTreeMap::new();
    for (partition, question) in questions {
        let topic = topics.entry(&partition.topic).or_insert_with(|| OffsetForLeaderTopic {
            topic: partition.topic.clone(),
            ..Default::default()
        });
        topic.partitions.push(OffsetForLeaderPartition {
            partition: partition.partition.get(),
            current_leader_epoch: question.current_leader_epoch.get(),
            leader_epoch: question.leader_epoch.get(),
            ..Default::default()
        });
    }
    OffsetForLeaderEpochRequest {
        replica_id: CONSUMER,
        topics: topics.into_values().collect(),
        ..Default::default()
    }
}

fn verdicts(
    questions: &BTreeMap<TopicPartition, Question>,
    response: OffsetForLeaderEpochResponse,
) -> BTreeMap<TopicPartition, Verdict> {
    let mut verdicts = BTreeMap::new();
    for topic in response.topics {
        for answer in topic.partitions {
            let partition = PartitionId(answer.partition);
            let partition = TopicPartition { topic: topic.topic.clone(), partition };
            let Some(question) = questions.get(&partition) else { continue };
            let divergence = Divergence::of(answer.leader_epoch, answer.end_offset);
            let verdict = match divergence.end {
                _ if !answer.error_code.is_none() => Verdict::Refused(answer.error_code),
                Some(end) if end >= question.offset => Verdict::Valid,
                _ => Verdict::Diverges(divergence),
            };
            verdicts.insert(partition, verdict);
        }
    }
    verdicts
}
