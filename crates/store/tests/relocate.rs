//! A partition is copied to another log dir while it grows, rolls and is cut.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod faulty;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use common::{DIR_NAME, Node, Options, io, open_dir, partition, values};
use faulty::{Fault, FaultyDisk};
use strandline_ports::real::WriteBudget;
use strandline_store::{
    DirState, Io, LogDir, LogDirOptions, OpenFiles, Progress, Relocation, StoreFault, TailCache,
};
use strandline_types::{Offset, Uuid};

/// Where the copy lies while it is none yet.
const COPY: &str = "orders-0.0123-future";

/// A partition of so many records, and a copy of it that has been begun.
async fn begun(home: &Path, records: usize, options: Options) -> (Node, LogDir, Relocation) {
    let node = Node::create(&home.join("from"), options).await;
    begun_with(home, records, node).await
}

async fn begun_with(home: &Path, records: usize, mut node: Node) -> (Node, LogDir, Relocation) {
    for some in values(0, records, 100).chunks(3) {
        node.append_values(some, 1000).await;
    }
    let target = open_dir(&home.join("to"), &Options::default()).await;
    let copy = target.begin_relocation(Arc::clone(&node.store), COPY).await.unwrap();
    (node, target, copy)
}

#[tokio::test]
async fn the_copy_is_the_log_whatever_happens_to_it_meanwhile() {
    for piece in [50, 700, 100_000] {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        let mut node = Node::create(&from, Options::default()).await;
        let mut all = values(0, 60, 100);
        for some in all.chunks(3) {
            node.append_values(some, 1000).await;
        }
        let target = open_dir(&to, &Options::default()).await;
        let mut copy = target.begin_relocation(Arc::clone(&node.store), COPY).await.unwrap();
        for round in 0..40 {
            copy.advance(piece).await.unwrap();
            assert!(copy.upto() <= Offset(all.len() as i64));
            if round == 20 {
                // Everything from here on was never committed, and other records come.
                all.truncate(45);
                node.truncate(Offset(45), 2000).await;
            }
            let more = [format!("after round {round}")];
            node.append_values(&more, 3000 + round).await;
            all.extend(more);
        }
        assert!(copy.complete(node.log.epochs().entries()).await.unwrap());
        assert_eq!((copy.upto(), copy.missing_bytes()), (Offset(all.len() as i64), 0));
        let moved = copy.take_over(&partition(), Uuid::from_u128(5)).await.unwrap();
        assert!(!to.join(COPY).exists());
        for entry in fs::read_dir(from.join(DIR_NAME)).unwrap() {
            let name = entry.unwrap().file_name();
            let [ours, copied] = [&from, &to].map(|dir| fs::read(dir.join(DIR_NAME).join(&name)));
            assert!(ours.unwrap() == copied.unwrap(), "{name:?} with pieces of {piece}");
        }
        // The copy goes on where the log was.
        node.store = moved;
        let more = values(60, 30, 100);
        for some in more.chunks(3) {
            node.append_values(some, 9000).await;
        }
        all.extend(more);
        let expected: Vec<_> = all.into_iter().enumerate().map(|(i, it)| (i as i64, it)).collect();
        assert_eq!(node.read_all(u32::MAX).await, expected, "pieces of {piece}");
        drop((node, target));
        let (node, _) = Node::open(&to, Options::default()).await.unwrap();
        assert_eq!(node.read_all(u32::MAX).await, expected, "pieces of {piece}, after a crash");
    }
}

#[tokio::test]
async fn a_segment_whose_file_is_not_there_ends_the_move() {
    let home = tempfile::tempdir().unwrap();
    let (_node, _target, mut copy) =
        begun(home.path(), 600, Options { files_max: 1, ..Options::default() }).await;
    let first = home.path().join("from").join(DIR_NAME).join(format!("{:020}.log", 0));
    fs::remove_file(first).unwrap();
    let outcome = loop {
        match copy.advance(u32::MAX).await {
            Ok(Progress::Copied(_)) => {}
            outcome => break outcome,
        }
    };
    assert!(matches!(outcome, Err(StoreFault::Corrupt { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_log_that_is_cut_while_it_is_copied_ends_no_move() {
    let home = tempfile::tempdir().unwrap();
    let (mut node, _target, mut copy) = begun(home.path(), 15, Options::default()).await;
    for round in 0..30 {
        node.append_values(&values(0, 5, 100), 2000 + round).await;
        let cut = node.truncate(Offset(15), 3000 + round);
        let copying = async {
            // Often enough to come to what is just being cut.
            for _ in 0..20 {
                copy.advance(100_000).await.unwrap();
            }
        };
        tokio::join!(cut, copying);
    }
    assert!(!copy.complete(node.log.epochs().entries()).await.unwrap(), "it was cut");
    while copy.advance(100_000).await.unwrap() != Progress::Whole {}
    assert!(copy.complete(node.log.epochs().entries()).await.unwrap());
    assert_eq!((copy.upto(), copy.missing_bytes()), (node.log.log_end(), 0));
}

#[tokio::test]
async fn a_partition_moves_away_from_a_disk_without_a_byte_left() {
    let home = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let io = Io { disk: Arc::new(disk.clone()), ..io(WriteBudget::default()) };
    let shared = LogDirOptions {
        open_files: Arc::new(OpenFiles::new(100)),
        tail_cache: Arc::new(TailCache::new(0)),
    };
    let dir = LogDir::open(io, &home.path().join("from"), shared).await.unwrap();
    let node = Node::create_in(dir, Options::default()).await;
    let (mut node, target, mut copy) = begun_with(home.path(), 15, node).await;
    disk.fail(Fault::WriteHalf(ErrorKind::StorageFull));
    assert!(copy.complete(node.log.epochs().entries()).await.unwrap());
    assert_eq!((node.dir.state(), target.state()), (DirState::Full, DirState::Online));
    node.store = copy.take_over(&partition(), Uuid::from_u128(5)).await.unwrap();
    node.append_values(&values(15, 1, 100), 2000).await;
    let expected: Vec<_> =
        values(0, 16, 100).into_iter().enumerate().map(|(i, it)| (i as i64, it)).collect();
    assert_eq!(node.read_all(u32::MAX).await, expected);
}

#[tokio::test]
async fn a_copy_of_many_segments_holds_one_file_open() {
    let home = tempfile::tempdir().unwrap();
    let (node, _target, mut copy) = begun(home.path(), 600, Options::default()).await;
    while copy.advance(100_000).await.unwrap() != Progress::Whole {}
    assert!(node.log.segments().len() > 10);
    let new_dir = home.path().join("to").join(COPY);
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    assert_eq!(open.filter(|path| path.starts_with(&new_dir)).count(), 1);
}
