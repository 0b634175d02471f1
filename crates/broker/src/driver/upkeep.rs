//! The node's housekeeping, each on its own clock: retention, flushing, checkpoints, producers
//! that have gone silent, directories that were full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strandline_config::{LogSettings, ProducerSettings};
use strandline_ports::{Lane, World};
use strandline_store::format::offset_checkpoint::Offsets;
use strandline_store::{Checkpoint, DeletedFiles, DirState, StoreFault};
use strandline_types::{Bug, Offset, planted};
use tokio::sync::{Notify, mpsc};

use super::partition::{CheckpointWanted, Partition, RetiredSegments};
use crate::dirs::{Dir, DirIndex, Dirs};
use crate::partitions::{Held, Partitions};

/// How often a full directory is looked at again.
const FULL_DIR_INTERVAL: Duration = Duration::from_secs(1);

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) world: World,
    pub(crate) dirs: Arc<Dirs>,
    pub(crate) partitions: Partitions,
    pub(crate) settings: LogSettings,
    pub(crate) producers: ProducerSettings,
    pub(crate) replica_lag_time_max: Duration,
    /// Rung when a directory that was full has room.
    pub(crate) room: Arc<Notify>,
}

impl Upkeep {
    /// Starts all of it. `wanted` are checkpoints that cannot wait for their turn.
    pub(crate) fn start(&self, wanted: mpsc::UnboundedReceiver<CheckpointWanted>) {
        let on_demand = self.clone().checkpoint_on_demand(wanted);
        self.world.spawn.spawn(Lane::Data, Box::pin(on_demand));
        let settings = &self.settings;
        let millis = |ms: i64| Duration::from_millis(ms.clamp(1, i64::MAX / 2) as u64);
        self.every(millis(settings.retention_check_interval_ms), |it| async move {
            it.retain().await;
        });
        self.every(millis(settings.flush_scheduler_interval_ms), |it| async move {
            it.for_each(Partition::check_flush);
        });
        let checkpoints = [
            (i64::from(settings.recovery_point_checkpoint_interval_ms), Checkpoint::RecoveryPoint),
            (i64::from(settings.log_start_checkpoint_interval_ms), Checkpoint::LogStart),
            (settings.high_watermark_checkpoint_interval_ms, Checkpoint::HighWatermark),
        ];
        for (interval_ms, checkpoint) in checkpoints {
            self.every(millis(interval_ms), move |it| async move {
                it.checkpoint_all(checkpoint).await;
            });
        }
        let expiry = i64::from(self.producers.expiration_check_interval_ms);
        self.every(millis(expiry), |it| async move {
            it.for_each(Partition::expire_producers);
        });
        self.every(self.replica_lag_time_max / 2, |it| async move {
            it.for_each(Partition::check_isr);
        });
        self.every(FULL_DIR_INTERVAL, |it| async move { it.resume_full_dirs().await });
    }

    fn every<F>(&self, interval: Duration, work: impl Fn(Self) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let it = self.clone();
        self.world.spawn.spawn(
            Lane::Data,
            Box::pin(async move {
                loop {
                    it.world.clock.sleep(interval).await;
                    work(it.clone()).await;
                }
            }),
        );
    }

    async fn checkpoint_on_demand(self, mut wanted: mpsc::UnboundedReceiver<CheckpointWanted>) {
        while let Some(CheckpointWanted { dir, written }) = wanted.recv().await {
            // Whoever asked may have gone.
            let _ = written.send(self.checkpoint_dir(dir).await);
        }
    }

    async fn checkpoint_dir(&self, dir: DirIndex) -> Result<(), StoreFault> {
        for checkpoint in Checkpoint::ALL {
            self.checkpoint(dir, checkpoint).await?;
        }
        Ok(())
    }

    fn for_each(&self, work: impl Fn(&Partition)) {
        for held in self.partitions.all() {
            work(&held.partition);
        }
    }

    /// Retention: log starts are checkpointed before files go, or a crash between the two would
    /// bring back records that clients were told are gone.
    async fn retain(&self) {
        let mut retired: BTreeMap<DirIndex, Vec<(Held, RetiredSegments)>> = BTreeMap::new();
        for held in self.partitions.all() {
            let segments = held.partition.retain().await;
            if !segments.is_empty() {
                retired.entry(held.partition.dir()).or_default().push((held, segments));
            }
        }
        for (dir, retired) in retired {
            match self.checkpoint(dir, Checkpoint::LogStart).await {
                Ok(()) => {}
                // What goes makes the room. What a crash brings back goes again.
                Err(fault) if fault.is_full() => {
                    tracing::warn!(%fault, "old segments go without a checkpoint of log starts");
                }
                Err(fault) => {
                    tracing::error!(%fault, "cannot checkpoint log starts: retention waits");
                    continue;
                }
            }
            for (held, segments) in retired {
                self.remove(held, segments).await;
            }
        }
    }

    async fn remove(&self, held: Held, segments: RetiredSegments) {
        match held.partition.remove_segments(segments).await {
            Ok(deleted) => unlink_later(self, &held, deleted),
            Err(fault) => {
                let partition = held.partition.name();
                tracing::error!(%partition, %fault, "cannot remove old segments");
            }
        }
    }

    async fn checkpoint_all(&self, checkpoint: Checkpoint) {
        for (index, dir) in self.dirs.iter() {
            if dir.log.state() == DirState::Offline {
                continue;
            }
            if let Err(fault) = self.checkpoint(index, checkpoint).await {
                tracing::error!(%fault, "cannot write a checkpoint");
            }
        }
    }

    /// Writes one checkpoint of one directory.
    pub(crate) async fn checkpoint(
        &self,
        dir: DirIndex,
        checkpoint: Checkpoint,
    ) -> Result<(), StoreFault> {
        let Dir { log, checkpointing, .. } = self.dirs.get(dir);
        let _writing = checkpointing.lock().await;
        let mut offsets = Offsets::new();
        for held in self.partitions.all() {
            if held.partition.is_checkpointed_in(dir) {
                let offset = checkpointed(&held.partition, checkpoint);
                offsets.extend(offset.map(|offset| (held.partition.name().clone(), offset)));
            }
        }
        log.write_checkpoint(checkpoint, &offsets).await
    }

    async fn resume_full_dirs(&self) {
        for (index, dir) in self.dirs.iter() {
            if dir.log.state() != DirState::Full {
                continue;
            }
            match dir.log.resume_if_room().await {
                Ok(DirState::Online) => {
                    tracing::info!(dir = %dir.log.path().display(), "there is room again");
                    let here = self.partitions.all();
                    here.iter()
                        .filter(|it| it.partition.dir() == index)
                        .for_each(|it| it.partition.resume());
                    self.room.notify_one();
                }
                Ok(_) => {}
                Err(fault) => tracing::error!(%fault, "cannot look at a full directory"),
            }
        }
    }
}

/// Unlinks files of segments that are out of the log, after `file.delete.delay.ms`.
pub(super) fn unlink_later(upkeep: &Upkeep, held: &Held, deleted: DeletedFiles) {
    let wait = Duration::from_millis(held.config.file_delete_delay_ms.max(0) as u64);
    let (clock, dirs) = (Arc::clone(&upkeep.world.clock), Arc::clone(&upkeep.dirs));
    let dir = held.partition.dir();
    let unlinking = async move {
        clock.sleep(wait).await;
        if let Err(fault) = deleted.unlink(dirs.get(dir).log.io()).await {
            tracing::error!(%fault, "cannot unlink old segments: the next start will");
        }
    };
    upkeep.world.spawn.spawn(Lane::Data, Box::pin(unlinking));
}

/// `None` where there is nothing to say.
fn checkpointed(partition: &Partition, checkpoint: Checkpoint) -> Option<Offset> {
    match checkpoint {
        Checkpoint::RecoveryPoint if planted(Bug::RecoveryPointTooFar) => {
            Some(partition.with_log(|log| log.written_end()))
        }
        _ => partition.checkpointed(checkpoint),
    }
}
