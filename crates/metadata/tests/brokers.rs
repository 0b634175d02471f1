//! Brokers come, live, die and go; partitions follow them.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use expect_test::{Expect, expect};
use story::{Story, registration, with_another_disk};
use strandline_metadata::controller::{Refusal, Timer};
use strandline_metadata::{Controller, describe, feature};
use strandline_types::{NodeId, Offset, PartitionId};
use strandline_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use strandline_wire::messages::{
    AllocateProducerIdsRequest, AlterPartitionRequest, BrokerHeartbeatRequest,
    BrokerRegistrationRequest, CreateTopicsRequest, UnregisterBrokerRequest,
    alter_partition_request,
};

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

/// One topic `t` with one partition on these brokers, the first of them leading.
fn create(story: &mut Story, replicas: &[i32], min_isr: &str) {
    story.ask(CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "t".into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![CreatableReplicaAssignment {
                partition_index: 0,
                broker_ids: replicas.to_vec(),
                ..Default::default()
            }],
            configs: vec![CreatableTopicConfig {
                name: "min.insync.replicas".into(),
                value: Some(min_isr.into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    });
}

fn partition(story: &Story) -> String {
    let topic = story.image().topics.by_name("t").unwrap();
    let partition = topic.partitions.values().next().unwrap();
    format!(
        "leader {} epoch {} isr {:?} elr {:?} last known {:?} {:?}",
        partition.leader,
        partition.leader_epoch,
        partition.isr,
        partition.elr,
        partition.last_known_elr,
        partition.leader_recovery_state
    )
}

#[test]
fn a_new_cluster_begins_with_one_transaction() {
    let levels =
        [(feature::METADATA_VERSION, 30), (feature::ELR_VERSION, 1), (feature::GROUP_VERSION, 1)];
    check(
        Story::begin(&levels).1,
        expect![[r#"
        BeginTransactionRecord { name: Some("Bootstrap records") }
        FeatureLevelRecord { name: "metadata.version", feature_level: 30 }
        FeatureLevelRecord { name: "eligible.leader.replicas.version", feature_level: 1 }
        FeatureLevelRecord { name: "group.version", feature_level: 1 }
        ConfigRecord { resource_type: 4, resource_name: "", name: "min.insync.replicas", value: Some("1") }
        EndTransactionRecord { unknown_tags: [] }
        Arm(Balance, 300s)
        Arm(Idle, 500ms)
    "#]],
    );
}

#[test]
fn an_old_metadata_version_begins_without_one() {
    let (mut story, text) = Story::begin(&[(feature::METADATA_VERSION, 7)]);
    check(
        text,
        expect![[r#"
        FeatureLevelRecord { name: "metadata.version", feature_level: 7 }
        Arm(Balance, 300s)
        Arm(Idle, 500ms)
    "#]],
    );
    check(
        story.resign() + &story.lead(2),
        expect![[r#"
            Cancel(Sessions)
            Cancel(Idle)
            Cancel(Balance)
            Cancel(InternalTopics)
            Arm(Balance, 300s)
            Arm(Idle, 500ms)
        "#]],
    );
}

#[test]
fn a_heartbeat_that_changes_nothing_is_answered_while_nothing_commits() {
    let mut story = Story::with_brokers(2);
    story.is_stuck = true;
    story.gone(2, story.heartbeat(2).broker_epoch);
    check(
        story.beat(1),
        expect![[r#"
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    // Whether broker 2 is fenced is not decided.
    let behind = BrokerHeartbeatRequest { current_metadata_offset: 0, ..story.heartbeat(2) };
    check(story.ask(behind), expect![[""]]);
    story.is_stuck = false;
    check(
        story.beat(1),
        expect![[r#"
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
        → BrokerHeartbeatResponse { is_caught_up: false, is_fenced: true, should_shut_down: false }
    "#]],
    );
}

#[test]
fn a_broker_registers_and_is_unfenced_once_it_has_caught_up() {
    let levels = [(feature::METADATA_VERSION, 30), (feature::ELR_VERSION, 1)];
    let (mut story, _) = Story::begin(&levels);
    check(
        story.ask(registration(1, 1)),
        expect![[r#"
        RegisterBrokerRecord { broker_id: 1, is_migrating_zk_broker: false, incarnation_id: AAAAAAAAAAAAAAAAAAAAAQ, broker_epoch: 5, end_points: [BrokerEndpoint { name: "PLAINTEXT", host: "host-1", port: 9092, security_protocol: 0 }], features: [BrokerFeature { name: "metadata.version", min_supported_version: 7, max_supported_version: 30 }, BrokerFeature { name: "kraft.version", min_supported_version: 0, max_supported_version: 1 }, BrokerFeature { name: "eligible.leader.replicas.version", min_supported_version: 0, max_supported_version: 1 }, BrokerFeature { name: "group.version", min_supported_version: 0, max_supported_version: 1 }], rack: Some("rack-0"), fenced: true, in_controlled_shutdown: false, log_dirs: [AAAAAAAAAAAAAAAAAAAD6Q] }
        → BrokerRegistrationResponse { broker_epoch: 5 }
    "#]],
    );
    let behind = BrokerHeartbeatRequest { current_metadata_offset: 2, ..story.heartbeat(1) };
    check(
        story.ask(behind),
        expect![[r#"
        → BrokerHeartbeatResponse { is_caught_up: false, is_fenced: true, should_shut_down: false }
    "#]],
    );
    check(
        story.beat(1),
        expect![[r#"
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 5, fenced: -1, in_controlled_shutdown: 0 }
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    check(
        story.beat(1),
        expect![[r#"
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    let stale = BrokerHeartbeatRequest { broker_epoch: 1, ..story.heartbeat(1) };
    check(
        story.ask(stale),
        expect![[r#"
        → BrokerHeartbeatResponse { error_code: STALE_BROKER_EPOCH(77), is_caught_up: false, is_fenced: true, should_shut_down: false }
    "#]],
    );
    check(
        story.beat(9),
        expect![[r#"
        → BrokerHeartbeatResponse { error_code: BROKER_ID_NOT_REGISTERED(102), is_caught_up: false, is_fenced: true, should_shut_down: false }
    "#]],
    );
}

#[test]
fn a_registration_that_does_not_fit_is_refused() {
    let mut story = Story::with_brokers(2);
    let good = registration(3, 1);
    check(
        story.ask(BrokerRegistrationRequest { cluster_id: "another".into(), ..good.clone() }),
        expect![[r#"
            → BrokerRegistrationResponse { error_code: INCONSISTENT_CLUSTER_ID(104), broker_epoch: -1 }
        "#]],
    );
    check(
        story.ask(BrokerRegistrationRequest { log_dirs: vec![], ..good.clone() }),
        expect![[r#"
            → BrokerRegistrationResponse { error_code: INVALID_REGISTRATION(119), broker_epoch: -1 }
        "#]],
    );
    check(
        story.ask(BrokerRegistrationRequest { broker_id: -1, ..good.clone() }),
        expect![[r#"
            → BrokerRegistrationResponse { error_code: INVALID_REGISTRATION(119), broker_epoch: -1 }
        "#]],
    );
    let taken = registration(1, 1).log_dirs;
    check(
        story.ask(BrokerRegistrationRequest { log_dirs: taken, ..good.clone() }),
        expect![[r#"
            → BrokerRegistrationResponse { error_code: INVALID_REGISTRATION(119), broker_epoch: -1 }
        "#]],
    );
    check(
        story.ask(BrokerRegistrationRequest { features: vec![], ..good.clone() }),
        expect![[r#"
            → BrokerRegistrationResponse { error_code: UNSUPPORTED_VERSION(35), broker_epoch: -1 }
        "#]],
    );
    // Another incarnation while the first one lives.
    check(
        story.ask(with_another_disk(registration(2, 2))),
        expect![[r#"
        → BrokerRegistrationResponse { error_code: DUPLICATE_BROKER_REGISTRATION(101), broker_epoch: -1 }
    "#]],
    );
    // The same incarnation amends its registration and keeps its epoch.
    check(
        story.ask(registration(2, 1)),
        expect![[r#"
        RegisterBrokerRecord { broker_id: 2, is_migrating_zk_broker: false, incarnation_id: AAAAAAAAAAAAAAAAAAAAAQ, broker_epoch: 7, end_points: [BrokerEndpoint { name: "PLAINTEXT", host: "host-2", port: 9092, security_protocol: 0 }], features: [BrokerFeature { name: "metadata.version", min_supported_version: 7, max_supported_version: 30 }, BrokerFeature { name: "kraft.version", min_supported_version: 0, max_supported_version: 1 }, BrokerFeature { name: "eligible.leader.replicas.version", min_supported_version: 0, max_supported_version: 1 }, BrokerFeature { name: "group.version", min_supported_version: 0, max_supported_version: 1 }], rack: Some("rack-1"), fenced: false, in_controlled_shutdown: false, log_dirs: [AAAAAAAAAAAAAAAAAAAD6g] }
        → BrokerRegistrationResponse { broker_epoch: 7 }
    "#]],
    );
}

#[test]
fn a_silent_broker_is_fenced_and_its_leaderships_move() {
    let mut story = Story::with_brokers(3);
    create(&mut story, &[1, 2, 3], "2");
    story.seconds = 6;
    story.beat(2);
    story.beat(3);
    story.seconds = 8;
    check(story.tick(Timer::Sessions), expect![[r#""#]]);
    story.seconds = 10;
    check(
        story.tick(Timer::Sessions),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: BlzI_fvbQZ6TjDiR2M6yQQ, isr: Some([2, 3]), leader: 2 }
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 5, fenced: 1, in_controlled_shutdown: 0 }
    "#]],
    );
    check(partition(&story), expect!["leader 2 epoch 1 isr [2, 3] elr [] last known [] Recovered"]);
    // Two more go: the ISR falls below the minimum, the leavers stay eligible.
    story.seconds = 20;
    story.tick(Timer::Sessions);
    check(partition(&story), expect!["leader 3 epoch 2 isr [3] elr [2] last known [] Recovered"]);
    story.tick(Timer::Sessions);
    check(
        partition(&story),
        expect!["leader -1 epoch 3 isr [] elr [2, 3] last known [3] Recovered"],
    );
    // An eligible one comes back and leads at once, without loss.
    check(
        story.beat(2),
        expect![[r#"
        BrokerRegistrationChangeRecord { broker_id: 2, broker_epoch: 7, fenced: -1, in_controlled_shutdown: 0 }
        PartitionChangeRecord { partition_id: 0, topic_id: BlzI_fvbQZ6TjDiR2M6yQQ, isr: Some([2]), leader: 2, eligible_leader_replicas: Some([3]), last_known_elr: Some([]) }
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    check(partition(&story), expect!["leader 2 epoch 4 isr [2] elr [3] last known [] Recovered"]);
    story.beat(1);
    check(partition(&story), expect!["leader 2 epoch 4 isr [2] elr [3] last known [] Recovered"]);
}

#[test]
fn a_broker_that_died_uncleanly_is_not_eligible_any_more() {
    let mut story = Story::with_brokers(2);
    create(&mut story, &[1, 2], "2");
    story.seconds = 10;
    story.tick(Timer::Sessions);
    story.tick(Timer::Sessions);
    check(
        partition(&story),
        expect!["leader -1 epoch 2 isr [] elr [1, 2] last known [2] Recovered"],
    );
    // Broker 1 comes back and cannot tell its last epoch: what it had may be lost.
    check(
        story.ask(registration(1, 2)),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, eligible_leader_replicas: Some([2]) }
        RegisterBrokerRecord { broker_id: 1, is_migrating_zk_broker: false, incarnation_id: AAAAAAAAAAAAAAAAAAAAAg, broker_epoch: 16, end_points: [BrokerEndpoint { name: "PLAINTEXT", host: "host-1", port: 9092, security_protocol: 0 }], features: [BrokerFeature { name: "metadata.version", min_supported_version: 7, max_supported_version: 30 }, BrokerFeature { name: "kraft.version", min_supported_version: 0, max_supported_version: 1 }, BrokerFeature { name: "eligible.leader.replicas.version", min_supported_version: 0, max_supported_version: 1 }, BrokerFeature { name: "group.version", min_supported_version: 0, max_supported_version: 1 }], rack: Some("rack-0"), fenced: true, in_controlled_shutdown: false, log_dirs: [AAAAAAAAAAAAAAAAAAAD6Q] }
        → BrokerRegistrationResponse { broker_epoch: 16 }
    "#]],
    );
    check(partition(&story), expect!["leader -1 epoch 2 isr [] elr [2] last known [2] Recovered"]);
    story.beat(1);
    check(partition(&story), expect!["leader -1 epoch 2 isr [] elr [2] last known [2] Recovered"]);
    // Broker 2 can, and leads.
    let clean = story.heartbeat(2).broker_epoch;
    story.ask(BrokerRegistrationRequest { previous_broker_epoch: clean, ..registration(2, 2) });
    story.beat(2);
    check(partition(&story), expect!["leader 2 epoch 3 isr [2] elr [] last known [] Recovered"]);
}

#[test]
fn the_last_known_leader_leads_when_nobody_is_eligible() {
    let mut story = Story::with_brokers(1);
    create(&mut story, &[1], "1");
    story.seconds = 10;
    story.tick(Timer::Sessions);
    story.ask(registration(1, 2));
    check(partition(&story), expect!["leader -1 epoch 1 isr [] elr [] last known [1] Recovered"]);
    check(
        story.beat(1),
        expect![[r#"
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 12, fenced: -1, in_controlled_shutdown: 0 }
        PartitionChangeRecord { partition_id: 0, topic_id: pEoF0v6OQfOIQGw99dSQtg, isr: Some([1]), leader: 1, leader_recovery_state: 1, last_known_elr: Some([]) }
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    check(partition(&story), expect!["leader 1 epoch 2 isr [1] elr [] last known [] Recovering"]);
}

#[test]
fn a_broker_is_relieved_before_it_stops() {
    let mut story = Story::with_brokers(2);
    create(&mut story, &[1, 2], "1");
    let wants = BrokerHeartbeatRequest { want_shut_down: true, ..story.heartbeat(1) };
    check(
        story.ask(wants.clone()),
        expect![[r#"
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 5, fenced: 0, in_controlled_shutdown: 1 }
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, isr: Some([2]), leader: 2 }
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    // Broker 2 does not know it yet.
    check(
        story.ask(wants.clone()),
        expect![[r#"
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    story.beat(2);
    check(
        story.ask(wants),
        expect![[r#"
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 5, fenced: 1, in_controlled_shutdown: 0 }
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: true, should_shut_down: true }
    "#]],
    );
    check(partition(&story), expect!["leader 2 epoch 1 isr [2] elr [] last known [] Recovered"]);
}

#[test]
fn a_broker_that_stopped_cleanly_may_return_at_once() {
    let mut story = Story::with_brokers(2);
    let epoch = story.heartbeat(2).broker_epoch;
    story.ask(BrokerHeartbeatRequest { want_shut_down: true, ..story.heartbeat(2) });
    let back = BrokerRegistrationRequest { previous_broker_epoch: epoch, ..registration(2, 2) };
    let answer = story.ask(back);
    assert!(answer.ends_with("→ BrokerRegistrationResponse { broker_epoch: 10 }\n"), "{answer}");
}

#[test]
fn a_failed_directory_costs_its_replicas_only() {
    let mut story = Story::with_brokers(1);
    let two_dirs = BrokerRegistrationRequest {
        log_dirs: vec![
            strandline_types::Uuid::from_u128(2001),
            strandline_types::Uuid::from_u128(2002),
        ],
        ..registration(2, 1)
    };
    story.ask(two_dirs);
    story.beat(2);
    create(&mut story, &[2, 1], "1");
    check(partition(&story), expect!["leader 2 epoch 0 isr [2, 1] elr [] last known [] Recovered"]);
    let assign = strandline_wire::messages::AssignReplicasToDirsRequest {
        broker_id: 2,
        broker_epoch: story.heartbeat(2).broker_epoch,
        directories: vec![
            strandline_wire::messages::assign_replicas_to_dirs_request::DirectoryData {
                id: strandline_types::Uuid::from_u128(2002),
                topics:
                    vec![strandline_wire::messages::assign_replicas_to_dirs_request::TopicData {
                topic_id: story.image().topics.by_name("t").unwrap().id,
                partitions: [0, 5]
                    .map(|partition_index| {
                        strandline_wire::messages::assign_replicas_to_dirs_request::PartitionData {
                            partition_index,
                            ..Default::default()
                        }
                    })
                    .into(),
                ..Default::default()
            }],
                ..Default::default()
            },
        ],
        ..Default::default()
    };
    check(
        story.ask(assign),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, directories: Some([AAAAAAAAAAAAAAAAAAAH0g, AAAAAAAAAAAAAAAAAAAD6Q]) }
        → AssignReplicasToDirsResponse { directories: [DirectoryData { id: AAAAAAAAAAAAAAAAAAAH0g, topics: [TopicData { topic_id: niUAaBDIQKm494DUAeF_bg, partitions: [PartitionData { partition_index: 0 }, PartitionData { partition_index: 5, error_code: UNKNOWN_TOPIC_OR_PARTITION(3) }] }] }] }
    "#]],
    );
    let failed = BrokerHeartbeatRequest {
        offline_log_dirs: vec![strandline_types::Uuid::from_u128(2002)],
        ..story.heartbeat(2)
    };
    check(
        story.ask(failed),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, isr: Some([1]), leader: 1 }
        BrokerRegistrationChangeRecord { broker_id: 2, broker_epoch: 7, fenced: 0, in_controlled_shutdown: 0, log_dirs: [AAAAAAAAAAAAAAAAAAAH0Q] }
        → BrokerHeartbeatResponse { is_caught_up: true, is_fenced: false, should_shut_down: false }
    "#]],
    );
    check(partition(&story), expect!["leader 1 epoch 1 isr [1] elr [] last known [] Recovered"]);
    // Its leader may not have heard of that yet.
    let image = story.image();
    let topic = image.topics.by_name("t").unwrap();
    let assigned = topic.partition(PartitionId(0)).unwrap();
    assert!(image.cluster.may_join_isr(assigned, NodeId(1)));
    assert!(!image.cluster.may_join_isr(assigned, NodeId(2)));
    let back = alter_partition_request::PartitionData {
        partition_index: 0,
        leader_epoch: 1,
        new_isr_with_epochs: [1, 2]
            .map(|broker_id| alter_partition_request::BrokerState {
                broker_id,
                broker_epoch: -1,
                ..Default::default()
            })
            .into(),
        partition_epoch: assigned.partition_epoch,
        ..Default::default()
    };
    let topic = alter_partition_request::TopicData {
        topic_id: topic.id,
        partitions: vec![back],
        ..Default::default()
    };
    let request = AlterPartitionRequest {
        broker_id: 1,
        broker_epoch: story.heartbeat(1).broker_epoch,
        topics: vec![topic],
        ..Default::default()
    };
    assert!(story.ask(request).contains("INELIGIBLE_REPLICA"));
}

#[test]
fn a_leader_proposes_an_isr() {
    let mut story = Story::with_brokers(3);
    create(&mut story, &[1, 2, 3], "1");
    let topic_id = story.image().topics.by_name("t").unwrap().id;
    let epochs = [1, 2, 3].map(|id| story.heartbeat(id).broker_epoch);
    let propose = |from: i32, isr: &[(i32, i64)], leader_epoch, partition_epoch, recovery| {
        AlterPartitionRequest {
            broker_id: from,
            broker_epoch: epochs[from as usize - 1],
            topics: vec![alter_partition_request::TopicData {
                topic_id,
                partitions: vec![alter_partition_request::PartitionData {
                    partition_index: 0,
                    leader_epoch,
                    new_isr_with_epochs: isr
                        .iter()
                        .map(|&(broker_id, broker_epoch)| alter_partition_request::BrokerState {
                            broker_id,
                            broker_epoch,
                            ..Default::default()
                        })
                        .collect(),
                    leader_recovery_state: recovery,
                    partition_epoch,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    };
    let (one, two) = ((1, epochs[0]), (2, epochs[1]));
    check(
        story.ask(propose(1, &[one, two], 0, 0, 0)),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: BlzI_fvbQZ6TjDiR2M6yQQ, isr: Some([1, 2]) }
        → AlterPartitionResponse { topics: [TopicData { topic_id: BlzI_fvbQZ6TjDiR2M6yQQ, partitions: [PartitionData { partition_index: 0, leader_id: 1, leader_epoch: 0, isr: [1, 2], partition_epoch: 1 }] }] }
    "#]],
    );
    let mut code = |request| {
        let text = story.ask(request);
        text.split("error_code: ")
            .nth(1)
            .map_or(text.clone(), |t| t.split(',').next().unwrap().into())
    };
    let refusals = [
        ("old partition epoch", code(propose(1, &[one], 0, 0, 0))),
        ("partition epoch ahead", code(propose(1, &[one], 0, 9, 0))),
        ("leader epoch ahead", code(propose(1, &[one], 9, 1, 0))),
        ("old leader epoch", code(propose(1, &[one], -1, 1, 0))),
        ("not the leader", code(propose(2, &[one, two], 0, 1, 0))),
        ("without the leader", code(propose(1, &[two], 0, 1, 0))),
        ("empty", code(propose(1, &[], 0, 1, 0))),
        ("twice", code(propose(1, &[one, one], 0, 1, 0))),
        ("no replica", code(propose(1, &[one, (9, -1)], 0, 1, 0))),
        ("recovering again", code(propose(1, &[one], 0, 1, 1))),
        ("another incarnation", code(propose(1, &[one, (3, 1)], 0, 1, 0))),
    ];
    check(
        format!("{refusals:#?}"),
        expect![[r#"
        [
            (
                "old partition epoch",
                "INVALID_UPDATE_VERSION(95)",
            ),
            (
                "partition epoch ahead",
                "NOT_CONTROLLER(41)",
            ),
            (
                "leader epoch ahead",
                "NOT_CONTROLLER(41)",
            ),
            (
                "old leader epoch",
                "FENCED_LEADER_EPOCH(74)",
            ),
            (
                "not the leader",
                "INVALID_REQUEST(42)",
            ),
            (
                "without the leader",
                "INVALID_REQUEST(42)",
            ),
            (
                "empty",
                "INVALID_REQUEST(42)",
            ),
            (
                "twice",
                "INVALID_REQUEST(42)",
            ),
            (
                "no replica",
                "INVALID_REQUEST(42)",
            ),
            (
                "recovering again",
                "INVALID_REQUEST(42)",
            ),
            (
                "another incarnation",
                "INELIGIBLE_REPLICA(107)",
            ),
        ]"#]],
    );
    story.seconds = 10;
    story.beat(1);
    story.tick(Timer::Sessions);
    story.tick(Timer::Sessions);
    check(partition(&story), expect!["leader 1 epoch 0 isr [1] elr [] last known [] Recovered"]);
    let fenced = propose(1, &[one, two], 0, 2, 0);
    check(
        story.ask(fenced),
        expect![[r#"
        → AlterPartitionResponse { topics: [TopicData { topic_id: BlzI_fvbQZ6TjDiR2M6yQQ, partitions: [PartitionData { partition_index: 0, error_code: INELIGIBLE_REPLICA(107), leader_id: 0, leader_epoch: 0, isr: [], partition_epoch: 0 }] }] }
    "#]],
    );
}

#[test]
fn a_broker_is_forgotten() {
    let mut story = Story::with_brokers(2);
    create(&mut story, &[2, 1], "1");
    let unregister = |broker_id| UnregisterBrokerRequest { broker_id, ..Default::default() };
    check(
        story.ask(unregister(2)),
        expect![[r#"
            PartitionChangeRecord { partition_id: 0, topic_id: niUAaBDIQKm494DUAeF_bg, isr: Some([1]), leader: 1 }
            UnregisterBrokerRecord { broker_id: 2, broker_epoch: 7 }
            → UnregisterBrokerResponse { error_code: NONE(0) }
        "#]],
    );
    check(
        story.ask(unregister(2)),
        expect![[r#"
            → UnregisterBrokerResponse { error_code: BROKER_ID_NOT_REGISTERED(102), error_message: Some("no broker is registered as 2") }
        "#]],
    );
}

#[test]
fn producer_ids_come_in_blocks() {
    let mut story = Story::with_brokers(1);
    let epoch = story.heartbeat(1).broker_epoch;
    let ask = |broker_epoch| AllocateProducerIdsRequest {
        broker_id: 1,
        broker_epoch,
        ..Default::default()
    };
    check(
        story.ask(ask(epoch)),
        expect![[r#"
        ProducerIdsRecord { broker_id: 1, broker_epoch: 5, next_producer_id: 1000 }
        → AllocateProducerIdsResponse { producer_id_start: 0, producer_id_len: 1000 }
    "#]],
    );
    check(
        story.ask(ask(epoch)),
        expect![[r#"
        ProducerIdsRecord { broker_id: 1, broker_epoch: 5, next_producer_id: 2000 }
        → AllocateProducerIdsResponse { producer_id_start: 1000, producer_id_len: 1000 }
    "#]],
    );
    check(
        story.ask(ask(epoch - 1)),
        expect![[r#"
        → AllocateProducerIdsResponse { error_code: STALE_BROKER_EPOCH(77), producer_id_start: 0, producer_id_len: 0 }
    "#]],
    );
}

#[test]
fn an_idle_controller_writes_a_sign_of_life() {
    let mut story = Story::with_brokers(1);
    check(
        story.tick(Timer::Idle),
        expect![[r#"
        Arm(Idle, 500ms)
    "#]],
    );
    story.seconds = 1;
    check(
        story.tick(Timer::Idle),
        expect![[r#"
        NoOpRecord { unknown_tags: [] }
        Arm(Idle, 1.5s)
    "#]],
    );
}

#[test]
fn whoever_waits_is_sent_away_when_the_leadership_ends() {
    use strandline_metadata::controller::{Effect, Input, Ticket};
    let mut story = Story::with_brokers(1);
    let before = story.image().snapshot();
    let mut effects = Vec::new();
    let request = Input::Request(Ticket(1), registration(2, 1).into());
    let records = story.controller.decide(story.moment(), request, &mut effects).unwrap();
    assert_eq!(records.len(), 1);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Reply(..))));
    effects.clear();
    story.controller.resign(&mut effects);
    assert_eq!(effects[0], Effect::Reply(Ticket(1), Err(Refusal::NotController)));
    assert_eq!(story.image().snapshot(), before);
    check(
        story.beat(1),
        expect![[r#"
        → refused: this node is not the active controller
    "#]],
    );
}

#[test]
fn a_killed_node_need_not_wait_for_its_own_ghost() {
    let mut story = Story::with_brokers(2);
    create(&mut story, &[1], "1");
    // The process of node 1, controller and broker in one, dies and starts again.
    story.controller = Controller::new(story::settings(&[]));
    story.controller.replay(Offset(0), story.log.clone()).unwrap();
    story.lead(2);
    check(
        story.ask(with_another_disk(registration(2, 2))),
        expect![[r#"
        → BrokerRegistrationResponse { error_code: DUPLICATE_BROKER_REGISTRATION(101), broker_epoch: -1 }
    "#]],
    );
    let answer = story.ask(with_another_disk(registration(1, 2)));
    assert!(answer.ends_with("→ BrokerRegistrationResponse { broker_epoch: 12 }\n"), "{answer}");
}

#[test]
fn what_is_finalized_is_described() {
    let (story, _) = Story::begin(&[(feature::METADATA_VERSION, 30), (feature::GROUP_VERSION, 1)]);
    let (epoch, finalized) = describe::finalized_features(story.image(), 1);
    let named: Vec<_> = finalized.iter().map(|f| (f.name.as_str(), f.max_version_level)).collect();
    assert_eq!(epoch, 3);
    assert_eq!(named, [("group.version", 1), ("metadata.version", 30), ("kraft.version", 1)]);
    let old = describe::supported_features(&story::FEATURES, 3);
    assert_eq!(old.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["metadata.version"]);
}
