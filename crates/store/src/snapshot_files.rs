//! Snapshots of the metadata log, in its directory: a whole file of record batches each, named after
//! where it ends. Written under another name and renamed when it is complete.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use strandline_ports::{File, OpenMode};

use crate::fault::{Context, Result};
use crate::format::names::SnapshotId;
use crate::io::Io;
use crate::partition::FileRange;

/// What the name of an unfinished one ends in.
const PART: &str = ".part";

/// The snapshots beside one log.
#[derive(Clone)]
pub struct SnapshotFiles {
    io: Io,
    dir: PathBuf,
    /// One snapshot may be written twice at a time, or written while it is fetched: each has a file
    /// of its own until it is complete.
    begun: Arc<AtomicU64>,
}

/// A snapshot that is being written, or fetched from a leader piece by piece.
pub struct SnapshotWriter {
    files: SnapshotFiles,
    id: SnapshotId,
    part: PathBuf,
    file: Arc<dyn File>,
    len: u64,
}

impl SnapshotFiles {
    pub fn new(io: Io, dir: PathBuf) -> Self {
        Self { io, dir, begun: Arc::default() }
    }

    /// Ascending.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn list(&self) -> Result<Vec<SnapshotId>> {
        let entries = self.io.list(&self.dir).await?;
        Ok(entries.iter().filter_map(|entry| SnapshotId::parse(&entry.name)).collect())
    }

    /// The whole file as a range; `None` when there is none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn open(&self, id: SnapshotId) -> Result<Option<FileRange>> {
        let path = self.dir.join(id.name());
        let owned = path.clone();
        let opened = self
            .io
            .run(move |disk| {
                let file = disk.open(&owned, OpenMode::Read)?;
                let len = u32::try_from(file.len()?).map_err(std::io::Error::other)?;
                Ok(FileRange { file, position: 0, len })
            })
            .await;
        match opened {
            Err(error) if std::io::Error::kind(&error) == std::io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).context("open", &path),
        }
    }

    /// Begins a snapshot anew, whatever was left of an earlier attempt.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn create(&self, id: SnapshotId) -> Result<SnapshotWriter> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let part = self.dir.join(format!("{}.{number}{PART}", id.name()));
        let owned = part.clone();
        let created = self
            .io
            .run(move |disk| {
                let file = disk.open(&owned, OpenMode::Create)?;
                file.set_len(0).map(|()| file)
            })
            .await;
        let file = created.context("create", &part)?;
        Ok(SnapshotWriter { files: self.clone(), id, part, file, len: 0 })
    }

    /// Removes every snapshot for which `goes` holds.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn remove(&self, goes: impl Fn(SnapshotId) -> bool) -> Result<()> {
        self.remove_files(|name| SnapshotId::parse(name).is_some_and(&goes)).await
    }

    /// Removes what is left of snapshots that nobody finishes any more.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn remove_unfinished(&self) -> Result<()> {
        let is_part = |name: &str| {
            let begun = name.strip_suffix(PART)?;
            // Kafka's have no number.
            let complete = begun.rsplit_once('.').map_or(begun, |(complete, _)| complete);
            SnapshotId::parse(begun).or_else(|| SnapshotId::parse(complete))
        };
        self.remove_files(|name| is_part(name).is_some()).await
    }

    async fn remove_files(&self, is_removed: impl Fn(&str) -> bool) -> Result<()> {
        let entries = self.io.list(&self.dir).await?;
        let removed = entries.into_iter().filter(|entry| is_removed(&entry.name));
        self.io.remove_files(removed.map(|entry| self.dir.join(entry.name)).collect()).await
    }
}

impl SnapshotWriter {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// # Errors
    /// When the disk refuses.
    pub async fn append(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        let len: usize = pieces.iter().map(Bytes::len).sum();
        self.file.write_at(self.len, pieces).await.context("write", &self.part)?;
        self.len += len as u64;
        Ok(())
    }

    /// What has been written so far; at most 4 GiB can be told.
    pub fn content(&self) -> FileRange {
        let len = u32::try_from(self.len).unwrap_or(u32::MAX);
        FileRange { file: Arc::clone(&self.file), position: 0, len }
    }

    /// Makes the snapshot durable and gives it its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn finish(&self) -> Result<()> {
        self.file.sync().await.context("sync", &self.part)?;
        let files = &self.files;
        files.io.rename(&self.part, &files.dir.join(self.id.name())).await?;
        files.io.sync_dir(&files.dir).await
    }

    /// Takes back what there is of a snapshot that could not be written: it would keep the last room of
    /// a full disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn abandon(self) -> Result<()> {
        self.files.io.remove_files(vec![self.part]).await
    }
}
