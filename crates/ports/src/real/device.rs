//! One device's writes. The kernel lets a process fill memory with dirty pages and then stalls
//! whoever writes next, a runtime thread for example. So the bytes that are not yet on the device
//! are counted here; they are started to disk early; and writes beyond the budget wait in a queue
//! of ours, served by one writer thread, in order.
//!
//! Flushes run on a few threads of their own: a flush of one file may take as long as its device
//! likes and holds up neither the queue nor the flush of another file.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

use bytes::Bytes;

use super::disk::FileInner;
use super::page_cache;
use crate::Completer;

/// Full pages behind a file's tail are started to disk once there are so many bytes of them.
const WRITEBACK_CHUNK_BYTES: u64 = 1024 * 1024;
const PAGE_BYTES: u64 = 4096;
const SYNC_THREADS_MAX: usize = 4;

/// How many bytes of one device may be on their way from memory to disk before writers wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteBudget {
    pub dirty_bytes_max: u64,
}

impl Default for WriteBudget {
    /// A twentieth of the memory, since Linux begins to stall writers at about a seventh of what
    /// is free; at least 64 MiB and at most 1 GiB.
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        let dirty_bytes_max = (memory_bytes() / 20).clamp(64 * MIB, 1024 * MIB);
        Self { dirty_bytes_max }
    }
}

fn memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The device as its files see it. Its threads end when the last file and the disk are gone.
pub(super) struct Device {
    shared: Arc<Shared>,
}

struct Shared {
    budget: WriteBudget,
    /// Written by us and not known to be on the device.
    dirty_bytes: AtomicU64,
    queues: Mutex<Queues>,
    work_for_writer: Condvar,
    work_for_syncers: Condvar,
}

#[derive(Default)]
struct Queues {
    writes: VecDeque<QueuedWrite>,
    writebacks: VecDeque<Writeback>,
    syncs: VecDeque<Arc<FileInner>>,
    /// Files with bytes that no writeback has been asked for, each once, oldest first.
    dirty_files: Vec<Weak<FileInner>>,
    sync_threads: usize,
    sync_threads_idle: usize,
    closed: bool,
}

pub(super) struct QueuedWrite {
    pub(super) file: Arc<FileInner>,
    pub(super) position: u64,
    pub(super) pieces: Vec<Bytes>,
    pub(super) completer: Completer,
}

struct Writeback {
    file: Arc<FileInner>,
    position: u64,
    len: u64,
    /// How many bytes leave the dirty count when it is over; rewritten pages count twice.
    counted_bytes: u64,
}

/// The part of one file that no writeback has been asked for.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct DirtyRange {
    start: u64,
    end: u64,
    counted_bytes: u64,
    /// In the device's list of dirty files; it stays there when a flush makes it clean.
    is_listed: bool,
}

impl DirtyRange {
    /// Adds a write; true when the file must now be listed.
    fn add(&mut self, position: u64, len: u64) -> bool {
        if self.counted_bytes == 0 {
            self.start = position;
            self.end = position + len;
        } else {
            self.start = self.start.min(position);
            self.end = self.end.max(position + len);
        }
        self.counted_bytes += len;
        !mem::replace(&mut self.is_listed, true)
    }

    /// Takes the full pages when they fill a chunk. The page under the tail stays: it will change
    /// again, and writing it twice costs a wait for the first time.
    fn take_chunk(&mut self) -> Option<(u64, u64, u64)> {
        let end = self.end - self.end % PAGE_BYTES;
        let len = end.checked_sub(self.start).filter(|&len| len >= WRITEBACK_CHUNK_BYTES)?;
        let counted_bytes = self.counted_bytes.saturating_sub(self.end - end);
        let taken = (self.start, len, counted_bytes);
        self.start = end;
        self.counted_bytes -= counted_bytes;
        Some(taken)
    }

    /// The file is clean now, for as many bytes as this says.
    pub(super) fn clear(&mut self) -> u64 {
        mem::take(&mut self.counted_bytes)
    }
}

impl Device {
    /// Starts the writer and one thread for flushes.
    pub(super) fn start(budget: WriteBudget) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            budget,
            dirty_bytes: AtomicU64::new(0),
            queues: Mutex::default(),
            work_for_writer: Condvar::new(),
            work_for_syncers: Condvar::new(),
        });
        // Owned from here on, so that an error below ends the thread that did start.
        let device = Self { shared: Arc::clone(&shared) };
        let writer = Arc::clone(&shared);
        spawn_thread("disk-writer", move || writer.run_writer())?;
        shared.spawn_syncer(&mut shared.lock())?;
        Ok(device)
    }

    pub(super) fn is_within_budget(&self) -> bool {
        self.shared.is_within_budget()
    }

    #[cfg(test)]
    pub(super) fn dirty_bytes(&self) -> u64 {
        self.shared.dirty_bytes.load(Ordering::Relaxed)
    }

    /// Counts bytes that were just written, and starts a full chunk to disk.
    pub(super) fn wrote(&self, file: &Arc<FileInner>, position: u64, len: u64) {
        self.shared.wrote(file, position, len);
    }

    /// Bytes that are no longer ours to count: flushed, or their file is gone.
    pub(super) fn forget(&self, bytes: u64) {
        self.shared.settle(bytes);
    }

    pub(super) fn queue_write(&self, write: QueuedWrite) {
        self.shared.lock().writes.push_back(write);
        self.shared.work_for_writer.notify_one();
    }

    pub(super) fn queue_sync(&self, file: Arc<FileInner>) {
        self.shared.queue_sync(file);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work_for_writer.notify_all();
        self.shared.work_for_syncers.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_within_budget(&self) -> bool {
        self.dirty_bytes.load(Ordering::Relaxed) < self.budget.dirty_bytes_max
    }

    fn settle(&self, bytes: u64) {
        self.dirty_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn wrote(self: &Arc<Self>, file: &Arc<FileInner>, position: u64, len: u64) {
        let before = self.dirty_bytes.fetch_add(len, Ordering::Relaxed);
        let (became_dirty, chunk) = {
            let mut dirty = file.dirty();
            (dirty.add(position, len), dirty.take_chunk())
        };
        let full = before + len >= self.budget.dirty_bytes_max;
        if !became_dirty && chunk.is_none() && !full {
            return;
        }
        let mut queues = self.lock();
        if became_dirty {
            // Files that have gone stay listed until the list would grow for them.
            if queues.dirty_files.len() == queues.dirty_files.capacity() {
                queues.dirty_files.retain(|file| file.strong_count() > 0);
            }
            queues.dirty_files.push(Arc::downgrade(file));
        }
        if let Some((position, len, counted_bytes)) = chunk {
            let file = Arc::clone(file);
            queues.writebacks.push_back(Writeback { file, position, len, counted_bytes });
        }
        drop(queues);
        if chunk.is_some() || full {
            self.work_for_writer.notify_one();
        }
    }

    fn queue_sync(self: &Arc<Self>, file: Arc<FileInner>) {
        let mut queues = self.lock();
        queues.syncs.push_back(file);
        if queues.sync_threads_idle < queues.syncs.len() && queues.sync_threads < SYNC_THREADS_MAX {
            // One thread is there in any case: more only make it faster.
            let _ = self.spawn_syncer(&mut queues);
        }
        drop(queues);
        self.work_for_syncers.notify_one();
    }

    fn spawn_syncer(self: &Arc<Self>, queues: &mut Queues) -> io::Result<()> {
        let shared = Arc::clone(self);
        spawn_thread("disk-sync", move || shared.run_syncer())?;
        queues.sync_threads += 1;
        Ok(())
    }

    fn run_syncer(self: Arc<Self>) {
        let mut queues = self.lock();
        loop {
            if let Some(file) = queues.syncs.pop_front() {
                drop(queues);
                file.sync_once();
                // Before the lock is taken: the last file of a device takes the device with it.
                drop(file);
                queues = self.lock();
            } else if queues.closed {
                return;
            } else {
                queues.sync_threads_idle += 1;
                queues = wait(&self.work_for_syncers, queues);
                queues.sync_threads_idle -= 1;
            }
        }
    }

    /// Writes first, as long as the budget allows; then starts writebacks; then waits for the
    /// oldest of those that were started.
    fn run_writer(self: Arc<Self>) {
        let mut started: VecDeque<Writeback> = VecDeque::new();
        let mut queues = self.lock();
        loop {
            let is_free = self.is_within_budget();
            if is_free && let Some(write) = queues.writes.pop_front() {
                drop(queues);
                self.write(write);
            } else if let Some(writeback) = queues.writebacks.pop_front() {
                drop(queues);
                started.extend(self.start(writeback));
            } else if let Some(oldest) = started.pop_front() {
                drop(queues);
                self.finish(oldest);
            } else if !is_free && !queues.dirty_files.is_empty() {
                let files = mem::take(&mut queues.dirty_files);
                drop(queues);
                started.extend(files.iter().filter_map(|file| self.start_rest(&file.upgrade()?)));
            } else if let Some(write) = queues.writes.pop_front() {
                // Nothing is left to wait for: what still counts as dirty is being flushed by
                // somebody who asked for it.
                drop(queues);
                self.write(write);
            } else if queues.closed {
                return;
            } else {
                queues = wait(&self.work_for_writer, queues);
                continue;
            }
            queues = self.lock();
        }
    }

    fn write(self: &Arc<Self>, write: QueuedWrite) {
        let QueuedWrite { file, position, pieces, completer } = write;
        let result = file.write_now(position, &pieces);
        if let Ok(len) = result {
            self.wrote(&file, position, len);
        }
        file.queued_write_done();
        completer.complete(result.map(drop));
    }

    fn start(&self, writeback: Writeback) -> Option<Writeback> {
        let Writeback { file, position, len, counted_bytes } = &writeback;
        match page_cache::start_writeback(file.fd(), *position, *len) {
            Ok(()) => Some(writeback),
            Err(error) => {
                file.fail(&error);
                self.settle(*counted_bytes);
                None
            }
        }
    }

    fn start_rest(&self, file: &Arc<FileInner>) -> Option<Writeback> {
        let mut dirty = file.dirty();
        dirty.is_listed = false;
        let (position, len, counted_bytes) = (dirty.start, dirty.end - dirty.start, dirty.clear());
        drop(dirty);
        if counted_bytes == 0 {
            return None;
        }
        self.start(Writeback { file: Arc::clone(file), position, len, counted_bytes })
    }

    fn finish(&self, writeback: Writeback) {
        let Writeback { file, position, len, counted_bytes } = &writeback;
        // An error that this call is told is told to nobody else: it must not be lost.
        if let Err(error) = page_cache::finish_writeback(file.fd(), *position, *len) {
            file.fail(&error);
        }
        self.settle(*counted_bytes);
    }
}

fn spawn_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(run).map(drop)
}

fn wait<'a>(condition: &Condvar, queues: MutexGuard<'a, Queues>) -> MutexGuard<'a, Queues> {
    condition.wait(queues).unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A failure, kept so that it can be told again.
pub(super) fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
