//! One partition after the other, over all topics.

use strandline_types::{PartitionId, TopicPartition};

use super::{Assignments, Member, PartitionCounts, in_order, nothing_for};

pub(super) fn assign(members: &[Member], topics: &PartitionCounts) -> Assignments {
    let mut assignments = nothing_for(members);
    let sorted = in_order(members);
    let mut turn = 0;
    for (topic, count) in topics {
        if !sorted.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..*count {
            while !sorted[turn % sorted.len()].topics.contains(topic) {
                turn += 1;
            }
            let member = sorted[turn % sorted.len()];
            let partition =
                TopicPartition { topic: topic.clone(), partition: PartitionId(partition) };
            assignments.entry(member.id.clone()).or_default().push(partition);
            turn += 1;
        }
    }
    assignments
}
