//! Where the replicas of new partitions go.
//!
//! Partitions are striped: each takes one replica per rack in turn, and each next partition starts
//! one rack and one broker further, so that leaders and followers spread evenly and the loss of a
//! rack costs at most one replica while there are racks enough. Fenced brokers are used only when
//! there are not enough others, and never for the leader; brokers that are shutting down are not.

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
    if racks.unfenced_count() == 0 {
        return Err("no broker is active".into());
    }
    let usable = racks.broker_count();
    if replication_factor > usable {
        return Err(format!("brokers that take replicas: {usable}"));
    }
    let start = random.below(usable * racks.0.len());
    Ok((start..start + partition_count)
        .map(|stripe| racks.replicas(stripe, replication_factor))
        .collect())
}

struct Rack {
    unfenced: Vec<NodeId>,
    fenced: Vec<NodeId>,
}

/// No rack is empty.
struct Racks(Vec<Rack>);

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
        let mut racks: Vec<Rack> = racks.into_values().collect();
        random.shuffle(&mut racks);
        for rack in &mut racks {
            random.shuffle(&mut rack.unfenced);
            random.shuffle(&mut rack.fenced);
        }
        Self(racks)
    }

    fn unfenced_count(&self) -> usize {
        self.0.iter().map(|rack| rack.unfenced.len()).sum()
    }

    fn broker_count(&self) -> usize {
        self.0.iter().map(|rack| rack.unfenced.len() + rack.fenced.len()).sum()
    }

    /// The replicas of the partition that is number `stripe`, the leader first.
    fn replicas(&self, stripe: usize, replication_factor: usize) -> Vec<NodeId> {
        let rack_count = self.0.len();
        // Without the second term, three racks of three brokers each would always meet the same
        // broker of a rack.
        let turn = stripe + stripe / rack_count;
        let mut replicas = Vec::with_capacity(replication_factor);
        let racks = || (0..rack_count).map(|step| &self.0[(stripe + step) % rack_count]);
        let leading_rack = racks().position(|rack| !rack.unfenced.is_empty()).unwrap_or(0);
        let mut rounds = alloc::vec![0usize; rack_count];
        let mut step = leading_rack;
        while replicas.len() < replication_factor {
            let index = (stripe + step) % rack_count;
            if let Some(broker) = self.0[index].nth(turn, rounds[index]) {
                rounds[index] += 1;
                replicas.push(broker);
            }
            step += 1;
        }
        replicas
    }
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
