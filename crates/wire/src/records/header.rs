//! The 61 bytes before the records, and where one batch ends and the next begins.

use bytes::Bytes;
use strandline_types::{
    Compression, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TimestampType,
};

use super::BatchRefusal;

pub const HEADER_BYTES: usize = 61;
/// Bytes from which [`next_batch_size`] always knows the size: up to and with the magic.
pub const SIZE_PREFIX_BYTES: usize = 17;

pub(super) const BASE_OFFSET: usize = 0;
pub(super) const LENGTH: usize = 8;
/// What precedes the bytes that the length field counts.
pub(super) const LENGTH_END: usize = 12;
pub(super) const LEADER_EPOCH: usize = 12;
pub(super) const MAGIC: usize = 16;
pub(super) const CHECKSUM: usize = 17;
pub(super) const ATTRIBUTES: usize = 21;
pub(super) const LAST_OFFSET_DELTA: usize = 23;
pub(super) const BASE_TIMESTAMP: usize = 27;
pub(super) const MAX_TIMESTAMP: usize = 35;
pub(super) const PRODUCER_ID: usize = 43;
pub(super) const PRODUCER_EPOCH: usize = 51;
pub(super) const BASE_SEQUENCE: usize = 53;
pub(super) const RECORD_COUNT: usize = 57;

pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;
pub(super) const DELETE_HORIZON: i16 = 1 << 6;

/// The smallest batch of formats 0 and 1, without its offset and length.
const OLD_LENGTH_MIN: i32 = 14;

/// A view of a batch's header. Nothing about it is checked but that all of it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader<'a>(&'a [u8; HEADER_BYTES]);

impl<'a> BatchHeader<'a> {
    /// `None` when fewer than [`HEADER_BYTES`] are there.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    fn at<const N: usize>(&self, position: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[position..position + N]);
        field
    }

    pub fn bytes(&self) -> &'a [u8; HEADER_BYTES] {
        self.0
    }

    pub fn base_offset(&self) -> Offset {
        Offset(i64::from_be_bytes(self.at(BASE_OFFSET)))
    }

    /// Bytes after the length field; negative and small values are for the caller to refuse.
    pub fn length(&self) -> i32 {
        i32::from_be_bytes(self.at(LENGTH))
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::from_be_bytes(self.at(LEADER_EPOCH)))
    }

    pub fn magic(&self) -> i8 {
        self.0[MAGIC] as i8
    }

    pub fn checksum(&self) -> u32 {
        u32::from_be_bytes(self.at(CHECKSUM))
    }

    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(self.at(ATTRIBUTES))
    }

    /// `None` for the codec numbers 5 to 7, which nobody has assigned.
    pub fn compression(&self) -> Option<Compression> {
        Compression::from_attributes(self.attributes())
    }

    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes() & LOG_APPEND_TIME != 0 {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }

    pub fn has_delete_horizon(&self) -> bool {
        self.attributes() & DELETE_HORIZON != 0
    }

    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.at(LAST_OFFSET_DELTA))
    }

    /// Wraps on the overflow that only a forged header has.
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().0.wrapping_add(i64::from(self.last_offset_delta())))
    }

    /// What record timestamps are relative to, also when the field is called a delete horizon.
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.at(BASE_TIMESTAMP)))
    }

    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.at(MAX_TIMESTAMP)))
    }

    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64::from_be_bytes(self.at(PRODUCER_ID)))
    }

    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::from_be_bytes(self.at(PRODUCER_EPOCH)))
    }

    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(self.at(BASE_SEQUENCE))
    }

    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(self.at(RECORD_COUNT))
    }
}

/// Size of the batch that begins at `bytes`, header and all, as soon as enough of it is there:
/// `None` asks for more bytes. At most 12 more than `i32::MAX`; format 2 only.
pub fn next_batch_size(bytes: &[u8]) -> Result<Option<usize>, BatchRefusal> {
    let Some(prefix) = bytes.first_chunk::<LENGTH_END>() else { return Ok(None) };
    let [.., a, b, c, d] = *prefix;
    let length = i32::from_be_bytes([a, b, c, d]);
    if length < OLD_LENGTH_MIN {
        return Err(BatchRefusal::BadLength { length });
    }
    match bytes.get(MAGIC).map(|magic| *magic as i8) {
        None => Ok(None),
        Some(2) if (length as usize) < HEADER_BYTES - LENGTH_END => {
            Err(BatchRefusal::BadLength { length })
        }
        Some(2) => Ok(Some(LENGTH_END + length as usize)),
        Some(magic @ 0..=1) => Err(BatchRefusal::OldFormat { magic }),
        Some(magic) => Err(BatchRefusal::UnknownFormat { magic }),
    }
}

/// How a run of batches ended other than with its last byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchTail {
    /// The last batch is cut: a file torn by a crash, or a fetch answer cut at its size limit.
    /// `needed_bytes` is the size of the whole batch, when enough is there to know it.
    Incomplete { available_bytes: usize, needed_bytes: Option<usize> },
    /// What follows cannot begin a batch of format 2.
    Corrupt(BatchRefusal),
}

/// The batches that stand back to back in `buffer`. Only framing is checked, no checksums.
pub fn batches(buffer: &Bytes) -> Batches {
    Batches { rest: buffer.clone() }
}

/// Yields whole batches, header and all, then at most one [`BatchTail`].
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// What has not been yielded.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<Bytes, BatchTail>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let available_bytes = self.rest.len();
        let tail = match next_batch_size(&self.rest) {
            Ok(Some(size)) if size <= available_bytes => {
                return Some(Ok(self.rest.split_to(size)));
            }
            Ok(needed_bytes) => BatchTail::Incomplete { available_bytes, needed_bytes },
            Err(refusal) => BatchTail::Corrupt(refusal),
        };
        self.rest.clear();
        Some(Err(tail))
    }
}
