//! Several log directories, one of which fails: at start, or is somebody else's.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use node::frames::batch;
use node::{Client, Node, Start, eventually};
use strandline_types::ErrorCode;
use strandline_wire::messages::{DescribeLogDirsRequest, MetadataRequest};

const PARTITIONS: i32 = 6;

fn start(dir: &Path) -> Start {
    Start::anywhere(dir).set("log.dirs", "a,b").set("strandline.log.level", "debug")
}

/// A topic with partitions in both directories and a record in each; the node is stopped again.
fn with_records(dir: &Path) {
    let node = start(dir).ready();
    let mut client = node.client();
    client.create_topic("kept", PARTITIONS, &[]);
    for partition in 0..PARTITIONS {
        client.produce("kept", partition, batch(&[b"one"])).unwrap();
    }
    assert!(!partitions_in(dir, "a").is_empty() && !partitions_in(dir, "b").is_empty());
    eventually("the controller learns which directory each partition lies in", || {
        told(&node) == PARTITIONS as usize
    });
    assert!(node.stop().status.success());
}

/// How many partitions the controller was told the directory of.
fn told(node: &Node) -> usize {
    let log = node.log();
    let counts = log.lines().filter_map(|line| {
        let (_, count) =
            line.split_once("told the controller which directories ")?.1.split_once('=')?;
        count.trim().parse::<usize>().ok()
    });
    counts.sum()
}

fn partitions_in(dir: &Path, log_dir: &str) -> BTreeSet<i32> {
    let entries = fs::read_dir(dir.join(log_dir)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_prefix("kept-")?.parse().ok()).collect()
}

/// What DescribeLogDirs says of each directory.
fn log_dirs(client: &mut Client) -> Vec<(String, ErrorCode, usize)> {
    let all = DescribeLogDirsRequest { topics: None, ..Default::default() };
    let answer = client.ask(&all, 4);
    let results = answer.results.into_iter().map(|dir| {
        let partitions = dir.topics.iter().map(|topic| topic.partitions.len()).sum();
        (dir.log_dir, dir.error_code, partitions)
    });
    results.collect()
}

fn leaders(client: &mut Client) -> Vec<i32> {
    let answer = client.ask(&MetadataRequest { topics: None, ..Default::default() }, 12);
    let topic = answer.topics.into_iter().find(|topic| topic.name.as_deref() == Some("kept"));
    topic.unwrap().partitions.iter().map(|partition| partition.leader_id).collect()
}

#[test]
fn a_sole_controller_makes_up_no_metadata_log_in_place_of_a_lost_one() {
    let dir = tempfile::tempdir().unwrap();
    let start = start(dir.path()).set("metadata.log.dir", "metadata");
    assert!(start.ready().stop().status.success());
    fs::rename(dir.path().join("metadata"), dir.path().join("elsewhere")).unwrap();
    let refused = start.refused();
    assert!(refused.log.contains("metadata is empty, but this node belongs to"), "{}", refused.log);
    let found = start.set("metadata.log.dir", "elsewhere");
    assert!(found.ready().stop().status.success());
}

#[test]
fn a_node_starts_without_a_directory_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    with_records(dir);
    let identity = dir.join("b/meta.properties");
    let whole = fs::read(&identity).unwrap();
    let (here, lost) = (partitions_in(dir, "a"), partitions_in(dir, "b"));

    fs::write(&identity, "version=1\nnode.id=x\n").unwrap();
    let node = start(dir).ready();
    let mut client = node.client();
    assert_eq!(
        log_dirs(&mut client),
        [
            ("a".to_owned(), ErrorCode::NONE, here.len()),
            ("b".to_owned(), ErrorCode::KAFKA_STORAGE_ERROR, 0)
        ]
    );
    let led = leaders(&mut client);
    for partition in &here {
        assert_eq!(led[*partition as usize], 1);
        assert_eq!(client.read_all("kept", *partition, 0).len(), 1);
    }
    for partition in &lost {
        assert_eq!(led[*partition as usize], -1, "nobody may lead without the records");
        let answer = client.produce("kept", *partition, batch(&[b"two"])).unwrap();
        assert_eq!(answer.error_code, ErrorCode::KAFKA_STORAGE_ERROR);
    }
    client.create_topic("new", 2, &[]);
    assert_eq!(client.produce("new", 1, batch(&[b"x"])).unwrap().error_code, ErrorCode::NONE);
    assert_eq!(partitions_in(dir, "a"), here, "nothing is begun anew in the other directory");
    assert!(node.stop().status.success());

    fs::write(&identity, whole).unwrap();
    let node = start(dir).ready();
    let mut client = node.client();
    for partition in 0..PARTITIONS {
        let answer = client.produce("kept", partition, batch(&[b"two"])).unwrap();
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, 1));
    }
}

#[test]
fn a_file_in_the_place_of_a_directory_is_a_failed_directory() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    with_records(dir);
    fs::rename(dir.join("b"), dir.join("elsewhere")).unwrap();
    fs::write(dir.join("b"), "").unwrap();
    let node = start(dir).ready();
    let described = log_dirs(&mut node.client());
    assert_eq!(described[1], ("b".to_owned(), ErrorCode::KAFKA_STORAGE_ERROR, 0));
}

#[test]
fn nothing_starts_without_the_metadata_logs_directory_or_beside_a_stranger() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    with_records(dir);
    let refused = |log_dir: &str, content: &str| {
        let path = dir.join(log_dir).join("meta.properties");
        let whole = fs::read_to_string(&path).unwrap();
        let changed = match content.split_once('=') {
            Some((key, _)) => {
                let lines = whole.lines().map(|line| match line.starts_with(key) {
                    true => content.to_owned(),
                    false => line.to_owned(),
                });
                lines.collect::<Vec<_>>().join("\n")
            }
            None => content.to_owned(),
        };
        fs::write(&path, changed).unwrap();
        let ended = start(dir).refused();
        fs::write(&path, whole).unwrap();
        format!("exit {} {}", ended.status.code().unwrap(), ended.log.lines().last().unwrap())
    };
    let told =
        [refused("a", "node.id=x"), refused("b", "node.id=7"), refused("b", "cluster.id=another")];
    let cluster = fs::read_to_string(dir.join("a/meta.properties")).unwrap();
    let cluster = cluster.lines().find_map(|line| line.strip_prefix("cluster.id=")).unwrap();
    expect_test::expect![[r#"
        exit 1 error: cannot start: a: a/meta.properties is damaged: not a number
        exit 1 error: cannot start: b belongs to node 7, this is node 1: set node.id=7, or name another directory
        exit 1 error: cannot start: b belongs to cluster another, the other directories to CLUSTER"#]]
    .assert_eq(&told.join("\n").replace(cluster, "CLUSTER"));
}

/// While a directory was away its topic was deleted and created anew: the files that come back are the
/// deleted topic's.
#[test]
fn what_comes_back_with_a_directory_does_not_hide_what_was_written_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    with_records(dir);
    let identity = dir.join("b/meta.properties");
    let whole = fs::read(&identity).unwrap();
    fs::write(&identity, "version=1\nnode.id=x\n").unwrap();
    let node = start(dir).ready();
    let mut client = node.client();
    client.delete_topic("kept");
    eventually("the topic is gone", || client.topic_id("kept").is_none());
    client.create_topic("kept", PARTITIONS, &[]);
    for partition in 0..PARTITIONS {
        let answer = client.produce("kept", partition, batch(&[b"new", b"new"])).unwrap();
        assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, 0));
    }
    assert!(node.stop().status.success());

    fs::write(&identity, whole).unwrap();
    let node = start(dir).ready();
    let mut client = node.client();
    for partition in 0..PARTITIONS {
        let values = client.read_all("kept", partition, 0);
        assert!(values.len() == 2 && values.iter().all(|(_, value)| value == "new"), "{values:?}");
    }
    assert!(partitions_in(dir, "b").is_empty(), "the deleted topic's files are put aside");
}

#[test]
fn a_topic_in_the_place_of_one_that_could_not_be_opened_has_none_of_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let node = start(dir).ready();
    let mut client = node.client();
    client.create_topic("kept", 1, &[("segment.bytes", "1048576")]);
    for _ in 0..4 {
        client.produce("kept", 0, batch(&[&vec![b'o'; 900_000]])).unwrap();
    }
    node.kill();
    let log_dir = if partitions_in(dir, "a").is_empty() { "b" } else { "a" };
    fs::write(dir.join(log_dir).join("kept-0/leader-epoch-checkpoint"), "damaged").unwrap();
    let node = start(dir).ready();
    let mut client = node.client();
    let answer = client.produce("kept", 0, batch(&[b"x"])).unwrap();
    assert_eq!(answer.error_code, ErrorCode::KAFKA_STORAGE_ERROR);
    client.delete_topic("kept");
    eventually("the topic is gone", || client.topic_id("kept").is_none());
    client.create_topic("kept", 1, &[]);
    eventually("it is served", || {
        client.produce("kept", 0, batch(&[b"new"])).unwrap().error_code == ErrorCode::NONE
    });
    node.kill();
    let node = start(dir).ready();
    let values = node.client().read_all("kept", 0, 0);
    assert!(values.len() == 1 && values[0].1 == "new", "{} records", values.len());
}
