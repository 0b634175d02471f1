//! What a start makes of the files that a crash or a loss of power has left.

use expect_test::expect;

use super::*;

#[test]
fn a_crash_in_the_middle_of_a_batch() {
    let mut story = Story::new(small());
    story.append("produce", from_producer(batch(6, 1000), 7, 0, 0));
    story.append("produce", from_producer(batch(6, 1001), 7, 0, 6));
    story.sync();
    story.append("produce", from_producer(batch(2, 1002), 7, 0, 12));
    story.append("produce", from_producer(batch(6, 1003), 8, 0, 0));
    story.append("produce", batch(2, 1004));
    let torn = story.files.segments.get_mut(&Offset(6)).expect("the segment is there");
    torn.batches.pop();
    torn.torn_bytes = 70;
    story.recover(false);
    story.show();
    story.append("the lost one again", from_producer(batch(2, 1002), 7, 0, 12));
    story.append("the kept one again", from_producer(batch(6, 1001), 7, 0, 6));
    story.ends(expect![[r#"
        produce: offsets 0-5 in 0.log at 0
        produce: offsets 6-11 in 6.log at 0, rolled: Size
        sync [0, 6] up to 12
        produce: offsets 12-13 in 6.log at 600
        produce: offsets 14-19 in 14.log at 0, rolled: Size
        produce: offsets 20-21 in 14.log at 600
        recovered: 0..12, read 6@0, producers 1, repair Repair { delete_segments: [14], delete_snapshots: [14], truncate: Some((6, 600)), create_segment: None, epochs: None }
          0.log [0-5e0] index [] timeindex [1000→+5]
          6.log [6-11e0] index [] timeindex [1001→+5]
          snapshots [6(1)] epochs [0@0]
        the lost one again: offsets 12-13 in 6.log at 600
        the kept one again: again, offsets 6-11
    "#]]);
}

#[test]
fn durable_records_are_never_cut_off() {
    let mut story = Story::new(small());
    story.append("produce", batch(6, 1000));
    story.append("produce", batch(5, 1000));
    story.sync();
    let torn = story.files.segments.get_mut(&Offset(6)).expect("the segment is there");
    torn.batches.clear();
    torn.torn_bytes = 200;
    story.recover(false);
    story.ends(expect![[r#"
        produce: offsets 0-5 in 0.log at 0
        produce: offsets 6-10 in 6.log at 0, rolled: Size
        sync [0, 6] up to 11
        fault: segment 6 is corrupt at byte 0, before the recovery point 11: these records were durable once
    "#]]);
}

#[test]
fn a_clean_stop_reads_only_the_tail() {
    let mut story = Story::new(small());
    for round in 0..3 {
        story.append("produce", from_producer(batch(4, 1000 + i64::from(round)), 7, 0, round * 4));
        story.append("produce", batch(2, 1000));
    }
    let plan = story.log.plan_close();
    story.files.close(&mut story.log, now(1000), &plan);
    story.show();
    story.recover(true);
    story.append("the last one again", from_producer(batch(4, 1002), 7, 0, 8));
    story.files.segments.get_mut(&Offset(0)).expect("the segment is there").has_indexes = false;
    story.recover(true);
    story.ends(expect![[r#"
        produce: offsets 0-3 in 0.log at 0
        produce: offsets 4-5 in 0.log at 400
        produce: offsets 6-9 in 0.log at 600
        produce: offsets 10-11 in 10.log at 0, rolled: Size
        produce: offsets 12-15 in 10.log at 200
        produce: offsets 16-17 in 10.log at 600
          0.log [0-3e0 4-5e0 6-9e0] index [+5@400] timeindex [1000→+3 1001→+9]
          10.log [10-11e0 12-15e0 16-17e0] index [+7@600] timeindex [1002→+5]
          snapshots [10(1) 18(1)] epochs [0@0]
        recovered: 0..18, read 10@600, producers 1, repair Repair { delete_segments: [], delete_snapshots: [], truncate: None, create_segment: None, epochs: None }
        the last one again: again, offsets 12-15
        recovered: 0..18, read 0@0 10@600, producers 1, repair Repair { delete_segments: [], delete_snapshots: [], truncate: None, create_segment: None, epochs: None }
    "#]]);
}

#[test]
fn a_log_that_ends_before_its_start_is_wiped() {
    let mut story = Story::new(small());
    story.append("produce", from_producer(batch(6, 1000), 7, 0, 0));
    story.files.log_start = Offset(20);
    story.recover(false);
    story.append("produce", batch(1, 1000));
    story.show();
    story.ends(expect![[r#"
        produce: offsets 0-5 in 0.log at 0
        recovered: 20..20, read 0@0, producers 0, repair Repair { delete_segments: [0], delete_snapshots: [], truncate: None, create_segment: Some(20), epochs: Some([]) }
        produce: offsets 20-20 in 20.log at 0
          20.log [20-20e0] index [] timeindex []
          snapshots [] epochs [0@20]
    "#]]);
}

/// DeleteRecords trims the checkpoint of the epochs at once; what it says of the log's start may get
/// lost, and then the records are back.
#[test]
fn records_that_are_read_again_tell_their_epochs() {
    let mut story = Story::new(small());
    story.append("produce", batch(3, 1000));
    story.files.epochs =
        EpochCache::from_checkpoint([EpochStart { epoch: LeaderEpoch(2), start: Offset(3) }]);
    story.recover(false);
    story.show();
    story.ends(expect![[r#"
        produce: offsets 0-2 in 0.log at 0
        recovered: 0..3, read 0@0, producers 0, repair Repair { delete_segments: [], delete_snapshots: [], truncate: None, create_segment: None, epochs: Some([EpochStart { epoch: 0, start: 0 }]) }
          0.log [0-2e0] index [] timeindex [1000→+2]
          snapshots [] epochs [0@0]
    "#]]);
}

/// Of an epoch the first records may be gone, and of another one all: only the checkpoint knows then
/// where they began.
#[test]
fn epochs_begin_where_they_did_when_records_have_been_compacted_away() {
    let mut story = Story::new(small());
    for epoch in [0, 2, 3, 5, 5] {
        story.epoch = epoch;
        story.append("produce", batch(1, 1000));
    }
    let file = story.files.segments.get_mut(&Offset(0)).expect("the first segment");
    file.batches.retain(|batch| [0, 4].contains(&batch.base_offset.0));
    story.recover(false);
    story.ends(expect![[r#"
        produce: offsets 0-0 in 0.log at 0
        produce: offsets 1-1 in 0.log at 100
        produce: offsets 2-2 in 0.log at 200
        produce: offsets 3-3 in 0.log at 300
        produce: offsets 4-4 in 0.log at 400
        recovered: 0..5, read 0@0, producers 0, repair Repair { delete_segments: [], delete_snapshots: [], truncate: None, create_segment: None, epochs: None }
    "#]]);
}

/// Batches of a former leader were cut off, another one took the place of the first, and a loss of power
/// brings the second back.
#[test]
fn what_a_former_leader_wrote_does_not_come_back() {
    let in_one_segment = 1;
    let in_segments_of_their_own = 10;
    for records in [in_one_segment, in_segments_of_their_own] {
        let mut story = Story::new(small());
        for epoch in [0, 2, 2] {
            story.epoch = epoch;
            story.append("produce", batch(records, 1000));
        }
        let mut segments = story.files.segments.values_mut();
        let last = segments.next_back().and_then(|segment| segment.batches.last_mut());
        last.expect("three batches").leader_epoch = LeaderEpoch(1);
        story.recover(false);
        assert_eq!(story.log.log_end(), Offset(2 * i64::from(records)), "{}", story.text);
    }
}

#[test]
fn a_truncation_that_a_crash_cuts_short_leaves_no_hole() {
    let mut story = Story::new(small());
    for _ in 0..4 {
        story.append("produce", batch(8, 1000));
    }
    let recovery = story.log.truncate_to(Offset(8), Vec::new(), now(1000).timestamp);
    let recovered = story.files.run(recovery).expect("the files are whole");
    story.say(format!("truncated to 8, the last first: {:?}", recovered.repair.delete_segments));
    story.ends(expect![[r#"
        produce: offsets 0-7 in 0.log at 0
        produce: offsets 8-15 in 8.log at 0, rolled: Size
        produce: offsets 16-23 in 16.log at 0, rolled: Size
        produce: offsets 24-31 in 24.log at 0, rolled: Size
        truncated to 8, the last first: [24, 16, 8]
    "#]]);
}

#[test]
fn a_compacted_log_is_durable_before_it_goes_on_in_a_new_segment() {
    let mut story = Story::new(LogConfig { compacts: true, ..small() });
    for _ in 0..3 {
        story.append("produce", batch(8, 1000));
    }
    story.sync();
    story.append("synced before", batch(8, 1000));
    story.ends(expect![[r#"
        produce: offsets 0-7 in 0.log at 0
        produce: offsets 8-15 in 8.log at 0, rolled: Size behind a sync of [0]
        produce: offsets 16-23 in 16.log at 0, rolled: Size behind a sync of [0, 8]
        sync [0, 8, 16] up to 24
        synced before: offsets 24-31 in 24.log at 0, rolled: Size
    "#]]);
}
