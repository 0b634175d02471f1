//! What `strandline cluster` tells of three nodes: who is missed, what moves, and what to do; and that
//! `strandline consume` is sent to the replica of its rack (KIP-392).

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use local::{free_addresses, metric};
use node::eventually;
use serde_json::{Value, json};
use strandline_client::admin::Admin;
use trio::Cluster;
use trio::tool::{MOVING, begin, create_topic, fill, json, run, text};

fn troubles(status: &Value) -> &Vec<Value> {
    status["troubles"].as_array().unwrap()
}

/// A broker is killed, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_missed_is_told_until_it_is_back() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    trio::create_topic(&Admin::new(cluster.client())).await;
    let is_well = |cluster: &Cluster| {
        let status = json(cluster, "status");
        let states = status["brokers"].as_array().unwrap().iter().map(|it| &it["state"]);
        troubles(&status).is_empty() && states.into_iter().all(|it| it == "alive")
    };
    eventually("all is well", || is_well(&cluster));
    assert!(text(&cluster, "status").contains("\npartitions: 6, all replicas in sync\n"));

    cluster.take(2).kill();
    let mut status = Value::Null;
    eventually("its replicas are missed", || {
        status = json(&cluster, "status");
        troubles(&status).len() == 6
    });
    for trouble in troubles(&status) {
        assert_eq!(trouble["trouble"], "atMinIsr");
        assert_eq!(trouble["replicas"].as_array().unwrap().len(), 3);
        let in_sync = trouble["inSync"].as_array().unwrap();
        assert!(in_sync.len() == 2 && !in_sync.contains(&json!(3)), "{trouble}");
    }
    assert_eq!(status["brokers"][2]["state"], "fenced");
    assert_eq!(status["brokers"][2]["bytes"], Value::Null);
    let next = status["next"][0].as_str().unwrap();
    assert!(next.starts_with("broker 3 is fenced: start it"), "{next}");
    let told = text(&cluster, "status");
    assert!(told.contains("\npartitions: 6, 6 at min ISR\n"), "{told}");

    cluster.restart(2);
    eventually("all is well again", || is_well(&cluster));
}

/// Two partitions of eight megabytes each move at one per second.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_move_is_told() {
    let home = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(home.path());
    create_topic(&Admin::new(cluster.client()), MOVING).await;
    for _ in 0..4 {
        fill(&cluster).await;
    }
    let drain = "drain 3 --throttle 1000000";
    let (mut draining, _) = begin(&cluster, drain);
    let mut most = 0;
    eventually("some of it has come", || {
        let status = json(&cluster, "status");
        let moving = status["moving"].as_array().unwrap();
        assert!(moving.iter().all(|it| it["topic"] == MOVING && it["removing"] == json!([3])));
        let left: u64 = moving.iter().map(|it| it["bytesLeft"].as_u64().unwrap()).sum();
        assert!(left <= 16_800_000, "{status}");
        most = most.max(left);
        0 < left && left < most
    });
    draining.kill().unwrap();
    draining.wait().unwrap();
    run(&cluster, &format!("{drain} --cancel"));
    assert_eq!(json(&cluster, "status")["moving"], json!([]));
}

/// Two of three are gone: whoever is left tells what it knows, and that nobody leads.
#[tokio::test(flavor = "multi_thread")]
async fn it_does_without_a_quorum() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    create_topic(&Admin::new(cluster.client()), MOVING).await;
    assert_eq!(json(&cluster, "status")["moving"], json!([]));
    cluster.take(0).kill();
    cluster.take(1).kill();
    let began = Instant::now();
    let status = json(&cluster, "status");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!((&status["quorum"], &status["moving"]), (&Value::Null, &Value::Null));
    assert_eq!(status["partitions"], 2);
    let next = status["next"][0].as_str().unwrap();
    assert!(next.contains("majority of the controllers"), "{next}");
    let told = text(&cluster, "status");
    assert!(told.contains("\nquorum: nobody leads that can be reached ("), "{told}");
    assert!(told.contains("\nmoving: unknown ("), "{told}");
}

/// Every record comes from the broker of the rack that the reader is in, else from the leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_sent_to_its_rack() {
    let home = tempfile::tempdir().unwrap();
    let metrics: [SocketAddr; 3] = free_addresses();
    let cluster = Cluster::start_with(home.path(), |index, start| {
        let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
        start
            .set("strandline.metrics.listener", &metrics[index].to_string())
            .set("broker.rack", ["a", "b", "c"][index])
            .set("replica.selector.class", selector)
    });
    create_topic(&Admin::new(cluster.client()), MOVING).await;
    fill(&cluster).await;
    let given = || metrics.map(|at| metric(at, "kafka_server_brokertopicmetrics_bytesout_total"));
    let consume = |rack: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
        command.args(["consume", MOVING, "--from", "beginning", "--exit"]).args(rack);
        let output = command.args(["--bootstrap", &cluster.bootstrap]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout.split_inclusive(|byte| *byte == b'\n').count(), 200);
    };
    consume(&["--rack", "c"]);
    let [first, second, third] = given();
    assert!((first, second) == (0, 0) && third > 4_000_000, "{first} {second} {third}");
    consume(&[]);
    let [first, second, again] = given();
    assert!(first > 2_000_000 && second > 2_000_000 && again == third, "{first} {second} {again}");
}
