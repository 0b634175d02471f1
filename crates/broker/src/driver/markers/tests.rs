//! The sender before brokers that answer as the test says.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the scripted brokers are no part of a world")]

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use strandline_config::BrokerConfig;
use strandline_metadata::Record;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn, WriteBudget};
use strandline_ports::watch;
use strandline_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Uuid};
use strandline_wire::frame::{self, Incoming};
use strandline_wire::messages::api_versions_response::ApiVersion;
use strandline_wire::messages::register_broker_record::BrokerEndpoint;
use strandline_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
};
use strandline_wire::messages::{
    ApiKey, ApiVersionsResponse, Message, PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord,
    TopicRecord, WriteTxnMarkersResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const TOPIC: Uuid = Uuid::from_u128(5);
const T: &str = "t";

/// What each partition is answered with, the last again and again; and who asked whom for what.
#[derive(Default)]
struct Script {
    codes: BTreeMap<i32, Vec<ErrorCode>>,
    /// Broker and partitions, a request each.
    asked: Vec<(i32, Vec<i32>)>,
    markers: Vec<WritableTxnMarker>,
}

type Shared = Arc<Mutex<Script>>;

/// Brokers 1 and 2, and the topic `t` whose partitions 0 and 1 they lead; nobody leads 2.
struct Cluster {
    image: watch::Sender<Arc<Image>>,
    sender: MarkerSender,
    script: Shared,
    offset: i64,
}

impl Cluster {
    async fn start() -> Self {
        let script = Shared::default();
        let (image, images) = watch::channel(Arc::new(Image::default()));
        let world = World {
            clock: Arc::new(RealClock::default()),
            entropy: Arc::new(RealEntropy),
            spawn: Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap()),
            net: Arc::new(RealNet),
            disk: Arc::new(RealDisk::new(WriteBudget::default())),
        };
        let config = BrokerConfig::resolve(None, &[]).unwrap().config;
        let peers = Peers::new(&world, &config, images, "markers");
        let sender = MarkerSender::new(world, peers);
        let mut cluster = Self { image, sender, script, offset: 0 };
        for id in [1, 2] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(serve(id, listener, Arc::clone(&cluster.script)));
            let end_points = vec![BrokerEndpoint {
                name: "PLAINTEXT".into(),
                host: "127.0.0.1".into(),
                port,
                ..Default::default()
            }];
            let fenced = false;
            cluster.decide(RegisterBrokerRecord {
                broker_id: id,
                end_points,
                fenced,
                ..Default::default()
            });
        }
        cluster.decide(TopicRecord { name: T.into(), topic_id: TOPIC, ..Default::default() });
        for (partition, leader) in [(0, 1), (1, 2), (2, -1)] {
            cluster.lead(partition, leader);
        }
        cluster
    }

    fn decide(&mut self, record: impl Into<Record>) {
        let mut image = Image::clone(&self.image.borrow());
        image.apply(record.into(), Offset(self.offset)).unwrap();
        self.offset += 1;
        self.image.send_replace(Arc::new(image));
    }

    fn lead(&mut self, partition_id: i32, leader: i32) {
        self.decide(PartitionRecord {
            partition_id,
            topic_id: TOPIC,
            replicas: vec![1, 2],
            isr: vec![1, 2],
            leader,
            ..Default::default()
        });
    }

    fn answer(&self, partition: i32, codes: &[ErrorCode]) {
        self.script.lock().unwrap().codes.insert(partition, codes.to_vec());
    }

    async fn asked(&self, count: usize) {
        while self.script.lock().unwrap().asked.len() < count {
            tokio::task::yield_now().await;
        }
    }

    /// Writes markers until nobody waits any more; gives what the waiting one was told.
    async fn write(&self, shard: &Told, partitions: &[i32]) -> Vec<i32> {
        self.sender.write(shard, order(7, partitions)).await;
        let mut told = shard.marked.lock().unwrap().clone();
        told.sort_unstable();
        told
    }
}

fn order(producer_id: i64, partitions: &[i32]) -> Markers {
    Markers {
        transactional_id: "tx".into(),
        sending: 1,
        producer_id: ProducerId(producer_id),
        producer_epoch: ProducerEpoch(3),
        is_commit: true,
        coordinator_epoch: LeaderEpoch(4),
        transaction_version: 2,
        topics: vec![(T.into(), partitions.to_vec())],
    }
}

/// In the place of a shard.
#[derive(Default)]
struct Told {
    has_other_worries: AtomicBool,
    marked: Mutex<Vec<i32>>,
}

impl Waiting for Told {
    fn misses(&self, _: &Markers) -> bool {
        !self.has_other_worries.load(Ordering::Relaxed)
    }

    fn marked(&self, event: Event) {
        let Event::Marked { topics, sending: 1, .. } = event else { panic!("{event:?}") };
        let partitions = topics.into_iter().flat_map(|(_, partitions)| partitions);
        self.marked.lock().unwrap().extend(partitions);
    }
}

async fn serve(id: i32, listener: TcpListener, script: Shared) {
    while let Ok((conn, _)) = listener.accept().await {
        tokio::spawn(converse(id, conn, Arc::clone(&script)));
    }
}

/// Returns when the client hangs up.
async fn converse(id: i32, mut conn: TcpStream, script: Shared) -> Option<()> {
    loop {
        let size = conn.read_i32().await.ok()?;
        let mut frame = vec![0; size as usize];
        conn.read_exact(&mut frame).await.ok()?;
        let incoming = Incoming::parse(&Bytes::from(frame)).unwrap();
        let answer = match incoming.api {
            ApiKey::ApiVersions => response(&incoming, &versions()),
            _ => response(&incoming, &written(id, &incoming, &script)),
        };
        conn.write_all(&answer).await.ok()?;
    }
}

fn response(incoming: &Incoming, body: &impl Message) -> Vec<u8> {
    let Incoming { api, version, correlation_id, .. } = incoming;
    let frame = frame::response(*api, *version, *correlation_id, body).unwrap();
    let chunks = frame.chunks.into_iter().map(|chunk| match chunk {
        strandline_wire::Chunk::Bytes(bytes) => bytes.to_vec(),
        strandline_wire::Chunk::External { .. } => unreachable!("no files here"),
    });
    chunks.flatten().collect()
}

fn versions() -> ApiVersionsResponse {
    let served = [ApiKey::ApiVersions, ApiKey::WriteTxnMarkers].map(|api| ApiVersion {
        api_key: api.code(),
        min_version: api.versions().min,
        max_version: api.versions().max,
        ..Default::default()
    });
    ApiVersionsResponse { api_keys: served.to_vec(), ..Default::default() }
}

fn written(id: i32, incoming: &Incoming, script: &Shared) -> WriteTxnMarkersResponse {
    let request: WriteTxnMarkersRequest = incoming.decode().unwrap();
    let mut script = script.lock().unwrap();
    let partitions =
        request.markers.iter().flat_map(|it| &it.topics).flat_map(|it| &it.partition_indexes);
    let asked = (id, partitions.copied().collect());
    script.asked.push(asked);
    script.markers.extend(request.markers.iter().cloned());
    let mut code = |index: i32| match script.codes.get_mut(&index) {
        Some(codes) if codes.len() > 1 => codes.remove(0),
        Some(codes) => codes[0],
        None => ErrorCode::NONE,
    };
    let markers = request.markers.into_iter().map(|marker| {
        let topics = marker.topics.into_iter().map(|topic| WritableTxnMarkerTopicResult {
            name: topic.name,
            partitions: topic
                .partition_indexes
                .into_iter()
                .map(|partition_index| WritableTxnMarkerPartitionResult {
                    partition_index,
                    error_code: code(partition_index),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        WritableTxnMarkerResult {
            producer_id: marker.producer_id,
            topics: topics.collect(),
            ..Default::default()
        }
    });
    WriteTxnMarkersResponse { markers: markers.collect(), ..Default::default() }
}

#[tokio::test]
async fn each_leader_is_told_of_its_partitions() {
    let cluster = Cluster::start().await;
    assert_eq!(cluster.write(&Told::default(), &[0, 1]).await, [0, 1]);
    let mut script = cluster.script.lock().unwrap();
    script.asked.sort();
    assert_eq!(script.asked, [(1, vec![0]), (2, vec![1])]);
    let marker = &script.markers[0];
    let said = (marker.producer_id, marker.producer_epoch, marker.transaction_result);
    assert_eq!(said, (7, 3, true));
    assert_eq!((marker.coordinator_epoch, marker.transaction_version), (4, 2));
}

#[tokio::test]
async fn what_can_still_be_written_is_tried_again() {
    let cluster = Cluster::start().await;
    let again = [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::UNKNOWN_SERVER_ERROR,
        ErrorCode::NONE,
    ];
    cluster.answer(0, &again);
    assert_eq!(cluster.write(&Told::default(), &[0, 1]).await, [0, 1]);
    let script = cluster.script.lock().unwrap();
    let again = script.asked.iter().filter(|asked| **asked == (1, vec![0])).count();
    assert_eq!((again, script.asked.len()), (5, 6), "what is written is not written again");
}

#[tokio::test]
async fn leaders_are_followed_and_topics_that_go_are_done() {
    let mut cluster = Cluster::start().await;
    cluster.answer(0, &[ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::NONE]);
    let shard = Arc::new(Told::default());
    let sender = cluster.sender.clone();
    let writing = tokio::spawn({
        let shard = Arc::clone(&shard);
        async move { sender.write(&*shard, order(7, &[0, 2])).await }
    });
    cluster.asked(1).await;
    cluster.lead(0, 2);
    while cluster.script.lock().unwrap().asked.last() != Some(&(2, vec![0])) {
        tokio::task::yield_now().await;
    }
    // Nobody leads the other one, which is waited for until it is gone.
    assert!(!writing.is_finished());
    cluster.decide(RemoveTopicRecord { topic_id: TOPIC, ..Default::default() });
    writing.await.unwrap();
    let mut told = shard.marked.lock().unwrap().clone();
    told.sort_unstable();
    assert_eq!(told, [0, 2]);
}

#[tokio::test]
async fn a_producer_that_is_further_has_ended_this_transaction() {
    let cluster = Cluster::start().await;
    cluster.answer(0, &[ErrorCode::INVALID_PRODUCER_EPOCH]);
    assert_eq!(cluster.write(&Told::default(), &[0]).await, [0]);
}

#[tokio::test]
async fn another_coordinator_ends_it() {
    let cluster = Cluster::start().await;
    cluster.answer(1, &[ErrorCode::TRANSACTION_COORDINATOR_FENCED]);
    assert_eq!(cluster.write(&Told::default(), &[1]).await, [0; 0]);
}

#[tokio::test]
async fn nobody_waits_any_more() {
    let cluster = Cluster::start().await;
    cluster.answer(0, &[ErrorCode::NOT_ENOUGH_REPLICAS]);
    let shard = Arc::new(Told::default());
    let sender = cluster.sender.clone();
    let writing = tokio::spawn({
        let shard = Arc::clone(&shard);
        async move { sender.write(&*shard, order(7, &[0])).await }
    });
    cluster.asked(2).await;
    shard.has_other_worries.store(true, Ordering::Relaxed);
    writing.await.unwrap();
}

/// Answers name producers, not transactions.
#[test]
fn a_request_has_one_marker_of_each_producer() {
    let queued = |producer_id| {
        let (said, _) = oneshot::channel();
        let marker = marker(&order(producer_id, &[0]), Topics::new());
        Queued { marker, said }
    };
    let mut queue: Vec<Queued> = [1, 2, 1, 3, 2].into_iter().map(queued).collect();
    let mut next = || {
        let batch = next_batch(&mut queue).into_iter();
        batch.map(|queued| queued.marker.producer_id).collect::<Vec<_>>()
    };
    assert_eq!(next(), [1, 2, 3]);
    assert_eq!(next(), [1, 2]);
    assert_eq!(next(), [0; 0]);
}
