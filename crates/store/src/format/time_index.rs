//! `.timeindex` of a segment: sparse, ascending pairs of the largest timestamp so far and the
//! (relative) offset that carries it (KIP-33). 12 bytes each.

use strandline_log::TimeIndexEntry;
use strandline_types::Timestamp;

use super::be;

pub const ENTRY_BYTES: usize = 12;

pub fn encode_entry(entry: TimeIndexEntry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..8].copy_from_slice(&entry.timestamp.as_millis().to_be_bytes());
    bytes[8..].copy_from_slice(&entry.relative_offset.to_be_bytes());
    bytes
}

pub fn decode_entry(bytes: &[u8; ENTRY_BYTES]) -> TimeIndexEntry {
    TimeIndexEntry { timestamp: Timestamp(be::i64(bytes, 0)), relative_offset: be::u32(bytes, 8) }
}
