//! The protocol as stories: each line is a millisecond, a node, and what it does. Timers, empty
//! fetches and their answers are left out.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod net;

use std::time::Duration;

use expect_test::expect;
use net::key;
use net::tell::{check, followers, settle, started, world};
use strandline_quorum::{ReplicaKey, Request, Vote};
use strandline_types::{LeaderEpoch, NodeId, Offset};

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
            0     1: unattached -> prospective, epoch 0
            0     1: to 2: pre-vote epoch 0, log 0@0?
            0     1: to 3: pre-vote epoch 0, log 0@0?
            1     2: grants
            1     3: grants
            2     1: prospective -> candidate, epoch 1
            2     1: persist epoch 1 voted 1
            2     1: to 2: vote epoch 1, log 0@0?
            2     1: to 3: vote epoch 1, log 0@0?
            3     2: persist epoch 1 voted 1
            3     2: grants
            3     3: persist epoch 1 voted 1
            3     3: grants
            4     1: candidate -> leader, epoch 1
            4     1: persist epoch 1 leader 1
            4     1: append LeaderChange(by [1, 2]), KraftVersion(1), Voters[1, 2, 3] at 0@1
            4     1: to 2: I lead epoch 1
            4     1: to 3: I lead epoch 1
            5     2: unattached -> follower, epoch 1
            5     2: persist epoch 1 leader 1 voted 1
            5     3: unattached -> follower, epoch 1
            5     3: persist epoch 1 leader 1 voted 1
            7     2: append 1 fetched
            7     3: append 1 fetched
            8     1: committed 3
            8     1: ready to lead epoch 1
            9     2: committed 3
            9     3: committed 3
            9     1: is asked to append [100]
            9     1: append at 3@1
            11    2: append 1 fetched
            11    3: append 1 fetched
            12    1: committed 4
            13    2: committed 4
            13    3: committed 4
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
            9     2: crashes
            9     1: is asked to append [100]
            9     1: append at 3@1
            11    3: append 1 fetched
            12    1: committed 4
            13    3: committed 4
            13    1: crashes
            13    3: is cut off
            13    2: starts
            2063  2: follower -> prospective, epoch 1
            2063  2: to 1: pre-vote epoch 1, log 3@1?
            2063  2: to 3: pre-vote epoch 1, log 3@1?
            2084  2: to 1: pre-vote epoch 1, log 3@1?
            2125  2: to 1: pre-vote epoch 1, log 3@1?
            2206  2: to 1: pre-vote epoch 1, log 3@1?
            2226  3: follower -> prospective, epoch 1
            2226  3: to 1: pre-vote epoch 1, log 4@1?
            2226  3: to 2: pre-vote epoch 1, log 4@1?
            2247  3: to 1: pre-vote epoch 1, log 4@1?
            2288  3: to 1: pre-vote epoch 1, log 4@1?
            2367  2: to 1: pre-vote epoch 1, log 3@1?
            2369  3: to 1: pre-vote epoch 1, log 4@1?
            -- together again
            2530  3: to 1: pre-vote epoch 1, log 4@1?
            2688  2: to 1: pre-vote epoch 1, log 3@1?
            2851  3: to 1: pre-vote epoch 1, log 4@1?
            3130  2: prospective -> follower, epoch 1
            3492  3: to 1: pre-vote epoch 1, log 4@1?
            4071  3: prospective -> follower, epoch 1
            5198  2: follower -> prospective, epoch 1
            5198  2: to 1: pre-vote epoch 1, log 3@1?
            5198  2: to 3: pre-vote epoch 1, log 3@1?
            5199  3: denies
            5219  2: to 1: pre-vote epoch 1, log 3@1?
            5260  2: to 1: pre-vote epoch 1, log 3@1?
            5341  2: to 1: pre-vote epoch 1, log 3@1?
            5502  2: to 1: pre-vote epoch 1, log 3@1?
            5823  2: to 1: pre-vote epoch 1, log 3@1?
            6175  3: follower -> prospective, epoch 1
            6175  3: to 1: pre-vote epoch 1, log 4@1?
            6175  3: to 2: pre-vote epoch 1, log 4@1?
            6176  2: grants
            6177  3: prospective -> candidate, epoch 2
            6177  3: persist epoch 2 voted 3
            6177  3: to 1: vote epoch 2, log 4@1?
            6177  3: to 2: vote epoch 2, log 4@1?
            6178  2: prospective -> unattached, epoch 2
            6178  2: persist epoch 2 voted 3
            6178  2: grants
            6179  3: candidate -> leader, epoch 2
            6179  3: persist epoch 2 leader 3
            6179  3: append LeaderChange(by [2, 3]) at 4@2
            6179  3: to 1: I lead epoch 2
            6179  3: to 2: I lead epoch 2
            6180  2: unattached -> follower, epoch 2
            6180  2: persist epoch 2 leader 3 voted 3
            6182  2: append 2 fetched
            6182  2: committed 4
            6183  3: committed 5
            6183  3: ready to lead epoch 2
            6184  2: committed 5
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
            1     1: unattached -> prospective, epoch 1
            1     1: to 2: pre-vote epoch 1, log 0@0?
            1     1: to 3: pre-vote epoch 1, log 0@0?
            1     1: to 4: pre-vote epoch 1, log 0@0?
            1     1: to 5: pre-vote epoch 1, log 0@0?
            22    1: to 2: pre-vote epoch 1, log 0@0?
            22    1: to 3: pre-vote epoch 1, log 0@0?
            22    1: to 4: pre-vote epoch 1, log 0@0?
            22    1: to 5: pre-vote epoch 1, log 0@0?
            22    1: prospective -> candidate, epoch 2
            22    1: persist epoch 2 voted 1
            22    1: to 2: vote epoch 2, log 0@0?
            22    1: to 3: vote epoch 2, log 0@0?
            22    1: to 4: vote epoch 2, log 0@0?
            22    1: to 5: vote epoch 2, log 0@0?
            22    1: candidate -> leader, epoch 2
            22    1: persist epoch 2 leader 1
            22    1: append LeaderChange(by [1, 2, 3]), KraftVersion(1), Voters[1, 2, 3, 4, 5] at 0@2
            22    1: to 2: I lead epoch 2
            22    1: to 3: I lead epoch 2
            22    1: to 4: I lead epoch 2
            22    1: to 5: I lead epoch 2
            22    1: is asked to append [100]
            22    1: append at 3@2
            -- a shorter log and an older one get no vote, though their epoch counts
            22    1: is asked: by 2: vote epoch 7, log 3@2?
            22    1: leader -> unattached, epoch 7
            22    1: persist epoch 7
            22    1: denies
            22    1: answers: granted false
            22    1: is asked: by 2: vote epoch 8, log 99@1?
            22    1: persist epoch 8
            22    1: denies
            22    1: answers: granted false
            22    1: is asked: by 2: vote epoch 9, log 4@2?
            22    1: persist epoch 9 voted 2
            22    1: grants
            22    1: answers: granted true
            -- an old epoch, another directory, and nonsense
            22    1: is asked: by 2: vote epoch 3, log 4@2?
            22    1: refuses: the epoch is over
            22    1: answers: the epoch is over
            22    1: is asked: by 2: vote epoch 9, log 4@2?
            22    1: refuses: another voter was meant
            22    1: answers: another voter was meant
            22    1: is asked: by 2: vote epoch 10, log 4@10?
            22    1: refuses: the request contradicts itself or what the quorum knows
            22    1: answers: the request contradicts itself or what the quorum knows
        "#]],
    );
}

#[test]
fn a_leader_that_comes_back_learns_at_once_who_leads() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    world.crash(1);
    world.note("the next one leads, and tries ever more seldom to tell the one that is gone");
    world.run(Duration::from_secs(10));
    world.trace.clear();
    world.start(1);
    world.run(Duration::from_millis(10));
    check(
        &world,
        &expect![[r#"
        10009 1: starts
        10009 1: persist epoch 2
        10009 1: unattached -> prospective, epoch 2
        10009 1: to 2: pre-vote epoch 2, log 3@1?
        10009 1: to 3: pre-vote epoch 2, log 3@1?
        10010 2: denies
        10010 3: denies
        10011 1: prospective -> follower, epoch 2
        10011 1: persist epoch 2 leader 2
        10013 1: append 1 fetched
        10013 1: committed 4
    "#]],
    );
}

#[test]
fn who_has_lost_its_disk_makes_no_leader_before_it_has_caught_up() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    world.trace.clear();
    world.note("without the leader, a voter with an empty disk is no help");
    world.replace_disk(3);
    world.crash(1);
    world.run(Duration::from_secs(5));
    world.note("with it, the empty one catches up");
    world.start(1);
    world.run_until(|world| world.quorum(3).log_end() > Offset::ZERO);
    world.note("and when its old votes are no use to anybody, it counts again");
    world.run(Duration::from_secs(4));
    world.note("so the next leader may go");
    let leader = world.leader().unwrap();
    world.crash(leader);
    world.run_until(|world| world.leader().is_some());
    check(
        &world,
        &expect![[r#"
            -- without the leader, a voter with an empty disk is no help
            9     3: crashes
            9     3: starts
            9     1: crashes
            2030  2: refuses: the epoch is over
            2031  3: unattached -> follower, epoch 1
            2031  3: persist epoch 1 leader 1
            2094  2: refuses: this node does not lead the quorum
            2118  2: follower -> prospective, epoch 1
            2118  2: to 1: pre-vote epoch 1, log 3@1?
            2118  2: to 3: pre-vote epoch 1, log 3@1?
            2119  3: denies
            2139  2: to 1: pre-vote epoch 1, log 3@1?
            2180  2: to 1: pre-vote epoch 1, log 3@1?
            2261  2: to 1: pre-vote epoch 1, log 3@1?
            2337  2: refuses: this node does not lead the quorum
            2422  2: to 1: pre-vote epoch 1, log 3@1?
            2743  2: to 1: pre-vote epoch 1, log 3@1?
            3300  2: refuses: this node does not lead the quorum
            3384  2: to 1: pre-vote epoch 1, log 3@1?
            3600  2: prospective -> follower, epoch 1
            -- with it, the empty one catches up
            5009  1: starts
            5009  1: persist epoch 2
            5009  1: unattached -> prospective, epoch 2
            5009  1: to 2: pre-vote epoch 2, log 3@1?
            5009  1: to 3: pre-vote epoch 2, log 3@1?
            5010  2: follower -> unattached, epoch 2
            5010  2: persist epoch 2
            5010  2: grants
            5010  3: follower -> unattached, epoch 2
            5010  3: persist epoch 2
            5010  3: denies
            5011  1: prospective -> candidate, epoch 3
            5011  1: persist epoch 3 voted 1
            5011  1: to 2: vote epoch 3, log 3@1?
            5011  1: to 3: vote epoch 3, log 3@1?
            5011  2: refuses: this node does not lead the quorum
            5012  2: persist epoch 3 voted 1
            5012  2: grants
            5012  3: persist epoch 3
            5012  3: denies
            5013  1: candidate -> leader, epoch 3
            5013  1: persist epoch 3 leader 1
            5013  1: append LeaderChange(by [1, 2]) at 3@3
            5013  1: to 2: I lead epoch 3
            5013  1: to 3: I lead epoch 3
            5013  2: refuses: this node does not lead the quorum
            5014  2: unattached -> follower, epoch 3
            5014  2: persist epoch 3 leader 1 voted 1
            5014  3: unattached -> follower, epoch 3
            5014  3: persist epoch 3 leader 1
            5016  2: append 1 fetched
            5016  3: append 2 fetched
            -- and when its old votes are no use to anybody, it counts again
            5017  1: committed 4
            5017  1: ready to lead epoch 3
            5018  2: committed 4
            5018  3: committed 4
            5018  3: may vote again
            -- so the next leader may go
            9016  1: crashes
            10715 3: follower -> prospective, epoch 3
            10715 3: to 1: pre-vote epoch 3, log 4@3?
            10715 3: to 2: pre-vote epoch 3, log 4@3?
            10716 2: denies
            10736 3: to 1: pre-vote epoch 3, log 4@3?
            10740 2: follower -> prospective, epoch 3
            10740 2: to 1: pre-vote epoch 3, log 4@3?
            10740 2: to 3: pre-vote epoch 3, log 4@3?
            10741 3: grants
            10742 2: prospective -> candidate, epoch 4
            10742 2: persist epoch 4 voted 2
            10742 2: to 1: vote epoch 4, log 4@3?
            10742 2: to 3: vote epoch 4, log 4@3?
            10743 3: prospective -> unattached, epoch 4
            10743 3: persist epoch 4 voted 2
            10743 3: grants
            10744 2: candidate -> leader, epoch 4
            10744 2: persist epoch 4 leader 2
            10744 2: append LeaderChange(by [2, 3]) at 4@4
            10744 2: to 1: I lead epoch 4
            10744 2: to 3: I lead epoch 4
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
            9     2: is cut off
            2004  1: to 2: I lead epoch 1
            2118  2: follower -> prospective, epoch 1
            2118  2: to 1: pre-vote epoch 1, log 3@1?
            2118  2: to 3: pre-vote epoch 1, log 3@1?
            3600  2: prospective -> follower, epoch 1
            4004  1: to 2: I lead epoch 1
            -- back in the network
            5639  2: follower -> prospective, epoch 1
            5639  2: to 1: pre-vote epoch 1, log 3@1?
            5639  2: to 3: pre-vote epoch 1, log 3@1?
            5640  1: denies
            5640  3: denies
            5641  2: prospective -> follower, epoch 1
        "#]],
    );
}

#[test]
fn a_killed_leader_is_replaced() {
    let mut world = started(&[1, 2, 3], &[1, 2, 3]);
    let leader = world.leader().unwrap();
    world.crash(leader);
    settle(&mut world);
    check(
        &world,
        &expect![[r#"
            9     1: crashes
            2068  3: follower -> prospective, epoch 1
            2068  3: to 1: pre-vote epoch 1, log 3@1?
            2068  3: to 2: pre-vote epoch 1, log 3@1?
            2069  2: denies
            2089  3: to 1: pre-vote epoch 1, log 3@1?
            2118  2: follower -> prospective, epoch 1
            2118  2: to 1: pre-vote epoch 1, log 3@1?
            2118  2: to 3: pre-vote epoch 1, log 3@1?
            2119  3: grants
            2120  2: prospective -> candidate, epoch 2
            2120  2: persist epoch 2 voted 2
            2120  2: to 1: vote epoch 2, log 3@1?
            2120  2: to 3: vote epoch 2, log 3@1?
            2121  3: prospective -> unattached, epoch 2
            2121  3: persist epoch 2 voted 2
            2121  3: grants
            2122  2: candidate -> leader, epoch 2
            2122  2: persist epoch 2 leader 2
            2122  2: append LeaderChange(by [2, 3]) at 3@2
            2122  2: to 1: I lead epoch 2
            2122  2: to 3: I lead epoch 2
            2123  3: unattached -> follower, epoch 2
            2123  3: persist epoch 2 leader 2 voted 2
            2125  3: append 1 fetched
            2126  2: committed 4
            2126  2: ready to lead epoch 2
            2127  3: committed 4
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
            9     1: is asked to resign
            9     1: leader -> resigned, epoch 1
            9     1: to 2: epoch 1 ends, preferred [2, 3]
            9     1: to 3: epoch 1 ends, preferred [2, 3]
            10    1: refuses: this node does not lead the quorum
            10    1: refuses: this node does not lead the quorum
            10    2: follower -> prospective, epoch 1
            10    2: to 1: pre-vote epoch 1, log 3@1?
            10    2: to 3: pre-vote epoch 1, log 3@1?
            11    1: grants
            11    3: grants
            12    2: prospective -> candidate, epoch 2
            12    2: persist epoch 2 voted 2
            12    2: to 1: vote epoch 2, log 3@1?
            12    2: to 3: vote epoch 2, log 3@1?
            13    1: resigned -> unattached, epoch 2
            13    1: persist epoch 2 voted 2
            13    1: grants
            13    3: follower -> unattached, epoch 2
            13    3: persist epoch 2 voted 2
            13    3: grants
            14    2: candidate -> leader, epoch 2
            14    2: persist epoch 2 leader 2
            14    2: append LeaderChange(by [1, 2]) at 3@2
            14    2: to 1: I lead epoch 2
            14    2: to 3: I lead epoch 2
            15    1: unattached -> follower, epoch 2
            15    1: persist epoch 2 leader 2 voted 2
            15    3: unattached -> follower, epoch 2
            15    3: persist epoch 2 leader 2 voted 2
            17    1: append 1 fetched
            17    3: append 1 fetched
            18    2: committed 4
            18    2: ready to lead epoch 2
            19    1: committed 4
            19    3: committed 4
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
            9     1: is cut off
            9     1: is asked to append [100]
            9     1: append at 3@1
            2004  1: to 2: I lead epoch 1
            2004  1: to 3: I lead epoch 1
            2068  3: follower -> prospective, epoch 1
            2068  3: to 1: pre-vote epoch 1, log 3@1?
            2068  3: to 2: pre-vote epoch 1, log 3@1?
            2069  2: denies
            2118  2: follower -> prospective, epoch 1
            2118  2: to 1: pre-vote epoch 1, log 3@1?
            2118  2: to 3: pre-vote epoch 1, log 3@1?
            2119  3: grants
            2120  2: prospective -> candidate, epoch 2
            2120  2: persist epoch 2 voted 2
            2120  2: to 1: vote epoch 2, log 3@1?
            2120  2: to 3: vote epoch 2, log 3@1?
            2121  3: prospective -> unattached, epoch 2
            2121  3: persist epoch 2 voted 2
            2121  3: grants
            2122  2: candidate -> leader, epoch 2
            2122  2: persist epoch 2 leader 2
            2122  2: append LeaderChange(by [2, 3]) at 3@2
            2122  2: to 1: I lead epoch 2
            2122  2: to 3: I lead epoch 2
            2123  3: unattached -> follower, epoch 2
            2123  3: persist epoch 2 leader 2 voted 2
            2125  3: append 1 fetched
            2126  2: committed 4
            2126  2: ready to lead epoch 2
            2127  3: committed 4
            3008  1: leader -> resigned, epoch 1
            3008  1: to 2: epoch 1 ends, preferred [2, 3]
            3008  1: to 3: epoch 1 ends, preferred [2, 3]
            4065  1: resigned -> unattached, epoch 2
            4065  1: persist epoch 2
            4122  2: to 1: I lead epoch 2
            5374  1: unattached -> prospective, epoch 2
            5374  1: to 2: pre-vote epoch 2, log 4@1?
            5374  1: to 3: pre-vote epoch 2, log 4@1?
            -- back in the network: what nobody else had is undone
            6122  2: to 1: I lead epoch 2
            6123  1: prospective -> follower, epoch 2
            6123  1: persist epoch 2 leader 2
            6124  2: answers: epoch 1 ends at 3
            6125  1: truncate to 3
            6127  1: append 1 fetched
            6127  1: committed 4
        "#]],
    );
}

/// Also of the beginning, where no snapshot stands.
#[test]
fn a_log_forgets_what_is_too_old() {
    let mut world = world(&[1]);
    (world.snapshot_entries, world.retention_max_age) = (10, Some(Duration::from_secs(60)));
    world.start(1);
    for _ in 0..3 {
        world.append(1, &(0..10).collect::<Vec<_>>());
        world.run(Duration::from_secs(61));
    }
    check(
        &world,
        &expect![[r#"
        0     1: starts
        0     1: persist epoch 1 leader 1
        0     1: append LeaderChange(by [1]), KraftVersion(1), Voters[1] at 0@1
        0     1: is asked to append [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        0     1: append at 3@1
        0     1: committed 13
        0     1: ready to lead epoch 1
        0     1: take snapshot 13-1
        61000 1: is asked to append [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        61000 1: append at 13@1
        61000 1: committed 23
        61000 1: take snapshot 23-1
        61000 1: log begins at 13
        122000 1: is asked to append [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
        122000 1: append at 23@1
        122000 1: committed 33
        122000 1: take snapshot 33-1
        122000 1: log begins at 23
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
            89    2: starts
            90    1: answers: snapshot 41-1
            93    2: keep chunk of 41-1 from 0
            95    2: keep chunk of 41-1 from 500
            95    2: install snapshot 41-1
            96    2: committed 41
            98    2: append 1 fetched
            98    2: committed 43
        "#]],
    );
}
