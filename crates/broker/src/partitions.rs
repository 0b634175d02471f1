//! The partitions that this node holds, by topic id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use strandline_config::TopicConfig;
use strandline_types::{ErrorCode, PartitionId, TopicIdPartition, Uuid};

use crate::cx::Cx;
use crate::driver::partition::Partition;

/// Clones share one registry.
#[derive(Clone, Default)]
pub(crate) struct Partitions {
    held: Arc<RwLock<BTreeMap<TopicIdPartition, Held>>>,
    /// Those that should be here, and cannot be opened until the next start, or until there is room.
    offline: Arc<RwLock<BTreeSet<TopicIdPartition>>>,
}

/// A partition on this node, and its topic's settings as they are now.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) partition: Arc<Partition>,
    pub(crate) config: Arc<TopicConfig>,
}

/// Why a partition cannot be served here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum LookupRefusal {
    #[error("this server does not host this topic-partition")]
    UnknownTopicOrPartition,
    #[error("no topic has this id")]
    UnknownTopicId,
    #[error("this broker does not hold the partition")]
    NotLeaderOrFollower,
    #[error("the partition cannot be opened, or lies in a log directory that has failed")]
    Offline,
}

impl LookupRefusal {
    pub(crate) const fn code(self) -> ErrorCode {
        match self {
            Self::UnknownTopicOrPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Self::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
            Self::NotLeaderOrFollower => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Self::Offline => ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }
}

impl Partitions {
    pub(crate) fn get(&self, id: TopicIdPartition) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn insert(&self, held_here: Held) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.insert(held_here.partition.id(), held_here);
    }

    pub(crate) fn remove(&self, id: TopicIdPartition) -> Option<Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// The partition is here by the metadata, and cannot be served.
    pub(crate) fn set_offline(&self, id: TopicIdPartition) {
        self.offline.write().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// The partition is no longer this node's.
    pub(crate) fn forget_offline(&self, id: TopicIdPartition) {
        self.offline.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(crate) fn is_offline(&self, id: TopicIdPartition) -> bool {
        self.offline.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// How many could not be opened.
    pub(crate) fn offline_count(&self) -> usize {
        self.offline.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All partitions at this moment.
    pub(crate) fn all(&self) -> Vec<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Finds a partition by its topic's name or, when `topic_id` is set, by id.
pub(crate) fn find(
    cx: &Cx,
    name: &str,
    topic_id: Uuid,
    partition: i32,
) -> Result<Held, LookupRefusal> {
    let topics = &cx.image().topics;
    let topic = if topic_id.is_zero() {
        topics.by_name(name).ok_or(LookupRefusal::UnknownTopicOrPartition)?
    } else {
        topics.get(topic_id).ok_or(LookupRefusal::UnknownTopicId)?
    };
    let partition = PartitionId(partition);
    if topic.partition(partition).is_none() {
        return Err(LookupRefusal::UnknownTopicOrPartition);
    }
    let id = TopicIdPartition { topic_id: topic.id, partition };
    let partitions = &cx.handles.partitions;
    partitions.get(id).ok_or_else(|| match partitions.is_offline(id) {
        true => LookupRefusal::Offline,
        false => LookupRefusal::NotLeaderOrFollower,
    })
}
