//! A log core and its files on the real disk, driven as the broker drives them.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use strandline_log::{Admitted, Log, LogConfig, Origin, Recovered};
use strandline_ports::real::{RealDisk, RealSpawn, WriteBudget};
use strandline_store::{
    Append, Io, LoadOptions, LogDir, LogDirOptions, OpenFiles, PartitionStore, ReadRequest,
    StoreFault, TailCache,
};
use strandline_types::{
    BrokerEpoch, Instant, LeaderEpoch, Now, Offset, PartitionId, Timestamp, TopicPartition, Uuid,
};
use strandline_wire::records::{
    BatchBuilder, BatchOptions, InspectLimits, NewRecord, Records as BatchRecords, batches, inspect,
};

pub const DIR_NAME: &str = "orders-0";

pub fn partition() -> TopicPartition {
    TopicPartition { topic: "orders".into(), partition: PartitionId(0) }
}

pub fn now(millis: i64) -> Now {
    Now { instant: Instant::from_nanos(millis as u64 * 1_000_000), timestamp: Timestamp(millis) }
}

pub fn io(budget: WriteBudget) -> Io {
    let spawn = RealSpawn::new(tokio::runtime::Handle::current()).unwrap();
    Io { disk: Arc::new(RealDisk::new(budget)), spawn: Arc::new(spawn) }
}

pub fn small_segments() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 300,
        timestamp_after_max_ms: i64::MAX,
        ..LogConfig::default()
    })
}

/// One log dir with one partition.
pub struct Node {
    pub dir: LogDir,
    pub log: Log,
    pub store: Arc<PartitionStore>,
    pub config: Arc<LogConfig>,
    pub epoch: LeaderEpoch,
}

pub struct Options {
    pub config: Arc<LogConfig>,
    pub tail_cache_bytes: u64,
    pub files_max: usize,
    pub budget: WriteBudget,
    pub preallocate_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: small_segments(),
            tail_cache_bytes: 0,
            files_max: 100,
            budget: WriteBudget::default(),
            preallocate_bytes: 0,
        }
    }
}

pub async fn open_dir(path: &Path, options: &Options) -> LogDir {
    let shared = LogDirOptions {
        open_files: Arc::new(OpenFiles::new(options.files_max)),
        tail_cache: Arc::new(TailCache::new(options.tail_cache_bytes)),
    };
    LogDir::open(io(options.budget), path, shared).await.unwrap()
}

impl Node {
    pub async fn create(path: &Path, options: Options) -> Self {
        Self::create_in(open_dir(path, &options).await, options).await
    }

    pub async fn create_in(dir: LogDir, options: Options) -> Self {
        dir.begin().await.unwrap();
        let store = match options.preallocate_bytes {
            0 => dir.create_partition(&partition(), Uuid::from_u128(77), Offset::ZERO).await,
            bytes => dir.create_metadata_log(&partition(), Offset::ZERO, bytes).await,
        };
        let config = options.config;
        let log = Log::create(Arc::clone(&config), 0, Offset::ZERO, Timestamp(0));
        Self { dir, log, store: store.unwrap(), config, epoch: LeaderEpoch(0) }
    }

    /// Starts on what lies there; tells whether the log was remembered instead of read.
    pub async fn open(path: &Path, options: Options) -> Result<(Self, Opened), StoreFault> {
        let mut dir = open_dir(path, &options).await;
        let found = dir.partitions().await?;
        let found = found.into_iter().find(|found| found.name == DIR_NAME).unwrap();
        let (store, log, opened) = match found.remembered {
            Some(image) => {
                let store = dir.resume_partition(DIR_NAME, &image);
                let log = Log::restore(Arc::clone(&options.config), 0, image, Timestamp(0));
                (store, log, Opened::Remembered)
            }
            None => {
                let (store, recovered) = load(&dir, DIR_NAME, &partition(), &options).await?;
                let log = recovered.log.clone();
                (store, log, Opened::Recovered(Box::new(recovered)))
            }
        };
        dir.begin().await?;
        Ok((Self { dir, log, store, config: options.config, epoch: LeaderEpoch(0) }, opened))
    }

    /// What is to be written.
    pub fn admit(&mut self, batch: Bytes, at: i64) -> Append {
        self.admit_from(batch, at, Origin::Leader)
    }

    pub fn admit_from(&mut self, batch: Bytes, at: i64, origin: Origin) -> Append {
        let batch = inspect(batch, &InspectLimits::default()).unwrap();
        let facts = [batch.facts.clone()];
        let admitted = self.log.admit(now(at), &facts, origin, self.epoch).unwrap();
        let Admitted::Append(plan) = admitted else { panic!("no duplicates here") };
        let stamp = plan.stamps[0];
        let stamped = batch.stamp(stamp.base_offset, stamp.leader_epoch, stamp.log_append_time);
        Append { plan, batches: vec![stamped] }
    }

    pub async fn append(&mut self, batch: Bytes, at: i64) -> Result<Offset, StoreFault> {
        let append = self.admit(batch, at);
        self.write(append).await
    }

    pub async fn write(&mut self, append: Append) -> Result<Offset, StoreFault> {
        let appended = append.plan.appended;
        self.store.append(vec![append]).await?;
        self.log.written(appended.next_offset);
        Ok(appended.base_offset)
    }

    pub async fn append_values(&mut self, values: &[String], at: i64) -> Offset {
        self.append(batch_of(values, at), at).await.unwrap()
    }

    pub async fn sync(&mut self, at: i64) {
        if let Some(plan) = self.log.plan_sync(self.log.written_end()) {
            self.store.sync(&plan).await.unwrap();
            self.log.synced(Timestamp(at), plan.upto);
        }
        self.write_checkpoints().await;
    }

    pub async fn write_checkpoints(&self) {
        use strandline_store::Checkpoint;
        let one = |offset| BTreeMap::from([(partition(), offset)]);
        for (checkpoint, offset) in [
            (Checkpoint::RecoveryPoint, self.log.recovery_point()),
            (Checkpoint::LogStart, self.log.log_start()),
            (Checkpoint::HighWatermark, self.log.written_end()),
        ] {
            self.dir.write_checkpoint(checkpoint, &one(offset)).await.unwrap();
        }
    }

    pub async fn truncate(&mut self, target: Offset, at: i64) {
        self.try_truncate(target, at).await.unwrap();
    }

    pub async fn try_truncate(&mut self, target: Offset, at: i64) -> Result<(), StoreFault> {
        let snapshots = self.store.snapshots().await?;
        let recovery = self.log.truncate_to(target, snapshots, Timestamp(at));
        self.log = self.store.truncate(recovery).await?.log;
        Ok(())
    }

    pub async fn close(mut self) {
        let plan = self.log.plan_close();
        let upto = plan.sync.as_ref().map(|sync| sync.upto);
        self.store.close(plan).await.unwrap();
        if let Some(upto) = upto {
            self.log.synced(Timestamp(0), upto);
        }
        self.write_checkpoints().await;
        let images = BTreeMap::from([(DIR_NAME.to_owned(), self.log.image())]);
        self.dir.finish(BrokerEpoch(9), &images).await.unwrap();
    }

    /// Everything from the log's start on: offsets with values.
    pub async fn read_all(&self, max_bytes: u32) -> Vec<(i64, String)> {
        self.read_from(self.log.log_start(), self.log.written_end(), max_bytes).await
    }

    pub async fn read_from(
        &self,
        mut from: Offset,
        upto: Offset,
        max_bytes: u32,
    ) -> Vec<(i64, String)> {
        let first = from;
        let mut all = Vec::new();
        while from < upto {
            let request = ReadRequest { from, upto, max_bytes, at_least_one_batch: true };
            let answer = self.store.read(request).await.unwrap().expect("not deleted");
            assert!(answer.next_offset > from, "a read at {from} below {upto} made no way");
            all.extend(decode(&self.store.copied(answer.records).await.unwrap()));
            from = answer.next_offset;
        }
        all.retain(|(offset, _)| *offset >= first.get());
        all
    }
}

pub enum Opened {
    Remembered,
    Recovered(Box<Recovered>),
}

pub async fn load(
    dir: &LogDir,
    name: &str,
    partition: &TopicPartition,
    options: &Options,
) -> Result<(Arc<PartitionStore>, Recovered), StoreFault> {
    use strandline_store::Checkpoint;
    let recovery_points = dir.read_checkpoint(Checkpoint::RecoveryPoint).await?;
    let log_starts = dir.read_checkpoint(Checkpoint::LogStart).await?;
    let at = |offsets: &BTreeMap<_, _>| offsets.get(partition).copied().unwrap_or(Offset::ZERO);
    let load = LoadOptions {
        config: Arc::clone(&options.config),
        jitter_seed: 0,
        now: Timestamp(0),
        recovery_point: at(&recovery_points),
        log_start: at(&log_starts),
        is_clean: dir.condition().is_clean(),
        preallocate_bytes: options.preallocate_bytes,
    };
    dir.load_partition(name, load).await
}

pub fn batch_of(values: &[String], at: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in values {
        let record = NewRecord {
            timestamp: Timestamp(at),
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        builder.append(&record).unwrap();
    }
    builder.build()
}

pub fn decode(bytes: &Bytes) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for batch in batches(bytes) {
        let batch = batch.expect("whole batches");
        let records = BatchRecords::open(&batch, &InspectLimits::default()).unwrap();
        for record in records.iter() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            all.push((record.offset.get(), value));
        }
    }
    all
}

pub fn values(from: usize, count: usize, len: usize) -> Vec<String> {
    (from..from + count).map(|i| format!("{i:0len$}")).collect()
}
