//! `%020d.snapshot` of a partition: its producers as of the offset that names the file (KIP-98).

use strandline_log::ProducerSnapshot;
use strandline_types::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::{FormatError, be};

const VERSION: i16 = 1;
/// Version, checksum, count.
const HEADER_BYTES: usize = 10;
const CHECKED_FROM: usize = 6;
const ENTRY_BYTES: usize = 46;

/// # Errors
/// When the version is unknown, the checksum wrong, or the length not that of its entries.
pub fn decode(bytes: &[u8]) -> Result<Vec<ProducerSnapshot>, FormatError> {
    if bytes.len() < HEADER_BYTES {
        return Err(FormatError::Malformed("shorter than its header"));
    }
    let version = be::i16(bytes, 0);
    if version != VERSION {
        return Err(FormatError::UnknownVersion { found: version.into(), expected: "1" });
    }
    let (found, computed) = (be::u32(bytes, 2), crc32c(&bytes[CHECKED_FROM..]));
    if found != computed {
        return Err(FormatError::Checksum { found, computed });
    }
    let count = i64::from(be::i32(bytes, 6));
    let (entries, rest) = bytes[HEADER_BYTES..].as_chunks::<ENTRY_BYTES>();
    if i64::try_from(entries.len()) != Ok(count) || !rest.is_empty() {
        return Err(FormatError::EntryCount { count, found: entries.len() as u64 });
    }
    Ok(entries.iter().map(decode_entry).collect())
}

fn decode_entry(entry: &[u8; ENTRY_BYTES]) -> ProducerSnapshot {
    ProducerSnapshot {
        producer_id: ProducerId(be::i64(entry, 0)),
        epoch: ProducerEpoch(be::i16(entry, 8)),
        last_sequence: be::i32(entry, 10),
        last_offset: Offset(be::i64(entry, 14)),
        offset_delta: be::i32(entry, 22),
        timestamp: Timestamp(be::i64(entry, 26)),
        coordinator_epoch: be::i32(entry, 34),
        transaction_first_offset: Offset(be::i64(entry, 38)),
    }
}

pub fn encode(producers: &[ProducerSnapshot]) -> Vec<u8> {
    let count = i32::try_from(producers.len()).expect("fewer producers than 2³¹");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + producers.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&count.to_be_bytes());
    for producer in producers {
        bytes.extend_from_slice(&producer.producer_id.get().to_be_bytes());
        bytes.extend_from_slice(&producer.epoch.get().to_be_bytes());
        bytes.extend_from_slice(&producer.last_sequence.to_be_bytes());
        bytes.extend_from_slice(&producer.last_offset.get().to_be_bytes());
        bytes.extend_from_slice(&producer.offset_delta.to_be_bytes());
        bytes.extend_from_slice(&producer.timestamp.as_millis().to_be_bytes());
        bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&producer.transaction_first_offset.get().to_be_bytes());
    }
    let checksum = crc32c(&bytes[CHECKED_FROM..]);
    bytes[2..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}
