//! What `drain` and `rebalance` are after, and what stands in their way.

use strandline_client::Partition;
use strandline_client::admin::Reassignment;
use strandline_client::plan::{self, Move};
use strandline_types::{NodeId, TopicPartition};

use super::membership;
use super::view::View;
use crate::failure::Failure;
use crate::output::nodes;

/// A person reads so many of many partitions.
const NAMED_MAX: usize = 8;

/// What the cluster should become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goal {
    /// This broker holds nothing.
    Empty(NodeId),
    /// All brokers hold and lead as many.
    Spread,
}

impl Goal {
    /// Continues "cannot ".
    pub(super) fn what(self) -> String {
        match self {
            Self::Empty(node) => format!("empty broker {node}"),
            Self::Spread => "rebalance the cluster".into(),
        }
    }

    pub(super) fn command(self) -> String {
        match self {
            Self::Empty(node) => format!("strandline cluster drain {node}"),
            Self::Spread => "strandline cluster rebalance".into(),
        }
    }

    /// What has to move that does not move yet.
    pub(super) fn plan(self, view: &View) -> Result<Vec<Move>, Failure> {
        match self {
            Self::Spread => {
                check_answers(view)?;
                Ok(plan::rebalance(&view.places(), &view.placed()))
            }
            Self::Empty(node) => plan::drain(&view.places(), &view.placed(), node)
                .map_err(|stuck| no_place(node, &stuck)),
        }
    }

    /// What should not even begin.
    pub(super) fn check(self, view: &View) -> Result<(), Failure> {
        match self {
            Self::Empty(node) if view.node(node).is_none() => Err(membership::unknown(node)),
            Self::Empty(node) => check_leaders(view, node),
            Self::Spread => Ok(()),
        }
    }

    /// Moves under way that serve the goal.
    pub(super) fn under_way(self, view: &View) -> Vec<TopicPartition> {
        let serves = |(_, moves): &(&TopicPartition, &Reassignment)| match self {
            Self::Empty(node) => moves.removing.contains(&node),
            Self::Spread => true,
        };
        view.moving.iter().filter(serves).map(|(partition, _)| partition.clone()).collect()
    }
}

/// Nobody can copy what nobody leads.
fn check_leaders(view: &View, node: NodeId) -> Result<(), Failure> {
    let is_stuck =
        |(_, it): &(TopicPartition, &Partition)| it.replicas.contains(&node) && it.leader.is_none();
    let stuck: Vec<String> = view
        .partitions()
        .filter(is_stuck)
        .map(|(name, it)| format!("{name} has no leader; replicas {}", nodes(&it.replicas)))
        .collect();
    match stuck.is_empty() {
        true => Ok(()),
        false => Err(reasons(Failure::new(format!("cannot empty broker {node}")), &stuck)
            .next("start the brokers that have these partitions, or delete their topics")),
    }
}

/// Without a broker that is silent for a moment, what is lopsided would pass for balanced.
fn check_answers(view: &View) -> Result<(), Failure> {
    let silent: Vec<NodeId> = view.silent().collect();
    match silent.is_empty() {
        true => Ok(()),
        false => Err(Failure::new("cannot rebalance the cluster")
            .reason(format!("of these brokers nobody knows what they hold: {}", nodes(&silent)))
            .next("look at their logs, or stop them: brokers that are stopped are left out")),
    }
}

fn no_place(node: NodeId, stuck: &[plan::Unplaceable]) -> Failure {
    let texts: Vec<String> = stuck
        .iter()
        .map(|it| {
            let (name, replicas, open) = (&it.partition, it.replicas, it.open_brokers);
            let room = match it.without_room {
                0 => String::new(),
                count => format!(", {count} of them without room for it"),
            };
            format!(
                "{name} has {replicas} replicas, and {open} other brokers take partitions{room}"
            )
        })
        .collect();
    reasons(
        Failure::new(format!("cannot empty broker {node}: its replicas have no other place")),
        &texts,
    )
    .next("start another broker, uncordon one, or give these topics fewer replicas")
}

fn reasons(failure: Failure, texts: &[String]) -> Failure {
    let failure = texts.iter().take(NAMED_MAX).fold(failure, |it, text| it.reason(text));
    match texts.len().checked_sub(NAMED_MAX) {
        Some(more @ 1..) => failure.reason(format!("and {more} more")),
        _ => failure,
    }
}
