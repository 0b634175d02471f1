//! Committed offsets, by group, topic and partition.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;

use strandline_types::{LeaderEpoch, Offset, Timestamp, Uuid};
use strandline_wire::messages::{OffsetCommitKey, OffsetCommitValue};

/// Where a group will go on reading a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    pub offset: Offset,
    /// Of the last record that was consumed; −1 when the client did not say.
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
    pub committed_at: Timestamp,
    /// Asked for by clients that set a retention of their own (OffsetCommit up to version 4).
    pub expires_at: Option<Timestamp>,
    /// Zero when an older broker wrote it.
    pub topic_id: Uuid,
    /// Of its record among all that the log has.
    pub(crate) written_at: u64,
}

impl CommittedOffset {
    fn new(value: OffsetCommitValue, written_at: u64) -> Self {
        Self {
            written_at,
            offset: Offset(value.offset),
            leader_epoch: LeaderEpoch(value.leader_epoch),
            metadata: value.metadata,
            committed_at: Timestamp(value.commit_timestamp),
            expires_at: (value.expire_timestamp >= 0).then_some(Timestamp(value.expire_timestamp)),
            topic_id: value.topic_id,
        }
    }
}

type Topics = BTreeMap<String, BTreeMap<i32, CommittedOffset>>;

/// The offsets of all groups of a shard. No map in it is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Offsets {
    groups: BTreeMap<String, Topics>,
}

impl Offsets {
    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    /// Everything that a group has committed, by topic and partition.
    pub fn of_group(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&String, &BTreeMap<i32, CommittedOffset>)> + use<'_> {
        self.groups.get(group).into_iter().flatten()
    }

    /// Groups that have offsets.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Groups that have offsets of a topic.
    pub(crate) fn groups_of_topic<'a>(
        &'a self,
        topic: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a BTreeMap<i32, CommittedOffset>)> {
        self.groups
            .iter()
            .filter_map(move |(group, topics)| topics.get(topic).map(|found| (group, found)))
    }

    /// The offset counts, unless one counts that was written after it: a transaction's counts late.
    pub(crate) fn commit(&mut self, key: OffsetCommitKey, at: u64, value: OffsetCommitValue) {
        let topics = self.groups.entry(key.group).or_default();
        let partitions = topics.entry(key.topic).or_default();
        if partitions.get(&key.partition).is_none_or(|known| known.written_at < at) {
            partitions.insert(key.partition, CommittedOffset::new(value, at));
        }
    }

    pub(crate) fn remove(&mut self, key: &OffsetCommitKey) {
        let OffsetCommitKey { group, topic, partition } = key;
        let Some(topics) = self.groups.get_mut(group) else { return };
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.remove(partition);
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
    }
}

/// The tombstone of one offset.
pub(crate) fn tombstone(group: &str, topic: &str, partition: i32) -> crate::groups::Record {
    let key = OffsetCommitKey { group: group.to_owned(), topic: topic.to_owned(), partition };
    crate::groups::Record::OffsetCommit(key, None)
}
