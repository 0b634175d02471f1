use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use strandline_types::Timestamp;

use super::device::{Device, DirtyRange, QueuedWrite, WriteBudget, copy_error};
use super::page_cache;
use crate::{Completer, Completion, DirEntry, DirLock, Disk, DiskSpace, File, OpenMode};

/// The file system. Writes go through the page cache, see [`WriteBudget`].
#[derive(Default)]
pub struct RealDisk {
    budget: WriteBudget,
    /// By device number.
    devices: Mutex<BTreeMap<u64, Arc<Device>>>,
}

impl RealDisk {
    pub fn new(budget: WriteBudget) -> Self {
        Self { budget, devices: Mutex::default() }
    }

    fn device(&self, file: &fs::File) -> io::Result<Arc<Device>> {
        let number = file.metadata()?.dev();
        let mut devices = lock(&self.devices);
        if let Some(device) = devices.get(&number) {
            return Ok(Arc::clone(device));
        }
        let device = Arc::new(Device::start(self.budget)?);
        devices.insert(number, Arc::clone(&device));
        Ok(device)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        match mode {
            OpenMode::Read | OpenMode::Write => {}
            OpenMode::Create => _ = options.create(true),
            OpenMode::CreateNew => _ = options.create_new(true),
        }
        let fd = options.open(path)?;
        let device = self.device(&fd)?;
        Ok(Arc::new(RealFile(Arc::new(FileInner {
            fd,
            device,
            dirty: Mutex::default(),
            order: Mutex::default(),
        }))))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A name that is not text is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            match fs::metadata(entry.path()) {
                Ok(found) => {
                    let modified_at =
                        Timestamp(found.mtime() * 1000 + found.mtime_nsec() / 1_000_000);
                    let (is_dir, len) = (found.is_dir(), found.len());
                    entries.push(DirEntry { name, is_dir, len, modified_at });
                }
                // Deleted since, or a link to nowhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        // Two locks, because neither is enough: Kafka's own is seen by other processes only, and
        // is lost when any handle of this process on the file is closed.
        file.try_lock()?;
        rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| match error {
                rustix::io::Errno::ACCESS => io::ErrorKind::WouldBlock.into(),
                other => io::Error::from(other),
            })?;
        Ok(Box::new(RealLock { _file: file }))
    }

    fn boot_id(&self) -> io::Result<String> {
        match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
            Ok(id) => Ok(id.trim().to_owned()),
            // Not Linux. Never the same twice: then every crash counts as one of the machine.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let random =
                    getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
                Ok(format!("unknown-{random:016x}"))
            }
            Err(error) => Err(error),
        }
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(DiskSpace {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            usable_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

struct RealLock {
    _file: fs::File,
}

impl DirLock for RealLock {}

struct RealFile(Arc<FileInner>);

/// Shared with the device's threads, which may outlive the handle.
pub(super) struct FileInner {
    fd: fs::File,
    device: Arc<Device>,
    dirty: Mutex<DirtyRange>,
    order: Mutex<Order>,
}

/// What one file's operations wait for.
#[derive(Default)]
struct Order {
    writes_queued: u64,
    /// Of those, how many are over.
    writes_done: u64,
    sync_waiters: Vec<SyncWaiter>,
    /// In the device's sync queue or being flushed.
    is_syncing: bool,
    /// Until [`File::set_len`].
    write_failure: Option<io::Error>,
    /// For good.
    sync_failure: Option<io::Error>,
}

struct SyncWaiter {
    /// Satisfied by a flush that begins when so many queued writes are over.
    writes_before: u64,
    completer: Completer,
}

impl Order {
    fn failure(&self) -> Option<io::Error> {
        self.sync_failure.as_ref().or(self.write_failure.as_ref()).map(copy_error)
    }

    /// Takes the file to the sync queue if somebody waits whose writes are over.
    fn begin_sync(&mut self) -> bool {
        let is_wanted = self.sync_waiters.iter().any(|w| w.writes_before <= self.writes_done);
        let begins = is_wanted && !self.is_syncing;
        self.is_syncing |= begins;
        begins
    }
}

impl FileInner {
    pub(super) fn fd(&self) -> &fs::File {
        &self.fd
    }

    pub(super) fn dirty(&self) -> MutexGuard<'_, DirtyRange> {
        lock(&self.dirty)
    }

    /// Writes on this thread, and gives the bytes written.
    pub(super) fn write_now(&self, position: u64, pieces: &[Bytes]) -> io::Result<u64> {
        if let Some(error) = lock(&self.order).failure() {
            return Err(error);
        }
        write_all(&self.fd, position, pieces).inspect_err(|error| {
            lock(&self.order).write_failure = Some(copy_error(error));
        })
    }

    /// A failure found behind the back of whoever wrote: the bytes may be lost.
    pub(super) fn fail(&self, error: &io::Error) {
        lock(&self.order).sync_failure.get_or_insert_with(|| copy_error(error));
    }

    pub(super) fn queued_write_done(self: &Arc<Self>) {
        let begins = {
            let mut order = lock(&self.order);
            order.writes_done += 1;
            order.begin_sync()
        };
        if begins {
            self.device.queue_sync(Arc::clone(self));
        }
    }

    /// One flush for everybody who asked before it begins.
    pub(super) fn sync_once(self: &Arc<Self>) {
        let (served, failure) = {
            let mut order = lock(&self.order);
            let writes_done = order.writes_done;
            let all = mem::take(&mut order.sync_waiters);
            let (served, later) = all.into_iter().partition(|w| w.writes_before <= writes_done);
            order.sync_waiters = later;
            (served, order.failure())
        };
        let served: Vec<SyncWaiter> = served;
        let clean_bytes = self.dirty().clear();
        let result = match failure {
            Some(error) => Err(error),
            None => self.fd.sync_data().inspect_err(|error| self.fail(error)),
        };
        self.device.forget(clean_bytes);
        for waiter in served {
            waiter.completer.complete(result.as_ref().map(|&()| ()).map_err(copy_error));
        }
        let begins = {
            let mut order = lock(&self.order);
            order.is_syncing = false;
            order.begin_sync()
        };
        if begins {
            self.device.queue_sync(Arc::clone(self));
        }
    }
}

impl Drop for FileInner {
    fn drop(&mut self) {
        let dirty = self.dirty.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.device.forget(dirty.clear());
    }
}

impl File for RealFile {
    fn write_at(&self, position: u64, pieces: Vec<Bytes>) -> Completion {
        let file = &self.0;
        {
            let mut order = lock(&file.order);
            if let Some(error) = order.failure() {
                return Completion::ready(Err(error));
            }
            if order.writes_done < order.writes_queued || !file.device.is_within_budget() {
                order.writes_queued += 1;
                let (completer, completion) = Completion::waiting();
                let file = Arc::clone(file);
                let write = QueuedWrite { file, position, pieces, completer };
                // Under the lock, so that writes are queued in the order of their numbers.
                self.0.device.queue_write(write);
                return completion;
            }
        }
        let result = file.write_now(position, &pieces);
        if let Ok(len) = result {
            file.device.wrote(file, position, len);
        }
        Completion::ready(result.map(drop))
    }

    fn sync(&self) -> Completion {
        let file = &self.0;
        let (completer, completion) = Completion::waiting();
        let begins = {
            let mut order = lock(&file.order);
            let writes_before = order.writes_queued;
            order.sync_waiters.push(SyncWaiter { writes_before, completer });
            order.begin_sync()
        };
        if begins {
            file.device.queue_sync(Arc::clone(file));
        }
        completion
    }

    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.fd.read_at(&mut buf[done..], position + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_cached_at(&self, position: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        match read_no_wait(&self.0.fd, position, buf) {
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                self.read_at(position, buf).map(Some)
            }
            other => Ok(Some(other?)),
        }
    }

    fn is_cached(&self, position: u64, len: u64) -> bool {
        const PAGE_BYTES: u64 = 4096;
        let Some(last) = position.checked_add(len).and_then(|end| end.checked_sub(1)) else {
            return true;
        };
        let (first_page, last_page) = (position / PAGE_BYTES, last / PAGE_BYTES);
        if let Some(cached) = page_cache::cached_pages(&self.0.fd, position, len) {
            return cached > last_page - first_page;
        }
        (first_page..=last_page)
            .all(|page| matches!(self.read_cached_at(page * PAGE_BYTES, &mut [0]), Ok(Some(_))))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.fd.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.fd.set_len(len)?;
        lock(&self.0.order).write_failure = None;
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.fd.as_fd())
    }
}

#[cfg(target_os = "linux")]
fn read_no_wait(fd: &fs::File, position: u64, buf: &mut [u8]) -> rustix::io::Result<usize> {
    let pieces = &mut [IoSliceMut::new(buf)];
    rustix::io::preadv2(fd, pieces, position, rustix::io::ReadWriteFlags::NOWAIT)
}

#[cfg(not(target_os = "linux"))]
fn read_no_wait(_: &fs::File, _: u64, _: &mut [u8]) -> rustix::io::Result<usize> {
    Err(rustix::io::Errno::OPNOTSUPP)
}

#[cfg(target_os = "linux")]
fn write_some(fd: &fs::File, position: u64, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    /// The system takes no more pieces than this in one call.
    const PIECES_MAX: usize = 1024;
    Ok(rustix::io::pwritev(fd, &pieces[..pieces.len().min(PIECES_MAX)], position)?)
}

#[cfg(not(target_os = "linux"))]
fn write_some(fd: &fs::File, position: u64, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    fd.write_at(&pieces[0], position)
}

fn write_all(fd: &fs::File, position: u64, pieces: &[Bytes]) -> io::Result<u64> {
    let filled = pieces.iter().filter(|piece| !piece.is_empty());
    let mut slices: Vec<IoSlice<'_>> = filled.map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    let mut written = 0u64;
    while !rest.is_empty() {
        match write_some(fd, position + written, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                written += count as u64;
                IoSlice::advance_slices(&mut rest, count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
