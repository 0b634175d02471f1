//! Balanced, with as few moves as that allows.

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::{PartitionId, TopicPartition};

use super::{Assignments, Member, PartitionCounts, in_order};

type Shares<'a> = BTreeMap<&'a str, BTreeSet<TopicPartition>>;

pub(super) fn assign(members: &[Member], topics: &PartitionCounts) -> Assignments {
    let sorted = in_order(members);
    let owners = owners(members);
    let mut shares: Shares<'_> =
        members.iter().map(|member| (member.id.as_str(), BTreeSet::new())).collect();
    let mut free = Vec::new();
    for (topic, count) in topics {
        for partition in (0..*count).map(PartitionId) {
            let partition = TopicPartition { topic: topic.clone(), partition };
            let owner = owners.get(&partition).filter(|owner| owner.topics.contains(topic));
            match owner.and_then(|owner| shares.get_mut(owner.id.as_str())) {
                Some(share) => drop(share.insert(partition)),
                None => free.push(partition),
            }
        }
    }
    for partition in free {
        let readers = sorted.iter().filter(|member| member.topics.contains(&partition.topic));
        let Some(least) = readers.min_by_key(|member| shares[member.id.as_str()].len()) else {
            continue;
        };
        shares.entry(&least.id).or_default().insert(partition);
    }
    while let Some((from, to, partition)) = next_move(&sorted, &shares) {
        shares.entry(from).or_default().remove(&partition);
        shares.entry(to).or_default().insert(partition);
    }
    let owned = |(id, share): (&str, BTreeSet<_>)| (id.to_owned(), share.into_iter().collect());
    shares.into_iter().map(owned).collect()
}

/// A partition whose move brings two members closer together. Each move lowers the sum of the
/// squares of the shares, so there is a last one.
fn next_move<'a>(
    sorted: &[&'a Member],
    shares: &Shares<'a>,
) -> Option<(&'a str, &'a str, TopicPartition)> {
    let len = |member: &Member| shares[member.id.as_str()].len();
    let mut by_load: Vec<&Member> = sorted.to_vec();
    by_load.sort_by_key(|member| len(member));
    for from in by_load.iter().rev() {
        for to in by_load.iter().take_while(|to| len(to) + 1 < len(from)) {
            let share = shares[from.id.as_str()].iter().rev();
            if let Some(partition) = share.into_iter().find(|p| to.topics.contains(&p.topic)) {
                return Some((&from.id, &to.id, partition.clone()));
            }
        }
    }
    None
}

/// Who owns what, by the word of the latest generation; a partition that two members claim for the
/// same generation belongs to neither.
fn owners(members: &[Member]) -> BTreeMap<TopicPartition, &Member> {
    let mut claims: BTreeMap<TopicPartition, Vec<&Member>> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            claims.entry(partition.clone()).or_default().push(member);
        }
    }
    let claims = claims.into_iter();
    claims
        .filter_map(|(partition, claims)| {
            let latest = claims.iter().map(|member| member.generation).max()?;
            let mut latest = claims.into_iter().filter(|member| member.generation == latest);
            match (latest.next(), latest.next()) {
                (Some(owner), None) => Some((partition, owner)),
                _ => None,
            }
        })
        .collect()
}

/// Leaves out what would move from one member to another: its owner must give it up first, and the
/// next round hands it on.
pub(super) fn without_moves(members: &[Member], mut assignments: Assignments) -> Assignments {
    for member in members {
        for partition in &member.owned {
            for (id, share) in &mut assignments {
                if *id != member.id {
                    share.retain(|assigned| assigned != partition);
                }
            }
        }
    }
    assignments
}
