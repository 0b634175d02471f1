//! One partition on the real disk.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::{DIR_NAME, Node, Opened, Options, values};
use strandline_store::{ReadRequest, Records, StartCondition, StoreFault};
use strandline_types::{BrokerEpoch, Offset, Timestamp, Uuid};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn expected(count: usize, len: usize) -> Vec<(i64, String)> {
    values(0, count, len).into_iter().enumerate().map(|(i, value)| (i as i64, value)).collect()
}

async fn filled(path: &Path, options: Options, records: usize) -> Node {
    let mut node = Node::create(path, options).await;
    for first in (0..records).step_by(3) {
        node.append_values(&values(first, 3.min(records - first), 100), 1000 + first as i64).await;
    }
    node
}

#[tokio::test]
async fn what_was_appended_is_read_from_files_and_from_memory() {
    for tail_cache_bytes in [0, 2_000, 1 << 20] {
        let home = tempfile::tempdir().unwrap();
        let options = Options { tail_cache_bytes, ..Options::default() };
        let node = filled(home.path(), options, 200).await;
        assert!(node.log.segments().len() > 4);
        for max_bytes in [0, 700, 5_000, u32::MAX] {
            assert_eq!(node.read_all(max_bytes).await, expected(200, 100), "{max_bytes}");
        }
        for from in 0..200 {
            let read = node.read_from(Offset(from), Offset(200), 1000).await;
            assert_eq!(read, expected(200, 100)[from as usize..], "{from}");
        }
    }
}

#[tokio::test]
async fn a_read_ends_at_its_limits() {
    let home = tempfile::tempdir().unwrap();
    let node = filled(home.path(), Options::default(), 60).await;
    let read = async |from, upto, max_bytes, at_least_one_batch| {
        let (from, upto) = (Offset(from), Offset(upto));
        let request = ReadRequest { from, upto, max_bytes, at_least_one_batch };
        let answer = node.store.read(request).await.unwrap().unwrap();
        (answer.records.len(), answer.next_offset.get())
    };
    let (one, after) = read(0, 60, 0, true).await;
    assert_eq!((one > 300, after), (true, 3));
    assert_eq!(read(0, 60, 0, false).await, (0, 0));
    assert_eq!(read(1, 60, 0, true).await, (one, 3));
    assert_eq!(read(0, 60, one as u32, false).await, (one, 3));
    assert_eq!(read(0, 60, 2 * one as u32 - 1, false).await, (one, 3));
    assert_eq!(read(0, 60, 2 * one as u32, false).await, (2 * one, 6));
    // Never a batch that reaches the upper limit.
    assert_eq!(read(0, 5, u32::MAX, true).await, (one, 3));
    assert_eq!(read(3, 5, u32::MAX, true).await, (0, 3));
    assert_eq!(read(60, 60, u32::MAX, true).await, (0, 60));
    assert_eq!(read(70, 80, u32::MAX, true).await, (0, 70));
}

#[tokio::test]
async fn a_clean_stop_is_remembered_until_somebody_else_was_here() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path(), Options::default(), 100).await.close().await;
    let (node, opened) = Node::open(home.path(), Options::default()).await.unwrap();
    assert!(matches!(opened, Opened::Remembered));
    let clean = StartCondition::Clean { broker_epoch: BrokerEpoch(9) };
    assert_eq!(node.dir.condition(), clean);
    assert_eq!(node.read_all(1000).await, expected(100, 100));
    assert!(!names(home.path()).contains(&".kafka_cleanshutdown".to_owned()));
    let remembered = node.log.image();
    node.close().await;

    // The same file again, as another broker would leave it.
    let shutdown = home.path().join(".kafka_cleanshutdown");
    let bytes = fs::read(&shutdown).unwrap();
    fs::remove_file(&shutdown).unwrap();
    fs::write(&shutdown, bytes).unwrap();
    let far = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9);
    fs::File::options().write(true).open(&shutdown).unwrap().set_modified(far).unwrap();
    let (node, opened) = Node::open(home.path(), Options::default()).await.unwrap();
    assert!(matches!(opened, Opened::Recovered(_)));
    assert_eq!(node.dir.condition(), clean);
    let image = node.log.image();
    assert_eq!(image.log_end, remembered.log_end);
    assert_eq!(image.epochs, remembered.epochs);
    assert_eq!(image.producers, remembered.producers);
    let sizes = |image: &strandline_log::LogImage| -> Vec<_> {
        image
            .segments
            .iter()
            .map(|s| (s.base_offset, s.size_bytes, s.index_entries, s.time_index_entries))
            .collect()
    };
    assert_eq!(sizes(&image), sizes(&remembered));
    assert_eq!(node.read_all(1000).await, expected(100, 100));
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_written() {
    let home = tempfile::tempdir().unwrap();
    let node = filled(home.path(), Options::default(), 100).await;
    drop(node);
    let (mut node, opened) = Node::open(home.path(), Options::default()).await.unwrap();
    assert!(matches!(opened, Opened::Recovered(_)));
    assert_eq!(node.dir.condition(), StartCondition::ProcessCrash);
    assert_eq!(node.read_all(1000).await, expected(100, 100));
    node.append_values(&values(100, 5, 100), 5000).await;
    assert_eq!(node.read_all(1000).await, expected(105, 100));
}

fn log_files(home: &Path) -> Vec<std::path::PathBuf> {
    let dir = home.join(DIR_NAME);
    names(&dir).into_iter().filter(|name| name.ends_with(".log")).map(|n| dir.join(n)).collect()
}

/// As after a power loss: the boot is another one.
fn forget_boot(home: &Path) {
    fs::write(home.join(".strandline-boot"), "another").unwrap();
}

#[tokio::test]
async fn a_torn_tail_is_cut_off() {
    let home = tempfile::tempdir().unwrap();
    drop(filled(home.path(), Options::default(), 100).await);
    forget_boot(home.path());
    let last = log_files(home.path()).pop().unwrap();
    let len = fs::metadata(&last).unwrap().len();
    fs::File::options().write(true).open(&last).unwrap().set_len(len - 1).unwrap();
    let (mut node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(node.dir.condition(), StartCondition::Unknown);
    assert_eq!(node.read_all(1000).await, expected(99, 100));
    node.append_values(&values(99, 1, 100), 5000).await;
    assert_eq!(node.read_all(1000).await, expected(100, 100));
}

#[tokio::test]
async fn a_flipped_bit_behind_the_recovery_point_ends_the_log_before_it_is_a_fault() {
    for (synced, segment) in [(false, 2), (true, 2)] {
        let home = tempfile::tempdir().unwrap();
        let mut node = filled(home.path(), Options::default(), 100).await;
        if synced {
            node.sync(5000).await;
        }
        drop(node);
        forget_boot(home.path());
        let file = &log_files(home.path())[segment];
        let base: i64 = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let mut bytes = fs::read(file).unwrap();
        bytes[80] ^= 1;
        fs::write(file, &bytes).unwrap();
        match Node::open(home.path(), Options::default()).await {
            Ok((node, _)) if !synced => {
                assert_eq!(node.read_all(1000).await, expected(base as usize, 100));
                assert_eq!(log_files(home.path()).len(), segment + 1);
            }
            // Nothing reads a segment whose records are durable, so nothing can notice: its
            // checksum is for whoever reads it.
            Ok((node, _)) => assert_eq!(node.log.log_end(), Offset(100)),
            Err(fault) => panic!("{fault}"),
        }
    }
}

#[tokio::test]
async fn indexes_are_rebuilt_when_missing_or_senseless() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("missing", |path| fs::remove_file(path).unwrap()),
        ("empty", |path| fs::write(path, b"").unwrap()),
        ("cut", |path| {
            let len = fs::metadata(path).unwrap().len();
            fs::File::options().write(true).open(path).unwrap().set_len(len - 1).unwrap();
        }),
        ("preallocated", |path| {
            fs::File::options().write(true).open(path).unwrap().set_len(24_000).unwrap();
        }),
        ("nonsense", |path| fs::write(path, [0x55; 240]).unwrap()),
        ("negative", |path| fs::write(path, [0xff; 240]).unwrap()),
    ];
    for suffix in ["index", "timeindex"] {
        for (what, damage) in damages {
            let home = tempfile::tempdir().unwrap();
            filled(home.path(), Options::default(), 100).await.close().await;
            fs::remove_file(home.path().join(".strandline-summary")).unwrap();
            let whole: Vec<_> = log_files(home.path());
            let path = whole[1].with_extension(suffix);
            let before = fs::read(&path).unwrap();
            damage(&path);
            let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
            assert_eq!(node.read_all(1000).await, expected(100, 100), "{what} {suffix}");
            // An empty index is a valid one: it only says nothing.
            if what != "empty" {
                assert_eq!(fs::read(&path).unwrap(), before, "{what} {suffix}");
            }
        }
    }
}

#[tokio::test]
async fn leftovers_of_a_crash_are_tidied_up() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path(), Options::default(), 100).await.close().await;
    let dir = home.path().join(DIR_NAME);
    let before = names(&dir);
    for name in [
        "00000000000000000000.log.deleted",
        "00000000000000000500.index",
        "00000000000000000500.timeindex",
        "00000000000000000009.log.cleaned",
        "00000000000000000009.log.swap",
        "leader-epoch-checkpoint.tmp",
    ] {
        fs::write(dir.join(name), b"left over").unwrap();
    }
    fs::write(dir.join("notes.txt"), b"somebody's").unwrap();
    let (node, opened) = Node::open(home.path(), Options::default()).await.unwrap();
    assert!(matches!(opened, Opened::Recovered(_)), "the directory has changed");
    assert_eq!(node.read_all(1000).await, expected(100, 100));
    let mut after = names(&dir);
    after.retain(|name| name != "notes.txt");
    assert_eq!(after, before);
    assert!(dir.join("notes.txt").exists());
}

#[tokio::test]
async fn a_half_done_swap_is_completed() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path(), Options::default(), 100).await.close().await;
    let second = &log_files(home.path())[1];
    let swap = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".swap");
        fs::rename(path, name).unwrap();
    };
    swap(second);
    swap(&second.with_extension("index"));
    // The time index had been renamed already; and one of the old segments is still there.
    fs::write(home.path().join(DIR_NAME).join("00000000000000000031.log"), b"old").unwrap();
    let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(node.read_all(1000).await, expected(100, 100));
}

#[tokio::test]
async fn retention_takes_whole_segments_and_readers_finish() {
    let home = tempfile::tempdir().unwrap();
    let mut node = filled(home.path(), Options::default(), 100).await;
    let (from, upto) = (Offset(0), Offset(100));
    let request = ReadRequest { from, upto, max_bytes: u32::MAX, at_least_one_batch: true };
    let reading = node.store.read(request).await.unwrap().unwrap();
    node.log.delete_records(Offset(50), Offset(100)).unwrap();
    let plan = node.log.retain(Timestamp(6000), Offset(100)).unwrap();
    node.write_checkpoints().await;
    let gone = plan.segments.len();
    let deleted = node.store.delete(plan).await.unwrap();
    let dir = home.path().join(DIR_NAME);
    assert_eq!(names(&dir).iter().filter(|name| name.ends_with(".log.deleted")).count(), gone);
    assert!(node.store.read(request).await.unwrap().is_none());
    deleted.unlink(node.dir.io()).await.unwrap();
    assert!(!names(&dir).iter().any(|name| name.ends_with(".deleted")));
    let Records::File(range) = reading.records else { panic!("no cache here") };
    let bytes = range.read(node.dir.io()).await.unwrap();
    assert_eq!(common::decode(&bytes)[0], (0, values(0, 1, 100).remove(0)));
    assert_eq!(node.read_all(1000).await, expected(100, 100)[50..]);
    drop(node);
    let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(node.read_all(1000).await, expected(100, 100)[50..]);
}

#[tokio::test]
async fn truncation_and_a_fresh_start() {
    let home = tempfile::tempdir().unwrap();
    let options = || Options { tail_cache_bytes: 1 << 20, ..Options::default() };
    let mut node = filled(home.path(), options(), 100).await;
    node.truncate(Offset(50), 5000).await;
    // The batch that holds offset 50 goes too.
    assert_eq!(node.log.log_end(), Offset(48));
    assert_eq!(node.read_all(1000).await, expected(48, 100));
    node.append_values(&values(48, 2, 100), 5000).await;
    assert_eq!(node.read_all(1000).await, expected(50, 100));
    let plan = node.log.start_over_at(Offset(1000), Timestamp(5000));
    node.store.start_over(plan).await.unwrap().unlink(node.dir.io()).await.unwrap();
    assert_eq!(node.append_values(&values(0, 1, 100), 5000).await, Offset(1000));
    assert_eq!(node.read_all(1000).await, [(1000, values(0, 1, 100).remove(0))]);
    node.close().await;
    let (node, _) = Node::open(home.path(), options()).await.unwrap();
    assert_eq!(node.read_all(1000).await, [(1000, values(0, 1, 100).remove(0))]);
}

#[tokio::test]
async fn few_open_files_are_enough() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { files_max: 8, ..Options::default() };
    let node = filled(home.path(), options, 400).await;
    assert!(node.log.segments().len() > 10);
    assert_eq!(node.read_all(1000).await, expected(400, 100));
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let ours = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    let ours = ours.filter(|path| path.starts_with(home.path())).count();
    // The cap, the lock, and what a lookup holds for the moment.
    assert!(ours <= 8 + 1, "{ours} files are open");
}

#[tokio::test]
async fn times_are_found() {
    let home = tempfile::tempdir().unwrap();
    // Batch i has offsets 3i to 3i + 2 and the time 1000 + 3i.
    let node = filled(home.path(), Options::default(), 99).await;
    for (target, expected) in
        [(0, Some((1000, 0))), (1001, Some((1003, 3))), (1096, Some((1096, 96))), (1097, None)]
    {
        let segment = node.log.segment_for_timestamp(Timestamp(target));
        let found = match segment.map(|segment| segment.base_offset) {
            Some(base) => {
                node.store.find_timestamp(base, Timestamp(target), Offset(0)).await.unwrap()
            }
            None => None,
        };
        let found = found.map(|found| (found.timestamp.as_millis(), found.offset.get()));
        assert_eq!(found, expected, "{target}");
    }
    let segment = *node.log.segment_of_largest_timestamp().unwrap();
    let largest = node.store.largest_timestamp(segment.base_offset, segment.offset_of_largest);
    let largest = largest.await.unwrap().unwrap();
    assert_eq!((largest.timestamp, largest.offset), (Timestamp(1096), Offset(96)));
}

#[tokio::test]
async fn a_preallocated_log_is_cut_at_roll_and_stop() {
    let home = tempfile::tempdir().unwrap();
    let options = || Options { preallocate_bytes: 10_000, ..Options::default() };
    let mut node = filled(home.path(), options(), 40).await;
    node.sync(5000).await;
    let logs = log_files(home.path());
    let len = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(len(logs.last().unwrap()) > 10_000);
    for (path, segment) in logs.iter().zip(node.log.segments()).take(logs.len() - 1) {
        assert_eq!(len(path), u64::from(segment.size_bytes));
    }
    drop(node);
    forget_boot(home.path());
    let (mut node, _) = Node::open(home.path(), options()).await.unwrap();
    assert_eq!(node.read_all(1000).await, expected(40, 100));
    node.append_values(&values(40, 1, 100), 5000).await;
    let size = node.log.segments().last().unwrap().size_bytes;
    node.close().await;
    assert_eq!(len(log_files(home.path()).last().unwrap()), u64::from(size));
}

#[tokio::test]
async fn a_log_cut_to_before_its_start_stays_empty() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Node::create(home.path(), Options::default()).await;
    for (first, count, len) in [(0, 2, 288), (2, 4, 82), (6, 5, 282), (11, 3, 800)] {
        node.append_values(&values(first, count, len), 1000).await;
    }
    node.log.delete_records(Offset(1), Offset(14)).unwrap();
    node.write_checkpoints().await;
    node.truncate(Offset(1), 5000).await;
    node.write_checkpoints().await;
    assert_eq!(node.log.log_end(), Offset(1));
    drop(node);
    let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(node.log.log_end(), Offset(1));
}

#[tokio::test]
async fn a_damaged_partition_is_never_taken_as_it_is_by_starting_again() {
    let home = tempfile::tempdir().unwrap();
    let mut node = filled(home.path(), Options::default(), 100).await;
    node.sync(5000).await;
    drop(node);
    let active = log_files(home.path()).pop().unwrap();
    let mut bytes = fs::read(&active).unwrap();
    bytes[80] ^= 1;
    fs::write(&active, &bytes).unwrap();
    forget_boot(home.path());
    for start in 0..3 {
        let options = Options::default();
        let dir = common::open_dir(home.path(), &options).await;
        assert_eq!(dir.condition(), StartCondition::Unknown, "start {start}");
        let loaded = common::load(&dir, DIR_NAME, &common::partition(), &options).await;
        assert!(matches!(loaded, Err(StoreFault::Recovery { .. })), "start {start}");
        dir.begin().await.unwrap();
        if start == 1 {
            dir.finish(BrokerEpoch(1), &Default::default()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_topic_id_that_never_reached_the_device_is_none() {
    let home = tempfile::tempdir().unwrap();
    let node = filled(home.path(), Options::default(), 3).await;
    let file = node.store.path().join("partition.metadata");
    assert_eq!(node.store.topic_id().await.unwrap(), Some(Uuid::from_u128(77)));
    let len = fs::metadata(&file).unwrap().len() as usize;
    for left_by_power_loss in [Vec::new(), vec![0; len]] {
        fs::write(&file, left_by_power_loss).unwrap();
        assert_eq!(node.store.topic_id().await.unwrap(), None);
    }
    fs::write(&file, "version: 0\ntopic_id: ?").unwrap();
    let damaged = node.store.topic_id().await.unwrap_err();
    assert!(matches!(damaged, StoreFault::Format { .. }), "{damaged}");
    fs::remove_file(&file).unwrap();
    assert_eq!(node.store.topic_id().await.unwrap(), None);
}
