//! Three brokers as real processes on a network that fails, with a disk that fills up and processes
//! that stand still: nothing that was acknowledged is lost, nothing is there twice, and the order stays.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use node::small_disk::SmallDisk;
use rustix::process::Signal;
use strandline_client::admin::Admin;
use tokio::task::JoinHandle;
use trio::readers::Readers;
use trio::wires::Wires;
use trio::{Acked, Cluster, Ports, all_in_sync, check, create_topic, not_all_in_sync, produce};

/// A cluster behind wires, under load.
struct Scene {
    wires: Wires,
    cluster: Cluster,
    admin: Admin,
    acked: Arc<Acked>,
    producing: JoinHandle<()>,
    readers: Readers,
}

impl Scene {
    /// The third node keeps its data on `disk`, if there is one.
    async fn begin(home: &tempfile::TempDir, disk: Option<&SmallDisk>) -> Self {
        let bound = Ports::free();
        let wires = Wires::to(bound).await;
        let (told, path) = (wires.ports, home.path().to_owned());
        let data = disk.map(|disk| disk.0.join("data").to_str().unwrap().to_owned());
        let starting = tokio::task::spawn_blocking(move || {
            Cluster::start_behind(&path, bound, told, |index, start| {
                // A follower that nobody hears must not hold up who waits for it for long.
                let start = start.set("replica.lag.time.max.ms", "5000");
                match &data {
                    Some(data) if index == 2 => start.set("log.dirs", data),
                    _ => start,
                }
            })
        });
        let cluster = starting.await.unwrap();
        let admin = Admin::new(cluster.client());
        create_topic(&admin).await;
        let acked = Arc::new(Acked::default());
        let producing = produce(cluster.client(), Arc::clone(&acked));
        let readers = Readers::begin(&cluster);
        acked.progress().await;
        Self { wires, cluster, admin, acked, producing, readers }
    }

    /// As far as `node` knows, some replica is not in sync any more.
    async fn is_missed(&self, node: usize) {
        not_all_in_sync(&Admin::new(self.cluster.client_of(node))).await;
    }

    /// Writers and readers go on, whatever is the matter.
    async fn progress(&self) {
        self.acked.progress().await;
        self.readers.catch_up(&self.acked).await;
    }

    /// All is well again, in time.
    async fn recover(&self) {
        self.wires.heal();
        all_in_sync(&self.admin).await;
        self.acked.progress().await;
    }

    async fn end(self) {
        self.acked.is_over.store(true, Ordering::Relaxed);
        self.producing.await.unwrap();
        self.readers.end(&self.admin).await;
        check(self.cluster.client(), &self.acked).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_fails_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let scene = Scene::begin(&home, None).await;
    // Whoever leads is among them: of partitions, and of the quorum.
    for node in 0..3 {
        scene.wires.cut_off(node);
        scene.is_missed((node + 1) % 3).await;
        scene.progress().await;
        scene.recover().await;
    }
    // One way: the other hears it, and gets no answer.
    for (from, to) in [(0, 1), (2, 0)] {
        scene.wires.cut(from, to);
        scene.is_missed(3 - from - to).await;
        scene.progress().await;
        scene.recover().await;
    }
    scene.wires.delay(Duration::from_millis(50));
    scene.progress().await;
    scene.recover().await;
    for _ in 0..5 {
        scene.wires.reset();
        scene.progress().await;
    }
    scene.recover().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_stand_still_and_a_full_disk_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(home.path(), 64);
    let scene = Scene::begin(&home, disk.as_ref()).await;
    for node in 0..3 {
        scene.cluster.node(node).signal(Signal::STOP);
        scene.progress().await;
        scene.cluster.node(node).signal(Signal::CONT);
        scene.recover().await;
    }
    if let Some(disk) = &disk {
        let rest = disk.fill();
        scene.progress().await;
        std::fs::remove_file(rest).unwrap();
        scene.recover().await;
    }
    scene.end().await;
}
