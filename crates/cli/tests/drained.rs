//! What `strandline cluster` tells when nobody leads the quorum.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use local::cluster_tool;
use serde_json::Value;
use strandline_client::admin::{Admin, NewTopic};
use strandline_types::{NodeId, PartitionId};
use trio::Cluster;

const TOPIC: &str = "moving";

fn run(cluster: &Cluster, line: &str) -> Output {
    let output = cluster_tool(&cluster.bootstrap, line).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output
}

fn json(cluster: &Cluster, line: &str) -> Value {
    serde_json::from_slice(&run(cluster, &format!("{line} --json")).stdout).unwrap()
}

/// Two partitions, both with a replica on node 3, one led by each of the others.
async fn create_topic(admin: &Admin, name: &str) {
    let replicas = |first| vec![NodeId(first), NodeId(3)];
    let assignments =
        BTreeMap::from([(PartitionId(0), replicas(1)), (PartitionId(1), replicas(2))]);
    let new = NewTopic { assignments, ..NewTopic::new(name, -1, -1) };
    let created = admin.create_topics(&[new], false).await.unwrap();
    assert!(created.iter().all(|(_, result)| result.is_ok()), "{created:?}");
}

/// Two of three are gone: whoever is left tells what it knows, and that nobody leads.
#[tokio::test(flavor = "multi_thread")]
async fn the_overview_does_without_a_quorum() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let admin = Admin::new(cluster.client());
    create_topic(&admin, TOPIC).await;
    let status = json(&cluster, "status");
    assert_eq!(status["moving"], serde_json::json!([]));
    cluster.take(0).kill();
    cluster.take(1).kill();
    let began = Instant::now();
    let status = json(&cluster, "status");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!((&status["quorum"], &status["moving"]), (&Value::Null, &Value::Null));
    assert_eq!(status["partitions"], 2);
    let next = status["next"][0].as_str().unwrap();
    assert!(next.contains("majority of the controllers"), "{next}");
    let text = String::from_utf8(run(&cluster, "status").stdout).unwrap();
    assert!(text.contains("\nquorum: nobody leads that can be reached ("), "{text}");
    assert!(text.contains("\nmoving: unknown ("), "{text}");
}
