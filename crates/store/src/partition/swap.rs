//! A cleaned segment takes the place of those it was made from.
//!
//! The order is Kafka's, so that either broker finishes or undoes what a crash of the other left: all
//! new files are called `.swap`, then the old ones `.deleted`, then the new ones lose their mark. As
//! long as one of the new ones is still `.cleaned` the old ones hold; from the first moment without
//! one the new ones do. Each stage is durable before the next begins.
//!
//! Before all of it go the snapshots of producers from before the end of what was cleaned (CLEAN-6):
//! one knows of transactions that were open there, and their markers may have been cleaned away.

use std::ops::Range;
use std::path::PathBuf;

use strandline_log::clean::Cleaned;
use strandline_types::{Bug, Offset, planted};

use super::{DeletedFiles, FileKey, PartitionStore, StoredSegment};
use crate::fault::{Context, Result};
use crate::format::names::{FileKind, FileState, OffsetFile};

pub(super) fn cleaned_file((offset, kind): FileKey) -> OffsetFile {
    OffsetFile { offset, kind, state: FileState::Cleaned }
}

impl PartitionStore {
    /// `None` when files were cut since they were of this `generation`.
    pub(super) async fn swap(
        &self,
        cleaned: &Cleaned,
        generation: u32,
    ) -> Result<Option<DeletedFiles>> {
        // Whoever opens a file by its name finds the one that belongs to what it knows.
        let _names = self.names.write().await;
        let place = self.place_of(&cleaned.replaced).filter(|_| self.generation() == generation);
        let Some((_, end)) = place else { return Ok(None) };
        if !planted(Bug::SnapshotOutlivesMarkers) {
            self.remove_snapshots(|at| at < end).await?;
        }
        let base_offset = cleaned.segment.base_offset;
        let new = |state| {
            let file = move |kind| OffsetFile { offset: base_offset, kind, state };
            FileKind::OF_SEGMENT.map(file).to_vec()
        };
        let dir = self.path();
        self.rename_all(new(FileState::Cleaned), FileState::Swap).await?;
        self.io().sync_dir(&dir).await?;
        let mut old = Vec::new();
        for &offset in &cleaned.replaced {
            old.extend(FileKind::OF_SEGMENT.map(|kind| OffsetFile::live(offset, kind)));
        }
        let deleted = self.rename_all(old, FileState::Deleted).await?;
        self.io().sync_dir(&dir).await?;
        self.rename_all(new(FileState::Swap), FileState::Live).await?;
        self.io().sync_dir(&dir).await?;
        let place = self.place_of(&cleaned.replaced);
        let (place, end) = place.expect("CLEAN-1: nobody cuts or deletes during a swap");
        let mut state = self.state();
        // What is in memory still holds what is cleaned: aborted data, too, of which nothing tells any
        // more.
        while state.tail.front().is_some_and(|batch| batch.next_offset <= end) {
            state.tail.pop_front();
        }
        state.segments.splice(place, [StoredSegment::from(&cleaned.segment)]);
        state.files.retain(|open| !cleaned.replaced.contains(&open.key.0));
        state.unsynced_indexes.retain(|offset| !cleaned.replaced.contains(offset));
        state.generation += 1;
        Ok(Some(DeletedFiles::new(deleted)))
    }

    pub(super) fn generation(&self) -> u32 {
        self.state().generation
    }

    /// Where these stand, one after the other, and where the last one ends. `None` when they do not, or
    /// one of them is active.
    fn place_of(&self, segments: &[Offset]) -> Option<(Range<usize>, Offset)> {
        let state = self.state();
        let first = segments.first()?;
        let at = state.segments.partition_point(|it| it.base_offset < *first);
        let place = at..at + segments.len();
        let next = state.segments.get(place.end).filter(|_| !state.is_being_cut)?;
        let there = state.segments[place.clone()].iter().map(|it| it.base_offset);
        there.eq(segments.iter().copied()).then_some((place, next.base_offset))
    }

    /// Gives the files another mark, in order, those that are there. Gives the paths that they have
    /// then.
    pub(super) async fn rename_all(
        &self,
        files: Vec<OffsetFile>,
        state: FileState,
    ) -> Result<Vec<PathBuf>> {
        let dir = self.path();
        let renaming = self.io().run(move |disk| {
            let mut renamed = Vec::new();
            for file in files {
                let from = dir.join(file.name());
                let to = dir.join(OffsetFile { state, ..file }.name());
                match disk.rename(&from, &to) {
                    Ok(()) => renamed.push(to),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error).context("rename", &from),
                }
            }
            Ok(renamed)
        });
        renaming.await
    }
}
