use std::io::ErrorKind;
use std::sync::Arc;

use super::*;

const TIGHT: WriteBudget = WriteBudget { dirty_bytes_max: 0 };

fn disk_in(budget: WriteBudget) -> (RealDisk, tempfile::TempDir) {
    (RealDisk::new(budget), tempfile::tempdir().unwrap())
}

fn read(file: &dyn File, position: u64, len: usize) -> Vec<u8> {
    let mut buf = vec![0; len];
    let count = file.read_at(position, &mut buf).unwrap();
    buf.truncate(count);
    buf
}

#[tokio::test]
async fn writes_all_pieces_back_to_back() {
    for budget in [WriteBudget::default(), TIGHT] {
        let (disk, dir) = disk_in(budget);
        let file = disk.open(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
        // More pieces than one system call takes, some of them empty.
        let pieces: Vec<Bytes> =
            (0..3000u32).map(|i| Bytes::from(vec![i as u8; (i % 5) as usize])).collect();
        let whole: Vec<u8> = pieces.concat();
        file.write_at(7, pieces).await.unwrap();
        file.sync().await.unwrap();
        assert_eq!(file.len().unwrap(), 7 + whole.len() as u64);
        assert_eq!(read(&*file, 7, whole.len() + 10), whole);
        assert_eq!(read(&*file, 0, 7), [0; 7]);
    }
}

#[tokio::test]
async fn a_full_budget_queues_writes_in_order() {
    let (disk, dir) = disk_in(TIGHT);
    let file = disk.open(&dir.path().join("a"), OpenMode::Create).unwrap();
    let mut asked = Vec::new();
    for i in 0..200u8 {
        // All to one place: the last one must win.
        asked.push(file.write_at(0, vec![Bytes::from(vec![i; 70_000])]));
        if i % 50 == 0 {
            asked.push(file.sync());
        }
    }
    for completion in asked {
        completion.await.unwrap();
    }
    assert_eq!(read(&*file, 0, 70_000), [199; 70_000]);
}

#[tokio::test]
async fn dirty_bytes_settle_to_nothing() {
    let (disk, dir) = disk_in(WriteBudget { dirty_bytes_max: 3 << 20 });
    let chunk = Bytes::from(vec![1u8; 300_000]);
    let files: Vec<_> = (0..4)
        .map(|i| disk.open(&dir.path().join(format!("{i}")), OpenMode::Create).unwrap())
        .collect();
    for turn in 0..60u64 {
        for file in &files {
            file.write_at(turn * 300_000, vec![chunk.clone()]).await.unwrap();
        }
    }
    for file in &files {
        file.sync().await.unwrap();
        assert_eq!(file.len().unwrap(), 60 * 300_000);
    }
    let device = Arc::clone(lock(&disk.devices).values().next().unwrap());
    drop(files);
    drop(disk);
    // The writer holds on to a file while its pages are on their way.
    while Arc::strong_count(&device) > 1 {
        std::thread::yield_now();
    }
    assert_eq!(device.dirty_bytes(), 0);
}

#[tokio::test]
async fn a_failed_write_fails_what_is_behind_it() {
    let (disk, _dir) = disk_in(WriteBudget::default());
    let Ok(full) = disk.open(Path::new("/dev/full"), OpenMode::Write) else { return };
    let one = || vec![Bytes::from_static(b"x")];
    assert_eq!(full.write_at(0, one()).await.unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(full.sync().await.unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(full.write_at(0, one()).await.unwrap_err().kind(), ErrorKind::StorageFull);
}

#[tokio::test]
async fn cached_reads_see_what_was_written() {
    let (disk, dir) = disk_in(WriteBudget::default());
    let file = disk.open(&dir.path().join("a"), OpenMode::Create).unwrap();
    file.write_at(0, vec![Bytes::from(vec![9; 20_000])]).await.unwrap();
    assert!(file.is_cached(100, 19_900));
    assert!(file.is_cached(0, 0));
    let mut buf = [0; 10];
    assert_eq!(file.read_cached_at(19_995, &mut buf).unwrap(), Some(5));
    assert_eq!(file.read_cached_at(20_000, &mut buf).unwrap(), Some(0));
    file.set_len(10).unwrap();
    assert_eq!(file.len().unwrap(), 10);
}

#[test]
fn open_modes() {
    let (disk, dir) = disk_in(WriteBudget::default());
    let path = dir.path().join("a");
    let kind = |mode| disk.open(&path, mode).map(drop).map_err(|error| error.kind());
    assert_eq!(kind(OpenMode::Read), Err(ErrorKind::NotFound));
    assert_eq!(kind(OpenMode::Write), Err(ErrorKind::NotFound));
    assert_eq!(kind(OpenMode::CreateNew), Ok(()));
    assert_eq!(kind(OpenMode::CreateNew), Err(ErrorKind::AlreadyExists));
    assert_eq!(kind(OpenMode::Create), Ok(()));
}

#[test]
fn a_directory_is_listed_in_name_order_and_renames_replace() {
    let (disk, dir) = disk_in(WriteBudget::default());
    for name in ["c", "a", "b"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    disk.create_dir_all(&dir.path().join("d/e")).unwrap();
    disk.rename(&dir.path().join("a"), &dir.path().join("b")).unwrap();
    disk.sync_dir(dir.path()).unwrap();
    let entries = disk.list(dir.path()).unwrap();
    let names: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.is_dir)).collect();
    assert_eq!(names, [("b", false), ("c", false), ("d", true)]);
    assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), b"a");
    assert!(disk.space(dir.path()).unwrap().total_bytes > 0);
}

#[test]
fn a_lock_is_held_until_dropped() {
    let (disk, dir) = disk_in(WriteBudget::default());
    let path = dir.path().join(".lock");
    let held = disk.lock(&path).unwrap();
    assert_eq!(disk.lock(&path).map(drop).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(held);
    disk.lock(&path).map(drop).unwrap();
}

#[test]
fn the_boot_id_stays_within_one_boot() {
    let disk = RealDisk::default();
    if cfg!(target_os = "linux") {
        assert_eq!(disk.boot_id().unwrap(), disk.boot_id().unwrap());
    }
}
