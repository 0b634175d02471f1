//! Files as a port. Small on purpose: rules about segments, indexes and recovery live above it,
//! so that no rule is ever written twice.
//!
//! Calls marked *blocking* may wait for a device: on the real world they run inside
//! [`crate::blocking`] unless the caller knows that the pages are cached.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use strandline_types::Timestamp;

use crate::Completion;

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    Read,
    /// Read and write an existing file.
    Write,
    /// Read and write, made if absent, never truncated.
    Create,
    /// Read and write, must be absent.
    CreateNew,
}

/// The room on the device below a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskSpace {
    pub total_bytes: u64,
    pub usable_bytes: u64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    pub len: u64,
    pub modified_at: Timestamp,
}

/// A directory tree. All calls are blocking, all paths are the caller's.
pub trait Disk: Send + Sync {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Entries in name order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Replaces `to` atomically. Durable only after [`Disk::sync_dir`] of the parents.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock that `path` stands for; `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>>;
    /// Changes when the machine (not the process) restarts: what the page cache held is gone then.
    fn boot_id(&self) -> io::Result<String>;
    fn space(&self, dir: &Path) -> io::Result<DiskSpace>;
}

/// Held until dropped.
pub trait DirLock: Send + Sync {}

/// An open file. `&self` everywhere: one writer at a time is the caller's promise.
#[expect(clippy::len_without_is_empty, reason = "an empty file is nothing special here")]
pub trait File: Send + Sync {
    /// Writes all pieces back to back from `position`. Completes inline while the device is within
    /// its dirty budget, else from the device's writer thread. Operations of one file complete in
    /// the order in which they were asked.
    ///
    /// After a failed write every later write and sync of this handle fails too, so that nothing
    /// behind a gap is ever acked, until [`File::set_len`] says where the good bytes end.
    fn write_at(&self, position: u64, pieces: Vec<Bytes>) -> Completion;

    /// Completes when everything written before is on the device (fdatasync). A failure is for
    /// good: what the device did with those bytes is unknown from then on.
    fn sync(&self) -> Completion;

    /// Blocking. Fills `buf` as far as the file goes.
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Like [`File::read_at`] but never waits: `None` when the first byte is not in memory. Stops
    /// early where the bytes in memory end; 0 only at the end of the file.
    fn read_cached_at(&self, position: u64, buf: &mut [u8]) -> io::Result<Option<usize>>;

    /// Whether the whole range is in memory, so that reading or sending it waits for no device.
    fn is_cached(&self, position: u64, len: u64) -> bool;

    /// Blocking.
    fn len(&self) -> io::Result<u64>;

    /// Blocking. Cuts the file, or grows it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// For sendfile; `None` in a world without descriptors.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}
