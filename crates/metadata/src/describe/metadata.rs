//! The pieces of a Metadata answer.

use alloc::string::ToString;
use alloc::vec::Vec;

use strandline_types::{Bug, ErrorCode, NodeId, PartitionId, Uuid, planted};
use strandline_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use crate::controller::topic_name;
use crate::image::{Broker, Image, Partition, Topic};

/// The listener that the question came through: an answer names brokers only by their endpoint of
/// the same name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listening<'a> {
    pub listener: &'a str,
}

impl Listening<'_> {
    /// Whether clients of this listener can reach the broker.
    pub(super) fn reaches(self, broker: &Broker) -> bool {
        !broker.is_fenced() && broker.endpoint(self.listener).is_some()
    }

    pub(super) fn reaches_id(self, image: &Image, id: NodeId) -> bool {
        image.cluster.broker(id).is_some_and(|broker| self.reaches(broker))
    }

    /// Why nobody is named as leader, if it is so.
    pub(super) fn leader_error(self, image: &Image, leader: NodeId) -> ErrorCode {
        match image.cluster.broker(leader) {
            Some(broker) if self.reaches(broker) => ErrorCode::NONE,
            Some(_) => ErrorCode::LISTENER_NOT_FOUND,
            None => ErrorCode::LEADER_NOT_AVAILABLE,
        }
    }

    /// Replicas that cannot be read: no live broker, or no live directory.
    pub(super) fn offline_replicas(self, image: &Image, partition: &Partition) -> Vec<i32> {
        let is_online = |id: NodeId| {
            image.cluster.broker(id).is_some_and(|broker| {
                let dir = partition.directory(id).unwrap_or(Uuid::ZERO);
                self.reaches(broker) && broker.has_online_directory(dir)
            })
        };
        let replicas = partition.replicas.iter().copied();
        replicas.filter(|id| !is_online(*id)).map(NodeId::get).collect()
    }
}

/// What old versions of the request expect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MetadataVersionQuirks {
    /// Version 0: brokers that cannot be reached are left out, and the partition says so.
    pub hides_unreachable_replicas: bool,
    /// Versions below 6 have no LISTENER_NOT_FOUND.
    pub has_listener_errors: bool,
}

impl MetadataVersionQuirks {
    pub const fn of(request_version: i16) -> Self {
        Self {
            hides_unreachable_replicas: request_version == 0,
            has_listener_errors: request_version >= 6,
        }
    }
}

/// The brokers that clients of this listener can reach.
pub fn live_brokers<'a>(
    image: &'a Image,
    listening: Listening<'a>,
) -> impl Iterator<Item = MetadataResponseBroker> + 'a {
    image.cluster.brokers().filter(move |broker| listening.reaches(broker)).filter_map(
        move |broker| {
            let endpoint = broker.endpoint(listening.listener)?;
            Some(MetadataResponseBroker {
                node_id: broker.id().get(),
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                rack: broker.rack().map(ToString::to_string),
                ..Default::default()
            })
        },
    )
}

/// One topic with its partitions.
pub fn topic(
    image: &Image,
    listening: Listening<'_>,
    quirks: MetadataVersionQuirks,
    topic: &Topic,
) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some(topic.name.to_string()),
        topic_id: if planted(Bug::TopicIdUntold) { Uuid::ZERO } else { topic.id },
        is_internal: topic_name::is_internal(&topic.name),
        partitions: topic
            .partitions
            .iter()
            .map(|(id, p)| partition(image, listening, quirks, *id, p))
            .collect(),
        ..Default::default()
    }
}

/// A topic that is not there, or whose name cannot be.
pub fn unknown_topic(name: &str) -> MetadataResponseTopic {
    let error_code = match topic_name::objection(name) {
        Some(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
        None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    };
    MetadataResponseTopic {
        error_code,
        name: Some(name.into()),
        is_internal: topic_name::is_internal(name),
        ..Default::default()
    }
}

fn partition(
    image: &Image,
    listening: Listening<'_>,
    quirks: MetadataVersionQuirks,
    id: PartitionId,
    partition: &Partition,
) -> MetadataResponsePartition {
    let shown = |ids: &[NodeId]| -> Vec<i32> {
        let ids = ids.iter().copied();
        let is_shown =
            |id: &NodeId| !quirks.hides_unreachable_replicas || listening.reaches_id(image, *id);
        ids.filter(is_shown).map(NodeId::get).collect()
    };
    let (replica_nodes, isr_nodes) = (shown(&partition.replicas), shown(&partition.isr));
    let hides_some =
        replica_nodes.len() < partition.replicas.len() || isr_nodes.len() < partition.isr.len();
    let leader_error = match listening.leader_error(image, partition.leader) {
        ErrorCode::LISTENER_NOT_FOUND if !quirks.has_listener_errors => {
            ErrorCode::LEADER_NOT_AVAILABLE
        }
        other => other,
    };
    let (leader, error_code) = match leader_error {
        ErrorCode::NONE if hides_some => (partition.leader, ErrorCode::REPLICA_NOT_AVAILABLE),
        ErrorCode::NONE => (partition.leader, ErrorCode::NONE),
        error => (NodeId::NONE, error),
    };
    MetadataResponsePartition {
        error_code,
        partition_index: id.get(),
        leader_id: leader.get(),
        leader_epoch: partition.leader_epoch.get(),
        replica_nodes,
        isr_nodes,
        offline_replicas: listening.offline_replicas(image, partition),
        ..Default::default()
    }
}
