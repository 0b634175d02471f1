//! What a crash left half done in a partition's directory is finished or undone before anything is
//! read. All of it blocking.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use strandline_ports::{DirEntry, Disk, OpenMode};
use strandline_types::Offset;
use strandline_wire::records::{BatchHeader, HEADER_BYTES, next_batch_size};

use crate::format::names::{FileKind, FileState, OffsetFile};
use crate::io::remove_if_there;

/// Leaves only whole segments, their indexes, snapshots, and files that are not ours: what is there
/// then. Most directories are as they should be, and are listed once.
pub(super) fn tidy(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<DirEntry>> {
    let entries = disk.list(dir)?;
    let mut files = BTreeSet::new();
    let mut has_temporary = false;
    for entry in &entries {
        match OffsetFile::parse(&entry.name) {
            Some(file) => _ = files.insert(file),
            None if entry.name.ends_with(".tmp") && !entry.is_dir => {
                has_temporary = true;
                remove_if_there(disk, &dir.join(&entry.name))?;
            }
            None => {}
        }
    }
    let is_whole = files.iter().all(|file| file.state == FileState::Live && belongs(file, &files));
    if is_whole && !has_temporary {
        return Ok(entries);
    }
    // Compaction names all its results `.cleaned` before it makes any of them a `.swap`: where one
    // is still `.cleaned`, the swaps of that round are not complete and the old segments stand.
    let in_state = |state| files.iter().filter(move |file| file.state == state);
    let incomplete_from = in_state(FileState::Cleaned).map(|file| file.offset).min();
    let is_undone = |file: &OffsetFile| incomplete_from.is_some_and(|from| file.offset >= from);
    let (undone, done): (Vec<OffsetFile>, Vec<OffsetFile>) =
        in_state(FileState::Swap).partition(|file| is_undone(file));
    let gone = in_state(FileState::Deleted).chain(in_state(FileState::Cleaned)).chain(&undone);
    for file in gone {
        remove_if_there(disk, &dir.join(file.name()))?;
    }
    complete_swaps(disk, dir, &files, &done)?;
    remove_orphans(disk, dir)?;
    disk.list(dir)
}

/// Puts finished segments in the place of those whose records they hold.
fn complete_swaps(
    disk: &dyn Disk,
    dir: &Path,
    files: &BTreeSet<OffsetFile>,
    swaps: &[OffsetFile],
) -> io::Result<()> {
    for swap in swaps.iter().filter(|file| file.kind == FileKind::Log) {
        let end = end_of_log(disk, &dir.join(swap.name()))?.unwrap_or(swap.offset + 1);
        let is_replaced = |file: &&OffsetFile| {
            file.state == FileState::Live
                && file.kind != FileKind::ProducerSnapshot
                && (swap.offset..end).contains(&file.offset)
        };
        for file in files.iter().filter(is_replaced) {
            remove_if_there(disk, &dir.join(file.name()))?;
        }
    }
    for swap in swaps {
        let live = OffsetFile { state: FileState::Live, ..*swap };
        disk.rename(&dir.join(swap.name()), &dir.join(live.name()))?;
    }
    Ok(())
}

fn end_of_log(disk: &dyn Disk, path: &Path) -> io::Result<Option<Offset>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut header = [0; HEADER_BYTES];
    let (mut position, mut end) = (0, None);
    while file.read_at(position, &mut header)? == HEADER_BYTES {
        let (Ok(Some(size)), Some(parsed)) =
            (next_batch_size(&header), BatchHeader::parse(&header))
        else {
            break;
        };
        end = Some(parsed.last_offset() + 1);
        position += size as u64;
    }
    Ok(end)
}

/// Whether a file's log is there, without which an index says nothing.
fn belongs(file: &OffsetFile, files: &BTreeSet<OffsetFile>) -> bool {
    file.kind == FileKind::ProducerSnapshot
        || files.contains(&OffsetFile::live(file.offset, FileKind::Log))
}

fn remove_orphans(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let files: BTreeSet<OffsetFile> =
        disk.list(dir)?.iter().filter_map(|entry| OffsetFile::parse(&entry.name)).collect();
    for file in files.iter().filter(|file| !belongs(file, &files)) {
        remove_if_there(disk, &dir.join(file.name()))?;
    }
    Ok(())
}
