//! `.txnindex` of a segment: its aborted transactions, in the order of their markers. 34 bytes each.

use strandline_log::AbortedTransaction;
use strandline_types::{Offset, ProducerId};

use super::{FormatError, be};

pub const ENTRY_BYTES: usize = 34;

/// # Errors
/// When the length is not a whole number of entries, or an entry's version is not 0.
pub fn decode(bytes: &[u8]) -> Result<Vec<AbortedTransaction>, FormatError> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(FormatError::Malformed("the last entry is cut off"));
    }
    entries.iter().map(decode_entry).collect()
}

/// # Errors
/// When the entry's version is not 0.
pub fn decode_entry(entry: &[u8; ENTRY_BYTES]) -> Result<AbortedTransaction, FormatError> {
    match be::i16(entry, 0) {
        0 => Ok(AbortedTransaction {
            producer_id: ProducerId(be::i64(entry, 2)),
            first_offset: Offset(be::i64(entry, 10)),
            last_offset: Offset(be::i64(entry, 18)),
            last_stable_offset: Offset(be::i64(entry, 26)),
        }),
        found => Err(FormatError::UnknownVersion { found: found.into(), expected: "0" }),
    }
}

pub fn encode(transactions: &[AbortedTransaction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(transactions.len() * ENTRY_BYTES);
    for entry in transactions {
        bytes.extend_from_slice(&0i16.to_be_bytes());
        bytes.extend_from_slice(&entry.producer_id.get().to_be_bytes());
        for offset in [entry.first_offset, entry.last_offset, entry.last_stable_offset] {
            bytes.extend_from_slice(&offset.get().to_be_bytes());
        }
    }
    bytes
}
