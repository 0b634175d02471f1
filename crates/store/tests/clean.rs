//! A pass of compaction on real files: what is left, what readers see meanwhile, and what a start
//! makes of the files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use common::{DIR_NAME, Node, Opened, Options, now};
use strandline_log::clean::{CleanSettings, HashKey, Survey, SurveyLimits};
use strandline_log::{LogConfig, Origin};
use strandline_store::{CleanStep, DeletedFiles, ReadRequest, Records, StoreFault};
use strandline_types::{Compression, Offset, ProducerEpoch, ProducerId, Timestamp};
use strandline_wire::compression::CompressionChoice;
use strandline_wire::records::{
    BatchBuilder, BatchHeader, BatchOptions, InspectLimits, NewRecord, ProducerFields,
    Records as BatchRecords, batches,
};

const SETTINGS: CleanSettings =
    CleanSettings { min_dirty_ratio: 0.0, min_lag_ms: 0, max_lag_ms: i64::MAX };
const LIMITS: SurveyLimits = SurveyLimits { map_bytes: 1 << 20, load_factor: 0.9 };

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: 8192,
        index_interval_bytes: 300,
        timestamp_after_max_ms: i64::MAX,
        compacts: true,
        verifies_transactions: false,
        ..LogConfig::default()
    })
}

fn options() -> Options {
    Options { config: config(), ..Options::default() }
}

/// Ten updates of keys, by turns in all codecs; every 50th key is deleted.
fn updates(from: i64, keys: i64) -> Bytes {
    let codec = Compression::ALL[(from / 10 % 5) as usize];
    let compression = CompressionChoice { codec, level: None };
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    for number in from..from + 10 {
        let key = (number * 7 % keys).to_be_bytes();
        let value = format!("{number:050}");
        let record = NewRecord {
            timestamp: Timestamp(number),
            key: Some(&key),
            value: (number % 50 != 3).then_some(value.as_bytes()),
            headers: &[],
        };
        builder.append(&record).unwrap();
    }
    builder.build()
}

async fn filled(path: &Path, batches: i64, keys: i64) -> Node {
    let mut node = Node::create(path, options()).await;
    for number in 0..batches {
        node.append(updates(number * 10, keys), number * 10).await.unwrap();
    }
    node.sync(1).await;
    node
}

/// One pass. Gives where it ended, and the files that are out of the log.
async fn clean(
    node: &mut Node,
    cleaned_upto: Option<Offset>,
    at: i64,
    limits: SurveyLimits,
) -> Result<(Offset, Vec<DeletedFiles>), StoreFault> {
    let stable = node.log.written_end();
    let dirt = node.log.dirt(Timestamp(at), cleaned_upto, stable, &SETTINGS);
    let plan = node.log.plan_cleaning(&dirt, Timestamp(at)).expect("it is durable");
    let survey = Survey::new(plan, limits, HashKey([5, 6]));
    let mut pass = node.store.clean(survey, Arc::clone(&node.config), 1_000);
    let mut deleted = Vec::new();
    // Every other step is urgent, which makes no difference to what comes of it.
    for step in 0.. {
        match pass.advance(1 << 20, step % 2 == 1).await {
            Ok(CleanStep::Worked { .. }) => {}
            Ok(CleanStep::Ready) => {
                let cleaned = pass.ready().unwrap().clone();
                deleted.push(pass.swap().await?.unwrap());
                node.log.replace(&cleaned);
            }
            Ok(CleanStep::Done) => return Ok((pass.end().unwrap(), deleted)),
            Ok(CleanStep::Overtaken) => panic!("nobody else is here"),
            Err(fault) => {
                pass.abandon().await?;
                return Err(fault);
            }
        }
    }
    unreachable!("a pass ends")
}

/// Every record: offset, key, value.
async fn records(node: &Node) -> Vec<(i64, Bytes, Option<Bytes>)> {
    let (mut from, upto) = (node.log.log_start(), node.log.written_end());
    let mut all = Vec::new();
    while from < upto {
        let request = ReadRequest { from, upto, max_bytes: 2_000, at_least_one_batch: true };
        let answer = node.store.read(request).await.unwrap().expect("not deleted");
        assert!(answer.next_offset > from, "a read at {from} below {upto} made no way");
        all.extend(decode(&node.store.copied(answer.records).await.unwrap()));
        from = answer.next_offset;
    }
    all
}

fn decode(bytes: &Bytes) -> Vec<(i64, Bytes, Option<Bytes>)> {
    let mut all = Vec::new();
    for batch in batches(bytes) {
        let batch = batch.expect("whole batches");
        let records = BatchRecords::open(&batch, &InspectLimits::default()).unwrap();
        for record in records.iter() {
            let record = records.share(&record.unwrap());
            all.push((record.offset.get(), record.key.unwrap(), record.value));
        }
    }
    all
}

fn table(records: &[(i64, Bytes, Option<Bytes>)]) -> BTreeMap<Bytes, Bytes> {
    let mut table = BTreeMap::new();
    for (_, key, value) in records {
        match value {
            Some(value) => _ = table.insert(key.clone(), value.clone()),
            None => _ = table.remove(key),
        }
    }
    table
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path.join(DIR_NAME)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn the_newest_record_of_each_key_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = filled(dir.path(), 300, 100).await;
    let before = records(&node).await;
    let bytes_before = node.log.size_bytes();
    let (end, deleted) = clean(&mut node, None, 5_000, LIMITS).await.unwrap();
    assert_eq!(end, node.log.segments().last().unwrap().base_offset);
    let after = records(&node).await;
    assert_eq!(table(&after), table(&before));
    assert!(after.iter().all(|record| before.contains(record)), "offsets, keys and values stay");
    let active = before.iter().filter(|(offset, ..)| *offset >= end.get()).count();
    assert!(after.len() <= 100 + active, "{} records are left", after.len());
    assert!(node.log.size_bytes() * 4 < bytes_before, "{} bytes are left", node.log.size_bytes());
    assert_eq!(node.store.size_bytes(), node.log.size_bytes());
    for files in deleted {
        node.store.unlink(files).await.unwrap();
    }
    let marked = |name: &String| ["deleted", "cleaned", "swap"].iter().any(|it| name.ends_with(it));
    assert!(!names(dir.path()).iter().any(marked), "{:?}", names(dir.path()));
    // A second pass drops the tombstones whose time is over, and finds nothing else.
    let (again, _) = clean(&mut node, None, 7_000, LIMITS).await.unwrap();
    assert_eq!(again, end);
    let last = records(&node).await;
    assert_eq!(table(&last), table(&before));
    assert!(last.iter().all(|(offset, _, value)| *offset >= end.get() || value.is_some()));
}

/// More than is written at once, from several steps and into one segment.
#[tokio::test]
async fn much_that_is_left_is_all_where_it_should_be() {
    const KEYS: i64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 4 << 20, ..LogConfig::clone(&config()) };
    let options = Options { config: Arc::new(config), ..Options::default() };
    let mut node = Node::create(dir.path(), options).await;
    for number in 0..100i64 {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let value: Vec<u8> = (0..60_000).map(|at| (at * 31 + number * 7) as u8).collect();
        let key = (number % KEYS).to_be_bytes();
        let (key, value) = (Some(&key[..]), Some(&value[..]));
        builder.append(&NewRecord { key, value, ..NewRecord::default() }).unwrap();
        node.append(builder.build(), number).await.unwrap();
    }
    node.sync(1).await;
    let before = records(&node).await;
    let (end, _) = clean(&mut node, None, 5_000, LIMITS).await.unwrap();
    assert!(end.get() > KEYS, "some are replaced below {end}");
    let is_left = |offset: i64| offset + KEYS >= end.get();
    let expected: Vec<_> = before.into_iter().filter(|record| is_left(record.0)).collect();
    assert!(records(&node).await == expected, "of {end}, {} are not as they were", expected.len());
}

#[tokio::test]
async fn what_was_cleaned_is_found_again_at_every_start() {
    for is_clean_stop in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut node = filled(dir.path(), 300, 100).await;
        clean(&mut node, None, 5_000, LIMITS).await.unwrap();
        let (after, log) = (records(&node).await, node.log.clone());
        match is_clean_stop {
            true => node.close().await,
            false => {
                node.write_checkpoints().await;
                drop(node);
                // Another boot: only what is durable counts.
                std::fs::remove_file(dir.path().join(".strandline-boot")).unwrap();
            }
        }
        let (node, opened) = Node::open(dir.path(), options()).await.unwrap();
        assert_eq!(matches!(opened, Opened::Remembered), is_clean_stop);
        assert_eq!(records(&node).await, after);
        assert_eq!(node.log.segments().len(), log.segments().len());
        assert_eq!(node.log.log_end(), log.log_end());
    }
}

#[tokio::test]
async fn a_small_map_takes_several_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = filled(dir.path(), 300, 100).await;
    let before = records(&node).await;
    let small = SurveyLimits { map_bytes: 40 * 16, load_factor: 0.9 };
    let (mut upto, mut passes) = (None, 0);
    let active = node.log.segments().last().unwrap().base_offset;
    while upto.is_none_or(|upto| upto < active) {
        let (end, _) = clean(&mut node, upto, 5_000, small).await.unwrap();
        assert!(upto.is_none_or(|upto| upto < end), "each pass makes way");
        assert_eq!(table(&records(&node).await), table(&before), "after the pass to {end}");
        (upto, passes) = (Some(end), passes + 1);
    }
    assert!(passes > 10, "{passes} passes");
}

/// What was found before a swap stays readable; what is asked for after it is found in the new file.
#[tokio::test]
async fn readers_are_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = filled(dir.path(), 300, 100).await;
    let from = Offset(500);
    let upto = node.log.written_end();
    let request = ReadRequest { from, upto, max_bytes: 5_000, at_least_one_batch: true };
    let earlier = node.store.read(request).await.unwrap().unwrap();
    let Records::File(range) = &earlier.records else { panic!("no tail cache here") };
    let bytes_before = range.read(node.dir.io()).await.unwrap();
    let (_, deleted) = clean(&mut node, None, 5_000, LIMITS).await.unwrap();
    assert_eq!(range.read(node.dir.io()).await.unwrap(), bytes_before);
    for files in deleted {
        node.store.unlink(files).await.unwrap();
    }
    assert_eq!(range.read(node.dir.io()).await.unwrap(), bytes_before, "the file is gone by now");
    let later = node.store.read(request).await.unwrap().unwrap();
    assert!(later.next_offset > from);
}

#[tokio::test]
async fn unchanged_batches_are_copied_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    // More keys than records: nothing goes.
    let mut node = filled(dir.path(), 100, 1_000_003).await;
    let path = dir.path().join(DIR_NAME).join("00000000000000000000.log");
    let first = std::fs::read(&path).unwrap();
    // Batches with tombstones get their horizon at once; this is after it is over.
    clean(&mut node, None, 0, LIMITS).await.unwrap();
    let once = std::fs::read(&path).unwrap();
    assert_ne!(once, first);
    clean(&mut node, None, 10, LIMITS).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), once);
}

/// A marker goes once its data has gone. Should newer snapshots of producers be damaged then, one from
/// before the marker would leave the transaction open for good.
#[tokio::test]
async fn what_has_ended_does_not_open_again_once_its_marker_is_cleaned_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::create(dir.path(), options()).await;
    node.append(transactional(0), 0).await.unwrap();
    let fill = async |node: &mut Node, segments: usize| {
        while node.log.segments().len() < segments {
            let number = node.log.log_end().get() * 10;
            node.append(updates(number, 1_000_003), 0).await.unwrap();
        }
    };
    fill(&mut node, 2).await;
    let second = node.log.segments()[1].base_offset;
    let ends = BatchOptions { producer: producer(-1), ..BatchOptions::default() };
    let marker = BatchBuilder::end_transaction(ends, Timestamp(0), false, 0);
    let marker = node.admit_from(marker, 0, Origin::Marker { bumps_epoch: false });
    let marker = node.write(marker).await.unwrap();
    fill(&mut node, 4).await;
    node.append(transactional(1), 0).await.unwrap();
    node.sync(1).await;
    node.log.committed(node.log.log_end());
    node.log.delete_records(second, node.log.log_end()).unwrap();
    let plan = node.log.retain(Timestamp(1), second).expect("the first segment goes");
    node.write_checkpoints().await;
    let deleted = node.store.delete(plan).await.unwrap();
    node.store.unlink(deleted).await.unwrap();
    for at in [0, 1, 5_000] {
        clean(&mut node, None, at, LIMITS).await.unwrap();
    }
    let second_log = dir.path().join(DIR_NAME).join(format!("{:020}.log", second.get()));
    let left = std::fs::read(second_log).unwrap();
    let is_left = |base: Offset| {
        let all = batches(&Bytes::from(left.clone())).map(Result::unwrap).collect::<Vec<_>>();
        all.iter().any(|batch| BatchHeader::parse(batch).unwrap().base_offset() == base)
    };
    assert!(is_left(second) && !is_left(marker), "the marker has gone, its segment has not");
    let open_from = node.log.first_unstable();
    for newer in node.store.snapshots().await.unwrap().into_iter().filter(|at| *at > second) {
        let path = dir.path().join(DIR_NAME).join(format!("{:020}.snapshot", newer.get()));
        std::fs::write(path, b"damaged").unwrap();
    }
    drop(node);
    std::fs::remove_file(dir.path().join(".strandline-boot")).unwrap();
    let (mut node, _) = Node::open(dir.path(), options()).await.unwrap();
    node.log.committed(node.log.log_end());
    assert_eq!(node.log.first_unstable(), open_from);
    assert!(open_from.is_some_and(|first| first > marker), "the second one is open");
}

fn producer(base_sequence: i32) -> ProducerFields {
    ProducerFields { id: ProducerId(1), epoch: ProducerEpoch(0), base_sequence }
}

fn transactional(sequence: i32) -> Bytes {
    let producer = producer(sequence);
    let options = BatchOptions { producer, is_transactional: true, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let record = NewRecord { key: Some(b"in a transaction"), ..NewRecord::default() };
    builder.append(&record).unwrap();
    builder.build()
}

#[tokio::test]
async fn a_damaged_batch_ends_the_pass_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = filled(dir.path(), 100, 100).await;
    let before = records(&node).await;
    let second = node.log.segments()[1].base_offset;
    let path = dir.path().join(DIR_NAME).join(format!("{:020}.log", second.get()));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let fault = clean(&mut node, None, 5_000, LIMITS).await.unwrap_err();
    assert!(matches!(&fault, StoreFault::Corrupt { path: found, .. } if *found == path), "{fault}");
    assert!(node.store.is_usable());
    assert!(!names(dir.path()).iter().any(|name| name.ends_with(".cleaned")));
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(records(&node).await, before);
    node.append(updates(1_000, 100), 1_000).await.unwrap();
    assert_eq!(now(1_000).timestamp, node.log.segments().last().unwrap().modified_at);
}
