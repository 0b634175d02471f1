//! Reads the records of a batch: for consumers, state that is loaded from a log, and tools.

use bytes::Bytes;
use strandline_types::{Offset, Timestamp, TimestampType};

use super::header::{BatchHeader, HEADER_BYTES};
use super::varint::{take_i32, take_i64, take_nullable};
use super::{BatchRefusal, InspectLimits};
use crate::compression::decompress;

/// The records of one batch, decompressed if they were compressed. The checksum is not checked:
/// that is inspection's task.
#[derive(Clone, Debug)]
pub struct Records {
    plain: Bytes,
    base_offset: Offset,
    base_timestamp: Timestamp,
    /// Set when the leader dated the records.
    log_append_time: Option<Timestamp>,
    count: i32,
}

/// A record whose content lies in its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRef<'a> {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// A record that keeps its batch's memory alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// A header; its key should be UTF-8, but nobody checks that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl Records {
    /// Opens a batch, header and all.
    pub fn open(batch: &Bytes, limits: &InspectLimits) -> Result<Self, BatchRefusal> {
        let header = BatchHeader::parse(batch).ok_or(BatchRefusal::NoBatch)?;
        let codec = header
            .compression()
            .ok_or(BatchRefusal::UnknownCodec { id: header.attributes() & 0b111 })?;
        let count = header.record_count();
        if count < 0 {
            return Err(BatchRefusal::NegativeCount { count });
        }
        let body = batch.slice(HEADER_BYTES..);
        let plain = match count {
            0 => Bytes::new(),
            _ => decompress(codec, &body, limits.cap_bytes(body.len()))?,
        };
        let log_append_time = match header.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp()),
        };
        let (base_offset, base_timestamp) = (header.base_offset(), header.base_timestamp());
        Ok(Self { plain, base_offset, base_timestamp, log_append_time, count })
    }

    pub fn count(&self) -> i32 {
        self.count
    }

    /// Stops after the first error.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter { records: self, rest: &self.plain, index: 0 }
    }

    /// The record with its content shared, not copied. It must come from this batch.
    pub fn share(&self, record: &RecordRef<'_>) -> Record {
        let share = |content: &[u8]| self.plain.slice_ref(content);
        Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(share),
            value: record.value.map(share),
            headers: record.headers.iter().map(|h| (share(h.key), h.value.map(share))).collect(),
        }
    }

    pub(super) fn plain(&self) -> &Bytes {
        &self.plain
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<RecordRef<'a>, BatchRefusal>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Yields records in the order of the batch, which is the order of their offsets.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    records: &'a Records,
    rest: &'a [u8],
    index: i32,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordRef<'a>, BatchRefusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let (index, count) = (self.index, self.records.count);
        if index == count {
            return match self.rest.is_empty() {
                true => None,
                false => {
                    self.rest = &[];
                    Some(Err(BatchRefusal::TrailingBytes { count }))
                }
            };
        }
        self.index += 1;
        let refusal = match self.rest.is_empty() {
            true => BatchRefusal::MissingRecord { index, count },
            false => BatchRefusal::MalformedRecord { index },
        };
        let record = self.read_record();
        if record.is_none() {
            self.index = count;
            self.rest = &[];
        }
        Some(record.ok_or(refusal))
    }
}

impl<'a> RecordIter<'a> {
    fn read_record(&mut self) -> Option<RecordRef<'a>> {
        let mut content = take_nullable(&mut self.rest)??;
        content.split_off_first()?;
        let timestamp_delta = take_i64(&mut content)?;
        let offset_delta = take_i32(&mut content)?;
        let key = take_nullable(&mut content)?;
        let value = take_nullable(&mut content)?;
        let count = take_i32(&mut content)?;
        if count < 0 {
            return None;
        }
        let headers = Headers { count, bytes: content };
        for _ in 0..count {
            take_nullable(&mut content)??;
            take_nullable(&mut content)?;
        }
        if !content.is_empty() {
            return None;
        }
        let created = self.records.base_timestamp.0.wrapping_add(timestamp_delta);
        let offset = self.records.base_offset.0.wrapping_add(i64::from(offset_delta));
        Some(RecordRef {
            offset: Offset(offset),
            timestamp: self.records.log_append_time.unwrap_or(Timestamp(created)),
            key,
            value,
            headers,
        })
    }
}

/// A record's headers, in its order; a key may stand there more than once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Headers<'a> {
    pub(super) count: i32,
    /// As on the wire, checked.
    pub(super) bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let key = take_nullable(&mut rest)??;
            Some(Header { key, value: take_nullable(&mut rest)? })
        })
    }
}
