//! Where new replicas go, whatever the racks are and whoever lives.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use story::{Story, registration};
use strandline_metadata::image::Broker;
use strandline_types::{NodeId, Uuid};
use strandline_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic,
};
use strandline_wire::messages::{
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Active,
    Fenced,
    Stopping,
    Cordoned,
    /// One of its two directories takes no new replicas.
    HalfCordoned,
}

fn broker() -> impl Strategy<Value = (u8, State)> {
    let state = prop_oneof![
        6 => Just(State::Active),
        2 => Just(State::Fenced),
        1 => Just(State::Stopping),
        1 => Just(State::Cordoned),
        1 => Just(State::HalfCordoned),
    ];
    (0..4u8, state)
}

fn directory(id: i32, index: i32) -> Uuid {
    Uuid::from_u128(1000 + (id * 10 + index) as u128)
}

fn cluster(brokers: &[(u8, State)]) -> Story {
    let mut story = Story::with_brokers(0);
    for ((rack, state), id) in brokers.iter().zip(1..) {
        story.ask(BrokerRegistrationRequest {
            rack: Some(format!("rack-{rack}")),
            log_dirs: vec![directory(id, 1), directory(id, 2)],
            ..registration(id, 1)
        });
        if *state == State::Fenced {
            continue;
        }
        story.beat(id);
        let cordoned = match state {
            State::Cordoned => vec![directory(id, 1), directory(id, 2)],
            State::HalfCordoned => vec![directory(id, 1)],
            _ => Vec::new(),
        };
        let says =
            BrokerHeartbeatRequest { cordoned_log_dirs: Some(cordoned), ..story.heartbeat(id) };
        story.ask(says);
        if *state == State::Stopping {
            // Without a leadership it could stop at once.
            create(&mut story, &format!("held-by-{id}"), 1, 1, Some(id));
            let stops = BrokerHeartbeatRequest { want_shut_down: true, ..story.heartbeat(id) };
            story.ask(stops);
        }
    }
    story
}

fn create(
    story: &mut Story,
    name: &str,
    partitions: i32,
    replicas: i16,
    on: Option<i32>,
) -> String {
    let assignment = |id| CreatableReplicaAssignment { broker_ids: vec![id], ..Default::default() };
    let (num_partitions, replication_factor) =
        if on.is_some() { (-1, -1) } else { (partitions, replicas) };
    story.ask(CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions,
            replication_factor,
            assignments: on.map(assignment).into_iter().collect(),
            ..Default::default()
        }],
        ..Default::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn replicas_go_where_they_are_safe(
        brokers in prop::collection::vec(broker(), 1..10),
        partitions in 1..20i32,
        replicas in 1..5i16,
    ) {
        let mut story = cluster(&brokers);
        let states: BTreeMap<i32, State> =
            brokers.iter().zip(1..).map(|((_, state), id)| (id, *state)).collect();
        let racks: BTreeMap<i32, u8> =
            brokers.iter().zip(1..).map(|((rack, _), id)| (id, *rack)).collect();
        let lives = |id: &i32| matches!(states[id], State::Active | State::HalfCordoned);
        let takes = |id: &i32| lives(id) || states[id] == State::Fenced;
        let takers: Vec<i32> = states.keys().copied().filter(takes).collect();
        let rack_set = |ids: &[i32]| ids.iter().map(|id| racks[id]).collect::<BTreeSet<_>>();
        let living: Vec<i32> = states.keys().copied().filter(lives).collect();

        let answer = create(&mut story, "t", partitions, replicas, None);
        let size = replicas as usize;
        let Some(topic) = story.image().topics.by_name("t") else {
            prop_assert!(answer.contains("INVALID_REPLICATION_FACTOR"), "{}", answer);
            prop_assert!(living.is_empty() || takers.len() < size);
            return Ok(());
        };
        prop_assert_eq!(topic.partitions.len(), partitions as usize);
        for partition in topic.partitions.values() {
            let chosen: Vec<i32> = partition.replicas.iter().map(|id| id.get()).collect();
            prop_assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), size);
            prop_assert!(chosen.iter().all(takes), "{:?}", chosen);
            prop_assert!(lives(&chosen[0]));
            prop_assert_eq!(partition.leader.get(), chosen[0]);
            let in_sync: Vec<i32> = chosen.iter().copied().filter(lives).collect();
            prop_assert_eq!(partition.isr.iter().map(|id| id.get()).collect::<Vec<_>>(), in_sync);
            // As many racks as there can be, and only living brokers where those have racks enough.
            prop_assert_eq!(rack_set(&chosen).len(), rack_set(&takers).len().min(size));
            if rack_set(&living).len() >= size {
                prop_assert!(chosen.iter().all(lives), "{:?}", chosen);
            }
            // A directory that is cordoned gets nothing, also where only one other is left.
            for (id, directory_id) in chosen.iter().zip(&partition.directories) {
                let expected = match states[id] {
                    State::HalfCordoned => directory(*id, 2),
                    _ => Uuid::ONE,
                };
                prop_assert_eq!(*directory_id, expected);
            }
        }
        // Leaderships differ by what chance leaves over, at most.
        if rack_set(&living).len() == living.len() {
            let mut led = living.iter().map(|id| (*id, 0)).collect::<BTreeMap<_, _>>();
            for partition in topic.partitions.values() {
                *led.get_mut(&partition.leader.get()).unwrap() += 1;
            }
            let (least, most) = (led.values().min().unwrap(), led.values().max().unwrap());
            prop_assert!(most - least <= 1, "{:?}", led);
        }
    }
}

#[test]
fn what_is_cordoned_is_written_down_when_it_changes() {
    let mut story = cluster(&[(0, State::Active), (0, State::Active)]);
    let (first, second) = (directory(1, 1), directory(1, 2));
    let beat = |story: &Story, dirs: Option<Vec<Uuid>>| BrokerHeartbeatRequest {
        cordoned_log_dirs: dirs,
        ..story.heartbeat(1)
    };
    let writes = |story: &mut Story, dirs: Option<Vec<Uuid>>| {
        let request = beat(story, dirs);
        story.ask(request).contains("BrokerRegistrationChangeRecord")
    };
    assert!(writes(&mut story, Some(vec![first, second])));
    assert!(!writes(&mut story, Some(vec![second, first])), "the same, in another order");
    assert!(!writes(&mut story, None), "a broker that does not know of it");
    let broker = |story: &Story| story.image().cluster.broker(NodeId(1)).cloned().unwrap();
    assert!(broker(&story).is_cordoned());
    // What a person chooses goes there all the same, and the broker finds a place.
    create(&mut story, "by-hand", 1, 1, Some(1));
    let topic = story.image().topics.by_name("by-hand").unwrap();
    assert_eq!(topic.partitions.values().next().unwrap().directories, [Uuid::ONE]);
    assert!(create(&mut story, "two", 1, 2, None).contains("INVALID_REPLICATION_FACTOR"));
    // The same incarnation amends its registration, and stays cordoned.
    let amends = BrokerRegistrationRequest { log_dirs: vec![first, second], ..registration(1, 1) };
    story.ask(amends);
    assert!(broker(&story).is_cordoned());
    assert!(writes(&mut story, Some(Vec::new())));
    assert!(!Broker::is_cordoned(&broker(&story)));
    assert!(create(&mut story, "two", 1, 2, None).contains("replication_factor: 2"));
}
