//! ElectLeaders, and the elections that a controller holds by itself from time to time.

use alloc::string::ToString;
use alloc::vec::Vec;

use strandline_types::{ErrorCode, PartitionId};
use strandline_wire::messages::{
    ElectLeadersRequest, ElectLeadersResponse,
    elect_leaders_response::{PartitionResult, ReplicaElectionResult},
};

use super::assignment::check_room;
use super::context::{Context, Denied, Shift, split};
use super::partition_change::{Election, Target};
use crate::image::{Partition, Topic};
use crate::{Record, Records};

/// One round of balancing holds this many elections at most, so that nothing else waits long.
pub(super) const ELECTIONS_PER_ROUND_MAX: usize = 1000;

pub(super) fn decide(
    cx: &Context<'_>,
    request: ElectLeadersRequest,
    records: &mut Records,
) -> ElectLeadersResponse {
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        _ => {
            return ElectLeadersResponse {
                error_code: ErrorCode::INVALID_REQUEST,
                ..Default::default()
            };
        }
    };
    let replica_election_results = match request.topic_partitions {
        Some(asked) => asked
            .into_iter()
            .map(|topic| {
                let results = topic.partitions.iter().map(|&id| {
                    let named = PartitionId(id);
                    let found = cx.named_partition(&topic.topic, named);
                    let outcome = found.and_then(|(found, partition)| {
                        elect(cx, found, named, partition, election, records)
                    });
                    result(id, outcome)
                });
                let partition_result = results.collect();
                ReplicaElectionResult { topic: topic.topic, partition_result, ..Default::default() }
            })
            .collect(),
        None => elect_everywhere(cx, election, records),
    };
    ElectLeadersResponse { replica_election_results, ..Default::default() }
}

fn result(partition_id: i32, outcome: Result<(), Denied>) -> PartitionResult {
    let (error_code, error_message) = split(outcome);
    PartitionResult { partition_id, error_code, error_message, ..Default::default() }
}

/// Partitions that need no election are left out of the answer.
fn elect_everywhere(
    cx: &Context<'_>,
    election: Election,
    records: &mut Records,
) -> Vec<ReplicaElectionResult> {
    let mut results = Vec::new();
    for topic in cx.image.topics.iter_by_name() {
        let mut partition_result = Vec::new();
        for (id, partition) in topic.partitions.iter() {
            let outcome = elect(cx, topic, *id, partition, election, records);
            let needed = !matches!(
                &outcome,
                Err(denied) if denied.code == ErrorCode::ELECTION_NOT_NEEDED
            );
            if needed {
                partition_result.push(result(id.get(), outcome));
            }
        }
        results.push(ReplicaElectionResult {
            topic: topic.name.to_string(),
            partition_result,
            ..Default::default()
        });
    }
    results
}

fn elect(
    cx: &Context<'_>,
    topic: &Topic,
    id: PartitionId,
    partition: &Partition,
    election: Election,
    records: &mut Records,
) -> Result<(), Denied> {
    let (is_needless, nobody) = match election {
        Election::Preferred => {
            (partition.has_preferred_leader(), ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE)
        }
        _ => (partition.has_leader(), ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE),
    };
    if is_needless {
        return Err(Denied::bare(ErrorCode::ELECTION_NOT_NEEDED));
    }
    check_room(records)?;
    let target = Target { election, ..Target::of(partition) };
    match cx.change(topic, partition, target, Shift::default()) {
        Some(change) => {
            records.push(Record::from(change.into_record(topic.id, id)));
            Ok(())
        }
        None => Err(Denied::bare(nobody)),
    }
}

/// Gives leaderships back to preferred replicas, and a leader to partitions without one where the
/// topic allows unclean elections. True when there may be more to do at once.
pub(super) fn balance(cx: &Context<'_>, preferred: bool, records: &mut Records) -> bool {
    for (topic, id, partition) in cx.image.topics.partitions() {
        if records.len() >= ELECTIONS_PER_ROUND_MAX {
            return true;
        }
        let election = match partition.has_leader() {
            true if preferred && !partition.has_preferred_leader() => Election::Preferred,
            false if cx.unclean_election_enabled(&topic.name) => Election::Unclean,
            _ => continue,
        };
        let target = Target { election, ..Target::of(partition) };
        if let Some(change) = cx.change(topic, partition, target, Shift::default()) {
            records.push(Record::from(change.into_record(topic.id, id)));
        }
    }
    false
}
