//! Turns untrusted bytes into [`BatchFacts`], before any lock is taken.

use bytes::Bytes;
use strandline_types::{
    BatchFacts, Bug, Compression, ControlType, Timestamp, TimestampType, planted,
};

use super::header::{ATTRIBUTES, BatchHeader, HEADER_BYTES, next_batch_size};
use super::walk::Walk;
use super::{BatchRefusal, Records, control};
use crate::compression::Decoder;

/// How far a compressed batch may expand. Expansion costs time, not memory: inspection holds one
/// piece at a time. Kafka has no such limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InspectLimits {
    /// No batch may expand beyond this.
    pub expanded_bytes_max: u64,
    /// Nor beyond this many times its size, unless it stays below `expanded_bytes_free`.
    pub expansion_ratio_max: u64,
    pub expanded_bytes_free: u64,
}

impl Default for InspectLimits {
    /// 256 MiB; a thousandfold; 16 MiB.
    fn default() -> Self {
        Self {
            expanded_bytes_max: 256 << 20,
            expansion_ratio_max: 1_000,
            expanded_bytes_free: 16 << 20,
        }
    }
}

impl InspectLimits {
    /// What `compressed_bytes` of records may expand to.
    pub fn cap_bytes(&self, compressed_bytes: usize) -> u64 {
        (compressed_bytes as u64)
            .saturating_mul(self.expansion_ratio_max)
            .max(self.expanded_bytes_free)
            .min(self.expanded_bytes_max)
    }
}

/// Whether the bytes of a whole batch are those that were written.
pub fn check_checksum(batch: &[u8]) -> Result<(), BatchRefusal> {
    let header = BatchHeader::parse(batch).ok_or(BatchRefusal::NoBatch)?;
    let (claimed, computed) = (header.checksum(), crc_fast::crc32_iscsi(&batch[ATTRIBUTES..]));
    match claimed == computed {
        true => Ok(()),
        false => Err(BatchRefusal::ChecksumMismatch { claimed, computed }),
    }
}

/// A batch whose bytes have been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InspectedBatch {
    pub facts: BatchFacts,
    /// Exactly the batch.
    pub bytes: Bytes,
    /// Whether the records' offset deltas are 0, 1, 2 … `record_count − 1`. When they are not, and
    /// the batch is compressed, a leader rebuilds it (see [`InspectedBatch::rebuild`]). Assumed by
    /// [`inspect_header`], which does not look.
    pub offsets_are_dense: bool,
}

/// Checks the one batch that a producer sent for a partition: framing, checksum, codec, and every
/// record. `facts.max_timestamp` is then what the records say, whatever the header claims.
///
/// A cut batch behind the first is ignored, as Kafka does; a whole one is refused.
/// Nothing is allocated per record, nor at all once the thread's codec contexts exist.
pub fn inspect(batch: Bytes, limits: &InspectLimits) -> Result<InspectedBatch, BatchRefusal> {
    let size = match next_batch_size(&batch)? {
        Some(size) if size <= batch.len() => size,
        _ => return Err(BatchRefusal::NoBatch),
    };
    if next_batch_size(&batch[size..])?.is_some_and(|next| next <= batch.len() - size) {
        return Err(BatchRefusal::ExtraBatch);
    }
    let mut inspected = inspect_header(batch.slice(..size))?;
    walk_records(&mut inspected, limits)?;
    Ok(inspected)
}

/// Checks framing and checksum of exactly one batch, for bytes whose records somebody else has
/// walked: what a follower fetched, what a log file holds. Such batches may be empty, and sparse
/// after compaction. `facts.max_timestamp` is the header's claim, `max_timestamp_delta` the last
/// offset's, `min_timestamp` the header's base, and `first_keyless` is not looked for.
pub fn inspect_header(batch: Bytes) -> Result<InspectedBatch, BatchRefusal> {
    if next_batch_size(&batch)? != Some(batch.len()) {
        return Err(BatchRefusal::NoBatch);
    }
    let header = BatchHeader::parse(&batch).ok_or(BatchRefusal::NoBatch)?;
    if !planted(Bug::RecoveryTrustsChecksums) {
        check_checksum(&batch)?;
    }
    let compression = header
        .compression()
        .ok_or(BatchRefusal::UnknownCodec { id: header.attributes() & 0b111 })?;
    if header.record_count() < 0 {
        return Err(BatchRefusal::NegativeCount { count: header.record_count() });
    }
    let facts = BatchFacts {
        base_offset: header.base_offset(),
        last_offset_delta: header.last_offset_delta(),
        record_count: header.record_count(),
        size_bytes: batch.len() as u32,
        leader_epoch: header.leader_epoch(),
        compression,
        timestamp_type: header.timestamp_type(),
        is_transactional: header.is_transactional(),
        control: match header.is_control() {
            true => Some(control_type_of(&batch)?),
            false => None,
        },
        has_delete_horizon: header.has_delete_horizon(),
        base_timestamp: header.base_timestamp(),
        max_timestamp: header.max_timestamp(),
        max_timestamp_delta: header.last_offset_delta(),
        min_timestamp: header.base_timestamp(),
        producer_id: header.producer_id(),
        producer_epoch: header.producer_epoch(),
        base_sequence: header.base_sequence(),
        first_keyless: None,
    };
    Ok(InspectedBatch { facts, bytes: batch, offsets_are_dense: true })
}

/// What the first record says. An emptied control batch is of no known type.
fn control_type_of(batch: &Bytes) -> Result<ControlType, BatchRefusal> {
    let records = Records::open(batch, &InspectLimits::default())?;
    let Some(first) = records.iter().next() else { return Ok(ControlType::Other(-1)) };
    let first = first?;
    control::control_type(first.key, first.value)
        .map_err(|_| BatchRefusal::MalformedRecord { index: 0 })
}

fn walk_records(
    inspected: &mut InspectedBatch,
    limits: &InspectLimits,
) -> Result<(), BatchRefusal> {
    let InspectedBatch { facts, bytes, offsets_are_dense } = inspected;
    let body = &bytes[HEADER_BYTES..];
    let count = facts.record_count;
    let mut max_timestamp = Timestamp::NONE;
    let mut max_timestamp_delta = 0;
    let mut min_timestamp = None;
    let mut walk = Walk::new(match facts.compression {
        Compression::None => Decoder::open(Compression::None, body, u64::MAX),
        codec => Decoder::open(codec, body, limits.cap_bytes(body.len())),
    });
    for index in 0..count {
        let record = walk.next(index, count)?;
        let timestamp = match facts.timestamp_type {
            TimestampType::CreateTime => {
                Timestamp(facts.base_timestamp.0.wrapping_add(record.timestamp_delta))
            }
            TimestampType::LogAppendTime => facts.max_timestamp,
        };
        if timestamp > max_timestamp {
            max_timestamp = timestamp;
            max_timestamp_delta = record.offset_delta;
        }
        if timestamp != Timestamp::NONE {
            min_timestamp =
                Some(min_timestamp.map_or(timestamp, |min: Timestamp| min.min(timestamp)));
        }
        if !record.has_key && facts.first_keyless.is_none() {
            facts.first_keyless = Some(index);
        }
        *offsets_are_dense &= record.offset_delta == index;
    }
    walk.finish(count)?;
    facts.max_timestamp = max_timestamp;
    facts.max_timestamp_delta = max_timestamp_delta;
    facts.min_timestamp = min_timestamp.unwrap_or(Timestamp::NONE);
    Ok(())
}
