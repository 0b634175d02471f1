//! Partitions move: as Kafka moves them, and to where they were sent whatever happens on the way.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use std::sync::Arc;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use story::Story;
use strandline_metadata::controller::{Controller, Effect, Input, Moment, Response, Ticket};
use strandline_metadata::image::{LeaderRecoveryState, Partition};
use strandline_metadata::{Record, Records, describe, feature};
use strandline_types::{Instant, LeaderEpoch, NodeId, Now, Offset, PartitionId, Timestamp, Uuid};
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionRequest, BrokerHeartbeatRequest,
    ConfigRecord, CreateTopicsRequest, FeatureLevelRecord, ListPartitionReassignmentsRequest,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    alter_partition_request,
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic},
    list_partition_reassignments_request::ListPartitionReassignmentsTopics,
};

const TOPIC_ID: Uuid = Uuid::from_u128(5);

fn ids(text: &str) -> Vec<i32> {
    match text {
        "-" => Vec::new(),
        ids => ids.split(',').map(|id| id.parse().unwrap()).collect(),
    }
}

fn print(ids: Option<&Vec<i32>>) -> String {
    match ids {
        None => "*".into(),
        Some(ids) if ids.is_empty() => "-".into(),
        Some(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}

fn print_change(change: &PartitionChangeRecord) -> String {
    format!(
        "{} {} {} {} {} {} {} {}",
        print(change.isr.as_ref()),
        change.leader,
        print(change.replicas.as_ref()),
        print(change.removing_replicas.as_ref()),
        print(change.adding_replicas.as_ref()),
        change.leader_recovery_state,
        print(change.eligible_leader_replicas.as_ref()),
        print(change.last_known_elr.as_ref())
    )
}

/// One partition on some of six brokers, in the words of `kafka-reassignments.txt`.
fn world(before: &[&str], brokers: &str, unclean: &str, min_isr: &str, elr: &str) -> Records {
    let [replicas, isr, removing, adding, elr_members, _, leader, _] = before else {
        panic!("eight fields, not {before:?}");
    };
    let level = |name: &str, feature_level: i16| {
        Record::from(FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() })
    };
    let setting = |name: &str, value: &str| {
        Record::from(ConfigRecord {
            resource_type: 2,
            resource_name: "t".into(),
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        })
    };
    let directory = |id: &i32| Uuid::from_u128((1000 << 64) | *id as u128);
    let mut records = vec![
        level(feature::METADATA_VERSION, 30),
        level(feature::ELR_VERSION, i16::from(elr == "true")),
    ];
    records.extend(brokers.chars().zip(1..).filter(|(state, _)| *state != 'n').map(
        |(state, broker_id)| {
            Record::from(RegisterBrokerRecord {
                broker_id,
                broker_epoch: 100 + i64::from(broker_id),
                fenced: state == 'f',
                in_controlled_shutdown: state == 's',
                log_dirs: vec![directory(&broker_id)],
                ..Default::default()
            })
        },
    ));
    records.push(Record::from(TopicRecord {
        name: "t".into(),
        topic_id: TOPIC_ID,
        ..Default::default()
    }));
    records.push(setting("unclean.leader.election.enable", unclean));
    records.push(setting("min.insync.replicas", min_isr));
    records.push(Record::from(PartitionRecord {
        partition_id: 0,
        topic_id: TOPIC_ID,
        replicas: ids(replicas),
        directories: ids(replicas).iter().map(directory).collect(),
        isr: ids(isr),
        removing_replicas: ids(removing),
        adding_replicas: ids(adding),
        eligible_leader_replicas: Some(ids(elr_members)).filter(|ids| !ids.is_empty()),
        leader: leader.parse().unwrap(),
        leader_epoch: 5,
        partition_epoch: 9,
        ..Default::default()
    }));
    records
}

fn moment(next_offset: i64) -> Moment {
    let now = Now { instant: Instant::ZERO, timestamp: Timestamp(0) };
    Moment { now, next_offset: Offset(next_offset), seed: 1 }
}

fn reassign(replicas: Option<Vec<i32>>, may_resize: bool) -> AlterPartitionReassignmentsRequest {
    AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: may_resize,
        topics: vec![ReassignableTopic {
            name: "t".into(),
            partitions: vec![ReassignablePartition { replicas, ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn alter_isr(
    leader: i32,
    leader_epoch: i32,
    partition_epoch: i32,
    isr: &[i32],
) -> AlterPartitionRequest {
    AlterPartitionRequest {
        broker_id: leader,
        broker_epoch: 100 + i64::from(leader),
        topics: vec![alter_partition_request::TopicData {
            topic_id: TOPIC_ID,
            partitions: vec![alter_partition_request::PartitionData {
                leader_epoch,
                partition_epoch,
                new_isr_with_epochs: isr
                    .iter()
                    .map(|id| alter_partition_request::BrokerState {
                        broker_id: *id,
                        broker_epoch: 100 + i64::from(*id),
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn every_decision_is_the_one_that_kafka_makes() {
    let cases = include_str!("data/kafka-reassignments.txt");
    let mut checked = 0;
    for case in cases.lines().filter(|line| !line.starts_with('#')) {
        let (question, expected) = case.split_once(" => ").unwrap();
        let (before, asked) = question.split_once(" | ").unwrap();
        let before: Vec<&str> = before.split(' ').collect();
        let [brokers, operation, list, may_resize, unclean, min_isr, elr] =
            asked.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("seven fields, not {asked:?}");
        };
        let log = world(&before, brokers, unclean, min_isr, elr);
        let next_offset = log.len() as i64;
        let mut controller = Controller::new(story::settings(&[]));
        controller.replay(Offset(0), log).unwrap();
        let mut effects = Vec::new();
        controller.lead(moment(next_offset), LeaderEpoch(1), &mut effects).unwrap();
        let leader = before[6].parse().unwrap();
        let request = match operation {
            "cancel" => reassign(None, may_resize == "true").into(),
            "reassign" => reassign(Some(ids(list)), may_resize == "true").into(),
            _ => alter_isr(leader, 5, 9, &ids(list)).into(),
        };
        let input = Input::Request(Ticket(1), request);
        let records = controller.decide(moment(next_offset), input, &mut effects).unwrap();
        controller.commit(Offset(next_offset + records.len() as i64), &mut effects);
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply(_, answer) => Some(answer.unwrap()),
            _ => None,
        });
        let code = match answer.unwrap() {
            Response::AlterPartition(answer) => answer.topics[0].partitions[0].error_code,
            Response::AlterPartitionReassignments(answer) => {
                answer.responses[0].partitions[0].error_code
            }
            other => panic!("{other:?}"),
        };
        let change = match &records[..] {
            [] => "nothing".into(),
            [Record::PartitionChange(change)] => print_change(change),
            other => panic!("{other:?}"),
        };
        assert_eq!(format!("{} {change}", code.0), expected, "{question}");
        checked += 1;
    }
    assert_eq!(checked, 1264);
}

/// Topic `t` with one partition in a cluster of five, the first of `replicas` leading.
fn begin(replicas: &[i32]) -> Story {
    let mut story = Story::with_brokers(5);
    story.ask(CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "t".into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![CreatableReplicaAssignment {
                broker_ids: replicas.to_vec(),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    });
    story
}

fn partition(story: &Story) -> Arc<Partition> {
    let topic = story.image().topics.by_name("t").unwrap();
    topic.partition(PartitionId(0)).unwrap().clone()
}

fn raw(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.get()).collect()
}

/// The leader proposes this ISR.
fn propose(story: &mut Story, isr: &[i32]) -> String {
    let present = partition(story);
    let Some(leader) = story.image().cluster.broker(present.leader) else { return String::new() };
    let mut request =
        alter_isr(leader.id().get(), present.leader_epoch.get(), present.partition_epoch, isr);
    request.broker_epoch = leader.epoch().get();
    let topic = &mut request.topics[0];
    topic.topic_id = story.image().topics.by_name("t").unwrap().id;
    for member in &mut topic.partitions[0].new_isr_with_epochs {
        member.broker_epoch = -1;
    }
    story.ask(request)
}

fn check(actual: String, expected: Expect) {
    expected.assert_eq(&actual);
}

fn list(story: &mut Story) -> String {
    story.ask(ListPartitionReassignmentsRequest { topics: None, ..Default::default() })
}

#[test]
fn a_partition_moves_when_those_who_join_are_in_sync() {
    let mut story = begin(&[1, 2]);
    check(
        story.ask(reassign(Some(vec![3, 4]), false)),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: gX28t_HCR72Wg3NteOUUzw, replicas: Some([3, 4, 1, 2]), removing_replicas: Some([1, 2]), adding_replicas: Some([3, 4]), directories: Some([AAAAAAAAAAAAAAAAAAAD6w, AAAAAAAAAAAAAAAAAAAD7A, AAAAAAAAAAAAAAAAAAAD6Q, AAAAAAAAAAAAAAAAAAAD6g]) }
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: false, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 0 }] }] }
    "#]],
    );
    check(
        list(&mut story),
        expect![[r#"
        → ListPartitionReassignmentsResponse { topics: [OngoingTopicReassignment { name: "t", partitions: [OngoingPartitionReassignment { partition_index: 0, replicas: [3, 4, 1, 2], adding_replicas: [3, 4], removing_replicas: [1, 2] }] }] }
    "#]],
    );
    check(
        propose(&mut story, &[1, 2, 3]),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: gX28t_HCR72Wg3NteOUUzw, isr: Some([1, 2, 3]) }
        → AlterPartitionResponse { topics: [TopicData { topic_id: gX28t_HCR72Wg3NteOUUzw, partitions: [PartitionData { partition_index: 0, leader_id: 1, leader_epoch: 0, isr: [1, 2, 3], partition_epoch: 2 }] }] }
    "#]],
    );
    check(
        propose(&mut story, &[1, 2, 3, 4]),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: gX28t_HCR72Wg3NteOUUzw, isr: Some([3, 4]), leader: 3, replicas: Some([3, 4]), removing_replicas: Some([]), adding_replicas: Some([]), directories: Some([AAAAAAAAAAAAAAAAAAAD6w, AAAAAAAAAAAAAAAAAAAD7A]) }
        → AlterPartitionResponse { topics: [TopicData { topic_id: gX28t_HCR72Wg3NteOUUzw, partitions: [PartitionData { partition_index: 0, error_code: NEW_LEADER_ELECTED(108), leader_id: 0, leader_epoch: 0, isr: [], partition_epoch: 0 }] }] }
    "#]],
    );
    check(
        list(&mut story),
        expect![[r#"
        → ListPartitionReassignmentsResponse { topics: [] }
    "#]],
    );
}

#[test]
fn a_partition_that_moves_is_described_with_all_of_its_replicas() {
    let mut story = begin(&[1, 2]);
    story.ask(reassign(Some(vec![3, 2]), false));
    let asked = ListPartitionReassignmentsTopics {
        name: "t".into(),
        partition_indexes: vec![0, 7],
        ..Default::default()
    };
    let of = |topics| ListPartitionReassignmentsRequest { topics, ..Default::default() };
    check(
        story.ask(of(Some(vec![asked]))),
        expect![[r#"
        → ListPartitionReassignmentsResponse { topics: [OngoingTopicReassignment { name: "t", partitions: [OngoingPartitionReassignment { partition_index: 0, replicas: [3, 2, 1], adding_replicas: [3], removing_replicas: [1] }] }] }
    "#]],
    );
    let nowhere = ListPartitionReassignmentsTopics { name: "u".into(), ..Default::default() };
    check(
        story.ask(of(Some(vec![nowhere]))),
        expect![[r#"
        → ListPartitionReassignmentsResponse { topics: [] }
    "#]],
    );
    let image = story.image();
    let listening = describe::Listening { listener: "PLAINTEXT" };
    let topic = image.topics.by_name("t").unwrap();
    let quirks = describe::MetadataVersionQuirks::of(13);
    check(
        story::brief(&describe::topic(image, listening, quirks, topic)),
        expect![[
            r#"MetadataResponseTopic { name: Some("t"), topic_id: gX28t_HCR72Wg3NteOUUzw, is_internal: false, partitions: [MetadataResponsePartition { partition_index: 0, leader_id: 1, leader_epoch: 0, replica_nodes: [3, 2, 1], isr_nodes: [1, 2], offline_replicas: [] }], topic_authorized_operations: -2147483648 }"#
        ]],
    );
}

#[test]
fn a_reassignment_that_is_called_off_leaves_what_was() {
    let mut story = begin(&[1, 2]);
    check(
        story.ask(reassign(None, true)),
        expect![[r#"
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 0, error_code: NO_REASSIGNMENT_IN_PROGRESS(85) }] }] }
    "#]],
    );
    story.ask(reassign(Some(vec![2, 3, 4]), true));
    propose(&mut story, &[1, 2, 3]);
    check(
        story.ask(reassign(None, true)),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: gX28t_HCR72Wg3NteOUUzw, isr: Some([1, 2]), leader: 1, replicas: Some([2, 1]), removing_replicas: Some([]), adding_replicas: Some([]), directories: Some([AAAAAAAAAAAAAAAAAAAD6g, AAAAAAAAAAAAAAAAAAAD6Q]) }
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 0 }] }] }
    "#]],
    );
    assert_eq!(raw(&partition(&story).replicas), [2, 1]);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut story = begin(&[1, 2]);
    check(
        story.ask(reassign(Some(vec![3]), false)),
        expect![[r#"
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: false, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 0, error_code: INVALID_REPLICATION_FACTOR(38), error_message: Some("the partition has 2 replicas and would have 1, which this request does not allow") }] }] }
    "#]],
    );
    check(
        story.ask(reassign(Some(vec![]), true)),
        expect![[r#"
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 0, error_code: INVALID_REPLICA_ASSIGNMENT(39), error_message: Some("a partition needs at least one replica") }] }] }
    "#]],
    );
    check(
        story.ask(reassign(Some(vec![3, 3]), true)),
        expect![[r#"
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 0, error_code: INVALID_REPLICA_ASSIGNMENT(39), error_message: Some("broker 3 is named twice for one partition") }] }] }
    "#]],
    );
    check(
        story.ask(reassign(Some(vec![3, 9]), true)),
        expect![[r#"
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 0, error_code: INVALID_REPLICA_ASSIGNMENT(39), error_message: Some("no broker is registered as 9") }] }] }
    "#]],
    );
    let mut elsewhere = reassign(Some(vec![3]), true);
    elsewhere.topics[0].partitions[0].partition_index = 7;
    check(
        story.ask(elsewhere),
        expect![[r#"
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, responses: [ReassignableTopicResponse { name: "t", partitions: [ReassignablePartitionResponse { partition_index: 7, error_code: UNKNOWN_TOPIC_OR_PARTITION(3), error_message: Some("topic t has no partition 7") }] }] }
    "#]],
    );
    let mut elsewhere = reassign(Some(vec![3]), true);
    elsewhere.topics[0].name = "u".into();
    check(
        story.ask(elsewhere),
        expect![[r#"
        → AlterPartitionReassignmentsResponse { allow_replication_factor_change: true, responses: [ReassignableTopicResponse { name: "u", partitions: [ReassignablePartitionResponse { partition_index: 0, error_code: UNKNOWN_TOPIC_OR_PARTITION(3), error_message: Some("there is no topic u") }] }] }
    "#]],
    );
}

/// The first proposal ends the reassignment, and then brokers 1 and 2 are no replicas any more.
#[test]
fn a_partition_that_is_named_twice_gets_one_isr() {
    let mut story = begin(&[1, 2]);
    story.ask(reassign(Some(vec![3, 4]), false));
    let present = partition(&story);
    let epochs = (present.leader_epoch.get(), present.partition_epoch);
    let mut twice = alter_isr(1, epochs.0, epochs.1, &[1, 3, 4]);
    let once_more = alter_isr(1, epochs.0, epochs.1, &[1, 2, 3]).topics.remove(0).partitions;
    twice.broker_epoch = story.heartbeat(1).broker_epoch;
    twice.topics[0].topic_id = story.image().topics.by_name("t").unwrap().id;
    twice.topics[0].partitions.extend(once_more);
    for partition in &mut twice.topics[0].partitions {
        for member in &mut partition.new_isr_with_epochs {
            member.broker_epoch = -1;
        }
    }
    check(
        story.ask(twice),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: gX28t_HCR72Wg3NteOUUzw, isr: Some([3, 4]), leader: 3, replicas: Some([3, 4]), removing_replicas: Some([]), adding_replicas: Some([]), directories: Some([AAAAAAAAAAAAAAAAAAAD6w, AAAAAAAAAAAAAAAAAAAD7A]) }
        → AlterPartitionResponse { topics: [TopicData { topic_id: gX28t_HCR72Wg3NteOUUzw, partitions: [PartitionData { partition_index: 0, error_code: NEW_LEADER_ELECTED(108), leader_id: 0, leader_epoch: 0, isr: [], partition_epoch: 0 }, PartitionData { partition_index: 0, error_code: INVALID_REQUEST(42), leader_id: 0, leader_epoch: 0, isr: [], partition_epoch: 0 }] }] }
    "#]],
    );
}

#[derive(Clone, Debug)]
enum Step {
    Reassign(Vec<i32>),
    Cancel,
    Propose(u8),
    Fence(i32),
    Beat(i32),
}

fn step() -> impl Strategy<Value = Step> {
    let some = Just(vec![1, 2, 3, 4, 5]).prop_shuffle();
    let some = (some, 1..=4usize).prop_map(|(mut ids, count)| {
        ids.truncate(count);
        ids
    });
    prop_oneof![
        3 => some.prop_map(Step::Reassign),
        1 => Just(Step::Cancel),
        6 => any::<u8>().prop_map(Step::Propose),
        2 => (1..=5i32).prop_map(Step::Fence),
        3 => (1..=5i32).prop_map(Step::Beat),
    ]
}

fn take(story: &mut Story, step: &Step) -> String {
    match step {
        Step::Reassign(ids) => story.ask(reassign(Some(ids.clone()), true)),
        Step::Cancel => story.ask(reassign(None, true)),
        Step::Fence(id) => {
            story.ask(BrokerHeartbeatRequest { want_fence: true, ..story.heartbeat(*id) })
        }
        Step::Beat(id) => story.beat(*id),
        Step::Propose(bits) => {
            let present = partition(story);
            let mut isr = raw(&present.replicas);
            isr.retain(|id| *id == present.leader.get() || bits & (1 << id) != 0);
            propose(story, &isr)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The model knows only where the partition was sent last.
    #[test]
    fn a_partition_arrives_where_it_was_sent_last(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut story = begin(&[1, 2]);
        let mut wanted = vec![1, 2];
        for step in steps {
            let before = partition(&story);
            let answer = take(&mut story, &step);
            let after = partition(&story);
            let is_granted = answer.contains("PartitionChangeRecord");
            match &step {
                Step::Reassign(ids) => wanted = ids.clone(),
                Step::Cancel if is_granted => wanted = raw(&after.replicas),
                _ => {}
            }

            let replicas = raw(&after.replicas);
            prop_assert_eq!(&replicas[..wanted.len()], &wanted[..]);
            let mut leaving = replicas[wanted.len()..].to_vec();
            leaving.sort_unstable();
            prop_assert_eq!(raw(&after.removing_replicas), leaving);
            prop_assert!(after.adding_replicas.iter().all(|id| wanted.contains(&id.get())));

            // Whoever joined before is in sync when somebody leaves; only calling off is a way out.
            let leaves = |id: &&NodeId| !after.replicas.contains(id);
            if before.replicas.iter().any(|id| leaves(&id)) && !matches!(step, Step::Cancel) {
                prop_assert!(!after.is_reassigning());
                let in_sync = |id: &NodeId| after.isr.contains(id);
                let joined = before.adding_replicas.iter().filter(|id| wanted.contains(&id.get()));
                prop_assert!(joined.copied().all(|id| in_sync(&id)), "{:?}", step);
                prop_assert!(!after.isr.is_empty());
            }
            // Nobody is in sync but by the leader's word.
            if !matches!(step, Step::Propose(_)) {
                let could_lead = |id| before.isr.contains(id) || before.elr.contains(id);
                prop_assert!(after.isr.iter().all(could_lead), "{:?}", step);
            }
        }
        for id in 1..=5 {
            story.beat(id);
        }
        for _ in 0..2 {
            let all = raw(&partition(&story).replicas);
            propose(&mut story, &all);
        }
        let arrived = partition(&story);
        prop_assert_eq!(raw(&arrived.replicas), wanted);
        prop_assert!(!arrived.is_reassigning());
        prop_assert_eq!(arrived.leader_recovery_state, LeaderRecoveryState::Recovered);
    }
}
