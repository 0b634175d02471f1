//! Opens one partition: as it was remembered, from its files, or new.

use std::collections::BTreeMap;
use std::sync::Arc;

use strandline_config::TopicConfig;
use strandline_log::{Log, LogConfig, Recovered};
use strandline_metadata::image::{Partition as PartitionImage, Topic};
use strandline_ports::{World, random_uuid};
use strandline_store::format::offset_checkpoint::Offsets;
use strandline_store::{FoundPartition, LoadOptions, PartitionStore, StoreFault};
use strandline_types::{Offset, PartitionId, TopicIdPartition, TopicPartition};

use crate::dirs::{DirIndex, Dirs};

/// A partition to be opened, and what is known of it.
pub(super) struct Opening {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: PartitionId,
    pub(super) assigned: Arc<PartitionImage>,
    pub(super) config: Arc<TopicConfig>,
    pub(super) log_config: Arc<LogConfig>,
    pub(super) dir: DirIndex,
    pub(super) found: Option<FoundPartition>,
}

impl Opening {
    pub(super) fn name(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.name.to_string(), partition: self.partition }
    }

    pub(super) fn id(&self) -> TopicIdPartition {
        TopicIdPartition { topic_id: self.topic.id, partition: self.partition }
    }
}

/// A partition's files, opened.
pub(super) struct Opened {
    pub(super) opening: Opening,
    pub(super) store: Arc<PartitionStore>,
    pub(super) log: Log,
    pub(super) high_watermark: Offset,
    /// Where the cleaner's last pass ended.
    pub(super) cleaned_upto: Option<Offset>,
}

/// And the high watermark.
type Files = (Arc<PartitionStore>, Log, Offset);

/// The checkpoint files of one directory, as they were at start.
#[derive(Default)]
pub(super) struct DirCheckpoints {
    pub(super) recovery_points: Offsets,
    pub(super) log_starts: Offsets,
    pub(super) high_watermarks: Offsets,
    pub(super) cleaned: Offsets,
}

fn checkpointed(offsets: &Offsets, partition: &TopicPartition) -> Offset {
    offsets.get(partition).copied().unwrap_or(Offset::ZERO)
}

/// Recovery goes on with what is there. That something is not there must not go unnoticed.
fn tell_losses(partition: &TopicPartition, recovered: &Recovered) {
    let log_end = recovered.log.log_end();
    if recovered.was_wiped {
        tracing::error!(
            %partition, %log_end,
            "the log ended before its start, so all of its records were dropped"
        );
    }
    if let Some(recovery_point) = recovered.ends_before_recovery_point {
        tracing::error!(
            %partition, %log_end, %recovery_point,
            "the log ends before its recovery point: records that were durable are gone"
        );
    }
}

/// What every opening needs; clones share it.
#[derive(Clone)]
pub(super) struct Opener {
    pub(super) world: World,
    pub(super) dirs: Arc<Dirs>,
    pub(super) checkpoints: Arc<BTreeMap<DirIndex, DirCheckpoints>>,
}

impl Opener {
    /// # Errors
    /// What was wrong, and the opening for another try.
    pub(super) async fn open(&self, mut opening: Opening) -> Result<Opened, (Opening, StoreFault)> {
        match self.try_open(&mut opening).await {
            Ok((store, log, high_watermark)) => {
                let checkpoints = self.checkpoints.get(&opening.dir);
                // A partition that is made anew is not the one of that name that was cleaned.
                let cleaned = checkpoints.filter(|_| opening.found.is_some());
                let cleaned_upto = cleaned.and_then(|it| it.cleaned.get(&opening.name()).copied());
                Ok(Opened { opening, store, log, high_watermark, cleaned_upto })
            }
            Err(fault) => Err((opening, fault)),
        }
    }

    async fn try_open(&self, opening: &mut Opening) -> Result<Files, StoreFault> {
        let name = opening.name();
        let Some(found) = &opening.found else { return self.create(opening, name).await };
        let log_dir = &self.dirs.get(opening.dir).log;
        let config = Arc::clone(&opening.log_config);
        let (store, log) = match &found.remembered {
            Some(image) => {
                let store = log_dir.resume_partition(&found.name, image);
                let (seed, now) = (self.jitter_seed(), self.world.clock.now().timestamp);
                (store, Log::restore(config, seed, image.clone(), now))
            }
            None => {
                let options = self.load_options(opening.dir, &name, config);
                let (store, recovered) = log_dir.load_partition(&found.name, options).await?;
                tell_losses(&name, &recovered);
                (store, recovered.log)
            }
        };
        // Files of an earlier topic of that name: its records must never be served as this one's.
        // Without an id they may be, and nothing of them was ever promised to be durable.
        let holds_other_topic = match found.remembered {
            Some(_) => false,
            None => store.topic_id().await? != Some(opening.topic.id),
        };
        if holds_other_topic {
            let unique = random_uuid(&*self.world.entropy);
            let aside = store.set_aside(&name, unique).await?;
            tracing::warn!(partition = %name, to = %aside.display(), "belongs to another topic id, or to none: put aside");
            opening.found = None;
            return self.create(opening, name).await;
        }
        let high_watermark = match self.checkpoints.get(&opening.dir) {
            Some(checkpoints) => checkpointed(&checkpoints.high_watermarks, &name),
            None => Offset::ZERO,
        };
        Ok((store, log, high_watermark))
    }

    async fn create(&self, opening: &Opening, name: TopicPartition) -> Result<Files, StoreFault> {
        let log_dir = &self.dirs.get(opening.dir).log;
        let unique = random_uuid(&*self.world.entropy);
        if let Some(aside) = log_dir.make_way(&name, unique).await? {
            tracing::warn!(partition = %name, to = %aside.display(), "nobody knows these records: put aside");
        }
        let store = log_dir.create_partition(&name, opening.topic.id, Offset::ZERO).await?;
        let config = Arc::clone(&opening.log_config);
        let now = self.world.clock.now().timestamp;
        let log = Log::create(config, self.jitter_seed(), Offset::ZERO, now);
        Ok((store, log, Offset::ZERO))
    }

    pub(super) fn load_options(
        &self,
        dir: DirIndex,
        name: &TopicPartition,
        config: Arc<LogConfig>,
    ) -> LoadOptions {
        let nothing = DirCheckpoints::default();
        let checkpoints = self.checkpoints.get(&dir).unwrap_or(&nothing);
        LoadOptions {
            config,
            jitter_seed: self.jitter_seed(),
            now: self.world.clock.now().timestamp,
            recovery_point: checkpointed(&checkpoints.recovery_points, name),
            log_start: checkpointed(&checkpoints.log_starts, name),
            is_clean: self.dirs.get(dir).log.condition().is_clean(),
            preallocate_bytes: 0,
        }
    }

    fn jitter_seed(&self) -> u64 {
        self.world.entropy.next_u64()
    }
}
