//! Internal topics have as many replicas as is configured, as far as there are brokers for them. One
//! that is born in a young cluster gains the others when brokers join; none ever loses one.
//!
//! A cluster that grows from one node has all its groups on that node's disk otherwise, until a
//! person remembers to move a topic that nobody made.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use strandline_types::NodeId;

use super::alter_partition_reassignments::towards;
use super::context::{Context, Shift};
use super::random::Random;
use super::topic_name::is_internal;
use crate::image::{Broker, Partition, Topic};
use crate::{Record, Records};

/// Brokers that join together are taken together.
pub(super) const DELAY: Duration = Duration::from_secs(1);

/// Whether something may be short after this record, or may have brokers at last. What comes often
/// must not count: it would put off for ever what is to be done a moment later.
pub(super) fn concerned(record: &Record) -> bool {
    match record {
        Record::BrokerRegistrationChange(_) => true,
        Record::Topic(topic) => is_internal(&topic.name),
        _ => false,
    }
}

/// With how many replicas a topic begins: one that [`grow`] completes does not wait for brokers that
/// are not there, because groups would wait with it.
pub(super) fn for_now(cx: &Context<'_>, topic: &str, factor: usize) -> usize {
    let grows = factors(cx).iter().any(|(name, _)| *name == topic);
    // Without any the placement says why.
    if grows { factor.min(takers(cx).count().max(1)) } else { factor }
}

/// Topics with a replication factor of their own in the configuration.
fn factors(cx: &Context<'_>) -> [(&'static str, i16); 2] {
    let config = &cx.settings.config;
    [
        ("__consumer_offsets", config.offsets.replication_factor),
        ("__transaction_state", config.transactions.replication_factor),
    ]
}

/// Those that there are, and which factor.
fn configured<'a>(cx: &Context<'a>) -> impl Iterator<Item = (&'a Topic, usize)> {
    let configured = factors(cx);
    let topics = &cx.image.topics;
    configured.into_iter().filter_map(move |(name, factor)| {
        Some((topics.by_name(name)?.as_ref(), usize::try_from(factor).ok()?))
    })
}

/// The brokers that new replicas go to.
fn takers<'a>(cx: &Context<'a>) -> impl Iterator<Item = &'a Broker> + Clone {
    cx.image.cluster.brokers().filter(|broker| broker.is_active() && !broker.is_cordoned())
}

/// Replicas that stay, in their order.
fn staying(partition: &Partition) -> impl Iterator<Item = NodeId> {
    let stays = |id: &NodeId| !partition.removing_replicas.contains(id);
    partition.replicas.iter().copied().filter(stays)
}

/// Whether [`grow`] has something to do. What a person is moving is left alone.
pub(super) fn are_short(cx: &Context<'_>) -> bool {
    configured(cx).any(|(topic, factor)| {
        topic.partitions.values().any(|partition| is_short(cx, partition, factor))
    })
}

fn is_short(cx: &Context<'_>, partition: &Partition, factor: usize) -> bool {
    let others = takers(cx).filter(|broker| !partition.replicas.contains(&broker.id()));
    partition.removing_replicas.is_empty()
        && partition.replicas.len() < factor
        && others.count() > 0
}

/// Starts the reassignments by which partitions gain what they lack.
pub(super) fn grow(cx: &Context<'_>, records: &mut Records) {
    let mut random = Random::new(cx.seed);
    for (topic, factor) in configured(cx) {
        let mut load = Load::of(topic);
        for (id, partition) in topic.partitions.iter() {
            if !is_short(cx, partition, factor) {
                continue;
            }
            let mut takers: Vec<&Broker> = takers(cx).collect();
            random.shuffle(&mut takers);
            load.forget(partition);
            let wanted = load.chosen(cx, partition, factor, takers);
            load.add(&wanted);
            let target = towards(partition, wanted);
            if let Some(change) = cx.change(topic, partition, target, Shift::default()) {
                records.push(Record::from(change.into_record(topic.id, *id)));
            }
        }
    }
}

/// What each broker has of one topic.
#[derive(Default)]
struct Load {
    replicas: BTreeMap<NodeId, usize>,
    preferred: BTreeMap<NodeId, usize>,
}

impl Load {
    fn of(topic: &Topic) -> Self {
        let mut load = Self::default();
        for partition in topic.partitions.values() {
            load.add(&staying(partition).collect::<Vec<_>>());
        }
        load
    }

    fn add(&mut self, replicas: &[NodeId]) {
        for id in replicas {
            *self.replicas.entry(*id).or_default() += 1;
        }
        if let Some(first) = replicas.first() {
            *self.preferred.entry(*first).or_default() += 1;
        }
    }

    fn forget(&mut self, partition: &Partition) {
        for id in staying(partition) {
            self.replicas.entry(id).and_modify(|count| *count -= 1);
        }
        if let Some(first) = staying(partition).next() {
            self.preferred.entry(first).and_modify(|count| *count -= 1);
        }
    }

    /// The present replicas with others from racks that have none yet, and from the brokers with the
    /// fewest; then whoever leads the fewest comes first, because the brokers that came late shall
    /// coordinate groups too.
    fn chosen(
        &self,
        cx: &Context<'_>,
        partition: &Partition,
        factor: usize,
        mut takers: Vec<&Broker>,
    ) -> Vec<NodeId> {
        let count = |counts: &BTreeMap<NodeId, usize>, id: &NodeId| counts.get(id).copied();
        let rack = |id: &NodeId| cx.image.cluster.broker(*id).and_then(Broker::rack);
        let mut wanted: Vec<NodeId> = staying(partition).collect();
        while wanted.len() < factor {
            let racks: BTreeSet<Option<&str>> = wanted.iter().map(rack).collect();
            takers.retain(|broker| !wanted.contains(&broker.id()));
            let next = takers.iter().min_by_key(|broker| {
                (racks.contains(&broker.rack()), count(&self.replicas, &broker.id()))
            });
            let Some(next) = next else { break };
            wanted.push(next.id());
        }
        let fewest = (0..wanted.len()).min_by_key(|at| count(&self.preferred, &wanted[*at]));
        wanted[..=fewest.unwrap_or(0)].rotate_right(1);
        wanted
    }
}
