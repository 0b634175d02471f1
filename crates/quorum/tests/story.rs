//! The protocol as stories: each line is a millisecond, a node, and what it does. Timers, empty
//! fetches and their answers are left out.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod net;

use std::time::Duration;

use expect_test::{Expect, expect};
use net::{CALM, World, key, voter};
use strandline_quorum::{ReplicaKey, Request, Vote, VoterChange};
use strandline_types::{LeaderEpoch, NodeId, Offset};

fn world(voters: &[i32]) -> World {
    World::new(7, voters, CALM)
}

fn started(voters: &[i32], nodes: &[i32]) -> World {
    let mut world = world(voters);
    world.tell_all = false;
    for id in nodes {
        world.start(*id);
    }
    world.run_until(|world| world.leader().is_some_and(|id| caught_up(world, id)));
    world.tell_all = true;
    world
}

/// All running nodes know everything to be committed.
fn caught_up(world: &World, leader: i32) -> bool {
    let end = world.quorum(leader).log_end();
    world.nodes.values().filter_map(|node| node.quorum.as_ref()).all(|quorum| {
        quorum.high_watermark() == end && quorum.epoch() == world.quorum(leader).epoch()
    })
}

fn settle(world: &mut World) {
    world.run_until(|world| world.leader().is_some_and(|id| caught_up(world, id)));
}

fn check(world: &World, story: &Expect) {
    story.assert_eq(&world.trace);
}

fn followers(world: &World) -> Vec<i32> {
    let leader = world.leader().unwrap();
    world.nodes.keys().copied().filter(|id| *id != leader).collect()
}

#[test]
fn a_single_voter_leads_at_once() {
    let mut world = world(&[1]);
    world.start(1);
    world.append(1, &[100, 101]);
    world.run(Duration::from_millis(0));
    check(
        &world,
        &expect![[r#"
            0     1: starts
            0     1: persist epoch 1 leader 1
            0     1: append LeaderChange(by [1]), KraftVersion(1), Voters[1] at 0@1
            0     1: is asked to append [100, 101]
            0     1: append at 3@1
            0     1: committed 5
            0     1: ready to lead epoch 1
        "#]],
    );
}

#[test]
fn a_single_voter_restarts_in_a_new_epoch() {
    let mut world = started(&[1], &[1]);
    world.crash(1);
    world.start(1);
    world.run(Duration::from_secs(5));
    check(
        &world,
        &expect![[r#"
            0     1: crashes
            0     1: starts
            0     1: persist epoch 2 leader 1
            0     1: append LeaderChange(by [1]) at 3@2
            0     1: committed 4
            0     1: ready to lead epoch 2
        "#]],
    );
}

#[test]
fn three_voters_elect_a_leader() {
    let mut world = world(&[1, 2, 3]);
    for id in 1..=3 {
        world.start(id);
    }
    settle(&mut world);
    let leader = world.leader().unwrap();
    world.append(leader, &[100]);
    settle(&mut world);
    check(
        &world,
        &expect![[r#"
            0     1: starts
            0     2: starts
            0     3: starts
            1437  3: unattached -> prospective, epoch 0
            1437  3: to 1: pre-vote epoch 0, log 0@0?
            1437  3: to 2: pre-vote epoch 0, log 0@0?
            1438  1: grants
            1438  2: grants
            1439  3: prospective -> candidate, epoch 1
            1439  3: persist epoch 1 voted 3
            1439  3: to 1: vote epoch 1, log 0@0?
            1439  3: to 2: vote epoch 1, log 0@0?
            1440  1: persist epoch 1 voted 3
            1440  1: grants
            1440  2: persist epoch 1 voted 3
            1440  2: grants
            1441  3: candidate -> leader, epoch 1
            1441  3: persist epoch 1 leader 3
            1441  3: append LeaderChange(by [1, 3]), KraftVersion(1), Voters[1, 2, 3] at 0@1
            1441  3: to 1: I lead epoch 1
            1441  3: to 2: I lead epoch 1
            1442  1: unattached -> follower, epoch 1
            1442  1: persist epoch 1 leader 3 voted 3
            1442  2: unattached -> follower, epoch 1
            1442  2: persist epoch 1 leader 3 voted 3
            1444  1: append 1 fetched
            1444  2: append 1 fetched
            1445  3: committed 3
            1445  3: ready to lead epoch 1
            1446  1: committed 3
            1446  2: committed 3
            1446  3: is asked to append [100]
            1446  3: append at 3@1
            1448  1: append 1 fetched
            1448  2: append 1 fetched
            1449  3: committed 4
            1450  1: committed 4
            1450  2: committed 4
        "#]],
    );
}

#[test]
fn a_stale_log_gets_no_vote() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    let [stale, fresh] = followers(&world)[..] else { unreachable!() };
    world.crash(stale);
    world.append(leader, &[100]);
    settle(&mut world);
    world.crash(leader);
    world.cut_off(fresh);
    world.start(stale);
    world.run(Duration::from_millis(2500));
    world.note("together again");
    world.heal();
    settle(&mut world);
    check(
        &world,
        &expect![[r#"
            1446  1: crashes
            1446  3: is asked to append [100]
            1446  3: append at 3@1
            1448  2: append 1 fetched
            1449  3: committed 4
            1450  2: committed 4
            1450  3: crashes
            1450  2: is cut off
            1450  1: starts
            3489  2: follower -> prospective, epoch 1
            3489  2: to 1: pre-vote epoch 1, log 4@1?
            3489  2: to 3: pre-vote epoch 1, log 4@1?
            3501  1: follower -> prospective, epoch 1
            3501  1: to 2: pre-vote epoch 1, log 3@1?
            3501  1: to 3: pre-vote epoch 1, log 3@1?
            3510  2: to 3: pre-vote epoch 1, log 4@1?
            3522  1: to 3: pre-vote epoch 1, log 3@1?
            3551  2: to 3: pre-vote epoch 1, log 4@1?
            3563  1: to 3: pre-vote epoch 1, log 3@1?
            3632  2: to 3: pre-vote epoch 1, log 4@1?
            3644  1: to 3: pre-vote epoch 1, log 3@1?
            3793  2: to 3: pre-vote epoch 1, log 4@1?
            3805  1: to 3: pre-vote epoch 1, log 3@1?
            -- together again
            4114  2: to 3: pre-vote epoch 1, log 4@1?
            4126  1: to 3: pre-vote epoch 1, log 3@1?
            4568  1: prospective -> follower, epoch 1
            4755  2: to 3: pre-vote epoch 1, log 4@1?
            5001  2: prospective -> follower, epoch 1
            6636  1: follower -> prospective, epoch 1
            6636  1: to 2: pre-vote epoch 1, log 3@1?
            6636  1: to 3: pre-vote epoch 1, log 3@1?
            6637  2: denies
            6657  1: to 3: pre-vote epoch 1, log 3@1?
            6698  1: to 3: pre-vote epoch 1, log 3@1?
            6779  1: to 3: pre-vote epoch 1, log 3@1?
            6940  1: to 3: pre-vote epoch 1, log 3@1?
            7175  2: follower -> prospective, epoch 1
            7175  2: to 1: pre-vote epoch 1, log 4@1?
            7175  2: to 3: pre-vote epoch 1, log 4@1?
            7176  1: grants
            7177  2: prospective -> candidate, epoch 2
            7177  2: persist epoch 2 voted 2
            7177  2: to 1: vote epoch 2, log 4@1?
            7177  2: to 3: vote epoch 2, log 4@1?
            7178  1: prospective -> unattached, epoch 2
            7178  1: persist epoch 2 voted 2
            7178  1: grants
            7179  2: candidate -> leader, epoch 2
            7179  2: persist epoch 2 leader 2
            7179  2: append LeaderChange(by [1, 2]) at 4@2
            7179  2: to 1: I lead epoch 2
            7179  2: to 3: I lead epoch 2
            7180  1: unattached -> follower, epoch 2
            7180  1: persist epoch 2 leader 2 voted 2
            7182  1: append 2 fetched
            7182  1: committed 4
            7183  2: committed 5
            7183  2: ready to lead epoch 2
            7184  1: committed 5
        "#]],
    );
}

#[test]
fn a_vote_goes_to_one_candidate_with_a_good_log() {
    let mut world = world(&[1, 2, 3, 4, 5]);
    world.start(1);
    let vote = |epoch, candidate, last_epoch, end_offset| Vote {
        epoch: LeaderEpoch(epoch),
        candidate: key(candidate),
        voter: key(1),
        last_epoch: LeaderEpoch(last_epoch),
        end_offset: Offset(end_offset),
        pre_vote: false,
    };
    world.note("an empty log grants a vote once, and again to whom it was given");
    world.ask(1, Request::Vote(vote(1, 2, 0, 0)));
    world.ask(1, Request::Vote(vote(1, 3, 0, 9)));
    world.ask(1, Request::Vote(vote(1, 2, 0, 0)));
    world.note("the vote survives a crash, once it was told");
    world.run(Duration::from_millis(1));
    world.crash(1);
    world.start(1);
    world.ask(1, Request::Vote(vote(1, 3, 0, 9)));
    world.note("this node becomes leader of epoch 2 and writes, but for nobody else");
    world.become_leader(1);
    world.append(1, &[100]);
    world.note("a shorter log and an older one get no vote, though their epoch counts");
    world.ask(1, Request::Vote(vote(7, 2, 2, 3)));
    world.ask(1, Request::Vote(vote(8, 2, 1, 99)));
    world.ask(1, Request::Vote(vote(9, 2, 2, 4)));
    world.note("an old epoch, another directory, and nonsense");
    world.ask(1, Request::Vote(vote(3, 2, 2, 4)));
    let stranger =
        Vote { voter: ReplicaKey::new(NodeId(1), key(9).directory_id), ..vote(9, 2, 2, 4) };
    world.ask(1, Request::Vote(stranger));
    world.ask(1, Request::Vote(vote(10, 2, 10, 4)));
    check(
        &world,
        &expect![[r#"
        0     1: starts
        -- an empty log grants a vote once, and again to whom it was given
        0     1: is asked: by 2: vote epoch 1, log 0@0?
        0     1: persist epoch 1 voted 2
        0     1: grants
        0     1: answers: granted true
        0     1: is asked: by 3: vote epoch 1, log 9@0?
        0     1: denies
        0     1: answers: granted false
        0     1: is asked: by 2: vote epoch 1, log 0@0?
        0     1: grants
        0     1: answers: granted true
        -- the vote survives a crash, once it was told
        1     1: crashes
        1     1: starts
        1     1: is asked: by 3: vote epoch 1, log 9@0?
        1     1: denies
        1     1: answers: granted false
        -- this node becomes leader of epoch 2 and writes, but for nobody else
        1301  1: unattached -> prospective, epoch 1
        1301  1: to 2: pre-vote epoch 1, log 0@0?
        1301  1: to 3: pre-vote epoch 1, log 0@0?
        1301  1: to 4: pre-vote epoch 1, log 0@0?
        1301  1: to 5: pre-vote epoch 1, log 0@0?
        1302  1: prospective -> candidate, epoch 2
        1302  1: persist epoch 2 voted 1
        1302  1: to 2: vote epoch 2, log 0@0?
        1302  1: to 3: vote epoch 2, log 0@0?
        1302  1: to 4: vote epoch 2, log 0@0?
        1302  1: to 5: vote epoch 2, log 0@0?
        1302  1: candidate -> leader, epoch 2
        1302  1: persist epoch 2 leader 1
        1302  1: append LeaderChange(by [1, 2, 3]), KraftVersion(1), Voters[1, 2, 3, 4, 5] at 0@2
        1302  1: to 2: I lead epoch 2
        1302  1: to 3: I lead epoch 2
        1302  1: to 4: I lead epoch 2
        1302  1: to 5: I lead epoch 2
        1302  1: is asked to append [100]
        1302  1: append at 3@2
        -- a shorter log and an older one get no vote, though their epoch counts
        1302  1: is asked: by 2: vote epoch 7, log 3@2?
        1302  1: leader -> unattached, epoch 7
        1302  1: persist epoch 7
        1302  1: denies
        1302  1: answers: granted false
        1302  1: is asked: by 2: vote epoch 8, log 99@1?
        1302  1: persist epoch 8
        1302  1: denies
        1302  1: answers: granted false
        1302  1: is asked: by 2: vote epoch 9, log 4@2?
        1302  1: persist epoch 9 voted 2
        1302  1: grants
        1302  1: answers: granted true
        -- an old epoch, another directory, and nonsense
        1302  1: is asked: by 2: vote epoch 3, log 4@2?
        1302  1: refuses: the epoch is over
        1302  1: answers: the epoch is over
        1302  1: is asked: by 2: vote epoch 9, log 4@2?
        1302  1: refuses: another voter was meant
        1302  1: answers: another voter was meant
        1302  1: is asked: by 2: vote epoch 10, log 4@10?
        1302  1: refuses: the request contradicts itself or what the quorum knows
        1302  1: answers: the request contradicts itself or what the quorum knows
    "#]],
    );
}

#[test]
fn a_pre_vote_protects_the_leader() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let lonely = followers(&world)[0];
    world.cut_off(lonely);
    world.run(Duration::from_millis(5000));
    world.note("back in the network");
    world.heal();
    world.run(Duration::from_millis(3000));
    settle(&mut world);
    check(
        &world,
        &expect![[r#"
            1446  1: is cut off
            3441  3: to 1: I lead epoch 1
            3506  1: follower -> prospective, epoch 1
            3506  1: to 2: pre-vote epoch 1, log 3@1?
            3506  1: to 3: pre-vote epoch 1, log 3@1?
            4698  1: prospective -> follower, epoch 1
            5441  3: to 1: I lead epoch 1
            -- back in the network
            6860  1: follower -> prospective, epoch 1
            6860  1: to 2: pre-vote epoch 1, log 3@1?
            6860  1: to 3: pre-vote epoch 1, log 3@1?
            6861  2: denies
            6861  3: denies
            6862  1: prospective -> follower, epoch 1
        "#]],
    );
}

#[test]
fn a_killed_leader_is_replaced() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    world.crash(leader);
    world.run_until(|world| world.leader().is_some_and(|id| caught_up(world, id)));
    check(
        &world,
        &expect![[r#"
            1446  3: crashes
            3506  1: follower -> prospective, epoch 1
            3506  1: to 2: pre-vote epoch 1, log 3@1?
            3506  1: to 3: pre-vote epoch 1, log 3@1?
            3507  2: denies
            3527  1: to 3: pre-vote epoch 1, log 3@1?
            3556  2: follower -> prospective, epoch 1
            3556  2: to 1: pre-vote epoch 1, log 3@1?
            3556  2: to 3: pre-vote epoch 1, log 3@1?
            3557  1: grants
            3558  2: prospective -> candidate, epoch 2
            3558  2: persist epoch 2 voted 2
            3558  2: to 1: vote epoch 2, log 3@1?
            3558  2: to 3: vote epoch 2, log 3@1?
            3559  1: prospective -> unattached, epoch 2
            3559  1: persist epoch 2 voted 2
            3559  1: grants
            3560  2: candidate -> leader, epoch 2
            3560  2: persist epoch 2 leader 2
            3560  2: append LeaderChange(by [1, 2]) at 3@2
            3560  2: to 1: I lead epoch 2
            3560  2: to 3: I lead epoch 2
            3561  1: unattached -> follower, epoch 2
            3561  1: persist epoch 2 leader 2 voted 2
            3563  1: append 1 fetched
            3564  2: committed 4
            3564  2: ready to lead epoch 2
            3565  1: committed 4
        "#]],
    );
}

#[test]
fn a_leader_that_stops_hands_over() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    world.resign(leader);
    world.run(Duration::from_millis(100));
    check(
        &world,
        &expect![[r#"
            1446  3: is asked to resign
            1446  3: leader -> resigned, epoch 1
            1446  3: to 1: epoch 1 ends, preferred [1, 2]
            1446  3: to 2: epoch 1 ends, preferred [1, 2]
            1447  3: refuses: this node does not lead the quorum
            1447  3: refuses: this node does not lead the quorum
            1447  1: follower -> prospective, epoch 1
            1447  1: to 2: pre-vote epoch 1, log 3@1?
            1447  1: to 3: pre-vote epoch 1, log 3@1?
            1448  2: grants
            1448  3: grants
            1449  1: prospective -> candidate, epoch 2
            1449  1: persist epoch 2 voted 1
            1449  1: to 2: vote epoch 2, log 3@1?
            1449  1: to 3: vote epoch 2, log 3@1?
            1450  2: follower -> unattached, epoch 2
            1450  2: persist epoch 2 voted 1
            1450  2: grants
            1450  3: resigned -> unattached, epoch 2
            1450  3: persist epoch 2 voted 1
            1450  3: grants
            1451  1: candidate -> leader, epoch 2
            1451  1: persist epoch 2 leader 1
            1451  1: append LeaderChange(by [1, 2]) at 3@2
            1451  1: to 2: I lead epoch 2
            1451  1: to 3: I lead epoch 2
            1452  2: unattached -> follower, epoch 2
            1452  2: persist epoch 2 leader 1 voted 1
            1452  3: unattached -> follower, epoch 2
            1452  3: persist epoch 2 leader 1 voted 1
            1454  2: append 1 fetched
            1454  3: append 1 fetched
            1455  1: committed 4
            1455  1: ready to lead epoch 2
            1456  2: committed 4
            1456  3: committed 4
        "#]],
    );
}

#[test]
fn a_leader_without_a_majority_steps_down() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    world.cut_off(leader);
    world.append(leader, &[100]);
    world.run(Duration::from_millis(6000));
    world.note("back in the network: what nobody else had is undone");
    world.heal();
    world.run(Duration::from_millis(3000));
    settle(&mut world);
    check(
        &world,
        &expect![[r#"
            1446  3: is cut off
            1446  3: is asked to append [100]
            1446  3: append at 3@1
            3441  3: to 1: I lead epoch 1
            3441  3: to 2: I lead epoch 1
            3506  1: follower -> prospective, epoch 1
            3506  1: to 2: pre-vote epoch 1, log 3@1?
            3506  1: to 3: pre-vote epoch 1, log 3@1?
            3507  2: denies
            3556  2: follower -> prospective, epoch 1
            3556  2: to 1: pre-vote epoch 1, log 3@1?
            3556  2: to 3: pre-vote epoch 1, log 3@1?
            3557  1: grants
            3558  2: prospective -> candidate, epoch 2
            3558  2: persist epoch 2 voted 2
            3558  2: to 1: vote epoch 2, log 3@1?
            3558  2: to 3: vote epoch 2, log 3@1?
            3559  1: prospective -> unattached, epoch 2
            3559  1: persist epoch 2 voted 2
            3559  1: grants
            3560  2: candidate -> leader, epoch 2
            3560  2: persist epoch 2 leader 2
            3560  2: append LeaderChange(by [1, 2]) at 3@2
            3560  2: to 1: I lead epoch 2
            3560  2: to 3: I lead epoch 2
            3561  1: unattached -> follower, epoch 2
            3561  1: persist epoch 2 leader 2 voted 2
            3563  1: append 1 fetched
            3564  2: committed 4
            3564  2: ready to lead epoch 2
            3565  1: committed 4
            4445  3: leader -> resigned, epoch 1
            4445  3: to 1: epoch 1 ends, preferred [1, 2]
            4445  3: to 2: epoch 1 ends, preferred [1, 2]
            5560  2: to 3: I lead epoch 2
            6425  3: resigned -> unattached, epoch 2
            6425  3: persist epoch 2
            -- back in the network: what nobody else had is undone
            7560  2: to 3: I lead epoch 2
            7561  3: unattached -> follower, epoch 2
            7561  3: persist epoch 2 leader 2
            7562  2: answers: epoch 1 ends at 3
            7563  3: truncate to 3
            7565  3: append 1 fetched
            7565  3: committed 4
        "#]],
    );
}

#[test]
fn a_slow_follower_gets_a_snapshot() {
    let mut world = world(&[1, 2, 3]);
    world.tell_all = false;
    world.snapshot_entries = 10;
    for id in 1..=3 {
        world.start(id);
    }
    settle(&mut world);
    let slow = followers(&world)[0];
    world.crash(slow);
    for batch in 0..20 {
        let leader = world.leader().unwrap();
        world.append(leader, &[batch * 2, batch * 2 + 1]);
        settle(&mut world);
    }
    world.tell_all = true;
    world.start(slow);
    settle(&mut world);
    check(
        &world,
        &expect![[r#"
            1526  1: starts
            1527  3: answers: snapshot 41-1
            1530  1: keep chunk of 41-1 from 0
            1532  1: keep chunk of 41-1 from 500
            1532  1: install snapshot 41-1
            1533  1: committed 41
            1535  1: append 1 fetched
            1535  1: committed 43
        "#]],
    );
}

#[test]
fn a_voter_is_added_and_another_removed() {
    let mut world = started(&[1], &[1]);
    world.note("2 fetches as an observer first");
    world.start(2);
    world.run(Duration::from_millis(100));
    world.change_voter(1, VoterChange::Add { voter: voter(2), ack_when_committed: true });
    settle(&mut world);
    world.change_voter(1, VoterChange::Add { voter: voter(2), ack_when_committed: true });
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
            5103  2: refuses: the request contradicts itself or what the quorum knows
            5103  2: answers: the request contradicts itself or what the quorum knows
        "#]],
    );
}

#[test]
fn a_new_voter_that_never_catches_up_is_refused() {
    let mut world = started(&[1], &[1]);
    world.change_voter(1, VoterChange::Add { voter: voter(2), ack_when_committed: true });
    world.change_voter(1, VoterChange::Add { voter: voter(3), ack_when_committed: true });
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
