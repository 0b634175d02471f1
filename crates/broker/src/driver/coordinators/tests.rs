//! A shard on a real log: while it loads, when its log fails, and when it is led elsewhere.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use strandline_config::BrokerConfig;
use strandline_coordinator::groups::{
    GroupListing, Marker, OffsetFetchGroup, Request, Response, TopicOffsets,
};
use strandline_log::LogConfig;
use strandline_metadata::Record;
use strandline_ports::real::{RealClock, RealEntropy, RealNet};
use strandline_ports::{Clock, Spawn};
use strandline_replica::{Followership, Leadership};
use strandline_types::{
    NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, TopicPartition, Uuid,
};
use strandline_wire::messages::join_group_request::JoinGroupRequestProtocol;
use strandline_wire::messages::list_groups_response::ListedGroup;
use strandline_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use strandline_wire::messages::{
    JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, OffsetCommitResponse,
    PartitionRecord, TopicRecord,
};

use super::*;
use crate::driver::groups::Groups;
use crate::driver::partition::Partition;
use crate::driver::testing::Node;
use crate::internal_topics::CONSUMER_OFFSETS;
use crate::partitions::Held;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Holds tasks back until the test lets them go.
struct Gate {
    /// `None` once it is open.
    held: Mutex<Option<Vec<Task>>>,
    runtime: tokio::runtime::Handle,
}

impl Spawn for Gate {
    fn spawn(&self, _: Lane, task: Task) {
        match &mut *self.held.lock().unwrap() {
            Some(held) => held.push(task),
            None => drop(self.runtime.spawn(task)),
        }
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

impl Gate {
    /// Runs what was held back; from now on nothing is.
    async fn open(&self) {
        let held = self.held.lock().unwrap().take();
        for task in held.into_iter().flatten() {
            task.await;
        }
    }
}

const GROUP: &str = "readers";

struct Coordinated {
    node: Node,
    partition: Arc<Partition>,
    groups: Groups,
    gate: Arc<Gate>,
    image: Image,
}

fn id() -> TopicIdPartition {
    TopicIdPartition { topic_id: Uuid::from_u128(77), partition: PartitionId(0) }
}

/// `__consumer_offsets` with one partition, which the test's partition leads in epoch 0.
fn image_led_by(leader: i32) -> Image {
    image_led_in(leader, leader - 1)
}

fn image_led_in(leader: i32, leader_epoch: i32) -> Image {
    let mut image = Image::default();
    let topic_id = id().topic_id;
    let topic = TopicRecord { name: CONSUMER_OFFSETS.into(), topic_id, ..Default::default() };
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id,
        replicas: vec![1, 2],
        isr: vec![1, 2],
        leader,
        leader_epoch,
        partition_epoch: leader_epoch,
        ..Default::default()
    };
    image.apply(Record::from(topic), Offset(0)).unwrap();
    image.apply(Record::from(partition), Offset(1)).unwrap();
    image
}

impl Coordinated {
    /// The shard is still loading.
    async fn begin(dir: &Path) -> Self {
        let node = Node::open(dir, LogConfig::default()).await;
        let name = TopicPartition { topic: CONSUMER_OFFSETS.into(), partition: PartitionId(0) };
        let partition = node.create_partition(name, id()).await;
        let partitions = Partitions::default();
        let config = Arc::default();
        partitions.insert(Held { partition: Arc::clone(&partition), config });
        let runtime = tokio::runtime::Handle::current();
        let gate = Arc::new(Gate { held: Mutex::new(Some(Vec::new())), runtime });
        let world = World {
            clock: Arc::new(RealClock::default()),
            entropy: Arc::new(RealEntropy),
            spawn: gate.clone(),
            net: Arc::new(RealNet),
            disk: Arc::clone(&node.dir.io().disk),
        };
        let config = BrokerConfig::resolve(None, &[]).unwrap().config;
        let image = image_led_by(1);
        let (_, images) = watch::channel(Arc::new(image.clone()));
        let groups = Groups::of(&world, &config, partitions, images);
        groups.apply(&Image::default(), &image, &mut BTreeMap::new());
        Self { node, partition, groups, gate, image }
    }

    async fn loaded(dir: &Path) -> Self {
        let it = Self::begin(dir).await;
        it.gate.open().await;
        it
    }

    async fn ask<R: TryFrom<Response, Error = Response>>(
        &self,
        request: Request,
    ) -> Result<R, ErrorCode> {
        let caller =
            Caller { client_id: "test".into(), client_host: "/127.0.0.1".into(), version: 3 };
        self.groups.ask(GROUP, caller, request).await
    }

    async fn end_transaction(&self) -> Result<(), ErrorCode> {
        let marker = Marker {
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(0),
            coordinator_epoch: 0,
            is_commit: true,
            bumps_epoch: false,
        };
        let caller = Caller { client_id: String::new(), client_host: String::new(), version: 1 };
        self.groups.end_transaction(id(), caller, marker).await
    }

    async fn commit(&self, offset: i64) -> Result<ErrorCode, ErrorCode> {
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            committed_metadata: Some(String::new()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: "orders".into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let answer: OffsetCommitResponse = self.ask(Request::OffsetCommit(request)).await?;
        Ok(answer.topics[0].partitions[0].error_code)
    }

    async fn committed(&self) -> Result<Option<i64>, ErrorCode> {
        let group = OffsetFetchGroup { group_id: GROUP.into(), ..Default::default() };
        let found: Vec<TopicOffsets> = self.ask(Request::OffsetFetch(group)).await?;
        let offset = found.first().and_then(|topic| topic.partitions[0].1.as_ref());
        Ok(offset.map(|offset| offset.offset.get()))
    }
}

impl Coordinated {
    /// Once it has loaded its log again.
    async fn committed_again(&self) -> Result<Option<i64>, ErrorCode> {
        loop {
            match self.committed().await {
                Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) => tokio::task::yield_now().await,
                told => return told,
            }
        }
    }
}

fn join() -> Request {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    Request::JoinGroup(JoinGroupRequest {
        group_id: "newcomers".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    })
}

/// Polls once, which parks what cannot be answered yet.
fn is_parked<T>(asked: Pin<&mut impl Future<Output = T>>) -> bool {
    matches!(asked.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_while_the_log_is_read_is_told_to_come_back() {
    let home = tempfile::tempdir().unwrap();
    let it = Coordinated::begin(home.path()).await;
    assert_eq!(it.commit(5).await, Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    let listing = GroupListing::default();
    let caller = Caller { client_id: String::new(), client_host: String::new(), version: 5 };
    let ask = || Request::ListGroups(listing.clone());
    let listed = it.groups.ask_all::<Vec<ListedGroup>>(&caller, ask).await;
    assert_eq!(listed, Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS), "half a list is none");
    it.gate.open().await;
    assert_eq!(it.commit(5).await, Ok(ErrorCode::NONE));
    assert_eq!(it.committed().await, Ok(Some(5)));
}

/// A coordinator of transactions that is Kafka's knows the words of a partition's leader alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_ends_a_transaction_is_told_to_come_back_as_by_the_leader_of_a_partition() {
    let home = tempfile::tempdir().unwrap();
    let it = Coordinated::begin(home.path()).await;
    assert_eq!(it.end_transaction().await, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER), "it loads");
    it.gate.open().await;
    assert_eq!(it.end_transaction().await, Ok(()));
    it.node.is_full.store(true, Ordering::Relaxed);
    assert_eq!(it.end_transaction().await, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER), "not written");
    it.groups.apply(&it.image, &image_led_by(2), &mut BTreeMap::new());
    assert_eq!(it.end_transaction().await, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER), "not here");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_was_never_decided() {
    let home = tempfile::tempdir().unwrap();
    let it = Coordinated::loaded(home.path()).await;
    assert_eq!(it.commit(5).await, Ok(ErrorCode::NONE));

    let mut joining = pin!(it.ask::<JoinGroupResponse>(join()));
    assert!(is_parked(joining.as_mut()));
    it.node.is_full.store(true, Ordering::Relaxed);
    assert_eq!(it.commit(7).await, Err(ErrorCode::NOT_COORDINATOR));
    assert_eq!(
        joining.await.err(),
        Some(ErrorCode::NOT_COORDINATOR),
        "what its group was is forgotten"
    );
    assert_eq!(it.committed_again().await, Ok(Some(5)), "a full disk can still be read");

    it.node.is_full.store(false, Ordering::Relaxed);
    it.node.dir.resume_if_room().await.unwrap();
    it.partition.resume();
    while it.commit(8).await != Ok(ErrorCode::NONE) {
        // Resuming takes its time, and what is refused until then may be tried again.
        tokio::task::yield_now().await;
    }
    assert_eq!(it.committed().await, Ok(Some(8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_log_coordinates_nothing_any_more() {
    let home = tempfile::tempdir().unwrap();
    let it = Coordinated::loaded(home.path()).await;
    it.node.is_broken.store(true, Ordering::Relaxed);
    assert_eq!(it.commit(7).await, Err(ErrorCode::NOT_COORDINATOR));
    while !it.partition.view().is_offline {
        tokio::task::yield_now().await;
    }
    while it.commit(7).await != Err(ErrorCode::NOT_COORDINATOR) {
        tokio::task::yield_now().await;
    }
    assert_eq!(it.committed_again().await, Err(ErrorCode::NOT_COORDINATOR));
    assert_eq!(it.commit(7).await, Err(ErrorCode::NOT_COORDINATOR), "for good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_comes_to_lead_a_little_later_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let it = Coordinated::loaded(home.path()).await;
    assert_eq!(it.commit(5).await, Ok(ErrorCode::NONE));
    let following = Followership {
        leader: NodeId(2),
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 1,
        is_in_sync: true,
    };
    it.partition.become_follower(following, None);
    let led_again = image_led_in(1, 2);
    it.groups.apply(&it.image, &led_again, &mut BTreeMap::new());
    assert_eq!(it.commit(6).await, Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    it.partition.become_leader(Leadership {
        leader_epoch: LeaderEpoch(2),
        partition_epoch: 2,
        replicas: vec![NodeId(1)],
        in_sync: vec![NodeId(1)],
    });
    assert_eq!(it.committed_again().await, Ok(Some(5)));
    assert_eq!(it.commit(7).await, Ok(ErrorCode::NONE));

    // Whoever is overtaken by another election waits no longer.
    it.partition.become_follower(
        Followership { leader_epoch: LeaderEpoch(3), partition_epoch: 3, ..following },
        None,
    );
    it.groups.apply(&led_again, &image_led_in(1, 4), &mut BTreeMap::new());
    assert_eq!(it.commit(8).await, Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    it.partition.become_follower(
        Followership { leader_epoch: LeaderEpoch(5), partition_epoch: 5, ..following },
        None,
    );
    assert_eq!(it.committed_again().await, Err(ErrorCode::NOT_COORDINATOR));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_being_written_is_loaded_too() {
    let home = tempfile::tempdir().unwrap();
    let it = Coordinated::loaded(home.path()).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    *it.node.late.lock().unwrap() = Some(tell);
    let mut committing = pin!(it.commit(5));
    assert!(is_parked(committing.as_mut()));
    let writing = told.await.unwrap();

    it.partition.become_leader(Leadership {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 1,
        replicas: vec![NodeId(1)],
        in_sync: vec![NodeId(1)],
    });
    it.groups.apply(&it.image, &image_led_in(1, 1), &mut BTreeMap::new());
    let clock: Arc<dyn Clock> = Arc::new(RealClock::default());
    for _ in 0..20 {
        assert_eq!(it.committed().await, Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
        clock.sleep(Duration::from_millis(1)).await;
    }
    writing.complete(Ok(()));
    assert_eq!(it.committed_again().await, Ok(Some(5)));
    assert_eq!(committing.await, Ok(ErrorCode::NONE));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_when_another_broker_takes_over_looks_for_it() {
    let home = tempfile::tempdir().unwrap();
    let it = Coordinated::loaded(home.path()).await;
    let mut joining = pin!(it.ask::<JoinGroupResponse>(join()));
    assert!(is_parked(joining.as_mut()));
    it.groups.apply(&it.image, &image_led_by(2), &mut BTreeMap::new());
    assert_eq!(joining.await.err(), Some(ErrorCode::NOT_COORDINATOR));
    assert_eq!(it.commit(5).await, Err(ErrorCode::NOT_COORDINATOR));
    assert!(it.groups.alarms().is_empty(), "nobody is watched any more");
}
