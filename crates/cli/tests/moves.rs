//! Partitions move between the log directories of one node, while they are written to, and whatever
//! happens to the process.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use node::frames::batch;
use node::{Client, Node, Start, eventually};
use strandline_types::ErrorCode;
use strandline_wire::messages::DescribeLogDirsRequest;

const TOPIC: &str = "moved";

fn start(dir: &Path) -> Start {
    Start::anywhere(dir).set("log.dirs", "a,b").set("log.segment.delete.delay.ms", "0")
}

/// Slow enough to be looked at.
fn throttled(dir: &Path) -> Start {
    start(dir).set("replica.alter.log.dirs.io.max.bytes.per.second", "500000")
}

/// The directory that the partition lies in, and the one that is not it.
fn home(dir: &Path) -> (&'static str, &'static str) {
    let is_in = |log_dir: &str| dir.join(log_dir).join(format!("{TOPIC}-0")).exists();
    match (is_in("a"), is_in("b")) {
        (true, false) => ("a", "b"),
        (false, true) => ("b", "a"),
        both => panic!("in a and in b: {both:?}"),
    }
}

/// What lies in a directory and belongs to the topic.
fn entries(dir: &Path, log_dir: &str) -> Vec<String> {
    let entries = fs::read_dir(dir.join(log_dir)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(TOPIC)).collect()
}

/// Of each directory: whether it is the partition's next one, and how many offsets it lacks.
fn described(client: &mut Client) -> BTreeMap<String, Vec<(bool, i64)>> {
    let answer = client.ask(&DescribeLogDirsRequest { topics: None, ..Default::default() }, 4);
    let dirs = answer.results.into_iter().map(|dir| {
        let mine = dir.topics.into_iter().filter(|topic| topic.name == TOPIC);
        let replicas = mine.flat_map(|topic| topic.partitions);
        (dir.log_dir, replicas.map(|it| (it.is_future_key, it.offset_lag)).collect())
    });
    dirs.collect()
}

/// Six segments, 24 records.
fn fill(node: &Node) -> Vec<String> {
    let mut client = node.client();
    client.create_topic(TOPIC, 1, &[("segment.bytes", "1048576")]);
    let values: Vec<String> = (0..24).map(|n| format!("{n:02}").repeat(125_000)).collect();
    for value in &values {
        let answer = client.produce(TOPIC, 0, batch(&[value.as_bytes()])).unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
    }
    values
}

fn holds(node: &Node, expected: &[String]) {
    let read = node.client().read_all(TOPIC, 0, 0);
    assert!(read.iter().map(|(offset, _)| *offset).eq(0..expected.len() as i64), "dense");
    assert!(read.iter().zip(expected).all(|((_, value), expected)| value == expected), "in order");
}

#[test]
fn a_partition_moves_while_it_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let node = start(dir).ready();
    let mut values = fill(&node);
    let (from, to) = home(dir);
    let mut client = node.client();
    assert_eq!(client.move_to(TOPIC, "nowhere"), ErrorCode::LOG_DIR_NOT_FOUND);
    assert_eq!(client.move_to("unknown", to), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let has_moved = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (mut client, mut written) = (node.client(), Vec::new());
            // Some more when it is over.
            let mut left = 10;
            while left > 0 {
                left -= i32::from(has_moved.load(Ordering::Relaxed));
                let value = format!("live {}", written.len());
                let answer = client.produce(TOPIC, 0, batch(&[value.as_bytes()])).unwrap();
                assert_eq!(answer.error_code, ErrorCode::NONE);
                written.push(value);
            }
            written
        });
        // There and back again, and there.
        for log_dir in [to, from, to] {
            assert_eq!(client.move_to(TOPIC, log_dir), ErrorCode::NONE);
            let other = if log_dir == to { from } else { to };
            eventually("it lies there, and nothing is left where it was", || {
                entries(dir, log_dir) == [format!("{TOPIC}-0")] && entries(dir, other).is_empty()
            });
        }
        has_moved.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    values.extend(written);
    holds(&node, &values);
    assert_eq!(described(&mut client)[to], [(false, 0)]);
    node.kill();
    let node = start(dir).ready();
    holds(&node, &values);
    assert!(node.stop().status.success());
    let node = start(dir).ready();
    holds(&node, &values);
    assert_eq!(home(dir), (to, from));
}

#[test]
fn a_move_goes_on_after_a_crash_and_can_be_called_off() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let node = throttled(dir).ready();
    let values = fill(&node);
    let (from, to) = home(dir);
    let mut client = node.client();
    let begin = |client: &mut Client| {
        assert_eq!(client.move_to(TOPIC, to), ErrorCode::NONE);
        eventually("a part of it is copied", || {
            matches!(described(client)[to][..], [(true, 1..=23)])
        });
    };
    begin(&mut client);
    assert_eq!(described(&mut client)[from], [(false, 0)]);
    assert_eq!(client.move_to(TOPIC, from), ErrorCode::NONE);
    eventually("nothing of the copy is left", || entries(dir, to).is_empty());
    assert!(described(&mut client)[to].is_empty());
    begin(&mut client);
    node.kill();

    let [future] = &entries(dir, to)[..] else { panic!("no copy in the making") };
    assert!(future.ends_with("-future"), "{future}");
    let node = start(dir).ready();
    holds(&node, &values);
    eventually("it lies there, and nothing is left where it was", || {
        entries(dir, to) == [format!("{TOPIC}-0")] && entries(dir, from).is_empty()
    });
    holds(&node, &values);
    node.kill();
    holds(&start(dir).ready(), &values);
}

#[test]
fn a_topic_that_is_deleted_while_it_moves_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let node = throttled(dir).ready();
    fill(&node);
    let (from, to) = home(dir);
    let mut client = node.client();
    assert_eq!(client.move_to(TOPIC, to), ErrorCode::NONE);
    eventually("a part of it is copied", || {
        matches!(described(&mut client)[to][..], [(true, 1..=23)])
    });
    client.delete_topic(TOPIC);
    eventually("nothing is left of it or of its copy", || {
        entries(dir, from).is_empty() && entries(dir, to).is_empty()
    });
}
