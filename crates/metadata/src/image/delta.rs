//! What changed between two images.

use alloc::sync::Arc;
use alloc::vec::Vec;

use strandline_types::{NodeId, PartitionId, Uuid};

use super::{Cluster, ConfigResource, Configs, Image, Partition, Topic, Topics};
use crate::SharedMap;

/// One partition that is new, changed or gone.
#[derive(Clone, Debug)]
pub struct PartitionDelta {
    /// The topic as it is now, or as it last was.
    pub topic: Arc<Topic>,
    pub partition: PartitionId,
    pub before: Option<Arc<Partition>>,
    pub after: Option<Arc<Partition>>,
}

/// Costs what changed, not what exists: shared parts of the two images are skipped.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    pub created_topics: Vec<Arc<Topic>>,
    pub deleted_topics: Vec<Arc<Topic>>,
    pub partitions: Vec<PartitionDelta>,
    pub configs: Vec<ConfigResource>,
    pub brokers: Vec<NodeId>,
    pub features_changed: bool,
}

impl Delta {
    pub fn between(before: &Image, after: &Image) -> Self {
        let mut delta = Self {
            features_changed: before.features != after.features,
            brokers: Cluster::changed_brokers(&before.cluster, &after.cluster),
            ..Self::default()
        };
        Topics::changes(&before.topics, &after.topics, |_: &Uuid, old, new| match (old, new) {
            (Some(old), Some(new)) => delta.add_partitions(old, new, new),
            (None, Some(new)) => {
                delta.created_topics.push(new.clone());
                delta.add_all(new, false);
            }
            (Some(old), None) => {
                delta.deleted_topics.push(old.clone());
                delta.add_all(old, true);
            }
            (None, None) => {}
        });
        Configs::changes(&before.configs, &after.configs, |resource| {
            delta.configs.push(resource.clone());
        });
        delta
    }

    pub fn is_empty(&self) -> bool {
        self.created_topics.is_empty()
            && self.deleted_topics.is_empty()
            && self.partitions.is_empty()
            && self.configs.is_empty()
            && self.brokers.is_empty()
            && !self.features_changed
    }

    fn add_partitions(&mut self, old: &Arc<Topic>, new: &Arc<Topic>, topic: &Arc<Topic>) {
        SharedMap::for_each_change(
            &old.partitions,
            &new.partitions,
            Arc::ptr_eq,
            |id, before, after| {
                self.partitions.push(PartitionDelta {
                    topic: topic.clone(),
                    partition: *id,
                    before: before.cloned(),
                    after: after.cloned(),
                });
            },
        );
    }

    fn add_all(&mut self, topic: &Arc<Topic>, gone: bool) {
        self.partitions.extend(topic.partitions.iter().map(|(id, partition)| {
            let (before, after) = match gone {
                true => (Some(partition.clone()), None),
                false => (None, Some(partition.clone())),
            };
            PartitionDelta { topic: topic.clone(), partition: *id, before, after }
        }));
    }
}
