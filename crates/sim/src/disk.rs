//! A simulated disk: a page cache over a device, and what happens to both when things go wrong.
//!
//! A process crash keeps the page cache. A power loss keeps what was synced, and of everything
//! written since then an arbitrary part, down to torn sectors; of the directory operations that
//! no sync covered, the first so many (they are journaled in order).

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use strandline_ports::{Completer, Completion, DirEntry, DirLock, Disk, DiskSpace, File, OpenMode};
use strandline_types::Timestamp;

use crate::executor::Sim;
use crate::node::{Crash, NodeId};

/// The unit in which a device writes: a torn write is torn here.
const SECTOR_BYTES: usize = 512;

/// What the disk does besides working.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFaults {
    /// One write or sync in so many fails with an I/O error; 0: none.
    pub error_one_in: u64,
    /// One write in so many completes later instead of inline; 0: none.
    pub late_one_in: u64,
    /// A sync takes up to this long.
    pub sync_max: Duration,
    /// Every write and sync takes so much longer.
    pub stall: Duration,
    /// One cached read in so many finds the page cold; 0: none.
    pub cold_one_in: u64,
    /// Bytes that all files together may take; 0: no limit.
    pub capacity_bytes: u64,
}

/// One machine's disk.
pub struct SimDisk {
    sim: Sim,
    node: NodeId,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    faults: DiskFaults,
    boots: u64,
    names: BTreeMap<PathBuf, Entry>,
    /// Names as the device has them.
    durable_names: BTreeMap<PathBuf, Entry>,
    /// Name changes that the device does not have yet, oldest first.
    journal: Vec<NameChange>,
    locks: BTreeMap<PathBuf, u64>,
    /// The machine's process is going down: what its destructors still ask for never happens.
    halted: bool,
    next_lock: u64,
}

#[derive(Clone)]
enum Entry {
    Dir,
    File(Arc<Mutex<Content>>),
}

#[derive(Clone)]
enum NameChange {
    Put(PathBuf, Entry),
    Remove(PathBuf),
    /// One name for another, with all that lies below it: a rename is done or not.
    Move(Vec<(PathBuf, PathBuf, Entry)>),
}

/// One file's bytes, in the page cache and on the device.
#[derive(Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Asked and not done yet: later operations queue behind it.
    busy_until: strandline_types::Instant,
}

#[derive(Clone)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => {
                let end = position + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*position..end].copy_from_slice(bytes);
            }
            Self::SetLen(len) => content.resize(*len, 0),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Put(path, entry) => drop(names.insert(path.clone(), entry.clone())),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Move(moved) => {
                for (from, to, entry) in moved {
                    names.remove(from);
                    names.insert(to.clone(), entry.clone());
                }
            }
        }
    }
}

impl State {
    fn change(&mut self, change: NameChange) {
        if self.halted {
            return;
        }
        change.apply(&mut self.names);
        self.journal.push(change);
    }

    fn commit_names(&mut self) {
        for change in self.journal.drain(..) {
            change.apply(&mut self.durable_names);
        }
    }

    fn file(&self, path: &Path) -> Option<&Arc<Mutex<Content>>> {
        match self.names.get(path)? {
            Entry::File(content) => Some(content),
            Entry::Dir => None,
        }
    }

    fn used_bytes(&self) -> u64 {
        let files = self.names.values().filter_map(|entry| match entry {
            Entry::File(content) => Some(lock(content).cached.len() as u64),
            Entry::Dir => None,
        });
        files.sum()
    }

    fn below<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Entry)> {
        let behind = self.names.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded));
        behind.take_while(move |(path, _)| path.starts_with(dir))
    }
}

/// A disk that has been taken out, with what is on it.
pub(crate) struct TakenDisk(State);

impl SimDisk {
    pub(crate) fn new(sim: Sim, node: NodeId) -> Self {
        Self { sim, node, state: Arc::default() }
    }

    pub fn set_faults(&self, faults: DiskFaults) {
        lock(&self.state).faults = faults;
    }

    /// Bytes that all files take now.
    pub fn used_bytes(&self) -> u64 {
        lock(&self.state).used_bytes()
    }

    /// Overwrites bytes behind everybody's back: bit rot.
    pub fn corrupt(&self, path: &Path, position: usize) {
        if let Some(content) = lock(&self.state).file(path) {
            let content = &mut *lock(content);
            for bytes in [&mut content.cached, &mut content.durable] {
                if let Some(byte) = bytes.get_mut(position) {
                    *byte ^= 0x40;
                }
            }
        }
    }

    /// Whether a file of this name is there; after a loss of power, if nothing unsynced outlives it.
    pub(crate) fn holds(&self, name: &str, after: Crash) -> bool {
        let state = lock(&self.state);
        let names = match after {
            Crash::Process => &state.names,
            Crash::Power => &state.durable_names,
        };
        names.keys().any(|path| path.file_name().is_some_and(|it| it == name))
    }

    /// Another disk comes in its place, with nothing on it, and the old one is kept. No process may run.
    pub(crate) fn replace(&self) -> TakenDisk {
        TakenDisk(self.exchange(State::default()))
    }

    /// The machine gets its old disk again. No process may run.
    pub(crate) fn put_back(&self, taken: TakenDisk) {
        self.exchange(taken.0);
    }

    /// What is of the machine stays.
    fn exchange(&self, other: State) -> State {
        let mut state = lock(&self.state);
        let (faults, boots) = (state.faults, state.boots);
        std::mem::replace(&mut *state, State { faults, boots, ..other })
    }

    /// From now on nothing reaches the disk, until [`SimDisk::crash`] is through.
    pub(crate) fn halt(&self) {
        lock(&self.state).halted = true;
    }

    pub(crate) fn crash(&self, crash: Crash) {
        let mut state = lock(&self.state);
        state.halted = false;
        state.locks.clear();
        if crash == Crash::Process {
            return;
        }
        state.boots += 1;
        let kept = self.sim.draw(|rng| rng.between(0, state.journal.len() as u64)) as usize;
        let journal = std::mem::take(&mut state.journal);
        for change in &journal[..kept] {
            change.apply(&mut state.durable_names);
        }
        state.names = state.durable_names.clone();
        for entry in state.names.values() {
            if let Entry::File(content) = entry {
                self.lose_power(&mut lock(content));
            }
        }
    }

    /// Leaves of a file what was synced and a random part of what was not.
    fn lose_power(&self, content: &mut Content) {
        for change in std::mem::take(&mut content.unsynced) {
            let Change::Write { position, bytes } = change else {
                if self.sim.draw(|rng| rng.one_in(2)) {
                    change.apply(&mut content.durable);
                }
                continue;
            };
            for (index, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                if self.sim.draw(|rng| rng.one_in(2)) {
                    let position = position + index * SECTOR_BYTES;
                    Change::Write { position, bytes: sector.to_vec() }.apply(&mut content.durable);
                }
            }
        }
        content.cached = content.durable.clone();
        content.busy_until = strandline_types::Instant::ZERO;
    }

    fn handle(&self, content: Arc<Mutex<Content>>) -> Arc<dyn File> {
        Arc::new(SimFile {
            sim: self.sim.clone(),
            node: self.node,
            disk: Arc::clone(&self.state),
            content,
            failed: Arc::default(),
        })
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = lock(&self.state);
        let existing = state.file(path).cloned();
        let content = match (existing, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(content), _) => content,
            (None, OpenMode::Read | OpenMode::Write) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let parent = path.parent().unwrap_or(Path::new(""));
                if !matches!(state.names.get(parent), Some(Entry::Dir)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let content = Arc::<Mutex<Content>>::default();
                state.change(NameChange::Put(path.into(), Entry::File(Arc::clone(&content))));
                content
            }
        };
        Ok(self.handle(content))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = lock(&self.state);
        if !matches!(state.names.get(dir), Some(Entry::Dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let children = state.below(dir).filter(|(path, _)| path.parent() == Some(dir));
        let entries = children.map(|(path, entry)| DirEntry {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            is_dir: matches!(entry, Entry::Dir),
            len: match entry {
                Entry::Dir => 0,
                Entry::File(content) => lock(content).cached.len() as u64,
            },
            modified_at: Timestamp::NONE,
        });
        Ok(entries.collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let mut missing: Vec<&Path> =
            dir.ancestors().filter(|path| !state.names.contains_key(*path)).collect();
        missing.reverse();
        for path in missing {
            state.change(NameChange::Put(path.into(), Entry::Dir));
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        if state.file(path).is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(NameChange::Remove(path.into()));
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !state.names.contains_key(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut gone: Vec<PathBuf> = state.below(dir).map(|(path, _)| path.clone()).collect();
        gone.reverse();
        gone.push(dir.into());
        for path in gone {
            state.change(NameChange::Remove(path));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        let Some(entry) = state.names.get(from).cloned() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let inside = state.below(from).map(|(path, entry)| {
            let moved = to.join(path.strip_prefix(from).unwrap_or(path));
            (path.clone(), moved, entry.clone())
        });
        let mut moved: Vec<(PathBuf, PathBuf, Entry)> = inside.collect();
        moved.push((from.into(), to.into(), entry));
        state.change(NameChange::Move(moved));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !state.halted {
            state.commit_names();
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        let mut state = lock(&self.state);
        if state.locks.contains_key(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.next_lock += 1;
        let token = state.next_lock;
        state.locks.insert(path.into(), token);
        Ok(Box::new(SimLock { disk: Arc::clone(&self.state), path: path.into(), token }))
    }

    fn boot_id(&self) -> io::Result<String> {
        Ok(format!("{}-boot{}", self.node, lock(&self.state).boots))
    }

    fn space(&self, _dir: &Path) -> io::Result<DiskSpace> {
        let state = lock(&self.state);
        let total_bytes = match state.faults.capacity_bytes {
            0 => u64::MAX / 2,
            limited => limited,
        };
        let usable_bytes = total_bytes.saturating_sub(state.used_bytes());
        Ok(DiskSpace { total_bytes, usable_bytes })
    }
}

struct SimLock {
    disk: Arc<Mutex<State>>,
    path: PathBuf,
    token: u64,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = lock(&self.disk);
        // After a crash the next process may hold the lock already.
        if state.locks.get(&self.path) == Some(&self.token) {
            state.locks.remove(&self.path);
        }
    }
}

struct SimFile {
    sim: Sim,
    node: NodeId,
    disk: Arc<Mutex<State>>,
    content: Arc<Mutex<Content>>,
    /// A failed write or sync fails all that follow, see the port.
    failed: Arc<Mutex<bool>>,
}

impl SimFile {
    fn faults(&self) -> DiskFaults {
        lock(&self.disk).faults
    }

    /// Does `operation` when its turn has come: inline, or after `delay` and whatever is queued.
    fn run(
        &self,
        delay: Duration,
        operation: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Completion {
        let now = self.sim.now();
        let at = {
            let mut content = lock(&self.content);
            content.busy_until = content.busy_until.max(now + delay);
            content.busy_until
        };
        if at <= now {
            return Completion::ready(operation());
        }
        let (completer, completion): (Completer, _) = Completion::waiting();
        self.sim.at(self.node, at, Box::new(move || completer.complete(operation())));
        completion
    }

    fn injected_error(&self) -> io::Result<()> {
        if lock(&self.disk).halted {
            return Err(io::Error::other("the process has crashed"));
        }
        let faults = self.faults();
        let mut failed = lock(&self.failed);
        if *failed || self.sim.draw(|rng| rng.one_in(faults.error_one_in)) {
            *failed = true;
            return Err(io::Error::other("simulated device error"));
        }
        Ok(())
    }
}

impl File for SimFile {
    fn write_at(&self, position: u64, pieces: Vec<Bytes>) -> Completion {
        let faults = self.faults();
        if let Err(error) = self.injected_error() {
            return Completion::ready(Err(error));
        }
        let bytes = pieces.concat();
        let position = position as usize;
        let grows = (position + bytes.len()).saturating_sub(lock(&self.content).cached.len());
        let full = faults.capacity_bytes > 0
            && lock(&self.disk).used_bytes() + grows as u64 > faults.capacity_bytes;
        if full {
            *lock(&self.failed) = true;
            return Completion::ready(Err(io::ErrorKind::StorageFull.into()));
        }
        let late = self.sim.draw(|rng| rng.one_in(faults.late_one_in));
        let delay = faults.stall
            + match late {
                true => self.sim.draw(|rng| Duration::from_micros(rng.between(10, 5_000))),
                false => Duration::ZERO,
            };
        let content = Arc::clone(&self.content);
        self.run(delay, move || {
            let change = Change::Write { position, bytes };
            let content = &mut *lock(&content);
            change.apply(&mut content.cached);
            content.unsynced.push(change);
            Ok(())
        })
    }

    fn sync(&self) -> Completion {
        if let Err(error) = self.injected_error() {
            return Completion::ready(Err(error));
        }
        let faults = self.faults();
        let longest = faults.sync_max.as_nanos() as u64;
        let delay = self.sim.draw(|rng| Duration::from_nanos(rng.between(1, longest.max(1))));
        let delay = faults.stall + delay;
        let (content, disk) = (Arc::clone(&self.content), Arc::clone(&self.disk));
        self.run(delay, move || {
            let content = &mut *lock(&content);
            for change in content.unsynced.drain(..) {
                change.apply(&mut content.durable);
            }
            // A file's sync commits the journal, its own name with it.
            lock(&disk).commit_names();
            Ok(())
        })
    }

    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        let content = lock(&self.content);
        let from = (position as usize).min(content.cached.len());
        let count = buf.len().min(content.cached.len() - from);
        buf[..count].copy_from_slice(&content.cached[from..from + count]);
        Ok(count)
    }

    fn read_cached_at(&self, position: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let cold_one_in = self.faults().cold_one_in;
        if self.sim.draw(|rng| rng.one_in(cold_one_in)) {
            return Ok(None);
        }
        self.read_at(position, buf).map(Some)
    }

    fn is_cached(&self, _position: u64, _len: u64) -> bool {
        let cold_one_in = self.faults().cold_one_in;
        !self.sim.draw(|rng| rng.one_in(cold_one_in))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.content).cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if lock(&self.disk).halted {
            return Err(io::Error::other("the process has crashed"));
        }
        *lock(&self.failed) = false;
        let change = Change::SetLen(len as usize);
        let content = &mut *lock(&self.content);
        change.apply(&mut content.cached);
        content.unsynced.push(change);
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
