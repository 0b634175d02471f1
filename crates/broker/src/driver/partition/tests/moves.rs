//! A partition moves from one log directory to another.

use std::fs;
use std::path::{Path, PathBuf};

use strandline_store::format::names::{deleted_dir_name, future_dir_name, stray_dir_name};
use strandline_store::{DirState, Progress, Relocation};

use super::*;

const UNIQUE: Uuid = Uuid::from_u128(5);

/// A partition with ten records, and the directory that it is to move to.
struct Moving {
    home: tempfile::TempDir,
    from: Node,
    to: Node,
    partition: Arc<Partition>,
}

impl Moving {
    async fn begin() -> Self {
        Self::with(small()).await
    }

    async fn with(config: LogConfig) -> Self {
        let home = tempfile::tempdir().unwrap();
        let from = Node::open(&home.path().join("a"), config.clone()).await;
        let to = Node::open(&home.path().join("b"), config).await;
        let partition = from.create().await;
        for value in 0..10 {
            from.put(&partition, &[&value.to_string()]).await.unwrap();
        }
        Self { home, from, to, partition }
    }

    async fn copy(&self) -> Relocation {
        let future = future_dir_name(self.partition.name(), UNIQUE).unwrap();
        let begun = self.to.dir.begin_relocation(self.partition.store(), &future).await;
        let mut copy = begun.unwrap();
        while copy.advance(u32::MAX).await.unwrap() != Progress::Whole {}
        copy
    }

    async fn arrival(&self) -> Arrival {
        Arrival { copy: self.copy().await, dir: DirIndex::at(1), unique: UNIQUE }
    }

    /// Where the old files are, if the old directory has lost its name.
    async fn arrive(&self, arrival: Arrival) -> Option<PathBuf> {
        match self.partition.move_to(arrival).await.unwrap() {
            Arrived::There(old) => old,
            Arrived::NotYet(_) => panic!("there was next to nothing to copy"),
        }
    }

    /// Whether the partition has its name in the old directory and in the new one.
    fn is_named(&self) -> (bool, bool) {
        let is_in = |dir: &Path| dir.join("orders-0").exists();
        (is_in(self.from.dir.path()), is_in(self.to.dir.path()))
    }

    async fn holds(&self, count: i64) {
        let values: Vec<String> = (0..count).map(|it| it.to_string()).collect();
        assert_eq!(self.from.read(&self.partition, 0).await.unwrap(), values);
    }
}

#[tokio::test]
async fn an_append_is_acknowledged_in_the_new_directory_only_when_the_old_one_has_lost_its_name() {
    let moving = Moving::begin().await;
    let arrival = moving.arrival().await;
    let acknowledged = async {
        moving.from.put(&moving.partition, &["10"]).await.unwrap();
        assert_eq!(moving.is_named(), (false, true));
    };
    let (old, ()) = tokio::join!(moving.arrive(arrival), acknowledged);
    assert!(old.unwrap().exists(), "its files go later");
    assert_eq!(moving.partition.dir(), DirIndex::at(1));
    moving.holds(11).await;
}

#[tokio::test]
async fn a_partition_whose_old_directory_keeps_its_name_is_offline() {
    let moving = Moving::begin().await;
    let arrival = moving.arrival().await;
    let in_the_way = moving.home.path().join("a").join(deleted_dir_name(&name(), UNIQUE));
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    assert_eq!(moving.arrive(arrival).await, None);
    assert_eq!(moving.is_named(), (true, true));
    let refused = moving.from.put(&moving.partition, &["10"]).await;
    assert_eq!(refused, Err(ErrorCode::KAFKA_STORAGE_ERROR));
}

#[tokio::test]
async fn a_partition_that_is_closed_does_not_arrive() {
    let moving = Moving::begin().await;
    let arrival = moving.arrival().await;
    moving.partition.close().await.unwrap();
    assert!(moving.partition.move_to(arrival).await.is_err());
    assert_eq!((moving.partition.dir(), moving.is_named()), (DirIndex::at(0), (true, false)));
}

#[tokio::test]
async fn what_lies_where_a_partition_moves_to_is_put_aside() {
    let moving = Moving::begin().await;
    let arrival = moving.arrival().await;
    let new_dir = moving.to.dir.path();
    fs::create_dir(new_dir.join("orders-0")).unwrap();
    fs::write(new_dir.join("orders-0").join("of whoever"), "").unwrap();
    moving.arrive(arrival).await.unwrap();
    assert!(new_dir.join(stray_dir_name(&name(), UNIQUE)).join("of whoever").exists());
    assert_eq!((moving.is_named(), moving.to.dir.state()), ((false, true), DirState::Online));
    moving.holds(10).await;
}

#[tokio::test]
async fn a_reader_that_came_before_the_move_finds_the_records_after_it() {
    let read = async |moving: &Moving, reading: &str| {
        let (partition, epoch) = (&moving.partition, LeaderEpoch(0));
        let found = match reading {
            "by offset" => return moving.from.read(partition, 0).await.unwrap().len() as i64,
            "by time" => partition.offset_for_timestamp(Timestamp(0), CONSUMER, epoch).await,
            _ => partition.largest_timestamp(CONSUMER, epoch).await,
        };
        found.unwrap().unwrap().offset.get()
    };
    for (reading, expected) in [("by offset", 300), ("by time", 0), ("of the largest time", 0)] {
        let moving = Moving::begin().await;
        for value in 10..300 {
            moving.from.put(&moving.partition, &[&value.to_string()]).await.unwrap();
        }
        let arrival = moving.arrival().await;
        let (entered, has_entered) = oneshot::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel();
        *moving.from.before_open.lock().unwrap() = Some(Box::new(move || {
            entered.send(()).unwrap();
            may_go_on.recv().unwrap();
        }));
        let moved = async {
            has_entered.await.expect("it opens a file");
            let old = moving.arrive(arrival).await.unwrap();
            fs::remove_dir_all(old).unwrap();
            go_on.send(()).unwrap();
        };
        let reads = async {
            let found = read(&moving, reading).await;
            *moving.from.before_open.lock().unwrap() = None;
            found
        };
        let (found, ()) = tokio::join!(reads, moved);
        assert_eq!(found, expected, "{reading}");
    }
}

#[tokio::test]
async fn appends_do_not_wait_for_a_large_rest() {
    let moving = Moving::with(LogConfig::default()).await;
    let mut arrival = moving.arrival().await;
    let large = "x".repeat(900_000);
    for _ in 0..20 {
        moving.from.put(&moving.partition, &[&large]).await.unwrap();
    }
    let Ok(Arrived::NotYet(mut copy)) = moving.partition.move_to(arrival).await else {
        panic!("18 MB were copied while no append could be written");
    };
    assert_eq!(moving.is_named(), (true, false));
    while copy.advance(Relocation::PIECE_BYTES).await.unwrap() != Progress::Whole {}
    arrival = Arrival { copy: *copy, dir: DirIndex::at(1), unique: UNIQUE };
    moving.arrive(arrival).await.unwrap();
    assert_eq!(moving.from.read(&moving.partition, 0).await.unwrap().len(), 30, "all of them");
}
