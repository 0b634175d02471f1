//! What the log cleaner did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strandline_log::clean::CleaningStats;

/// Of the last pass.
#[derive(Debug, Default)]
pub(crate) struct CleanerMetrics {
    recopy_percent: AtomicU64,
    clean_time_secs: AtomicU64,
}

impl CleanerMetrics {
    pub(crate) fn cleaned(&self, stats: &CleaningStats, took: Duration) {
        let percent = (100 * stats.written_bytes).checked_div(stats.bytes).unwrap_or_default();
        self.recopy_percent.store(percent, Ordering::Relaxed);
        self.clean_time_secs.store(took.as_secs(), Ordering::Relaxed);
    }

    pub(super) fn recopy_percent(&self) -> u64 {
        self.recopy_percent.load(Ordering::Relaxed)
    }

    pub(super) fn clean_time_secs(&self) -> u64 {
        self.clean_time_secs.load(Ordering::Relaxed)
    }
}
