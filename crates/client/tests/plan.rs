//! Plans for clusters of any shape: what they keep, and what they reach.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use strandline_client::plan::{Move, Place, Placed, drain, rebalance};
use strandline_types::{NodeId, PartitionId, TopicPartition};

#[derive(Clone, Debug)]
struct World {
    places: Vec<Place>,
    partitions: Vec<Placed>,
}

fn place(id: usize, rack: u8, is_open: bool) -> Place {
    // Rack 0 is none.
    let rack = (rack > 0).then(|| format!("rack{rack}"));
    Place { id: NodeId(id as i32), rack, is_open, room_bytes: None }
}

fn world(racks: u8) -> impl Strategy<Value = World> {
    let broker = (0..=racks, prop::bool::weighted(0.85));
    prop::collection::vec(broker, 2..8).prop_flat_map(|brokers| {
        let count = brokers.len();
        let places: Vec<_> = brokers
            .into_iter()
            .enumerate()
            .map(|(at, (rack, is_open))| place(at + 1, rack, is_open))
            .collect();
        let ids: Vec<i32> = (1..=count as i32).collect();
        let replicas = (1..=count.min(4)).prop_flat_map(move |factor| {
            Just(ids.clone()).prop_shuffle().prop_map(move |mut ids| {
                // Brokers that came late have less.
                ids.sort_by_key(|id| *id == count as i32);
                ids.truncate(factor);
                ids.into_iter().map(NodeId).collect::<Vec<_>>()
            })
        });
        let partition = (0..3_u8, 0..1_000_u64, replicas);
        prop::collection::vec(partition, 0..40).prop_map(move |partitions| World {
            places: places.clone(),
            partitions: partitions
                .into_iter()
                .enumerate()
                .map(|(at, (topic, bytes, replicas))| Placed {
                    partition: TopicPartition {
                        topic: format!("t{topic}"),
                        partition: PartitionId(at as i32),
                    },
                    replicas,
                    bytes,
                })
                .collect(),
        })
    })
}

impl World {
    fn is_open(&self, id: NodeId) -> bool {
        self.places.iter().any(|place| place.id == id && place.is_open)
    }

    fn racks(&self, replicas: &[NodeId]) -> usize {
        let rack = |id: &NodeId| self.places.iter().find(|it| it.id == *id).unwrap().rack.clone();
        replicas.iter().map(rack).collect::<BTreeSet<_>>().len()
    }

    fn after(&self, moves: &[Move]) -> Self {
        let mut after = self.clone();
        let index: BTreeMap<_, _> =
            self.partitions.iter().enumerate().map(|(at, it)| (&it.partition, at)).collect();
        for step in moves {
            let placed = &mut after.partitions[index[&step.partition]];
            assert_eq!((&placed.replicas, placed.bytes), (&step.from, step.bytes));
            placed.replicas.clone_from(&step.to);
        }
        after
    }

    /// By open broker.
    fn counts(&self, of: impl Fn(&Placed, NodeId) -> bool) -> BTreeMap<NodeId, usize> {
        let open = self.places.iter().filter(|place| place.is_open);
        let held = |id| self.partitions.iter().filter(|placed| of(placed, id)).count();
        open.map(|place| (place.id, held(place.id))).collect()
    }

    fn replicas(&self) -> BTreeMap<NodeId, usize> {
        self.counts(|placed, id| placed.replicas.contains(&id))
    }

    fn preferred(&self) -> BTreeMap<NodeId, usize> {
        self.counts(|placed, id| placed.replicas.first() == Some(&id))
    }

    /// What every plan keeps.
    fn check_kept(&self, moves: &[Move]) {
        for step in moves {
            let distinct: BTreeSet<_> = step.to.iter().collect();
            assert_eq!(distinct.len(), step.to.len(), "{step:?}");
            assert_eq!(step.to.len(), step.from.len(), "{step:?}");
            assert_ne!(step.to, step.from);
            assert!(step.adding().all(|id| self.is_open(id)), "{step:?}");
        }
        let names: BTreeSet<_> = moves.iter().map(|step| &step.partition).collect();
        assert_eq!(names.len(), moves.len());
    }
}

fn spread(counts: &BTreeMap<NodeId, usize>) -> usize {
    counts.values().max().unwrap_or(&0) - counts.values().min().unwrap_or(&0)
}

fn copies(moves: &[Move]) -> usize {
    moves.iter().map(|step| step.adding().count()).sum()
}

/// Whether a preferred leadership can get from one broker to another, over any number of partitions.
fn reaches(world: &World, from: NodeId, to: NodeId) -> bool {
    let mut seen = BTreeSet::from([from]);
    loop {
        let led = |it: &&Placed| it.replicas.first().is_some_and(|first| seen.contains(first));
        let next: BTreeSet<NodeId> = world
            .partitions
            .iter()
            .filter(led)
            .flat_map(|it| it.replicas.iter().copied())
            .filter(|id| world.is_open(*id) && !seen.contains(id))
            .collect();
        if next.is_empty() {
            return seen.contains(&to);
        }
        seen.extend(next);
    }
}

proptest! {
    #[test]
    fn a_drained_broker_holds_nothing_and_nobody_else_moves(world in world(3)) {
        let leaving = NodeId(1);
        let open = world.places.iter().filter(|it| it.is_open && it.id != leaving).count();
        let has_taker = |placed: &&Placed| {
            let mut open = world.places.iter().filter(|it| it.is_open && it.id != leaving);
            open.any(|place| !placed.replicas.contains(&place.id))
        };
        let held = world.partitions.iter().filter(|it| it.replicas.contains(&leaving));
        match drain(&world.places, &world.partitions, leaving) {
            Ok(moves) => {
                prop_assert!(held.clone().all(|placed| has_taker(&placed)));
                prop_assert_eq!(moves.len(), held.count());
                world.check_kept(&moves);
                for step in &moves {
                    prop_assert!(!step.to.contains(&leaving));
                    prop_assert_eq!(step.adding().count(), 1);
                    // A rack is shared only where every other one has a replica, or nobody open.
                    let kept: Vec<_> = step.to.iter().copied()
                        .filter(|id| step.from.contains(id)).collect();
                    let best = world.places.iter()
                        .filter(|it| it.is_open && it.id != leaving && !kept.contains(&it.id))
                        .map(|it| world.racks(&[&kept[..], &[it.id]].concat()))
                        .max();
                    prop_assert_eq!(Some(world.racks(&step.to)), best);
                }
                let after = world.after(&moves);
                prop_assert!(drain(&after.places, &after.partitions, leaving).unwrap().is_empty());
            }
            Err(unplaceable) => {
                let stuck: BTreeSet<_> =
                    held.filter(|it| !has_taker(it)).map(|it| &it.partition).collect();
                let told: Vec<_> = unplaceable.iter().map(|it| &it.partition).collect();
                prop_assert_eq!(told, stuck.into_iter().collect::<Vec<_>>());
                prop_assert!(unplaceable.iter().all(|it| it.open_brokers == open));
            }
        }
    }

    #[test]
    fn brokers_are_alike_after_a_rebalance(world in world(3)) {
        let moves = rebalance(&world.places, &world.partitions);
        world.check_kept(&moves);
        for step in &moves {
            prop_assert!(world.racks(&step.to) >= world.racks(&step.from));
        }
        let after = world.after(&moves);
        let replicas = after.replicas();
        let mut by_rack: BTreeMap<_, BTreeMap<NodeId, usize>> = BTreeMap::new();
        for place in after.places.iter().filter(|it| it.is_open) {
            let rack = by_rack.entry(&place.rack).or_default();
            rack.insert(place.id, replicas[&place.id]);
        }
        prop_assert!(by_rack.values().all(|counts| spread(counts) <= 1), "{by_rack:?}");
        let preferred = after.preferred();
        for (from, many) in &preferred {
            for (to, few) in preferred.iter().filter(|(_, few)| *many >= **few + 2) {
                prop_assert!(!reaches(&after, *from, *to), "{from}: {many}, {to}: {few}");
            }
        }
        prop_assert!(rebalance(&after.places, &after.partitions).is_empty());
    }

    #[test]
    fn no_copy_travels_that_need_not(world in world(0)) {
        let moves = rebalance(&world.places, &world.partitions);
        let (before, after) = (world.replicas(), world.after(&moves).replicas());
        prop_assert!(spread(&after) <= 1);
        let total: usize = before.values().sum();
        let (least, most) = match before.len() {
            0 => (0, 0),
            brokers => (total / brokers, total.div_ceil(brokers)),
        };
        let excess: usize = before.values().map(|count| count.saturating_sub(most)).sum();
        let shortage: usize = before.values().map(|count| least.saturating_sub(*count)).sum();
        prop_assert!(copies(&moves) <= excess.max(shortage));
    }

    #[test]
    fn a_plan_is_the_same_however_it_is_asked(world in world(2)) {
        let reversed: Vec<_> = world.partitions.iter().rev().cloned().collect();
        let mut places = world.places.clone();
        places.reverse();
        prop_assert_eq!(
            rebalance(&world.places, &world.partitions),
            rebalance(&places, &reversed)
        );
        prop_assert_eq!(
            drain(&world.places, &world.partitions, NodeId(2)).map_err(|it| it.len()),
            drain(&places, &reversed, NodeId(2)).map_err(|it| it.len())
        );
    }

    #[test]
    fn a_plan_that_stopped_half_way_ends_as_well(world in world(2), done in 0..40_usize) {
        let leaving = NodeId(1);
        let Ok(moves) = drain(&world.places, &world.partitions, leaving) else { return Ok(()) };
        let half = world.after(&moves[..done.min(moves.len())]);
        let rest = drain(&half.places, &half.partitions, leaving).unwrap();
        prop_assert_eq!(rest.len(), moves.len() - done.min(moves.len()));
        prop_assert!(half.after(&rest).partitions.iter().all(|it| !it.replicas.contains(&leaving)));
    }
}

fn placed(topic: &str, partition: i32, bytes: u64, replicas: &[i32]) -> Placed {
    let replicas = replicas.iter().map(|id| NodeId(*id)).collect();
    let partition = TopicPartition { topic: topic.into(), partition: PartitionId(partition) };
    Placed { partition, replicas, bytes }
}

fn targets(moves: &[Move]) -> Vec<Vec<i32>> {
    moves.iter().map(|step| step.to.iter().map(|id| id.get()).collect()).collect()
}

#[test]
fn a_broker_without_room_takes_nothing() {
    let mut places: Vec<_> = (1..=4).map(|id| place(id, 0, true)).collect();
    let partitions = [placed("t", 0, 100, &[1, 2]), placed("t", 1, 10, &[1, 2])];
    places[2].room_bytes = Some(50);
    let moves = drain(&places, &partitions, NodeId(1)).unwrap();
    assert_eq!(targets(&moves), [[2, 4], [3, 2]]);
    places[3].room_bytes = Some(50);
    let unplaceable = drain(&places, &partitions, NodeId(1)).unwrap_err();
    let told: Vec<_> = unplaceable
        .iter()
        .map(|it| (it.partition.partition.get(), it.replicas, it.open_brokers, it.without_room))
        .collect();
    assert_eq!(told, [(0, 2, 3, 2)]);
}

#[test]
fn who_has_the_records_leads_before_who_gets_them() {
    let places: Vec<_> = (1..=4).map(|id| place(id, 0, true)).collect();
    let partitions: Vec<_> = (0..3).map(|it| placed("t", it, 1, &[1, 2, 3])).collect();
    let moves = drain(&places, &partitions, NodeId(1)).unwrap();
    assert_eq!(targets(&moves), [[2, 4, 3], [3, 4, 2], [4, 2, 3]]);
}

#[test]
fn who_joins_gets_its_share_of_every_topic() {
    let places: Vec<_> = (1..=4).map(|id| place(id, 0, true)).collect();
    let topic = |name: &'static str| {
        (0..4).map(move |it| placed(name, it, 1, &[it % 3 + 1, (it + 1) % 3 + 1, (it + 2) % 3 + 1]))
    };
    let partitions: Vec<_> = topic("a").chain(topic("b")).collect();
    let moves = rebalance(&places, &partitions);
    let joined = |name: &str| {
        let gains = |it: &&Move| it.partition.topic == name && it.to.contains(&NodeId(4));
        moves.iter().filter(gains).count()
    };
    assert_eq!((joined("a"), joined("b"), copies(&moves)), (3, 3, 6));
}

#[test]
fn a_plan_for_many_partitions_is_made_in_one_go() {
    let places: Vec<_> = (1..=8).map(|id| place(id, 0, true)).collect();
    let replicas = |it: i32| [it % 4 + 1, (it + 1) % 4 + 1, (it + 2) % 4 + 1];
    let partitions: Vec<_> =
        (0..10_000).map(|it| placed(&format!("t{}", it % 50), it, 1, &replicas(it))).collect();
    let world = World { places, partitions };
    let after = world.after(&rebalance(&world.places, &world.partitions));
    assert!(spread(&after.replicas()) <= 1, "{:?}", after.replicas());
    assert!(spread(&after.preferred()) <= 1, "{:?}", after.preferred());
}
