//! Why a record was not produced.

use std::time::Duration;

use strandline_types::TopicPartition;

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
}
