//! Snapshots of the metadata log.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use strandline_ports::real::WriteBudget;
use strandline_store::SnapshotFiles;
use strandline_store::format::names::SnapshotId;
use strandline_types::{LeaderEpoch, Offset};

fn id(end: i64, epoch: i32) -> SnapshotId {
    SnapshotId { end: Offset(end), epoch: LeaderEpoch(epoch) }
}

#[tokio::test]
async fn a_snapshot_appears_whole_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let io = common::io(WriteBudget::default());
    let files = SnapshotFiles::new(io.clone(), home.path().to_owned());
    for at in [id(20, 1), id(100, 2)] {
        let mut writer = files.create(at).await.unwrap();
        writer.append(vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")]).await.unwrap();
        writer.append(vec![Bytes::from_static(b"three")]).await.unwrap();
        assert_eq!(writer.len(), 11);
        assert!(files.open(at).await.unwrap().is_none());
        writer.finish().await.unwrap();
    }
    // Begun and never finished.
    let mut writer = files.create(id(300, 3)).await.unwrap();
    writer.append(vec![Bytes::from_static(b"half")]).await.unwrap();
    drop(writer);
    assert_eq!(files.list().await.unwrap(), [id(20, 1), id(100, 2)]);

    let whole = files.open(id(20, 1)).await.unwrap().unwrap();
    assert_eq!(whole.read(&io).await.unwrap(), "onetwothree");
    assert_eq!(whole.slice(3, 3).unwrap().read(&io).await.unwrap(), "two");
    assert_eq!(whole.slice(6, 100).unwrap().read(&io).await.unwrap(), "three");
    assert!(whole.slice(12, 1).is_none());

    files.remove(|at| at < id(100, 2)).await.unwrap();
    assert_eq!(files.list().await.unwrap(), [id(100, 2)]);
    files.remove_unfinished().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "what was never finished is gone too");
    // Whoever has one open goes on reading it.
    assert_eq!(whole.read(&io).await.unwrap(), "onetwothree");
}

#[tokio::test]
async fn a_snapshot_is_finished_while_older_ones_go() {
    let home = tempfile::tempdir().unwrap();
    let io = common::io(WriteBudget::default());
    let files = SnapshotFiles::new(io.clone(), home.path().to_owned());
    let mut old = files.create(id(100, 2)).await.unwrap();
    old.append(vec![Bytes::from_static(b"old")]).await.unwrap();
    old.finish().await.unwrap();
    let mut new = files.create(id(200, 2)).await.unwrap();
    new.append(vec![Bytes::from_static(b"new")]).await.unwrap();
    files.remove(|at| at < id(200, 2)).await.unwrap();
    new.finish().await.unwrap();
    assert_eq!(files.list().await.unwrap(), [id(200, 2)]);
}

#[tokio::test]
async fn a_snapshot_may_be_written_twice_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let io = common::io(WriteBudget::default());
    let files = SnapshotFiles::new(io.clone(), home.path().to_owned());
    let mut writers = Vec::new();
    for _ in 0..3 {
        let mut writer = files.create(id(100, 2)).await.unwrap();
        writer.append(vec![Bytes::from_static(b"whole")]).await.unwrap();
        writers.push(writer);
    }
    writers.pop().unwrap().abandon().await.unwrap();
    for writer in writers {
        writer.finish().await.unwrap();
        let whole = files.open(id(100, 2)).await.unwrap().unwrap();
        assert_eq!(whole.read(&io).await.unwrap(), "whole");
    }
}
