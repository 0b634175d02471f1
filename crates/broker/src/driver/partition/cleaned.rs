//! A partition whose log is compacted.

use std::sync::Arc;

use strandline_log::LogConfig;
use strandline_log::clean::{CleanPlan, CleanSettings, Dirt};
use strandline_replica::Event;
use strandline_store::{CleanPass, DeletedFiles, StoreFault};
use strandline_types::{Offset, Timestamp};

use super::Partition;
use crate::metrics::Metrics;

/// How far the cleaner has come, and what kept it from coming further.
#[derive(Default)]
pub(crate) struct CleaningState {
    /// Where the last pass ended.
    pub(super) upto: Option<Offset>,
    /// When it ended, if that was not before the start.
    at: Option<Timestamp>,
    /// Of the last pass, if it failed.
    fault: Option<Box<CleanFault>>,
}

/// Why a pass failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CleanFault {
    pub(crate) text: String,
    /// There may be another try: there was no room.
    pub(crate) passes: bool,
}

impl Partition {
    pub(crate) fn cleaned_upto(&self) -> Option<Offset> {
        self.core().cleaning.upto
    }

    /// When the last pass ended that was made since the start.
    pub(crate) fn cleaned_at(&self) -> Option<Timestamp> {
        self.core().cleaning.at
    }

    pub(crate) fn set_cleaned_upto(&self, upto: Offset) {
        let mut core = self.core();
        // The log may have been cut when the pass was over.
        core.cleaning.upto = Some(upto.min(core.replica.log().log_end()));
    }

    /// A pass has ended.
    pub(crate) fn cleaned(&self, upto: Offset) {
        self.set_cleaned_upto(upto);
        let now = self.now().timestamp;
        let mut core = self.core();
        (core.cleaning.at, core.cleaning.fault) = (Some(now), None);
    }

    /// Why it cannot be cleaned, as long as that is so.
    pub(crate) fn clean_fault(&self) -> Option<CleanFault> {
        self.core().cleaning.fault.as_deref().cloned()
    }

    pub(crate) fn set_clean_fault(&self, fault: &StoreFault) {
        let (text, passes) = (fault.to_string(), fault.is_full());
        self.core().cleaning.fault = Some(Box::new(CleanFault { text, passes }));
    }

    /// Not one that is closed, offline, or about to be somewhere else: its copy is made of the files as
    /// they are.
    pub(crate) fn may_be_cleaned(&self) -> bool {
        let is_settled = {
            let shown = self.shown();
            shown.moves_to.is_none() && !shown.view.is_offline
        };
        is_settled && !self.core().is_closed
    }

    /// `None` when it may not be cleaned now.
    pub(crate) fn dirt(&self, settings: &CleanSettings) -> Option<Dirt> {
        let now = self.now().timestamp;
        let core = self.core();
        let stable = core.replica.high_watermark();
        let log = core.replica.log();
        let is_whole = !log.is_faulted() && !core.is_closed && !core.is_cutting;
        is_whole.then(|| log.dirt(now, core.cleaning.upto, stable, settings))
    }

    pub(crate) fn plan_cleaning(&self, dirt: &Dirt) -> Option<(CleanPlan, Arc<LogConfig>)> {
        if !self.may_be_cleaned() {
            return None;
        }
        let now = self.now().timestamp;
        self.with_log(|log| Some((log.plan_cleaning(dirt, now)?, Arc::clone(log.config()))))
    }

    /// Syncs what is written before `upto`. A segment that was finished is mostly; after a crash of the
    /// process alone nothing may be.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn make_durable(&self, upto: Offset) -> Result<(), StoreFault> {
        let Some(plan) = self.with_log(|log| log.plan_sync(upto)) else { return Ok(()) };
        {
            let _files = self.files.lock().await;
            self.store().sync(&plan).await?;
        }
        self.step(Event::Synced { upto: plan.upto });
        Ok(())
    }

    /// Puts what a pass has cleaned in its place. `None` when the log is not what the pass began with.
    ///
    /// # Errors
    /// When the disk refuses in the middle of it.
    pub(crate) async fn take_cleaned(
        &self,
        pass: &mut CleanPass,
    ) -> Result<Option<DeletedFiles>, StoreFault> {
        let _files = self.files.lock().await;
        let Some(cleaned) = pass.ready().cloned() else { return Ok(None) };
        if !self.may_be_cleaned() {
            return Ok(None);
        }
        {
            let mut core = self.core();
            if core.is_cutting || !core.replica.log().can_replace(&cleaned) {
                return Ok(None);
            }
            core.is_swapping = true;
        }
        let swapped = pass.swap().await;
        let mut core = self.core();
        core.is_swapping = false;
        if let Ok(Some(_)) = &swapped {
            core.replica.segments_cleaned(&cleaned);
        }
        swapped
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.context.metrics
    }
}
