//! Stories of voters that come, go, move, and lose their disks (KIP-853).
#![allow(clippy::unwrap_used, unreachable_pub)]

mod net;

use std::time::Duration;

use expect_test::expect;
use net::tell::{check, followers, settle, started, world};
use net::{World, key, voter};
use strandline_quorum::{
    Join, KraftVersionRange, Refusal, ReplicaKey, Request, RoleName, Voter, VoterChange,
};
use strandline_types::{LeaderEpoch, NodeId, Uuid};

fn add(id: i32) -> VoterChange {
    VoterChange::Add { voter: voter(id), ack_when_committed: true }
}

/// Every running node knows exactly these voters, by their present disks and addresses.
fn all_know(world: &World, voters: &[i32]) -> bool {
    world.nodes.values().filter_map(|node| node.quorum.as_ref()).all(|quorum| {
        let known = quorum.membership().voters.iter().cloned();
        quorum.membership_is_committed() && known.eq(voters.iter().map(|id| world.voter(*id)))
    })
}

#[test]
fn a_voter_is_added_and_another_removed() {
    let mut world = started(&[1], &[1]);
    world.note("2 fetches as an observer first");
    world.start(2);
    world.run(Duration::from_millis(100));
    world.change_voter(1, add(2));
    settle(&mut world);
    world.change_voter(1, add(2));
    world.note("the leader itself is removed");
    world.change_voter(1, VoterChange::Remove { key: key(1) });
    world.run(Duration::from_millis(5000));
    world.change_voter(2, VoterChange::Remove { key: key(2) });
    check(
        &world,
        &expect![[r#"
            -- 2 fetches as an observer first
            0     2: starts
            1     1: refuses: the epoch is over
            2     2: unattached -> follower, epoch 1
            2     2: persist epoch 1 leader 1
            4     2: append 1 fetched
            4     2: committed 3
            100   1: is asked to add voter 2
            100   1: append Voters[1, 2] at 3@1
            101   2: append 1 fetched
            102   1: committed 4
            102   1: answers: done
            103   2: committed 4
            103   1: is asked to add voter 2
            103   1: refuses: the node is a voter already
            103   1: answers: the node is a voter already
            -- the leader itself is removed
            103   1: is asked to remove voter 1
            103   1: append Voters[2] at 4@1
            105   2: append 1 fetched
            106   1: leader -> resigned, epoch 1
            106   1: committed 5
            106   1: answers: done
            106   1: to 2: epoch 1 ends, preferred [2]
            106   1: refuses: this node does not lead the quorum
            107   2: follower -> leader, epoch 2
            107   2: persist epoch 2 leader 2
            107   2: append LeaderChange(by [2]) at 5@2
            107   2: committed 6
            107   2: ready to lead epoch 2
            108   1: resigned -> follower, epoch 2
            108   1: persist epoch 2 leader 2
            110   1: append 1 fetched
            110   1: committed 6
            5103  2: is asked to remove voter 2
            5103  2: refuses: the node is no voter
            5103  2: answers: the node is no voter
        "#]],
    );
}

#[test]
fn a_new_voter_that_never_catches_up_is_refused() {
    let mut world = started(&[1], &[1]);
    world.change_voter(1, add(2));
    world.change_voter(1, add(3));
    world.run(Duration::from_secs(31));
    check(
        &world,
        &expect![[r#"
            0     1: is asked to add voter 2
            0     1: is asked to add voter 3
            0     1: refuses: another change is under way, or this one took too long
            0     1: answers: another change is under way, or this one took too long
            30000 1: refuses: another change is under way, or this one took too long
            30000 1: answers: another change is under way, or this one took too long
        "#]],
    );
}

/// Nodes that know only where node 1 is.
fn founded_by_one(join: Join, newcomers: &[i32]) -> World {
    let mut world = world(&[1]);
    world.tell_all = false;
    world.join = join;
    world.bootstrap = vec![1];
    world.start(1);
    world.tell_all = true;
    for id in newcomers {
        world.newcomer(*id);
    }
    world
}

#[test]
fn the_second_node_waits_for_a_third_before_both_vote() {
    let mut world = founded_by_one(Join::OnceItHelps, &[2, 3]);
    world.start(2);
    world.tell_controllers(2, &[1, 2]);
    world.run(Duration::from_secs(10));
    assert!(all_know(&world, &[1]));
    world.note("10 s later the third is there");
    world.start(3);
    world.run(Duration::from_millis(10));
    for id in 1..=3 {
        world.tell_controllers(id, &[1, 2, 3]);
    }
    world.run_until(|world| all_know(world, &[1, 2, 3]));
    check(
        &world,
        &expect![[r#"
        0     2: starts
        0     1: committed 3
        0     1: ready to lead epoch 1
        0     1: has joined the voters
        1     1: refuses: the epoch is over
        2     2: unattached -> follower, epoch 1
        2     2: persist epoch 1 leader 1
        4     2: append 1 fetched
        4     2: committed 3
        -- 10 s later the third is there
        10000 3: starts
        10001 1: refuses: the epoch is over
        10002 3: unattached -> follower, epoch 1
        10002 3: persist epoch 1 leader 1
        10004 3: append 1 fetched
        10004 3: committed 3
        10010 2: to 1: add voter 2
        10010 3: to 1: add voter 3
        10011 1: append Voters[1, 2] at 3@1
        10011 1: refuses: another change is under way, or this one took too long
        10012 2: append 1 fetched
        10012 3: append 1 fetched
        10013 1: committed 4
        10014 2: committed 4
        10014 2: has joined the voters
        10014 3: committed 4
        10014 3: to 1: add voter 3
        10015 1: append Voters[1, 2, 3] at 4@1
        10016 2: append 1 fetched
        10016 3: append 1 fetched
        10017 1: committed 5
        10018 2: committed 5
        10018 3: committed 5
        10018 3: has joined the voters
    "#]],
    );
    world.note("who is taken out stays out");
    world.change_voter(1, VoterChange::Remove { key: world.key(3) });
    world.run(Duration::from_secs(10));
    assert!(all_know(&world, &[1, 2]));
}

#[test]
fn a_fourth_controller_of_a_bare_start_only_watches() {
    let mut world = founded_by_one(Join::OnceItHelps, &[2, 3, 4]);
    for id in 2..=4 {
        world.start(id);
        world.tell_controllers(id, &[1, 2, 3, 4]);
    }
    world.run(Duration::from_secs(60));
    let voters: Vec<i32> = world.quorum(1).membership().voters.ids().map(|id| id.0).collect();
    assert_eq!(voters.len(), 3, "{voters:?}");
}

#[test]
fn a_lost_disk_comes_back_as_another_voter() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    world.join = Join::Always;
    world.bootstrap = vec![1, 2, 3];
    world.lose_disk(3);
    world.run_until(|world| all_know(world, &[1, 2, 3]));
    check(
        &world,
        &expect![[r#"
        9     3: crashes
        9     3: starts
        10    2: refuses: the epoch is over
        11    3: unattached -> follower, epoch 1
        11    3: persist epoch 1 leader 1
        13    3: append 1 fetched
        13    3: committed 3
        13    3: to 1: remove voter 3
        14    1: append Voters[1, 2] at 3@1
        15    2: append 1 fetched
        15    3: append 1 fetched
        16    1: committed 4
        17    2: committed 4
        17    3: committed 4
        17    3: to 1: add voter 3
        18    1: append Voters[1, 2, 3] at 4@1
        19    2: append 1 fetched
        19    3: append 1 fetched
        20    1: committed 5
        21    2: committed 5
        21    3: committed 5
    "#]],
    );
}

#[test]
fn a_bare_start_takes_nobody_out_whose_id_it_was_given() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    world.join = Join::OnceItHelps;
    world.bootstrap = vec![1, 2, 3];
    let before = world.key(3);
    world.lose_disk(3);
    world.run(Duration::from_secs(10));
    let votes = |world: &World| world.quorum(1).membership().voters.get(NodeId(3)).unwrap().key;
    assert_eq!(votes(&world), before, "the cluster has not said that the id is its own");
    world.tell_controllers(3, &[1, 2, 3]);
    world.run_until(|world| all_know(world, &[1, 2, 3]));
    assert_ne!(votes(&world), before);
}

#[test]
fn who_cannot_be_sure_of_its_id_takes_nobody_out_and_joins_once_its_former_self_is() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    world.join = Join::OnceItHelps;
    world.replaces_former_self = false;
    world.bootstrap = vec![1, 2, 3];
    let before = world.key(3);
    world.lose_disk(3);
    world.tell_controllers(3, &[1, 2, 3]);
    world.run(Duration::from_secs(10));
    let voters = world.quorum(1).membership().voters.clone();
    assert_eq!(voters.get(NodeId(3)).unwrap().key, before);
    world.change_voter(world.leader().unwrap(), VoterChange::Remove { key: before });
    world.run_until(|world| all_know(world, &[1, 2, 3]));
}

#[test]
fn two_lost_disks_of_three_make_no_leader() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    world.append(world.leader().unwrap(), &[100]);
    settle(&mut world);
    let keeper = followers(&world)[0];
    world.join = Join::Always;
    world.bootstrap = vec![1, 2, 3];
    world.crash(keeper);
    for id in (1..=3).filter(|id| *id != keeper) {
        world.lose_disk(id);
    }
    world.start(keeper);
    world.run(Duration::from_secs(60));
    assert_eq!(world.leaders(), []);
    let keeper = world.quorum(keeper);
    assert_ne!(keeper.role(), RoleName::Leader, "its log is whole, but others may know more");
    for id in (1..=3).filter(|id| *id != keeper.me().id.0) {
        assert_eq!(world.quorum(id).log_end().0, 0, "nothing was made up");
    }
}

#[test]
fn a_voter_says_where_it_listens_now() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    let follower = followers(&world)[0];
    world.note("a follower moves");
    world.move_house(follower);
    world.run_until(|world| all_know(world, &[1, 2, 3]));
    assert_eq!(world.leader(), Some(leader));
    world.note("the leader moves");
    world.move_house(leader);
    world.run_until(|world| all_know(world, &[1, 2, 3]));
    check(
        &world,
        &expect![[r#"
            -- a follower moves
            9     2: crashes
            9     2: starts
            11    2: committed 3
            11    2: to 1: update voter 2
            12    1: append Voters[1, 2, 3] at 3@1
            13    3: append 1 fetched
            13    2: append 1 fetched
            14    1: committed 4
            15    3: committed 4
            15    2: committed 4
            -- the leader moves
            15    1: crashes
            15    1: starts
            15    1: persist epoch 2
            15    1: unattached -> prospective, epoch 2
            15    1: to 2: pre-vote epoch 2, log 4@1?
            15    1: to 3: pre-vote epoch 2, log 4@1?
            16    1: refuses: the epoch is over
            16    1: refuses: the epoch is over
            16    2: follower -> unattached, epoch 2
            16    2: persist epoch 2
            16    2: grants
            16    3: follower -> unattached, epoch 2
            16    3: persist epoch 2
            16    3: grants
            17    1: prospective -> candidate, epoch 3
            17    1: persist epoch 3 voted 1
            17    1: to 2: vote epoch 3, log 4@1?
            17    1: to 3: vote epoch 3, log 4@1?
            18    2: persist epoch 3 voted 1
            18    2: grants
            18    3: persist epoch 3 voted 1
            18    3: grants
            19    1: candidate -> leader, epoch 3
            19    1: persist epoch 3 leader 1
            19    1: append LeaderChange(by [1, 2]), KraftVersion(1), Voters[1, 2, 3] at 4@3
            19    1: to 2: I lead epoch 3
            19    1: to 3: I lead epoch 3
            20    2: unattached -> follower, epoch 3
            20    2: persist epoch 3 leader 1 voted 1
            20    3: unattached -> follower, epoch 3
            20    3: persist epoch 3 leader 1 voted 1
            22    2: append 1 fetched
            22    3: append 1 fetched
            23    1: committed 7
            23    1: ready to lead epoch 3
            24    2: committed 7
            24    3: committed 7
        "#]],
    );
}

#[test]
fn a_sole_voter_that_moved_tells_those_that_come_later() {
    let mut world = founded_by_one(Join::Never, &[2]);
    world.move_house(1);
    world.start(2);
    world.run_until(|world| all_know(world, &[1]));
    assert_eq!(world.quorum(2).membership().voters.get(NodeId(1)), Some(&world.voter(1)));
}

#[test]
fn a_removal_that_no_majority_holds_is_undone() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    world.cut_off(leader);
    world.change_voter(leader, VoterChange::Remove { key: key(followers(&world)[0]) });
    world.run(Duration::from_secs(6));
    world.heal();
    world.run_until(|world| all_know(world, &[1, 2, 3]));
    settle(&mut world);
    assert_ne!(world.leader(), Some(leader));
}

#[test]
fn changes_that_cannot_be_are_refused() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    let follower = followers(&world)[0];
    let epoch = world.quorum(leader).epoch();
    let other_disk = |id| ReplicaKey::new(NodeId(id), Uuid::from_u128(77));
    let with = |change: &dyn Fn(&mut Voter)| {
        let mut four = voter(4);
        change(&mut four);
        VoterChange::Add { voter: four, ack_when_committed: true }
    };
    let update = |epoch, voter| VoterChange::Update { epoch, voter };
    let old = KraftVersionRange { min: 0, max: 0 };
    let cases = [
        ("no leader", follower, add(4), Refusal::NotLeaderOrFollower),
        ("the same id", leader, add(2), Refusal::DuplicateVoter),
        (
            "the same id on another disk",
            leader,
            with(&|it| it.key = other_disk(2)),
            Refusal::DuplicateVoter,
        ),
        ("nowhere", leader, with(&|it| it.endpoints.clear()), Refusal::InvalidRequest),
        (
            "by another listener",
            leader,
            with(&|it| it.endpoints[0].listener = "PLAINTEXT".into()),
            Refusal::InvalidRequest,
        ),
        ("no disk", leader, with(&|it| it.key.directory_id = Uuid::ZERO), Refusal::InvalidRequest),
        ("no id", leader, with(&|it| it.key.id = NodeId(-1)), Refusal::InvalidRequest),
        ("an old program", leader, with(&|it| it.kraft_versions = old), Refusal::InvalidRequest),
        ("a stranger", leader, VoterChange::Remove { key: key(4) }, Refusal::VoterNotFound),
        (
            "another disk",
            leader,
            VoterChange::Remove { key: other_disk(2) },
            Refusal::VoterNotFound,
        ),
        ("unknown", leader, update(epoch, voter(4)), Refusal::VoterNotFound),
        (
            "unknown by this disk",
            leader,
            update(epoch, Voter { key: other_disk(2), ..voter(2) }),
            Refusal::VoterNotFound,
        ),
        (
            "too old",
            leader,
            update(epoch, Voter { kraft_versions: old, ..voter(2) }),
            Refusal::InvalidRequest,
        ),
        ("earlier", leader, update(LeaderEpoch(0), voter(2)), Refusal::FencedLeaderEpoch),
        ("later", leader, update(LeaderEpoch(9), voter(2)), Refusal::UnknownLeaderEpoch),
    ];
    for (what, node, change, refusal) in cases {
        world.trace.clear();
        world.ask(node, Request::ChangeVoter(change));
        let answer = format!("answers: {refusal}\n");
        assert!(world.trace.ends_with(&answer), "{what}: {}", world.trace);
    }
    let log_end = world.quorum(leader).log_end();
    world.run(Duration::from_millis(100));
    assert_eq!(world.quorum(leader).log_end(), log_end, "nothing was written");
    world.change_voter(leader, update(epoch, voter(2)));
    assert_eq!(world.quorum(leader).log_end(), log_end, "nor for what is known already");
}
