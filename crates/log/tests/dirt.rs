//! Which part of a log a pass may clean, when that is worth it, and what takes its place.

mod files;

use std::sync::Arc;

use files::{Files, batch, from_producer, now};
use strandline_log::clean::{CleanSettings, CleanedSegment, Dirt, groups};
use strandline_log::{Log, LogConfig, Segment};
use strandline_types::{BatchFacts, Offset, Timestamp};

const SETTINGS: CleanSettings =
    CleanSettings { min_dirty_ratio: 0.5, min_lag_ms: 0, max_lag_ms: i64::MAX };

/// Segments of ten records and 1000 bytes each, dated by their number, the last one active.
fn log_of(segments: i64) -> Log {
    let config = LogConfig { segment_bytes: 1000, compacts: true, ..LogConfig::default() };
    let mut log = Log::create(Arc::new(config), 0, Offset(0), Timestamp(0));
    let mut files = Files::create(Offset(0));
    for number in 0..segments {
        files.append(&mut log, now(number), &[batch(10, number)], 0).expect("it fits");
    }
    log.synced(Timestamp(segments), log.written_end());
    log
}

fn dirt(log: &Log, cleaned_upto: Option<i64>, stable: i64, settings: &CleanSettings) -> Dirt {
    log.dirt(Timestamp(1000), cleaned_upto.map(Offset), Offset(stable), settings)
}

#[test]
fn dirty_is_what_was_not_cleaned_and_may_be() {
    let log = log_of(5);
    let all = dirt(&log, None, 50, &SETTINGS);
    assert_eq!((all.first_dirty, all.first_uncleanable), (Offset(0), Offset(40)));
    assert_eq!((all.clean_bytes, all.dirty_bytes, all.ratio()), (0, 4000, 1.0));
    let some = dirt(&log, Some(20), 50, &SETTINGS);
    assert_eq!((some.clean_bytes, some.dirty_bytes), (2000, 2000));
    assert!(!some.is_worth_a_pass(&SETTINGS), "half is not more than half");
    let more = dirt(&log, Some(15), 50, &SETTINGS);
    assert_eq!((more.clean_bytes, more.dirty_bytes), (1000, 3000), "a segment counts as a whole");
    assert!(more.is_worth_a_pass(&SETTINGS));
    let none = dirt(&log, Some(40), 50, &SETTINGS);
    assert!(!none.is_worth_a_pass(&CleanSettings { min_dirty_ratio: 0.0, ..SETTINGS }));
}

#[test]
fn what_is_not_committed_stays() {
    let log = log_of(5);
    for (stable, first_uncleanable) in [(0, 0), (9, 0), (10, 10), (39, 30), (40, 40), (50, 40)] {
        let dirt = dirt(&log, None, stable, &SETTINGS);
        assert_eq!(dirt.first_uncleanable, Offset(first_uncleanable), "stable to {stable}");
    }
}

#[test]
fn what_a_loss_of_power_could_take_must_be_synced_first() {
    let config = LogConfig { segment_bytes: 1000, compacts: true, ..LogConfig::default() };
    let mut log = Log::create(Arc::new(config), 0, Offset(0), Timestamp(0));
    let mut files = Files::create(Offset(0));
    for number in 0..5 {
        files.append(&mut log, now(number), &[batch(10, number)], 0).expect("it fits");
    }
    log.synced(Timestamp(9), Offset(20));
    let found = dirt(&log, None, 50, &SETTINGS);
    assert_eq!(log.plan_cleaning(&found, Timestamp(9)), None);
    log.synced(Timestamp(9), found.first_uncleanable);
    assert!(log.plan_cleaning(&found, Timestamp(9)).is_some());
}

#[test]
fn an_open_transaction_keeps_what_follows_from_being_cleaned() {
    let config = LogConfig { segment_bytes: 1000, compacts: true, ..LogConfig::default() };
    let mut log = Log::create(Arc::new(config), 0, Offset(0), Timestamp(0));
    for number in 0..4 {
        let mut written = from_producer(batch(10, number), 7, 0, number as i32 * 10);
        written.base_offset = Offset(number * 10);
        written.is_transactional = number >= 2;
        // As a copy: whether a leader takes transactions is not the question here.
        let origin = strandline_log::Origin::Follower;
        log.admit(now(number), &[written], origin, strandline_types::LeaderEpoch(0)).unwrap();
        log.written(log.log_end());
    }
    log.synced(Timestamp(9), log.written_end());
    assert_eq!(dirt(&log, None, 40, &SETTINGS).first_uncleanable, Offset(20));
}

#[test]
fn a_checkpoint_behind_the_log_or_beyond_it_says_nothing() {
    let mut log = log_of(5);
    assert_eq!(dirt(&log, Some(51), 50, &SETTINGS).first_dirty, Offset(0));
    log.raise_log_start(Offset(25));
    assert_eq!(dirt(&log, Some(10), 50, &SETTINGS).first_dirty, Offset(25));
    assert_eq!(dirt(&log, None, 50, &SETTINGS).first_dirty, Offset(25));
}

#[test]
fn young_records_are_safe_and_old_ones_must_go() {
    let log = log_of(5);
    let safe = CleanSettings { min_lag_ms: 998, ..SETTINGS };
    assert_eq!(dirt(&log, None, 50, &safe).first_uncleanable, Offset(30), "dated 0 to 2");
    let settings = CleanSettings { min_dirty_ratio: 1.0, ..SETTINGS };
    assert!(!dirt(&log, Some(30), 50, &settings).is_worth_a_pass(&settings));
    let overdue = CleanSettings { max_lag_ms: 996, ..settings };
    let found = dirt(&log, Some(30), 50, &overdue);
    assert!(found.is_overdue && found.is_worth_a_pass(&overdue), "dated 3, and it is 1000 now");
    let in_time = CleanSettings { max_lag_ms: 997, ..settings };
    assert!(!dirt(&log, Some(30), 50, &in_time).is_overdue);
}

#[test]
fn groups_fit_into_one_segment() {
    let segment = |base: i64, size_bytes: u32, index_entries: u32| Segment {
        size_bytes,
        index_entries,
        ..Segment::new(Offset(base), Timestamp(0))
    };
    let config = LogConfig { segment_bytes: 100, segment_index_bytes: 80, ..LogConfig::default() };
    let far = i64::from(i32::MAX);
    let segments = [
        segment(0, 60, 1),
        segment(10, 40, 1),
        segment(20, 0, 0),
        // By bytes these two could go together, by index entries not.
        segment(30, 10, 6),
        segment(40, 10, 5),
        segment(50, 10, 0),
        // By its offsets it cannot go with the two before.
        segment(far, 10, 0),
        // Larger than any segment would be now.
        segment(far + 1000, 500, 0),
    ];
    let grouped: Vec<Vec<i64>> = groups(&segments, Offset(far + 2000), &config)
        .iter()
        .map(|group| group.iter().map(|it| it.base_offset.get()).collect())
        .collect();
    let expected = [vec![0, 10, 20], vec![30], vec![40, 50], vec![far], vec![far + 1000]];
    assert_eq!(grouped, expected);
}

fn at(base: i64, count: i32) -> BatchFacts {
    BatchFacts { base_offset: Offset(base), ..batch(count, base) }
}

#[test]
fn a_cleaned_segment_takes_the_place_of_its_group() {
    let mut log = log_of(5);
    let group: Vec<Segment> = log.segments()[1..3].to_vec();
    let mut cleaned = CleanedSegment::new(Arc::clone(log.config()), &group);
    for left in [at(13, 2), at(25, 5)] {
        let last = left.last_offset();
        cleaned.place(left.base_offset, last, left.max_timestamp, left.size_bytes).unwrap();
    }
    let cleaned = cleaned.finish(Vec::new());
    assert_eq!(cleaned.next_offset, Offset(30));
    assert_eq!(cleaned.segment.largest_timestamp, Timestamp(25));
    assert!(log.can_replace(&cleaned));
    log.replace(&cleaned);
    let bases: Vec<i64> = log.segments().iter().map(|it| it.base_offset.get()).collect();
    assert_eq!(bases, [0, 10, 30, 40]);
    assert_eq!(log.segment_of(Offset(22)).size_bytes, 700);
    assert_eq!((log.log_end(), log.size_bytes()), (Offset(50), 3700));
    assert!(!log.can_replace(&cleaned), "one of the two has gone");
}
