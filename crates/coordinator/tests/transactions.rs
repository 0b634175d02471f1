//! Transactions in text: who asks what, what is answered, what is written, which markers go out.

mod transaction_story;
mod world;

use expect_test::expect;
use strandline_coordinator::transactions::{
    Entry, Record, Request, Response, State, TransactionListing,
};
use strandline_coordinator::{Core, Fault};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::{TransactionLogKey, TransactionLogValue};
use transaction_story::{ID, Story};

#[test]
fn a_commit_by_the_rules_of_version_2() {
    let mut story = Story::new(2);
    let first = story.init(None).expect("the first");
    story.add(first, &[0], 2);
    story.add(first, &[0, 1], 2);
    story.add(first, &[1], 2);
    story.verify(first, &[1, 2]);
    story.describe();
    let second = story.end(first, true, 2).expect("decided");
    story.end(first, true, 2);
    story.end(first, false, 2);
    story.add(second, &[0], 2);
    story.end(second, false, 2);
    story.add(first, &[0], 2);
    story.init(None);
    let markers = story.ordered.pop().expect("sent");
    story.marked(&markers, &[1]);
    story.describe();
    story.marked(&markers, &[0]);
    story.end(first, true, 2);
    story.end(first, false, 2);
    story.end(second, true, 2);
    story.add(second, &[3], 2);
    story.end_of_story(&expect![[r#"
        0      InitProducerId
        0        needs a producer id
        0        log: tx Empty 7:0 (7, -1) []
        0        goes on as 7:0
        0      AddPartitions 7:0 [0]
        0        log: tx Ongoing 7:0 (7, -1) [0]
        0        0: NONE(0) 
        0      AddPartitions 7:0 [0, 1]
        0        log: tx Ongoing 7:0 (7, -1) [0, 1]
        0        0: NONE(0) 1: NONE(0) 
        0      AddPartitions 7:0 [1]
        0        1: NONE(0) 
        0      VerifyPartitions 7:0 [1, 2]
        0        1: NONE(0) 2: TRANSACTION_ABORTABLE(120) 
        0      Describe
        0        NONE(0) Ongoing 7:0 [0, 1]
        0      EndTxn v2 commit 7:0
        0        log: tx PrepareCommit 7:1 (7, -1) [0, 1]
        0        markers: commit 7:1 v2 to [("t", [0, 1])]
        0        goes on as 7:1
        0      EndTxn v2 commit 7:0
        0        CONCURRENT_TRANSACTIONS(51)
        0      EndTxn v2 abort 7:0
        0        log: tx PrepareCommit 7:1 (7, -1) [0, 1]
        0        INVALID_TXN_STATE(48)
        0      AddPartitions 7:1 [0]
        0        0: CONCURRENT_TRANSACTIONS(51) 
        0      EndTxn v2 abort 7:1
        0        CONCURRENT_TRANSACTIONS(51)
        0      AddPartitions 7:0 [0]
        0        0: PRODUCER_FENCED(90) 
        0      InitProducerId
        0        CONCURRENT_TRANSACTIONS(51)
        0      [1] are marked
        0      Describe
        0        NONE(0) PrepareCommit 7:1 [0]
        0      [0] are marked
        0        log: tx CompleteCommit 7:1 (7, -1) []
        0      EndTxn v2 commit 7:0
        0        goes on as 7:1
        0      EndTxn v2 abort 7:0
        0        log: tx CompleteCommit 7:1 (7, -1) []
        0        INVALID_TXN_STATE(48)
        0      EndTxn v2 commit 7:1
        0        log: tx CompleteCommit 7:1 (7, -1) []
        0        INVALID_TXN_STATE(48)
        0      AddPartitions 7:1 [3]
        0        log: tx Ongoing 7:1 (7, -1) [3]
        0        3: NONE(0) 
    "#]]);
}

#[test]
fn a_commit_by_the_rules_of_version_1() {
    for version in [0, 1] {
        let (mut story, producer) = Story::begun(version);
        story.end(producer, true, 0);
        story.end(producer, true, 0);
        story.end(producer, false, 0);
        story.mark_all();
        story.end(producer, true, 0);
        story.end(producer, false, 0);
        story.add(producer, &[1], 0);
        story.end(producer, false, 0);
        story.mark_all();
        story.end(producer, false, 0);
        match version {
            0 => story.end_of_story(&expect![[r#"
                0      EndTxn v0 commit 7:0
                0        log: tx PrepareCommit 7:0 (-1, -1) [0, 1]
                0        markers: commit 7:0 v0 to [("t", [0, 1])]
                0        goes on as 7:0
                0      EndTxn v0 commit 7:0
                0        CONCURRENT_TRANSACTIONS(51)
                0      EndTxn v0 abort 7:0
                0        INVALID_TXN_STATE(48)
                0      [0, 1] are marked
                0        log: tx CompleteCommit 7:0 (-1, -1) []
                0      EndTxn v0 commit 7:0
                0        goes on as 7:0
                0      EndTxn v0 abort 7:0
                0        INVALID_TXN_STATE(48)
                0      AddPartitions 7:0 [1]
                0        log: tx Ongoing 7:0 (-1, -1) [1]
                0        1: NONE(0) 
                0      EndTxn v0 abort 7:0
                0        log: tx PrepareAbort 7:0 (-1, -1) [1]
                0        markers: abort 7:0 v0 to [("t", [1])]
                0        goes on as 7:0
                0      [1] are marked
                0        log: tx CompleteAbort 7:0 (-1, -1) []
                0      EndTxn v0 abort 7:0
                0        goes on as 7:0
            "#]]),
            _ => story.end_of_story(&expect![[r#"
                0      EndTxn v0 commit 7:0
                0        log: tx PrepareCommit 7:0 (7, -1) [0, 1]
                0        markers: commit 7:0 v0 to [("t", [0, 1])]
                0        goes on as 7:0
                0      EndTxn v0 commit 7:0
                0        CONCURRENT_TRANSACTIONS(51)
                0      EndTxn v0 abort 7:0
                0        INVALID_TXN_STATE(48)
                0      [0, 1] are marked
                0        log: tx CompleteCommit 7:0 (7, -1) []
                0      EndTxn v0 commit 7:0
                0        goes on as 7:0
                0      EndTxn v0 abort 7:0
                0        INVALID_TXN_STATE(48)
                0      AddPartitions 7:0 [1]
                0        log: tx Ongoing 7:0 (7, -1) [1]
                0        1: NONE(0) 
                0      EndTxn v0 abort 7:0
                0        log: tx PrepareAbort 7:0 (7, -1) [1]
                0        markers: abort 7:0 v0 to [("t", [1])]
                0        goes on as 7:0
                0      [1] are marked
                0        log: tx CompleteAbort 7:0 (7, -1) []
                0      EndTxn v0 abort 7:0
                0        goes on as 7:0
            "#]]),
        }
    }
}

#[test]
fn aborting_what_was_never_begun_bumps_the_epoch() {
    let mut story = Story::new(2);
    let first = story.init(None).expect("the first");
    story.end(first, true, 2);
    let second = story.end(first, false, 2).expect("nothing to mark");
    story.end(first, false, 2);
    story.end(second, false, 2);
    story.end(first, false, 2);
    story.end((ProducerId(99), second.1), false, 2);
    story.end_of_story(&expect![[r#"
        0      InitProducerId
        0        needs a producer id
        0        log: tx Empty 7:0 (7, -1) []
        0        goes on as 7:0
        0      EndTxn v2 commit 7:0
        0        log: tx Empty 7:0 (7, -1) []
        0        INVALID_TXN_STATE(48)
        0      EndTxn v2 abort 7:0
        0        log: tx PrepareAbort 7:1 (7, -1) []
        0        log: tx CompleteAbort 7:1 (7, -1) []
        0        goes on as 7:1
        0      EndTxn v2 abort 7:0
        0        goes on as 7:1
        0      EndTxn v2 abort 7:1
        0        log: tx PrepareAbort 7:2 (7, -1) []
        0        log: tx CompleteAbort 7:2 (7, -1) []
        0        goes on as 7:2
        0      EndTxn v2 abort 7:0
        0        PRODUCER_FENCED(90)
        0      EndTxn v2 abort 99:1
        0        INVALID_PRODUCER_ID_MAPPING(49)
    "#]]);
}

#[test]
fn a_producer_that_returns_fences_its_former_self() {
    for version in [1, 2] {
        let (mut story, former) = Story::begun(version);
        story.init(None);
        story.init(None);
        story.add(former, &[2], version);
        story.end(former, true, version);
        story.mark_all();
        story.end(former, true, version);
        let new = story.init(None).expect("nothing is open");
        story.add(new, &[0], version);
        // Who was fenced must not abort this one.
        story.init(Some(former));
        story.init(Some((ProducerId(99), new.1)));
        match version {
            1 => story.end_of_story(&expect![[r#"
                0      InitProducerId
                0        log: tx PrepareAbort 7:1 (7, -1) [0, 1]
                0        markers: abort 7:1 v0 to [("t", [0, 1])]
                0        CONCURRENT_TRANSACTIONS(51)
                0      InitProducerId
                0        CONCURRENT_TRANSACTIONS(51)
                0      AddPartitions 7:0 [2]
                0        2: PRODUCER_FENCED(90) 
                0      EndTxn v1 commit 7:0
                0        PRODUCER_FENCED(90)
                0      [0, 1] are marked
                0        log: tx CompleteAbort 7:1 (7, -1) []
                0      EndTxn v1 commit 7:0
                0        PRODUCER_FENCED(90)
                0      InitProducerId
                0        log: tx Empty 7:2 (7, -1) []
                0        goes on as 7:2
                0      AddPartitions 7:2 [0]
                0        log: tx Ongoing 7:2 (7, -1) [0]
                0        0: NONE(0) 
                0      InitProducerId as 7:0
                0        PRODUCER_FENCED(90)
                0      InitProducerId as 99:2
                0        PRODUCER_FENCED(90)
            "#]]),
            _ => story.end_of_story(&expect![[r#"
                0      InitProducerId
                0        log: tx PrepareAbort 7:1 (7, -1) [0, 1]
                0        markers: abort 7:1 v2 to [("t", [0, 1])]
                0        CONCURRENT_TRANSACTIONS(51)
                0      InitProducerId
                0        CONCURRENT_TRANSACTIONS(51)
                0      AddPartitions 7:0 [2]
                0        2: PRODUCER_FENCED(90) 
                0      EndTxn v2 commit 7:0
                0        log: tx PrepareAbort 7:1 (7, -1) [0, 1]
                0        INVALID_TXN_STATE(48)
                0      [0, 1] are marked
                0        log: tx CompleteAbort 7:1 (7, -1) []
                0      EndTxn v2 commit 7:0
                0        log: tx CompleteAbort 7:1 (7, -1) []
                0        INVALID_TXN_STATE(48)
                0      InitProducerId
                0        log: tx Empty 7:2 (7, -1) []
                0        goes on as 7:2
                0      AddPartitions 7:2 [0]
                0        log: tx Ongoing 7:2 (7, -1) [0]
                0        0: NONE(0) 
                0      InitProducerId as 7:0
                0        PRODUCER_FENCED(90)
                0      InitProducerId as 99:2
                0        PRODUCER_FENCED(90)
            "#]]),
        }
    }
}

#[test]
fn who_has_not_heard_its_new_epoch_is_told_again() {
    let mut story = Story::new(2);
    let first = story.init(None).expect("the first");
    let second = story.init(Some(first));
    assert_eq!(story.init(Some(first)), second, "asked again");
    story.init(None);
    story.init(Some(first));
    story.end_of_story(&expect![[r#"
        0      InitProducerId
        0        needs a producer id
        0        log: tx Empty 7:0 (7, -1) []
        0        goes on as 7:0
        0      InitProducerId as 7:0
        0        log: tx Empty 7:1 (7, -1) []
        0        goes on as 7:1
        0      InitProducerId as 7:0
        0        log: tx Empty 7:1 (7, -1) []
        0        goes on as 7:1
        0      InitProducerId
        0        log: tx Empty 7:2 (7, -1) []
        0        goes on as 7:2
        0      InitProducerId as 7:0
        0        PRODUCER_FENCED(90)
    "#]]);
}

#[test]
fn epochs_run_out() {
    let (mut story, last) = Story::at_last_epoch(2);
    let next = story.end(last, true, 2).expect("decided");
    story.end(last, true, 2);
    // Who goes on at once is early, not unknown.
    story.add(next, &[0], 2);
    story.end(next, false, 2);
    story.init(Some(next));
    story.mark_all();
    story.end(last, true, 2);
    story.end(last, false, 2);
    story.add(next, &[0], 2);
    story.end_of_story(&expect![[r#"
        0      EndTxn v2 commit 7:32766
        0        needs a producer id
        0        log: tx PrepareCommit 7:32767 (7, 8) [0, 1]
        0        markers: commit 7:32767 v2 to [("t", [0, 1])]
        0        goes on as 8:0
        0      EndTxn v2 commit 7:32766
        0        CONCURRENT_TRANSACTIONS(51)
        0      AddPartitions 8:0 [0]
        0        0: CONCURRENT_TRANSACTIONS(51) 
        0      EndTxn v2 abort 8:0
        0        CONCURRENT_TRANSACTIONS(51)
        0      InitProducerId as 8:0
        0        CONCURRENT_TRANSACTIONS(51)
        0      [0, 1] are marked
        0        log: tx CompleteCommit 8:0 (7, -1) []
        0      EndTxn v2 commit 7:32766
        0        goes on as 8:0
        0      EndTxn v2 abort 7:32766
        0        log: tx CompleteCommit 8:0 (7, -1) []
        0        INVALID_TXN_STATE(48)
        0      AddPartitions 8:0 [0]
        0        log: tx Ongoing 8:0 (8, -1) [0]
        0        0: NONE(0) 
    "#]]);

    for version in [1, 2] {
        let (mut story, last) = Story::at_last_epoch(version);
        story.init(Some(last));
        story.mark_all();
        story.init(Some(last));
        story.init(None);
        match version {
            1 => story.end_of_story(&expect![[r#"
                0      InitProducerId as 7:32766
                0        log: tx PrepareAbort 7:32767 (7, -1) [0, 1]
                0        markers: abort 7:32767 v0 to [("t", [0, 1])]
                0        CONCURRENT_TRANSACTIONS(51)
                0      [0, 1] are marked
                0        log: tx CompleteAbort 7:32767 (7, -1) []
                0      InitProducerId as 7:32766
                0        PRODUCER_FENCED(90)
                0      InitProducerId
                0        needs a producer id
                0        log: tx Empty 8:0 (7, -1) []
                0        goes on as 8:0
            "#]]),
            _ => story.end_of_story(&expect![[r#"
                0      InitProducerId as 7:32766
                0        needs a producer id
                0        log: tx PrepareAbort 7:32767 (7, 8) [0, 1]
                0        markers: abort 7:32767 v2 to [("t", [0, 1])]
                0        CONCURRENT_TRANSACTIONS(51)
                0      [0, 1] are marked
                0        log: tx CompleteAbort 8:0 (7, -1) []
                0      InitProducerId as 7:32766
                0        log: tx Empty 8:0 (8, -1) []
                0        goes on as 8:0
                0      InitProducerId
                0        log: tx Empty 8:1 (8, -1) []
                0        goes on as 8:1
            "#]]),
        }
    }
}

#[test]
fn a_transaction_runs_out_of_time() {
    for version in [1, 2] {
        let (mut story, producer) = Story::begun(version);
        story.pass(59_999);
        story.add(producer, &[2], version);
        story.pass(1);
        story.end(producer, true, version);
        story.mark_all();
        story.end(producer, true, version);
        story.end(producer, false, version);
        match version {
            1 => story.end_of_story(&expect![[r#"
                59999  AddPartitions 7:0 [2]
                59999    log: tx Ongoing 7:0 (7, -1) [0, 1, 2]
                59999    2: NONE(0) 
                60000  time passes
                60000    log: tx PrepareAbort 7:1 (7, -1) [0, 1, 2]
                60000    markers: abort 7:1 v0 to [("t", [0, 1, 2])]
                60000  EndTxn v1 commit 7:0
                60000    PRODUCER_FENCED(90)
                60000  [0, 1, 2] are marked
                60000    log: tx CompleteAbort 7:1 (7, -1) []
                60000  EndTxn v1 commit 7:0
                60000    PRODUCER_FENCED(90)
                60000  EndTxn v1 abort 7:0
                60000    PRODUCER_FENCED(90)
            "#]]),
            _ => story.end_of_story(&expect![[r#"
                59999  AddPartitions 7:0 [2]
                59999    log: tx Ongoing 7:0 (7, -1) [0, 1, 2]
                59999    2: NONE(0) 
                60000  time passes
                60000    log: tx PrepareAbort 7:1 (7, -1) [0, 1, 2]
                60000    markers: abort 7:1 v2 to [("t", [0, 1, 2])]
                60000  EndTxn v2 commit 7:0
                60000    log: tx PrepareAbort 7:1 (7, -1) [0, 1, 2]
                60000    INVALID_TXN_STATE(48)
                60000  [0, 1, 2] are marked
                60000    log: tx CompleteAbort 7:1 (7, -1) []
                60000  EndTxn v2 commit 7:0
                60000    log: tx CompleteAbort 7:1 (7, -1) []
                60000    INVALID_TXN_STATE(48)
                60000  EndTxn v2 abort 7:0
                60000    goes on as 7:1
            "#]]),
        }
    }
    let (mut story, _) = Story::at_last_epoch(2);
    story.pass(60_000);
    story.mark_all();
    story.end_of_story(&expect![[r#"
        60000  time passes
        60000    a fresh producer id is wanted
        60000    log: tx PrepareAbort 7:32767 (7, 8) [0, 1]
        60000    markers: abort 7:32767 v2 to [("t", [0, 1])]
        60000  [0, 1] are marked
        60000    log: tx CompleteAbort 8:0 (7, -1) []
    "#]]);
}

#[test]
fn the_coordinator_dies_at_every_step_of_a_commit() {
    let (mut story, producer) = Story::begun(2);
    story.fail_over();
    story.end(producer, true, 2);
    let before = story.ordered.pop().expect("sent");
    story.marked(&before, &[0]);
    story.fail_over();
    // What the former coordinator had sent tells nothing here.
    story.marked(&before, &[1]);
    story.describe();
    story.end(producer, true, 2);
    story.mark_all();
    story.fail_over();
    story.end(producer, true, 2);
    story.end_of_story(&expect![[r#"
        0      another broker takes over
        0      EndTxn v2 commit 7:0
        0        log: tx PrepareCommit 7:1 (7, -1) [0, 1]
        0        markers: commit 7:1 v2 to [("t", [0, 1])]
        0        goes on as 7:1
        0      [0] are marked
        0      another broker takes over
        0        log: tx PrepareCommit 7:1 (7, -1) [0, 1]
        0        markers: commit 7:1 v2 to [("t", [0, 1])]
        0      [1] are marked
        0      Describe
        0        NONE(0) PrepareCommit 7:1 [0, 1]
        0      EndTxn v2 commit 7:0
        0        CONCURRENT_TRANSACTIONS(51)
        0      [0, 1] are marked
        0        log: tx CompleteCommit 7:1 (7, -1) []
        0      another broker takes over
        0      EndTxn v2 commit 7:0
        0        goes on as 7:1
    "#]]);
}

#[test]
fn a_new_leader_gives_an_open_transaction_what_time_is_left() {
    let (mut story, _) = Story::begun(2);
    story.pass(50_000);
    story.fail_over();
    story.pass(9_999);
    story.say("not yet");
    story.pass(1);
    story.end_of_story(&expect![[r#"
        50000  another broker takes over
        59999  not yet
        60000  time passes
        60000    log: tx PrepareAbort 7:1 (7, -1) [0, 1]
        60000    markers: abort 7:1 v2 to [("t", [0, 1])]
    "#]]);
}

#[test]
fn what_is_refused() {
    let mut story = Story::new(2);
    let producer = (ProducerId(7), ProducerEpoch(0));
    story.add(producer, &[0], 2);
    story.verify(producer, &[0]);
    story.end(producer, true, 2);
    story.end(producer, true, 0);
    story.describe();
    for timeout_ms in [0, -1, 900_001] {
        let (transactional_id, expected, fresh) = (ID.into(), None, None);
        story.ask(
            "InitProducerId with a bad time-out",
            Request::InitProducerId { transactional_id, timeout_ms, expected, fresh },
        );
    }
    story.end_of_story(&expect![[r#"
        0      AddPartitions 7:0 [0]
        0        0: INVALID_PRODUCER_ID_MAPPING(49) 
        0      VerifyPartitions 7:0 [0]
        0        0: INVALID_PRODUCER_ID_MAPPING(49) 
        0      EndTxn v2 commit 7:0
        0        INVALID_PRODUCER_ID_MAPPING(49)
        0      EndTxn v0 commit 7:0
        0        INVALID_PRODUCER_ID_MAPPING(49)
        0      Describe
        0        TRANSACTIONAL_ID_NOT_FOUND(105)  0:0 []
        0      InitProducerId with a bad time-out
        0        INVALID_TRANSACTION_TIMEOUT(50)
        0      InitProducerId with a bad time-out
        0        INVALID_TRANSACTION_TIMEOUT(50)
        0      InitProducerId with a bad time-out
        0        INVALID_TRANSACTION_TIMEOUT(50)
    "#]]);
}

#[test]
fn ids_are_listed_and_forgotten() {
    let (mut story, producer) = Story::begun(2);
    let list = |states: Option<&[State]>, producer_ids: &[i64], running_longer_than_ms| {
        let states = states.map(<[State]>::to_vec);
        let producer_ids = producer_ids.to_vec();
        Request::List(TransactionListing { states, producer_ids, running_longer_than_ms })
    };
    story.ask("List", list(None, &[], -1));
    story.ask("List Ongoing", list(Some(&[State::Ongoing]), &[], -1));
    story.ask("List Empty", list(Some(&[State::Empty]), &[], -1));
    story.ask("List of 99", list(None, &[99], -1));
    story.ask("List longer than 0", list(None, &[], 0));
    story.pass(1_000);
    story.ask("List longer than 999", list(None, &[], 999));
    story.end(producer, false, 2);
    story.mark_all();
    story.pass(7 * 24 * 3_600_000);
    story.say("not yet: it was used after the last look");
    story.pass(3_600_000);
    story.describe();
    story.end_of_story(&expect![[r#"
        0      List
        0        ["tx"]
        0      List Ongoing
        0        ["tx"]
        0      List Empty
        0        []
        0      List of 99
        0        []
        0      List longer than 0
        0        []
        1000   List longer than 999
        1000     ["tx"]
        1000   EndTxn v2 abort 7:0
        1000     log: tx PrepareAbort 7:1 (7, -1) [0, 1]
        1000     markers: abort 7:1 v2 to [("t", [0, 1])]
        1000     goes on as 7:1
        1000   [0, 1] are marked
        1000     log: tx CompleteAbort 7:1 (7, -1) []
        604801000 not yet: it was used after the last look
        608400000 time passes
        608400000   log: tx is forgotten
        608401000 Describe
        608401000   TRANSACTIONAL_ID_NOT_FOUND(105)  0:0 []
    "#]]);
}

/// What a log says that no broker has written.
#[test]
fn a_state_that_is_never_written_is_a_fault() {
    let replay = |transaction_status| {
        let key = TransactionLogKey { transactional_id: ID.into() };
        let value = TransactionLogValue {
            producer_id: -5,
            producer_epoch: i16::MAX,
            next_producer_id: 9,
            transaction_status,
            transaction_start_timestamp_ms: i64::MIN,
            ..Default::default()
        };
        let mut story = Story::new(2);
        let record = Record::TransactionLog(key, Some(value));
        story.world.shard.replay(Entry::Record(record.clone())).map(|()| {
            story.world.log.push(Entry::Record(record));
            story.fail_over();
            // The first may find one open.
            story.init(None);
            story.init(None).expect("nothing hangs")
        })
    };
    for status in [-1, 6, 7, 8] {
        let fault = Fault::UnknownState { transactional_id: ID.into(), status };
        assert_eq!(replay(status), Err(fault));
    }
    for status in [0, 1, 2, 3, 4, 5] {
        assert!(replay(status).is_ok());
    }
}

#[test]
fn a_transaction_cannot_outgrow_its_record() {
    let (mut story, producer) = Story::begun(2);
    let topics = (0..8_000).map(|topic| (format!("{topic:0>200}"), vec![0])).collect();
    let transactional_id = ID.into();
    let request = Request::AddPartitions { transactional_id, producer, topics, client_version: 2 };
    let (_, outcome) = story.world.ask(5, "", request);
    assert!(outcome.entries.is_empty());
    let [(_, Response::Partitions(results))] = &outcome.replies[..] else { panic!("no answer") };
    let code = results[0].results_by_partition[0].partition_error_code;
    assert_eq!(code, ErrorCode::UNKNOWN_SERVER_ERROR);
}
