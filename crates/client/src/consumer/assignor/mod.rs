//! Who reads which partition: the leader of a group decides for all its members.

mod range;
mod round_robin;
mod sticky;

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::TopicPartition;

/// A strategy, under the name that members of other languages know it by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assignor {
    /// Neighbouring partitions, topic by topic: equal keys of two topics meet in one member.
    Range,
    /// One partition after the other, over all topics.
    RoundRobin,
    /// Balanced, with as few moves as that allows.
    Sticky,
    /// Like [`Assignor::Sticky`], and members keep reading what they keep (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    pub const ALL: [Self; 4] =
        [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    pub const fn is_cooperative(self) -> bool {
        matches!(self, Self::CooperativeSticky)
    }

    pub(super) fn assign(self, members: &[Member], topics: &PartitionCounts) -> Assignments {
        match self {
            Self::Range => range::assign(members, topics),
            Self::RoundRobin => round_robin::assign(members, topics),
            Self::Sticky => sticky::assign(members, topics),
            Self::CooperativeSticky => {
                sticky::without_moves(members, sticky::assign(members, topics))
            }
        }
    }
}

/// Partitions by topic; unknown topics are absent.
pub(super) type PartitionCounts = BTreeMap<String, i32>;

/// Partitions by member id. Every member is there.
pub(super) type Assignments = BTreeMap<String, Vec<TopicPartition>>;

/// What a member told when it joined.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) topics: BTreeSet<String>,
    pub(super) owned: Vec<TopicPartition>,
    /// The generation in which it owned them; −1 when it did not say.
    pub(super) generation: i32,
}

/// Static members first, by the name that survives their restarts; then the others.
fn in_order(members: &[Member]) -> Vec<&Member> {
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by(|left, right| {
        let key = |member: &Member| match &member.instance_id {
            Some(instance) => (0, instance.clone()),
            None => (1, member.id.clone()),
        };
        key(left).cmp(&key(right))
    });
    sorted
}

fn nothing_for(members: &[Member]) -> Assignments {
    members.iter().map(|member| (member.id.clone(), Vec::new())).collect()
}

#[cfg(test)]
mod tests;
