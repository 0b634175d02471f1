//! Writes batches: for producers, coordinators, the metadata log and its snapshots.

use bytes::Bytes;
use strandline_types::{
    Compression, ControlType, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp,
    TimestampType,
};

use super::header::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, BASE_TIMESTAMP, CHECKSUM, CONTROL, HEADER_BYTES,
    LAST_OFFSET_DELTA, LEADER_EPOCH, LENGTH, LENGTH_END, LOG_APPEND_TIME, MAGIC, MAX_TIMESTAMP,
    PRODUCER_EPOCH, PRODUCER_ID, RECORD_COUNT, TRANSACTIONAL,
};
use super::read::Header;
use super::{control, varint};
use crate::compression::{CompressionChoice, compress_into};

/// A record to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header<'a>],
}

/// Who writes, when the producer is idempotent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerFields {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Sequence number of the first record; −1 in transaction markers.
    pub base_sequence: i32,
}

impl ProducerFields {
    pub const NONE: Self =
        Self { id: ProducerId::NONE, epoch: ProducerEpoch::NONE, base_sequence: -1 };
}

/// What a batch says about itself besides its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchOptions {
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub compression: CompressionChoice,
    pub producer: ProducerFields,
    pub is_transactional: bool,
    pub is_control: bool,
    /// Dates all records, whatever they say themselves.
    pub log_append_time: Option<Timestamp>,
}

impl Default for BatchOptions {
    /// What a producer that is not idempotent sends.
    fn default() -> Self {
        Self {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            compression: CompressionChoice::default(),
            producer: ProducerFields::NONE,
            is_transactional: false,
            is_control: false,
            log_append_time: None,
        }
    }
}

/// Uncompressed. The length field allows twice as much, but incompressible records grow a little
/// when they are compressed.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// The record would take the batch beyond 1 GiB, or its offset delta does not follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a record batch cannot exceed 1 GiB or 2³¹ offsets, which must ascend")]
pub struct BatchOverflow;

/// One batch in the making. Records are written once, into one growing buffer that becomes the
/// batch itself unless it is compressed.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records.
    buffer: Vec<u8>,
    count: i32,
    last_offset_delta: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    pub fn new(options: BatchOptions) -> Self {
        Self::with_capacity(options, 0)
    }

    /// Reserves room for `record_bytes` of records.
    pub fn with_capacity(options: BatchOptions, record_bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(HEADER_BYTES + record_bytes);
        buffer.resize(HEADER_BYTES, 0);
        Self {
            options,
            buffer,
            count: 0,
            last_offset_delta: -1,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// A batch with the one marker that ends a transaction. Offset, leader epoch and producer
    /// come from `options`; that it is transactional and a control batch goes without saying.
    pub fn end_transaction(
        options: BatchOptions,
        timestamp: Timestamp,
        is_commit: bool,
        coordinator_epoch: i32,
    ) -> Bytes {
        let mut batch =
            Self::new(BatchOptions { is_transactional: true, is_control: true, ..options });
        let control = match is_commit {
            true => ControlType::Commit { coordinator_epoch },
            false => ControlType::Abort { coordinator_epoch },
        };
        let value = control::encode_end_transaction(coordinator_epoch);
        batch.append_control(timestamp, control, &value).expect("an empty batch has room");
        batch.build()
    }

    /// Says who writes: a producer knows its sequence only when the batch goes out.
    pub fn set_producer(&mut self, producer: ProducerFields) {
        self.options.producer = producer;
    }

    pub fn record_count(&self) -> i32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the batch so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.buffer.len()
    }

    pub fn next_offset(&self) -> Offset {
        self.options.base_offset + i64::from(self.last_offset_delta) + 1
    }

    /// Whether `record` could be appended and leave the batch, uncompressed, within `bytes_max`.
    /// The first record always fits: a record too large for any batch is for the broker to refuse.
    pub fn fits(&self, record: &NewRecord<'_>, bytes_max: usize) -> bool {
        if self.is_empty() {
            return true;
        }
        let content = self.content_len(record, self.last_offset_delta.wrapping_add(1));
        self.size_bytes() + varint::encoded_len(content as i64) + content <= bytes_max
    }

    /// Appends at the next offset and returns that offset's delta.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<i32, BatchOverflow> {
        let offset_delta = self.last_offset_delta.checked_add(1).ok_or(BatchOverflow)?;
        self.append_at(offset_delta, record)?;
        Ok(offset_delta)
    }

    /// Appends at a chosen offset delta, which must be above the last one.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        record: &NewRecord<'_>,
    ) -> Result<(), BatchOverflow> {
        self.begin_record(offset_delta, record)?;
        varint::write(record.headers.len() as i64, &mut self.buffer);
        for header in record.headers {
            write_nullable(Some(header.key), &mut self.buffer);
            write_nullable(header.value, &mut self.buffer);
        }
        Ok(())
    }

    /// Appends a control record. The options should say that the batch is one.
    pub fn append_control(
        &mut self,
        timestamp: Timestamp,
        control: ControlType,
        value: &[u8],
    ) -> Result<i32, BatchOverflow> {
        let key = control::control_key(control);
        self.append(&NewRecord { timestamp, key: Some(&key), value: Some(value), headers: &[] })
    }

    /// Everything of a record up to its headers.
    fn begin_record(
        &mut self,
        offset_delta: i32,
        record: &NewRecord<'_>,
    ) -> Result<(), BatchOverflow> {
        let content = self.content_len(record, offset_delta);
        if offset_delta <= self.last_offset_delta || self.buffer.len() + content > BATCH_BYTES_MAX {
            return Err(BatchOverflow);
        }
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.last_offset_delta = offset_delta;
        self.count += 1;
        let timestamp_delta = record.timestamp.0.wrapping_sub(self.base_timestamp.0);
        varint::write(content as i64, &mut self.buffer);
        self.buffer.push(0);
        varint::write(timestamp_delta, &mut self.buffer);
        varint::write(i64::from(offset_delta), &mut self.buffer);
        write_nullable(record.key, &mut self.buffer);
        write_nullable(record.value, &mut self.buffer);
        Ok(())
    }

    /// What the record's length field will say.
    fn content_len(&self, record: &NewRecord<'_>, offset_delta: i32) -> usize {
        let base_timestamp = match self.count {
            0 => record.timestamp,
            _ => self.base_timestamp,
        };
        let header_len =
            |header: &Header<'_>| nullable_len(Some(header.key)) + nullable_len(header.value);
        1 + varint::encoded_len(record.timestamp.0.wrapping_sub(base_timestamp.0))
            + varint::encoded_len(i64::from(offset_delta))
            + nullable_len(record.key)
            + nullable_len(record.value)
            + varint::encoded_len(record.headers.len() as i64)
            + record.headers.iter().map(header_len).sum::<usize>()
    }

    /// The finished batch. One without records is a header only.
    pub fn build(mut self) -> Bytes {
        let choice = self.options.compression;
        if choice.codec != Compression::None && self.count > 0 {
            let mut compressed = Vec::with_capacity(HEADER_BYTES + self.buffer.len() / 2);
            compressed.resize(HEADER_BYTES, 0);
            compress_into(choice, &self.buffer[HEADER_BYTES..], &mut compressed);
            self.buffer = compressed;
        }
        self.write_header();
        self.buffer.into()
    }

    fn write_header(&mut self) {
        let options = self.options;
        let timestamp_type = match options.log_append_time {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        };
        let mut attributes = match self.count {
            0 => 0,
            _ => options.compression.codec as i16,
        };
        for (is_set, bit) in [
            (timestamp_type == TimestampType::LogAppendTime, LOG_APPEND_TIME),
            (options.is_transactional, TRANSACTIONAL),
            (options.is_control, CONTROL),
        ] {
            attributes |= if is_set { bit } else { 0 };
        }
        let max_timestamp = options.log_append_time.unwrap_or(self.max_timestamp);
        let length = (self.buffer.len() - LENGTH_END) as i32;
        let mut put = |position: usize, field: &[u8]| {
            self.buffer[position..position + field.len()].copy_from_slice(field);
        };
        put(BASE_OFFSET, &options.base_offset.0.to_be_bytes());
        put(LENGTH, &length.to_be_bytes());
        put(LEADER_EPOCH, &options.leader_epoch.0.to_be_bytes());
        put(MAGIC, &[2]);
        put(ATTRIBUTES, &attributes.to_be_bytes());
        put(LAST_OFFSET_DELTA, &self.last_offset_delta.to_be_bytes());
        put(BASE_TIMESTAMP, &self.base_timestamp.0.to_be_bytes());
        put(MAX_TIMESTAMP, &max_timestamp.0.to_be_bytes());
        put(PRODUCER_ID, &options.producer.id.0.to_be_bytes());
        put(PRODUCER_EPOCH, &options.producer.epoch.0.to_be_bytes());
        put(BASE_SEQUENCE, &options.producer.base_sequence.to_be_bytes());
        put(RECORD_COUNT, &self.count.to_be_bytes());
        let checksum = crc_fast::crc32_iscsi(&self.buffer[ATTRIBUTES..]);
        self.buffer[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn nullable_len(content: Option<&[u8]>) -> usize {
    match content {
        Some(content) => varint::encoded_len(content.len() as i64) + content.len(),
        None => 1,
    }
}

/// A built batch under another producer identity: what a producer does with batches that wait when
/// it must go on under a new epoch. Copies the batch. The bytes must come from [`BatchBuilder`].
///
/// # Panics
/// When they do not even hold a header.
pub fn with_producer(batch: &[u8], producer: ProducerFields) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[PRODUCER_ID..PRODUCER_EPOCH].copy_from_slice(&producer.id.0.to_be_bytes());
    bytes[PRODUCER_EPOCH..BASE_SEQUENCE].copy_from_slice(&producer.epoch.0.to_be_bytes());
    bytes[BASE_SEQUENCE..RECORD_COUNT].copy_from_slice(&producer.base_sequence.to_be_bytes());
    let checksum = crc_fast::crc32_iscsi(&bytes[ATTRIBUTES..]);
    bytes[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
    bytes.into()
}

fn write_nullable(content: Option<&[u8]>, output: &mut Vec<u8>) {
    match content {
        Some(content) => {
            varint::write(content.len() as i64, output);
            output.extend_from_slice(content);
        }
        None => varint::write(-1, output),
    }
}
