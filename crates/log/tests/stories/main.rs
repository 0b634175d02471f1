//! A log's life in text: what was asked, what was answered, what lies in the files afterwards.

#[path = "../files/mod.rs"]
mod files;
mod recovery;

use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::{Expect, expect};
use files::{Files, batch, from_producer, marker, now};
use strandline_log::{
    Admitted, EpochCache, EpochStart, Log, LogConfig, Origin, RollReason, TransactionStart,
    VerificationGuard,
};
use strandline_types::{BatchFacts, LeaderEpoch, Offset, TimestampType};

struct Story {
    config: Arc<LogConfig>,
    files: Files,
    log: Log,
    now: i64,
    epoch: i32,
    text: String,
}

impl Story {
    fn new(config: LogConfig) -> Self {
        let config = Arc::new(config);
        Self {
            log: Log::create(Arc::clone(&config), 0, Offset(0), now(1000).timestamp),
            config,
            files: Files::create(Offset(0)),
            now: 1000,
            epoch: 0,
            text: String::new(),
        }
    }

    fn say(&mut self, line: impl AsRef<str>) {
        writeln!(self.text, "{}", line.as_ref()).expect("strings grow");
    }

    fn append(&mut self, what: &str, batch: BatchFacts) {
        self.append_from(what, batch, Origin::Leader);
    }

    fn append_from(&mut self, what: &str, batch: BatchFacts, origin: Origin) {
        let (log, now) = (&mut self.log, now(self.now));
        let answer = self.files.append_from(log, now, &[batch], self.epoch, origin);
        let line = match answer {
            Ok(Admitted::Append(admission)) => {
                let mut line = format!(
                    "{what}: offsets {}-{} in {}.log at {}",
                    admission.appended.base_offset,
                    admission.appended.next_offset - 1,
                    admission.segment,
                    admission.position
                );
                if let Some(roll) = &admission.roll {
                    write!(line, ", rolled: {:?}", roll.reason).expect("strings grow");
                    if let Some(sync) = &roll.sync {
                        write!(line, " behind a sync of {:?}", sync.segments)
                            .expect("strings grow");
                    }
                }
                if let Some(time) = admission.appended.log_append_time {
                    write!(line, ", dated {time}").expect("strings grow");
                }
                line
            }
            Ok(Admitted::Duplicate(first)) => {
                format!("{what}: again, offsets {}-{}", first.base_offset, first.next_offset - 1)
            }
            Err(refusal) => format!("{what}: {} ({refusal})", refusal.code().name().unwrap_or("?")),
        };
        self.say(line);
    }

    fn verify(&mut self, what: &str, batch: &BatchFacts, bumps: bool) -> Option<VerificationGuard> {
        let guard = self.log.begin_verification(now(self.now).timestamp, batch.into(), bumps);
        self.say(format!("{what}: {}", if guard.is_some() { "to be asked" } else { "known" }));
        guard
    }

    fn stable(&mut self, high_watermark: i64) {
        self.log.committed(Offset(high_watermark));
        let unstable = self.log.first_unstable().map(|offset| offset.0);
        self.say(format!("committed up to {high_watermark}, unstable from {unstable:?}"));
    }

    fn sync(&mut self) {
        if let Some(plan) = self.log.plan_sync(self.log.written_end()) {
            self.files.sync(&mut self.log, now(self.now), &plan);
            self.say(format!("sync {:?} up to {}", plan.segments, plan.upto));
        }
    }

    fn recover(&mut self, is_clean: bool) {
        self.files.scanned.clear();
        match self.files.recover(&self.config, now(self.now), is_clean) {
            Ok(recovered) => {
                self.say(format!(
                    "recovered: {}..{}, read {}, producers {}, repair {:?}",
                    recovered.log.log_start(),
                    recovered.log.log_end(),
                    self.files.scanned.join(" "),
                    recovered.log.producers().len(),
                    recovered.repair,
                ));
                self.log = recovered.log;
            }
            Err(fault) => self.say(format!("fault: {fault}")),
        }
    }

    fn show(&mut self) {
        let files = self.files.show();
        self.say(files);
    }

    fn ends(&self, expected: Expect) {
        expected.assert_eq(&self.text);
    }
}

/// Segments of 1,000 bytes (ten records), an index entry after each 250 bytes.
fn small() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 250, ..LogConfig::default() }
}

#[test]
fn append_index_and_roll() {
    let mut story = Story::new(small());
    for (count, time) in [(2, 1000), (1, 1003), (2, 1001), (4, 1004), (3, 1005)] {
        story.append("produce", batch(count, time));
    }
    story.show();
    story.now = 1000 + story.config.segment_ms;
    let late = story.now + 10;
    story.append("a week later", batch(1, late));
    story.show();
    story.ends(expect![[r#"
        produce: offsets 0-1 in 0.log at 0
        produce: offsets 2-2 in 0.log at 200
        produce: offsets 3-4 in 0.log at 300
        produce: offsets 5-8 in 0.log at 500
        produce: offsets 9-11 in 9.log at 0, rolled: Size
          0.log [0-1e0 2-2e0 3-4e0 5-8e0] index [+4@300] timeindex [1003→+2 1004→+8]
          9.log [9-11e0] index [] timeindex []
          snapshots [9(0)] epochs [0@0]
        a week later: offsets 12-12 in 12.log at 0, rolled: Time
          0.log [0-1e0 2-2e0 3-4e0 5-8e0] index [+4@300] timeindex [1003→+2 1004→+8]
          9.log [9-11e0] index [] timeindex [1005→+2]
          12.log [12-12e0] index [] timeindex []
          snapshots [9(0) 12(0)] epochs [0@0]
    "#]]);
}

#[test]
fn an_idempotent_producer_repeats_skips_and_is_fenced() {
    let mut story = Story::new(small());
    let sent = |epoch, sequence, count| from_producer(batch(count, 1000), 7, epoch, sequence);
    story.append("any first sequence", sent(0, 40, 2));
    story.append("the next", sent(0, 42, 1));
    story.append("repeat the first", sent(0, 40, 2));
    story.append("repeat half of it", sent(0, 40, 1));
    story.append("a gap", sent(0, 44, 1));
    for sequence in 43..48 {
        story.append("more", sent(0, sequence, 1));
    }
    story.append("repeat the fifth last", sent(0, 43, 1));
    story.append("repeat the sixth last", sent(0, 42, 1));
    story.append("new epoch, not from 0", sent(1, 1, 1));
    story.append("new epoch", sent(1, 0, 1));
    story.append("old epoch", sent(0, 48, 1));
    let last = i32::MAX;
    story.append("another at the edge", from_producer(batch(2, 1000), 8, 0, last - 1));
    story.append("it wraps", from_producer(batch(1, 1000), 8, 0, 0));
    story.append("across the edge", from_producer(batch(3, 1000), 9, 0, last));
    story.append("across it again", from_producer(batch(3, 1000), 9, 0, last));
    story.append("and on", from_producer(batch(1, 1000), 9, 0, 2));
    story.ends(expect![[r#"
        any first sequence: offsets 0-1 in 0.log at 0
        the next: offsets 2-2 in 0.log at 200
        repeat the first: again, offsets 0-1
        repeat half of it: OUT_OF_ORDER_SEQUENCE_NUMBER (producer 7 sent sequence 40, expected 43)
        a gap: OUT_OF_ORDER_SEQUENCE_NUMBER (producer 7 sent sequence 44, expected 43)
        more: offsets 3-3 in 0.log at 300
        more: offsets 4-4 in 0.log at 400
        more: offsets 5-5 in 0.log at 500
        more: offsets 6-6 in 0.log at 600
        more: offsets 7-7 in 0.log at 700
        repeat the fifth last: again, offsets 3-3
        repeat the sixth last: OUT_OF_ORDER_SEQUENCE_NUMBER (producer 7 sent sequence 42, expected 48)
        new epoch, not from 0: OUT_OF_ORDER_SEQUENCE_NUMBER (producer 7 sent sequence 1, expected 0)
        new epoch: offsets 8-8 in 0.log at 800
        old epoch: INVALID_PRODUCER_EPOCH (producer 7 with epoch 0 is fenced by epoch 1)
        another at the edge: offsets 9-10 in 9.log at 0, rolled: Size
        it wraps: offsets 11-11 in 9.log at 200
        across the edge: offsets 12-14 in 9.log at 300
        across it again: again, offsets 12-14
        and on: offsets 15-15 in 9.log at 600
    "#]]);
}

#[test]
fn what_a_client_may_not_append() {
    let mut story = Story::new(LogConfig {
        max_message_bytes: 500,
        timestamp_before_max_ms: 900,
        timestamp_after_max_ms: 50,
        compacts: true,
        ..small()
    });
    let with = |change: fn(&mut BatchFacts)| {
        let mut batch = batch(2, 1000);
        change(&mut batch);
        batch
    };
    story.append("offset 5", with(|batch| batch.base_offset = Offset(5)));
    story.append("too large", batch(6, 1000));
    story.append("miscounted", with(|batch| batch.record_count = 3));
    story.append("empty", with(|batch| (batch.record_count, batch.last_offset_delta) = (0, -1)));
    story.append(
        "control",
        with(|batch| batch.control = Some(strandline_types::ControlType::LeaderChange)),
    );
    story.append("no sequence", with(|batch| batch.producer_id.0 = 7));
    story.append("too old", batch(2, 99));
    story.append("too new", batch(2, 1051));
    story.append("no timestamp", batch(2, -1));
    story.append("stamped", with(|batch| batch.timestamp_type = TimestampType::LogAppendTime));
    story.append("no key", with(|batch| batch.first_keyless = Some(1)));
    story.append("transactional", with(|batch| batch.is_transactional = true));
    let two = story.files.append(&mut story.log, now(1000), &[batch(1, 1000), batch(1, 1000)], 0);
    story.say(format!("two batches: {two:?}"));
    story.log.fail();
    story.append("after a fault", batch(1, 1000));
    story.ends(expect![[r#"
        offset 5: INVALID_RECORD (a producer's batch begins at offset 0, found 5)
        too large: MESSAGE_TOO_LARGE (batch of 600 bytes is larger than max.message.bytes 500)
        miscounted: INVALID_RECORD (batch counts 3 records, its last offset delta is 1)
        empty: INVALID_RECORD (batch counts 0 records, its last offset delta is -1)
        control: INVALID_RECORD (clients may not write control batches)
        no sequence: INVALID_RECORD (an idempotent producer's batch has no sequence number)
        too old: INVALID_TIMESTAMP (a record's timestamp lies outside 100 to 1050)
        too new: INVALID_TIMESTAMP (a record's timestamp lies outside 100 to 1050)
        no timestamp: offsets 0-1 in 0.log at 0
        stamped: INVALID_TIMESTAMP (the producer set the LogAppendTime bit)
        no key: INVALID_RECORD (record 1 has no key and the topic is compacted)
        transactional: INVALID_TXN_STATE (the batch does not belong to an ongoing transaction)
        two batches: Err(NotOneBatch { found: 2 })
        after a fault: KAFKA_STORAGE_ERROR (the log is offline after a storage fault)
    "#]]);
}

#[test]
fn log_append_time_is_the_leaders() {
    let mut story =
        Story::new(LogConfig { timestamp_type: TimestampType::LogAppendTime, ..small() });
    story.append("from 1970", from_producer(batch(3, 5), 7, 0, 0));
    story.now = 2000;
    story.append("repeat", from_producer(batch(3, 5), 7, 0, 0));
    story.append("next", batch(1, 5));
    story.show();
    story.ends(expect![[r#"
        from 1970: offsets 0-2 in 0.log at 0, dated 1000
        repeat: again, offsets 0-2
        next: offsets 3-3 in 0.log at 300, dated 2000
          0.log [0-2e0 3-3e0] index [+3@300] timeindex [2000→+3]
          snapshots [] epochs [0@0]
    "#]]);
}

#[test]
fn flush_messages_bounds_what_an_answer_may_lose() {
    let mut story = Story::new(LogConfig { flush_messages: 3, flush_ms: 500, ..small() });
    for _ in 0..2 {
        story.append("produce", batch(2, 1000));
        let line = format!(
            "written {} counted {} wants sync {}",
            story.log.written_end(),
            story.log.counted_end(),
            story.log.wants_sync()
        );
        story.say(line);
    }
    story.sync();
    let line = format!("counted {}", story.log.counted_end());
    story.say(line);
    story.append("produce", batch(1, 1000));
    let due = [1499, 1500].map(|at| story.log.flush_is_due(now(at).timestamp));
    story.say(format!("flush due at 1499 and 1500: {due:?}"));
    story.ends(expect![[r#"
        produce: offsets 0-1 in 0.log at 0
        written 2 counted 2 wants sync false
        produce: offsets 2-3 in 0.log at 200
        written 4 counted 0 wants sync true
        sync [0] up to 4
        counted 4
        produce: offsets 4-4 in 0.log at 400
        flush due at 1499 and 1500: [false, true]
    "#]]);
}

#[test]
fn retention_takes_whole_old_segments_below_the_high_watermark() {
    let mut story = Story::new(LogConfig { retention_ms: 100, ..small() });
    for time in [1000, 1010, 1020, 1030] {
        story.append("produce", batch(6, time));
    }
    for (time, high_watermark) in [(1100, 24), (1115, 6), (1115, 24), (1131, 24), (1131, 24)] {
        let deletion = story.log.retain(now(time).timestamp, Offset(high_watermark));
        match &deletion {
            Some(deletion) => {
                story.files.delete(deletion);
                let rolled = deletion.roll.as_ref().map(|roll| roll.reason);
                assert!(rolled.is_none_or(|reason| reason == RollReason::Retention));
                story.say(format!(
                    "at {time} below {high_watermark}: delete {:?}, start {}, roll {}",
                    deletion.segments,
                    deletion.log_start,
                    rolled.is_some()
                ));
            }
            None => story.say(format!("at {time} below {high_watermark}: nothing")),
        }
    }
    story.append("produce", batch(1, 1131));
    story.show();
    story.ends(expect![[r#"
        produce: offsets 0-5 in 0.log at 0
        produce: offsets 6-11 in 6.log at 0, rolled: Size
        produce: offsets 12-17 in 12.log at 0, rolled: Size
        produce: offsets 18-23 in 18.log at 0, rolled: Size
        at 1100 below 24: nothing
        at 1115 below 6: delete [0], start 6, roll false
        at 1115 below 24: delete [6], start 12, roll false
        at 1131 below 24: delete [12, 18], start 24, roll true
        at 1131 below 24: nothing
        produce: offsets 24-24 in 24.log at 0
          24.log [24-24e0] index [] timeindex []
          snapshots [24(0)] epochs [0@24]
    "#]]);
}

#[test]
fn retention_by_size_and_by_deleted_records() {
    let mut story = Story::new(LogConfig { retention_bytes: 1500, ..small() });
    for _ in 0..5 {
        story.append("produce", batch(6, 1000));
    }
    let end = story.log.log_end();
    let deletion = story.log.retain(now(1000).timestamp, end);
    story.say(format!("by size: {deletion:?}"));
    story.files.delete(&deletion.expect("two segments are too many"));
    for asked in [31, -2, 25, -1] {
        let answer = story.log.delete_records(Offset(asked), Offset(30));
        story.say(format!("delete records before {asked}: {answer:?}"));
    }
    let deletion = story.log.retain(now(1000).timestamp, end);
    story.say(format!("by start: {deletion:?}"));
    story.ends(expect![[r#"
        produce: offsets 0-5 in 0.log at 0
        produce: offsets 6-11 in 6.log at 0, rolled: Size
        produce: offsets 12-17 in 12.log at 0, rolled: Size
        produce: offsets 18-23 in 18.log at 0, rolled: Size
        produce: offsets 24-29 in 24.log at 0, rolled: Size
        by size: Some(Deletion { roll: None, segments: [0, 6], log_start: 12, epochs: Some([EpochStart { epoch: 0, start: 12 }]) })
        delete records before 31: Err(OffsetOutOfRange { asked: 31, high_watermark: 30 })
        delete records before -2: Err(OffsetOutOfRange { asked: -2, high_watermark: 30 })
        delete records before 25: Ok(LogStart { log_start: 25, epochs: Some([EpochStart { epoch: 0, start: 25 }]) })
        delete records before -1: Ok(LogStart { log_start: 30, epochs: Some([EpochStart { epoch: 0, start: 30 }]) })
        by start: Some(Deletion { roll: None, segments: [12, 18], log_start: 30, epochs: None })
    "#]]);
}

#[test]
fn leaders_come_and_a_follower_truncates() {
    let mut story = Story::new(small());
    story.append("produce", from_producer(batch(3, 1000), 7, 0, 0));
    story.epoch = 4;
    story.append("produce", from_producer(batch(3, 1001), 7, 0, 3));
    story.epoch = 6;
    story.append("produce", batch(5, 1002));
    for epoch in [-1, 0, 3, 4, 5, 6, 7] {
        let end = story.log.end_of_epoch(LeaderEpoch(epoch));
        story.say(format!("epoch {epoch} ends: epoch {} at {}", end.epoch, end.end));
    }
    let snapshots = story.files.snapshots.keys().copied().collect();
    let recovery = story.log.truncate_to(Offset(4), snapshots, now(1000).timestamp);
    let recovered = story.files.run(recovery).expect("the files are whole");
    story.say(format!("truncated to 4: {:?}", recovered.repair));
    story.log = recovered.log;
    story.show();
    story.append("the producer goes on", from_producer(batch(3, 1001), 7, 0, 3));
    let over = story.log.start_over_at(Offset(50), now(1000).timestamp);
    story.say(format!("start over: {over:?}"));
    story.ends(expect![[r#"
        produce: offsets 0-2 in 0.log at 0
        produce: offsets 3-5 in 0.log at 300
        produce: offsets 6-10 in 6.log at 0, rolled: Size
        epoch -1 ends: epoch -1 at -1
        epoch 0 ends: epoch 0 at 3
        epoch 3 ends: epoch 0 at 3
        epoch 4 ends: epoch 4 at 6
        epoch 5 ends: epoch 4 at 6
        epoch 6 ends: epoch 6 at 11
        epoch 7 ends: epoch -1 at -1
        truncated to 4: Repair { delete_segments: [6], delete_snapshots: [6], truncate: Some((0, 300)), create_segment: None, epochs: Some([EpochStart { epoch: 0, start: 0 }]) }
          0.log [0-2e0] index [] timeindex [1000→+2]
          snapshots [] epochs [0@0]
        the producer goes on: offsets 3-5 in 0.log at 300
        start over: StartOver { delete_segments: [0], create_segment: 50, epochs: [] }
    "#]]);
}

#[test]
fn a_follower_copies_what_its_leader_wrote() {
    let mut story =
        Story::new(LogConfig { max_message_bytes: 100, may_have_holes: true, ..small() });
    let at = |offset: i64, count, epoch, time| {
        let copied = from_producer(batch(count, time), 7, 0, offset as i32);
        BatchFacts { base_offset: Offset(offset), leader_epoch: LeaderEpoch(epoch), ..copied }
    };
    let rounds = [
        // Larger than max.message.bytes, two epochs, and a hole that compaction left.
        vec![at(0, 3, 1, 1000), at(3, 2, 2, 1001), at(9, 1, 2, 1002)],
        vec![at(9, 2, 2, 1002)],
        vec![at(10, 2, 2, 1003), at(11, 1, 2, 1003)],
        vec![at(i64::MAX - 1, 2, 2, 1003)],
        vec![at(10, 30, 5, 1004)],
        vec![at(40, 1, 4, 1005)],
        vec![at(40, 1, 6, 1005), at(41, 1, 5, 1005)],
        vec![],
    ];
    for batches in rounds {
        let answer = story.log.admit(now(1000), &batches, Origin::Follower, LeaderEpoch::NONE);
        match answer {
            Ok(Admitted::Append(admission)) => {
                story.files.write(&admission, &batches);
                story.log.written(admission.appended.next_offset);
                assert!(admission.stamps.is_empty(), "a follower changes nothing");
                story.say(format!("copied up to {}", admission.appended.next_offset));
            }
            other => story.say(format!("{other:?}")),
        }
    }
    story.show();
    story.say(format!("{:?}", story.log.producers().snapshot()));
    // Where nothing was ever compacted a hole means that records are missing.
    let mut dense = Story::new(small());
    let holed = [at(0, 3, 1, 1000), at(4, 1, 1, 1000)];
    let refused = dense.log.admit(now(1000), &holed, Origin::Follower, LeaderEpoch::NONE);
    story.say(format!("{refused:?}"));
    story.ends(expect![[r#"
        copied up to 10
        Err(OffsetOutOfOrder { expected: 10, found: 9 })
        Err(OffsetOutOfOrder { expected: 12, found: 11 })
        Err(OffsetsExhausted)
        copied up to 40
        Err(EpochOutOfOrder { latest: 5, found: 4 })
        Err(EpochOutOfOrder { latest: 6, found: 5 })
        Err(NotOneBatch { found: 0 })
          0.log [0-2e1 3-4e2 9-9e2] index [+4@300] timeindex [1001→+4 1002→+9]
          10.log [10-39e5] index [] timeindex []
          snapshots [10(1)] epochs [1@0 2@3 5@10]
        [ProducerSnapshot { producer_id: 7, epoch: 0, last_sequence: 39, last_offset: 39, offset_delta: 29, timestamp: 1004, coordinator_epoch: -1, transaction_first_offset: -1 }]
        Err(OffsetOutOfOrder { expected: 3, found: 4 })
    "#]]);
}

#[test]
fn a_coordinator_writes_markers_and_several_batches_at_once() {
    let mut story = Story::new(LogConfig { compacts: true, ..small() });
    let commit = strandline_types::ControlType::Commit { coordinator_epoch: 3 };
    let mut marker = from_producer(batch(1, 1000), 7, 2, -1);
    (marker.control, marker.is_transactional) = (Some(commit), true);
    let batches = [batch(2, 1000), batch(3, 1001), marker];
    let answer = story.log.admit(now(1000), &batches, Origin::Coordinator, LeaderEpoch(4));
    let Ok(Admitted::Append(admission)) = answer else { panic!("{answer:?}") };
    story.files.write(&admission, &batches);
    story.say(format!("{:?}", admission.stamps));
    story.show();
    story.say(format!("{:?}", story.log.producers().snapshot()));
    story.ends(expect![[r#"
        [Stamp { base_offset: 0, leader_epoch: 4, log_append_time: None }, Stamp { base_offset: 2, leader_epoch: 4, log_append_time: None }, Stamp { base_offset: 5, leader_epoch: 4, log_append_time: None }]
          0.log [0-1e4 2-4e4 5-5e4] index [+5@500] timeindex [1001→+4]
          snapshots [] epochs [4@0]
        [ProducerSnapshot { producer_id: 7, epoch: 2, last_sequence: -1, last_offset: -1, offset_delta: 0, timestamp: 1000, coordinator_epoch: 3, transaction_first_offset: -1 }]
    "#]]);
}

fn in_transaction(count: i32, producer: i64, epoch: i16, sequence: i32) -> BatchFacts {
    let mut batch = from_producer(batch(count, 1000), producer, epoch, sequence);
    batch.is_transactional = true;
    batch
}

#[test]
fn made_up_producers_push_out_the_oldest_question_and_no_more() {
    let mut log = Story::new(LogConfig::default()).log;
    let first = |producer| TransactionStart::from(&in_transaction(1, producer, 0, 0));
    let mut ask = |producer| log.begin_verification(now(0).timestamp, first(producer), false);
    let oldest = ask(0);
    let second = ask(1);
    let newest = (2..=10_000).map(&mut ask).last().expect("there are some");

    assert!(log.check_verified(first(0), oldest).is_err(), "nothing gave way");
    log.check_verified(first(1), second).expect("it is among the 10,000");
    log.check_verified(first(10_000), newest).expect("it was asked last");
}

#[test]
fn a_transaction_begins_only_with_its_coordinators_consent() {
    let mut story = Story::new(LogConfig::default());
    let first = in_transaction(1, 7, 0, 0);
    story.append("unasked", first.clone());
    let guard = story.verify("first", &first, false).expect("it is new");
    story.append_from("confirmed", first.clone(), Origin::Verified(guard));
    let second = in_transaction(2, 7, 0, 1);
    story.verify("second", &second, false);
    story.append("second", second);
    story.append("outside of its transaction", from_producer(batch(1, 1000), 7, 0, 3));
    story.append_from("commit", marker(7, 0, true, 0), Origin::Marker { bumps_epoch: false });
    story.append_from("after the marker", in_transaction(1, 7, 0, 3), Origin::Verified(guard));

    // What is asked before a marker is not confirmed by an answer behind it.
    let late = in_transaction(1, 7, 0, 3);
    let guard = story.verify("late", &late, false).expect("the transaction is over");
    story.append_from("time-out", marker(7, 1, false, 0), Origin::Marker { bumps_epoch: false });
    story.append_from("late", late, Origin::Verified(guard));

    // Where the epoch is bumped, the marker has that of the next transaction, which may be waiting.
    let bumped = Origin::Marker { bumps_epoch: true };
    story.append_from("others", in_transaction(1, 5, 0, 0), Origin::Leader);
    let next = in_transaction(1, 5, 1, 0);
    let guard = story.verify("next", &next, true).expect("it is new");
    story.append_from("marker of the one before", marker(5, 1, true, 0), bumped);
    story.append_from("next", next.clone(), Origin::Verified(guard));
    story.append_from("its own marker", marker(5, 2, true, 0), bumped);
    story.append_from("next, again", in_transaction(1, 5, 1, 1), Origin::Verified(guard));

    // The question about the first batch failed, the one about the second did not.
    let (lost, next) = (in_transaction(1, 8, 0, 0), in_transaction(1, 8, 0, 1));
    story.verify("lost", &lost, false);
    let guard = story.verify("overtaking", &next, false).expect("nothing is open");
    story.append_from("overtaking", next, Origin::Verified(guard));
    story.append_from("lost, again", lost, Origin::Verified(guard));

    // Where each transaction has an epoch of its own it begins at 0, whatever has been forgotten.
    let middle = in_transaction(1, 9, 4, 5);
    let guard = story.verify("in the middle", &middle, true).expect("nothing is open");
    story.append_from("in the middle", middle, Origin::Verified(guard));
    story.ends(expect![[r#"
        unasked: INVALID_TXN_STATE (the batch does not belong to an ongoing transaction)
        first: to be asked
        confirmed: offsets 0-0 in 0.log at 0
        second: known
        second: offsets 1-2 in 0.log at 100
        outside of its transaction: INVALID_TXN_STATE (the batch does not belong to an ongoing transaction)
        commit: offsets 3-3 in 0.log at 300
        after the marker: INVALID_TXN_STATE (the batch does not belong to an ongoing transaction)
        late: to be asked
        time-out: offsets 4-4 in 0.log at 400
        late: INVALID_PRODUCER_EPOCH (producer 7 with epoch 0 is fenced by epoch 1)
        others: INVALID_TXN_STATE (the batch does not belong to an ongoing transaction)
        next: to be asked
        marker of the one before: offsets 5-5 in 0.log at 500
        next: offsets 6-6 in 0.log at 600
        its own marker: offsets 7-7 in 0.log at 700
        next, again: INVALID_PRODUCER_EPOCH (producer 5 with epoch 1 is fenced by epoch 2)
        lost: to be asked
        overtaking: to be asked
        overtaking: OUT_OF_ORDER_SEQUENCE_NUMBER (producer 8 sent sequence 1, expected 0)
        lost, again: offsets 8-8 in 0.log at 800
        in the middle: to be asked
        in the middle: OUT_OF_ORDER_SEQUENCE_NUMBER (producer 9 sent sequence 5, expected 0)
    "#]]);
}

#[test]
fn markers_of_the_past_are_fenced() {
    let mut story = Story::new(LogConfig { verifies_transactions: false, ..LogConfig::default() });
    let bumped = Origin::Marker { bumps_epoch: true };
    story.append("data", in_transaction(1, 7, 3, 0));
    story.append_from("epoch of the records", marker(7, 3, true, 5), bumped);
    story.append_from("next epoch", marker(7, 4, true, 5), bumped);
    story.append_from("again", marker(7, 4, true, 5), bumped);
    story.append_from("deposed coordinator", marker(7, 5, false, 4), bumped);
    story.append_from("older epoch", marker(7, 3, false, 6), bumped);
    story.append("zombie", in_transaction(1, 7, 3, 1));
    story.append("next transaction", in_transaction(1, 7, 4, 0));
    story.append_from("of an unknown producer", marker(99, 0, false, 0), bumped);
    story.ends(expect![[r#"
        data: offsets 0-0 in 0.log at 0
        epoch of the records: INVALID_PRODUCER_EPOCH (producer 7 with epoch 3 is fenced by epoch 3)
        next epoch: offsets 1-1 in 0.log at 100
        again: offsets 2-2 in 0.log at 200
        deposed coordinator: TRANSACTION_COORDINATOR_FENCED (a coordinator of epoch 5 has ended transactions of this producer, not 4)
        older epoch: INVALID_PRODUCER_EPOCH (producer 7 with epoch 3 is fenced by epoch 4)
        zombie: INVALID_PRODUCER_EPOCH (producer 7 with epoch 3 is fenced by epoch 4)
        next transaction: offsets 3-3 in 0.log at 300
        of an unknown producer: offsets 4-4 in 0.log at 400
    "#]]);
}

#[test]
fn readers_of_committed_records_wait_for_the_earliest_open_transaction() {
    let mut story = Story::new(LogConfig { verifies_transactions: false, ..LogConfig::default() });
    let ends = Origin::Marker { bumps_epoch: false };
    story.append("plain", batch(2, 1000));
    story.append("long", in_transaction(1, 1, 0, 0));
    story.append("short", in_transaction(1, 2, 0, 0));
    story.stable(4);
    story.append_from("short ends", marker(2, 0, false, 0), ends);
    story.stable(5);
    story.append_from("long ends", marker(1, 0, true, 0), ends);
    story.stable(5);
    story.append("third", in_transaction(1, 3, 0, 0));
    story.stable(6);
    story.append_from("third ends", marker(3, 0, true, 0), ends);
    story.stable(7);
    story.stable(8);
    let aborted: Vec<_> = story.files.segments.values().flat_map(|it| it.aborted.clone()).collect();
    story.say(format!("{aborted:?}"));
    story.ends(expect![[r#"
        plain: offsets 0-1 in 0.log at 0
        long: offsets 2-2 in 0.log at 200
        short: offsets 3-3 in 0.log at 300
        committed up to 4, unstable from Some(2)
        short ends: offsets 4-4 in 0.log at 400
        committed up to 5, unstable from Some(2)
        long ends: offsets 5-5 in 0.log at 500
        committed up to 5, unstable from Some(2)
        third: offsets 6-6 in 0.log at 600
        committed up to 6, unstable from Some(6)
        third ends: offsets 7-7 in 0.log at 700
        committed up to 7, unstable from Some(6)
        committed up to 8, unstable from None
        [AbortedTransaction { producer_id: 2, first_offset: 3, last_offset: 4, last_stable_offset: 2 }]
    "#]]);
}
