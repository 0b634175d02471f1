//! Moves on real files, with a controller that the test plays.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use strandline_log::LogConfig;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn};
use strandline_store::DirState;
use strandline_types::PartitionId;

use super::*;
use crate::dirs::Dir;
use crate::driver::testing::{BeforeOpen, Node};

const A: Uuid = Uuid::from_u128(0xa);
const B: Uuid = Uuid::from_u128(0xb);

fn id() -> TopicIdPartition {
    TopicIdPartition { topic_id: Uuid::from_u128(77), partition: PartitionId(0) }
}

/// A partition in directory A that is to move to B.
struct Moving {
    home: tempfile::TempDir,
    mover: Mover,
    told: mpsc::UnboundedReceiver<Assignment>,
    partition: Arc<Partition>,
    before_open_in_b: BeforeOpen,
    b_is_full: Arc<AtomicBool>,
}

impl Moving {
    async fn begin() -> Self {
        let home = tempfile::tempdir().unwrap();
        let from = Node::open(&home.path().join("a"), LogConfig::default()).await;
        let to = Node::open(&home.path().join("b"), LogConfig::default()).await;
        let name = TopicPartition { topic: "orders".into(), partition: PartitionId(0) };
        let partition = from.create_partition(name, id()).await;
        let (partitions, moves) = (Partitions::default(), Moves::default());
        partitions.insert(Held { partition: Arc::clone(&partition), config: Arc::default() });
        moves.request(&partition, DirIndex::at(1));
        let (assignments, told) = mpsc::unbounded_channel();
        let mover = Mover {
            world: World {
                clock: Arc::new(RealClock::default()),
                entropy: Arc::new(RealEntropy),
                spawn: Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap()),
                net: Arc::new(RealNet),
                disk: Arc::new(RealDisk::default()),
            },
            dirs: Arc::new(Dirs::new(
                vec![Dir::new(Some(A), from.dir), Dir::new(Some(B), to.dir)],
                2,
            )),
            partitions,
            context: from.context,
            moves,
            assignments,
        };
        let (before_open_in_b, b_is_full) = (to.before_open, to.is_full);
        Self { home, mover, told, partition, before_open_in_b, b_is_full }
    }

    /// Carries the one move out while `play` plays the rest of the world.
    async fn carry_out(
        mut self,
        play: impl AsyncFnOnce(&mut mpsc::UnboundedReceiver<Assignment>, &Mover, &Arc<Partition>, &Path),
    ) -> Self {
        let job = self.due();
        let play = play(&mut self.told, &self.mover, &self.partition, self.home.path());
        // The outcome is what lies on disk, and what the controller was told.
        let (_, ()) = tokio::join!(self.mover.carry_out(id(), job), play);
        self
    }

    fn due(&self) -> Move {
        let now = self.mover.world.clock.now().instant;
        let Next::Move(_, job) = self.mover.moves.next(now) else { panic!("nothing is due") };
        job
    }

    fn entries(&self) -> [Vec<String>; 2] {
        ["a", "b"].map(|dir| entries(&self.home.path().join(dir)))
    }
}

/// What lies in a directory and is named like the partition.
fn entries(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("orders-0")).collect()
}

/// The directory that the controller is told, and whoever waits for it to know.
async fn hear(told: &mut mpsc::UnboundedReceiver<Assignment>) -> (Uuid, oneshot::Sender<()>) {
    let assignment = told.recv().await.unwrap();
    (assignment.directory, assignment.told.unwrap())
}

#[tokio::test]
async fn a_partition_that_is_deleted_while_the_controller_is_told_does_not_arrive() {
    let moving = Moving::begin().await;
    let moving = moving
        .carry_out(async |told, mover, partition, _| {
            let (directory, answer) = hear(told).await;
            assert_eq!(directory, B);
            mover.partitions.remove(id());
            partition.close().await.unwrap();
            answer.send(()).unwrap();
            hear(told).await.1.send(()).unwrap();
        })
        .await;
    assert_eq!(moving.entries(), [vec!["orders-0".to_owned()], Vec::new()]);
}

#[tokio::test]
async fn a_directory_that_fails_before_its_partition_has_left_is_named_again() {
    let moving = Moving::begin().await;
    let moving = moving
        .carry_out(async |told, mover, partition, home| {
            let (directory, answer) = hear(told).await;
            assert_eq!(directory, B);
            mover.dirs.get(DirIndex::at(0)).log.take_offline();
            answer.send(()).unwrap();
            let (directory, answer) = hear(told).await;
            assert_eq!((directory, partition.dir()), (A, DirIndex::at(0)));
            let [copy] = &entries(&home.join("b"))[..] else { panic!("no copy in the making") };
            assert!(copy.ends_with("-future"), "{copy} says so until the controller knows");
            answer.send(()).unwrap();
        })
        .await;
    assert_eq!(moving.entries(), [vec!["orders-0".to_owned()], Vec::new()]);
}

/// Moves a partition while somebody thinks better of it, too late to stop it.
async fn interrupted(change: impl FnOnce(&Moves, &Partition) + Send + 'static) -> Moving {
    let moving = Moving::begin().await;
    let before_open_in_b = Arc::clone(&moving.before_open_in_b);
    let moving = moving
        .carry_out(async |told, mover, partition, _| {
            let (_, answer) = hear(told).await;
            let (moves, partition) = (mover.moves.clone(), Arc::clone(partition));
            let change = move || change(&moves, &partition);
            // The next file that is opened there is copied while appends wait.
            *before_open_in_b.lock().unwrap() = Some(Box::new(change));
            answer.send(()).unwrap();
        })
        .await;
    assert_eq!(moving.partition.dir(), DirIndex::at(1), "it could not be stopped any more");
    moving
}

#[tokio::test]
async fn a_move_that_is_called_off_too_late_goes_back() {
    let moving = interrupted(|moves, partition| moves.request(partition, DirIndex::at(0))).await;
    assert_eq!(moving.due().to, DirIndex::at(0));
}

#[tokio::test]
async fn a_move_that_is_asked_for_again_while_it_arrives_has_nothing_left_to_do() {
    let moving = interrupted(|moves, partition| {
        moves.request(partition, DirIndex::at(0));
        moves.request(partition, DirIndex::at(1));
    })
    .await;
    let again = moving.due();
    assert_eq!(again.to, DirIndex::at(1));
    let before = moving.entries();
    moving.mover.carry_out(id(), again).await.unwrap();
    assert_eq!(moving.entries(), before, "not a file of it is touched");
}

#[tokio::test]
async fn a_move_without_room_leaves_its_directory_alone_and_waits_longer_and_longer() {
    let moving = Moving::begin().await;
    let Mover { moves, dirs, .. } = &moving.mover;
    moving.b_is_full.store(true, Ordering::Relaxed);
    let refused = moving.mover.carry_out(id(), moving.due()).await.unwrap_err();
    assert!(refused.is_full(), "{refused}");
    assert_eq!(dirs.get(DirIndex::at(1)).log.state(), DirState::Online);
    assert_eq!(moving.entries(), [vec!["orders-0".to_owned()], Vec::new()]);

    let mut now = moving.mover.world.clock.now().instant;
    let pauses = (0..8).map(|_| {
        let Next::Move(_, job) = moves.next(now) else { panic!("it waits too long") };
        moves.put_off(id(), job, now);
        let Next::At(next) = moves.next(now) else { panic!("it does not wait") };
        let pause = next.since(now);
        now = next;
        pause.as_secs()
    });
    assert_eq!(pauses.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60]);
}
