//! A replica that follows.

use strandline_log::EpochEnd;
use strandline_replica::{FetchAnswer, Fetched, FollowerChange, NextFetch};

use super::*;

impl Story {
    /// What the follower would ask now.
    fn asks(&mut self) {
        let line = match self.replica.next_fetch() {
            NextFetch::From(at) => format!(
                "asks {} in epoch {} from {}, last epoch {}, log start {}",
                at.leader, at.leader_epoch, at.offset, at.last_epoch, at.log_start
            ),
            other => format!("asks nothing: {other:?}"),
        };
        writeln!(self.text, "{line}").expect("strings grow");
    }

    fn answer(&mut self, what: &str, answer: FetchAnswer<'_>) {
        let NextFetch::From(at) = self.replica.next_fetch() else {
            panic!("{what}: nothing was asked");
        };
        let fetched = Fetched { leader_epoch: at.leader_epoch, offset: at.offset, answer };
        self.step(what, Event::Fetched(fetched));
    }

    /// Batches as base offset, count and epoch.
    fn records(&mut self, batches: &[(i64, i32, i32)], high_watermark: i64, log_start: i64) {
        let copied = |&(base, count, epoch): &(i64, i32, i32)| BatchFacts {
            base_offset: Offset(base),
            leader_epoch: LeaderEpoch(epoch),
            ..batch(count, -1, Timestamp(1000))
        };
        self.offered = batches.iter().map(copied).collect();
        let offered = self.offered.clone();
        let answer = FetchAnswer::Records {
            batches: &offered,
            high_watermark: Offset(high_watermark),
            log_start: Offset(log_start),
        };
        let what = format!("the leader sends {batches:?}, hw {high_watermark}, from {log_start}");
        self.answer(&what, answer);
        self.offered.clear();
    }

    fn diverges(&mut self, epoch: i32, end: i64) {
        let end = EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) };
        let what = format!("the leader's epoch {epoch} ends at {}", end.end);
        self.answer(&what, FetchAnswer::Diverging(end));
    }

    fn out_of_range(&mut self, log_start: i64, log_end: i64) {
        let what = format!("the leader has {log_start} to {log_end}");
        let (log_start, log_end) = (Offset(log_start), Offset(log_end));
        self.answer(&what, FetchAnswer::OutOfRange { log_start, log_end });
    }

    fn synced(&mut self) {
        let upto = self.admitted;
        self.step(&format!("synced up to {upto}"), Event::Synced { upto });
    }

    /// The shell carries the cut out.
    fn cut(&mut self) {
        let cut = self.replica.cut().expect("a cut is under way");
        let log = self.files.cut(self.replica.log(), cut);
        self.admitted = log.log_end();
        self.step(&format!("cut, and the log ends at {}", log.log_end()), Event::Cut(log.into()));
    }
}

#[test]
fn a_follower_copies_and_learns_how_far_it_is_committed() {
    let mut story = Story::new(2, i64::MAX);
    story.asks();
    story.follow(2, 1, 0, true);
    story.asks();
    story.records(&[(0, 2, 0), (2, 1, 1)], 2, 0);
    story.asks();
    story.written();
    story.asks();
    story.records(&[], 9, 0);
    story.records(&[(3, 1, 1)], 9, 2);
    story.written();
    story.records(&[(5, 1, 1)], 9, 2);
    story.records(&[(4, 1, 0)], 9, 2);
    // Written by a leader elected after the question was asked.
    story.records(&[(4, 1, 1), (5, 1, 2)], 9, 2);
    story.written();
    story.asks();
    story.ends(expect![[r#"
        asks nothing: Stopped
        follow 2 in epoch 1 (hw 0)
        asks 2 in epoch 1 from 0, last epoch -1, log start 0
        the leader sends [(0, 2, 0), (2, 1, 1)], hw 2, from 0 (hw 0)
            append 0, epochs 0@0 1@2
        asks nothing: Busy
        written up to 3 (hw 2)
        asks 2 in epoch 1 from 3, last epoch 1, log start 0
        the leader sends [], hw 9, from 0 (hw 3)
        the leader sends [(3, 1, 1)], hw 9, from 2 (hw 3)
            append 3
            log start 2
        written up to 4 (hw 4)
        the leader sends [(5, 1, 1)], hw 9, from 2 (hw 4)
            refuse: the leader's batches do not continue this log: offset 5 follows 4
        the leader sends [(4, 1, 0)], hw 9, from 2 (hw 4)
            refuse: the leader's batches do not continue this log: leader epoch 0 follows 1
        the leader sends [(4, 1, 1), (5, 1, 2)], hw 9, from 2 (hw 4)
            append 4
        written up to 5 (hw 5)
        asks 2 in epoch 1 from 5, last epoch 1, log start 2
    "#]]);
}

#[test]
fn with_flush_messages_one_a_follower_asks_on_from_what_is_durable() {
    let mut story = Story::new(2, 1);
    story.follow(2, 1, 0, true);
    story.records(&[(0, 2, 1)], 0, 0);
    story.written();
    story.asks();
    story.synced();
    story.asks();
    story.ends(expect![[r#"
        follow 2 in epoch 1 (hw 0)
        the leader sends [(0, 2, 1)], hw 0, from 0 (hw 0)
            append 0, epochs 1@0
        written up to 2 (hw 0)
            sync up to 2
        asks nothing: Busy
        synced up to 2 (hw 0)
        asks 2 in epoch 1 from 2, last epoch 1, log start 0
    "#]]);
}

#[test]
fn a_former_leader_cuts_off_what_nobody_else_has() {
    let mut story = Story::new(2, i64::MAX);
    story.follow(2, 1, 0, true);
    story.records(&[(0, 2, 0), (2, 2, 1), (4, 1, 1)], 2, 0);
    story.written();
    // Elected, but nothing was appended in that epoch.
    story.lead(2, 1, &[1, 2, 3], &[1, 2, 3]);
    story.follow(3, 3, 2, true);
    story.asks();
    story.diverges(1, 4);
    story.asks();
    story.cut();
    story.asks();
    // An epoch that this log has never seen: back to where the one before it ends, and ask again.
    story.follow(3, 4, 3, true);
    story.diverges(0, 3);
    story.cut();
    story.asks();
    story.diverges(0, 2);
    story.diverges(0, 1);
    story.ends(expect![[r#"
        follow 2 in epoch 1 (hw 0)
        the leader sends [(0, 2, 0), (2, 2, 1), (4, 1, 1)], hw 2, from 0 (hw 0)
            append 0, epochs 0@0 1@2
        written up to 5 (hw 2)
        lead epoch 2, replicas [1, 2, 3], in sync [1, 2, 3] (hw 2)
        follow 3 in epoch 3 (hw 2)
        asks 3 in epoch 3 from 5, last epoch 1, log start 0
        the leader's epoch 1 ends at 4 (hw 2)
            cut off from 4 on
        asks nothing: Busy
        cut, and the log ends at 4 (hw 2)
        asks 3 in epoch 3 from 4, last epoch 1, log start 0
        follow 3 in epoch 4 (hw 2)
        the leader's epoch 0 ends at 3 (hw 2)
            cut off from 2 on
        cut, and the log ends at 2 (hw 2)
        asks 3 in epoch 4 from 2, last epoch 0, log start 0
        the leader's epoch 0 ends at 2 (hw 2)
            refuse: the leader parts from this log at 2, where it ends
        the leader's epoch 0 ends at 1 (hw 2)
            refuse: the leader's log parts from this one at 1, below the high watermark 2, though this replica is in the ISR
    "#]]);
}

#[test]
fn after_an_unclean_election_what_was_committed_goes_too() {
    let mut story = Story::new(2, i64::MAX);
    story.follow(2, 1, 0, true);
    story.records(&[(0, 2, 1), (2, 3, 1)], 5, 0);
    story.written();
    story.follow(3, 2, 1, false);
    story.diverges(1, 2);
    story.cut();
    story.records(&[(2, 1, 2)], 2, 0);
    story.ends(expect![[r#"
        follow 2 in epoch 1 (hw 0)
        the leader sends [(0, 2, 1), (2, 3, 1)], hw 5, from 0 (hw 0)
            append 0, epochs 1@0
        written up to 5 (hw 5)
        follow 3 in epoch 2 (hw 5)
        the leader's epoch 1 ends at 2 (hw 5)
            cut off from 2 on
        cut, and the log ends at 2 (hw 2)
        the leader sends [(2, 1, 2)], hw 2, from 0 (hw 2)
            append 2, epochs 1@0 2@2
    "#]]);
}

#[test]
fn a_follower_that_was_away_too_long_starts_over() {
    let mut story = Story::new(2, i64::MAX);
    story.follow(2, 1, 0, false);
    story.records(&[(0, 4, 1)], 4, 0);
    story.written();
    story.out_of_range(0, 9);
    story.out_of_range(11, 20);
    story.cut();
    story.asks();
    // The leader's log begins within a batch.
    story.records(&[(9, 5, 1)], 18, 11);
    story.cut();
    story.asks();
    story.records(&[(9, 5, 1)], 18, 11);
    story.written();
    story.asks();
    // The leader has less, and no epoch to compare.
    story.out_of_range(11, 12);
    story.cut();
    story.asks();
    story.ends(expect![[r#"
        follow 2 in epoch 1 (hw 0)
        the leader sends [(0, 4, 1)], hw 4, from 0 (hw 0)
            append 0, epochs 1@0
        written up to 4 (hw 4)
        the leader has 0 to 9 (hw 4)
        the leader has 11 to 20 (hw 4)
            start over at 11
        cut, and the log ends at 11 (hw 11)
        asks 2 in epoch 1 from 11, last epoch -1, log start 11
        the leader sends [(9, 5, 1)], hw 18, from 11 (hw 11)
            start over at 9
        cut, and the log ends at 9 (hw 9)
        asks 2 in epoch 1 from 11, last epoch -1, log start 9
        the leader sends [(9, 5, 1)], hw 18, from 11 (hw 9)
            append 9, epochs 1@9
        written up to 14 (hw 14)
            log start 11
        asks 2 in epoch 1 from 14, last epoch 1, log start 11
        the leader has 11 to 12 (hw 14)
            cut off from 12 on
        cut, and the log ends at 11 (hw 11)
        asks 2 in epoch 1 from 11, last epoch -1, log start 11
    "#]]);
}

#[test]
fn a_cut_waits_for_a_sync_and_a_leadership_for_the_cut() {
    let config = LogConfig { segment_bytes: 300, ..LogConfig::default() };
    let mut story = Story::with(1, config);
    story.follow(2, 1, 0, true);
    story.records(&[(0, 2, 1)], 0, 0);
    story.written();
    story.records(&[(2, 2, 1)], 0, 0);
    story.written();
    story.follow(2, 3, 1, true);
    // The full segment is being synced: that must not vouch for what comes in the place of the cut.
    story.diverges(1, 2);
    story.asks();
    story.lead(4, 2, &[1, 2], &[1, 2]);
    story.produce(RequiredAcks::Leader, 1, -1);
    story.written();
    story.follow(2, 5, 3, true);
    story.diverges(1, 2);
    story.step("synced up to 2", Event::Synced { upto: Offset(2) });
    // Now the files are being cut.
    story.lead(6, 4, &[1, 2], &[1]);
    let dead = FollowerChange { follower: NodeId(2), is_alive: false, may_join_isr: false };
    story.step("2 is dead", Event::FollowerChanged(dead));
    story.produce(RequiredAcks::Leader, 1, -1);
    story.cut();
    story.step("delete", Event::DeleteRecords { ticket: Ticket(90), upto: Offset(2) });
    story.produce(RequiredAcks::Leader, 1, -1);
    story.ends(expect![[r#"
        follow 2 in epoch 1 (hw 0)
        the leader sends [(0, 2, 1)], hw 0, from 0 (hw 0)
            append 0, epochs 1@0
        written up to 2 (hw 0)
        the leader sends [(2, 2, 1)], hw 0, from 0 (hw 0)
            append 2
            sync up to 2
        written up to 4 (hw 0)
        follow 2 in epoch 3 (hw 0)
        the leader's epoch 1 ends at 2 (hw 0)
        asks nothing: Busy
        lead epoch 4, replicas [1, 2], in sync [1, 2] (hw 0)
        produce 1 acks Leader (hw 0)
            append 4, epochs 1@0 4@4
        written up to 5 (hw 0)
            answer 1: offset 4
        follow 2 in epoch 5 (hw 0)
        the leader's epoch 1 ends at 2 (hw 0)
        synced up to 2 (hw 0)
            cut off from 2 on
        lead epoch 6, replicas [1, 2], in sync [1] (hw 0)
        2 is dead (hw 0)
        produce 2 acks Leader (hw 0)
            answer 2: NOT_LEADER_OR_FOLLOWER (this broker does not lead the partition)
        cut, and the log ends at 2 (hw 2)
        delete (hw 2)
            log start 2
            answer 90: low watermark Ok(2)
        produce 3 acks Leader (hw 2)
            append 2, epochs 6@2
    "#]]);
}

#[test]
fn nothing_is_fetched_onto_a_full_disk() {
    let mut story = Story::new(1, i64::MAX);
    story.follow(2, 1, 0, true);
    story.records(&[(0, 2, 1)], 0, 0);
    story.written();
    story.records(&[(2, 2, 1)], 0, 0);
    let mut effects = Vec::new();
    story.replica.suspend(&mut effects);
    story.tell("no space left", &effects);
    let cut = story.replica.log().truncate_to(Offset(2), Vec::new(), story.now().timestamp);
    let log = story.files.recover(cut);
    story.replica.replace_log(log);
    story.asks();
    story.replica.resume();
    story.asks();
    story.step("fault", Event::Faulted);
    story.asks();
    story.ends(expect![[r#"
        follow 2 in epoch 1 (hw 0)
        the leader sends [(0, 2, 1)], hw 0, from 0 (hw 0)
            append 0, epochs 1@0
        written up to 2 (hw 0)
        the leader sends [(2, 2, 1)], hw 0, from 0 (hw 0)
            append 2
        no space left (hw 0)
        asks nothing: Stopped
        asks 2 in epoch 1 from 2, last epoch 1, log start 0
        fault (hw 0)
        asks nothing: Stopped
    "#]]);
}
