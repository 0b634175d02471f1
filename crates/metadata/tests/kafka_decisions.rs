//! Decisions of Apache Kafka 4.3.1's own controller for random partitions and brokers, which are ours
//! too but for one (see the data): who leads and who is in sync when brokers come and go, and when
//! partitions move.
#![allow(clippy::unwrap_used, reason = "what a test relies on must hold")]

mod story;

use strandline_metadata::controller::{
    Controller, Effect, Input, Moment, Request, Response, Ticket,
};
use strandline_metadata::{Record, Records, feature};
use strandline_types::{BrokerEpoch, Instant, LeaderEpoch, NodeId, Now, Offset, Timestamp, Uuid};
use strandline_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionRequest, BrokerHeartbeatRequest,
    BrokerRegistrationRequest, ConfigRecord, ElectLeadersRequest, FeatureLevelRecord,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
    UnregisterBrokerRequest,
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    alter_partition_request,
    elect_leaders_request::TopicPartitions,
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
    let [replicas, isr, removing, adding, elr_members, last_known, leader, recovery] = before
    else {
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
        last_known_elr: Some(ids(last_known)).filter(|ids| !ids.is_empty()),
        leader: leader.parse().unwrap(),
        leader_recovery_state: recovery.parse().unwrap(),
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

fn alter_isr(leader: i32, isr: &[i32]) -> AlterPartitionRequest {
    AlterPartitionRequest {
        broker_id: leader,
        broker_epoch: 100 + i64::from(leader),
        topics: vec![alter_partition_request::TopicData {
            topic_id: TOPIC_ID,
            partitions: vec![alter_partition_request::PartitionData {
                leader_epoch: 5,
                partition_epoch: 9,
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

/// What the controller of this world writes about the partition, and answers.
fn decide(log: Records, input: Input) -> (String, Option<Response>) {
    let next_offset = log.len() as i64;
    let mut controller = Controller::new(story::settings(&[]));
    controller.replay(Offset(0), log).unwrap();
    let mut effects = Vec::new();
    controller.lead(moment(next_offset), LeaderEpoch(1), None, &mut effects).unwrap();
    let records = controller.decide(moment(next_offset), input, &mut effects).unwrap();
    controller.commit(Offset(next_offset + records.len() as i64), &mut effects);
    let changes: Vec<String> = records
        .iter()
        .filter_map(|record| match record {
            Record::PartitionChange(change) => Some(print_change(change)),
            _ => None,
        })
        .collect();
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::Reply(_, answer) => Some(answer.unwrap()),
        _ => None,
    });
    let changes = if changes.is_empty() { "nothing".into() } else { changes.join(" and ") };
    (changes, answer)
}

/// Gives each case to `ask`: the fields of the partition, then those of the question.
fn check_all(cases: &str, count: usize, ask: impl Fn(&[&str], &[&str]) -> String) {
    let cases = cases.lines().filter(|line| !line.starts_with('#'));
    let mut checked = 0;
    for case in cases {
        let (question, expected) = case.split_once(" => ").unwrap();
        let expected = expected.split(" ; ").next().unwrap();
        let (before, asked) = question.split_once(" | ").unwrap();

        let before: Vec<&str> = before.split(' ').collect();
        let asked: Vec<&str> = asked.split(' ').collect();
        assert_eq!(ask(&before, &asked), expected, "{question}");
        checked += 1;
    }
    assert_eq!(checked, count);
}

#[test]
fn partitions_move_as_kafka_moves_them() {
    let cases = include_str!("data/kafka-reassignments.txt");
    check_all(cases, 1264, |before, asked| {
        let [brokers, operation, list, may_resize, unclean, min_isr, elr] = asked else {
            panic!("seven fields, not {asked:?}");
        };
        let leader = before[6].parse().unwrap();
        let request: Request = match *operation {
            "cancel" => reassign(None, *may_resize == "true").into(),
            "reassign" => reassign(Some(ids(list)), *may_resize == "true").into(),
            _ => alter_isr(leader, &ids(list)).into(),
        };
        let log = world(before, brokers, unclean, min_isr, elr);
        let (changes, answer) = decide(log, Input::Request(Ticket(1), request));
        let code = match answer.unwrap() {
            Response::AlterPartition(answer) => answer.topics[0].partitions[0].error_code,
            Response::AlterPartitionReassignments(answer) => {
                answer.responses[0].partitions[0].error_code
            }
            other => panic!("{other:?}"),
        };
        format!("{} {changes}", code.0)
    });
}

#[test]
fn brokers_that_come_and_go_change_what_they_change_in_kafka() {
    let cases = include_str!("data/kafka-elections.txt");
    check_all(cases, 1229, |before, asked| {
        let [brokers, event, broker, unclean, min_isr, elr] = asked else {
            panic!("six fields, not {asked:?}");
        };
        let broker_id: i32 = broker.parse().unwrap();
        let broker_epoch = 100 + i64::from(broker_id);
        let heartbeat = BrokerHeartbeatRequest {
            broker_id,
            broker_epoch,
            current_metadata_offset: 1_000,
            want_shut_down: *event == "stop",
            ..Default::default()
        };
        let returns = |previous_broker_epoch| BrokerRegistrationRequest {
            previous_broker_epoch,
            ..story::registration(broker_id, 2)
        };
        let request: Request = match *event {
            "fence" => {
                let gone = Input::BrokerGone {
                    broker: NodeId(broker_id),
                    epoch: BrokerEpoch(broker_epoch),
                };
                let log = world(before, brokers, unclean, min_isr, elr);
                return format!("0 {}", decide(log, gone).0);
            }
            "unfence" | "stop" => heartbeat.into(),
            "return-clean" => returns(broker_epoch).into(),
            "return-unclean" => returns(-1).into(),
            "unregister" => UnregisterBrokerRequest { broker_id, ..Default::default() }.into(),
            _ => ElectLeadersRequest {
                election_type: i8::from(*event == "elect-unclean"),
                topic_partitions: Some(vec![TopicPartitions {
                    topic: "t".into(),
                    partitions: vec![0],
                    ..Default::default()
                }]),
                ..Default::default()
            }
            .into(),
        };
        let log = world(before, brokers, unclean, min_isr, elr);
        let (changes, answer) = decide(log, Input::Request(Ticket(1), request));
        let code = match answer.unwrap() {
            Response::BrokerHeartbeat(answer) => answer.error_code,
            Response::BrokerRegistration(answer) => answer.error_code,
            Response::UnregisterBroker(answer) => answer.error_code,
            Response::ElectLeaders(answer) => {
                answer.replica_election_results[0].partition_result[0].error_code
            }
            other => panic!("{other:?}"),
        };
        format!("{} {changes}", code.0)
    });
}
