//! A cluster grows to four brokers and shrinks again while it is written to: `cluster rebalance` gives
//! the newcomer its share, `cluster drain` takes it back, and dies in the middle of that. Every record
//! that was acknowledged is there, once, in order.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use local::{client, cluster_tool, free_addresses};
use node::{Node, Start, eventually};
use serde_json::Value;
use strandline_client::Client;
use strandline_client::admin::{Admin, NewTopic};
use strandline_client::consumer::{Consumer, ConsumerConfig};
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_types::{NodeId, Offset, PartitionId, TopicPartition};

const TOPIC: &str = "events";
const PARTITIONS: i32 = 12;
const NODES: usize = 4;
const NEWCOMER: NodeId = NodeId(4);
/// Of a record; with so many of them a partition takes some time to copy.
const VALUE_BYTES: usize = 16 * 1024;
const RECORDS_AHEAD: u64 = 256;
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    nodes: BTreeMap<i32, Node>,
    bootstrap: String,
}

impl Cluster {
    fn start(home: &Path) -> Self {
        let ports = free_addresses::<{ NODES * 2 }>().map(|it| it.port());
        let (kafka, controller) = ports.split_at(NODES);
        let voters: Vec<String> =
            (1..).zip(controller).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
        let start = |(id, (kafka, controller)): (i32, (&u16, &u16))| {
            let dir = home.join(format!("node{id}"));
            std::fs::create_dir_all(&dir).unwrap();
            let listeners =
                format!("PLAINTEXT://127.0.0.1:{kafka},CONTROLLER://127.0.0.1:{controller}");
            let start = Start::bare(&dir)
                .set("node.id", &id.to_string())
                .set("controller.quorum.voters", &voters.join(","))
                .set("listeners", &listeners)
                .set("log.dirs", "data")
                .set("min.insync.replicas", "2");
            (id, start)
        };
        let starts: Vec<_> = (1..).zip(kafka.iter().zip(controller)).map(start).collect();
        // A node is ready once a majority is up, so all must be begun at the same time.
        let nodes = std::thread::scope(|scope| {
            let begun: Vec<_> =
                starts.iter().map(|(id, it)| (*id, scope.spawn(|| it.ready()))).collect();
            begun.into_iter().map(|(id, it)| (id, it.join().unwrap())).collect()
        });
        let bootstrap: Vec<_> = kafka.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Self { nodes, bootstrap: bootstrap.join(",") }
    }

    fn client(&self) -> Client {
        client(&self.bootstrap)
    }

    fn tool(&self, line: &str) -> Command {
        let mut command = cluster_tool(&self.bootstrap, line);
        command.arg("--json");
        command
    }

    fn run(&self, line: &str) -> Output {
        self.tool(line).output().unwrap()
    }

    fn json(&self, line: &str) -> Value {
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {text}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(!output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// How many partitions each broker has a replica of, and how many it is the preferred leader of.
async fn spread(admin: &Admin) -> BTreeMap<NodeId, (usize, usize)> {
    let described = admin.describe_topics(&[TOPIC.to_owned()]).await.unwrap();
    let topic = described.into_iter().next().unwrap().1.unwrap();
    let mut spread: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
    for partition in &topic.partitions {
        for (index, id) in partition.replicas.iter().enumerate() {
            let counts = spread.entry(*id).or_default();
            *counts = (counts.0 + 1, counts.1 + usize::from(index == 0));
        }
    }
    spread
}

/// Writes numbered records to every partition until it is told to stop, and tells which were
/// acknowledged where: by partition and offset.
async fn produce(client: Client, is_over: Arc<AtomicBool>) -> BTreeMap<(i32, i64), u64> {
    let producer = Producer::new(client, ProducerConfig::default());
    let mut deliveries = Vec::new();
    let mut number = 0_u64;
    while !is_over.load(Ordering::Relaxed) || number < RECORDS_AHEAD {
        for partition in 0..PARTITIONS {
            let value = format!("{number:0VALUE_BYTES$}");
            let record = ProducerRecord::new(TOPIC).partition(PartitionId(partition)).value(value);
            deliveries.push((partition, number, producer.send(record).await.unwrap()));
        }
        number += 1;
        if number >= RECORDS_AHEAD {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    producer.flush().await;
    let mut acked = BTreeMap::new();
    for (partition, number, delivery) in deliveries {
        let place = (partition, delivery.await.unwrap().offset.get());
        assert_eq!(acked.insert(place, number), None, "two records at {place:?}");
    }
    acked
}

/// Everything in the topic: per partition, dense, in the order of the sends, and all that was acked.
async fn check(client: Client, acked: BTreeMap<(i32, i64), u64>) {
    let partition = |index| TopicPartition { topic: TOPIC.into(), partition: PartitionId(index) };
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign((0..PARTITIONS).map(partition));
    for index in 0..PARTITIONS {
        consumer.seek(&partition(index), Offset::ZERO).unwrap();
    }
    let mut left = acked;
    let mut next: BTreeMap<i32, u64> = BTreeMap::new();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !left.is_empty() {
        assert!(std::time::Instant::now() < deadline, "lost: {:?}", left.first_key_value());
        for record in consumer.poll(Duration::from_millis(100)).await.unwrap() {
            let (index, offset) = (record.partition.get(), record.offset.get());
            let number: u64 =
                std::str::from_utf8(record.value.as_ref().unwrap()).unwrap().parse().unwrap();
            let expected = next.entry(index).or_default();
            assert_eq!((offset as u64, number), (*expected, *expected), "partition {index}");
            *expected += 1;
            assert_eq!(left.remove(&(index, offset)), Some(number));
        }
    }
}

/// Waits until some of the broker's replicas have gone, but not all.
async fn half_way(admin: &Admin, draining: &mut Child) {
    let before = spread(admin).await[&NEWCOMER].0;
    loop {
        assert!(draining.try_wait().unwrap().is_none(), "it ended by itself");
        let held = spread(admin).await.get(&NEWCOMER).map_or(0, |it| it.0);
        if held < before {
            assert!(held > 0, "too late");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_joins_and_leaves_under_load() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let admin = Admin::new(cluster.client());
    // As if the fourth had come later.
    let replicas = |it: i32| (0..3).map(|at| NodeId((it + at) % 3 + 1)).collect();
    let assignments = (0..PARTITIONS).map(|it| (PartitionId(it), replicas(it))).collect();
    let new = NewTopic { assignments, ..NewTopic::new(TOPIC, -1, -1) };
    let created = admin.create_topics(&[new], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
    let is_over = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(produce(cluster.client(), Arc::clone(&is_over)));

    let planned = cluster.json("rebalance --dry-run");
    let joins = |it: &&Value| it["to"].as_array().unwrap().contains(&Value::from(4));
    assert_eq!(planned.as_array().unwrap().iter().filter(joins).count(), 9, "{planned}");
    cluster.json("rebalance");
    let counts = spread(&admin).await;
    assert!(counts.values().all(|it| *it == (9, 3)), "{counts:?}");
    assert_eq!(cluster.json("rebalance")["moved"], 0);

    let running = cluster.refused("unregister 4");
    assert!(running.contains("holds 9 replicas"), "{running}");
    let mut draining = cluster.tool("drain 4 --parallel 1").spawn().unwrap();
    half_way(&admin, &mut draining).await;
    draining.kill().unwrap();
    draining.wait().unwrap();
    let drained = cluster.json("drain 4");
    assert!(drained["moved"].as_u64().unwrap() > 0, "{drained}");
    let counts = spread(&admin).await;
    assert!(counts.values().all(|it| *it == (12, 4)) && counts.len() == 3, "{counts:?}");

    // Nothing new goes there, and what needs it is told.
    let dry = cluster.json("drain 4 --dry-run");
    assert_eq!(dry.as_array().map(Vec::len), Some(0), "{dry}");
    let stuck = cluster.refused("drain 3");
    assert!(stuck.contains("has 3 replicas, and 2 other brokers take partitions"), "{stuck}");
    let status = cluster.json("status");
    let newcomer = &status["brokers"][3];
    assert_eq!((&newcomer["state"], &newcomer["replicas"]), (&"cordoned".into(), &0.into()));
    assert!(cluster.refused("unregister 4").contains("is running"));

    let stopped = cluster.nodes.remove(&4).unwrap().stop();
    assert!(stopped.status.success(), "{stopped:?}");
    // Whoever is asked may hear of its end a moment later.
    eventually("it is fenced", || cluster.json("status")["brokers"][3]["state"] == "fenced");
    cluster.json("unregister 4");
    is_over.store(true, Ordering::Relaxed);
    let acked = producing.await.unwrap();
    let status = cluster.json("status");
    assert_eq!(status["brokers"].as_array().map(Vec::len), Some(3), "{status}");
    assert_eq!(status["troubles"].as_array().map(Vec::len), Some(0), "{status}");
    check(cluster.client(), acked).await;
}
