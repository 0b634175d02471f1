//! Neighbouring partitions, topic by topic.

use strandline_types::{PartitionId, TopicPartition};

use super::{Assignments, Member, PartitionCounts, in_order, nothing_for};

pub(super) fn assign(members: &[Member], topics: &PartitionCounts) -> Assignments {
    let mut assignments = nothing_for(members);
    let sorted = in_order(members);
    for (topic, count) in topics {
        let readers: Vec<_> = sorted.iter().filter(|m| m.topics.contains(topic)).collect();
        let Ok(among) = i32::try_from(readers.len()) else { continue };
        if among == 0 {
            continue;
        }
        let (each, extra) = (count / among, count % among);
        let mut next = 0;
        for (index, member) in (0..).zip(readers) {
            let end = next + each + i32::from(index < extra);
            let partitions = (next..end).map(|partition| TopicPartition {
                topic: topic.clone(),
                partition: PartitionId(partition),
            });
            assignments.entry(member.id.clone()).or_default().extend(partitions);
            next = end;
        }
    }
    assignments
}
