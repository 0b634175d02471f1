//! A clean stop.

use strandline_log::ClosePlan;
use strandline_types::Offset;

use super::PartitionStore;
use super::segments::indexes_of;
use crate::fault::Result;
use crate::format::names::FileKind;

/// Older snapshots serve only if this many newer ones turn out to be damaged; Kafka keeps two.
const SNAPSHOTS_KEPT: usize = 2;

impl PartitionStore {
    /// Finishes all files and closes them. No append may follow.
    ///
    /// # Errors
    /// When the disk refuses: then this was no clean stop.
    pub async fn close(&self, plan: ClosePlan) -> Result<()> {
        self.close_segment(plan.close).await?;
        self.write_snapshot(plan.snapshot_offset, &plan.producers).await?;
        if let Some(sync) = &plan.sync {
            self.sync(sync).await?;
        }
        self.sync_closed(plan.close.base_offset, plan.snapshot_offset).await?;
        let mut state = self.state();
        state.files = Vec::new();
        state.tail.clear();
        Ok(())
    }

    /// The next start trusts these files as they are.
    async fn sync_closed(&self, base_offset: Offset, snapshot_offset: Offset) -> Result<()> {
        let mut indexes = std::mem::take(&mut self.state().unsynced_indexes);
        indexes.insert(base_offset);
        let indexes = indexes.into_iter().flat_map(indexes_of);
        let snapshot = (snapshot_offset, FileKind::ProducerSnapshot);
        self.sync_files(indexes.chain([snapshot]).collect()).await?;
        self.sync_names().await?;
        let snapshots = self.snapshots().await?;
        let kept = snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
        let segments: Vec<_> =
            self.state().segments.iter().map(|segment| segment.base_offset).collect();
        let first_kept = snapshots.get(kept).copied();
        // A snapshot at a segment's base is needed to rebuild that segment.
        self.remove_snapshots(|at| {
            first_kept.is_some_and(|first| at < first) && !segments.contains(&at)
        })
        .await
    }
}
