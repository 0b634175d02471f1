//! Topics and their partitions.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use strandline_types::{PartitionId, Uuid};
use strandline_wire::messages::{
    ClearElrRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
    UnknownTags,
};

use super::partition::{Partition, PartitionChange};
use crate::{MetadataVersion, Record, Records, SharedMap};

#[derive(Clone, Debug)]
pub struct Topic {
    pub name: Arc<str>,
    pub id: Uuid,
    pub partitions: SharedMap<PartitionId, Arc<Partition>>,
    unknown_tags: UnknownTags,
}

impl Topic {
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<Partition>> {
        self.partitions.get(&id)
    }

    /// Replicas of the first partition: new partitions get as many.
    pub fn replication_factor(&self) -> usize {
        self.partitions.values().next().map_or(0, |partition| partition.replicas.len())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Topics {
    by_id: SharedMap<Uuid, Arc<Topic>>,
    by_name: SharedMap<Arc<str>, Uuid>,
    /// Names with `.` or `_`, under the name with all of them as `_`: Kafka's metrics confuse
    /// `a.b` with `a_b`, so only one of them may be created.
    ambiguous: SharedMap<(String, Arc<str>), ()>,
}

impl Topics {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn get(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.get(*self.by_name.get(name)?)
    }

    pub fn partition(&self, topic: Uuid, partition: PartitionId) -> Option<&Arc<Partition>> {
        self.get(topic)?.partition(partition)
    }

    /// Ascending by topic id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> + Clone {
        self.by_id.values()
    }

    /// Ascending by name.
    pub fn iter_by_name(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values().filter_map(|id| self.get(*id))
    }

    /// From `name` on (inclusive), ascending by name.
    pub fn iter_by_name_from(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.iter_from(name).filter_map(|(_, id)| self.get(*id))
    }

    /// Partitions of all topics.
    pub fn partitions(&self) -> impl Iterator<Item = (&Arc<Topic>, PartitionId, &Arc<Partition>)> {
        self.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |(id, partition)| (topic, *id, partition))
        })
    }

    pub fn partition_count(&self) -> usize {
        self.iter().map(|topic| topic.partitions.len()).sum()
    }

    /// The topic whose name differs from `name` only in which of `.` and `_` it has.
    pub fn colliding_with(&self, name: &str) -> Option<&str> {
        if !is_ambiguous(name) {
            return None;
        }
        let folded = unambiguous(name);
        let from = (folded, Arc::from(""));
        let ((found, other), ()) = self.ambiguous.iter_from(&from).next()?;
        (*found == from.0).then_some(other.as_ref())
    }

    pub(super) fn changes(
        before: &Self,
        after: &Self,
        report: impl FnMut(&Uuid, Option<&Arc<Topic>>, Option<&Arc<Topic>>),
    ) {
        SharedMap::for_each_change(&before.by_id, &after.by_id, Arc::ptr_eq, report);
    }

    fn edit(&mut self, id: Uuid) -> Result<&mut Topic, String> {
        let topic = self.by_id.get_mut(&id).ok_or_else(|| format!("there is no topic {id}"))?;
        Ok(Arc::make_mut(topic))
    }

    /// META-6: topic ids and topic names are unique.
    pub(super) fn create(&mut self, record: TopicRecord) -> Result<(), String> {
        if self.by_name.contains_key(record.name.as_str()) {
            return Err(format!("META-6: a topic named {} exists", record.name));
        }
        if self.by_id.contains_key(&record.topic_id) {
            return Err(format!("META-6: a topic with id {} exists", record.topic_id));
        }
        let name: Arc<str> = record.name.into();
        if is_ambiguous(&name) {
            self.ambiguous.insert((unambiguous(&name), name.clone()), ());
        }
        self.by_name.insert(name.clone(), record.topic_id);
        let topic = Topic {
            name,
            id: record.topic_id,
            partitions: SharedMap::new(),
            unknown_tags: record.unknown_tags,
        };
        self.by_id.insert(topic.id, Arc::new(topic));
        Ok(())
    }

    /// Returns the name of the topic that is gone.
    pub(super) fn remove(&mut self, record: &RemoveTopicRecord) -> Result<Arc<str>, String> {
        let id = record.topic_id;
        let topic = self.by_id.remove(&id).ok_or_else(|| format!("there is no topic {id}"))?;
        self.by_name.remove(&topic.name);
        if is_ambiguous(&topic.name) {
            self.ambiguous.remove(&(unambiguous(&topic.name), topic.name.clone()));
        }
        Ok(topic.name.clone())
    }

    pub(super) fn put_partition(&mut self, record: PartitionRecord) -> Result<(), String> {
        let (topic_id, id) = (record.topic_id, PartitionId(record.partition_id));
        if id.get() < 0 {
            return Err(format!("partition {topic_id}-{id} has a negative number"));
        }
        let partition = Partition::from_record(record)?;
        check(topic_id, id, &partition)?;
        self.edit(topic_id)?.partitions.insert(id, Arc::new(partition));
        Ok(())
    }

    pub(super) fn change_partition(&mut self, record: PartitionChangeRecord) -> Result<(), String> {
        let (topic_id, id) = (record.topic_id, PartitionId(record.partition_id));
        let change = PartitionChange::from_record(record)?;
        let topic = self.edit(topic_id)?;
        let partition = topic
            .partitions
            .get_mut(&id)
            .ok_or_else(|| format!("there is no partition {topic_id}-{id}"))?;
        let next = partition.with(change);
        check(topic_id, id, &next)?;
        *partition = Arc::new(next);
        Ok(())
    }

    /// Forgets eligible leaders: of one topic, or of all when the name is empty.
    pub(super) fn clear_elr(&mut self, record: &ClearElrRecord) -> Result<(), String> {
        if record.topic_name.is_empty() {
            let ids: alloc::vec::Vec<Uuid> = self.by_id.keys().copied().collect();
            return ids.into_iter().try_for_each(|id| self.clear_topic_elr(id));
        }
        let name = record.topic_name.as_str();
        let id = self.by_name.get(name).ok_or_else(|| format!("there is no topic {name}"))?;
        self.clear_topic_elr(*id)
    }

    fn clear_topic_elr(&mut self, id: Uuid) -> Result<(), String> {
        let has_elr = |partition: &Partition| {
            !partition.elr.is_empty() || !partition.last_known_elr.is_empty()
        };
        let Some(topic) = self.get(id) else {
            return Err(format!("there is no topic {id}"));
        };
        let partitions: alloc::vec::Vec<PartitionId> =
            topic.partitions.iter().filter(|(_, p)| has_elr(p)).map(|(id, _)| *id).collect();
        for partition in partitions {
            if let Some(partition) = self.edit(id)?.partitions.get_mut(&partition) {
                *partition = Arc::new(partition.with(PartitionChange {
                    elr: Some(alloc::vec::Vec::new()),
                    last_known_elr: Some(alloc::vec::Vec::new()),
                    ..PartitionChange::default()
                }));
            }
        }
        Ok(())
    }

    pub(super) fn snapshot(&self, version: MetadataVersion, records: &mut Records) {
        for topic in self.iter() {
            records.push(Record::from(TopicRecord {
                name: topic.name.as_ref().into(),
                topic_id: topic.id,
                unknown_tags: topic.unknown_tags.clone(),
            }));
            records.extend(
                topic.partitions.iter().map(|(id, partition)| {
                    Record::from(partition.to_record(topic.id, *id, version))
                }),
            );
        }
    }
}

fn check(topic: Uuid, id: PartitionId, partition: &Partition) -> Result<(), String> {
    match partition.broken_invariant() {
        None => Ok(()),
        Some(invariant) => Err(format!("{invariant}, not so in partition {topic}-{id}")),
    }
}

fn is_ambiguous(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn unambiguous(name: &str) -> String {
    name.replace('.', "_")
}
