//! Decisions of Apache Kafka 4.3.1 for random partitions and brokers, which are ours too, but for
//! one by which it can lose records.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use strandline_types::{LeaderEpoch, NodeId, Uuid};

use super::partition_change::{Election, Surroundings, Target};
use crate::MetadataVersion;
use crate::image::{LeaderRecoveryState, Partition, PartitionChange};

fn ids(text: &str) -> Vec<NodeId> {
    match text {
        "-" => Vec::new(),
        ids => ids.split(',').map(id).collect(),
    }
}

fn id(text: &str) -> NodeId {
    NodeId(text.parse().unwrap())
}

fn state(text: &str) -> LeaderRecoveryState {
    LeaderRecoveryState::from_wire(text.parse().unwrap()).unwrap()
}

fn directory(id: NodeId) -> Uuid {
    Uuid::from_u128((1000 << 64) | id.get() as u128)
}

fn partition(fields: &[&str]) -> Partition {
    let [replicas, isr, removing, adding, elr, last_known_elr, leader, recovery] = fields else {
        panic!("eight fields, not {fields:?}");
    };
    Partition {
        replicas: ids(replicas),
        directories: ids(replicas).into_iter().map(directory).collect(),
        isr: ids(isr),
        removing_replicas: ids(removing),
        adding_replicas: ids(adding),
        elr: ids(elr),
        last_known_elr: ids(last_known_elr),
        leader: id(leader),
        leader_recovery_state: state(recovery),
        leader_epoch: LeaderEpoch(5),
        partition_epoch: 9,
        unknown_tags: Default::default(),
    }
}

fn decide(partition: &Partition, fields: &[&str]) -> Option<PartitionChange> {
    let [election, isr, recovery, may_lead, lost, min_isr, elr_enabled, version] = fields else {
        panic!("eight fields, not {fields:?}");
    };
    let target = Target {
        election: match *election {
            "PREFERRED" => Election::Preferred,
            "ONLINE" => Election::Online,
            _ => Election::Unclean,
        },
        isr: ids(isr),
        leader_recovery_state: state(recovery),
        unclean_shutdown: if *lost == "-1" { Vec::new() } else { ids(lost) },
        ..Target::of(partition)
    };
    let may_lead = ids(may_lead);
    let version = MetadataVersion(version.parse().unwrap());
    target.change(
        partition,
        &Surroundings {
            may_lead: &|id| may_lead.contains(&id),
            default_directory: &directory,
            effective_min_isr: min_isr.parse().unwrap(),
            elr_enabled: *elr_enabled == "true",
            directories_supported: version.records_directories(),
            epoch_bump_on_shrink: version.bumps_leader_epoch_on_isr_shrink(),
        },
    )
}

fn print(change: Option<PartitionChange>) -> String {
    let Some(change) = change else { return "nothing".to_string() };
    let list = |ids: Option<Vec<NodeId>>| match ids {
        None => "*".to_string(),
        Some(ids) if ids.is_empty() => "-".to_string(),
        Some(ids) => {
            let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
            texts.join(",")
        }
    };
    format!(
        "{} {} {} {} {} {} {} {}",
        list(change.isr),
        change.leader.map_or(-2, NodeId::get),
        list(change.replicas),
        list(change.removing_replicas),
        list(change.adding_replicas),
        change.leader_recovery_state.map_or(-1, |state| state as i8),
        list(change.elr),
        list(change.last_known_elr),
    )
}

#[test]
fn every_change_is_the_one_that_kafka_makes() {
    let cases = include_str!("../../tests/data/kafka-partition-changes.txt");
    let mut checked = 0;
    for case in cases.lines().filter(|line| !line.starts_with('#')) {
        let (question, expected) = case.split_once(" => ").unwrap();
        let expected = expected.split(" ; ").next().unwrap();
        let (before, asked) = question.split_once(" | ").unwrap();
        let partition = partition(&before.split(' ').collect::<Vec<_>>());
        let change = decide(&partition, &asked.split(' ').collect::<Vec<_>>());
        assert_eq!(print(change), expected, "{question}");
        checked += 1;
    }
    assert_eq!(checked, 1500);
}
