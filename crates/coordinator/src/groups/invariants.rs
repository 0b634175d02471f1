//! What must hold of a group after every decision.

use alloc::collections::BTreeSet;

use crate::groups::group::{Group, State};
use crate::groups::members::Member;
use crate::groups::shard::Durable;

/// # Panics
/// When an invariant is broken: nothing that the group would say could be trusted.
pub(crate) fn check(group: &Group, durable: &Durable) {
    group.members.assert_consistent();
    let members = &group.members;
    assert!(
        group.leader.as_ref().map_or(members.is_empty(), |leader| members.contains(leader)),
        "GROUP-3: a group with members is led by one of them"
    );
    let (can_join, can_sync) = match group.state {
        State::Empty => (false, false),
        State::PreparingRebalance => (true, false),
        State::CompletingRebalance => (false, true),
        State::Stable => (false, false),
    };
    assert!(
        can_join || members.iter().all(|(_, it)| it.parked_join.is_none()),
        "GROUP-4: a JoinGroup waits only for the end of a join phase"
    );
    assert!(
        can_sync || members.iter().all(|(_, it)| it.parked_sync.is_none()),
        "GROUP-4: a SyncGroup waits only for an assignment"
    );
    let is_watched = |it: &Member| it.session_ends.is_some() || it.is_excused();
    assert!(members.iter().all(|(_, it)| is_watched(it)), "GROUP-5: every member is watched");
    assert!(!can_join || group.join_phase.is_some(), "GROUP-5: every join phase ends");
    assert!(
        group.pending_syncs.is_empty() || group.sync_ends.is_some() || can_join,
        "GROUP-5: members are waited for only so long"
    );
    match group.state {
        State::Empty => assert!(members.is_empty(), "GROUP-6: an empty group has no members"),
        State::PreparingRebalance => {}
        State::CompletingRebalance => {
            assert!(
                !members.is_empty() && group.protocol.is_some(),
                "GROUP-6: nobody to assign to"
            );
        }
        State::Stable => check_persisted(group, durable),
    }
}

/// GROUP-7: what members of a stable group were told is what a replay would tell them.
fn check_persisted(group: &Group, durable: &Durable) {
    let persisted = durable.groups.get(&group.id).expect("GROUP-7: a stable group is persisted");
    assert_eq!(persisted.generation, group.generation, "GROUP-7: generation");
    let written: BTreeSet<_> = persisted.members.iter().map(|it| &it.member_id).collect();
    assert!(written.into_iter().eq(group.members.ids()), "GROUP-7: members");
    let assigned = persisted.members.iter().all(|it| {
        group.members.get(&it.member_id).is_some_and(|member| member.assignment == it.assignment)
    });
    assert!(assigned, "GROUP-7: assignments");
}
