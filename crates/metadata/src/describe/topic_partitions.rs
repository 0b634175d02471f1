//! DescribeTopicPartitions: topics in the order of their names, a page at a time (KIP-966).

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use strandline_types::{ErrorCode, NodeId, PartitionId, Uuid};
use strandline_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::metadata::Listening;
use crate::controller::topic_name;
use crate::image::{Image, Partition, Topic, raw_ids};

/// One page, and where the next begins if there is one.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicPartitionsPage {
    pub topics: Vec<DescribeTopicPartitionsResponseTopic>,
    pub next_cursor: Option<Cursor>,
}

/// Describes `names`, or all topics if there are none, from `cursor` on, until `partitions_max`
/// partitions are described. `is_visible` hides topics; named ones that are hidden say so.
pub fn describe_topic_partitions(
    image: &Image,
    listening: Listening<'_>,
    names: &[String],
    cursor: Option<(&str, PartitionId)>,
    partitions_max: usize,
    is_visible: impl Fn(&str) -> bool,
) -> TopicPartitionsPage {
    let (cursor_name, cursor_partition) = cursor.unwrap_or(("", PartitionId(0)));
    let mut page =
        Page { image, listening, left: partitions_max.max(1), result: Default::default() };
    let first_of = |name: &str| if name == cursor_name { cursor_partition } else { PartitionId(0) };
    if names.is_empty() {
        for topic in image.topics.iter_by_name_from(cursor_name) {
            if is_visible(&topic.name) && !page.add(topic, first_of(&topic.name)) {
                break;
            }
        }
        return page.result;
    }
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for name in wanted.range(cursor_name..) {
        match image.topics.by_name(name) {
            _ if !is_visible(name) => {
                page.refuse(name, Uuid::ZERO, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
            }
            Some(topic) => {
                if !page.add(topic, first_of(name)) {
                    break;
                }
            }
            None => {
                let error = match topic_name::objection(name) {
                    Some(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
                    None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                };
                page.refuse(name, Uuid::ZERO, error);
            }
        }
    }
    page.result
}

struct Page<'a> {
    image: &'a Image,
    listening: Listening<'a>,
    left: usize,
    result: TopicPartitionsPage,
}

impl Page<'_> {
    fn refuse(&mut self, name: &str, topic_id: Uuid, error_code: ErrorCode) {
        self.result.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code,
            name: Some(name.into()),
            topic_id,
            is_internal: topic_name::is_internal(name),
            ..Default::default()
        });
    }

    /// False when the page is full and the topic has more. A topic that meets a full page is named
    /// without partitions, as Kafka does.
    fn add(&mut self, topic: &Topic, first: PartitionId) -> bool {
        let mut partitions: Vec<_> = topic
            .partitions
            .iter_from(&first)
            .take(self.left)
            .map(|(id, partition)| self.partition(*id, partition))
            .collect();
        partitions.shrink_to_fit();
        let next = first.get() + partitions.len() as i32;
        self.left -= partitions.len();
        self.result.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(topic.name.to_string()),
            topic_id: topic.id,
            is_internal: topic_name::is_internal(&topic.name),
            partitions,
            ..Default::default()
        });
        if topic.partitions.iter_from(&PartitionId(next)).next().is_none() {
            return true;
        }
        self.result.next_cursor = Some(Cursor {
            topic_name: topic.name.to_string(),
            partition_index: next,
            ..Default::default()
        });
        false
    }

    fn partition(
        &self,
        id: PartitionId,
        partition: &Partition,
    ) -> DescribeTopicPartitionsResponsePartition {
        let error_code = self.listening.leader_error(self.image, partition.leader);
        let leader = if error_code.is_none() { partition.leader } else { NodeId::NONE };
        DescribeTopicPartitionsResponsePartition {
            error_code,
            partition_index: id.get(),
            leader_id: leader.get(),
            leader_epoch: partition.leader_epoch.get(),
            replica_nodes: raw_ids(&partition.replicas),
            isr_nodes: raw_ids(&partition.isr),
            eligible_leader_replicas: Some(raw_ids(&partition.elr)),
            last_known_elr: Some(raw_ids(&partition.last_known_elr)),
            offline_replicas: self.listening.offline_replicas(self.image, partition),
            ..Default::default()
        }
    }
}
