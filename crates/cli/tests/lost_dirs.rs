//! A log directory of one of three brokers fails under load: its partitions are led by others, the
//! node goes on with the directory that is left, and nothing is lost or there twice.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use strandline_client::Topic;
use strandline_client::admin::Admin;
use strandline_types::NodeId;
use trio::{
    Acked, Cluster, TOPIC, all_in_sync, check, create_topic, not_all_in_sync, patiently, produce,
};

const NODE: NodeId = NodeId(2);

async fn described(admin: &Admin) -> Arc<Topic> {
    let described = admin.describe_topics(&[TOPIC.to_owned()]).await.unwrap();
    described.into_iter().next().unwrap().1.unwrap()
}

fn partitions_in(log_dir: &Path) -> BTreeSet<i32> {
    let entries = fs::read_dir(log_dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let prefix = format!("{TOPIC}-");
    names.filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect()
}

/// Waits until the others know where the node has its part, and where not.
async fn until_in_sync_without(admin: &Admin, lost: &BTreeSet<i32>) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let topic = described(admin).await;
        let is_so = topic.partitions.iter().all(|it| {
            let is_lost = lost.contains(&it.index.get());
            it.isr.contains(&NODE) != is_lost
                && it.offline_replicas.contains(&NODE) == is_lost
                && it.leader.is_some_and(|leader| !is_lost || leader != NODE)
        });
        if is_so {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "lost {lost:?}: {topic:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_without_a_directory() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start_with(home.path(), |_, start| {
        // Whatever has no place for its next segment is noticed soon.
        start.set("log.dirs", "data,more").set("log.roll.ms", "300")
    });
    let admin = Admin::new(cluster.client());
    create_topic(&admin).await;
    let acked = Arc::new(Acked::default());
    let producing = produce(cluster.client(), Arc::clone(&acked));
    acked.progress().await;
    all_in_sync(&admin).await;

    let more = home.path().join("node2/more");
    let away = home.path().join("node2/away");
    let lost = partitions_in(&more);
    let led = described(&admin).await;
    let led = led.partitions.iter().filter(|it| it.leader == Some(NODE));
    let led_there = led.filter(|it| lost.contains(&it.index.get())).count();
    assert!(led_there > 0 && lost.len() < 6, "it leads some there, and has others elsewhere");

    fs::rename(&more, &away).unwrap();
    fs::write(&more, "in the way").unwrap();
    not_all_in_sync(&admin).await;
    acked.progress().await;
    until_in_sync_without(&admin, &lost).await;
    assert!(cluster.nodes[1].as_mut().unwrap().is_alive());
    // It starts anew without it, too.
    cluster.take(1).kill();
    acked.progress().await;
    cluster.restart(1);
    until_in_sync_without(&admin, &lost).await;
    acked.progress().await;

    fs::remove_file(&more).unwrap();
    fs::rename(&away, &more).unwrap();
    let ended = cluster.take(1).stop();
    assert!(ended.status.success(), "{ended:?}");
    cluster.restart(1);
    all_in_sync(&admin).await;
    acked.progress().await;
    patiently("what it holds is where it was", || partitions_in(&more) == lost).await;
    acked.is_over.store(true, Ordering::Relaxed);
    producing.await.unwrap();
    check(cluster.client(), &acked).await;
}
