//! What was acknowledged is there, whatever ends the process: kill −9 at any moment, and a disk
//! that fills up.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use node::frames::{batch, batch_of};
use node::{Client, Node, Start, eventually};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::delete_topics_request::DeleteTopicState;
use strandline_wire::messages::{
    DeleteTopicsRequest, DescribeQuorumRequest, describe_quorum_request,
};

const PARTITIONS: i32 = 4;
const ROUNDS: u64 = 12;
const RECORDS_PER_BATCH: i32 = 3;

/// One idempotent producer of one partition, as clients are: it sends the batch that nobody has
/// acknowledged again and again, with the same sequence, before any later one.
struct Producer {
    partition: i32,
    identity: (ProducerId, ProducerEpoch),
    next_sequence: i32,
    /// Offset of each acknowledged value.
    acked: BTreeMap<i64, String>,
}

impl Producer {
    /// Produces until the broker is gone.
    fn produce(&mut self, client: &mut Client) {
        loop {
            let values: Vec<String> = (0..RECORDS_PER_BATCH)
                .map(|it| format!("{}/{}", self.partition, self.next_sequence + it))
                .collect();
            let bytes: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            let batch = batch_of(self.identity, self.next_sequence, &bytes);
            let Ok(answer) = client.produce("crash", self.partition, batch) else { return };
            assert_eq!(answer.error_code, ErrorCode::NONE, "{answer:?}");
            self.next_sequence += RECORDS_PER_BATCH;
            self.acked.extend((answer.base_offset..).zip(values));
        }
    }

    /// Everything acknowledged is at its offset; offsets are dense; nothing is there twice.
    fn check(&self, client: &mut Client) {
        let found = client.read_all("crash", self.partition, 0);
        for (index, (offset, value)) in found.iter().enumerate() {
            assert_eq!(*offset, index as i64, "offsets of partition {} are dense", self.partition);
            // Values are numbered by their sequence, so a record that is there twice, or is
            // missing before a later one, is not where its number says.
            let expected = format!("{}/{index}", self.partition);
            assert_eq!(*value, expected.as_bytes(), "partition {}", self.partition);
        }
        let last_acked = self.acked.last_key_value().map_or(-1, |(offset, _)| *offset);
        assert!(last_acked < found.len() as i64, "acknowledged and lost: {last_acked}");
        for (offset, value) in &self.acked {
            assert_eq!(found[*offset as usize].1, value.as_bytes());
        }
        let not_acked = found.len() - self.acked.len();
        assert!(not_acked <= RECORDS_PER_BATCH as usize, "{not_acked} records nobody waits for");
    }
}

#[test]
fn killed_at_any_moment() {
    let temporary = tempfile::tempdir().unwrap();
    let start = Start::anywhere(temporary.path());
    let mut node = start.ready();
    let mut client = node.client();
    // Small segments, so that kills hit rolls too.
    let configs = [("segment.bytes", "1048576"), ("index.interval.bytes", "256")];
    client.create_topic("crash", PARTITIONS, &configs);
    let mut producers: Vec<Producer> = (0..PARTITIONS)
        .map(|partition| Producer {
            partition,
            identity: client.producer_id(),
            next_sequence: 0,
            acked: BTreeMap::new(),
        })
        .collect();
    for round in 0..ROUNDS {
        node = one_life(node, &start, &mut producers, round);
        let mut client = node.client();
        for producer in &producers {
            producer.check(&mut client);
        }
    }
    let acked: usize = producers.iter().map(|it| it.acked.len()).sum();
    assert!(acked as u64 > ROUNDS * PARTITIONS as u64, "the producers went on: {acked}");
    assert!(node.stop().status.success());
}

/// Load until a kill some time in, then a new process on the same directory.
fn one_life(node: Node, start: &Start, producers: &mut [Producer], round: u64) -> Node {
    thread::scope(|scope| {
        for producer in producers {
            let mut client = node.client();
            scope.spawn(move || producer.produce(&mut client));
        }
        // Not the same moment twice: from at once to amid a stream of batches.
        thread::sleep(Duration::from_micros(round * round * 2_500));
        let ended = node.kill();
        assert!(!ended.log.contains("panicked"), "{}", ended.log);
    });
    start.ready()
}

/// A small file system of its own; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        is_mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The directory is a temporary one; a mount that stays is seen by whoever cleans up.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again() {
    full_disk(&|start| start);
}

#[test]
fn a_full_disk_without_the_metadata_log_does_so_too() {
    full_disk(&|start| start.set("metadata.log.dir", "metadata"));
}

/// How far the metadata are committed.
fn metadata_end(client: &mut Client) -> i64 {
    let topic = describe_quorum_request::TopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![describe_quorum_request::PartitionData::default()],
        ..Default::default()
    };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    client.ask(&request, 1).topics[0].partitions[0].high_watermark
}

fn delete_topic(client: &mut Client, name: &str) {
    let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
    let request =
        DeleteTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.ask(&request, 6).responses[0].error_code, ErrorCode::NONE);
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn full_disk(settings: &dyn Fn(Start) -> Start) {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&temporary.path().join("small"), 96) else {
        assert!(std::env::var_os("CI").is_none(), "a full disk cannot be tried without mount");
        eprintln!("SKIPPED: a full disk cannot be tried without the right to mount");
        return;
    };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path()).set("log.dirs", data.to_str().unwrap());
    let start = settings(start);
    let mut node = start.ready();
    let mut client = node.client();
    client.create_topic("filling", 1, &[]);
    client.create_topic("needless", 1, &[]);
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 60 << 20]).unwrap();

    let value = vec![b'v'; 900_000];
    let mut acked = 0;
    loop {
        let answer = client.produce("filling", 0, batch(&[&value])).unwrap();
        if answer.error_code != ErrorCode::NONE {
            assert_eq!(answer.error_code, ErrorCode::KAFKA_STORAGE_ERROR);
            break;
        }
        assert_eq!(answer.base_offset, acked);
        acked += 1;
        assert!(acked < 100, "the disk never fills");
    }
    assert!(acked > 10, "{acked}");
    let is_whole = |client: &mut Client, count: i64| {
        let records = client.read_all("filling", 0, 0);
        assert_eq!(records.len() as i64, count);
        assert!(records.iter().enumerate().all(|(at, (offset, _))| at as i64 == *offset));
    };
    is_whole(&mut client, acked);
    // Not one byte is left, and the controller still takes orders: it could not free room otherwise.
    let rest = disk.0.join("rest");
    assert!(fs::write(&rest, vec![1; 4 << 20]).is_err());
    let metadata_end = metadata_end(&mut client);
    delete_topic(&mut client, "needless");
    eventually("the metadata log goes on", || self::metadata_end(&mut client) > metadata_end + 4);
    assert!(node.is_alive());

    fs::remove_file(&rest).unwrap();
    fs::remove_file(&ballast).unwrap();
    eventually("appends are taken again once there is room", || {
        let answer = client.produce("filling", 0, batch(&[&value])).unwrap();
        if answer.error_code == ErrorCode::NONE {
            assert_eq!(answer.base_offset, acked, "what was refused left nothing behind");
        }
        answer.error_code == ErrorCode::NONE
    });
    is_whole(&mut client, acked + 1);
    let ended = node.stop();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.log.contains("no appends until there is room"), "{}", ended.log);

    let node = start.ready();
    is_whole(&mut node.client(), acked + 1);
}
