//! Why a request is not granted.

use strandline_types::ErrorCode;

/// Every refusal of the transaction coordinator, with the code that clients read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the transactional id must not be empty")]
    EmptyId,
    #[error("the transaction timeout is not between 1 and transaction.max.timeout.ms")]
    InvalidTimeout,
    #[error("the transactional id is not known, or belongs to another producer id")]
    WrongProducerId,
    #[error("a newer producer has the transactional id")]
    Fenced,
    #[error("the markers of the last transaction are being written, come back")]
    Concurrent,
    #[error("the transaction cannot end in this way")]
    InvalidState,
    #[error("the transaction's record is larger than its topic's max.message.bytes")]
    RecordTooLarge,
}

impl Refusal {
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::EmptyId => ErrorCode::INVALID_REQUEST,
            Self::InvalidTimeout => ErrorCode::INVALID_TRANSACTION_TIMEOUT,
            Self::WrongProducerId => ErrorCode::INVALID_PRODUCER_ID_MAPPING,
            Self::Fenced => ErrorCode::PRODUCER_FENCED,
            Self::Concurrent => ErrorCode::CONCURRENT_TRANSACTIONS,
            Self::InvalidState => ErrorCode::INVALID_TXN_STATE,
            Self::RecordTooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
        }
    }
}
