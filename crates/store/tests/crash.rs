//! Crashes and refusals: the process is killed, the disk is full, the disk is broken.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test panics, its child talks")]

mod common;
mod faulty;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::{DIR_NAME, Node, Options, values};
use faulty::{Fault, FaultyDisk};
use strandline_ports::real::WriteBudget;
use strandline_store::{DirState, Io, LogDir, LogDirOptions, OpenFiles, StoreFault, TailCache};
use strandline_types::Offset;

const CHILD_DIR: &str = "STRANDLINE_CRASH_CHILD_DIR";

/// Kills its process when it goes, also when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: the process that is killed. Appends and says which offsets were acked.
#[tokio::test]
async fn child_that_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    // A tight budget: writes take turns between this thread and the writer thread.
    let options =
        Options { budget: WriteBudget { dirty_bytes_max: 100_000 }, ..Options::default() };
    let path = Path::new(&dir);
    let mut node = match path.join(common::DIR_NAME).exists() {
        true => Node::open(path, options).await.unwrap().0,
        false => Node::create(path, options).await,
    };
    for turn in 0.. {
        let next = node.log.log_end().get();
        let offset = node.append_values(&values(next as usize, 7, 300), next).await;
        if turn % 16 == 0 {
            node.sync(next).await;
        }
        println!("acked {}", offset.get() + 6);
    }
}

#[tokio::test]
async fn killed_at_any_moment_every_acked_record_is_there_once() {
    let home = tempfile::tempdir().unwrap();
    let mut acked = -1;
    for round in 0..6 {
        let mut child = Killed(
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
                .env(CHILD_DIR, home.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut left = 20 + 37 * round;
        for line in lines.map(Result::unwrap) {
            if let Some(offset) = line.strip_prefix("acked ") {
                acked = acked.max(offset.parse().unwrap());
                left -= 1;
            }
            if left == 0 {
                // Whatever it says from now on is read too: it was acked.
                child.0.kill().unwrap();
            }
        }
        drop(child);
        let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
        let read = node.read_all(100_000).await;
        assert!(node.log.log_end().get() > acked, "acked {acked}, found {}", node.log.log_end());
        let all = values(0, node.log.log_end().get() as usize, 300);
        let expected: Vec<_> = all.into_iter().enumerate().map(|(i, v)| (i as i64, v)).collect();
        assert!(read == expected, "round {round}: records differ");
    }
    assert!(acked > 100);
}

/// A start after a crash opens thousands of them.
#[tokio::test]
async fn nothing_is_written_for_a_partition_with_nothing_to_index() {
    let home = tempfile::tempdir().unwrap();
    let files = || {
        let dir = std::fs::read_dir(home.path().join(DIR_NAME)).unwrap();
        let seen = dir.map(|entry| entry.map(|it| (it.file_name(), it.metadata().unwrap())));
        let seen = seen.map(|it| it.map(|(name, data)| (name, data.modified().unwrap())));
        seen.collect::<Result<BTreeMap<_, _>, _>>().unwrap()
    };
    drop(Node::create(home.path(), Options::default()).await);
    let before = files();
    let (mut node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(files(), before, "it holds no record");
    node.append_values(&values(0, 3, 10), 1000).await;
    drop(node);
    let before = files();
    let (mut node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(files(), before, "its few records are not worth an entry of an index");
    // And it goes on as any other.
    for at in 1..100 {
        node.append_values(&values(3 * at, 3, 10), 1000).await;
    }
    drop(node);
    let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(node.read_all(1000).await.len(), 300);
}

async fn node_on(disk: &FaultyDisk, home: &Path) -> Node {
    node_with(disk, home, Options::default()).await
}

async fn node_with(disk: &FaultyDisk, home: &Path, options: Options) -> Node {
    let real = common::io(WriteBudget::default());
    let io = Io { disk: Arc::new(disk.clone()), spawn: real.spawn };
    let shared = LogDirOptions {
        open_files: Arc::new(OpenFiles::new(100)),
        tail_cache: Arc::new(TailCache::new(0)),
    };
    Node::create_in(LogDir::open(io, home, shared).await.unwrap(), options).await
}

#[tokio::test]
async fn a_full_disk_refuses_serves_and_resumes() {
    let home = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut node = node_on(&disk, home.path()).await;
    node.append_values(&values(0, 3, 100), 1000).await;
    let before = node.read_all(1000).await;

    disk.fail(Fault::WriteHalf(ErrorKind::StorageFull));
    let batch = || common::batch_of(&values(3, 3, 100), 1001);
    let fault = node.append(batch(), 1001).await.unwrap_err();
    assert!(fault.is_full(), "{fault}");
    assert_eq!(node.dir.state(), DirState::Full);
    let refused = node.store.append(Vec::new()).await;
    assert!(matches!(refused, Err(StoreFault::Full { .. })));
    assert_eq!(node.dir.resume_if_room().await.unwrap(), DirState::Full);
    // What is there is still read, also when there is not even room to set things right.
    assert_eq!(node.read_all(1000).await, before);
    assert!(node.try_truncate(node.log.written_end(), 1001).await.unwrap_err().is_full());
    assert_eq!(node.read_all(1000).await, before);

    disk.fail(Fault::None);
    assert_eq!(node.dir.resume_if_room().await.unwrap(), DirState::Online);
    // The log core forgets what it admitted.
    node.truncate(node.log.written_end(), 1002).await;
    assert_eq!(node.log.log_end(), Offset(3));
    assert_eq!(node.append(batch(), 1003).await.unwrap(), Offset(3));
    let expected: Vec<_> =
        values(0, 6, 100).into_iter().enumerate().map(|(i, v)| (i as i64, v)).collect();
    assert_eq!(node.read_all(1000).await, expected);
    drop(node);
    let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    assert_eq!(node.read_all(1000).await, expected);
}

/// Appends 40 batches while one write fails, whichever it is: of a log, an index, a snapshot, a
/// checkpoint.
async fn append_with_one_failure(writes_before: u32, kind: ErrorKind) {
    let home = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut node = node_on(&disk, home.path()).await;
    disk.fail(Fault::WriteHalfAfter(writes_before, kind));
    let mut acked = 0;
    while acked < 120 {
        let batch = common::batch_of(&values(acked, 3, 100), 1000);
        match node.append(batch, 1000).await {
            Ok(offset) => {
                assert_eq!(offset, Offset(acked as i64));
                acked += 3;
            }
            Err(fault) if fault.is_full() => {
                assert_eq!(node.dir.resume_if_room().await.unwrap(), DirState::Online);
                node.truncate(node.log.written_end(), 1000).await;
            }
            Err(_) => {
                assert_eq!(node.dir.state(), DirState::Offline);
                break;
            }
        }
    }
    let expected: Vec<_> =
        values(0, acked, 100).into_iter().enumerate().map(|(i, v)| (i as i64, v)).collect();
    assert_eq!(node.read_from(Offset(0), Offset(acked as i64), 1000).await, expected);
    drop(node);
    let (node, _) = Node::open(home.path(), Options::default()).await.unwrap();
    let mut read = node.read_all(1000).await;
    // What failed half way may turn out to be there after all.
    read.truncate(acked);
    assert_eq!(read, expected, "after {writes_before} writes");
}

#[tokio::test]
async fn whichever_write_fails_nothing_acked_is_lost() {
    for writes_before in (0..70).step_by(3) {
        append_with_one_failure(writes_before, ErrorKind::StorageFull).await;
        append_with_one_failure(writes_before, ErrorKind::Other).await;
    }
}

/// The metadata log's files after 24 appends, each done again until there was room for it.
async fn patient(home: &Path, fault: Fault) -> BTreeMap<String, Vec<u8>> {
    let disk = FaultyDisk::default();
    let options = Options { preallocate_bytes: 2048, ..Options::default() };
    let mut node = node_with(&disk, home, options).await;
    disk.fail(fault);
    for at in 0..24 {
        let batch = common::batch_of(&values(at, 1, 400), 1000 + at as i64);
        let append = node.admit(batch, 1000 + at as i64);
        let end = append.plan.appended.next_offset;
        while node.store.end() < end {
            match node.store.append(vec![append.clone()]).await {
                Err(fault) if fault.is_full() => {}
                written => written.unwrap(),
            }
        }
        node.log.written(end);
    }
    assert_eq!(node.read_all(1000).await.len(), 24);
    disk.fail(Fault::None);
    node.close().await;
    let files = std::fs::read_dir(home.join(DIR_NAME)).unwrap().flatten();
    let read = |it: std::fs::DirEntry| {
        (it.file_name().into_string().unwrap(), std::fs::read(it.path()).unwrap())
    };
    files.map(read).collect()
}

#[tokio::test]
async fn a_full_disk_leaves_no_trace_in_the_metadata_log() {
    let home = tempfile::tempdir().unwrap();
    let expected = patient(home.path(), Fault::None).await;
    let logs = expected.keys().filter(|name| name.ends_with(".log"));
    assert!(logs.count() > 2, "it rolls");
    for writes_before in 0..50 {
        let home = tempfile::tempdir().unwrap();
        let fault = Fault::WriteHalfAfter(writes_before, ErrorKind::StorageFull);
        let found = patient(home.path(), fault).await;
        assert!(found == expected, "after {writes_before} writes");
    }
}

#[tokio::test]
async fn a_broken_disk_takes_the_dir_offline() {
    for fault in [Fault::WriteHalf(ErrorKind::Other), Fault::Sync] {
        let home = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let mut node = node_on(&disk, home.path()).await;
        node.append_values(&values(0, 3, 100), 1000).await;
        let mut states = node.dir.watch_state();
        disk.fail(fault);
        if fault == Fault::Sync {
            let plan = node.log.plan_sync(node.log.written_end()).unwrap();
            assert!(node.store.sync(&plan).await.is_err());
        } else {
            let batch = common::batch_of(&values(3, 3, 100), 1001);
            assert!(node.append(batch, 1001).await.is_err());
            node.log.fail();
        }
        states.changed().await.unwrap();
        assert_eq!(*states.borrow(), DirState::Offline);
        // And stays so, whatever the disk says next.
        disk.fail(Fault::None);
        assert_eq!(node.dir.resume_if_room().await.unwrap(), DirState::Offline);
        let refused = node.store.append(Vec::new()).await;
        assert!(matches!(refused, Err(StoreFault::Offline { .. })));
    }
}

#[tokio::test]
async fn a_dir_is_held_by_one_process() {
    let home = tempfile::tempdir().unwrap();
    let held = common::open_dir(home.path(), &Options::default()).await;
    let options = LogDirOptions {
        open_files: Arc::new(OpenFiles::new(100)),
        tail_cache: Arc::new(TailCache::new(0)),
    };
    let io = common::io(WriteBudget::default());
    let refused = LogDir::open(io.clone(), home.path(), options.clone()).await;
    let Err(StoreFault::Io { source, .. }) = refused else { panic!("it is locked") };
    assert_eq!(source.kind(), ErrorKind::WouldBlock);
    drop(held);
    assert!(LogDir::open(io, home.path(), options).await.is_ok());
}
