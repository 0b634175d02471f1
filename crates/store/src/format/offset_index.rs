//! `.index` of a segment: sparse, ascending pairs of a batch's last offset (relative to the
//! segment's base) and the batch's position in the `.log` file. 8 bytes each.

use strandline_log::IndexEntry;

use super::be;

pub const ENTRY_BYTES: usize = 8;

pub fn encode_entry(entry: IndexEntry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..4].copy_from_slice(&entry.relative_offset.to_be_bytes());
    bytes[4..].copy_from_slice(&entry.position.to_be_bytes());
    bytes
}

pub fn decode_entry(bytes: &[u8; ENTRY_BYTES]) -> IndexEntry {
    IndexEntry { relative_offset: be::u32(bytes, 0), position: be::u32(bytes, 4) }
}
