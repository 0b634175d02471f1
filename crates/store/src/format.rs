//! Kafka's files besides the log itself, byte for byte: one file here per kind. Every reader takes
//! the whole file, is bounded by its length, knows its version, and says what is wrong with it.

pub mod clean_shutdown;
pub mod leader_epochs;
pub mod meta_properties;
pub mod names;
pub mod offset_checkpoint;
pub mod offset_index;
pub mod partition_metadata;
pub mod producer_snapshot;
pub mod quorum_state;
mod text_checkpoint;
pub mod time_index;
pub mod transaction_index;

use thiserror::Error;

/// Why a file is not what its name says.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FormatError {
    #[error("version {found} is unknown, expected {expected}")]
    UnknownVersion { found: i64, expected: &'static str },
    #[error("checksum is {found:08x}, the content has {computed:08x}")]
    Checksum { found: u32, computed: u32 },
    #[error("{count} entries announced, {found} found")]
    EntryCount { count: i64, found: u64 },
    #[error("line {line}: {reason}")]
    Line { line: usize, reason: &'static str },
    #[error("{0}")]
    Malformed(&'static str),
    #[error("not JSON of the expected shape: {0}")]
    Json(String),
}

/// Big-endian numbers of a slice whose length the caller has checked.
pub(crate) mod be {
    pub(crate) fn i16(bytes: &[u8], at: usize) -> i16 {
        i16::from_be_bytes(array(bytes, at))
    }
    pub(crate) fn u32(bytes: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(array(bytes, at))
    }
    pub(crate) fn i32(bytes: &[u8], at: usize) -> i32 {
        i32::from_be_bytes(array(bytes, at))
    }
    pub(crate) fn i64(bytes: &[u8], at: usize) -> i64 {
        i64::from_be_bytes(array(bytes, at))
    }
    fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&bytes[at..at + N]);
        out
    }
}
