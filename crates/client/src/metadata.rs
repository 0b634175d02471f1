//! What the cluster says about its brokers and topics, as far as somebody asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use strandline_types::{Instant, LeaderEpoch, NodeId, PartitionId, Uuid};
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
    topics: BTreeMap<String, (Instant, Arc<Topic>)>,
}

impl Metadata {
    pub(crate) fn topic(&self, name: &str, not_before: Instant) -> Option<Arc<Topic>> {
        let (learned_at, topic) = self.topics.get(name)?;
        (*learned_at >= not_before).then(|| Arc::clone(topic))
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.topics.remove(name);
    }

    /// Takes the answer in; brokers are replaced, topics that it mentions too.
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
            self.forget(&name);
            return Err(refusal);
        }
        let topic = Arc::new(Topic::of(response));
        self.topics.insert(name, (now, Arc::clone(&topic)));
        Ok(topic)
    }

    pub(crate) fn add_broker(&mut self, id: i32, host: String, port: i32, rack: Option<String>) {
        let Ok(port) = u16::try_from(port) else { return };
        let id = NodeId(id);
        self.brokers.insert(id, Broker { id, host, port, rack });
    }
}
