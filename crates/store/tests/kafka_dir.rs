//! Directories shared with Apache Kafka. All tests take a directory by an environment variable and
//! say so when there is none:
//!
//! - `STRANDLINE_KAFKA_LOG_DIR`: a log dir of a stopped Kafka, which is copied, opened and read;
//! - `STRANDLINE_WRITTEN_LOG_DIR`: an empty dir to write to, for Kafka's DumpLogSegments to read;
//! - `STRANDLINE_CONTINUED_LOG_DIR`: a log dir of a stopped Kafka, whose first topics get records
//!   added in place, for Kafka to start on again.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and may talk"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use common::{Node, Options, load, now, open_dir};
use strandline_log::{LogConfig, Repair};
use strandline_store::format::names::PartitionDir;
use strandline_store::{Checkpoint, LogDir, PartitionStore, ReadRequest, Records, StartCondition};
use strandline_types::{BrokerEpoch, Compression, LeaderEpoch, Offset, Timestamp};
use strandline_wire::records::{
    BatchBuilder, BatchHeader, BatchOptions, InspectLimits, NewRecord, Records as BatchRecords,
    batches,
};

fn dir_from(variable: &str) -> Option<PathBuf> {
    let dir = std::env::var_os(variable).map(PathBuf::from);
    if dir.is_none() {
        println!("skipped: {variable} names no directory");
    }
    dir
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn kafka_options() -> Options {
    let interval = std::env::var("STRANDLINE_INDEX_INTERVAL_BYTES").ok();
    let config = LogConfig {
        index_interval_bytes: interval.map_or(4096, |text| text.parse().unwrap()),
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    };
    Options { config: Arc::new(config), ..Options::default() }
}

/// Reads all batches and all their records; gives how many records of each codec there are.
async fn count_records(
    dir: &LogDir,
    store: &PartitionStore,
    mut from: Offset,
) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let mut next = from.get();
    while from < store.end() {
        let (upto, max_bytes) = (store.end(), 100_000);
        let request = ReadRequest { from, upto, max_bytes, at_least_one_batch: true };
        let answer = store.read(request).await.unwrap().unwrap();
        let Records::File(range) = answer.records else { panic!("nothing is cached yet") };
        let bytes = range.read(dir.io()).await.unwrap();
        for batch in batches(&bytes).map(Result::unwrap) {
            let codec = BatchHeader::parse(&batch).unwrap().compression().unwrap();
            let records = BatchRecords::open(&batch, &InspectLimits::default()).unwrap();
            for record in records.iter().map(Result::unwrap) {
                assert!(record.offset.get() >= next, "offsets ascend");
                next = record.offset.get() + 1;
                *counts.entry(codec.name()).or_default() += 1;
            }
        }
        from = answer.next_offset;
    }
    counts
}

#[tokio::test]
async fn a_directory_of_kafka_is_read_as_kafka_left_it() {
    let Some(original) = dir_from("STRANDLINE_KAFKA_LOG_DIR") else { return };
    for keeps_clean in [true, false] {
        let home = tempfile::tempdir().unwrap();
        copy_dir(&original, home.path());
        if !keeps_clean {
            fs::remove_file(home.path().join(".kafka_cleanshutdown")).unwrap();
        }
        let options = kafka_options();
        let mut dir = open_dir(home.path(), &options).await;
        let is_clean = matches!(dir.condition(), StartCondition::Clean { .. });
        assert_eq!(is_clean, keeps_clean);
        assert!(dir.identity().await.unwrap().is_some());
        let high_watermarks = dir.read_checkpoint(Checkpoint::HighWatermark).await.unwrap();
        for found in dir.partitions().await.unwrap() {
            let PartitionDir::Live(partition) = &found.kind else { continue };
            if !keeps_clean {
                remove_indexes(&home.path().join(&found.name));
            }
            let (store, recovered) = load(&dir, &found.name, partition, &options).await.unwrap();
            // An epoch that begins at the end of an empty log is forgotten, by Kafka too.
            let is_empty = recovered.log.log_start() == recovered.log.log_end();
            // After a crash a snapshot behind the recovery point is not trusted.
            let mut repair = Repair { epochs: None, ..recovered.repair.clone() };
            if !keeps_clean {
                repair.delete_snapshots.clear();
            }
            assert_eq!(repair, Repair::default(), "{}", found.name);
            assert!(is_empty || recovered.repair.epochs.is_none(), "{}", found.name);
            if let Some(&end) = high_watermarks.get(partition) {
                assert_eq!(recovered.log.log_end(), end, "{}", found.name);
            }
            assert!(store.topic_id().await.unwrap().is_some());
            let counts = count_records(&dir, &store, recovered.log.log_start()).await;
            println!("{}: {counts:?}, log end {}", found.name, recovered.log.log_end());
            for file in fs::read_dir(original.join(&found.name)).unwrap().map(Result::unwrap) {
                let name = file.file_name().into_string().unwrap();
                let is_deleted = recovered
                    .repair
                    .delete_snapshots
                    .iter()
                    .any(|at| name == format!("{:020}.snapshot", at.get()));
                let is_rebuilt = name.ends_with("index") && !keeps_clean && !knows_interval();
                if is_deleted || is_rebuilt || (is_empty && name.contains("epoch")) {
                    continue;
                }
                if name.ends_with("index") || name.ends_with(".snapshot") || name.contains('-') {
                    let ours = fs::read(home.path().join(&found.name).join(&name)).unwrap();
                    let theirs = fs::read(file.path()).unwrap();
                    assert!(ours == theirs, "{} {name} differs", found.name);
                }
            }
        }
    }
}

/// Whether rebuilt indexes can be compared with Kafka's: `STRANDLINE_INDEX_INTERVAL_BYTES` is that of
/// all topics.
fn knows_interval() -> bool {
    std::env::var_os("STRANDLINE_INDEX_INTERVAL_BYTES").is_some()
}

/// So that they must be rebuilt.
fn remove_indexes(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".index") || name.ends_with(".timeindex") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn batch(codec: Compression, first: usize, count: usize) -> Bytes {
    let compression = strandline_wire::compression::CompressionChoice::from(codec);
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    for i in first..first + count {
        let value = format!("{i:0200}");
        let record = NewRecord {
            timestamp: Timestamp(1_700_000_000_000 + i as i64),
            key: Some(b"key"),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        builder.append(&record).unwrap();
    }
    builder.build()
}

#[tokio::test]
async fn a_directory_for_kafka_to_dump() {
    let Some(home) = dir_from("STRANDLINE_WRITTEN_LOG_DIR") else { return };
    let config = LogConfig {
        segment_bytes: 200_000,
        index_interval_bytes: 4096,
        timestamp_after_max_ms: i64::MAX,
        ..LogConfig::default()
    };
    let options = Options { config: Arc::new(config), ..Options::default() };
    let mut node = Node::create(&home, options).await;
    for (turn, first) in (0..4000).step_by(8).enumerate() {
        let codec = Compression::ALL[turn % Compression::ALL.len()];
        let at = now(1_700_000_000_000 + first as i64).timestamp.as_millis();
        node.append(batch(codec, first, 8), at).await.unwrap();
    }
    node.close().await;
}

#[tokio::test]
async fn a_directory_of_kafka_is_continued() {
    let Some(home) = dir_from("STRANDLINE_CONTINUED_LOG_DIR") else { return };
    let options = kafka_options();
    let mut dir = open_dir(&home, &options).await;
    let found = dir.partitions().await.unwrap();
    let mut offsets = BTreeMap::new();
    for checkpoint in [Checkpoint::RecoveryPoint, Checkpoint::HighWatermark] {
        offsets.insert(checkpoint.file_name(), dir.read_checkpoint(checkpoint).await.unwrap());
    }
    dir.begin().await.unwrap();
    for (found, codec) in found.into_iter().zip(Compression::ALL.into_iter().cycle()) {
        let PartitionDir::Live(partition) = &found.kind else { continue };
        if partition.topic.starts_with('_') {
            continue;
        }
        let (store, recovered) = load(&dir, &found.name, partition, &options).await.unwrap();
        let config = Arc::clone(&options.config);
        let epoch = recovered.log.latest_epoch().unwrap_or(LeaderEpoch(0));
        let before = recovered.log.log_end();
        let mut node = Node { dir, log: recovered.log, store, config, epoch };
        for first in (0..400).step_by(8) {
            node.append(batch(codec, first, 8), 1_800_000_000_000).await.unwrap();
        }
        let plan = node.log.plan_close();
        node.store.close(plan).await.unwrap();
        let end = node.log.written_end();
        println!("{} continued from {before} to {end} with {}", found.name, codec.name());
        for offsets in offsets.values_mut() {
            offsets.insert(partition.clone(), end);
        }
        dir = node.dir;
    }
    for checkpoint in [Checkpoint::RecoveryPoint, Checkpoint::HighWatermark] {
        dir.write_checkpoint(checkpoint, &offsets[checkpoint.file_name()]).await.unwrap();
    }
    dir.finish(BrokerEpoch(15), &BTreeMap::new()).await.unwrap();
}
