//! The topics of coordinators in a cluster that grows.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};
use story::Story;
use strandline_metadata::controller::Timer;
use strandline_metadata::image::Topic;
use strandline_types::NodeId;
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, BrokerHeartbeatRequest, CreateTopicsRequest,
    alter_partition_reassignments_request,
};

const OFFSETS: &str = "__consumer_offsets";
const THREE: [(&str, &str); 1] = [("offsets.topic.replication.factor", "3")];

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

fn create(story: &mut Story, name: &str, num_partitions: i32, replication_factor: i16) -> String {
    story.ask(CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions,
            replication_factor,
            ..Default::default()
        }],
        ..Default::default()
    })
}

fn offsets_topic(story: &Story) -> &Topic {
    story.image().topics.by_name(OFFSETS).unwrap()
}

/// Every follower has caught up: leaders propose all replicas.
fn catch_up(story: &mut Story) {
    let topic = story.image().topics.by_name(OFFSETS).unwrap().clone();
    for (id, partition) in topic.partitions.iter() {
        let all: Vec<i32> = partition.replicas.iter().map(|id| id.get()).collect();
        story.propose(OFFSETS, id.get(), &all);
    }
}

/// How many partitions have so many replicas, and how many each broker is to lead.
fn spread(story: &Story) -> String {
    let (mut sizes, mut preferred) = (BTreeMap::new(), BTreeMap::new());
    for partition in offsets_topic(story).partitions.values() {
        *sizes.entry(partition.replicas.len()).or_insert(0) += 1;
        *preferred.entry(partition.preferred_leader().get()).or_insert(0) += 1;
    }
    format!("replicas {sizes:?}, preferred {preferred:?}")
}

#[test]
fn groups_do_not_wait_for_brokers_that_are_not_there() {
    let replicas = |brokers: i32, asked: i16| {
        let mut story = Story::configured(&THREE, brokers);
        create(&mut story, OFFSETS, 2, asked);
        offsets_topic(&story).partitions.values().map(|it| it.replicas.len()).collect::<Vec<_>>()
    };
    assert_eq!(replicas(1, 3), [1, 1]);
    assert_eq!(replicas(2, 3), [2, 2]);
    assert_eq!(replicas(5, 3), [3, 3]);
    assert_eq!(replicas(5, 1), [1, 1]);
    let mut story = Story::configured(&THREE, 0);
    assert!(create(&mut story, OFFSETS, 2, 3).contains("INVALID_REPLICATION_FACTOR"));
    // Topics of people are not completed later, so they begin whole or not at all.
    let mut story = Story::configured(&THREE, 1);
    assert!(create(&mut story, "t", 2, 3).contains("INVALID_REPLICATION_FACTOR"));
}

#[test]
fn the_offsets_topic_gains_replicas_as_brokers_join() {
    let mut story = Story::configured(&THREE, 1);
    create(&mut story, OFFSETS, 12, 1);
    assert_eq!(story.tick(Timer::InternalTopics), "", "there is nobody else");
    story.ask(story::registration(2, 1));
    assert!(story.beat(2).contains("Arm(InternalTopics, 1s)"));
    assert!(!create(&mut story, "t", 1, 1).contains("InternalTopics"), "it is armed already");
    story.tick(Timer::InternalTopics);
    check(spread(&story), expect!["replicas {2: 12}, preferred {1: 6, 2: 6}"]);
    // The third comes while the second is catching up.
    story.join(3);
    story.tick(Timer::InternalTopics);
    check(spread(&story), expect!["replicas {3: 12}, preferred {1: 4, 2: 4, 3: 4}"]);
    assert!(offsets_topic(&story).partitions.values().all(|it| it.adding_replicas.len() == 2));
    catch_up(&mut story);
    assert!(offsets_topic(&story).partitions.values().all(|it| !it.is_reassigning()));
    assert!(offsets_topic(&story).partitions.values().all(|it| it.isr.len() == 3));
    story.tick(Timer::Balance);
    check(spread(&story), expect!["replicas {3: 12}, preferred {1: 4, 2: 4, 3: 4}"]);
    assert!(offsets_topic(&story).partitions.values().all(|it| it.has_preferred_leader()));
    story.ask(story::registration(4, 1));
    assert!(!story.beat(4).contains("InternalTopics"), "three are enough");
    assert_eq!(story.tick(Timer::InternalTopics), "");
}

#[test]
fn the_transaction_topic_grows_too() {
    let mut story = Story::configured(&[("transaction.state.log.replication.factor", "3")], 1);
    create(&mut story, "__transaction_state", 2, 3);
    let replicas = |story: &Story| {
        let topic = story.image().topics.by_name("__transaction_state").unwrap();
        topic.partitions.values().map(|it| it.replicas.len()).collect::<Vec<_>>()
    };
    assert_eq!(replicas(&story), [1, 1]);
    story.join(2);
    story.join(3);
    story.tick(Timer::InternalTopics);
    assert_eq!(replicas(&story), [3, 3]);
}

#[test]
fn only_brokers_that_live_and_have_room_get_replicas() {
    let mut story = Story::configured(&THREE, 3);
    create(&mut story, "t", 3, 3);
    story.gone(2, story.heartbeat(2).broker_epoch);
    let cordoned = vec![story::registration(3, 1).log_dirs[0]];
    let cordons =
        BrokerHeartbeatRequest { cordoned_log_dirs: Some(cordoned), ..story.heartbeat(3) };
    story.ask(cordons.clone());
    create(&mut story, OFFSETS, 2, 1);
    assert_eq!(story.tick(Timer::InternalTopics), "");
    let uncordons = BrokerHeartbeatRequest { cordoned_log_dirs: Some(Vec::new()), ..cordons };
    assert!(story.ask(uncordons).contains("Arm(InternalTopics"));
    story.tick(Timer::InternalTopics);
    check(spread(&story), expect!["replicas {2: 2}, preferred {1: 1, 3: 1}"]);
    assert!(story.beat(2).contains("Arm(InternalTopics"));
    story.tick(Timer::InternalTopics);
    check(spread(&story), expect!["replicas {3: 2}, preferred {1: 1, 2: 1}"]);
}

#[test]
fn a_controller_that_begins_to_lead_looks_after_them() {
    let mut story = Story::configured(&THREE, 1);
    create(&mut story, OFFSETS, 1, 1);
    story.join(2);
    story.resign();
    check(
        story.lead(2),
        expect![[r#"
        Arm(InternalTopics, 1s)
        Arm(Balance, 300s)
        Arm(Idle, 500ms)
    "#]],
    );
    check(
        story.tick(Timer::InternalTopics),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: yEBsPfXUQLaIYvB9ECq60w, replicas: Some([2, 1]), adding_replicas: Some([2]), directories: Some([AAAAAAAAAAAAAAAAAAAD6g, AAAAAAAAAAAAAAAAAAAD6Q]) }
    "#]],
    );
}

#[test]
fn what_a_person_moves_and_other_topics_are_left_alone() {
    let mut story = Story::configured(&THREE, 1);
    create(&mut story, OFFSETS, 1, 1);
    create(&mut story, "t", 1, 1);
    story.join(2);
    story.join(3);
    story.ask(AlterPartitionReassignmentsRequest {
        topics: vec![alter_partition_reassignments_request::ReassignableTopic {
            name: OFFSETS.into(),
            partitions: vec![alter_partition_reassignments_request::ReassignablePartition {
                replicas: Some(vec![2]),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    });
    assert_eq!(story.tick(Timer::InternalTopics), "");
    catch_up(&mut story);
    story.tick(Timer::InternalTopics);
    let replicas = |story: &Story, name: &str| {
        let topic = story.image().topics.by_name(name).unwrap();
        topic.partitions.values().next().unwrap().replicas.clone()
    };
    let mut all = replicas(&story, OFFSETS);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3].map(NodeId));
    assert_eq!(replicas(&story, "t"), [NodeId(1)]);
}

/// Brokers 1 and 4 stand in one rack, 2 and 5 in another, 3 and 6 in a third.
#[test]
fn replicas_go_to_racks_that_have_none() {
    let mut story = Story::configured(&THREE, 1);
    create(&mut story, OFFSETS, 30, 1);
    for id in 2..=6 {
        story.join(id);
    }
    story.tick(Timer::InternalTopics);
    let mut replicas = BTreeMap::new();
    for partition in offsets_topic(&story).partitions.values() {
        let racks: BTreeSet<i32> = partition.replicas.iter().map(|id| (id.get() - 1) % 3).collect();
        assert_eq!(racks.len(), 3, "{:?}", partition.replicas);
        for id in &partition.replicas {
            *replicas.entry(id.get()).or_insert(0) += 1;
        }
    }
    check(
        format!("{replicas:?} {}", spread(&story)),
        expect![
            "{1: 30, 2: 15, 3: 15, 5: 15, 6: 15} replicas {3: 30}, preferred {1: 6, 2: 6, 3: 6, 5: 7, 6: 5}"
        ],
    );
}
