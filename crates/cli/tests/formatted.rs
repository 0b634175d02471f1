//! Clusters that begin Kafka's way, with `storage format` on every node: all voters together, or one
//! that others join.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use local::{client, cluster_tool};
use node::{Node, Start};
use strandline_client::admin::Admin;
use strandline_types::Uuid;
use trio::{Acked, Ports, all_in_sync, check, create_topic, produce, start_all};

const CLUSTER: &str = "J8qXRwI-Qyiz8x4WlgO7bA";

/// Three nodes that know where controllers are, and not who votes.
struct Scene {
    ports: Ports,
    starts: Vec<Start>,
}

impl Scene {
    fn plan(home: &Path) -> Self {
        let ports = Ports::free();
        let servers = ports.controller.map(|port| format!("127.0.0.1:{port}")).join(",");
        let start = |index: usize| {
            let dir = home.join(format!("node{}", index + 1));
            std::fs::create_dir_all(&dir).unwrap();
            let (kafka, controller) = (ports.kafka[index], ports.controller[index]);
            let listeners =
                format!("PLAINTEXT://127.0.0.1:{kafka},CONTROLLER://127.0.0.1:{controller}");
            Start::bare(&dir)
                .set("node.id", &(index + 1).to_string())
                .set("listeners", &listeners)
                .set("controller.quorum.bootstrap.servers", &servers)
                .set("log.dirs", "data")
                .set("min.insync.replicas", "2")
                .set("default.replication.factor", "3")
        };
        Self { ports, starts: (0..3).map(start).collect() }
    }

    fn format(&self, index: usize, words: &[&str]) {
        let words = [&["format", "-t", CLUSTER], words].concat();
        let formatted = self.starts[index].storage(&words);
        assert!(formatted.status.success(), "{formatted:?}");
    }

    fn bootstrap(&self) -> String {
        self.ports.kafka.map(|port| format!("127.0.0.1:{port}")).join(",")
    }

    fn admin(&self) -> Admin {
        Admin::new(client(&self.bootstrap()))
    }
}

async fn until_voters(admin: &Admin, wanted: &[i32]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let voters = admin.describe_quorum().await.map(|quorum| {
            quorum.voters.iter().map(|voter| voter.id.get()).collect::<BTreeSet<i32>>()
        });
        if voters.as_ref().is_ok_and(|voters| voters.iter().eq(wanted)) {
            return;
        }
        assert!(Instant::now() < deadline, "not {wanted:?}: {voters:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Any one may die under load, and nothing is lost.
async fn serves(scene: &Scene, mut nodes: Vec<Option<Node>>) {
    let told = nodes.iter().flatten().map(|node| node.ready["cluster_id"].as_str().unwrap());
    assert!(told.eq([CLUSTER; 3]));
    let admin = scene.admin();
    create_topic(&admin).await;
    let acked = Arc::new(Acked::default());
    let producing = produce(client(&scene.bootstrap()), Arc::clone(&acked));
    acked.progress().await;
    for (node, start) in nodes.iter_mut().zip(&scene.starts) {
        node.take().unwrap().kill();
        acked.progress().await;
        *node = Some(start.ready());
        all_in_sync(&admin).await;
    }
    acked.is_over.store(true, Ordering::Relaxed);
    producing.await.unwrap();
    check(client(&scene.bootstrap()), &acked).await;
    until_voters(&admin, &[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_initial_controllers_begin_together() {
    let home = tempfile::tempdir().unwrap();
    let scene = Scene::plan(home.path());
    let voters = scene.ports.controller.iter().zip(1_u128..).map(|(port, id)| {
        let directory = Uuid::from_u128(0x5eed << 64 | id);
        format!("{id}@127.0.0.1:{port}:{directory}")
    });
    let voters = voters.collect::<Vec<_>>().join(",");
    for index in 0..3 {
        scene.format(index, &["--initial-controllers", &voters]);
    }
    let nodes = start_all(scene.starts.iter());
    serves(&scene, nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_added_to_one_that_stands_alone() {
    let home = tempfile::tempdir().unwrap();
    let scene = Scene::plan(home.path());
    scene.format(0, &["--standalone"]);
    scene.format(1, &["--no-initial-controllers"]);
    scene.format(2, &["--no-initial-controllers"]);
    let nodes = start_all(scene.starts.iter());
    let admin = scene.admin();
    until_voters(&admin, &[1]).await;
    for (node, voters) in [(2, &[1, 2][..]), (3, &[1, 2, 3])] {
        let address = format!("127.0.0.1:{}", scene.ports.controller[node - 1]);
        let line = format!("controllers add {node} --address {address}");
        let added = cluster_tool(&scene.bootstrap(), &line).output().unwrap();
        assert!(added.status.success(), "{added:?}");
        until_voters(&admin, voters).await;
    }
    serves(&scene, nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_join_one_that_stands_alone_by_themselves() {
    let home = tempfile::tempdir().unwrap();
    let mut scene = Scene::plan(home.path());
    let joins = |start: Start| start.set("controller.quorum.auto.join.enable", "true");
    scene.starts = scene.starts.into_iter().map(joins).collect();
    scene.format(0, &["--standalone"]);
    scene.format(1, &["--no-initial-controllers"]);
    scene.format(2, &["--no-initial-controllers"]);
    let nodes = start_all(scene.starts.iter());
    until_voters(&scene.admin(), &[1, 2, 3]).await;
    serves(&scene, nodes).await;
}

async fn finalized(admin: &Admin) -> Vec<(String, i16)> {
    admin.describe_features().await.unwrap().finalized.into_iter().collect()
}

fn levels(elr: i16, metadata: i16, transaction: i16) -> Vec<(String, i16)> {
    let all = [
        ("eligible.leader.replicas.version", elr),
        ("kraft.version", 1),
        ("metadata.version", metadata),
        ("transaction.version", transaction),
    ];
    let finalized = all.into_iter().filter(|(_, level)| *level > 0);
    finalized.map(|(name, level)| (name.to_owned(), level)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_not_formatted_by_hand_begins_with_what_is_usual() {
    let home = tempfile::tempdir().unwrap();
    let node = Start::anywhere(home.path()).ready();
    let admin = Admin::new(client(&node.kafka.to_string()));
    assert_eq!(finalized(&admin).await, levels(1, 30, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_levels_that_it_began_with_until_it_is_told() {
    let home = tempfile::tempdir().unwrap();
    let scene = Scene::plan(home.path());
    let asked = ["--standalone", "-f", "transaction.version=0", "--feature", "metadata.version=21"];
    scene.format(0, &asked);
    let start = &scene.starts[0];
    let admin = Admin::new(client(&format!("127.0.0.1:{}", scene.ports.kafka[0])));

    let node = start.ready();
    assert_eq!(finalized(&admin).await, levels(0, 21, 0));
    node.kill();
    let _node = start.ready();
    assert_eq!(finalized(&admin).await, levels(0, 21, 0));

    let raised = BTreeMap::from([("transaction.version".to_owned(), 2)]);
    admin.update_features(&raised, false, false).await.unwrap();
    assert_eq!(finalized(&admin).await, levels(0, 21, 2));
    let lowered = BTreeMap::from([("transaction.version".to_owned(), 1)]);
    admin.update_features(&lowered, false, false).await.unwrap_err();
    admin.update_features(&lowered, true, false).await.unwrap();
    assert_eq!(finalized(&admin).await, levels(0, 21, 1));
}
