//! What `strandline cluster drain` waits for, and what the overview tells when nobody leads the quorum.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use local::cluster_tool;
use serde_json::Value;
use strandline_client::admin::{Admin, NewTopic};
use strandline_types::{NodeId, PartitionId};
use trio::Cluster;

const TOPIC: &str = "moving";
const PATIENCE: Duration = Duration::from_secs(60);

fn run(cluster: &Cluster, line: &str) -> Output {
    let output = cluster_tool(&cluster.bootstrap, line).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    output
}

/// Starts it, for a person; gives what it tells meanwhile.
fn begin(cluster: &Cluster, line: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut command = cluster_tool(&cluster.bootstrap, line);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines.map(Result::unwrap))
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

async fn holders(admin: &Admin) -> BTreeSet<NodeId> {
    let described = admin.describe_topics(&[TOPIC.to_owned()]).await.unwrap();
    let topic = described.into_iter().next().unwrap().1.unwrap();
    topic.partitions.iter().flat_map(|partition| partition.replicas.clone()).collect()
}

/// A broker that is needed and starts anew is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_a_broker() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let admin = Admin::new(cluster.client());
    create_topic(&admin, TOPIC).await;
    cluster.take(0).kill();
    let deadline = Instant::now() + PATIENCE;
    while !admin.describe_cluster().await.unwrap().nodes[0].is_fenced {
        assert!(Instant::now() < deadline, "it is never missed");
    }
    let (draining, mut lines) = begin(&cluster, "drain 3");
    let waiting = lines.find(|it| it.starts_with("waiting: ")).unwrap();
    assert!(waiting.contains("brokers that are not running: 1"), "{waiting}");
    cluster.restart(0);
    let ended = draining.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(holders(&admin).await, BTreeSet::from([NodeId(1), NodeId(2)]));
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
