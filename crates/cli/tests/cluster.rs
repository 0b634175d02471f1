//! Three brokers as real processes: any one of them may be killed or stopped, and nothing that was
//! acknowledged is lost, nothing is there twice, and the order stays.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use local::{free_addresses, metric};
use node::eventually;
use rustix::process::{Pid, Signal, kill_process};
use strandline_client::admin::{Admin, NewTopic};
use trio::readers::Readers;
use trio::{
    Acked, Cluster, Ports, all_have_ends, all_in_sync, check, create_topic, patiently, produce,
};

#[tokio::test(flavor = "multi_thread")]
async fn any_broker_may_be_killed_or_stopped() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let admin = Admin::new(cluster.client());
    create_topic(&admin).await;
    let acked = Arc::new(Acked::default());
    let producing = produce(cluster.client(), Arc::clone(&acked));
    let readers = Readers::begin(&cluster);
    acked.progress().await;
    for index in 0..3 {
        cluster.take(index).kill();
        // Whoever asks now is sent to the dead leader first, and then to the next one.
        all_have_ends(&admin).await;
        acked.progress().await;
        readers.catch_up(&acked).await;
        cluster.restart(index);
        all_in_sync(&admin).await;
        acked.progress().await;
    }
    for index in 0..3 {
        let ended = cluster.take(index).stop();
        assert!(ended.status.success(), "{ended:?}");
        acked.progress().await;
        readers.catch_up(&acked).await;
        cluster.restart(index);
        all_in_sync(&admin).await;
    }
    acked.is_over.store(true, Ordering::Relaxed);
    producing.await.unwrap();
    readers.end(&admin).await;
    check(cluster.client(), &acked).await;
}

/// A follower's fetch costs what has changed, not what it follows.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_change_is_hardly_ever_read() {
    const PARTITIONS: i32 = 60;
    let home = tempfile::tempdir().unwrap();
    let metrics: [SocketAddr; 3] = free_addresses();
    let cluster = Cluster::start_with(home.path(), |index, start| {
        start.set("strandline.metrics.listener", &metrics[index].to_string())
    });
    let admin = Admin::new(cluster.client());
    admin.create_topics(&[NewTopic::new("quiet", PARTITIONS, 3)], false).await.unwrap();
    let total = |name: &str| metrics.iter().map(|at| metric(*at, name)).sum::<u64>();
    let fetches = || total("kafka_network_requestmetrics_localtimems_count{request=\"Fetch\"}");
    let reads = || total("kafka_server_brokertopicmetrics_totalfetchrequests_total");
    // Every follower is told what it follows, and asks for all of it once more.
    let all = PARTITIONS as u64 * 2;
    eventually("everything is followed", || reads() >= 2 * all);
    let (fetches_before, reads_before) = (fetches(), reads());
    eventually("followers go on", || fetches() >= fetches_before + 60);
    let read = reads() - reads_before;
    assert!(read < 3 * all, "60 fetches of 20 partitions each have read {read}");
}

/// The cluster id in a node's `meta.properties`.
fn cluster_id(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("meta.properties")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("cluster.id=")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_data_learns_the_cluster_and_votes_only_when_it_has_caught_up() {
    let home = tempfile::tempdir().unwrap();
    let dir = |index: usize, name| home.path().join(format!("node{}/{name}", index + 1));
    let data = |index: usize| dir(index, "data");
    let ports = Ports::free();
    let mut cluster = Cluster::start_behind(home.path(), ports, ports, |_, start| {
        start.set("metadata.log.dir", "metadata")
    });
    let founded = cluster_id(&data(0));
    let forgotten = |index: usize| dir(index, "metadata").join(".strandline-forgotten");
    for index in 0..3 {
        assert_eq!(cluster_id(&data(index)), founded);
        assert!(!forgotten(index).exists(), "node {} is a founder", index + 1);
    }
    let admin = Admin::new(cluster.client());
    create_topic(&admin).await;
    let acked = Arc::new(Acked::default());
    let producing = produce(cluster.client(), Arc::clone(&acked));
    acked.progress().await;

    // Of one node everything is lost, of the other no more than the metadata log.
    for (lost, names) in [(1, &["data", "metadata"][..]), (2, &["metadata"])] {
        cluster.take(lost).kill();
        for name in names {
            std::fs::remove_dir_all(dir(lost, name)).unwrap();
        }
        cluster.restart(lost);
        assert_eq!(cluster_id(&data(lost)), founded);
        let log = cluster.node(lost).log();
        assert!(log.contains("it does not vote before it has caught up"), "{log}");
        patiently("the replaced node may vote again", || !forgotten(lost).exists()).await;
        all_in_sync(&admin).await;
        acked.progress().await;
    }
    acked.is_over.store(true, Ordering::Relaxed);
    producing.await.unwrap();
    check(cluster.client(), &acked).await;
}

/// A node whose others are not there waits for them, and still does as it is told.
#[test]
fn who_waits_for_others_can_be_stopped() {
    let home = tempfile::tempdir().unwrap();
    let [controller] = free_addresses();
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
