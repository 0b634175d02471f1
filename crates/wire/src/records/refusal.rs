//! Why a batch is not accepted, and what its producer is told.

use strandline_types::ErrorCode;

use crate::compression::DecompressError;

/// One variant per cause. On the produce path this is an answer; for bytes that a leader or a file
/// should vouch for, the caller turns it into a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchRefusal {
    #[error("no complete record batch")]
    NoBatch,
    #[error("more than one record batch")]
    ExtraBatch,
    #[error("record batch of message format {magic}; only format 2 is accepted")]
    OldFormat { magic: i8 },
    #[error("record batch of unknown message format {magic}")]
    UnknownFormat { magic: i8 },
    #[error("record batch length {length} is below the size of its header")]
    BadLength { length: i32 },
    #[error("record batch checksum is {computed:08x}, its header says {claimed:08x}")]
    ChecksumMismatch { claimed: u32, computed: u32 },
    #[error("record batch has the unknown compression codec {id}")]
    UnknownCodec { id: i16 },
    #[error("record batch counts {count} records")]
    NegativeCount { count: i32 },
    #[error("record {index} of the batch is malformed")]
    MalformedRecord { index: i32 },
    #[error("record batch ends before record {index} of {count}")]
    MissingRecord { index: i32, count: i32 },
    #[error("record batch holds bytes after its {count} records")]
    TrailingBytes { count: i32 },
    #[error("record batch is too large to be written anew")]
    TooLarge,
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

impl BatchRefusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NoBatch
            | Self::ExtraBatch
            | Self::OldFormat { .. }
            | Self::NegativeCount { .. }
            | Self::MalformedRecord { .. }
            | Self::MissingRecord { .. }
            | Self::TrailingBytes { .. } => ErrorCode::INVALID_RECORD,
            Self::UnknownFormat { .. } | Self::BadLength { .. } | Self::ChecksumMismatch { .. } => {
                ErrorCode::CORRUPT_MESSAGE
            }
            // Kafka has no code for what its decompressors throw. The checksum held, so sending the
            // same bytes again would not help: neither is this code retriable.
            Self::UnknownCodec { .. } | Self::Decompress(DecompressError::Corrupt(_)) => {
                ErrorCode::UNKNOWN_SERVER_ERROR
            }
            // Producers answer this one by splitting the batch.
            Self::TooLarge | Self::Decompress(DecompressError::TooLarge { .. }) => {
                ErrorCode::MESSAGE_TOO_LARGE
            }
        }
    }
}
