//! Who leads, when brokers of a cluster stop, die, are given up and come back.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use expect_test::{Expect, expect};
use story::{Story, registration, with_another_disk};
use strandline_metadata::controller::Timer;
use strandline_types::{NodeId, Uuid};
use strandline_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use strandline_wire::messages::elect_leaders_request::TopicPartitions;
use strandline_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use strandline_wire::messages::{
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest,
};

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

/// A topic with these replicas for each of its partitions, the first of them leading.
fn create(story: &mut Story, name: &str, partitions: &[&[i32]], min_isr: &str) -> String {
    story.ask(CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: partitions
                .iter()
                .zip(0..)
                .map(|(replicas, partition_index)| CreatableReplicaAssignment {
                    partition_index,
                    broker_ids: replicas.to_vec(),
                    ..Default::default()
                })
                .collect(),
            configs: vec![CreatableTopicConfig {
                name: "min.insync.replicas".into(),
                value: Some(min_isr.into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    })
}

/// Leader, then ISR, of each partition.
fn leaders(story: &Story, name: &str) -> String {
    let topic = story.image().topics.by_name(name).unwrap();
    let partitions = topic.partitions.values();
    let texts = partitions.map(|it| {
        let recovering = if it.leader_recovery_state as i8 == 1 { " recovering" } else { "" };
        format!("{} of {:?}{recovering}", it.leader, it.isr)
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Whoever leads a partition proposes those of its replicas that are named.
fn propose(story: &mut Story, name: &str, isr: &[i32]) {
    let topic = story.image().topics.by_name(name).unwrap().clone();
    for (id, partition) in topic.partitions.iter() {
        let isr = isr.iter().copied().filter(|id| partition.replicas.contains(&NodeId(*id)));
        story.propose(name, id.get(), &isr.collect::<Vec<_>>());
    }
}

fn wants_to_stop(story: &mut Story, id: i32) -> bool {
    let wants = BrokerHeartbeatRequest { want_shut_down: true, ..story.heartbeat(id) };
    story.ask(wants).contains("should_shut_down: true")
}

fn allow_unclean(story: &mut Story, name: &str) -> String {
    story.ask(IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 2,
            resource_name: name.into(),
            configs: vec![AlterableConfig {
                name: "unclean.leader.election.enable".into(),
                config_operation: 0,
                value: Some("true".into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    })
}

#[test]
fn brokers_stop_one_after_the_other_and_every_partition_has_a_leader() {
    let mut story = Story::with_brokers(3);
    create(&mut story, "t", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]], "1");
    let mut told = String::new();
    for id in 1..=3 {
        assert!(!wants_to_stop(&mut story, id), "others do not know yet that {id} leads nothing");
        told += &format!("{}\n", leaders(&story, "t"));
        for other in (1..=3).filter(|other| *other != id) {
            story.beat(other);
        }
        assert!(wants_to_stop(&mut story, id));
        let previous_broker_epoch = story.heartbeat(id).broker_epoch;
        let again = registration(id, 2);
        story.ask(BrokerRegistrationRequest { previous_broker_epoch, ..again });
        story.beat(id);
        propose(&mut story, "t", &[1, 2, 3]);
    }
    told += &format!("{}\n", leaders(&story, "t"));
    check(
        told,
        expect![[r#"
            2 of [2, 3], 2 of [2, 3], 3 of [3, 2]
            1 of [1, 3], 3 of [1, 3], 3 of [1, 3]
            1 of [1, 2], 2 of [1, 2], 1 of [1, 2]
            1 of [1, 2, 3], 2 of [1, 2, 3], 1 of [1, 2, 3]
        "#]],
    );
}

/// The log grows while a broker waits to stop; what is written then does not concern it.
#[test]
fn a_stopping_broker_waits_for_what_moved_its_leaderships_and_no_more() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    assert!(!wants_to_stop(&mut story, 1));
    let moved = story.heartbeat(2);
    create(&mut story, "u", &[&[2]], "1");
    assert!(!wants_to_stop(&mut story, 1));
    create(&mut story, "v", &[&[2]], "1");
    let behind = BrokerHeartbeatRequest {
        current_metadata_offset: moved.current_metadata_offset - 1,
        ..moved.clone()
    };
    story.ask(behind);
    assert!(!wants_to_stop(&mut story, 1), "broker 2 has not applied the last move");
    story.ask(moved);
    assert!(wants_to_stop(&mut story, 1));
}

#[test]
fn a_new_controller_finds_out_who_knows_before_a_broker_stops() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    assert!(!wants_to_stop(&mut story, 1));
    story.beat(2);
    story.resign();
    story.lead(2);
    assert!(!wants_to_stop(&mut story, 1));
    assert!(!wants_to_stop(&mut story, 1), "broker 2 was not heard yet");
    story.beat(2);
    assert!(wants_to_stop(&mut story, 1));
}

#[test]
fn what_has_begun_to_stop_leads_nothing_before_it_starts_again() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1]], "1");
    assert!(!wants_to_stop(&mut story, 1));
    story.gone(1, story.heartbeat(1).broker_epoch);
    check(
        story.beat(1),
        expect![[r#"
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: true, should_shut_down: false }
    "#]],
    );
    check(leaders(&story, "t"), expect!["-1 of []"]);
    let previous_broker_epoch = story.heartbeat(1).broker_epoch;
    story.ask(BrokerRegistrationRequest { previous_broker_epoch, ..registration(1, 2) });
    story.beat(1);
    check(leaders(&story, "t"), expect!["1 of [1]"]);
}

#[test]
fn nothing_is_placed_on_a_broker_that_is_shutting_down() {
    let mut story = Story::with_brokers(3);
    create(&mut story, "t", &[&[1, 2]], "1");
    assert!(!wants_to_stop(&mut story, 1));
    let many = |name: &str, replication_factor| CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: 12,
            replication_factor,
            ..Default::default()
        }],
        ..Default::default()
    };
    story.ask(many("u", 2));
    let topic = story.image().topics.by_name("u").unwrap();
    assert!(topic.partitions.values().all(|it| !it.replicas.contains(&NodeId(1))));
    check(
        story.ask(many("v", 3)),
        expect![[r#"
        → CreateTopicsResponse { topics: [CreatableTopicResult { name: "v", topic_id: AAAAAAAAAAAAAAAAAAAAAA, error_code: INVALID_REPLICATION_FACTOR(38), error_message: Some("replication factor 3 cannot be met: brokers that take replicas: 2"), num_partitions: -1, replication_factor: -1, configs: Some([]) }] }
    "#]],
    );
    // Fenced, it may get replicas again, but not the first of a partition.
    for id in 2..=3 {
        story.beat(id);
    }
    assert!(wants_to_stop(&mut story, 1));
    story.ask(many("v", 3));
    let topic = story.image().topics.by_name("v").unwrap();
    for partition in topic.partitions.values() {
        assert_ne!(partition.preferred_leader(), NodeId(1));
        assert!(!partition.isr.contains(&NodeId(1)));
    }
}

#[test]
fn a_broker_that_is_known_to_be_gone_is_fenced_at_once() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    let epoch = story.heartbeat(1).broker_epoch;
    check(story.gone(1, epoch - 1), expect![[""]]);
    check(story.gone(9, epoch), expect![[""]]);
    check(
        story.gone(1, epoch),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, isr: Some([2]), leader: 2 }
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 5, fenced: 1, in_controlled_shutdown: 0 }
    "#]],
    );
    check(story.gone(1, epoch), expect![[""]]);
    // It was not: a heartbeat brings it back.
    check(
        story.beat(1),
        expect![[r#"
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 5, fenced: -1, in_controlled_shutdown: 0 }
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    let elsewhere = || with_another_disk(registration(1, 2));
    assert!(story.ask(elsewhere()).contains("DUPLICATE_BROKER_REGISTRATION"));
    // It was: its next incarnation need not wait for a session to end.
    story.gone(1, epoch);
    assert!(!story.ask(elsewhere()).contains("DUPLICATE_BROKER_REGISTRATION"));
    let present = story.heartbeat(1).broker_epoch;
    assert!(present > epoch);
    story.beat(1);
    check(story.gone(1, epoch), expect![[""]]);
}

#[test]
fn another_incarnation_waits_until_the_session_of_the_first_has_ended() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    let another = || with_another_disk(registration(1, 2));
    story.seconds = 8;
    assert!(story.ask(another()).contains("DUPLICATE_BROKER_REGISTRATION"));
    story.beat(2);
    story.seconds = 9;
    story.tick(Timer::Sessions);
    check(leaders(&story, "t"), expect!["2 of [2]"]);
    assert!(!story.ask(another()).contains("DUPLICATE_BROKER_REGISTRATION"));
}

#[test]
fn whoever_holds_a_directory_of_the_first_incarnation_need_not_wait() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    let first = story.heartbeat(1).broker_epoch;
    let mut restarted = registration(1, 2);
    restarted.log_dirs.push(Uuid::from_u128(7000));
    // As long as the first is heard, it is a copy of the directory.
    story.seconds = 3;
    assert!(story.ask(restarted.clone()).contains("DUPLICATE_BROKER_REGISTRATION"));
    story.seconds = 4;
    let answer = story.ask(restarted);
    assert!(answer.ends_with("→ BrokerRegistrationResponse { broker_epoch: 12 }\n"), "{answer}");
    // It is registered anew: out of the ISR, and the first one's epoch is stale.
    check(leaders(&story, "t"), expect!["2 of [2]"]);
    let stale = BrokerHeartbeatRequest { broker_epoch: first, ..story.heartbeat(1) };
    assert!(story.ask(stale).contains("STALE_BROKER_EPOCH"));
}

#[test]
fn a_broker_that_beats_slowly_has_a_longer_session() {
    let mut story = Story::with_short_sessions(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    let mut played = |at: u64, beats: &[i32]| {
        story.seconds = at;
        for broker in beats {
            story.beat(*broker);
        }
        story.tick(Timer::Sessions);
        leaders(&story, "t")
    };
    // Broker 1 pauses for two seconds each time, broker 2 for one.
    for second in 1..=6 {
        played(second, if second % 2 == 0 { &[1, 2] } else { &[2] });
    }
    // Both fall silent: broker 2 has four and a half of its seconds, broker 1 nine.
    check(played(10, &[]), expect!["1 of [1, 2]"]);
    check(played(11, &[]), expect!["1 of [1]"]);
    check(played(14, &[]), expect!["1 of [1]"]);
    check(played(15, &[]), expect!["-1 of []"]);
}

#[test]
fn who_was_heard_but_once_may_be_slow_and_who_was_not_at_all_is_not_waited_for() {
    let mut story = Story::with_short_sessions(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    story.resign();
    story.lead(2);
    story.seconds = 1;
    story.beat(2);
    story.seconds = 3;
    story.tick(Timer::Sessions);
    check(leaders(&story, "t"), expect!["2 of [2]"]);
    story.seconds = 9;
    check(story.tick(Timer::Sessions), expect![[""]]);
    story.seconds = 10;
    story.tick(Timer::Sessions);
    check(leaders(&story, "t"), expect!["-1 of []"]);
}

#[test]
fn the_broker_of_a_silent_leader_of_the_quorum_has_a_part_of_its_session_left() {
    let taken_over = |second, last_heard| {
        let mut story = Story::with_brokers(3);
        create(&mut story, "t", &[&[1, 2]], "1");
        story.resign();
        story.seconds = second;
        story.lead_after(2, Some((1, last_heard)));
        story
    };
    let leaders_at = |story: &mut Story, second| {
        story.seconds = second;
        story.tick(Timer::Sessions);
        leaders(story, "t")
    };
    let mut story = taken_over(7, 4);
    check(leaders_at(&mut story, 12), expect!["1 of [1, 2]"]);
    check(leaders_at(&mut story, 13), expect!["2 of [2]"]);
    // The other has been silent for no longer than its new controller leads.
    check(leaders_at(&mut story, 15), expect!["2 of [2]"]);
    check(leaders_at(&mut story, 16), expect!["-1 of []"]);
    // However long ago the quorum heard it: two fifths of a session are left to it.
    let mut story = taken_over(30, 20);
    check(leaders_at(&mut story, 33), expect!["1 of [1, 2]"]);
    check(leaders_at(&mut story, 34), expect!["2 of [2]"]);
}

#[test]
fn a_second_heartbeat_tells_a_new_controller_how_a_broker_beats() {
    let mut story = Story::with_short_sessions(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    story.resign();
    story.lead(2);
    for second in [1, 2] {
        story.seconds = second;
        story.beat(1);
        story.beat(2);
    }
    let mut leaders_at = |second| {
        story.seconds = second;
        story.beat(2);
        story.tick(Timer::Sessions);
        leaders(&story, "t")
    };
    // Broker 1 has four and a half of the seconds that it paused for.
    check(leaders_at(6), expect!["1 of [1, 2]"]);
    check(leaders_at(7), expect!["2 of [2]"]);
}

#[test]
fn all_sessions_that_end_together_end_one_by_one() {
    let mut story = Story::with_brokers(3);
    create(&mut story, "t", &[&[1, 2, 3]], "1");
    story.seconds = 5;
    story.beat(3);
    story.seconds = 10;
    story.tick(Timer::Sessions);
    story.tick(Timer::Sessions);
    check(leaders(&story, "t"), expect!["3 of [3]"]);
    story.seconds = 20;
    story.tick(Timer::Sessions);
    check(leaders(&story, "t"), expect!["-1 of []"]);
}

#[test]
fn leaderships_go_back_to_preferred_replicas_in_time() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1, 2]], "1");
    story.gone(1, story.heartbeat(1).broker_epoch);
    story.beat(1);
    check(
        story.tick(Timer::Balance),
        expect![[r#"
        Arm(Balance, 300s)
    "#]],
    );
    propose(&mut story, "t", &[1, 2]);
    check(
        story.tick(Timer::Balance),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, leader: 1 }
        Arm(Balance, 300s)
    "#]],
    );
}

#[test]
fn a_person_asks_for_preferred_leaders() {
    let mut story = Story::with_brokers(2);
    create(&mut story, "t", &[&[1, 2], &[1, 2]], "1");
    story.gone(1, story.heartbeat(1).broker_epoch);
    let elect = |partitions: Option<Vec<i32>>| ElectLeadersRequest {
        election_type: 0,
        topic_partitions: partitions.map(|partitions| {
            let topic = "t".into();
            vec![TopicPartitions { topic, partitions, ..Default::default() }]
        }),
        ..Default::default()
    };
    check(
        story.ask(elect(Some(vec![0, 7]))),
        expect![[r#"
        → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0, error_code: PREFERRED_LEADER_NOT_AVAILABLE(80) }, PartitionResult { partition_id: 7, error_code: UNKNOWN_TOPIC_OR_PARTITION(3), error_message: Some("topic t has no partition 7") }] }] }
    "#]],
    );
    story.beat(1);
    propose(&mut story, "t", &[1, 2]);
    check(
        story.ask(elect(Some(vec![0, 1]))),
        expect![[r#"
            PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, leader: 1 }
            PartitionChangeRecord { partition_id: 1, topic_id: niUAaBDIQKm494DUAeF_bg, leader: 1 }
            → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0 }, PartitionResult { partition_id: 1 }] }] }
        "#]],
    );
    check(
        story.ask(elect(Some(vec![0]))),
        expect![[r#"
        → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0, error_code: ELECTION_NOT_NEEDED(84) }] }] }
    "#]],
    );
    check(
        story.ask(elect(None)),
        expect![[r#"
            → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [] }] }
        "#]],
    );
    check(
        story.ask(ElectLeadersRequest { election_type: 7, ..elect(None) }),
        expect![[r#"
        → ElectLeadersResponse { error_code: INVALID_REQUEST(42), replica_election_results: [] }
    "#]],
    );
}

/// Without eligible leader replicas the last member of the ISR stays in it, and only it may lead.
fn nobody_leads(story: &mut Story) {
    create(story, "t", &[&[1, 2]], "1");
    story.gone(2, story.heartbeat(2).broker_epoch);
    story.gone(1, story.heartbeat(1).broker_epoch);
    story.beat(2);
}

#[test]
fn an_unclean_election_must_be_allowed_or_asked_for() {
    let elect = ElectLeadersRequest {
        election_type: 1,
        topic_partitions: Some(vec![TopicPartitions {
            topic: "t".into(),
            partitions: vec![0],
            ..Default::default()
        }]),
        ..Default::default()
    };
    let mut story = Story::with_brokers(2);
    nobody_leads(&mut story);
    check(leaders(&story, "t"), expect!["-1 of []"]);
    check(
        story.tick(Timer::Balance),
        expect![[r#"
        Arm(Balance, 300s)
    "#]],
    );
    check(
        story.ask(elect.clone()),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, isr: Some([2]), leader: 2, leader_recovery_state: 1, eligible_leader_replicas: Some([]), last_known_elr: Some([]) }
        → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0 }] }] }
    "#]],
    );
    check(leaders(&story, "t"), expect!["2 of [2] recovering"]);
    check(
        story.ask(elect),
        expect![[r#"
        → ElectLeadersResponse { replica_election_results: [ReplicaElectionResult { topic: "t", partition_result: [PartitionResult { partition_id: 0, error_code: ELECTION_NOT_NEEDED(84) }] }] }
    "#]],
    );

    let mut story = Story::with_brokers(2);
    nobody_leads(&mut story);
    check(
        allow_unclean(&mut story, "t"),
        expect![[r#"
        ConfigRecord { resource_type: 2, resource_name: "t", name: "unclean.leader.election.enable", value: Some("true") }
        Arm(Balance, 0ns)
        → IncrementalAlterConfigsResponse { responses: [AlterConfigsResourceResponse { resource_type: 2, resource_name: "t" }] }
    "#]],
    );
    check(
        story.tick(Timer::Balance),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, isr: Some([2]), leader: 2, leader_recovery_state: 1, eligible_leader_replicas: Some([]), last_known_elr: Some([]) }
        Arm(Balance, 300s)
    "#]],
    );
    check(leaders(&story, "t"), expect!["2 of [2] recovering"]);
}
