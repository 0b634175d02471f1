//! `strandline cluster` against three nodes, and data for it to move.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Output, Stdio};

use serde_json::Value;
use strandline_client::admin::{Admin, NewTopic};
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_types::{NodeId, PartitionId};

use super::Cluster;
use crate::local::cluster_tool;

pub const MOVING: &str = "moving";

pub fn run(cluster: &Cluster, line: &str) -> Output {
    let output = cluster_tool(&cluster.bootstrap, line).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output
}

/// What it tells a person.
pub fn text(cluster: &Cluster, line: &str) -> String {
    String::from_utf8(run(cluster, line).stdout).unwrap()
}

pub fn json(cluster: &Cluster, line: &str) -> Value {
    serde_json::from_slice(&run(cluster, &format!("{line} --json")).stdout).unwrap()
}

/// Starts it, for a person; gives what it tells meanwhile.
pub fn begin(cluster: &Cluster, line: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut command = cluster_tool(&cluster.bootstrap, line);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines.map(Result::unwrap))
}

/// Two partitions, both with a replica on node 3, one led by each of the others.
pub async fn create_topic(admin: &Admin, name: &str) {
    let replicas = |first| vec![NodeId(first), NodeId(3)];
    let assignments =
        BTreeMap::from([(PartitionId(0), replicas(1)), (PartitionId(1), replicas(2))]);
    let new = NewTopic { assignments, ..NewTopic::new(name, -1, -1) };
    let created = admin.create_topics(&[new], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
}

/// Two megabytes for each of the two partitions of [`MOVING`].
pub async fn fill(cluster: &Cluster) {
    let producer = Producer::new(cluster.client(), ProducerConfig::default());
    for number in 0..200 {
        let record = ProducerRecord::new(MOVING).partition(PartitionId(number % 2));
        drop(producer.send(record.value(vec![b'x'; 20_000])).await.unwrap());
    }
    producer.flush().await;
}
