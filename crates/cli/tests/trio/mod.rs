//! Three nodes with fixed voters, a load on them, and the check of what it was told.

// Each test program uses a part of this.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub)]

pub mod readers;
pub mod tool;
pub mod wires;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strandline_client::admin::{Admin, NewTopic, OffsetSpec};
use strandline_client::consumer::{Consumer, ConsumerConfig};
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_client::{Client, Topic};
use strandline_types::{Offset, PartitionId, TopicPartition};
use tokio::task::JoinHandle;

use crate::local::{client, free_addresses};
use crate::node::{Node, Start};

pub const TOPIC: &str = "events";
const PARTITIONS: i32 = 6;
/// Each partition must take so many records before a fault counts as survived.
const PROGRESS: u64 = 20;

/// A port of each node.
#[derive(Clone, Copy)]
pub struct Ports {
    pub kafka: [u16; 3],
    pub controller: [u16; 3],
}

impl Ports {
    pub fn free() -> Self {
        let [a, b, c, d, e, f] = free_addresses().map(|it| it.port());
        Self { kafka: [a, b, c], controller: [d, e, f] }
    }
}

pub struct Cluster {
    starts: Vec<Start>,
    pub nodes: Vec<Option<Node>>,
    pub bootstrap: String,
}

impl Cluster {
    pub fn start(home: &Path) -> Self {
        Self::start_with(home, |_, start| start)
    }

    /// With further settings of each node.
    pub fn start_with(home: &Path, more: impl Fn(usize, Start) -> Start) -> Self {
        let ports = Ports::free();
        Self::start_behind(home, ports, ports, more)
    }

    /// Nodes that listen at `bound` and tell others to reach them at `told`.
    pub fn start_behind(
        home: &Path,
        bound: Ports,
        told: Ports,
        more: impl Fn(usize, Start) -> Start,
    ) -> Self {
        let voter = |(index, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", index + 1);
        let voters: Vec<String> = told.controller.iter().enumerate().map(voter).collect();
        let mut starts = Vec::new();
        for index in 0..3 {
            let dir = home.join(format!("node{}", index + 1));
            std::fs::create_dir_all(&dir).unwrap();
            let at = |ports: &Ports| {
                let (kafka, controller) = (ports.kafka[index], ports.controller[index]);
                format!("PLAINTEXT://127.0.0.1:{kafka},CONTROLLER://127.0.0.1:{controller}")
            };
            let start = Start::bare(&dir)
                .set("node.id", &(index + 1).to_string())
                .set("controller.quorum.voters", &voters.join(","))
                .set("listeners", &at(&bound))
                .set("advertised.listeners", &at(&told))
                .set("log.dirs", "data")
                .set("min.insync.replicas", "2")
                .set("default.replication.factor", "3");
            starts.push(more(index, start));
        }
        let bootstrap = told.kafka.map(|port| format!("127.0.0.1:{port}")).join(",");
        let mut cluster = Self { starts, nodes: (0..3).map(|_| None).collect(), bootstrap };
        cluster.restart_all(&[0, 1, 2]);
        cluster
    }

    pub fn take(&mut self, index: usize) -> Node {
        self.nodes[index].take().unwrap()
    }

    pub fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().unwrap()
    }

    pub fn restart(&mut self, index: usize) {
        self.nodes[index] = Some(self.starts[index].ready());
    }

    pub fn restart_all(&mut self, indexes: &[usize]) {
        let started = start_all(indexes.iter().map(|&index| &self.starts[index]));
        for (&index, node) in indexes.iter().zip(started) {
            self.nodes[index] = node;
        }
    }

    pub fn client(&self) -> Client {
        client(&self.bootstrap)
    }

    /// Asks this node first.
    pub fn client_of(&self, index: usize) -> Client {
        client(self.bootstrap.split(',').nth(index).unwrap())
    }
}

/// A node is ready once a majority is up, so all are begun at the same time.
pub fn start_all<'a>(starts: impl Iterator<Item = &'a Start>) -> Vec<Option<Node>> {
    std::thread::scope(|scope| {
        let begun: Vec<_> = starts.map(|start| scope.spawn(|| Some(start.ready()))).collect();
        begun.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition { topic: TOPIC.into(), partition: PartitionId(index) }
}

fn partitions() -> impl Iterator<Item = TopicPartition> {
    (0..PARTITIONS).map(partition)
}

pub async fn create_topic(admin: &Admin) {
    let created = admin.create_topics(&[NewTopic::new(TOPIC, PARTITIONS, 3)], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
}

/// What the producer was told is stored.
#[derive(Default)]
pub struct Acked {
    values: Mutex<BTreeMap<(i32, i64), u64>>,
    counts: [AtomicU64; PARTITIONS as usize],
    pub is_over: AtomicBool,
}

impl Acked {
    /// Of each partition what comes after the last.
    fn ends(&self) -> [i64; PARTITIONS as usize] {
        let mut ends = [0; PARTITIONS as usize];
        for (index, offset) in self.values.lock().unwrap().keys() {
            ends[*index as usize] = offset + 1;
        }
        ends
    }

    /// Waits until every partition has taken a few more records.
    pub async fn progress(&self) {
        let before: Vec<u64> = self.counts.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let has_progress = || {
            let now = self.counts.iter().map(|it| it.load(Ordering::Relaxed));
            now.zip(&before).all(|(now, before)| now >= before + PROGRESS)
        };
        patiently("every partition takes records", has_progress).await;
    }
}

pub async fn patiently(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends numbered records to every partition in turn until it is told to stop.
pub fn produce(client: Client, acked: Arc<Acked>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let producer = Producer::new(client, ProducerConfig::default());
        let mut deliveries = Vec::new();
        let mut number = 0_u64;
        while !acked.is_over.load(Ordering::Relaxed) {
            for partition in 0..PARTITIONS {
                let record = ProducerRecord::new(TOPIC)
                    .partition(PartitionId(partition))
                    .value(number.to_string());
                let delivery = producer.send(record).await.unwrap();
                let acked = Arc::clone(&acked);
                deliveries.push(tokio::spawn(async move {
                    let delivered = delivery.await.unwrap();
                    let place = (partition, delivered.offset.get());
                    let earlier = acked.values.lock().unwrap().insert(place, number);
                    assert_eq!(earlier, None, "two records at {place:?}");
                    acked.counts[partition as usize].fetch_add(1, Ordering::Relaxed);
                }));
            }
            number += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        producer.flush().await;
        for delivery in deliveries {
            delivery.await.unwrap();
        }
    })
}

/// The leader of every partition says where it ends.
pub async fn all_have_ends(admin: &Admin) {
    let specs = partitions().map(|it| (it, OffsetSpec::Latest)).collect();
    let ends = admin.list_offsets(&specs, false).await.unwrap();
    assert!(ends.len() == PARTITIONS as usize, "{ends:?}");
    assert!(ends.iter().all(|(_, end)| end.is_ok()), "{ends:?}");
}

/// Waits until every replica of every partition is in sync.
pub async fn all_in_sync(admin: &Admin) {
    until_in_sync(admin, true).await;
}

/// Waits until some replica is not.
pub async fn not_all_in_sync(admin: &Admin) {
    until_in_sync(admin, false).await;
}

async fn until_in_sync(admin: &Admin, is_wanted: bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let described = admin.describe_topics(&[TOPIC.to_owned()]).await;
        let topic = described.ok().and_then(|mut topics| topics.pop()).and_then(|(_, it)| it.ok());
        let is_whole = |topic: &Arc<Topic>| {
            topic.partitions.len() == PARTITIONS as usize
                && topic.partitions.iter().all(|it| it.isr.len() == 3)
        };
        if topic.as_ref().is_some_and(|topic| is_whole(topic) == is_wanted) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "never in sync {is_wanted}: {topic:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Everything in the topic: per partition, dense and in the order of the sends.
pub async fn check(client: Client, acked: &Acked) {
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign(partitions());
    for partition in partitions() {
        consumer.seek(&partition, Offset::ZERO).unwrap();
    }
    let expected = acked.values.lock().unwrap().clone();
    let mut left = expected.clone();
    let mut next: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !left.is_empty() {
        assert!(std::time::Instant::now() < deadline, "lost: {:?}", left.first_key_value());
        for record in consumer.poll(Duration::from_millis(100)).await.unwrap() {
            let (index, offset) = (record.partition.get(), record.offset.get());
            let value: i64 =
                std::str::from_utf8(record.value.as_ref().unwrap()).unwrap().parse().unwrap();
            let (next_offset, after) = next.entry(index).or_insert((0, -1));
            assert_eq!(offset, *next_offset, "offsets of partition {index} are dense");
            assert!(value > *after, "partition {index}: {value} comes after {after}");
            (*next_offset, *after) = (offset + 1, value);
            if let Some(acked) = left.remove(&(index, offset)) {
                assert_eq!(acked as i64, value, "partition {index}, offset {offset}");
            }
        }
    }
}
