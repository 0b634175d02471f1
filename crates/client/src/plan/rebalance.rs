//! How replicas and preferred leaders are spread.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use strandline_types::NodeId;

use super::loads::Loads;
use super::{Move, Place, Placed};

/// What spreads replicas and preferred leaders over the open brokers.
///
/// Replicas move one by one from a broker with many to one with at least two fewer, as long as the
/// partition does not lose a rack by it. So the brokers of a rack end within one replica of each
/// other, and all brokers do where racks allow it; with one rack nothing moves that need not. Then
/// preferred leaders pass along chains of partitions from brokers with many to those with at least
/// two fewer, until no such chain is left.
pub fn rebalance(places: &[Place], partitions: &[Placed]) -> Vec<Move> {
    let mut before = partitions.to_vec();
    before.sort_by(|left, right| left.partition.cmp(&right.partition));
    let mut spread = Spread::new(places, before.clone());
    while let Some((index, from, to)) = spread.next_step() {
        let replicas = spread.all[index].replicas.iter();
        let replicas = replicas.map(|id| if *id == from { to } else { *id }).collect();
        spread.place(index, replicas);
        spread.loads.take_room(to, spread.all[index].bytes);
    }
    while let Some(chain) = spread.next_chain() {
        for (index, leader) in chain {
            let mut replicas = spread.all[index].replicas.clone();
            let at = replicas.iter().position(|id| *id == leader).unwrap_or(0);
            replicas[..=at].rotate_right(1);
            spread.place(index, replicas);
        }
    }
    let changed = before.into_iter().zip(spread.all);
    let changed = changed.filter(|(before, after)| before.replicas != after.replicas);
    changed
        .map(|(before, after)| Move {
            partition: after.partition,
            from: before.replicas,
            to: after.replicas,
            bytes: after.bytes,
        })
        .collect()
}

/// Partitions by bytes, then by their place among all.
type BySize = BTreeSet<(u64, usize)>;

/// The partitions as planned so far, and indexes over them: a step must not cost a walk over all.
struct Spread<'a> {
    all: Vec<Placed>,
    /// Number of each partition's topic.
    topics: Vec<usize>,
    loads: Loads<'a>,
    /// By broker and topic.
    held: BTreeMap<NodeId, BTreeMap<usize, BySize>>,
    /// By preferred leader and another replica that may lead: the partitions.
    followers: BTreeMap<NodeId, BTreeMap<NodeId, BTreeSet<usize>>>,
}

impl<'a> Spread<'a> {
    /// `all` must be sorted.
    fn new(places: &'a [Place], all: Vec<Placed>) -> Self {
        let mut topics = Vec::with_capacity(all.len());
        for (index, placed) in all.iter().enumerate() {
            let number = match index.checked_sub(1) {
                None => 0,
                Some(before) => {
                    let is_new = all[before].partition.topic != placed.partition.topic;
                    topics[before] + usize::from(is_new)
                }
            };
            topics.push(number);
        }
        let loads = Loads::new(places, &all);
        let (held, followers) = Default::default();
        let mut spread = Self { all, topics, loads, held, followers };
        (0..spread.all.len()).for_each(|index| spread.index(index));
        spread
    }

    fn place(&mut self, index: usize, replicas: Vec<NodeId>) {
        self.unindex(index);
        self.loads.forget(&self.all[index]);
        self.all[index].replicas = replicas;
        self.loads.count(&self.all[index]);
        self.index(index);
    }

    fn index(&mut self, index: usize) {
        let placed = &self.all[index];
        for id in &placed.replicas {
            let topics = self.held.entry(*id).or_default();
            topics.entry(self.topics[index]).or_default().insert((placed.bytes, index));
        }
        let Some((first, others)) = placed.replicas.split_first() else { return };
        for other in others.iter().filter(|id| self.loads.is_open(**id)) {
            let others = self.followers.entry(*first).or_default();
            others.entry(*other).or_default().insert(index);
        }
    }

    fn unindex(&mut self, index: usize) {
        let placed = &self.all[index];
        for id in &placed.replicas {
            let topics = self.held.get_mut(id).and_then(|it| it.get_mut(&self.topics[index]));
            topics.map(|partitions| partitions.remove(&(placed.bytes, index)));
        }
        let Some((first, others)) = placed.replicas.split_first() else { return };
        let Some(followers) = self.followers.get_mut(first) else { return };
        for other in others {
            if let Some(partitions) = followers.get_mut(other) {
                partitions.remove(&index);
                if partitions.is_empty() {
                    followers.remove(other);
                }
            }
        }
    }

    /// A replica whose move makes two brokers more alike: from whom there is most to whom there is
    /// least, first.
    fn next_step(&self) -> Option<(usize, NodeId, NodeId)> {
        let mut ascending: Vec<NodeId> = self.loads.open().collect();
        ascending.sort_by_key(|id| (self.loads.replica_count(*id), *id));
        for from in ascending.iter().rev() {
            for to in &ascending {
                if self.loads.replica_count(*from) < self.loads.replica_count(*to) + 2 {
                    break;
                }
                if let Some(index) = self.movable(*from, *to) {
                    return Some((index, *from, *to));
                }
            }
        }
        None
    }

    /// A partition for the one broker to hand to the other. Where a topic crowds on one of them, that
    /// is what should spread; of its partitions, the smallest.
    fn movable(&self, from: NodeId, to: NodeId) -> Option<usize> {
        let none = BTreeMap::new();
        let of = |id: NodeId| self.held.get(&id).unwrap_or(&none);
        let mut topics: Vec<(i64, usize)> = of(from)
            .iter()
            .map(|(topic, partitions)| {
                let there = of(to).get(topic).map_or(0, BySize::len);
                (partitions.len() as i64 - there as i64, *topic)
            })
            .collect();
        topics.sort_unstable_by_key(|(crowding, topic)| (Reverse(*crowding), *topic));
        topics.into_iter().find_map(|(_, topic)| {
            let mut partitions = of(from)[&topic].iter().map(|(_, index)| *index);
            partitions.find(|index| self.may_move(&self.all[*index], from, to))
        })
    }

    fn may_move(&self, placed: &Placed, from: NodeId, to: NodeId) -> bool {
        if placed.replicas.contains(&to) || !self.loads.has_room(to, placed.bytes) {
            return false;
        }
        let others = placed.replicas.iter().filter(|id| **id != from);
        let mut racks = others.map(|id| self.loads.rack(*id));
        let (old, new) = (self.loads.rack(from), self.loads.rack(to));
        // A rack is lost when only `from` is in it, and `to` brings no other in its stead.
        new == old || racks.clone().any(|rack| rack == old) || racks.all(|rack| rack != new)
    }

    /// The shortest chain by which one broker is preferred once less and another, with at least two
    /// fewer, once more: partitions and whom each is to prefer.
    fn next_chain(&self) -> Option<Vec<(usize, NodeId)>> {
        let mut descending: Vec<NodeId> = self.loads.open().collect();
        descending.sort_by_key(|id| (Reverse(self.loads.preferred_count(*id)), *id));
        descending.into_iter().find_map(|start| self.chain_from(start))
    }

    fn chain_from(&self, start: NodeId) -> Option<Vec<(usize, NodeId)>> {
        let mut came_by: BTreeMap<NodeId, (NodeId, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            if self.loads.preferred_count(start) >= self.loads.preferred_count(at) + 2 {
                let mut chain = Vec::new();
                let mut end = at;
                while let Some((before, index)) = came_by.get(&end) {
                    chain.push((*index, end));
                    end = *before;
                }
                return Some(chain);
            }
            for (next, partitions) in self.followers.get(&at).into_iter().flatten() {
                let is_new = *next != start && !came_by.contains_key(next);
                if let Some(index) = partitions.first().filter(|_| is_new) {
                    came_by.insert(*next, (at, *index));
                    queue.push_back(*next);
                }
            }
        }
        None
    }
}
