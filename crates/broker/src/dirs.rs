//! The data directories of this node.

use std::path::Path;

use strandline_store::{DirState, LogDir};
use strandline_types::Uuid;

/// One directory and its id.
pub(crate) struct Dir {
    pub(crate) id: Uuid,
    pub(crate) log: LogDir,
}

impl Dir {
    pub(crate) fn is_usable(&self) -> bool {
        self.log.state() != DirState::Offline
    }
}

/// In the order of `log.dirs`.
pub(crate) struct Dirs(Vec<Dir>);

/// Index of a directory in [`Dirs`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct DirIndex(usize);

impl DirIndex {
    pub(crate) fn at(index: usize) -> Self {
        Self(index)
    }
}

impl Dirs {
    pub(crate) fn new(dirs: Vec<Dir>) -> Self {
        Self(dirs)
    }

    pub(crate) fn get(&self, index: DirIndex) -> &Dir {
        &self.0[index.0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (DirIndex, &Dir)> {
        self.0.iter().enumerate().map(|(index, dir)| (DirIndex(index), dir))
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<DirIndex> {
        self.0.iter().position(|dir| dir.id == id).map(DirIndex)
    }

    pub(crate) fn by_path(&self, path: &Path) -> Option<DirIndex> {
        self.0.iter().position(|dir| dir.log.path() == path).map(DirIndex)
    }

    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.0.iter().map(|dir| dir.id).collect()
    }

    /// Ids of directories that failed.
    pub(crate) fn offline(&self) -> Vec<Uuid> {
        let failed = self.0.iter().filter(|dir| !dir.is_usable());
        failed.map(|dir| dir.id).collect()
    }
}
