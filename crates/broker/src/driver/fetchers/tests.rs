//! Nodes that replicate over real connections, with their API handlers, but told by the test what
//! the metadata are. A fetch may be parked for half a minute, and no test is given so long: whoever
//! has to wait for a long poll to end fails.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strandline_client::{CallError, Connection, ConnectionConfig};
use strandline_config::ThrottleSettings;
use strandline_log::Origin;
use strandline_metadata::{Image, Record};
use strandline_ports::real::{RealClock, RealEntropy, RealNet, RealSpawn};
use strandline_ports::{Clock, timeout};
use strandline_quorum::{Config as QuorumConfig, Endpoint as QuorumEndpoint, ReplicaKey, VoterSet};
use strandline_replica::{NextFetch, RequiredAcks, View};
use strandline_store::{Checkpoint, DirIdentity, Io, LogDir, LogDirOptions, OpenFiles, TailCache};
use strandline_types::{ErrorCode, Offset, PartitionId, ProducerEpoch, ProducerId, Uuid};
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use strandline_wire::messages::fetch_response::PartitionData;
use strandline_wire::messages::{
    ConfigRecord, FetchRequest, FetchResponse, PartitionChangeRecord, PartitionRecord,
    RegisterBrokerRecord, TopicRecord, register_broker_record::BrokerEndpoint,
};
use strandline_wire::records::{
    BatchBuilder, BatchOptions, InspectLimits, NewRecord, ProducerFields, Records as BatchRecords,
    batches, inspect,
};
use tokio::sync::mpsc;

use super::*;
use crate::api::fetch::FetchSessions;
use crate::cx::ListenerRole;
use crate::dirs::{Dir, Dirs};
use crate::driver::controller::ControllerHandle;
use crate::driver::coordinators::Place;
use crate::driver::groups::Groups;
use crate::driver::moves::Moves;
use crate::driver::partition::{IsrProposal, PartitionContext};
use crate::driver::peers::Peers;
use crate::driver::quorum::{self, MetadataLogOptions, QuorumOptions};
use crate::driver::replicas::{FoundOnDisk, ReplicaSettings, Replicas};
use crate::driver::testing::FailingDisk;
use crate::driver::throttles::Throttles;
use crate::driver::transactions::Transactions;
use crate::driver::upkeep::Upkeep;
use crate::driver::verifier::Verifier;
use crate::features;
use crate::format::{FirstLevels, format_dir};
use crate::handles::{Handles, Identity};
use crate::listener::{Acceptor, Reception};
use crate::metrics::Metrics;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::session::{ConnectionLimits, Connections, RequestMemory};

const TOPIC: Uuid = Uuid::from_u128(77);

struct TestNode {
    id: i32,
    world: World,
    handles: Arc<Handles>,
    address: SocketAddr,
    replicas: Replicas,
    applied: watch::Sender<Arc<Image>>,
    partitions: Partitions,
    dirs: Arc<Dirs>,
    connections: Connections,
    proposed: mpsc::UnboundedReceiver<IsrProposal>,
    is_full: Arc<AtomicBool>,
}

/// The nodes and what the metadata say.
struct Cluster {
    nodes: Vec<TestNode>,
    image: Image,
    records: i64,
    _home: tempfile::TempDir,
}

impl TestNode {
    async fn start(home: &Path, id: i32) -> Self {
        let disk = FailingDisk::default();
        let is_full = Arc::clone(&disk.is_full);
        let world = World {
            clock: Arc::new(RealClock::default()),
            entropy: Arc::new(RealEntropy),
            spawn: Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap()),
            net: Arc::new(RealNet),
            disk: Arc::new(disk),
        };
        let path = home.join(id.to_string());
        let set = [
            ("node.id", id.to_string()),
            ("log.dirs", path.to_str().unwrap().to_owned()),
            ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".to_owned()),
            ("replica.fetch.wait.max.ms", "30000".to_owned()),
            ("replication.quota.window.num", "2".to_owned()),
            (
                "replica.selector.class",
                "org.apache.kafka.common.replica.RackAwareReplicaSelector".to_owned(),
            ),
        ];
        let set: Vec<_> = set.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let config = Arc::new(BrokerConfig::resolve(None, &set).unwrap().config);
        let io = Io { disk: Arc::clone(&world.disk), spawn: Arc::clone(&world.spawn) };
        let options = LogDirOptions {
            open_files: Arc::new(OpenFiles::new(100)),
            tail_cache: Arc::new(TailCache::new(64 * 1024)),
        };
        let log_dir = LogDir::open(io.clone(), &path, options.clone()).await.unwrap();
        let dirs = Arc::new(Dirs::new(vec![Dir::new(Some(Uuid::from_u128(9)), log_dir)], 1));
        let partitions = Partitions::default();
        let metrics = Arc::new(Metrics::new(["PLAINTEXT"].into_iter()));
        let (isr_proposals, proposed) = mpsc::unbounded_channel();
        let (checkpoints, checkpoints_wanted) = mpsc::unbounded_channel();
        let context = PartitionContext {
            node: NodeId(id),
            clock: Arc::clone(&world.clock),
            spawn: Arc::clone(&world.spawn),
            isr_proposals,
            checkpoints,
            metrics: Arc::clone(&metrics),
            throttles: Throttles::new(&config.replication),
        };
        let upkeep = Upkeep {
            world: world.clone(),
            dirs: Arc::clone(&dirs),
            partitions: partitions.clone(),
            settings: config.log.clone(),
            producers: config.producers.clone(),
            replica_lag_time_max: Duration::from_secs(30),
            room: Arc::default(),
        };
        upkeep.start(checkpoints_wanted);
        let broker_epoch = watch::channel(BrokerEpoch(epoch_of(id))).1;
        let mut replicas = Replicas::new(
            world.clone(),
            Arc::clone(&dirs),
            partitions.clone(),
            Arc::new(context),
            ReplicaSettings::of(&config),
            FoundOnDisk::default(),
            (
                mpsc::unbounded_channel().0,
                Fetchers::new(world.clone(), &config, broker_epoch.clone()),
                Moves::default(),
            ),
        );
        replicas.begin_to_follow();
        let (applied, image) = watch::channel(Arc::new(Image::default()));
        let quorum = start_quorum(&world, io, options, &path.join("metadata"), id).await;
        let controller = ControllerHandle::answered_by_test(world.clone()).0;
        let ids = Arc::new(ProducerIds::new(NodeId(id), broker_epoch));
        let place = Place::new(&world, NodeId(id), &partitions, &image);
        let transactions = Transactions::of(place, &config, Arc::clone(&ids), controller.clone());
        let peers = Peers::new(&world, &config, image.clone(), "verifier");
        let handles = Handles {
            clock: Arc::clone(&world.clock),
            entropy: Arc::clone(&world.entropy),
            spawn: Arc::clone(&world.spawn),
            config: Arc::clone(&config),
            identity: Identity {
                node_id: NodeId(id),
                cluster_id: "test".into(),
                incarnation_id: Uuid::from_u128(id as u128),
            },
            controller,
            quorum,
            dirs: Arc::clone(&dirs),
            partitions: partitions.clone(),
            moves: Moves::default(),
            fetch_sessions: FetchSessions::new(10, Arc::clone(&world.entropy)),
            producer_ids: ids,
            transactions,
            groups: Groups::of(&world, &config, partitions.clone(), image.clone()),
            verifier: Verifier::new(peers, Arc::clone(&world.clock), &config.producers),
            metrics: Arc::clone(&metrics),
            image,
        };
        let mut node = Self {
            id,
            world,
            connections: Connections::new(ConnectionLimits::of(&config.network)),
            handles: Arc::new(handles),
            address: ([127, 0, 0, 1], 0).into(),
            replicas,
            applied,
            partitions,
            dirs,
            proposed,
            is_full,
        };
        node.serve().await;
        node
    }

    /// Listens at a new address, and hangs up on everybody who came by the last one.
    async fn serve(&mut self) {
        self.connections.close_all();
        self.connections = Connections::new(ConnectionLimits::of(&self.handles.config.network));
        let listener = self.world.net.listen("127.0.0.1", 0).await.unwrap();
        self.address = listener.local_addr();
        let acceptor = Acceptor {
            reception: Reception {
                world: self.world.clone(),
                connections: self.connections.clone(),
                memory: RequestMemory::new(100 << 20),
                frame_max_bytes: 100 << 20,
                lane: Lane::Data,
            },
            handles: Arc::clone(&self.handles),
            name: "PLAINTEXT".into(),
            role: ListenerRole::Broker,
            metrics: self.handles.metrics.listener("PLAINTEXT"),
        };
        self.world.spawn.spawn(Lane::Data, Box::pin(acceptor.run(listener)));
    }

    /// Settings that are altered at run time; they hold from the next image on.
    fn change(&mut self, change: impl FnOnce(&mut ReplicationSettings)) {
        let mut settings = ReplicaSettings::of(&self.handles.config);
        change(&mut settings.replication);
        self.replicas.set_defaults(settings);
    }

    async fn connect(&self) -> Connection {
        let (host, port) = (self.address.ip().to_string(), self.address.port());
        Connection::open(&self.world, &host, port, ConnectionConfig::default()).await.unwrap()
    }

    fn partition(&self, index: i32) -> Arc<Partition> {
        self.partitions.get(id(index)).unwrap().partition
    }

    async fn apply(&mut self, image: &Image) {
        self.replicas.apply(image).await;
        self.applied.send_replace(Arc::new(image.clone()));
    }

    fn produce(
        &self,
        index: i32,
        values: &[&str],
        sequence: i32,
        acks: RequiredAcks,
    ) -> impl Future<Output = Result<i64, ErrorCode>> + use<> {
        let (id, epoch) = if sequence < 0 { (-1, -1) } else { (7, 0) };
        let producer = ProducerFields {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence: sequence,
        };
        let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() });
        for value in values {
            let record = NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() };
            builder.append(&record).unwrap();
        }
        let batch = inspect(builder.build(), &InspectLimits::default()).unwrap();
        let now = RealClock::default().now();
        let ordered = self.partition(index).produce(now, vec![batch], acks, Origin::Leader);
        async move {
            let answer = ordered.answered().await;
            answer.map(|it| it.appended.base_offset.get()).map_err(|refusal| refusal.code())
        }
    }

    /// What the files hold, whoever leads.
    async fn values(&self, index: i32) -> Vec<(i64, String)> {
        let partition = self.partition(index);
        let (mut values, View { log_start, log_end, .. }) = (Vec::new(), partition.view());
        let mut from = log_start;
        while from < log_end {
            let request = strandline_store::ReadRequest {
                from,
                upto: log_end,
                max_bytes: 1 << 20,
                at_least_one_batch: true,
            };
            let answer = partition.store().read(request).await.unwrap().unwrap();
            from = answer.next_offset;
            let bytes = partition.store().copied(answer.records).await.unwrap();
            for batch in batches(&bytes) {
                let batch = batch.unwrap();
                let records = BatchRecords::open(&batch, &InspectLimits::default()).unwrap();
                values.extend(records.iter().map(|record| {
                    let record = record.unwrap();
                    let value = record.value.unwrap().to_vec();
                    (record.offset.get(), String::from_utf8(value).unwrap())
                }));
            }
        }
        values.retain(|(offset, _)| *offset >= log_start.get());
        values
    }
}

async fn start_quorum(
    world: &World,
    io: Io,
    options: LogDirOptions,
    path: &Path,
    id: i32,
) -> quorum::QuorumHandle {
    let directory_id = Uuid::from_u128(1000 + id as u128);
    let identity = DirIdentity {
        cluster_id: "test".into(),
        node_id: NodeId(id),
        directory_id: Some(directory_id),
    };
    let endpoint =
        QuorumEndpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 1 };
    let now = world.clock.now().timestamp;
    let voters = VoterSet::new([quorum::voter(NodeId(id), directory_id, vec![endpoint])]);
    let founding = (Some(&voters), &FirstLevels::default());
    format_dir(&*world.disk, path, &identity, founding, now).await.unwrap();
    let dir = LogDir::open(io, path, options).await.unwrap();
    let options = QuorumOptions {
        core: QuorumConfig::new(ReplicaKey::new(NodeId(id), directory_id)),
        log: MetadataLogOptions { segment_bytes: 1 << 20, segment_ms: i64::MAX },
        static_voters: Vec::new(),
        supported: features::SUPPORTED,
        cluster_id: "test".into(),
        listener: "CONTROLLER".into(),
        bootstrap_servers: Vec::new(),
        connections: strandline_client::ConnectionConfig::default(),
    };
    quorum::start(world, &dir, options).await.unwrap().handle
}

fn id(partition: i32) -> TopicIdPartition {
    TopicIdPartition { topic_id: TOPIC, partition: PartitionId(partition) }
}

fn epoch_of(node: i32) -> i64 {
    100 + i64::from(node)
}

impl Cluster {
    /// Brokers 1 to `count`, and a topic without partitions.
    async fn start(count: i32, settings: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut nodes = Vec::new();
        for id in 1..=count {
            nodes.push(TestNode::start(home.path(), id).await);
        }
        let mut cluster = Self { nodes, image: Image::default(), records: 0, _home: home };
        for id in 1..=count {
            cluster.register(id, false);
        }
        cluster.decide(TopicRecord {
            name: "orders".into(),
            topic_id: TOPIC,
            ..TopicRecord::default()
        });
        for (name, value) in settings {
            cluster.decide(ConfigRecord {
                resource_type: 2,
                resource_name: "orders".into(),
                name: (*name).into(),
                value: Some((*value).into()),
                ..ConfigRecord::default()
            });
        }
        cluster
    }

    fn decide(&mut self, record: impl Into<Record>) {
        self.image.apply(record.into(), Offset(self.records)).unwrap();
        self.records += 1;
    }

    fn register(&mut self, id: i32, fenced: bool) {
        let address = self.node(id).address;
        self.decide(RegisterBrokerRecord {
            broker_id: id,
            broker_epoch: epoch_of(id),
            end_points: vec![BrokerEndpoint {
                name: "PLAINTEXT".into(),
                host: address.ip().to_string(),
                port: address.port(),
                ..BrokerEndpoint::default()
            }],
            rack: Some(format!("rack-{id}")),
            fenced,
            ..RegisterBrokerRecord::default()
        });
    }

    /// A partition that its first replica leads.
    fn create(&mut self, partition: i32, replicas: &[i32], in_sync: &[i32]) {
        self.decide(PartitionRecord {
            partition_id: partition,
            topic_id: TOPIC,
            replicas: replicas.to_vec(),
            isr: in_sync.to_vec(),
            leader: replicas[0],
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![Uuid::from_u128(9); replicas.len()],
            ..PartitionRecord::default()
        });
    }

    fn elect(&mut self, partition: i32, leader: i32, in_sync: &[i32]) {
        self.decide(PartitionChangeRecord {
            partition_id: partition,
            topic_id: TOPIC,
            leader,
            isr: Some(in_sync.to_vec()),
            leader_recovery_state: -1,
            ..PartitionChangeRecord::default()
        });
    }

    fn reassign(&mut self, partition: i32, replicas: &[i32], in_sync: &[i32]) {
        self.decide(PartitionChangeRecord {
            partition_id: partition,
            topic_id: TOPIC,
            leader: -2,
            isr: Some(in_sync.to_vec()),
            leader_recovery_state: -1,
            replicas: Some(replicas.to_vec()),
            directories: Some(vec![Uuid::from_u128(9); replicas.len()]),
            ..PartitionChangeRecord::default()
        });
    }

    fn node(&self, id: i32) -> &TestNode {
        &self.nodes[id as usize - 1]
    }

    async fn publish(&mut self) {
        let all: Vec<i32> = self.nodes.iter().map(|node| node.id).collect();
        self.publish_to(&all).await;
    }

    async fn publish_to(&mut self, nodes: &[i32]) {
        let image = self.image.clone();
        for &id in nodes {
            self.nodes[id as usize - 1].apply(&image).await;
        }
    }

    /// Waits until all replicas know that everything up to `end` is committed.
    async fn committed(&self, index: i32, nodes: &[i32], end: i64) {
        for &node in nodes {
            let partition = self.node(node).partition(index);
            until(|| partition.view().high_watermark == Offset(end)).await;
            assert_eq!(partition.view().log_end, Offset(end));
        }
    }
}

/// Whatever these tests wait for comes soon or never.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    let clock = RealClock::default();
    let deadline = clock.now().instant + Duration::from_secs(15);
    timeout(&clock, deadline, work).await.expect("it comes soon")
}

async fn until(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn numbered(values: &[&str]) -> Vec<(i64, String)> {
    values.iter().enumerate().map(|(at, value)| (at as i64, (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_copy_acknowledge_and_learn_what_is_committed() {
    for flush in ["9223372036854775807", "1"] {
        let settings = [("min.insync.replicas", "3"), ("flush.messages", flush)];
        let mut cluster = Cluster::start(3, &settings).await;
        cluster.create(0, &[1, 2, 3], &[1, 2, 3]);
        cluster.publish().await;
        let leader = cluster.node(1);
        assert_eq!(soon(leader.produce(0, &["a", "b"], -1, RequiredAcks::All)).await, Ok(0));
        assert_eq!(soon(leader.produce(0, &["c"], -1, RequiredAcks::All)).await, Ok(2));
        cluster.committed(0, &[1, 2, 3], 3).await;
        for node in [1, 2, 3] {
            assert_eq!(cluster.node(node).values(0).await, numbered(&["a", "b", "c"]));
        }
        // Nobody waits for a parked fetch to end: neither a new partition nor one of another leader.
        cluster.create(1, &[1, 2, 3], &[1, 2, 3]);
        cluster.create(2, &[2, 3, 1], &[2, 3, 1]);
        cluster.publish().await;
        for (index, leader) in [(1, 1), (2, 2), (0, 1)] {
            let produced = cluster.node(leader).produce(index, &["d"], -1, RequiredAcks::All);
            soon(produced).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_leader_truncates_and_producers_go_on() {
    let mut cluster = Cluster::start(3, &[("min.insync.replicas", "2")]).await;
    cluster.create(0, &[1, 2, 3], &[1, 2, 3]);
    cluster.publish().await;
    assert_eq!(soon(cluster.node(1).produce(0, &["a"], 0, RequiredAcks::All)).await, Ok(0));
    cluster.committed(0, &[1, 2, 3], 1).await;

    // The former leader hears late, and has written what it cannot keep.
    cluster.elect(0, 2, &[2, 3]);
    cluster.publish_to(&[2, 3]).await;
    let lost = cluster.node(1).produce(0, &["lost", "too"], -1, RequiredAcks::Leader).await;
    assert_eq!(lost, Ok(1));
    let unanswered = cluster.node(1).produce(0, &["also"], -1, RequiredAcks::All);
    assert_eq!(soon(cluster.node(2).produce(0, &["b"], 1, RequiredAcks::All)).await, Ok(1));
    cluster.publish_to(&[1]).await;
    assert_eq!(soon(unanswered).await, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    cluster.committed(0, &[1, 2, 3], 2).await;
    for node in [1, 2, 3] {
        assert_eq!(cluster.node(node).values(0).await, numbered(&["a", "b"]));
    }
    // It joins the ISR by asking from its end.
    let proposal = soon(cluster.nodes[1].proposed.recv()).await.unwrap();
    let members = proposal.in_sync.iter().map(|it| (it.node.get(), it.broker_epoch.get()));
    assert_eq!(members.collect::<Vec<_>>(), [(2, -1), (3, epoch_of(3)), (1, epoch_of(1))]);

    // What a producer sent before any election is known to whoever leads.
    cluster.elect(0, 1, &[1, 2, 3]);
    cluster.publish().await;
    let leader = cluster.node(1);
    assert_eq!(soon(leader.produce(0, &["b"], 1, RequiredAcks::All)).await, Ok(1));
    assert_eq!(soon(leader.produce(0, &["c"], 2, RequiredAcks::All)).await, Ok(2));
    cluster.committed(0, &[1, 2, 3], 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_unclean_election_the_leaders_log_is_the_log() {
    let mut cluster = Cluster::start(2, &[("flush.messages", "1")]).await;
    cluster.create(0, &[1, 2], &[1]);
    cluster.publish_to(&[1]).await;
    assert_eq!(soon(cluster.node(1).produce(0, &["a", "b"], -1, RequiredAcks::All)).await, Ok(0));
    cluster.elect(0, 2, &[2]);
    cluster.publish_to(&[2]).await;
    assert_eq!(soon(cluster.node(2).produce(0, &["x"], -1, RequiredAcks::All)).await, Ok(0));
    cluster.publish_to(&[1]).await;
    cluster.committed(0, &[1, 2], 1).await;
    assert_eq!(cluster.node(1).values(0).await, numbered(&["x"]));
    // No checkpoint speaks of what was cut off: a crash from here on is recovered from.
    let (_, dir) = cluster.node(1).dirs.iter().next().unwrap();
    let name = cluster.node(1).partition(0).name().clone();
    for checkpoint in [Checkpoint::RecoveryPoint, Checkpoint::HighWatermark] {
        let offsets = dir.log.read_checkpoint(checkpoint).await.unwrap();
        assert!(offsets.get(&name).is_some_and(|it| *it <= Offset(1)), "{checkpoint:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_its_leader_does_not_know_yet_holds_up_no_other() {
    let mut cluster = Cluster::start(2, &[]).await;
    cluster.create(0, &[1, 2], &[1, 2]);
    cluster.publish().await;
    cluster.create(1, &[1, 2], &[1, 2]);
    cluster.publish_to(&[2]).await;
    for offset in 0..20 {
        let produced = cluster.node(1).produce(0, &["a"], -1, RequiredAcks::All);
        assert_eq!(soon(produced).await, Ok(offset));
    }
    cluster.publish_to(&[1]).await;
    assert_eq!(soon(cluster.node(1).produce(1, &["b"], -1, RequiredAcks::All)).await, Ok(0));
    cluster.committed(1, &[1, 2], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_come_and_go() {
    let mut cluster = Cluster::start(3, &[("segment.bytes", "1048576")]).await;
    cluster.create(0, &[1, 2], &[1, 2]);
    cluster.publish().await;
    let leader = cluster.node(1);
    soon(leader.produce(0, &["a", "b", "c"], -1, RequiredAcks::All)).await.unwrap();
    soon(leader.produce(0, &["d"], -1, RequiredAcks::All)).await.unwrap();
    // Within a batch; the other replica must have heard before this is answered.
    let deleted = leader.partition(0).delete_records(Offset(2)).answered();
    assert_eq!(soon(deleted).await, Ok(Offset(2)));
    assert_eq!(cluster.node(2).partition(0).view().log_start, Offset(2));

    // A new replica begins where the leader's log does.
    cluster.reassign(0, &[1, 3], &[1]);
    cluster.publish().await;
    let proposal = soon(cluster.nodes[0].proposed.recv()).await.unwrap();
    let members: Vec<i32> = proposal.in_sync.iter().map(|it| it.node.get()).collect();
    assert_eq!(members, [1, 3]);
    let (first, third) = (cluster.node(1), cluster.node(3));
    assert_eq!(third.values(0).await, first.values(0).await);
    assert_eq!(third.values(0).await, [(2, "c".to_owned()), (3, "d".to_owned())]);
    assert!(cluster.node(2).partitions.get(id(0)).is_none(), "it is no replica any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_outlives_lost_connections_and_a_full_disk() {
    let mut cluster = Cluster::start(2, &[]).await;
    cluster.create(0, &[1, 2], &[1, 2]);
    cluster.publish().await;
    soon(cluster.node(1).produce(0, &["a"], -1, RequiredAcks::All)).await.unwrap();

    let follower = cluster.node(2);
    follower.is_full.store(true, Ordering::Relaxed);
    let stuck = cluster.node(1).produce(0, &["b"], -1, RequiredAcks::All);
    until(|| follower.partition(0).next_fetch() == NextFetch::Stopped).await;
    follower.is_full.store(false, Ordering::Relaxed);
    soon(async {
        let (_, dir) = follower.dirs.iter().next().unwrap();
        dir.log.resume_if_room().await.unwrap();
        follower.partition(0).resume();
        assert_eq!(stuck.await, Ok(1));
    })
    .await;
    cluster.committed(0, &[1, 2], 2).await;

    // The leader hangs up, and is back under another address.
    cluster.nodes[0].serve().await;
    cluster.register(1, false);
    cluster.publish().await;
    assert_eq!(soon(cluster.node(1).produce(0, &["c"], -1, RequiredAcks::All)).await, Ok(2));
    cluster.committed(0, &[1, 2], 3).await;
    assert_eq!(cluster.node(2).values(0).await, numbered(&["a", "b", "c"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_an_earlier_incarnation_counts_for_nothing() {
    let mut cluster = Cluster::start(2, &[]).await;
    cluster.create(0, &[1, 2], &[1, 2]);
    cluster.publish_to(&[1]).await;
    let leader = cluster.node(1);
    let waiting = leader.produce(0, &["a"], -1, RequiredAcks::All);
    let connection = leader.connect().await;
    let fetch = async |replica_id, replica_epoch| {
        let replica_state = ReplicaState { replica_id, replica_epoch, ..Default::default() };
        let request = FetchRequest { replica_state, ..fetch_one(1) };
        let partition = answer(connection.call(request)).await;
        (partition.error_code, partition.high_watermark)
    };
    until(|| leader.partition(0).view().log_end == Offset(1)).await;
    assert_eq!(fetch(2, epoch_of(2) - 1).await, (ErrorCode::NOT_LEADER_OR_FOLLOWER, -1));
    assert_eq!(fetch(3, epoch_of(3)).await, (ErrorCode::UNKNOWN_LEADER_EPOCH, -1));
    assert_eq!(leader.partition(0).view().high_watermark, Offset(0));
    assert_eq!(fetch(2, epoch_of(2)).await, (ErrorCode::NONE, 1));
    assert_eq!(soon(waiting).await, Ok(0));
}

/// Partition 0 from `offset` on, without a session.
fn fetch_one(offset: i64) -> FetchRequest {
    FetchRequest {
        session_epoch: -1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic_id: TOPIC,
            partitions: vec![FetchPartition {
                current_leader_epoch: 0,
                fetch_offset: offset,
                last_fetched_epoch: if offset > 0 { 0 } else { -1 },
                log_start_offset: 0,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn answer(call: impl Future<Output = Result<FetchResponse, CallError>>) -> PartitionData {
    soon(call).await.unwrap().responses.remove(0).partitions.remove(0)
}

/// What a consumer is told: who else to ask, the code, how far it is committed, and whether there
/// are records.
fn told(data: &PartitionData) -> (i32, ErrorCode, i64, bool) {
    let has_records = !data.records.is_empty();
    (data.preferred_read_replica, data.error_code, data.high_watermark, has_records)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_read_from_the_replica_in_their_rack() {
    let mut cluster = Cluster::start(3, &[]).await;
    cluster.create(0, &[1, 2, 3], &[1, 2]);
    cluster.publish().await;
    soon(cluster.node(1).produce(0, &["a"], -1, RequiredAcks::All)).await.unwrap();
    cluster.committed(0, &[1, 2, 3], 1).await;
    let leader = cluster.node(1).connect().await;
    let from = |rack: &str, offset| {
        let mut request = FetchRequest { rack_id: rack.into(), ..fetch_one(offset) };
        request.topics[0].partitions[0].last_fetched_epoch = -1;
        request
    };
    for (rack, nearer) in [("rack-1", -1), ("rack-2", 2), ("rack-3", -1), ("elsewhere", -1)] {
        let data = answer(leader.call(from(rack, 0))).await;
        assert_eq!(told(&data), (nearer, ErrorCode::NONE, 1, nearer < 0), "from {rack}");
    }
    // It does not hold this offset, so the leader says that nobody does.
    let data = answer(leader.call(from("rack-2", 7))).await;
    assert_eq!(told(&data), (-1, ErrorCode::OFFSET_OUT_OF_RANGE, 1, false));

    let follower = cluster.node(2).connect().await;
    let data = answer(follower.call(from("rack-2", 0))).await;
    assert_eq!(told(&data), (-1, ErrorCode::NONE, 1, true));
    let data = answer(follower.call(from("rack-2", 7))).await;
    assert_eq!(told(&data), (-1, ErrorCode::OFFSET_OUT_OF_RANGE, 1, false));
    // One that is too old to be sent elsewhere must ask the leader; topics have names then.
    let mut old = fetch_one(0);
    old.topics[0].topic = "orders".into();
    let old = async { follower.start(|_| old, 10, Duration::from_secs(15))?.receive().await };
    assert_eq!(told(&answer(old).await), (-1, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1, false));

    // Who waits at a follower hears as soon as that knows what is committed, or who leads.
    let park = |offset| {
        let request = FetchRequest { max_wait_ms: 30_000, min_bytes: 1, ..from("rack-2", offset) };
        answer(follower.call(request))
    };
    let produced = cluster.node(1).produce(0, &["b"], -1, RequiredAcks::All);
    let (data, _) = tokio::join!(park(1), produced);
    assert_eq!(told(&data), (-1, ErrorCode::NONE, 2, true));
    cluster.elect(0, 3, &[1, 2, 3]);
    let (data, ()) = tokio::join!(park(2), cluster.publish());
    assert_eq!(told(&data), (-1, ErrorCode::FENCED_LEADER_EPOCH, -1, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_throttled_replicas_out_of_sync_wait() {
    type Side = fn(&mut ReplicationSettings) -> &mut ThrottleSettings;
    let sides: [(_, usize, Side); 2] = [
        ("leader.replication.throttled.replicas", 1, |it| &mut it.leader_throttle),
        ("follower.replication.throttled.replicas", 3, |it| &mut it.follower_throttle),
    ];
    for (setting, side, throttle) in sides {
        let replicas = format!("0:{side}");
        let mut cluster = Cluster::start(3, &[(setting, &replicas)]).await;
        cluster.create(0, &[1, 2], &[1, 2]);
        cluster.nodes[side - 1].change(|it| throttle(it).bytes_per_second = Some(100_000));
        cluster.publish().await;
        let big = "x".repeat(300_000);
        for offset in 0..6 {
            let produced = cluster.node(1).produce(0, &[&big], -1, RequiredAcks::All);
            assert_eq!(soon(produced).await, Ok(offset), "the follower in sync does not wait");
        }
        // The new one gets what one answer holds, and then no more before its time.
        cluster.reassign(0, &[1, 2, 3], &[1, 2]);
        cluster.publish().await;
        let end = |node| cluster.node(node).partition(0).view().log_end.get();
        until(|| end(3) > 0).await;
        let clock = Arc::clone(&cluster.node(3).world.clock);
        let (first, began) = (end(3), clock.now().instant);
        until(|| end(3) > first).await;
        let took = clock.now().instant.since(began);
        assert!(took > Duration::from_millis(700), "{setting}: it went on after {took:?}");
        let produced = cluster.node(1).produce(0, &["y"], -1, RequiredAcks::All);
        assert_eq!(soon(produced).await, Ok(6), "the follower in sync does not wait");
        until(|| end(3) == 7).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_shared_out_among_as_many_fetchers_as_there_are_to_be() {
    let shares = |fetchers| (0..6).map(|index| share(id(index), fetchers)).collect::<Vec<_>>();
    assert_eq!(shares(1), [0; 6]);
    assert_eq!(shares(3), [2, 0, 1, 2, 0, 1]);

    let mut cluster = Cluster::start(2, &[]).await;
    for index in 0..6 {
        cluster.create(index, &[1, 2], &[1, 2]);
    }
    cluster.publish().await;
    // Every acknowledgement waits for the follower, so none may be asked for by nobody.
    for (round, fetchers) in [1, 2, 4, 3, 1].into_iter().enumerate() {
        let leader = cluster.node(1);
        let produce = |index| leader.produce(index, &["a"], -1, RequiredAcks::All);
        let parked: Vec<_> = (0..6).map(produce).collect();
        let follower = &mut cluster.nodes[1];
        follower.change(|replication| replication.fetchers_per_leader = fetchers);
        cluster.publish().await;
        for answer in parked {
            assert_eq!(soon(answer).await, Ok(round as i64), "with {fetchers} fetchers");
        }
    }
}

#[tokio::test]
async fn nobody_fetches_while_the_directories_speak_of_a_clean_stop() {
    let cluster = Cluster::start(2, &[]).await;
    let node = &cluster.nodes[0];
    let broker_epoch = watch::channel(BrokerEpoch(1)).1;
    let mut fetchers = Fetchers::new(node.world.clone(), &node.handles.config, broker_epoch);
    assert!(fetchers.of(NodeId(2), id(0), &cluster.image.cluster).is_some());
    assert_eq!(fetchers.held_back.as_ref().map(Vec::len), Some(1));
    fetchers.begin();
    assert!(fetchers.held_back.is_none());
}
