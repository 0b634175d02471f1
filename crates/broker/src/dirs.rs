//! The data directories of this node.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use strandline_store::{DirState, LogDir};
use strandline_types::Uuid;
use tokio::sync::Notify;

/// One directory and its id.
pub(crate) struct Dir {
    /// `None` in one that failed before that could be read.
    pub(crate) id: Option<Uuid>,
    pub(crate) log: LogDir,
    /// Held by whoever looks at the offsets and writes them down: an older look must not be written
    /// over a newer one, and two writers would share one temporary file.
    pub(crate) checkpointing: tokio::sync::Mutex<()>,
    cordoned: AtomicBool,
}

impl Dir {
    pub(crate) fn new(id: Option<Uuid>, log: LogDir) -> Self {
        let (checkpointing, cordoned) = Default::default();
        Self { id, log, checkpointing, cordoned }
    }

    /// Whether new partitions keep away (KIP-1066).
    pub(crate) fn is_cordoned(&self) -> bool {
        self.cordoned.load(Ordering::Relaxed)
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.log.state() != DirState::Offline
    }
}

/// In the order of `log.dirs`, and last the metadata log's own, if it has one.
pub(crate) struct Dirs {
    dirs: Vec<Dir>,
    log_dirs: usize,
    cordon_changed: Notify,
}

/// Index of a directory in [`Dirs`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct DirIndex(usize);

impl DirIndex {
    pub(crate) fn at(index: usize) -> Self {
        Self(index)
    }
}

impl Dirs {
    /// The first `log_dirs` of these may hold partitions.
    pub(crate) fn new(dirs: Vec<Dir>, log_dirs: usize) -> Self {
        Self { dirs, log_dirs, cordon_changed: Notify::new() }
    }

    pub(crate) fn get(&self, index: DirIndex) -> &Dir {
        &self.dirs[index.0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (DirIndex, &Dir)> {
        self.dirs.iter().enumerate().map(|(index, dir)| (DirIndex(index), dir))
    }

    /// Those of `log.dirs`: what partitions lie in, and clients and the controller hear of.
    pub(crate) fn log_dirs(&self) -> impl Iterator<Item = (DirIndex, &Dir)> {
        self.iter().take(self.log_dirs)
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<DirIndex> {
        self.log_dirs().find(|(_, dir)| dir.id == Some(id)).map(|(index, _)| index)
    }

    pub(crate) fn by_path(&self, path: &Path) -> Option<DirIndex> {
        self.dirs.iter().position(|dir| dir.log.path() == path).map(DirIndex)
    }

    /// Cordons those of these paths, and no others.
    pub(crate) fn cordon(&self, paths: &[String]) {
        let mut is_changed = false;
        for (_, dir) in self.log_dirs() {
            let is_named = paths.iter().any(|path| dir.log.path() == Path::new(path));
            is_changed |= dir.cordoned.swap(is_named, Ordering::Relaxed) != is_named;
        }
        if is_changed {
            self.cordon_changed.notify_one();
        }
    }

    /// Ids of the directories that are cordoned.
    pub(crate) fn cordoned(&self) -> Vec<Uuid> {
        let cordoned = self.log_dirs().filter(|(_, dir)| dir.is_cordoned());
        cordoned.filter_map(|(_, dir)| dir.id).collect()
    }

    /// Completes when others are cordoned than before. For one who waits.
    pub(crate) async fn cordon_changed(&self) {
        self.cordon_changed.notified().await;
    }

    /// Ids of the directories that can be used.
    pub(crate) fn online(&self) -> Vec<Uuid> {
        let usable = self.log_dirs().filter(|(_, dir)| dir.is_usable());
        usable.filter_map(|(_, dir)| dir.id).collect()
    }

    /// Directories that failed.
    pub(crate) fn offline(&self) -> impl Iterator<Item = &Dir> {
        self.log_dirs().map(|(_, dir)| dir).filter(|dir| !dir.is_usable())
    }
}
