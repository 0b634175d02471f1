//! What the cluster says about its brokers and topics, as far as somebody asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use strandline_types::{ErrorCode, Instant, LeaderEpoch, NodeId, PartitionId, Uuid};
use strandline_wire::messages::MetadataResponse;
use strandline_wire::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};

use crate::error::Refusal;

/// Where a broker listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    pub id: NodeId,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// A topic at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub name: String,
    /// Zero when the broker is too old to say.
    pub id: Uuid,
    pub is_internal: bool,
    /// By index, which is also the position in this list.
    pub partitions: Vec<Partition>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    pub index: PartitionId,
    /// `None` while there is none.
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub offline_replicas: Vec<NodeId>,
}

impl Topic {
    pub fn partition(&self, index: PartitionId) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.get()).ok()?)
    }

    /// Keeps what is known of partitions that an answer knows less of: it may come from a broker
    /// that lags behind the one asked before.
    fn keep_newer(&mut self, known: &Self) {
        // Epochs of another incarnation say nothing, nor of a topic that has no id.
        if self.id.is_zero() || self.id != known.id {
            return;
        }
        for (answered, known) in self.partitions.iter_mut().zip(&known.partitions) {
            if (LeaderEpoch(0)..known.leader_epoch).contains(&answered.leader_epoch) {
                known.clone_into(answered);
            }
        }
        // Topics only grow.
        self.partitions.extend(known.partitions.iter().skip(self.partitions.len()).cloned());
    }

    fn of(response: MetadataResponseTopic) -> Self {
        let mut partitions: Vec<_> = response.partitions.into_iter().map(Partition::of).collect();
        partitions.sort_unstable_by_key(|partition| partition.index);
        Self {
            name: response.name.unwrap_or_default(),
            id: response.topic_id,
            is_internal: response.is_internal,
            partitions,
        }
    }
}

impl Partition {
    fn of(response: MetadataResponsePartition) -> Self {
        let nodes = |ids: Vec<i32>| ids.into_iter().map(NodeId).collect();
        Self {
            index: PartitionId(response.partition_index),
            leader: (response.leader_id >= 0).then_some(NodeId(response.leader_id)),
            leader_epoch: LeaderEpoch(response.leader_epoch),
            replicas: nodes(response.replica_nodes),
            isr: nodes(response.isr_nodes),
            offline_replicas: nodes(response.offline_replicas),
        }
    }
}

/// The answer about one topic.
pub(crate) type TopicAnswer = (String, Result<Arc<Topic>, Refusal>);

#[derive(Default)]
pub(crate) struct Metadata {
    pub(crate) brokers: BTreeMap<NodeId, Broker>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) controller: Option<NodeId>,
    topics: BTreeMap<String, Known>,
}

struct Known {
    topic: Arc<Topic>,
    /// `None` once somebody had reason to doubt it.
    learned_at: Option<Instant>,
}

impl Metadata {
    pub(crate) fn topic(&self, name: &str, not_before: Instant) -> Option<Arc<Topic>> {
        let known = self.topics.get(name)?;
        (known.learned_at >= Some(not_before)).then(|| Arc::clone(&known.topic))
    }

    /// Must be asked for again. Its epochs are kept, or the next answer could be an older one.
    pub(crate) fn forget(&mut self, name: &str) {
        if let Some(known) = self.topics.get_mut(name) {
            known.learned_at = None;
        }
    }

    /// Takes the answer in; brokers are replaced, and what it knows better of topics.
    pub(crate) fn learn(&mut self, now: Instant, response: MetadataResponse) -> Vec<TopicAnswer> {
        self.cluster_id = response.cluster_id;
        self.controller = (response.controller_id >= 0).then_some(NodeId(response.controller_id));
        if !response.brokers.is_empty() {
            self.brokers.clear();
        }
        for broker in response.brokers {
            self.add_broker(broker.node_id, broker.host, broker.port, broker.rack);
        }
        response
            .topics
            .into_iter()
            .map(|topic| {
                let name = topic.name.clone().unwrap_or_default();
                (name.clone(), self.learn_topic(now, name, topic))
            })
            .collect()
    }

    fn learn_topic(
        &mut self,
        now: Instant,
        name: String,
        response: MetadataResponseTopic,
    ) -> Result<Arc<Topic>, Refusal> {
        if let Err(refusal) = Refusal::check(response.error_code, None) {
            match refusal.code {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => drop(self.topics.remove(&name)),
                _ => self.forget(&name),
            }
            return Err(refusal);
        }
        let mut topic = Topic::of(response);
        if let Some(known) = self.topics.get(&name) {
            topic.keep_newer(&known.topic);
        }
        let topic = Arc::new(topic);
        self.topics.insert(name, Known { topic: Arc::clone(&topic), learned_at: Some(now) });
        Ok(topic)
    }

    /// Takes in where a broker is, from an answer that does not tell its rack. It may have come back
    /// elsewhere since the metadata were asked for.
    pub(crate) fn learn_address(&mut self, broker: Broker) {
        let rack = self.brokers.get(&broker.id).and_then(|known| known.rack.clone());
        self.brokers.insert(broker.id, Broker { rack, ..broker });
    }

    pub(crate) fn add_broker(&mut self, id: i32, host: String, port: i32, rack: Option<String>) {
        let Ok(port) = u16::try_from(port) else { return };
        let id = NodeId(id);
        self.brokers.insert(id, Broker { id, host, port, rack });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer about the leader and its epoch of each partition.
    fn answer(id: Uuid, leaders: &[(i32, i32)]) -> MetadataResponse {
        let partition =
            |(index, (leader_id, leader_epoch)): (usize, &(i32, i32))| MetadataResponsePartition {
                partition_index: index as i32,
                leader_id: *leader_id,
                leader_epoch: *leader_epoch,
                ..Default::default()
            };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: id,
            partitions: leaders.iter().enumerate().map(partition).collect(),
            ..Default::default()
        };
        MetadataResponse { topics: vec![topic], ..Default::default() }
    }

    fn known(metadata: &Metadata) -> Option<Vec<(i32, i32)>> {
        let topic = metadata.topic("t", Instant::ZERO)?;
        let leader = |partition: &Partition| {
            (partition.leader.map_or(-1, NodeId::get), partition.leader_epoch.get())
        };
        Some(topic.partitions.iter().map(leader).collect())
    }

    #[test]
    fn an_older_answer_replaces_nothing() {
        let mut metadata = Metadata::default();
        let learn = |metadata: &mut Metadata, id, leaders: &[(i32, i32)]| {
            metadata.learn(Instant::ZERO, answer(id, leaders));
            known(metadata).unwrap()
        };
        let (first, second) = (Uuid::ONE, Uuid::from_u128(2));
        assert_eq!(learn(&mut metadata, first, &[(1, 5), (1, 5)]), [(1, 5), (1, 5)]);
        assert_eq!(learn(&mut metadata, first, &[(2, 6), (2, 4)]), [(2, 6), (1, 5)]);
        assert_eq!(learn(&mut metadata, first, &[(3, 5)]), [(2, 6), (1, 5)], "before it grew");
        metadata.forget("t");
        assert_eq!(known(&metadata), None, "to be asked for");
        assert_eq!(learn(&mut metadata, first, &[(3, 5), (2, 5)]), [(2, 6), (2, 5)]);
        assert_eq!(learn(&mut metadata, second, &[(3, 0)]), [(3, 0)], "another topic");
        assert_eq!(learn(&mut metadata, second, &[(1, -1)]), [(1, -1)], "no epoch, no order");
    }

    #[test]
    fn a_broker_that_comes_back_elsewhere_is_found_there() {
        let mut metadata = Metadata::default();
        metadata.add_broker(1, "former".into(), 9092, Some("a".into()));
        let (id, host, port) = (NodeId(1), String::from("new"), 9093);
        metadata.learn_address(Broker { id, host: host.clone(), port, rack: None });
        let rack = Some("a".into());
        assert_eq!(metadata.brokers[&id], Broker { id, host, port, rack });
    }

    #[test]
    fn without_ids_every_answer_counts() {
        let mut metadata = Metadata::default();
        metadata.learn(Instant::ZERO, answer(Uuid::ZERO, &[(1, 5)]));
        metadata.learn(Instant::ZERO, answer(Uuid::ZERO, &[(2, 0)]));
        assert_eq!(known(&metadata), Some(vec![(2, 0)]), "it may have been created anew");
    }
}
