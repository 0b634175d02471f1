//! Who leads a partition, as three real brokers have it: what clients are told that ask another, what an
//! unclean election keeps, and how leaders come back to their places.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use node::frames::{batch, fetch, produce};
use node::{Client, eventually};
use strandline_client::consumer::{Consumer, ConsumerConfig};
use strandline_types::{ErrorCode, Offset, PartitionId, TopicPartition, Uuid};
use strandline_wire::messages::{FetchRequest, ProduceRequest};
use trio::Cluster;

const TOPIC: &str = "events";

/// The newest versions of clients; both know topics by id alone.
const PRODUCE: i16 = 13;
const FETCH: i16 = 17;

fn until_led_by(client: &mut Client, topic: &str, node: i32) -> i32 {
    eventually("it leads", || client.describe(topic, 0).leader_id == node);
    client.describe(topic, 0).leader_epoch
}

fn until_in_sync(client: &mut Client, topic: &str, count: usize) {
    eventually("all are in sync", || client.describe(topic, 0).isr_nodes.len() == count);
}

fn append(client: &mut Client, topic: &str, value: &str) -> i64 {
    let answer = client.produce(topic, 0, batch(&[value.as_bytes()])).unwrap();
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer.base_offset
}

fn values(client: &mut Client, topic: &str) -> Vec<String> {
    let read = client.read_all(topic, 0, 0);
    assert!(read.iter().map(|(offset, _)| *offset).eq(0..read.len() as i64), "dense");
    read.into_iter().map(|(_, value)| String::from_utf8(value.into()).unwrap()).collect()
}

/// Whom an answer names: code, leader, its epoch, and every endpoint by id, host, port and rack.
type Told = (ErrorCode, i32, i32, Vec<(i32, String, i32, Option<String>)>);

fn told_by_produce(client: &mut Client, version: i16, id: Uuid) -> Told {
    let mut request = ProduceRequest { acks: 1, ..produce(TOPIC, 0, batch(&[b"astray"])) };
    request.topic_data[0].topic_id = id;
    let answer = client.ask(&request, version);
    let partition = &answer.responses[0].partition_responses[0];
    let leader = &partition.current_leader;
    let endpoints = answer.node_endpoints.iter();
    (
        partition.error_code,
        leader.leader_id,
        leader.leader_epoch,
        endpoints.map(|it| (it.node_id, it.host.clone(), it.port, it.rack.clone())).collect(),
    )
}

/// A consumer that believes in this epoch.
fn told_by_fetch(client: &mut Client, version: i16, id: Uuid, epoch: i32) -> Told {
    let mut request = FetchRequest { max_wait_ms: 0, ..fetch(TOPIC, 0, 0, 1 << 20) };
    request.topics[0].topic_id = id;
    request.topics[0].partitions[0].current_leader_epoch = epoch;
    let answer = client.ask(&request, version);
    let partition = &answer.responses[0].partitions[0];
    let leader = &partition.current_leader;
    let endpoints = answer.node_endpoints.iter();
    (
        partition.error_code,
        leader.leader_id,
        leader.leader_epoch,
        endpoints.map(|it| (it.node_id, it.host.clone(), it.port, it.rack.clone())).collect(),
    )
}

/// KIP-951: nobody who asks the wrong broker needs to ask for metadata.
#[test]
fn whoever_does_not_lead_names_the_leader() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_with(home.path(), |index, start| {
        start.set("broker.rack", &format!("rack{}", index + 1))
    });
    let ports: Vec<i32> = (0..3).map(|node| cluster.node(node).kafka.port().into()).collect();
    let leader_is = |code, node: i32, epoch| -> Told {
        let rack = Some(format!("rack{node}"));
        (code, node, epoch, vec![(node, "127.0.0.1".to_owned(), ports[node as usize - 1], rack)])
    };
    let mut third = cluster.node(2).client();
    let id = third.create_topic_on(TOPIC, &[&[1, 2, 3]], &[]);
    let first = leader_is(ErrorCode::NOT_LEADER_OR_FOLLOWER, 1, 0);
    for version in 10..=PRODUCE {
        assert_eq!(told_by_produce(&mut third, version, id), first);
    }
    for version in [16, FETCH] {
        let of_leader_alone = told_by_fetch(&mut third, version, id, -1);
        assert_eq!(of_leader_alone.0, ErrorCode::NONE, "a replica serves consumers, too");
    }
    until_in_sync(&mut third, TOPIC, 3);
    cluster.take(0).kill();
    let epoch = until_led_by(&mut third, TOPIC, 2);
    assert!(epoch > 0);
    assert_eq!(
        told_by_produce(&mut third, PRODUCE, id),
        leader_is(ErrorCode::NOT_LEADER_OR_FOLLOWER, 2, epoch)
    );
    for version in [16, FETCH] {
        assert_eq!(
            told_by_fetch(&mut third, version, id, 0),
            leader_is(ErrorCode::FENCED_LEADER_EPOCH, 2, epoch)
        );
    }
    // The leader itself tells whoever has not heard of it, and says nothing to whoever has.
    let mut second = cluster.node(1).client();
    assert_eq!(until_led_by(&mut second, TOPIC, 2), epoch);
    let fenced = leader_is(ErrorCode::FENCED_LEADER_EPOCH, 2, epoch);
    assert_eq!(told_by_fetch(&mut second, FETCH, id, 0), fenced);
    let served = (ErrorCode::NONE, -1, -1, vec![]);
    assert_eq!(told_by_fetch(&mut second, FETCH, id, epoch), served);
    assert_eq!(told_by_produce(&mut second, PRODUCE, id), served);
    let unknown = told_by_fetch(&mut second, FETCH, id, epoch + 1);
    assert_eq!(unknown, (ErrorCode::UNKNOWN_LEADER_EPOCH, -1, -1, vec![]));
}

/// The states of recovery that a node's metadata log has for a topic, in turn: 1 is a leader that may
/// lack records, 0 one that has made up its mind.
fn recoveries(dir: &Path, topic_id: Uuid) -> Vec<String> {
    let log = dir.join("data/__cluster_metadata-0/00000000000000000000.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    let output = command.args(["log", "dump", "--records"]).arg(log).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let states = text.lines().filter(|line| line.contains(&format!("topic_id: {topic_id},")));
    let states = states.filter_map(|line| {
        let (_, rest) = line.split_once("leader_recovery_state: ")?;
        Some(rest.split_once(',')?.0.to_owned())
    });
    // No change.
    states.filter(|state| state != "-1").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclean_leader_is_what_the_partition_goes_on_with() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let mut first = cluster.node(0).client();
    let lax = ("min.insync.replicas", "1");
    // One waits until somebody asks for it, and of the other it was said before.
    let willing = ("unclean.leader.election.enable", "true");
    let ids = [
        first.create_topic_on("asked", &[&[1, 2]], &[lax]),
        first.create_topic_on("willing", &[&[1, 2]], &[lax, willing]),
    ];
    let mut readers = Vec::new();
    for topic in ["asked", "willing"] {
        append(&mut first, topic, "both have it");
        until_in_sync(&mut first, topic, 2);
    }
    cluster.take(1).kill();
    for topic in ["asked", "willing"] {
        until_in_sync(&mut first, topic, 1);
        assert_eq!(append(&mut first, topic, "lost"), 1);
        assert_eq!(append(&mut first, topic, "lost, too"), 2);
        let partition = TopicPartition { topic: topic.into(), partition: PartitionId(0) };
        let mut reader = Consumer::new(cluster.client(), ConsumerConfig::default());
        reader.assign([partition.clone()]);
        reader.seek(&partition, Offset(0)).unwrap();
        let mut read = 0;
        while read < 3 {
            read += reader.poll(Duration::from_secs(1)).await.unwrap().len();
        }
        readers.push(reader);
    }
    let before = first.describe("asked", 0).leader_epoch;
    cluster.take(0).kill();
    cluster.restart(1);

    let mut second = cluster.node(1).client();
    until_led_by(&mut second, "willing", 2);
    until_led_by(&mut second, "asked", -1);
    assert_eq!(second.elect("asked", false), ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE);
    assert_eq!(second.elect("asked", true), ErrorCode::NONE);
    assert_eq!(second.elect("asked", true), ErrorCode::ELECTION_NOT_NEEDED);
    let after = until_led_by(&mut second, "asked", 2);
    assert!(after > before);
    for id in ids {
        let dir = home.path().join("node2");
        eventually("it has recovered", || recoveries(&dir, id) == ["0", "1", "0"]);
    }

    for (topic, reader) in ["asked", "willing"].into_iter().zip(&mut readers) {
        assert_eq!(append(&mut second, topic, "instead"), 1);
        assert_eq!(append(&mut second, topic, "instead, too"), 2);
        assert_eq!(append(&mut second, topic, "new"), 3);
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut read = Vec::new();
        while read.len() < 3 {
            assert!(Instant::now() < deadline, "{topic}: {read:?}");
            for record in reader.poll(Duration::from_secs(1)).await.unwrap() {
                read.push((record.offset.get(), record.value.unwrap()));
            }
        }
        assert_eq!(read, [(1, "instead".into()), (2, "instead, too".into()), (3, "new".into())]);
    }
    cluster.restart(0);
    for topic in ["asked", "willing"] {
        until_in_sync(&mut second, topic, 2);
    }
    // Whoever led before has cut off what nobody else has.
    cluster.take(1).kill();
    let mut first = cluster.node(0).client();
    for topic in ["asked", "willing"] {
        until_led_by(&mut first, topic, 1);
        assert_eq!(values(&mut first, topic), ["both have it", "instead", "instead, too", "new"]);
    }
}

#[test]
fn leaders_come_back_to_their_places_by_themselves() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_with(home.path(), |_, start| {
        start
            .set("leader.imbalance.check.interval.seconds", "1")
            .set("leader.imbalance.per.broker.percentage", "0")
    });
    let mut first = cluster.node(0).client();
    first.create_topic_on(TOPIC, &[&[1, 2, 3]], &[]);
    assert_eq!(append(&mut first, TOPIC, "before"), 0);
    let mut second = cluster.node(1).client();
    cluster.take(0).kill();
    let epoch = until_led_by(&mut second, TOPIC, 2);
    cluster.restart(0);
    assert!(until_led_by(&mut second, TOPIC, 1) > epoch);
    let mut first = cluster.node(0).client();
    until_led_by(&mut first, TOPIC, 1);
    assert_eq!(append(&mut first, TOPIC, "after"), 1);
    assert_eq!(values(&mut first, TOPIC), ["before", "after"]);
}
