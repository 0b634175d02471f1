//! A bare start grows to three brokers whose controllers vote: no format step, and nothing in the
//! settings of the later ones but who they are and where the first is. Then any one of them may die,
//! or lose its disk, and nothing that was acknowledged is lost.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use local::{client, free_addresses};
use node::{Node, Start};
use strandline_client::Client;
use strandline_client::admin::{Admin, CommittedOffset, NewTopic};
use strandline_client::consumer::{Consumer, ConsumerConfig};
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_types::{NodeId, Offset, PartitionId, TopicPartition, Uuid};

const TOPIC: &str = "events";
const GROUP: &str = "readers";
const RECORDS_PER_ROUND: u64 = 50;

/// Three nodes to be, by their listeners.
struct Cluster {
    starts: Vec<Start>,
    nodes: Vec<Option<Node>>,
    bootstrap: String,
    controllers: Vec<String>,
}

impl Cluster {
    fn plan(home: &Path) -> Self {
        let ports = free_addresses::<6>().map(|it| it.port());
        let (kafka, controller) = ports.split_at(3);
        let start = |index: usize| {
            let dir = home.join(format!("node{}", index + 1));
            std::fs::create_dir_all(&dir).unwrap();
            let listeners = format!(
                "PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}",
                kafka[index], controller[index]
            );
            let start = Start::bare(&dir).set("listeners", &listeners);
            if index == 0 {
                return start;
            }
            // Whoever comes later looks for those that are there.
            let servers = controller.iter().map(|port| format!("127.0.0.1:{port}"));
            let servers: Vec<String> = servers.take(index).collect();
            start
                .set("node.id", &(index + 1).to_string())
                .set("controller.quorum.bootstrap.servers", &servers.join(","))
        };
        let bootstrap: Vec<String> = kafka.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Self {
            starts: (0..3).map(start).collect(),
            nodes: (0..3).map(|_| None).collect(),
            bootstrap: bootstrap.join(","),
            controllers: controller.iter().map(|port| format!("127.0.0.1:{port}")).collect(),
        }
    }

    fn start(&mut self, index: usize) {
        self.nodes[index] = Some(self.starts[index].ready());
    }

    fn kill(&mut self, index: usize) {
        self.nodes[index].take().unwrap().kill();
    }

    fn client(&self) -> Client {
        client(&self.bootstrap)
    }

    /// Who votes after a `strandline cluster controllers`.
    fn controllers(&self, line: &str) -> Vec<i64> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
        command.args(["--json", "cluster", "controllers"]).args(line.split(' '));
        let output = command.args(["--bootstrap", &self.bootstrap]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        told["voters"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
    }
}

/// Asks until the answer is as wanted.
async fn until<T: std::fmt::Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask().await;
        if is_so(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "never happened: {what}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The voters and their directories; none while nobody tells.
async fn voters(admin: &Admin) -> BTreeSet<(NodeId, Uuid)> {
    let quorum = admin.describe_quorum().await;
    let voters = quorum.into_iter().flat_map(|quorum| quorum.voters);
    voters.map(|voter| (voter.id, voter.directory_id)).collect()
}

async fn until_voters(admin: &Admin, count: usize) -> BTreeSet<(NodeId, Uuid)> {
    until("so many voters", || voters(admin), |voters| voters.len() == count).await
}

/// Waits until every partition of a topic has three replicas, all of them in sync.
async fn until_three_in_sync(admin: &Admin, topic: &str) {
    let ask = async || admin.describe_topics(&[topic.to_owned()]).await;
    let described = until("three replicas in sync", ask, |described| {
        let topics = described.as_ref().ok();
        let topic = topics.and_then(|topics| topics.first()).and_then(|(_, it)| it.as_ref().ok());
        topic.is_some_and(|topic| {
            topic.partitions.iter().all(|it| it.replicas.len() == 3 && it.isr.len() == 3)
        })
    })
    .await;
    assert!(described.is_ok());
}

/// Sends the next numbers, and waits until each is acknowledged.
async fn produce(producer: &Producer, sent: &mut u64) {
    for number in *sent..*sent + RECORDS_PER_ROUND {
        let record = ProducerRecord::new(TOPIC)
            .partition(PartitionId((number % 3) as i32))
            .value(number.to_string());
        producer.send(record).await.unwrap().await.unwrap();
    }
    *sent += RECORDS_PER_ROUND;
}

async fn check(client: Client, sent: u64) {
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    let partition = |index| TopicPartition { topic: TOPIC.into(), partition: PartitionId(index) };
    consumer.assign((0..3).map(partition));
    for index in 0..3 {
        consumer.seek(&partition(index), Offset::ZERO).unwrap();
    }
    let mut read = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while (read.len() as u64) < sent {
        assert!(Instant::now() < deadline, "{} of {sent} are there", read.len());
        for record in consumer.poll(Duration::from_millis(100)).await.unwrap() {
            let value = std::str::from_utf8(record.value.as_ref().unwrap()).unwrap();
            read.push(value.parse::<u64>().unwrap());
        }
    }
    read.sort_unstable();
    assert!(read.iter().copied().eq(0..sent), "each once: {read:?}");
}

/// A broker knows from the log where the only controller listened before, and from its settings where
/// it listens now.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_voter_is_found_where_it_has_moved() {
    let home = tempfile::tempdir().unwrap();
    let [kafka, before, after] = free_addresses();
    let dir = |name| {
        let dir = home.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    };
    let voter = |controller| {
        let listeners = format!("PLAINTEXT://{kafka},CONTROLLER://{controller}");
        Start::bare(&dir("voter")).set("listeners", &listeners).ready()
    };
    let broker = |controller: SocketAddr| {
        Start::bare(&dir("broker"))
            .set("process.roles", "broker")
            .set("node.id", "2")
            .set("listeners", "PLAINTEXT://127.0.0.1:0")
            .set("controller.quorum.bootstrap.servers", &controller.to_string())
            .ready()
    };
    let nodes = [voter(before), broker(before)];
    for node in nodes {
        assert!(node.stop().status.success());
    }
    let _voter = voter(after);
    let moved = broker(after);
    // It follows the metadata from there, too.
    let admin = Admin::new(client(&moved.kafka.to_string()));
    let created = admin.create_topics(&[NewTopic::new(TOPIC, 1, 2)], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
    let ask = async || admin.describe_topics(&[TOPIC.to_owned()]).await.unwrap();
    until("the topic is known", ask, |topics| topics.iter().all(|(_, it)| it.is_ok())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_start_grows_to_three_and_then_any_one_may_die() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::plan(home.path());
    let note = |index: usize| {
        home.path().join(format!("node{}/strandline-data/.strandline-joining", index + 1))
    };
    cluster.start(0);
    let admin = Admin::new(cluster.client());
    let created = admin.create_topics(&[NewTopic::new("early", 1, 1)], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
    let early = TopicPartition { topic: "early".into(), partition: PartitionId(0) };
    let committed = BTreeMap::from([(early.clone(), CommittedOffset::new(Offset(7)))]);
    let answers = admin.alter_group_offsets(GROUP, &committed).await.unwrap();
    assert!(answers.iter().all(|(_, result)| result.is_ok()), "{answers:?}");

    cluster.start(1);
    assert_eq!(until_voters(&admin, 1).await.first().unwrap().0, NodeId(1));
    assert!(note(1).exists(), "two voters would be no safer than one: the second waits");
    cluster.start(2);
    until_voters(&admin, 3).await;
    for index in 1..3 {
        let note = note(index);
        until("it has joined", async || note.exists(), |there| !there).await;
    }
    until_three_in_sync(&admin, "__consumer_offsets").await;

    let topic = NewTopic::new(TOPIC, 3, 3).config("min.insync.replicas", "2");
    let created = admin.create_topics(&[topic], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
    let producer = Producer::new(cluster.client(), ProducerConfig::default());
    let mut sent = 0;
    produce(&producer, &mut sent).await;
    for index in 0..3 {
        cluster.kill(index);
        produce(&producer, &mut sent).await;
        cluster.start(index);
        until_three_in_sync(&admin, TOPIC).await;
    }

    // A person takes a vote away and gives it back, whoever leads.
    for node in 1..=3 {
        let address = &cluster.controllers[node - 1];
        let left = cluster.controllers(&format!("remove {node}"));
        assert_eq!(left, [1, 2, 3].into_iter().filter(|it| *it != node as i64).collect::<Vec<_>>());
        let watches = async || {
            let quorum = admin.describe_quorum().await.unwrap();
            quorum.observers.iter().any(|it| it.id.get() == node as i32)
        };
        until("it watches the others", watches, |watches| *watches).await;
        let all = cluster.controllers(&format!("add {node} --address {address}"));
        assert_eq!(all, [1, 2, 3]);
    }
    produce(&producer, &mut sent).await;

    // A disk is lost: who comes back is another voter, and takes its former self out.
    let before = until_voters(&admin, 3).await;
    cluster.kill(2);
    std::fs::remove_dir_all(home.path().join("node3/strandline-data")).unwrap();
    cluster.start(2);
    let is_replaced = |now: &BTreeSet<_>| now.len() == 3 && now.difference(&before).count() == 1;
    until("the lost voter is replaced", || voters(&admin), is_replaced).await;
    until_three_in_sync(&admin, TOPIC).await;
    // Its vote is needed now.
    cluster.kill(0);
    produce(&producer, &mut sent).await;
    let offsets = admin.group_offsets(GROUP, Some(std::slice::from_ref(&early))).await.unwrap();
    let [(_, Ok(offset))] = &offsets[..] else { panic!("{offsets:?}") };
    assert_eq!(offset.offset, Offset(7));
    check(cluster.client(), sent).await;
}
