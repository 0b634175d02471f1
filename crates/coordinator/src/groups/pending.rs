//! Offsets that transactions have committed and that do not count yet: their transactions have not
//! ended.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::ProducerId;
use strandline_wire::messages::{OffsetCommitKey, OffsetCommitValue};

/// Group, topic, partition.
type Place = (String, String, i32);

/// See the module text. No map and no set in it is empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pending {
    by_producer: BTreeMap<ProducerId, BTreeMap<Place, Written>>,
    by_place: BTreeMap<Place, BTreeSet<ProducerId>>,
}

#[derive(Clone, PartialEq, Debug)]
struct Written {
    /// Of the record among all that the log has: an offset that was committed after it stays.
    at: u64,
    value: OffsetCommitValue,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.by_producer.is_empty()
    }

    pub(crate) fn add(
        &mut self,
        producer: ProducerId,
        key: OffsetCommitKey,
        at: u64,
        value: OffsetCommitValue,
    ) {
        let place = (key.group, key.topic, key.partition);
        self.by_place.entry(place.clone()).or_default().insert(producer);
        self.by_producer.entry(producer).or_default().insert(place, Written { at, value });
    }

    /// What the producer's transaction has committed, each with its place among all records.
    pub(crate) fn take(
        &mut self,
        producer: ProducerId,
    ) -> Vec<(OffsetCommitKey, u64, OffsetCommitValue)> {
        let written = self.by_producer.remove(&producer).unwrap_or_default();
        for place in written.keys() {
            self.left(place, producer);
        }
        let taken = written.into_iter().map(|((group, topic, partition), written)| {
            (OffsetCommitKey { group, topic, partition }, written.at, written.value)
        });
        taken.collect()
    }

    /// The offset was deleted: what is pending for it goes too.
    pub(crate) fn forget(&mut self, key: &OffsetCommitKey) {
        let place = (key.group.clone(), key.topic.clone(), key.partition);
        for producer in self.by_place.remove(&place).unwrap_or_default() {
            if let Some(written) = self.by_producer.get_mut(&producer) {
                written.remove(&place);
                if written.is_empty() {
                    self.by_producer.remove(&producer);
                }
            }
        }
    }

    /// Whether a transaction may be about to change the offset.
    pub(crate) fn has(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.by_place.contains_key(&(group.into(), topic.into(), partition))
    }

    /// Partitions of a group for which offsets are pending.
    pub(crate) fn of_group<'a>(
        &'a self,
        group: &'a str,
    ) -> impl Iterator<Item = (&'a String, i32)> {
        let from = (String::from(group), String::new(), i32::MIN);
        let places = self.by_place.range(from..).map(|(place, _)| place);
        places
            .take_while(move |(of, ..)| of == group)
            .map(|(_, topic, partition)| (topic, *partition))
    }

    /// Groups for which offsets are pending.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        self.by_place.keys().map(|(group, ..)| group)
    }

    fn left(&mut self, place: &Place, producer: ProducerId) {
        if let Some(producers) = self.by_place.get_mut(place) {
            producers.remove(&producer);
            if producers.is_empty() {
                self.by_place.remove(place);
            }
        }
    }
}
