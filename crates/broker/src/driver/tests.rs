//! What this node tells the controller about itself and its partitions: again when the answer is "not now", and
//! never what has been overtaken.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use strandline_log::LogConfig;
use strandline_metadata::Image;
use strandline_metadata::controller::{Refusal, Request, Response};
use strandline_ports::real::{RealClock, RealEntropy, RealNet, RealSpawn};
use strandline_ports::{Clock, Lane, Sleep, World, timeout, watch};
use strandline_replica::Leadership;
use strandline_types::{
    BrokerEpoch, ErrorCode, Instant, LeaderEpoch, NodeId, Now, PartitionId, Timestamp,
    TopicIdPartition, TopicPartition, Uuid,
};
use strandline_wire::messages::{
    AlterPartitionRequest, AlterPartitionResponse, AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse, BrokerHeartbeatResponse, alter_partition_response,
    assign_replicas_to_dirs_response,
};
use tokio::sync::{mpsc, oneshot};

use super::assignments::{Assignment, Assignments};
use super::controller::{ControllerHandle, Reply};
use super::isr::IsrProposals;
use super::lifecycle::Lifecycle;
use super::partition::Partition;
use super::quorum;
use super::testing::{ManualClock, Node};
use crate::dirs::Dirs;
use crate::handles::Identity;
use crate::partitions::{Held, Partitions};

type Asked = mpsc::UnboundedReceiver<(Request, Reply)>;
type Elect = watch::Sender<quorum::Leadership>;

fn world() -> World {
    World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap()),
        net: Arc::new(RealNet),
        disk: Arc::new(strandline_ports::real::RealDisk::default()),
    }
}

fn id(partition: i32) -> TopicIdPartition {
    TopicIdPartition { topic_id: Uuid::from_u128(77), partition: PartitionId(partition) }
}

/// A partition of two replicas, led by this node; the other one never fetches.
async fn replicated(node: &Node) -> Arc<Partition> {
    let name = TopicPartition { topic: "orders".into(), partition: PartitionId(0) };
    let partition = node.create_partition(name, id(0)).await;
    let both = vec![NodeId(1), NodeId(2)];
    partition.become_leader(Leadership {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 1,
        replicas: both.clone(),
        in_sync: both,
    });
    partition
}

/// Starts what proposes ISRs, and makes the partition propose one without the other replica.
async fn proposing(dir: &Path) -> (Node, Arc<Partition>, Asked) {
    let mut node = Node::open(dir, LogConfig::default()).await;
    let partition = replicated(&node).await;
    let partitions = Partitions::default();
    let config = Arc::default();
    partitions.insert(Held { partition: Arc::clone(&partition), config });
    let world = world();
    let (controller, asked, _) = ControllerHandle::answered_by_test(world.clone());
    let (_, nothing) = mpsc::unbounded_channel();
    let proposals = IsrProposals {
        clock: Arc::clone(&world.clock),
        node_id: NodeId(1),
        broker_epoch: watch::channel(BrokerEpoch(9)).1,
        controller,
        partitions,
        proposed: std::mem::replace(&mut node.proposed, nothing),
    };
    world.spawn.spawn(Lane::Control, Box::pin(proposals.run()));
    let hour = 3_600_000;
    node.clock.0.fetch_add(hour, std::sync::atomic::Ordering::Relaxed);
    partition.check_isr();
    (node, partition, asked)
}

async fn next_alter(asked: &mut Asked) -> (AlterPartitionRequest, Reply) {
    match asked.recv().await.unwrap() {
        (Request::AlterPartition(request), reply) => (request, reply),
        (other, _) => panic!("{other:?}"),
    }
}

/// An answer to the one partition that was asked for.
fn altered(error_code: ErrorCode, isr: &[i32], partition_epoch: i32) -> Result<Response, Refusal> {
    let partition = alter_partition_response::PartitionData {
        partition_index: 0,
        error_code,
        leader_id: 1,
        leader_epoch: 1,
        isr: isr.to_vec(),
        partition_epoch,
        ..Default::default()
    };
    let topic = alter_partition_response::TopicData {
        topic_id: id(0).topic_id,
        partitions: vec![partition],
        ..Default::default()
    };
    let response = AlterPartitionResponse { topics: vec![topic], ..Default::default() };
    Ok(Response::AlterPartition(response))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isr_is_proposed_until_the_controller_decides() {
    let home = tempfile::tempdir().unwrap();
    let (_node, partition, mut asked) = proposing(home.path()).await;
    let (request, reply) = next_alter(&mut asked).await;
    assert_eq!((request.broker_id, request.broker_epoch), (1, 9));
    let proposed = &request.topics[0].partitions[0];
    assert_eq!((proposed.leader_epoch, proposed.partition_epoch), (1, 1));
    let in_sync: Vec<_> = proposed.new_isr_with_epochs.iter().map(|it| it.broker_id).collect();
    assert_eq!(in_sync, [1]);
    assert_eq!(partition.in_sync(), [NodeId(1), NodeId(2)], "a proposal alone changes nothing");

    let stale =
        AlterPartitionResponse { error_code: ErrorCode::STALE_BROKER_EPOCH, ..Default::default() };
    reply.send(Ok(Response::AlterPartition(stale))).unwrap();
    let (again, reply) = next_alter(&mut asked).await;
    assert_eq!(again, request, "the whole request was refused");
    reply.send(altered(ErrorCode::UNKNOWN_SERVER_ERROR, &[], 0)).unwrap();
    let (again, reply) = next_alter(&mut asked).await;
    assert_eq!(again, request, "the partition was refused, for the time being");
    reply.send(altered(ErrorCode::NONE, &[1], 2)).unwrap();
    while partition.in_sync() != [NodeId(1)] {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_that_an_election_has_overtaken_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let (node, partition, mut asked) = proposing(home.path()).await;
    let (_, reply) = next_alter(&mut asked).await;
    partition.become_leader(Leadership {
        leader_epoch: LeaderEpoch(2),
        partition_epoch: 2,
        replicas: vec![NodeId(1), NodeId(2)],
        in_sync: vec![NodeId(1), NodeId(2)],
    });
    reply.send(altered(ErrorCode::UNKNOWN_SERVER_ERROR, &[], 0)).unwrap();
    // The next that is asked is what the new epoch proposes.
    node.clock.0.fetch_add(3_600_000, std::sync::atomic::Ordering::Relaxed);
    partition.check_isr();
    let (request, _) = next_alter(&mut asked).await;
    assert_eq!(request.topics[0].partitions[0].leader_epoch, 2);
}

fn next_assigned(request: &AssignReplicasToDirsRequest) -> Vec<(Uuid, Vec<i32>)> {
    let directories = request.directories.iter().map(|directory| {
        let topics = directory.topics.iter().flat_map(|topic| &topic.partitions);
        (directory.id, topics.map(|partition| partition.partition_index).collect())
    });
    directories.collect()
}

fn begin_telling(
    world: &World,
    controller: ControllerHandle,
    assigned: mpsc::UnboundedReceiver<Assignment>,
) {
    let telling = Assignments {
        clock: Arc::clone(&world.clock),
        node_id: NodeId(1),
        broker_epoch: watch::channel(BrokerEpoch(9)).1,
        controller,
        assigned,
    };
    world.spawn.spawn(Lane::Control, Box::pin(telling.run()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_are_told_until_the_controller_knows_them() {
    let world = world();
    let (controller, mut asked, _) = ControllerHandle::answered_by_test(world.clone());
    let (assignments, assigned) = mpsc::unbounded_channel();
    let [first, second] = [1_001, 1_002].map(Uuid::from_u128);
    let mut answers = Vec::new();
    for (partition, directory) in [(0, first), (1, first), (1, second), (2, first), (3, second)] {
        let (told, answer) = oneshot::channel();
        let partition = id(partition);
        assignments.send(Assignment { partition, directory, told: Some(told) }).unwrap();
        answers.push(answer);
    }
    begin_telling(&world, controller, assigned);
    let mut next = async || match asked.recv().await.unwrap() {
        (Request::AssignReplicasToDirs(request), reply) => (request, reply),
        (other, _) => panic!("{other:?}"),
    };

    let (request, reply) = next().await;
    assert_eq!((request.broker_id, request.broker_epoch), (1, 9));
    assert_eq!(next_assigned(&request), [(first, vec![0, 2]), (second, vec![1, 3])]);
    let not_now = AssignReplicasToDirsResponse {
        error_code: ErrorCode::STALE_BROKER_EPOCH,
        ..Default::default()
    };
    reply.send(Ok(Response::AssignReplicasToDirs(not_now))).unwrap();

    let (request, reply) = next().await;
    assert_eq!(next_assigned(&request), [(first, vec![0, 2]), (second, vec![1, 3])]);
    let partition = |partition_index, error_code| assign_replicas_to_dirs_response::PartitionData {
        partition_index,
        error_code,
        ..Default::default()
    };
    let topic = assign_replicas_to_dirs_response::TopicData {
        topic_id: id(0).topic_id,
        partitions: vec![
            partition(0, ErrorCode::NONE),
            partition(1, ErrorCode::UNKNOWN_TOPIC_ID),
            partition(2, ErrorCode::UNKNOWN_SERVER_ERROR),
            // Partition 3 is not answered at all.
        ],
        ..Default::default()
    };
    let directory = assign_replicas_to_dirs_response::DirectoryData {
        topics: vec![topic],
        ..Default::default()
    };
    let some = AssignReplicasToDirsResponse { directories: vec![directory], ..Default::default() };
    reply.send(Ok(Response::AssignReplicasToDirs(some))).unwrap();

    let (request, reply) = next().await;
    assert_eq!(next_assigned(&request), [(first, vec![2]), (second, vec![3])]);
    // An old metadata.version has no place for it.
    let never = AssignReplicasToDirsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        ..Default::default()
    };
    reply.send(Ok(Response::AssignReplicasToDirs(never))).unwrap();
    drop(assignments);
    assert!(asked.recv().await.is_none(), "there is no more to tell");
    let told: Vec<_> = answers.iter_mut().map(|answer| answer.try_recv().is_ok()).collect();
    assert_eq!(told, [true, false, true, true, true], "what was told later took a place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_told_again_does_not_overtake_a_later_one() {
    let world = world();
    let (controller, mut asked, _) = ControllerHandle::answered_by_test(world.clone());
    let (assignments, assigned) = mpsc::unbounded_channel();
    let [first, second] = [1_001, 1_002].map(Uuid::from_u128);
    // Of partition 0 the last, in the second request.
    for (partition, directory) in (0..2_000).map(|it| (it, first)).chain([(0, second)]) {
        assignments.send(Assignment { partition: id(partition), directory, told: None }).unwrap();
    }
    begin_telling(&world, controller, assigned);
    drop(assignments);
    let mut told = Vec::new();
    // At first "not now", then never again.
    let mut codes = [ErrorCode::STALE_BROKER_EPOCH].into_iter();
    while let Some((Request::AssignReplicasToDirs(request), reply)) = asked.recv().await {
        told.extend(next_assigned(&request).into_iter().filter(|(_, them)| them.contains(&0)));
        let error_code = codes.next().unwrap_or(ErrorCode::UNSUPPORTED_VERSION);
        let response = AssignReplicasToDirsResponse { error_code, ..Default::default() };
        reply.send(Ok(Response::AssignReplicasToDirs(response))).unwrap();
    }
    assert_eq!(told.pop(), Some((second, vec![0])));
}

/// No wait takes any time, but everybody else has a turn.
#[derive(Default)]
struct HastyClock(AtomicU64);

impl Clock for HastyClock {
    fn now(&self) -> Now {
        let nanos = self.0.load(Ordering::Relaxed);
        Now { instant: Instant::from_nanos(nanos), timestamp: Timestamp(nanos as i64 / 1_000_000) }
    }

    fn sleep_until(&self, at: Instant) -> Sleep {
        self.0.fetch_max(at.as_nanos(), Ordering::Relaxed);
        Box::pin(tokio::task::yield_now())
    }
}

/// Of a broker that has registered; and what it asks the controller.
fn lifecycle(clock: Arc<dyn Clock>) -> (Lifecycle, watch::Sender<Arc<Image>>, Asked, Elect) {
    let world = World { clock: Arc::clone(&clock), ..world() };
    let (controller, asked, elect) = ControllerHandle::answered_by_test(world);
    let (node_id, incarnation_id) = (NodeId(1), Uuid::from_u128(7));
    let (publish, applied) = watch::channel(Arc::default());
    let lifecycle = Lifecycle {
        clock,
        controller,
        identity: Identity { node_id, cluster_id: "cluster".into(), incarnation_id },
        rack: None,
        dirs: Arc::new(Dirs::new(Vec::new(), 0)),
        applied,
        broker_epoch: watch::channel(BrokerEpoch(9)).0,
        heartbeat_interval: std::time::Duration::from_secs(2),
    };
    (lifecycle, publish, asked, elect)
}

#[tokio::test]
async fn a_heartbeat_that_is_not_answered_is_followed_by_the_next() {
    let (lifecycle, _publish, mut asked, _) = lifecycle(Arc::new(HastyClock::default()));
    let mut unanswered = Vec::new();
    let heard = async {
        while unanswered.len() < 3 {
            unanswered.push(asked.recv().await.unwrap());
        }
    };
    tokio::select! {
        biased;
        () = Arc::new(lifecycle).keep_alive() => unreachable!("it goes on"),
        () = heard => {}
    }
}

#[tokio::test]
async fn a_new_controller_hears_a_broker_twice_without_a_pause() {
    // Its pauses do not end.
    let clock = Arc::new(ManualClock(AtomicI64::new(1000)));
    let (lifecycle, _publish, mut asked, elect) = lifecycle(clock);
    let heard = async {
        for epoch in [1, 2, 2, 2] {
            let (_, reply) = asked.recv().await.unwrap();
            let epoch = LeaderEpoch(epoch);
            elect.send_replace(quorum::Leadership { epoch, ..Default::default() });
            reply.send(Ok(Response::BrokerHeartbeat(Default::default()))).unwrap();
        }
        // Now it pauses.
        tokio::task::yield_now().await;
        assert!(asked.try_recv().is_err());
    };
    let real = RealClock::default();
    let late = real.now().instant + Duration::from_secs(30);
    tokio::select! {
        biased;
        () = Arc::new(lifecycle).keep_alive() => unreachable!("it goes on"),
        heard = timeout(&real, late, heard) => heard.expect("it beats again"),
    }
}

/// It was let in, and is busy for longer than a session before it can know.
#[tokio::test]
async fn a_starting_broker_beats_until_it_knows_that_it_was_let_in() {
    let (lifecycle, _publish, mut asked, _) = lifecycle(Arc::new(HastyClock::default()));
    let heard = async {
        for is_fenced in [false, true, false] {
            let (_, reply) = asked.recv().await.unwrap();
            let response = BrokerHeartbeatResponse { is_fenced, ..Default::default() };
            // It may have asked again meanwhile.
            let _ = reply.send(Ok(Response::BrokerHeartbeat(response)));
        }
        let _unanswered = asked.recv().await.unwrap();
        asked.recv().await.unwrap();
    };
    tokio::select! {
        biased;
        joined = lifecycle.become_available() => unreachable!("it knows nothing: {joined:?}"),
        () = heard => {}
    }
}
