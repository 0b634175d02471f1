//! The disk port as the store uses it: blocking calls go to the pool, small files are read whole
//! and replaced atomically.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use strandline_ports::{DirEntry, Disk, File, OpenMode, Spawn, blocking, idle};

use crate::fault::{Context, Result};

/// Larger files are not ours: a checkpoint line has at most some 300 bytes.
const SMALL_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Clone)]
pub struct Io {
    pub disk: Arc<dyn Disk>,
    pub spawn: Arc<dyn Spawn>,
}

impl Io {
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Disk) -> T + Send + 'static,
    ) -> T {
        let disk = Arc::clone(&self.disk);
        blocking(&self.spawn, move || work(&*disk)).await
    }

    /// The same for work in no hurry, unless it has become urgent.
    pub(crate) async fn run_idle<T: Send + 'static>(
        &self,
        is_urgent: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if is_urgent { blocking(&self.spawn, work).await } else { idle(&self.spawn, work).await }
    }

    pub(crate) async fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let owned = path.to_owned();
        self.run(move |disk| disk.open(&owned, mode)).await.context("open", path)
    }

    pub(crate) async fn list(&self, dir: &Path) -> Result<Vec<DirEntry>> {
        let owned = dir.to_owned();
        self.run(move |disk| disk.list(&owned)).await.context("list", dir)
    }

    /// `None` when there is no such file.
    ///
    /// # Errors
    /// When the disk refuses, or the file is no small one.
    pub async fn read_whole(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let owned = path.to_owned();
        self.run(move |disk| read_whole(disk, &owned)).await.context("read", path)
    }

    /// Afterwards the file holds `bytes` whatever happens, and before it held what it held: written
    /// under another name, synced, renamed, and the rename synced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn replace(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        self.write_new(&temporary, bytes).await?;
        self.rename(&temporary, path).await?;
        let parent = path.parent().unwrap_or(Path::new(".")).to_owned();
        self.sync_dir(&parent).await
    }

    /// Writes and syncs a file whose earlier content, if any, nobody wants.
    pub(crate) async fn write_new(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let file = self.write_unsynced(path, bytes).await?;
        file.sync().await.context("sync", path)
    }

    /// The same without the sync: for what can be made again.
    pub(crate) async fn write_unsynced(
        &self,
        path: &Path,
        bytes: Vec<u8>,
    ) -> Result<Arc<dyn File>> {
        let owned = path.to_owned();
        let file = self.run(move |disk| emptied(disk, &owned)).await?;
        file.write_at(0, vec![Bytes::from(bytes)]).await.context("write", path)?;
        Ok(file)
    }

    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (source, target) = (from.to_owned(), to.to_owned());
        self.run(move |disk| disk.rename(&source, &target)).await.context("rename", from)
    }

    /// Makes the names in a directory durable.
    pub async fn sync_dir(&self, dir: &Path) -> Result<()> {
        let owned = dir.to_owned();
        self.run(move |disk| disk.sync_dir(&owned)).await.context("sync", dir)
    }

    /// Makes a file's content durable, unless there is none.
    pub(crate) async fn sync_if_there(&self, path: &Path) -> Result<()> {
        let owned = path.to_owned();
        match self.run(move |disk| disk.open(&owned, OpenMode::Write)).await {
            Ok(file) => file.sync().await.context("sync", path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).context("open", path),
        }
    }

    /// Removes what may be gone already.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn remove_files(&self, paths: Vec<PathBuf>) -> Result<()> {
        self.run(move |disk| {
            for path in &paths {
                remove_if_there(disk, path).context("remove", path)?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn set_len(&self, file: &Arc<dyn File>, len: u64, path: &Path) -> Result<()> {
        let file = Arc::clone(file);
        self.run(move |_| file.set_len(len)).await.context("truncate", path)
    }
}

/// A file without content, whatever was there before.
pub(crate) fn emptied(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn File>> {
    let file = disk.open(path, OpenMode::Create).context("create", path)?;
    file.set_len(0).context("create", path)?;
    Ok(file)
}

pub(crate) fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let len = file.len()?;
    if len > SMALL_FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{len} bytes")));
    }
    let mut bytes = vec![0; len as usize];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(Some(bytes))
}

pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
