//! A compacted topic is the newest value of each key, whatever ends the process in the middle of a pass;
//! and what a topic leaves behind says nothing of the next one of its name.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use node::frames::batch;
use node::small_disk::SmallDisk;
use node::{Client, Node, Start, eventually};
use serde_json::{Value, json};
use strandline_types::{Compression, ErrorCode, Timestamp};
use strandline_wire::compression::CompressionChoice;
use strandline_wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use strandline_wire::messages::{DeleteRecordsRequest, DescribeLogDirsRequest};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord};

const KEYS: u64 = 500;
const RECORDS_PER_BATCH: u64 = 200;
const ROUNDS: u64 = 8;
/// Rolled segments are of this size before they are cleaned.
const SEGMENT_BYTES: u64 = 1_048_576;

/// The number of the record that updates a key last, of those that were acknowledged and of all.
#[derive(Default)]
struct Updates {
    next: u64,
    acked: BTreeMap<u64, u64>,
    sent: BTreeMap<u64, u64>,
}

impl Updates {
    /// Updates keys until the broker is gone.
    fn send(&mut self, client: &mut Client) {
        loop {
            let numbers = self.next..self.next + RECORDS_PER_BATCH;
            self.next = numbers.end;
            let keys: BTreeMap<u64, u64> = numbers.clone().map(|it| (key_of(it), it)).collect();
            self.sent.extend(&keys);
            let Ok(answer) = client.produce("table", 0, updates(numbers)) else { return };
            assert_eq!(answer.error_code, ErrorCode::NONE, "{answer:?}");
            self.acked.extend(keys);
        }
    }

    /// Each key has the value that was acknowledged last, or one that was sent after it.
    fn check(&self, client: &mut Client) -> usize {
        let found = client.read_all("table", 0, 0);
        assert!(found.is_sorted_by(|(one, _), (other, _)| one < other), "offsets ascend");
        let numbers = found.iter().map(|(_, value)| number_in(value));
        let table: BTreeMap<u64, u64> = numbers.map(|number| (key_of(number), number)).collect();
        for (key, acked) in &self.acked {
            let newest = table.get(key).copied().unwrap_or_default();
            assert!(
                (*acked..=self.sent[key]).contains(&newest),
                "key {key} is at {newest}, not {acked}"
            );
        }
        found.len()
    }
}

fn key_of(number: u64) -> u64 {
    number * 31 % KEYS
}

fn number_in(value: &[u8]) -> u64 {
    std::str::from_utf8(&value[..12]).unwrap().parse().unwrap()
}

fn updates(numbers: std::ops::Range<u64>) -> bytes::Bytes {
    let compression = CompressionChoice { codec: Compression::Lz4, level: None };
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    for number in numbers {
        // Hard to compress, so that segments fill.
        let noise = (0..20).map(|at| (number ^ at << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let noise: String = noise.map(|it| format!("{it:016x}")).collect();
        let value = format!("{number:012}{noise}");
        let record = NewRecord {
            timestamp: Timestamp(1_700_000_000_000),
            key: Some(&key_of(number).to_be_bytes()),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        builder.append(&record).unwrap();
    }
    builder.build()
}

fn log_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let logs = entries.filter(|it| it.file_name().to_string_lossy().ends_with(".log"));
    logs.filter_map(|it| it.metadata().ok()).map(|it| it.len()).sum()
}

#[test]
fn killed_while_it_is_cleaned() {
    let temporary = tempfile::tempdir().unwrap();
    let start = Start::anywhere(temporary.path())
        .set("log.cleaner.backoff.ms", "1")
        .set("log.segment.delete.delay.ms", "0");
    let mut node = start.ready();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", &SEGMENT_BYTES.to_string()),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    node.client().create_topic("table", 1, &configs);
    let mut all = Updates::default();
    for round in 0..ROUNDS {
        let mut client = node.client();
        thread::scope(|scope| {
            scope.spawn(|| all.send(&mut client));
            thread::sleep(Duration::from_millis(300 + 130 * round));
            let ended = node.kill();
            assert!(!ended.log.contains("panicked"), "{}", ended.log);
        });
        node = start.ready();
        all.check(&mut node.client());
    }
    let sent_bytes = all.next * 300;
    assert!(sent_bytes > 8 * SEGMENT_BYTES, "only {sent_bytes} bytes were sent");
    let dir = temporary.path().join("strandline-data/table-0");
    eventually("it shrinks", || (1..3 * SEGMENT_BYTES).contains(&log_bytes(&dir)));
    let left = all.check(&mut node.client());
    assert!((left as u64) < all.next / 2, "{left} of {} records are left", all.next);
    assert!(node.stop().status.success());
}

#[test]
fn a_topic_of_the_same_name_begins_anew() {
    let temporary = tempfile::tempdir().unwrap();
    // Written in time for the first topic, and not again by itself before the second one is killed.
    let start = Start::anywhere(temporary.path())
        .set("log.flush.start.offset.checkpoint.interval.ms", "3000");
    let node = start.ready();
    let mut client = node.client();
    client.create_topic("again", 1, &[]);
    let values: Vec<&[u8]> = vec![b"first"; 100];
    assert_eq!(client.produce("again", 0, batch(&values)).unwrap().error_code, ErrorCode::NONE);
    let everything =
        DeleteRecordsPartition { partition_index: 0, offset: -1, ..Default::default() };
    let topic = DeleteRecordsTopic {
        name: "again".into(),
        partitions: vec![everything],
        ..Default::default()
    };
    let delete =
        DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() };
    let deleted = client.ask(&delete, 2);
    assert_eq!(deleted.topics[0].partitions[0].low_watermark, 100);
    let checkpoint = temporary.path().join("strandline-data/log-start-offset-checkpoint");
    let noted = || fs::read_to_string(&checkpoint).unwrap_or_default();
    eventually("the log start is noted", || noted().contains("again 0 100"));
    client.delete_topic("again");
    client.create_topic("again", 1, &[]);
    assert_eq!(
        client.produce("again", 0, batch(&[b"second"])).unwrap().error_code,
        ErrorCode::NONE
    );
    node.kill();
    let node = start.ready();
    let found = node.client().read_all("again", 0, 0);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(node.stop().status.success());
}

/// A tool of ours, as a person types it.
fn tool(node: &Node, line: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_strandline"))
        .args(line.split_whitespace())
        .args(["--bootstrap", &node.kafka.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How far the one replica of the topic is cleaned, as `topic describe` says.
fn cleaning(node: &Node) -> Value {
    let described: Value =
        serde_json::from_str(&tool(node, "topic describe table --json")).unwrap();
    described[0]["partitions"][0]["cleaning"][0].clone()
}

/// Ten updates of ten keys, dated so that each batch has a segment of its own.
fn send_segments(client: &mut Client, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for key in 0..10_u64 {
            let record = NewRecord {
                timestamp: Timestamp(1_700_000_000_000 + number * 1_000),
                key: Some(&key.to_be_bytes()),
                value: Some(&number.to_be_bytes()),
                headers: &[],
            };
            builder.append(&record).unwrap();
        }
        let answer = client.produce("table", 0, builder.build()).unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
    }
}

#[test]
fn how_far_it_is_cleaned_is_shown() {
    let temporary = tempfile::tempdir().unwrap();
    let start = Start::anywhere(temporary.path()).set("log.cleaner.backoff.ms", "1");
    let node = start.ready();
    let mut client = node.client();
    client.create_topic("plain", 1, &[]);
    let configs =
        [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "1")];
    client.create_topic("table", 1, &configs);
    send_segments(&mut client, 0..4);
    let dirty = json!({
        "replica": 1, "dirtyRatio": 1.0, "cleanedUpTo": null, "cleanedAt": null,
        "lastError": null, "triedAgain": false,
    });
    assert_eq!(cleaning(&node), dirty);
    let text = tool(&node, "topic describe table");
    let row = text.lines().find(|line| line.contains("100 %")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["0", "1", "100", "%", "-", "-", "-"]);
    let plain: Value = serde_json::from_str(&tool(&node, "topic describe plain --json")).unwrap();
    assert_eq!(plain[0]["partitions"][0]["cleaning"], Value::Null);

    tool(&node, "topic alter table --config min.cleanable.dirty.ratio=0.1");
    eventually("it is cleaned", || cleaning(&node)["cleanedUpTo"] == 30);
    let cleaned = cleaning(&node);
    assert_eq!((&cleaned["dirtyRatio"], &cleaned["lastError"]), (&json!(0.0), &Value::Null));
    assert!(cleaned["cleanedAt"].as_i64().is_some_and(|at| at > 1_700_000_000_000), "{cleaned}");

    // A byte of what was cleaned is damaged: the next pass finds it, and none follows.
    let log = temporary.path().join("strandline-data/table-0/00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&log, &bytes).unwrap();
    send_segments(&mut client, 4..8);
    eventually("the damage is found", || cleaning(&node)["lastError"].is_string());
    let damaged = cleaning(&node);
    let error = damaged["lastError"].as_str().unwrap();
    assert!(error.contains("00000000000000000000.log is damaged at byte"), "{error}");
    assert_eq!((&damaged["cleanedUpTo"], &damaged["triedAgain"]), (&json!(30), &json!(false)));
    assert!(tool(&node, "topic describe table").contains("is damaged at byte"));

    // Nobody else hears of it.
    let all = DescribeLogDirsRequest { topics: None, ..Default::default() };
    let answer = client.ask(&all, 4);
    let replicas = answer.results.iter().flat_map(|dir| &dir.topics).flat_map(|it| &it.partitions);
    assert!(replicas.clone().count() > 1 && replicas.clone().all(|it| it.unknown_tags.is_empty()));
    node.kill();
}

/// A segment is read twice, and in part written: more than eight seconds' worth. Whoever read a MiB at
/// once would be done in half of that: the rate is kept over two seconds.
#[test]
fn cleaning_keeps_to_its_rate() {
    let temporary = tempfile::tempdir().unwrap();
    let start = Start::anywhere(temporary.path())
        .set("log.cleaner.backoff.ms", "1")
        .set("log.cleaner.io.max.bytes.per.second", &(SEGMENT_BYTES / 4).to_string());
    let node = start.ready();
    let mut client = node.client();
    let segment_bytes = SEGMENT_BYTES.to_string();
    client.create_topic(
        "table",
        1,
        &[
            ("cleanup.policy", "compact"),
            ("segment.bytes", &segment_bytes),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("min.compaction.lag.ms", "3600000"),
        ],
    );
    let dir = temporary.path().join("strandline-data/table-0");
    let mut next = 0;
    while log_bytes(&dir) < SEGMENT_BYTES + SEGMENT_BYTES / 4 {
        let answer = client.produce("table", 0, updates(next..next + 50)).unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
        next += 50;
    }
    let began = Instant::now();
    tool(&node, "topic alter table --config min.compaction.lag.ms=0");
    eventually("it is cleaned", || !cleaning(&node)["cleanedUpTo"].is_null());
    assert!(began.elapsed() >= Duration::from_secs(6), "cleaned in {:?}", began.elapsed());
    node.kill();
}

/// A pass that finds no room leaves the log as it is, says so, and is made when there is room.
#[test]
fn a_full_disk_puts_cleaning_off() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 64) else { return };
    let start = Start::anywhere(temporary.path())
        .set("log.dirs", disk.0.join("data").to_str().unwrap())
        .set("metadata.log.dir", temporary.path().join("metadata").to_str().unwrap())
        .set("log.cleaner.backoff.ms", "1");
    let node = start.ready();
    let mut client = node.client();
    let configs =
        [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "1")];
    client.create_topic("table", 1, &configs);
    send_segments(&mut client, 0..4);
    let before = client.read_all("table", 0, 0);
    let rest = disk.fill();
    tool(&node, "topic alter table --config min.cleanable.dirty.ratio=0.1");
    eventually("there is no room", || cleaning(&node)["triedAgain"] == true);
    let full = cleaning(&node);
    assert!(full["lastError"].as_str().is_some_and(|it| it.contains("is full")), "{full}");
    assert_eq!((&full["cleanedUpTo"], &full["dirtyRatio"]), (&Value::Null, &json!(1.0)));
    assert_eq!(client.read_all("table", 0, 0), before);
    let names = fs::read_dir(disk.0.join("data/table-0")).unwrap();
    let names: Vec<_> = names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.ends_with(".cleaned")), "{names:?}");

    fs::remove_file(rest).unwrap();
    eventually("it is cleaned", || cleaning(&node)["cleanedUpTo"] == 30);
    assert_eq!(cleaning(&node)["lastError"], Value::Null);
    let left = client.read_all("table", 0, 0);
    assert_eq!(left, before[before.len() - left.len()..]);
    assert_eq!(left.len(), 20, "the last update of each key before the active segment, and that");
    assert!(node.stop().status.success());
}
