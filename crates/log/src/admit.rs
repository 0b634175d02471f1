//! Admission: which batches may enter the log, at which offsets, and where their bytes go.

use alloc::vec::Vec;

use strandline_types::{
    BatchFacts, Bug, ControlType, ErrorCode, LeaderEpoch, Now, Offset, ProducerEpoch, ProducerId,
    Timestamp, TimestampType, planted,
};
use thiserror::Error;

use crate::segment::Placed;
use crate::{
    Admission, Admitted, Appended, Log, LogConfig, Origin, Roll, RollReason, Segment, Stamp,
};

/// Why none of a request's batches entered the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AdmitRefusal {
    #[error("the log is offline after a storage fault")]
    Offline,
    #[error("a partition takes exactly one batch per request, found {found}")]
    NotOneBatch { found: usize },
    #[error("a producer's batch begins at offset 0, found {found}")]
    BaseOffsetNotZero { found: Offset },
    #[error("batch of {size_bytes} bytes is larger than max.message.bytes {limit_bytes}")]
    BatchTooLarge { size_bytes: u32, limit_bytes: u32 },
    #[error("batch of {size_bytes} bytes is larger than segment.bytes {limit_bytes}")]
    SegmentTooSmall { size_bytes: u64, limit_bytes: u32 },
    #[error("batch counts {record_count} records, its last offset delta is {last_offset_delta}")]
    CountMismatch { record_count: i32, last_offset_delta: i32 },
    #[error("clients may not write control batches")]
    ControlBatch,
    #[error("an idempotent producer's batch has no sequence number")]
    SequenceMissing,
    #[error("record {first_keyless} has no key and the topic is compacted")]
    KeyMissing { first_keyless: i32 },
    #[error("the producer set the LogAppendTime bit")]
    LogAppendTimeClaimed,
    #[error("a record's timestamp lies outside {earliest} to {latest}")]
    TimestampOutOfRange { earliest: Timestamp, latest: Timestamp },
    #[error("producer {producer_id} with epoch {found} is fenced by epoch {current}")]
    ProducerFenced { producer_id: ProducerId, current: ProducerEpoch, found: ProducerEpoch },
    #[error("producer {producer_id} sent sequence {found}, expected {expected}")]
    OutOfOrderSequence { producer_id: ProducerId, expected: i32, found: i32 },
    #[error("the batch does not belong to an ongoing transaction")]
    TransactionState,
    #[error(
        "a coordinator of epoch {current} has ended transactions of this producer, not {found}"
    )]
    CoordinatorFenced { current: i32, found: i32 },
    #[error("offset {found} follows {expected}")]
    OffsetOutOfOrder { expected: Offset, found: Offset },
    #[error("leader epoch {found} follows {latest}")]
    EpochOutOfOrder { latest: LeaderEpoch, found: LeaderEpoch },
    #[error("the log has no offsets left")]
    OffsetsExhausted,
}

impl AdmitRefusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Offline => ErrorCode::KAFKA_STORAGE_ERROR,
            Self::BatchTooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            Self::SegmentTooSmall { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
            Self::NotOneBatch { .. }
            | Self::BaseOffsetNotZero { .. }
            | Self::CountMismatch { .. }
            | Self::ControlBatch
            | Self::SequenceMissing
            | Self::KeyMissing { .. } => ErrorCode::INVALID_RECORD,
            Self::LogAppendTimeClaimed | Self::TimestampOutOfRange { .. } => {
                ErrorCode::INVALID_TIMESTAMP
            }
            Self::ProducerFenced { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
            Self::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            Self::TransactionState => ErrorCode::INVALID_TXN_STATE,
            Self::CoordinatorFenced { .. } => ErrorCode::TRANSACTION_COORDINATOR_FENCED,
            Self::OffsetOutOfOrder { .. }
            | Self::EpochOutOfOrder { .. }
            | Self::OffsetsExhausted => ErrorCode::UNKNOWN_SERVER_ERROR,
        }
    }
}

impl Log {
    /// All of `batches` enter the log, or none. Nothing may be answered before the plan has been
    /// carried out. `leader_epoch` is stamped into what a leader or coordinator appends; followers
    /// keep what the batches carry.
    pub fn admit(
        &mut self,
        now: Now,
        batches: &[BatchFacts],
        origin: Origin,
        leader_epoch: LeaderEpoch,
    ) -> Result<Admitted, AdmitRefusal> {
        if self.is_faulted() {
            return Err(AdmitRefusal::Offline);
        }
        if batches.is_empty() {
            return Err(AdmitRefusal::NotOneBatch { found: 0 });
        }
        match origin {
            Origin::Leader | Origin::Verified(_) => {
                check_client_batch(&self.config, now.timestamp, batches)?;
                if let Some(duplicate) = self.duplicate_of(&batches[0]) {
                    return Ok(Admitted::Duplicate(duplicate));
                }
                self.check_producer(&batches[0], origin)?;
            }
            Origin::Coordinator => {
                check_own_batches(&self.config, batches)?;
                self.check_own_producers(batches, false)?;
            }
            Origin::Marker { bumps_epoch } => {
                check_own_batches(&self.config, batches)?;
                self.check_own_producers(batches, bumps_epoch)?;
            }
            Origin::Follower => self.check_copied_batches(batches)?,
        }
        let log_end = self.end_after(batches, origin)?;
        Ok(Admitted::Append(self.append(now, batches, origin, leader_epoch, log_end)))
    }

    fn duplicate_of(&self, batch: &BatchFacts) -> Option<Appended> {
        if !batch.is_idempotent() {
            return None;
        }
        let (first, last, timestamp) = self.producers.repeated(batch)?;
        let stamps_time = self.config.timestamp_type == TimestampType::LogAppendTime;
        Some(Appended {
            base_offset: first,
            next_offset: last + 1,
            log_append_time: stamps_time.then_some(timestamp),
        })
    }

    fn check_producer(&self, batch: &BatchFacts, origin: Origin) -> Result<(), AdmitRefusal> {
        if !batch.is_idempotent() {
            // A transaction is its producer's.
            return if batch.is_transactional {
                Err(AdmitRefusal::TransactionState)
            } else {
                Ok(())
            };
        }
        self.producers.check(batch)?;
        if !batch.is_transactional {
            return Ok(());
        }
        let guard = match origin {
            Origin::Verified(guard) => Some(guard),
            _ => None,
        };
        self.check_verified(batch.into(), guard)
    }

    /// What coordinators write must not come from the past either.
    fn check_own_producers(
        &self,
        batches: &[BatchFacts],
        bumps_epoch: bool,
    ) -> Result<(), AdmitRefusal> {
        for batch in batches.iter().filter(|batch| batch.is_idempotent()) {
            let (id, epoch) = (batch.producer_id, batch.producer_epoch);
            match batch.control {
                Some(
                    ControlType::Abort { coordinator_epoch }
                    | ControlType::Commit { coordinator_epoch },
                ) => self.producers.check_marker(id, epoch, coordinator_epoch, bumps_epoch)?,
                _ => self.producers.check_epoch(id, epoch)?,
            }
        }
        Ok(())
    }

    /// A leader's batches come as they are; sizes are the leader's business, order is not.
    fn check_copied_batches(&self, batches: &[BatchFacts]) -> Result<(), AdmitRefusal> {
        let mut expected = self.log_end;
        let mut latest = self.latest_epoch().unwrap_or(LeaderEpoch::NONE);
        let mut size_bytes = 0_u64;
        for batch in batches {
            let (base, found) = (batch.base_offset, batch.leader_epoch);
            let end = base.checked_add(i64::from(batch.last_offset_delta) + 1);
            let Some(end) = end else { return Err(AdmitRefusal::OffsetsExhausted) };
            // Where there cannot be holes records would be missing.
            let follows = base == expected || (self.config.may_have_holes && base > expected);
            if !follows || batch.last_offset_delta < 0 {
                return Err(AdmitRefusal::OffsetOutOfOrder { expected, found: base });
            }
            if found < latest {
                return Err(AdmitRefusal::EpochOutOfOrder { latest, found });
            }
            (expected, latest) = (end, found);
            size_bytes += u64::from(batch.size_bytes);
        }
        let limit_bytes = i32::MAX as u32;
        if size_bytes > u64::from(limit_bytes) {
            return Err(AdmitRefusal::SegmentTooSmall { size_bytes, limit_bytes });
        }
        Ok(())
    }

    /// Log end once `batches` are in.
    fn end_after(&self, batches: &[BatchFacts], origin: Origin) -> Result<Offset, AdmitRefusal> {
        if let (Origin::Follower, Some(last)) = (origin, batches.last()) {
            return Ok(last.next_offset());
        }
        let count: i64 = batches.iter().map(|batch| i64::from(batch.last_offset_delta) + 1).sum();
        self.log_end.checked_add(count).ok_or(AdmitRefusal::OffsetsExhausted)
    }

    fn append(
        &mut self,
        now: Now,
        batches: &[BatchFacts],
        origin: Origin,
        leader_epoch: LeaderEpoch,
        log_end: Offset,
    ) -> Admission {
        let log_append_time = (self.config.timestamp_type == TimestampType::LogAppendTime
            && origin != Origin::Follower)
            .then_some(now.timestamp);
        let size_bytes = batches.iter().map(|batch| batch.size_bytes).sum();
        let max_timestamp = log_append_time
            .or_else(|| batches.iter().map(|batch| batch.max_timestamp).max())
            .unwrap_or(Timestamp::NONE);
        let first_offset = match origin {
            Origin::Follower => batches.first().map_or(self.log_end, |batch| batch.base_offset),
            _ => self.log_end,
        };
        let roll = self
            .roll_reason(now.timestamp, size_bytes, max_timestamp, log_end - 1)
            .map(|reason| self.roll(now.timestamp, first_offset, reason));
        let mut admission = Admission {
            roll,
            segment: self.active().base_offset,
            position: self.active().size_bytes,
            size_bytes,
            appended: Appended { base_offset: first_offset, next_offset: log_end, log_append_time },
            stamps: Vec::new(),
            index_entries: Vec::new(),
            time_index_entries: Vec::new(),
            aborted: Vec::new(),
            epochs: None,
        };
        self.place_all(now.timestamp, batches, origin, leader_epoch, &mut admission);
        self.assert_invariants();
        admission
    }

    fn place_all(
        &mut self,
        now: Timestamp,
        batches: &[BatchFacts],
        origin: Origin,
        leader_epoch: LeaderEpoch,
        admission: &mut Admission,
    ) {
        let log_append_time = admission.appended.log_append_time;
        let mut new_epoch = core::mem::take(&mut self.epochs_unsaved);
        let mut next_offset = admission.appended.base_offset;
        for batch in batches {
            let (base_offset, epoch) = match origin {
                Origin::Follower => (batch.base_offset, batch.leader_epoch),
                _ => (next_offset, leader_epoch),
            };
            let max_timestamp = log_append_time.unwrap_or(batch.max_timestamp);
            let last_offset = base_offset + i64::from(batch.last_offset_delta);
            if origin != Origin::Follower {
                admission.stamps.push(Stamp { base_offset, leader_epoch, log_append_time });
            }
            new_epoch |= self.epochs.assign(epoch, base_offset);
            let aborted = self.producers.apply(batch, base_offset, max_timestamp);
            if batch.control.is_some() {
                let bumps_epoch = origin == Origin::Marker { bumps_epoch: true };
                self.verifications.end_by(batch, bumps_epoch);
            }
            let placed = Placed { last_offset, max_timestamp, size_bytes: batch.size_bytes };
            let active = self.segments.last_mut().expect("LOG-2: there is an active segment");
            let (index_entry, time_index_entry) = active.append(&self.config, placed);
            admission.index_entries.extend(index_entry);
            admission.time_index_entries.extend(time_index_entry);
            if let Some(aborted) = aborted {
                active.aborted(&aborted);
                admission.aborted.push(aborted);
            }
            next_offset = last_offset + 1;
        }
        assert_eq!(next_offset, admission.appended.next_offset, "LOG-1: offsets are dense");
        self.active_mut().modified_at = now;
        self.log_end = next_offset;
        admission.epochs = new_epoch.then(|| self.epochs.entries().to_vec());
    }

    /// Why the next append must go to a new segment.
    fn roll_reason(
        &self,
        now: Timestamp,
        size_bytes: u32,
        max_timestamp: Timestamp,
        last_offset: Offset,
    ) -> Option<RollReason> {
        let active = self.active();
        if active.size_bytes == 0 {
            // An empty segment of the same name would take its place; only its name can be wrong.
            return (!active.can_hold(last_offset)).then_some(RollReason::OffsetDelta);
        }
        let waited_ms = if active.first_timestamp.0 >= 0 {
            max_timestamp.millis_since(active.first_timestamp)
        } else {
            now.millis_since(active.created_at)
        };
        let limit_ms = self.config.segment_ms_of(self.jitter_seed, active.base_offset.0);
        if u64::from(active.size_bytes) + u64::from(size_bytes)
            > u64::from(self.config.segment_bytes)
        {
            Some(RollReason::Size)
        } else if waited_ms > limit_ms {
            Some(RollReason::Time)
        } else if active.indexes_are_full(&self.config) {
            Some(RollReason::IndexFull)
        } else if !active.can_hold(last_offset) {
            Some(RollReason::OffsetDelta)
        } else {
            None
        }
    }

    /// Closes the active segment and begins the next one at `base_offset`.
    pub(crate) fn roll(&mut self, now: Timestamp, base_offset: Offset, reason: RollReason) -> Roll {
        let close = self.active_mut().close();
        // A sync that is under way may be about to take the recovery point there.
        let flushes = self.config.flush_messages < i64::MAX || self.config.flush_ms < i64::MAX;
        let sync_indexes = flushes || self.recovery_point == base_offset;
        // LOG-9: that the end of the old segment was lost with the power, and the new one was not, shows
        // in the hole between them. A compacted log has others.
        let syncs = self.config.compacts && !planted(Bug::RollsUnsynced);
        let sync = syncs.then(|| self.plan_sync_of_admitted(base_offset)).flatten();
        let is_durable = |upto| sync.as_ref().map_or(self.recovery_point, |plan| plan.upto) >= upto;
        assert!(
            !syncs || is_durable(base_offset),
            "LOG-9: what is before a new segment is durable"
        );
        if close.size_bytes == 0 {
            // It never held a record: the new segment replaces it.
            self.segments.pop();
        }
        self.segments.push(Segment::new(base_offset, now));
        let producers = self.producers.snapshot();
        Roll { base_offset, reason, close, sync, sync_indexes, producers }
    }
}

fn check_client_batch(
    config: &LogConfig,
    now: Timestamp,
    batches: &[BatchFacts],
) -> Result<(), AdmitRefusal> {
    let [batch] = batches else {
        return Err(AdmitRefusal::NotOneBatch { found: batches.len() });
    };
    if batch.base_offset != Offset::ZERO {
        return Err(AdmitRefusal::BaseOffsetNotZero { found: batch.base_offset });
    }
    check_batch_size(config, batch)?;
    check_count(batch)?;
    if batch.control.is_some() {
        return Err(AdmitRefusal::ControlBatch);
    }
    if batch.is_idempotent() && batch.base_sequence < 0 {
        return Err(AdmitRefusal::SequenceMissing);
    }
    check_timestamps(config, now, batch)?;
    if let (true, Some(first_keyless)) = (config.compacts, batch.first_keyless) {
        return Err(AdmitRefusal::KeyMissing { first_keyless });
    }
    check_segment_size(config, batches)
}

fn check_own_batches(config: &LogConfig, batches: &[BatchFacts]) -> Result<(), AdmitRefusal> {
    for batch in batches {
        check_batch_size(config, batch)?;
        check_count(batch)?;
    }
    check_segment_size(config, batches)
}

fn check_batch_size(config: &LogConfig, batch: &BatchFacts) -> Result<(), AdmitRefusal> {
    let (size_bytes, limit_bytes) = (batch.size_bytes, config.max_message_bytes);
    if size_bytes > limit_bytes {
        return Err(AdmitRefusal::BatchTooLarge { size_bytes, limit_bytes });
    }
    Ok(())
}

fn check_count(batch: &BatchFacts) -> Result<(), AdmitRefusal> {
    let (record_count, last_offset_delta) = (batch.record_count, batch.last_offset_delta);
    if record_count <= 0 || i64::from(last_offset_delta) + 1 != i64::from(record_count) {
        return Err(AdmitRefusal::CountMismatch { record_count, last_offset_delta });
    }
    Ok(())
}

fn check_segment_size(config: &LogConfig, batches: &[BatchFacts]) -> Result<(), AdmitRefusal> {
    let size_bytes: u64 = batches.iter().map(|batch| u64::from(batch.size_bytes)).sum();
    let limit_bytes = config.segment_bytes.min(i32::MAX as u32);
    if size_bytes > u64::from(limit_bytes) {
        return Err(AdmitRefusal::SegmentTooSmall { size_bytes, limit_bytes });
    }
    Ok(())
}

fn check_timestamps(
    config: &LogConfig,
    now: Timestamp,
    batch: &BatchFacts,
) -> Result<(), AdmitRefusal> {
    if batch.timestamp_type == TimestampType::LogAppendTime {
        return Err(AdmitRefusal::LogAppendTimeClaimed);
    }
    if config.timestamp_type == TimestampType::LogAppendTime {
        return Ok(());
    }
    let earliest = Timestamp(now.0.saturating_sub(config.timestamp_before_max_ms));
    let latest = now.saturating_add_millis(config.timestamp_after_max_ms);
    // A record without timestamp (−1) is never out of range.
    let too_early = batch.min_timestamp < earliest && batch.min_timestamp != Timestamp::NONE;
    if too_early || batch.max_timestamp > latest {
        return Err(AdmitRefusal::TimestampOutOfRange { earliest, latest });
    }
    Ok(())
}
