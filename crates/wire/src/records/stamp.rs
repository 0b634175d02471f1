//! What a leader writes into an admitted batch: a new header in front of the same records.

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use strandline_types::{LeaderEpoch, Offset, Timestamp};

use super::header::{
    ATTRIBUTES, BASE_OFFSET, BatchHeader, CHECKSUM, HEADER_BYTES, LEADER_EPOCH, LENGTH,
    LOG_APPEND_TIME, MAX_TIMESTAMP,
};
use super::inspect::InspectedBatch;

/// A batch as it goes to the log, in two pieces so that its records are never copied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StampedBatch {
    pub header: Bytes,
    pub records: Bytes,
}

impl StampedBatch {
    pub fn size_bytes(&self) -> usize {
        self.header.len() + self.records.len()
    }

    /// Both pieces in one, at the price of the copy that the pieces avoid.
    pub fn to_bytes(&self) -> Bytes {
        let mut joined = BytesMut::with_capacity(self.size_bytes());
        joined.put_slice(&self.header);
        joined.put_slice(&self.records);
        joined.freeze()
    }
}

impl InspectedBatch {
    /// The batch as it is: what a follower copies.
    pub fn verbatim(&self) -> StampedBatch {
        StampedBatch {
            header: self.bytes.slice(..HEADER_BYTES),
            records: self.bytes.slice(HEADER_BYTES..),
        }
    }

    /// Gives the batch its place in the log. With a log append time, every record carries that
    /// time. Offsets and leader epoch lie outside the checksum; it is computed anew only when the
    /// timestamp type or the largest timestamp (a producer may have claimed a wrong one) changes.
    pub fn stamp(
        &self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        log_append_time: Option<Timestamp>,
    ) -> StampedBatch {
        let source = BatchHeader::parse(&self.bytes).expect("an inspected batch has its header");
        let mut header = *source.bytes();
        header[BASE_OFFSET..LENGTH].copy_from_slice(&base_offset.0.to_be_bytes());
        header[LEADER_EPOCH..LEADER_EPOCH + 4].copy_from_slice(&leader_epoch.0.to_be_bytes());

        let (time_bit, max_timestamp) = match log_append_time {
            Some(now) => (LOG_APPEND_TIME, now),
            None => (source.attributes() & LOG_APPEND_TIME, self.facts.max_timestamp),
        };
        let attributes = source.attributes() & !LOG_APPEND_TIME | time_bit;
        let records = self.bytes.slice(HEADER_BYTES..);
        if attributes != source.attributes() || max_timestamp != source.max_timestamp() {
            header[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
            header[MAX_TIMESTAMP..MAX_TIMESTAMP + 8]
                .copy_from_slice(&max_timestamp.0.to_be_bytes());
            let checksum = checksum(&header, &records);
            header[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
        }
        StampedBatch { header: Bytes::copy_from_slice(&header), records }
    }
}

/// The batch checksum over a header and records that do not stand together.
pub(super) fn checksum(header: &[u8; HEADER_BYTES], records: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&header[ATTRIBUTES..]);
    digest.update(records);
    digest.finalize() as u32
}
