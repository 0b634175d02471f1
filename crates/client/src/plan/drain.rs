//! How a broker is emptied.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use strandline_types::{NodeId, TopicPartition};

use super::loads::Loads;
use super::{Move, Place, Placed};

/// A partition that no other broker can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unplaceable {
    pub partition: TopicPartition,
    pub replicas: usize,
    /// Brokers that are open, the one that is emptied left out.
    pub open_brokers: usize,
    /// How many of them have no replica of it yet, but no room either.
    pub without_room: usize,
}

/// What empties `leaving`: each of its replicas goes to one other broker, and no other replica moves.
///
/// A partition keeps its number of replicas, and does not share a rack where it need not. Brokers
/// with few replicas, then few bytes, are taken first, and only those with room. What `leaving` was
/// the preferred leader of gets the one of its replicas that is preferred least often.
///
/// # Errors
/// Every partition that nobody can take.
pub fn drain(
    places: &[Place],
    partitions: &[Placed],
    leaving: NodeId,
) -> Result<Vec<Move>, Vec<Unplaceable>> {
    let mut loads = Loads::new(places, partitions);
    loads.close(leaving);
    let mut affected: Vec<&Placed> =
        partitions.iter().filter(|it| it.replicas.contains(&leaving)).collect();
    // The large ones first: the small ones even out what those leave.
    affected.sort_by_key(|it| (Reverse(it.bytes), &it.partition));
    let (mut moves, mut unplaceable) = (Vec::new(), Vec::new());
    for placed in affected {
        let stays = |id: &NodeId| *id != leaving;
        let others: Vec<NodeId> = placed.replicas.iter().copied().filter(stays).collect();
        let Some(taker) = taker(&loads, placed, &others) else {
            unplaceable.push(objection(&loads, placed));
            continue;
        };
        let mut to: Vec<NodeId> =
            placed.replicas.iter().map(|id| if *id == leaving { taker } else { *id }).collect();
        if placed.replicas.first() == Some(&leaving) {
            // One that has the records can lead before the copy has arrived.
            let key = |at: &usize| (loads.preferred_count(to[*at]), to[*at] == taker, *at);
            let first = (0..to.len()).min_by_key(key).unwrap_or(0);
            to[..=first].rotate_right(1);
        }
        loads.forget(placed);
        let after = Placed { replicas: to.clone(), ..placed.clone() };
        loads.count(&after);
        loads.take_room(taker, placed.bytes);
        moves.push(Move {
            partition: placed.partition.clone(),
            from: placed.replicas.clone(),
            to,
            bytes: placed.bytes,
        });
    }
    moves.sort_by(|left, right| left.partition.cmp(&right.partition));
    unplaceable.sort_by(|left, right| left.partition.cmp(&right.partition));
    if unplaceable.is_empty() { Ok(moves) } else { Err(unplaceable) }
}

fn taker(loads: &Loads<'_>, placed: &Placed, others: &[NodeId]) -> Option<NodeId> {
    let racks: BTreeSet<Option<&str>> = others.iter().map(|id| loads.rack(*id)).collect();
    let candidates = candidates(loads, placed).filter(|id| loads.has_room(*id, placed.bytes));
    candidates.min_by_key(|id| {
        let shares_rack = racks.contains(&loads.rack(*id));
        (shares_rack, loads.replica_count(*id), loads.bytes(*id), *id)
    })
}

/// Open brokers that have no replica of the partition.
fn candidates(loads: &Loads<'_>, placed: &Placed) -> impl Iterator<Item = NodeId> {
    loads.open().filter(|id| !placed.replicas.contains(id))
}

fn objection(loads: &Loads<'_>, placed: &Placed) -> Unplaceable {
    Unplaceable {
        partition: placed.partition.clone(),
        replicas: placed.replicas.len(),
        open_brokers: loads.open().count(),
        without_room: candidates(loads, placed).count(),
    }
}
