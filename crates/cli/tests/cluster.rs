//! Three brokers as real processes: any one of them may be killed or stopped, and nothing that was
//! acknowledged is lost, nothing is there twice, and the order stays.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::{Node, Start, eventually};
use rustix::process::{Pid, Signal, kill_process};
use strandline_client::admin::{Admin, NewTopic};
use strandline_client::consumer::{Consumer, ConsumerConfig};
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_client::{Client, ClientConfig};
use strandline_ports::World;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn, WriteBudget};
use strandline_types::{Offset, PartitionId, TopicPartition};
use tokio::task::JoinHandle;

const TOPIC: &str = "events";
const PARTITIONS: i32 = 6;
/// Each partition must take so many records before a fault counts as survived.
const PROGRESS: u64 = 20;

/// Three nodes with fixed voters.
struct Cluster {
    starts: Vec<Start>,
    nodes: Vec<Option<Node>>,
    bootstrap: String,
}

impl Cluster {
    fn start(home: &Path) -> Self {
        // Held together, so that all are different.
        let held: Vec<_> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|it| it.local_addr().unwrap().port()).collect();
        drop(held);
        let (kafka, controller) = ports.split_at(3);
        let voter = |(index, port): (usize, &u16)| format!("{}@127.0.0.1:{port}", index + 1);
        let voters: Vec<String> = controller.iter().enumerate().map(voter).collect();
        let mut starts = Vec::new();
        for (index, (kafka, controller)) in kafka.iter().zip(controller).enumerate() {
            let dir = home.join(format!("node{}", index + 1));
            std::fs::create_dir_all(&dir).unwrap();
            let settings = [
                format!("node.id={}", index + 1),
                format!("controller.quorum.voters={}", voters.join(",")),
                format!(
                    "listeners=PLAINTEXT://127.0.0.1:{kafka},CONTROLLER://127.0.0.1:{controller}"
                ),
                "log.dirs=data".into(),
                "min.insync.replicas=2".into(),
                "default.replication.factor=3".into(),
            ];
            let mut start = Start::bare(&dir);
            for setting in &settings {
                let (key, value) = setting.split_once('=').unwrap();
                start = start.set(key, value);
            }
            starts.push(start);
        }
        // A node is ready once a majority is up, so all must be begun at the same time.
        let nodes = std::thread::scope(|scope| {
            let begun: Vec<_> =
                starts.iter().map(|start| scope.spawn(|| Some(start.ready()))).collect();
            begun.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let kafka: Vec<String> = kafka.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Self { starts, nodes, bootstrap: kafka.join(",") }
    }

    fn take(&mut self, index: usize) -> Node {
        self.nodes[index].take().unwrap()
    }

    fn restart(&mut self, index: usize) {
        self.nodes[index] = Some(self.starts[index].ready());
    }

    fn client(&self) -> Client {
        let mut config = ClientConfig::new(&self.bootstrap);
        config.retry_backoff = Duration::from_millis(20);
        config.retry_backoff_max = Duration::from_millis(200);
        Client::new(world(), config)
    }
}

fn world() -> World {
    let spawn = Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap());
    World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        net: Arc::new(RealNet),
        disk: Arc::new(RealDisk::new(WriteBudget::default())),
        spawn,
    }
}

/// What the producer was told is stored.
#[derive(Default)]
struct Acked {
    values: Mutex<BTreeMap<(i32, i64), u64>>,
    counts: [AtomicU64; PARTITIONS as usize],
    is_over: AtomicBool,
}

impl Acked {
    /// Waits until every partition has taken a few more records.
    async fn progress(&self) {
        let before: Vec<u64> = self.counts.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let has_progress = || {
            let now = self.counts.iter().map(|it| it.load(Ordering::Relaxed));
            now.zip(&before).all(|(now, before)| now >= before + PROGRESS)
        };
        patiently("every partition takes records", has_progress).await;
    }
}

async fn patiently(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends numbered records to every partition in turn until it is told to stop.
fn produce(client: Client, acked: Arc<Acked>) -> JoinHandle<()> {
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

/// Waits until every replica of every partition is in sync.
async fn all_in_sync(admin: &Admin) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let described = admin.describe_topics(&[TOPIC.to_owned()]).await;
        let topic = described.ok().and_then(|mut topics| topics.pop()).and_then(|(_, it)| it.ok());
        let is_whole = topic.as_ref().is_some_and(|topic| {
            topic.partitions.len() == PARTITIONS as usize
                && topic.partitions.iter().all(|it| it.isr.len() == 3)
        });
        if is_whole {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "not in sync: {topic:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Everything in the topic: per partition, dense and in the order of the sends.
async fn check(client: Client, acked: &Acked) {
    let partition = |index| TopicPartition { topic: TOPIC.into(), partition: PartitionId(index) };
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign((0..PARTITIONS).map(partition));
    for index in 0..PARTITIONS {
        consumer.seek(&partition(index), Offset::ZERO).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn any_broker_may_be_killed_or_stopped() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let admin = Admin::new(cluster.client());
    let created = admin.create_topics(&[NewTopic::new(TOPIC, PARTITIONS, 3)], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
    let acked = Arc::new(Acked::default());
    let producing = produce(cluster.client(), Arc::clone(&acked));
    acked.progress().await;
    for index in 0..3 {
        cluster.take(index).kill();
        acked.progress().await;
        cluster.restart(index);
        all_in_sync(&admin).await;
        acked.progress().await;
    }
    for index in 0..3 {
        let ended = cluster.take(index).stop();
        assert!(ended.status.success(), "{ended:?}");
        acked.progress().await;
        cluster.restart(index);
        all_in_sync(&admin).await;
    }
    acked.is_over.store(true, Ordering::Relaxed);
    producing.await.unwrap();
    check(cluster.client(), &acked).await;
}

/// The cluster id in a node's `meta.properties`.
fn cluster_id(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("meta.properties")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("cluster.id=")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_data_learns_the_cluster_and_votes_only_when_it_has_caught_up() {
    let home = tempfile::tempdir().unwrap();
    let data = |index: usize| home.path().join(format!("node{}/data", index + 1));
    let mut cluster = Cluster::start(home.path());
    let founded = cluster_id(&data(0));
    for index in 0..3 {
        assert_eq!(cluster_id(&data(index)), founded);
        let forgotten = data(index).join(".strandline-forgotten");
        assert!(!forgotten.exists(), "node {} is a founder", index + 1);
    }
    let admin = Admin::new(cluster.client());
    let created = admin.create_topics(&[NewTopic::new(TOPIC, PARTITIONS, 3)], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
    let acked = Arc::new(Acked::default());
    let producing = produce(cluster.client(), Arc::clone(&acked));
    acked.progress().await;

    let lost = 1;
    cluster.take(lost).kill();
    std::fs::remove_dir_all(data(lost)).unwrap();
    cluster.restart(lost);
    assert_eq!(cluster_id(&data(lost)), founded);
    let log = cluster.nodes[lost].as_ref().unwrap().log();
    assert!(log.contains("it does not vote before it has caught up"), "{log}");
    let forgotten = data(lost).join(".strandline-forgotten");
    patiently("the replaced node may vote again", || !forgotten.exists()).await;
    all_in_sync(&admin).await;
    acked.progress().await;
    acked.is_over.store(true, Ordering::Relaxed);
    producing.await.unwrap();
    check(cluster.client(), &acked).await;
}

/// A node whose others are not there waits for them, and still does as it is told.
#[test]
fn who_waits_for_others_can_be_stopped() {
    let home = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let controller = free.local_addr().unwrap();
    drop(free);
    let settings = [
        "node.id=1".to_owned(),
        format!("controller.quorum.voters=1@{controller},2@127.0.0.1:1"),
        format!("listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://{controller}"),
        "log.dirs=data".to_owned(),
    ];
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_strandline"))
        .current_dir(home.path())
        .arg("start")
        .args(settings.iter().flat_map(|setting| ["--set", setting]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it listens", || TcpStream::connect(controller).is_ok());
    kill_process(Pid::from_child(&waiting), Signal::TERM).unwrap();
    let mut status = None;
    eventually("it ends", || {
        status = waiting.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(128 + 15));
    assert!(!home.path().join("data/meta.properties").exists(), "it made up a cluster");
}
