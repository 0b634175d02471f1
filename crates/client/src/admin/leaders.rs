//! Questions that each broker answers for itself: the leaders of partitions, or every broker. Those
//! who are asked may end meanwhile, and then somebody else answers, or nobody needs to.

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::{ErrorCode, NodeId, TopicPartition};
use strandline_wire::messages::Request;

use super::offsets::by_topic;
use super::{Admin, PerItem};
use crate::cluster::Channel;
use crate::error::{ClientError, Refusal};

impl Admin {
    /// Asks the leaders of the partitions, again while leaders move or end. The answers are sorted
    /// by partition.
    pub(super) async fn ask_leaders<R: Request, T>(
        &self,
        partitions: Vec<TopicPartition>,
        request: impl Fn(&[TopicPartition]) -> R + Send + Sync,
        answers: impl Fn(R::Response) -> PerItem<TopicPartition, T>,
    ) -> Result<PerItem<TopicPartition, T>, ClientError> {
        let mut backoff = self.client.backoff();
        let mut wanted = partitions;
        let mut done = Vec::new();
        loop {
            let (leaders, mut results) = self.by_leader(&wanted).await?;
            let mut unheard = None;
            for (leader, partitions) in leaders {
                let asked = |_| request(&partitions);
                match self.client.call_node_once(leader, Channel::SHARED, asked).await {
                    Ok(response) => results.extend(answers(response)),
                    Err(error) if error.is_retriable() => {
                        let refusal = || Err(ErrorCode::NETWORK_EXCEPTION.into());
                        results.extend(partitions.into_iter().map(|it| (it, refusal())));
                        unheard = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            let moving = |result: &Result<_, Refusal>| {
                matches!(result, Err(refusal) if refusal.code.is_retriable()
                    && refusal.code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
            };
            let (again, settled): (Vec<_>, Vec<_>) =
                results.into_iter().partition(|(_, result)| moving(result));
            done.extend(settled);
            let Some((subject, Err(refusal))) = again.first() else { break };
            let refused = || ClientError::refused(subject.to_string(), refusal.clone());
            self.client.doubt();
            if backoff.pause(unheard.unwrap_or_else(refused)).await.is_err() {
                done.extend(again);
                break;
            }
            wanted = again.into_iter().map(|(partition, _)| partition).collect();
        }
        done.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(done)
    }

    /// Asks every broker that there is. One that ends meanwhile is left out.
    pub(super) async fn ask_brokers<R: Request>(
        &self,
        request: impl Fn(i16) -> R + Send + Sync,
    ) -> Result<BTreeMap<NodeId, R::Response>, ClientError> {
        let mut backoff = self.client.backoff();
        let mut answers = BTreeMap::new();
        loop {
            self.client.refresh(Some(&[]), false).await?;
            let alive = self.client.brokers().into_iter().map(|broker| broker.id);
            let left: BTreeSet<NodeId> = alive.filter(|id| !answers.contains_key(id)).collect();
            let mut unheard = None;
            for id in left {
                match self.client.call_node_once(id, Channel::SHARED, &request).await {
                    Ok(response) => drop(answers.insert(id, response)),
                    Err(error) => unheard = Some(error),
                }
            }
            match unheard {
                None => return Ok(answers),
                Some(error) => {
                    self.client.doubt();
                    backoff.pause(error).await?;
                }
            }
        }
    }

    /// The leaders of the partitions; those without one are answered already.
    async fn by_leader<T>(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<(BTreeMap<NodeId, Vec<TopicPartition>>, PerItem<TopicPartition, T>), ClientError>
    {
        let names: Vec<String> = by_topic(partitions).into_keys().map(str::to_owned).collect();
        let topics: BTreeMap<_, _> =
            self.client.refresh(Some(&names), false).await?.into_iter().collect();
        let mut leaders: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
        let mut refused = Vec::new();
        for partition in partitions {
            let leader = match topics.get(&partition.topic) {
                Some(Ok(topic)) => match topic.partition(partition.partition) {
                    Some(known) => known.leader.ok_or(ErrorCode::LEADER_NOT_AVAILABLE.into()),
                    None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into()),
                },
                Some(Err(refusal)) => Err(refusal.clone()),
                None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into()),
            };
            match leader {
                Ok(leader) => leaders.entry(leader).or_default().push(partition.clone()),
                Err(refusal) => refused.push((partition.clone(), Err(refusal))),
            }
        }
        Ok((leaders, refused))
    }
}
