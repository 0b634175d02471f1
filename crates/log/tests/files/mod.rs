//! A partition's files as lists: obeys plans, crashes, and reads back what is left.
#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part.

use std::collections::BTreeMap;
use std::sync::Arc;

use strandline_log::{
    AbortedTransaction, Admission, AdmitRefusal, Admitted, ClosePlan, CloseSegment, Deletion,
    EpochCache, IndexEntry, IndexListing, Listing, Log, LogConfig, Origin, ProducerSnapshot,
    Recovered, Recovery, RecoveryFault, RecoveryStep, Roll, SegmentListing, SyncPlan,
    TimeIndexEntry, TransactionListing,
};
use strandline_types::{
    BatchFacts, Compression, ControlType, Instant, LeaderEpoch, Now, Offset, ProducerEpoch,
    ProducerId, Timestamp, TimestampType,
};

#[derive(Clone, Default, PartialEq, Debug)]
pub struct SegmentFile {
    pub batches: Vec<BatchFacts>,
    /// How many of the batches survive a loss of power.
    pub synced: usize,
    /// Bytes behind the batches that are no batch.
    pub torn_bytes: u32,
    pub index: Vec<IndexEntry>,
    pub time_index: Vec<TimeIndexEntry>,
    pub has_indexes: bool,
    pub aborted: Vec<AbortedTransaction>,
}

impl SegmentFile {
    pub fn size_bytes(&self) -> u32 {
        self.batches.iter().map(|batch| batch.size_bytes).sum::<u32>() + self.torn_bytes
    }
}

#[derive(Clone, Default, PartialEq, Debug)]
pub struct Files {
    pub segments: BTreeMap<Offset, SegmentFile>,
    pub snapshots: BTreeMap<Offset, Vec<ProducerSnapshot>>,
    pub epochs: EpochCache,
    pub recovery_point: Offset,
    pub log_start: Offset,
    /// Segments that recovery read, for the stories.
    pub scanned: Vec<String>,
}

pub fn now(millis: i64) -> Now {
    Now { instant: Instant::from_nanos(millis as u64 * 1_000_000), timestamp: Timestamp(millis) }
}

/// A plain batch of `count` records of 100 bytes, dated `timestamp`.
pub fn batch(count: i32, timestamp: i64) -> BatchFacts {
    BatchFacts {
        base_offset: Offset(0),
        last_offset_delta: count - 1,
        record_count: count,
        size_bytes: count as u32 * 100,
        leader_epoch: LeaderEpoch::NONE,
        compression: Compression::None,
        timestamp_type: TimestampType::CreateTime,
        is_transactional: false,
        control: None,
        has_delete_horizon: false,
        base_timestamp: Timestamp(timestamp),
        max_timestamp: Timestamp(timestamp),
        max_timestamp_delta: 0,
        min_timestamp: Timestamp(timestamp),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        first_keyless: None,
    }
}

pub fn from_producer(mut batch: BatchFacts, id: i64, epoch: i16, sequence: i32) -> BatchFacts {
    batch.producer_id = ProducerId(id);
    batch.producer_epoch = ProducerEpoch(epoch);
    batch.base_sequence = sequence;
    batch
}

/// The end of a producer's transaction.
pub fn marker(id: i64, epoch: i16, commits: bool, coordinator_epoch: i32) -> BatchFacts {
    let mut marker = from_producer(batch(1, 1000), id, epoch, -1);
    marker.is_transactional = true;
    marker.control = Some(match commits {
        true => ControlType::Commit { coordinator_epoch },
        false => ControlType::Abort { coordinator_epoch },
    });
    marker
}

impl Files {
    pub fn create(start: Offset) -> Self {
        let mut files = Self { recovery_point: start, log_start: start, ..Self::default() };
        files.create_segment(start);
        files
    }

    fn create_segment(&mut self, base: Offset) {
        let fresh = SegmentFile { has_indexes: true, ..SegmentFile::default() };
        self.segments.insert(base, fresh);
    }

    /// What a broker does with one request: admit, write, report.
    pub fn append(
        &mut self,
        log: &mut Log,
        now: Now,
        batches: &[BatchFacts],
        epoch: i32,
    ) -> Result<Admitted, AdmitRefusal> {
        self.append_from(log, now, batches, epoch, Origin::Leader)
    }

    pub fn append_from(
        &mut self,
        log: &mut Log,
        now: Now,
        batches: &[BatchFacts],
        epoch: i32,
        origin: Origin,
    ) -> Result<Admitted, AdmitRefusal> {
        let admitted = log.admit(now, batches, origin, LeaderEpoch(epoch))?;
        if let Admitted::Append(admission) = &admitted {
            self.write(admission, batches);
            log.written(admission.appended.next_offset);
        }
        Ok(admitted)
    }

    pub fn write(&mut self, admission: &Admission, batches: &[BatchFacts]) {
        if let Some(roll) = &admission.roll {
            self.roll(roll);
        }
        let file = self.segments.get_mut(&admission.segment).expect("the segment exists");
        assert_eq!(file.size_bytes(), admission.position, "written at the end of the file");
        for (index, batch) in batches.iter().enumerate() {
            let mut stored = batch.clone();
            if let Some(stamp) = admission.stamps.get(index) {
                stored.base_offset = stamp.base_offset;
                stored.leader_epoch = stamp.leader_epoch;
                if let Some(time) = stamp.log_append_time {
                    stored.timestamp_type = TimestampType::LogAppendTime;
                    stored.max_timestamp = time;
                }
            }
            file.batches.push(stored);
        }
        file.index.extend(&admission.index_entries);
        file.time_index.extend(&admission.time_index_entries);
        file.aborted.extend(&admission.aborted);
        if let Some(epochs) = &admission.epochs {
            self.epochs = EpochCache::from_checkpoint(epochs.iter().copied());
        }
    }

    pub fn roll(&mut self, roll: &Roll) {
        self.close_segment(&roll.close);
        self.create_segment(roll.base_offset);
        self.snapshots.insert(roll.base_offset, roll.producers.clone());
    }

    fn close_segment(&mut self, close: &CloseSegment) {
        let file = self.segments.get_mut(&close.base_offset).expect("the segment exists");
        assert_eq!(file.size_bytes(), close.size_bytes, "LOG-5: positions are sums of sizes");
        file.time_index.extend(close.final_time_index_entry);
        if close.size_bytes == 0 {
            self.segments.remove(&close.base_offset);
        }
    }

    pub fn sync(&mut self, log: &mut Log, now: Now, plan: &SyncPlan) {
        for base in &plan.segments {
            let file = self.segments.get_mut(base).expect("the segment exists");
            file.synced = file.batches.len();
        }
        log.synced(now.timestamp, plan.upto);
        self.recovery_point = log.recovery_point();
    }

    pub fn delete(&mut self, deletion: &Deletion) {
        if let Some(roll) = &deletion.roll {
            self.roll(roll);
        }
        for base in &deletion.segments {
            // An empty active segment may have gone with the roll.
            self.segments.remove(base);
            self.snapshots.remove(base);
        }
        self.log_start = deletion.log_start;
        if let Some(epochs) = &deletion.epochs {
            self.epochs = EpochCache::from_checkpoint(epochs.iter().copied());
        }
    }

    pub fn close(&mut self, log: &mut Log, now: Now, plan: &ClosePlan) {
        let file = self.segments.get_mut(&plan.close.base_offset).expect("the segment exists");
        assert_eq!(file.size_bytes(), plan.close.size_bytes, "LOG-5: positions are sums of sizes");
        file.time_index.extend(plan.close.final_time_index_entry);
        self.snapshots.insert(plan.snapshot_offset, plan.producers.clone());
        if let Some(sync) = &plan.sync {
            self.sync(log, now, sync);
        }
    }

    pub fn listing(&self, is_clean: bool) -> Listing {
        Listing {
            segments: self.segments.iter().map(|(&base, file)| listed(base, file)).collect(),
            snapshots: self.snapshots.keys().copied().collect(),
            recovery_point: self.recovery_point,
            log_start: self.log_start,
            is_clean,
            epochs: self.epochs.clone(),
        }
    }

    pub fn recover(
        &mut self,
        config: &Arc<LogConfig>,
        now: Now,
        is_clean: bool,
    ) -> Result<Recovered, RecoveryFault> {
        let listing = self.listing(is_clean);
        let recovery = Recovery::new(Arc::clone(config), 0, now.timestamp, listing);
        self.run(recovery)
    }

    pub fn run(&mut self, mut recovery: Recovery) -> Result<Recovered, RecoveryFault> {
        loop {
            match recovery.next_step() {
                RecoveryStep::LoadSnapshot(offset) => {
                    recovery.snapshot_loaded(self.snapshots.get(&offset).map(Vec::as_slice));
                }
                RecoveryStep::Scan(range) => {
                    self.scanned.push(format!("{}@{}", range.segment, range.from));
                    self.scan(&mut recovery, range.segment, range.from);
                    if let Some(rebuilt) = recovery.scan_ended()? {
                        let file = self.segments.get_mut(&rebuilt.segment).expect("scanned");
                        file.index = rebuilt.index_entries;
                        file.time_index = rebuilt.time_index_entries;
                        file.has_indexes = true;
                        if let Some(aborted) = rebuilt.aborted {
                            file.aborted = aborted;
                        }
                        self.snapshots.extend(rebuilt.snapshot);
                    }
                }
                RecoveryStep::Done => break,
            }
        }
        let recovered = recovery.finish();
        self.repair(&recovered);
        Ok(recovered)
    }

    fn scan(&self, recovery: &mut Recovery, segment: Offset, from: u32) {
        let mut position = 0;
        for batch in &self.segments[&segment].batches {
            if position >= from && !recovery.batch(batch, position) {
                return;
            }
            position += batch.size_bytes;
        }
    }

    fn repair(&mut self, recovered: &Recovered) {
        let repair = &recovered.repair;
        for base in &repair.delete_segments {
            self.segments.remove(base);
        }
        for offset in &repair.delete_snapshots {
            self.snapshots.remove(offset);
        }
        if let Some((base, size)) = repair.truncate {
            let file = self.segments.get_mut(&base).expect("the segment exists");
            file.torn_bytes = 0;
            while file.size_bytes() > size {
                file.batches.pop();
            }
            assert_eq!(file.size_bytes(), size, "cut between two batches");
            file.synced = file.synced.min(file.batches.len());
        }
        if let Some(base) = repair.create_segment {
            self.create_segment(base);
        }
        if let Some(epochs) = &repair.epochs {
            self.epochs = EpochCache::from_checkpoint(epochs.iter().copied());
        }
        self.recovery_point = recovered.log.recovery_point();
        self.log_start = recovered.log.log_start();
    }

    /// Every stored batch in order.
    pub fn batches(&self) -> Vec<BatchFacts> {
        self.segments.values().flat_map(|file| file.batches.iter().cloned()).collect()
    }

    pub fn show(&self) -> String {
        let mut text = String::new();
        for (base, file) in &self.segments {
            let ranges: Vec<String> = file
                .batches
                .iter()
                .map(|batch| {
                    format!("{}-{}e{}", batch.base_offset, batch.last_offset(), batch.leader_epoch)
                })
                .collect();
            let index: Vec<String> = file
                .index
                .iter()
                .map(|entry| format!("+{}@{}", entry.relative_offset, entry.position))
                .collect();
            let time_index: Vec<String> = file
                .time_index
                .iter()
                .map(|entry| format!("{}→+{}", entry.timestamp, entry.relative_offset))
                .collect();
            text += &format!(
                "  {base}.log [{}] index [{}] timeindex [{}]\n",
                ranges.join(" "),
                index.join(" "),
                time_index.join(" ")
            );
        }
        let snapshots: Vec<String> =
            self.snapshots.iter().map(|(at, held)| format!("{at}({})", held.len())).collect();
        let epochs: Vec<String> = self
            .epochs
            .entries()
            .iter()
            .map(|entry| format!("{}@{}", entry.epoch, entry.start))
            .collect();
        text += &format!("  snapshots [{}] epochs [{}]", snapshots.join(" "), epochs.join(" "));
        text
    }
}

fn listed(base: Offset, file: &SegmentFile) -> SegmentListing {
    let relative = |offset: u32| base + i64::from(offset);
    let indexes = if file.has_indexes {
        IndexListing::Sound {
            index_entries: file.index.len() as u32,
            last_indexed: file.index.last().map(|at| (relative(at.relative_offset), at.position)),
            time_index_entries: file.time_index.len() as u32,
            largest: file.time_index.last().map(|at| (at.timestamp, relative(at.relative_offset))),
        }
    } else {
        IndexListing::Missing
    };
    SegmentListing {
        base_offset: base,
        size_bytes: u64::from(file.size_bytes()),
        modified_at: Timestamp(0),
        first_timestamp: file.batches.first().map_or(Timestamp::NONE, |first| first.max_timestamp),
        indexes,
        transactions: TransactionListing::Sound {
            entries: file.aborted.len() as u32,
            last_aborted: file.aborted.last().map_or(Offset(-1), |last| last.last_offset),
        },
    }
}
