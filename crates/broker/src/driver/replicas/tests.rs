//! What becomes of what lies in the directories, or should.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering::Relaxed;

use strandline_config::BrokerConfig;
use strandline_metadata::Record;
use strandline_ports::real::{RealClock, RealEntropy, RealNet, RealSpawn};
use strandline_ports::watch;
use strandline_types::{BrokerEpoch, Offset};
use strandline_wire::messages::{PartitionRecord, TopicRecord};

use super::*;
use crate::dirs::Dir;
use crate::driver::testing::Node;

#[test]
fn a_copy_in_the_making_is_of_one_partition() {
    let named = |name: &str| {
        let kind = PartitionDir::parse(name).unwrap();
        let found = FoundPartition { name: name.to_owned(), kind, remembered: None };
        (name.to_owned(), vec![(DirIndex::at(0), found)])
    };
    let found = Found::from([
        named("orders-0.0123456789abcdef0123456789abcdef-future"),
        named("orders-1.eu-0.0123456789abcdef0123456789abcdef-future"),
    ]);
    let was_being_moved = |topic: &str, partition| {
        let topic = topic.to_owned();
        was_being_moved(&found, &TopicPartition { topic, partition: PartitionId(partition) })
    };
    assert!(was_being_moved("orders", 0) && was_being_moved("orders-1.eu", 0));
    assert!(!was_being_moved("orders", 1), "its topic's name only begins like the other's");
}

fn id() -> TopicIdPartition {
    TopicIdPartition { topic_id: Uuid::from_u128(7), partition: PartitionId(0) }
}

/// A topic with one partition, which lies on one broker.
fn image_on(broker: i32, epoch: i32) -> Image {
    let topic_id = id().topic_id;
    let topic = TopicRecord { name: "orders".into(), topic_id, ..Default::default() };
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id,
        replicas: vec![broker],
        isr: vec![broker],
        leader: broker,
        leader_epoch: epoch,
        partition_epoch: epoch,
        ..Default::default()
    };
    let mut image = Image::default();
    image.apply(Record::from(topic), Offset(0)).unwrap();
    image.apply(Record::from(partition), Offset(1)).unwrap();
    image
}

/// Opened twice, one would put aside what the other has just begun.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_before_there_is_room_is_opened_once() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), LogConfig::default()).await;
    let config = BrokerConfig::resolve(None, &[]).unwrap().config;
    let world = World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap()),
        net: Arc::new(RealNet),
        disk: Arc::clone(&node.dir.io().disk),
    };
    let dirs = Arc::new(Dirs::new(vec![Dir::new(Some(Uuid::from_u128(1)), node.dir)], 1));
    let partitions = Partitions::default();
    let (_epoch, broker_epoch) = watch::channel(BrokerEpoch(1));
    let fetchers = Fetchers::new(world.clone(), &config, broker_epoch);
    let (assignments, _told) = mpsc::unbounded_channel();
    let mut replicas = Replicas::new(
        world,
        Arc::clone(&dirs),
        partitions.clone(),
        node.context,
        ReplicaSettings::of(&config),
        FoundOnDisk::default(),
        (assignments, fetchers, Moves::default()),
    );
    node.is_full.store(true, Relaxed);
    for (broker, epoch) in [(1, 0), (2, 1), (1, 2)] {
        replicas.apply(&image_on(broker, epoch)).await;
        assert_eq!(partitions.is_offline(id()), broker == 1);
    }
    node.is_full.store(false, Relaxed);
    assert!(replicas.open_waiting().await);
    assert!(partitions.get(id()).is_some());
    assert!(dirs.get(DirIndex::at(0)).is_usable());
    let names = std::fs::read_dir(home.path()).unwrap().map(|it| it.unwrap().file_name());
    let strays = names.filter(|name| name.to_string_lossy().ends_with("-stray")).count();
    assert_eq!(strays, 2, "of the two tries that found no room");
    assert!(!replicas.open_waiting().await, "nobody waits any more");
}
