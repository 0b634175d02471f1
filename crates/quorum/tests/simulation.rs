//! Random worlds: nodes crash and lose what they had not synced, the network loses, delays,
//! repeats and partitions, voters come and go. The checks of `net::safety` run after every step;
//! at the end all heals and the quorum must work again.
#![allow(clippy::unwrap_used, unreachable_pub)]
#![allow(clippy::print_stdout, reason = "a test tells what it has played")]

#[path = "../../sim/tests/seeded/asked.rs"]
mod asked;
mod net;

use std::panic::catch_unwind;
use std::time::Duration;

use net::{Weather, World};
use strandline_quorum::{Join, Random, VoterChange, VoterSet};
use strandline_types::NodeId;

const STORM: Weather = Weather {
    delay_min: Duration::from_micros(200),
    delay_max: Duration::from_millis(40),
    sync_max: Duration::from_millis(30),
    lost: 30,
    repeated: 30,
};

struct Plan {
    nodes: i32,
    voters: &'static [i32],
    changes_voters: bool,
    /// Disks are lost, and nodes move; whoever is no voter joins by itself.
    replaces_nodes: bool,
    join: Join,
    rounds: u32,
}

const THREE: Plan = Plan {
    nodes: 3,
    voters: &[1, 2, 3],
    changes_voters: false,
    replaces_nodes: false,
    join: Join::Never,
    rounds: 60,
};
const FIVE: Plan = Plan { nodes: 5, voters: &[1, 2, 3, 4, 5], ..THREE };
const CHANGING: Plan = Plan { nodes: 5, changes_voters: true, rounds: 80, ..THREE };
const REPLACING: Plan = Plan { replaces_nodes: true, join: Join::Always, ..CHANGING };
/// One founder; the others know only where it is.
const GROWING: Plan = Plan {
    voters: &[1],
    changes_voters: false,
    replaces_nodes: true,
    join: Join::OnceItHelps,
    ..THREE
};

/// What a run was and did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    fingerprint: u64,
    steps: u64,
    committed: usize,
    epochs: i32,
    snapshots: usize,
    truncations: usize,
    installs: usize,
}

fn run(plan: &Plan, seed: u64) -> Outcome {
    let mut world = World::new(seed, plan.voters, STORM);
    world.tell_all = false;
    let mut dice = Random::new(seed ^ 0x5eed);
    world.snapshot_entries = 20 + dice.below(100);
    world.join = plan.join;
    if plan.replaces_nodes {
        world.bootstrap = (1..=plan.nodes).collect();
    }
    for id in 1..=plan.nodes {
        if plan.join == Join::OnceItHelps && !plan.voters.contains(&id) {
            world.newcomer(id);
        }
        start(&mut world, plan, id);
    }
    let mut value = 0;
    for _ in 0..plan.rounds {
        let wait = dice.below(400) + 10;
        world.run(Duration::from_millis(wait));
        mischief(&mut world, &mut dice, plan);
        for _ in 0..dice.below(4) {
            let Some(leader) = world.leader() else { break };
            let count = 1 + dice.below(3);
            let values: Vec<u64> = (value..value + count).collect();
            value += count;
            world.append(leader, &values);
        }
    }
    heal(&mut world, plan);
    let last_value = value;
    world.run_until(|world| world.leader().is_some_and(|id| is_stable(world, id)));
    if plan.join != Join::Never {
        world.run_until(|world| world.leader().is_some_and(|id| all_vote(world, plan, id)));
    }
    let leader = world.leader().unwrap();
    world.append(leader, &[last_value]);
    world.run_until(|world| {
        world.nodes.values().all(|node| {
            node.applied.0 as usize == world.safety.committed.len()
                && world.safety.values().last() == Some(&last_value)
        })
    });
    let epochs = world.quorum(leader).epoch().0;
    Outcome {
        fingerprint: world.safety.fingerprint(),
        steps: world.steps,
        committed: world.safety.committed.len(),
        epochs,
        snapshots: world.safety.snapshots.len(),
        truncations: world.truncations,
        installs: world.installs,
    }
}

fn is_stable(world: &World, leader: i32) -> bool {
    let quorum = world.quorum(leader);
    quorum.high_watermark() == quorum.log_end()
        && world
            .nodes
            .values()
            .all(|node| node.quorum.as_ref().is_some_and(|other| other.epoch() == quorum.epoch()))
}

fn start(world: &mut World, plan: &Plan, id: i32) {
    world.start(id);
    let controllers: Vec<i32> = (1..=plan.nodes).collect();
    world.tell_controllers(id, &controllers);
}

/// Every node is a voter by its present disk, at its present address, as all know.
fn all_vote(world: &World, plan: &Plan, leader: i32) -> bool {
    let voters = &world.quorum(leader).membership().voters;
    is_stable(world, leader)
        && (1..=plan.nodes).all(|id| voters.get(NodeId(id)) == Some(&world.voter(id)))
}

fn mischief(world: &mut World, dice: &mut Random, plan: &Plan) {
    let id = 1 + dice.below(plan.nodes as u64) as i32;
    let other = 1 + dice.below(plan.nodes as u64) as i32;
    match dice.below(20) {
        0..=4 if world.is_up(id) => world.crash(id),
        0..=8 if !world.is_up(id) => start(world, plan, id),
        9..=10 => {
            world.cut.insert((id, other));
        }
        11 => world.cut_off(id),
        12..=14 => world.heal(),
        15 if world.is_up(id) => world.resign(id),
        16..=17 if plan.changes_voters => change(world, dice, id),
        18 => world.weather.lost = dice.below(200),
        19 if plan.replaces_nodes && world.is_up(id) => {
            if dice.below(2) == 0 {
                world.move_house(id);
            } else if world.may_lose_disk(id) {
                world.lose_disk(id);
            }
            let controllers: Vec<i32> = (1..=plan.nodes).collect();
            world.tell_controllers(id, &controllers);
        }
        _ => {}
    }
}

fn change(world: &mut World, dice: &mut Random, id: i32) {
    let Some(leader) = world.leader() else { return };
    let key = world.key(id);
    let voters = &world.quorum(leader).membership().voters;
    let change = if voters.contains(key) {
        let left = VoterSet::new(voters.iter().filter(|voter| voter.key != key).cloned());
        if !world.survives(&left, key) {
            // Whoever takes out living voters until most of the others are dead ends the quorum.
            return;
        }
        VoterChange::Remove { key }
    } else {
        VoterChange::Add { voter: world.voter(id), ack_when_committed: dice.below(2) == 0 }
    };
    world.change_voter(leader, change);
}

fn heal(world: &mut World, plan: &Plan) {
    world.heal();
    world.weather.lost = 0;
    for id in 1..=plan.nodes {
        if !world.is_up(id) {
            start(world, plan, id);
        }
    }
}

fn check(test: &str, plan: &Plan, ordinary: u64) {
    let mut total = Outcome::default();
    for seed in asked::seeds(ordinary) {
        let Ok(outcome) = catch_unwind(|| run(plan, seed)) else {
            panic!(
                "replay: SEED={seed} cargo test -p strandline-quorum --test simulation -- {test}"
            );
        };
        total.steps += outcome.steps;
        total.committed += outcome.committed;
        total.epochs += outcome.epochs;
        total.snapshots += outcome.snapshots;
        total.truncations += outcome.truncations;
        total.installs += outcome.installs;
    }
    println!("{total:?}");
    if asked::is_ordinary() {
        // A calm that tests nothing would pass as well.
        assert!(total.committed > 0 && total.epochs > 0 && total.snapshots > 0);
        assert!(total.truncations > 0 && total.installs > 0);
    }
}

#[test]
fn three_voters_in_a_storm() {
    check("three_voters_in_a_storm", &THREE, 150);
}

#[test]
fn five_voters_in_a_storm() {
    check("five_voters_in_a_storm", &FIVE, 100);
}

#[test]
fn voters_come_and_go_in_a_storm() {
    check("voters_come_and_go_in_a_storm", &CHANGING, 150);
}

#[test]
fn disks_are_lost_and_nodes_move_in_a_storm() {
    check("disks_are_lost_and_nodes_move_in_a_storm", &REPLACING, 100);
}

#[test]
fn one_founder_grows_to_three_in_a_storm() {
    check("one_founder_grows_to_three_in_a_storm", &GROWING, 100);
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..5 {
        assert_eq!(run(&CHANGING, seed), run(&CHANGING, seed));
    }
}
