//! Partitions move to where they were sent, whatever happens on the way.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use std::collections::BTreeSet;
use std::sync::Arc;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use story::Story;
use strandline_metadata::describe;
use strandline_metadata::image::{LeaderRecoveryState, Partition};
use strandline_types::{NodeId, PartitionId};
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, BrokerHeartbeatRequest, CreateTopicsRequest,
    ElectLeadersRequest, ListPartitionReassignmentsRequest,
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    create_topics_request::{CreatableReplicaAssignment, CreatableTopic},
    elect_leaders_request::TopicPartitions,
    list_partition_reassignments_request::ListPartitionReassignmentsTopics,
};

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
        story.propose("t", 0, &[1, 2, 3]),
        expect![[r#"
        PartitionChangeRecord { partition_id: 0, topic_id: gX28t_HCR72Wg3NteOUUzw, isr: Some([1, 2, 3]) }
        → AlterPartitionResponse { topics: [TopicData { topic_id: gX28t_HCR72Wg3NteOUUzw, partitions: [PartitionData { partition_index: 0, leader_id: 1, leader_epoch: 0, isr: [1, 2, 3], partition_epoch: 2 }] }] }
    "#]],
    );
    check(
        story.propose("t", 0, &[1, 2, 3, 4]),
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
    story.propose("t", 0, &[1, 2, 3]);
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

#[test]
fn one_request_does_not_write_without_end() {
    let mut story = begin(&[1, 2]);
    let mut many = reassign(Some(vec![3, 4]), true);
    let again = many.topics[0].partitions[0].clone();
    many.topics[0].partitions.resize(10_001, again);
    let answer = story.ask(many);
    assert_eq!(answer.matches("PartitionChangeRecord").count(), 10_000);
    assert_eq!(answer.matches("POLICY_VIOLATION").count(), 1);

    story.ask(reassign(None, true));
    story.gone(1, story.heartbeat(1).broker_epoch);
    story.beat(1);
    story.propose("t", 0, &[1, 2]);
    let answer = story.ask(ElectLeadersRequest {
        topic_partitions: Some(vec![TopicPartitions {
            topic: "t".into(),
            partitions: vec![0; 10_001],
            ..Default::default()
        }]),
        ..Default::default()
    });
    assert_eq!(answer.matches("PartitionChangeRecord").count(), 10_000);
    assert_eq!(answer.matches("POLICY_VIOLATION").count(), 1);
}

/// The first proposal ends the reassignment, and then brokers 1 and 2 are no replicas any more.
#[test]
fn a_partition_that_is_named_twice_gets_one_isr() {
    let mut story = begin(&[1, 2]);
    story.ask(reassign(Some(vec![3, 4]), false));
    let mut twice = story.proposal("t", 0, &[1, 3, 4]).unwrap();
    let once_more = story.proposal("t", 0, &[1, 2, 3]).unwrap().topics.remove(0).partitions;
    twice.topics[0].partitions.extend(once_more);
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
            story.propose("t", 0, &isr)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// The model knows where the partition was sent last, and who has joined it on the way there.
    #[test]
    fn a_partition_arrives_where_it_was_sent_last(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let mut story = begin(&[1, 2]);
        let mut wanted = vec![1, 2];
        let mut joining = BTreeSet::new();
        for step in steps {
            let before = partition(&story);
            let answer = take(&mut story, &step);
            let after = partition(&story);
            let is_granted = answer.contains("PartitionChangeRecord");
            match &step {
                Step::Reassign(ids) => {
                    wanted = ids.clone();
                    let present = raw(&before.replicas);
                    joining.extend(ids.iter().copied().filter(|id| !present.contains(id)));
                    joining.retain(|id| ids.contains(id));
                }
                Step::Cancel if is_granted => wanted = raw(&after.replicas),
                _ => {}
            }

            let replicas = raw(&after.replicas);
            prop_assert_eq!(&replicas[..wanted.len()], &wanted[..]);
            let mut leaving = replicas[wanted.len()..].to_vec();
            leaving.sort_unstable();
            prop_assert_eq!(raw(&after.removing_replicas), leaving);
            if !after.is_reassigning() {
                joining.clear();
            }
            prop_assert_eq!(raw(&after.adding_replicas), joining.iter().copied().collect::<Vec<_>>());

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
            story.propose("t", 0, &all);
        }
        let arrived = partition(&story);
        prop_assert_eq!(raw(&arrived.replicas), wanted);
        prop_assert!(!arrived.is_reassigning());
        prop_assert_eq!(arrived.leader_recovery_state, LeaderRecoveryState::Recovered);
    }
}
