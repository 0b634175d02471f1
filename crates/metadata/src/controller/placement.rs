//! Where the replicas of new partitions go.
//!
//! Partitions are striped: each takes one replica per rack in turn, and each next partition starts
//! one rack further, and one broker further in each rack when all racks have had their turn, so that
//! leaders and followers spread evenly and the loss of a rack costs at most one replica while there
//! are racks enough. A fenced broker gets a replica when
//! its rack has no other left, and a rack of fenced brokers when all other racks have one; neither
//! leads. Brokers that are shutting down get none.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use strandline_types::NodeId;

use super::random::Random;
use crate::image::{Broker, Cluster};

/// The replicas of `partition_count` partitions, or why there can be none.
pub(crate) fn place(
    cluster: &Cluster,
    random: &mut Random,
    partition_count: usize,
    replication_factor: usize,
) -> Result<Vec<Vec<NodeId>>, String> {
    let racks = Racks::of(cluster, random);
    if racks.leading_count == 0 {
        return Err("no broker is active".into());
    }
    let usable = racks.broker_count();
    if replication_factor > usable {
        return Err(format!("brokers that take replicas: {usable}"));
    }
    let start = random.below(usable * racks.all.len());
    Ok((start..start + partition_count)
        .map(|stripe| racks.replicas(stripe, replication_factor))
        .collect())
}

struct Rack {
    unfenced: Vec<NodeId>,
    fenced: Vec<NodeId>,
}

/// No rack is empty. First come those in which somebody may lead.
struct Racks {
    all: Vec<Rack>,
    leading_count: usize,
}

impl Racks {
    fn of(cluster: &Cluster, random: &mut Random) -> Self {
        let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
        let takes =
            |broker: &&Broker| !broker.is_cordoned() && (broker.is_fenced() || broker.is_active());
        for broker in cluster.brokers().filter(takes) {
            let rack = racks
                .entry(broker.rack())
                .or_insert_with(|| Rack { unfenced: Vec::new(), fenced: Vec::new() });
            let list = if broker.is_fenced() { &mut rack.fenced } else { &mut rack.unfenced };
            list.push(broker.id());
        }
        let mut all: Vec<Rack> = racks.into_values().collect();
        random.shuffle(&mut all);
        for rack in &mut all {
            random.shuffle(&mut rack.unfenced);
            random.shuffle(&mut rack.fenced);
        }
        all.sort_by_key(|rack| rack.unfenced.is_empty());
        let leading_count = all.partition_point(|rack| !rack.unfenced.is_empty());
        Self { all, leading_count }
    }

    fn broker_count(&self) -> usize {
        self.all.iter().map(|rack| rack.unfenced.len() + rack.fenced.len()).sum()
    }

    /// The replicas of the partition that is number `stripe`, the leader first. There are brokers
    /// enough, and one that may lead.
    fn replicas(&self, stripe: usize, replication_factor: usize) -> Vec<NodeId> {
        let (leading, others) = self.all.split_at(self.leading_count);
        // A rack leads again after as many stripes as there are racks, and its next broker has to lead
        // then. Were it the next but one, every other broker of an even number would never lead.
        let turn = stripe / leading.len();
        let order: Vec<&Rack> = rotated(leading, stripe).chain(rotated(others, stripe)).collect();
        let rounds = (0..).flat_map(|round| order.iter().map(move |rack| rack.nth(turn, round)));
        rounds.flatten().take(replication_factor).collect()
    }
}

fn rotated(racks: &[Rack], by: usize) -> impl Iterator<Item = &Rack> {
    (0..racks.len()).map(move |step| &racks[(by + step) % racks.len()])
}

impl Rack {
    /// The broker to take in round `round` of a partition: unfenced ones first.
    fn nth(&self, turn: usize, round: usize) -> Option<NodeId> {
        let rotated = |list: &[NodeId], at: usize| list[(turn + at) % list.len()];
        if round < self.unfenced.len() {
            Some(rotated(&self.unfenced, round))
        } else if round - self.unfenced.len() < self.fenced.len() {
            Some(rotated(&self.fenced, round - self.unfenced.len()))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn racks(rack_count: i32, brokers_per_rack: i32) -> Racks {
        let rack = |rack: i32| {
            let ids = (0..brokers_per_rack).map(|broker| NodeId(rack * brokers_per_rack + broker));
            Rack { unfenced: ids.collect(), fenced: Vec::new() }
        };
        Racks { all: (0..rack_count).map(rack).collect(), leading_count: rack_count as usize }
    }

    #[test]
    fn every_broker_leads_and_follows_as_often_as_the_others() {
        let sizes = (1..=4).flat_map(|racks| (1..=6).map(move |brokers| (racks, brokers)));
        for (rack_count, brokers_per_rack) in sizes {
            let racks = racks(rack_count, brokers_per_rack);
            let usable = racks.broker_count();
            for (start, factor) in
                (0..7).flat_map(|start| (1..=usable.min(5)).map(move |it| (start, it)))
            {
                let (mut led, mut held) = (BTreeMap::new(), BTreeMap::new());
                for stripe in start..start + usable {
                    let replicas = racks.replicas(stripe, factor);
                    *led.entry(replicas[0]).or_insert(0) += 1;
                    for id in replicas {
                        *held.entry(id).or_insert(0) += 1;
                    }
                }
                let of = format!("{rack_count} racks of {brokers_per_rack}, {factor} replicas");
                assert!(
                    led.len() == usable && led.values().all(|count| *count == 1),
                    "{of}: {led:?}"
                );
                assert!(
                    held.len() == usable && held.values().all(|count| *count == factor),
                    "{of}: {held:?}"
                );
            }
        }
    }
}
