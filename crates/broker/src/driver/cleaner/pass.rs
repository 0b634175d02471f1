//! One pass over one partition.
//!
//! A disk that is full ends the pass, and there is another try later. A batch that is damaged ends it
//! for good: the partition is left as it is until the next start, and says so. Any other fault of the
//! disk takes the log dir offline.

use std::sync::Arc;
use std::time::Duration;

use strandline_log::clean::{CleaningStats, HashKey, Survey, SurveyLimits};
use strandline_store::{Checkpoint, CleanPass, CleanStep, DirState, StoreFault};
use strandline_types::{Instant, Offset};

use super::{Cleaner, dirt, settings_of};
use crate::driver::upkeep::unlink_later;
use crate::partitions::Held;

const STEP_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// An idle step that takes longer has waited, for the processor or for the disk, or has much to expand:
/// alone it mostly takes some ms.
const STEP_PATIENCE: Duration = Duration::from_millis(100);

/// What a pass came to.
enum Outcome {
    /// Everything before is clean.
    Cleaned(Offset),
    /// The partition is not what it was any more, or is not to be cleaned now.
    Unwanted,
}

/// Whether the partition is cleaner than it was.
pub(super) async fn run(cleaner: &Cleaner, held: &Held) -> bool {
    let partition = &held.partition;
    let began = cleaner.upkeep.world.clock.now().instant;
    let mut stats = CleaningStats::default();
    match clean(cleaner, held, &mut stats).await {
        Ok(Outcome::Cleaned(end)) => {
            let took = cleaner.upkeep.world.clock.now().instant.since(began);
            tracing::info!(
                partition = %partition.name(), %end, bytes = stats.bytes,
                records = stats.records, kept = stats.records_kept, ?took, "cleaned"
            );
            partition.metrics().cleaner.cleaned(&stats, took);
            true
        }
        Ok(Outcome::Unwanted) => false,
        Err(fault) => {
            give_up(cleaner, held, &fault);
            false
        }
    }
}

async fn clean(
    cleaner: &Cleaner,
    held: &Held,
    stats: &mut CleaningStats,
) -> Result<Outcome, StoreFault> {
    let Held { partition, config } = held;
    let dir = partition.dir();
    let log_dir = &cleaner.upkeep.dirs.get(dir).log;
    let Some(dirt) = dirt(held).filter(|it| it.is_worth_a_pass(&settings_of(config))) else {
        return Ok(Outcome::Unwanted);
    };
    // At the most one group lies there twice.
    if !log_dir
        .has_room_for(
            dirt.clean_bytes
                .saturating_add(dirt.dirty_bytes)
                .min(config.segment_bytes.max(0) as u64),
        )
        .await?
    {
        return Err(StoreFault::Full { path: log_dir.path().to_owned() });
    }
    // CLEAN-1, also for a start that finds only what is checkpointed.
    partition.make_durable(dirt.first_uncleanable).await?;
    cleaner.upkeep.checkpoint(dir, Checkpoint::RecoveryPoint).await?;
    let Some((plan, log_config)) = partition.plan_cleaning(&dirt) else {
        return Ok(Outcome::Unwanted);
    };
    let store = partition.store();
    let (entropy, settings) = (&cleaner.upkeep.world.entropy, cleaner.settings.borrow().clone());
    let limits = SurveyLimits {
        map_bytes: settings.dedupe_buffer_bytes / settings.threads.max(1) as u64,
        load_factor: settings.load_factor,
    };
    let key = HashKey([entropy.next_u64(), entropy.next_u64()]);
    let survey = Survey::new(plan, limits, key);
    let mut pass = store.clean(survey, log_config, config.delete_retention_ms);
    let outcome = walk(cleaner, held, &mut pass).await;
    *stats = pass.stats();
    match outcome {
        Ok(Outcome::Cleaned(end)) => {
            partition.cleaned(end);
            cleaner.upkeep.checkpoint(dir, Checkpoint::Cleaner).await?;
            Ok(Outcome::Cleaned(end))
        }
        unfinished => {
            if log_dir.state() != DirState::Offline {
                pass.abandon().await?;
            }
            unfinished
        }
    }
}

async fn walk(cleaner: &Cleaner, held: &Held, pass: &mut CleanPass) -> Result<Outcome, StoreFault> {
    let clock = &cleaner.upkeep.world.clock;
    let mut patience = Patience::default();
    loop {
        let now = clock.now().instant;
        if !is_wanted(cleaner, held) {
            return Ok(Outcome::Unwanted);
        }
        if let Some(until) = cleaner.throttle.exceeded_until(now) {
            clock.sleep_until(until).await;
            continue;
        }
        let step_bytes = step_bytes(cleaner.throttle.limit());
        let is_urgent = patience.is_over(now);
        match pass.advance(step_bytes, is_urgent).await? {
            CleanStep::Worked { read_bytes, written_bytes } => {
                if !is_urgent {
                    patience.note(now, clock.now().instant);
                }
                let bytes = u64::from(read_bytes) + u64::from(written_bytes);
                cleaner.throttle.record(now, bytes);
            }
            CleanStep::Ready => match held.partition.take_cleaned(pass).await? {
                Some(deleted) => unlink_later(&cleaner.upkeep, held, deleted),
                None => return Ok(Outcome::Unwanted),
            },
            CleanStep::Done => {
                return Ok(pass.end().map_or(Outcome::Unwanted, Outcome::Cleaned));
            }
            CleanStep::Overtaken => return Ok(Outcome::Unwanted),
        }
    }
}

/// Steps wait for an idle processor. Where there never is one, they take their share of it for half of the
/// time: logs that are never cleaned fill the disk.
#[derive(Default)]
struct Patience {
    over_until: Option<Instant>,
}

impl Patience {
    fn is_over(&self, now: Instant) -> bool {
        self.over_until.is_some_and(|until| now < until)
    }

    /// Of a step that was not urgent. Urgent ones that are long would go on being urgent for ever.
    fn note(&mut self, began: Instant, ended: Instant) {
        let took = ended.since(began);
        if took > STEP_PATIENCE {
            self.over_until = Some(ended + took);
        }
    }
}

/// What is read at once. Whatever is between two steps wakes somebody up, which costs more than to read a
/// MiB; under a limit a step takes a tenth of a second's share.
fn step_bytes(limit: Option<u64>) -> u32 {
    let share = limit.map_or(STEP_BYTES_MAX.into(), |limit| limit / 10);
    u32::try_from(share).unwrap_or(u32::MAX).min(STEP_BYTES_MAX)
}

/// The topic may be deleted meanwhile, or not be compacted any more.
fn is_wanted(cleaner: &Cleaner, held: &Held) -> bool {
    let partition = &held.partition;
    let now = cleaner.upkeep.partitions.get(partition.id());
    cleaner.settings.borrow().is_enabled
        && partition.may_be_cleaned()
        && now.is_some_and(|it| {
            Arc::ptr_eq(&it.partition, partition) && it.config.cleanup_policy.compact
        })
}

fn give_up(cleaner: &Cleaner, held: &Held, fault: &StoreFault) {
    let partition = &held.partition;
    // Its directory may have been renamed under the pass.
    if !partition.may_be_cleaned() {
        return;
    }
    let name = partition.name();
    match fault {
        _ if fault.is_full() => tracing::warn!(partition = %name, %fault, "no room to clean"),
        StoreFault::Io { .. } | StoreFault::Offline { .. } => {
            tracing::error!(partition = %name, %fault, "cannot clean");
            cleaner.upkeep.dirs.get(partition.dir()).log.take_offline();
        }
        _ => tracing::error!(partition = %name, %fault, "cannot be cleaned until the next start"),
    }
    partition.set_clean_fault(fault);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_waited_for_the_processor_takes_it_for_as_long() {
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        let mut patience = Patience::default();
        patience.note(at(0), at(90));
        assert!(!patience.is_over(at(90)));
        patience.note(at(90), at(490));
        assert!(patience.is_over(at(490)) && patience.is_over(at(889)));
        patience.note(at(490), at(500));
        assert!(patience.is_over(at(889)) && !patience.is_over(at(890)));
    }
}
