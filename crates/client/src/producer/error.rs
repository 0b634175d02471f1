//! Why a record was not produced.

use std::time::Duration;

use strandline_types::{ErrorCode, TopicPartition};

use crate::error::{ClientError, Refusal};

/// The record was not stored, or (after a time-out) perhaps was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProduceError {
    #[error("{partition} refused the record: {refusal}")]
    Refused { partition: TopicPartition, refusal: Refusal },
    /// It may have been stored all the same.
    #[error("{partition} did not confirm the record within {after:?}; last: {last}")]
    TimedOut { partition: TopicPartition, after: Duration, last: String },
    #[error("the record takes {bytes} bytes, more than the {max} of request_bytes_max")]
    TooLarge { bytes: usize, max: usize },
    #[error("{bytes} bytes found no room in the buffer within {after:?}; the brokers are slower")]
    BufferFull { bytes: usize, after: Duration },
    #[error("{partition} does not exist; the topic has {count} partitions")]
    NoSuchPartition { partition: TopicPartition, count: usize },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the producer is closed")]
    Closed,
    /// Its transaction was ended before it was stored.
    #[error("the transaction was given up")]
    GivenUp,
}

/// Why a transaction was not committed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AbortCause {
    #[error(transparent)]
    Record(ProduceError),
    #[error("offsets that belong to it were not confirmed")]
    Offsets,
    #[error("it was open for longer than its time-out")]
    TimeOut,
}

/// Why a transaction, or all of its producer's, came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransactionError {
    /// Of this transaction nothing will ever be read; the next one may succeed.
    #[error("the transaction was aborted: {cause}")]
    Aborted { cause: AbortCause },
    /// Nothing more can be done under this producer's id and epoch.
    #[error(
        "{transactional_id} belongs to another producer by now, or a transaction took longer than \
         its time-out; open a new producer to go on"
    )]
    Fenced { transactional_id: String },
    /// Nobody answered: it was committed as a whole, or it will be aborted as a whole.
    #[error("whether the transaction was committed is not known: {last}")]
    InDoubt { last: ClientError },
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl TransactionError {
    /// The broker's code, when a broker refused for another reason than those above.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Client(error) => error.code(),
            _ => None,
        }
    }
}
