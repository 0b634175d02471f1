//! What holds for every history: replaying a log gives the image that deciding it gave, and a
//! snapshot rebuilds the image it was taken of.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use proptest::prelude::*;
use story::{Story, registration, replayed};
use strandline_metadata::controller::{Controller, Request, Timer};
use strandline_metadata::{Delta, Fault, Image, Record};
use strandline_types::{Offset, PartitionId, Uuid};
use strandline_wire::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use strandline_wire::messages::create_partitions_request::CreatePartitionsTopic;
use strandline_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use strandline_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use strandline_wire::messages::{
    AllocateProducerIdsRequest, AlterPartitionReassignmentsRequest, AlterPartitionRequest,
    BrokerHeartbeatRequest, BrokerRegistrationRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteTopicsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    UnregisterBrokerRequest,
};

#[derive(Clone, Debug)]
enum Step {
    Register { id: i32, incarnation: u128, is_clean: bool },
    Heartbeat { id: i32, want_fence: bool, want_shut_down: bool },
    Wait { seconds: u64 },
    Tick(Timer),
    Unregister(i32),
    Create { name: u8, partitions: i32, replicas: i16, min_isr: u8 },
    Grow { name: u8, count: i32 },
    Delete(u8),
    Set { name: u8, key: usize, value: Option<u8> },
    AlterIsr { name: u8, partition: i32, keep: u8 },
    Elect { unclean: bool },
    Reassign { name: u8, partition: i32, replicas: Option<Vec<i32>> },
    ProducerIds(i32),
    Gone { id: i32, is_present: bool },
    NewLeader,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 1..=4i32;
    let name = 0..4u8;
    prop_oneof![
        3 => (id.clone(), 1..4u128, any::<bool>())
            .prop_map(|(id, incarnation, is_clean)| Step::Register { id, incarnation, is_clean }),
        6 => (id.clone(), prop::bool::weighted(0.1), prop::bool::weighted(0.15)).prop_map(
            |(id, want_fence, want_shut_down)| Step::Heartbeat { id, want_fence, want_shut_down }
        ),
        3 => (1..8u64).prop_map(|seconds| Step::Wait { seconds }),
        3 => prop_oneof![
            4 => Just(Timer::Sessions),
            1 => Just(Timer::Balance),
            1 => Just(Timer::Idle),
        ]
        .prop_map(Step::Tick),
        1 => id.clone().prop_map(Step::Unregister),
        4 => (name.clone(), 1..5i32, 1..4i16, 1..4u8).prop_map(
            |(name, partitions, replicas, min_isr)| {
                Step::Create { name, partitions, replicas, min_isr }
            }
        ),
        1 => (name.clone(), 1..8i32).prop_map(|(name, count)| Step::Grow { name, count }),
        1 => name.clone().prop_map(Step::Delete),
        2 => (name.clone(), 0..3usize, any::<Option<u8>>())
            .prop_map(|(name, key, value)| Step::Set { name, key, value }),
        2 => (name.clone(), 0..5i32, prop::option::of(prop::collection::vec(1..=4i32, 1..4)))
            .prop_map(|(name, partition, replicas)| Step::Reassign { name, partition, replicas }),
        4 => (name, 0..5i32, any::<u8>())
            .prop_map(|(name, partition, keep)| Step::AlterIsr { name, partition, keep }),
        1 => any::<bool>().prop_map(|unclean| Step::Elect { unclean }),
        1 => id.clone().prop_map(Step::ProducerIds),
        2 => (id, any::<bool>()).prop_map(|(id, is_present)| Step::Gone { id, is_present }),
        1 => Just(Step::NewLeader),
    ]
}

/// `a.0` and `a_0` collide, so that some creations are refused.
fn topic_name(name: u8) -> String {
    if name.is_multiple_of(2) { format!("a.{}", name / 2) } else { format!("a_{}", name / 2) }
}

fn take(story: &mut Story, step: Step) {
    let request: Request = match step {
        Step::Wait { seconds } => {
            story.seconds += seconds;
            return;
        }
        Step::Tick(timer) => {
            story.tick(timer);
            return;
        }
        Step::Gone { id, is_present } => {
            let present = story.heartbeat(id).broker_epoch;
            story.gone(id, if is_present { present } else { present - 1 });
            return;
        }
        Step::NewLeader => {
            story.resign();
            story.lead(2);
            return;
        }
        Step::Register { id, incarnation, is_clean } => {
            let previous_broker_epoch =
                if is_clean { story.heartbeat(id).broker_epoch } else { -1 };
            BrokerRegistrationRequest { previous_broker_epoch, ..registration(id, incarnation) }
                .into()
        }
        Step::Heartbeat { id, want_fence, want_shut_down } => {
            BrokerHeartbeatRequest { want_fence, want_shut_down, ..story.heartbeat(id) }.into()
        }
        Step::Unregister(broker_id) => {
            UnregisterBrokerRequest { broker_id, ..Default::default() }.into()
        }
        Step::Create { name, partitions, replicas, min_isr } => CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic_name(name),
                num_partitions: partitions,
                replication_factor: replicas,
                configs: vec![CreatableTopicConfig {
                    name: "min.insync.replicas".into(),
                    value: Some(min_isr.to_string()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        Step::Grow { name, count } => CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic_name(name),
                count,
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        Step::Delete(name) => {
            DeleteTopicsRequest { topic_names: vec![topic_name(name)], ..Default::default() }.into()
        }
        Step::Set { name, key, value } => {
            let key =
                ["min.insync.replicas", "unclean.leader.election.enable", "retention.ms"][key];
            let value = value.map(|value| match key {
                "unclean.leader.election.enable" => (value > 127).to_string(),
                _ => (value % 3 + 1).to_string(),
            });
            IncrementalAlterConfigsRequest {
                resources: vec![AlterConfigsResource {
                    resource_type: 2,
                    resource_name: topic_name(name),
                    configs: vec![AlterableConfig {
                        name: key.into(),
                        config_operation: i8::from(value.is_none()),
                        value,
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            }
            .into()
        }
        Step::AlterIsr { name, partition, keep } => {
            match alter_isr(story, &topic_name(name), partition, keep) {
                Some(request) => request.into(),
                None => return,
            }
        }
        Step::Elect { unclean } => {
            ElectLeadersRequest { election_type: i8::from(unclean), ..Default::default() }.into()
        }
        Step::Reassign { name, partition, replicas } => AlterPartitionReassignmentsRequest {
            topics: vec![ReassignableTopic {
                name: topic_name(name),
                partitions: vec![ReassignablePartition {
                    partition_index: partition,
                    replicas,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
        .into(),
        Step::ProducerIds(broker_id) => AllocateProducerIdsRequest {
            broker_id,
            broker_epoch: story.heartbeat(broker_id).broker_epoch,
            ..Default::default()
        }
        .into(),
    };
    story.ask(request);
}

/// The leader proposes itself and those replicas whose bit is set.
fn alter_isr(story: &Story, name: &str, id: i32, keep: u8) -> Option<AlterPartitionRequest> {
    let partition = story.image().topics.by_name(name)?.partition(PartitionId(id))?;
    let leader = partition.leader;
    let kept = partition.replicas.iter().filter(|id| **id == leader || keep & (1 << id.get()) != 0);
    let kept: Vec<i32> = kept.map(|id| id.get()).collect();
    story.proposal(name, id, &kept)
}

/// Whoever leads is alive, and the ISR never holds a broker that is known to be gone.
fn check_liveness(image: &Image) {
    for (topic, id, partition) in image.topics.partitions() {
        assert_eq!(partition.broken_invariant(), None);
        let leads = partition.has_leader();
        assert!(
            !leads || image.cluster.is_active(partition.leader),
            "{}-{id}: {} leads",
            topic.name,
            partition.leader
        );
        for member in &partition.isr {
            let is_live = image.cluster.broker(*member).is_some_and(|broker| !broker.is_fenced());
            assert!(is_live, "{}-{id}: {member} in ISR {:?}", topic.name, partition.isr);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_log_and_a_snapshot_give_the_image_of_the_controller(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut story = Story::with_brokers(3);
        for step in steps {
            let before = story.image().clone();
            take(&mut story, step.clone());
            let after = story.image();
            check_liveness(after);

            // The delta names exactly the partitions that differ.
            let delta = Delta::between(&before, after);
            for change in &delta.partitions {
                let find = |image: &Image| {
                    image.topics.partition(change.topic.id, change.partition).cloned()
                };
                prop_assert_eq!(&find(&before), &change.before);
                prop_assert_eq!(&find(after), &change.after);
                prop_assert!(change.before != change.after, "{:?}", step);
            }
            let named = delta.partitions.len();
            let both = |image: &Image| image.topics.partitions()
                .map(|(topic, id, partition)| (topic.id, id, partition.clone()))
                .collect::<Vec<_>>();
            let (old, new) = (both(&before), both(after));
            let gone = old.iter().filter(|row| !new.iter().any(|n| (n.0, n.1) == (row.0, row.1)));
            let differ = new.iter().filter(|row| !old.contains(row));
            prop_assert_eq!(named, gone.count() + differ.count());
        }
        let image = story.image();
        let version = image.features.metadata_version();
        let bytes = |image: &Image| -> Vec<_> {
            image.snapshot().iter().map(|record| record.encode(version).unwrap()).collect()
        };
        prop_assert_eq!(bytes(&replayed(&story.log)), bytes(image));

        // Through bytes, as a follower gets them.
        let wire: Vec<Record> = story.log.iter()
            .map(|record| Record::decode(&record.encode(version).unwrap()).unwrap())
            .collect();
        prop_assert_eq!(bytes(&replayed(&wire)), bytes(image));

        let mut loaded = Controller::new(story::settings(&[]));
        loaded.load(image.snapshot(), Offset(story.log.len() as i64)).unwrap();
        prop_assert_eq!(bytes(loaded.committed()), bytes(image));
        prop_assert_eq!(loaded.committed().offset, image.offset);
        prop_assert!(Delta::between(image, image).is_empty());
    }

    /// A log that says impossible things is a fault with a reason, never a panic.
    #[test]
    fn damaged_records_never_panic(
        steps in prop::collection::vec(step(), 1..30),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        at in any::<prop::sample::Index>(),
        drop in any::<bool>(),
    ) {
        let mut story = Story::with_brokers(3);
        for step in steps {
            take(&mut story, step);
        }
        let version = story.image().features.metadata_version();
        let at = at.index(story.log.len());
        let mut image = Image::default();
        for (index, record) in story.log.iter().enumerate() {
            let mut value = record.encode(version).unwrap().to_vec();
            if index == at {
                if drop {
                    continue;
                }
                for (byte, xor) in &damage {
                    let byte = byte.index(value.len());
                    value[byte] ^= xor;
                }
            }
            let Ok(record) = Record::decode(&value.into()) else { return Ok(()) };
            if let Err(Fault { reason, .. }) = image.apply(record, Offset(index as i64)) {
                prop_assert!(!reason.is_empty());
                return Ok(());
            }
        }
        let mut again = Image::default();
        for record in image.snapshot() {
            again.apply(record, Offset(0)).unwrap();
        }
        prop_assert_eq!(again.snapshot(), image.snapshot());
    }
}

#[test]
fn what_this_version_does_not_know_survives_a_snapshot() {
    let unknown: &[u8] = &[1, 99, 7, 1, 2, 3];
    // A TopicRecord with a tagged field 5 of two bytes.
    let tagged: &[u8] =
        &[1, 2, 0, 2, b't', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 5, 2, 0xab, 0xcd];
    let mut image = Image::default();
    for (value, offset) in [unknown, tagged].into_iter().zip(0..) {
        let record = Record::decode(&bytes::Bytes::copy_from_slice(value)).unwrap();
        image.apply(record, Offset(offset)).unwrap();
    }
    let version = image.features.metadata_version();
    let snapshot: Vec<_> = image.snapshot().iter().map(|r| r.encode(version).unwrap()).collect();
    assert_eq!(snapshot, [tagged, unknown]);
    assert!(image.topics.get(Uuid::from_u128(9)).is_some());
}

#[test]
fn a_transaction_shows_nothing_until_it_ends() {
    use strandline_wire::messages::{
        AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, TopicRecord,
    };
    let topic = |id: u128| {
        Record::from(TopicRecord {
            name: id.to_string(),
            topic_id: Uuid::from_u128(id),
            ..Default::default()
        })
    };
    let begin = || Record::from(BeginTransactionRecord::default());
    let mut image = Image::default();
    let mut offset = 0;
    let mut apply = |image: &mut Image, record| {
        offset += 1;
        image.apply(record, Offset(offset))
    };
    apply(&mut image, begin()).unwrap();
    apply(&mut image, topic(1)).unwrap();
    assert!(image.in_transaction() && image.topics.is_empty() && image.offset.is_none());
    apply(&mut image, Record::from(AbortTransactionRecord::default())).unwrap();
    assert!(!image.in_transaction() && image.topics.is_empty());
    apply(&mut image, begin()).unwrap();
    apply(&mut image, topic(2)).unwrap();
    apply(&mut image, Record::from(EndTransactionRecord::default())).unwrap();
    assert_eq!((image.topics.len(), image.offset), (1, Some(Offset(6))));
    let end = apply(&mut image, Record::from(EndTransactionRecord::default()));
    assert_eq!(
        end.unwrap_err().to_string(),
        "metadata record at offset 7: a transaction ends that never began"
    );
    let again = apply(&mut image, topic(2)).unwrap_err();
    assert_eq!(again.to_string(), "metadata record at offset 8: META-6: a topic named 2 exists");
}
