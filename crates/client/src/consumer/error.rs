//! Why records could not be read.

use strandline_types::{Offset, TopicPartition};
use strandline_wire::records::BatchRefusal;

use crate::error::{ClientError, Refusal};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConsumeError {
    #[error("{partition} has no committed offset, and the reset policy is none; seek to one")]
    NoOffset { partition: TopicPartition },
    #[error("{partition} holds no offset {offset}, and the reset policy is none; seek to another")]
    OutOfRange { partition: TopicPartition, offset: Offset },
    /// A new leader lacks records that were read; others may stand in their place.
    #[error("{partition} was truncated before offset {offset}{}, and the reset policy is none; \
             seek to another", divergent.map(|at| format!(", at {at}")).unwrap_or_default())]
    Truncated {
        partition: TopicPartition,
        offset: Offset,
        /// The first offset that may hold another record, when the leader can tell.
        divergent: Option<Offset>,
    },
    /// Nothing behind it can be read without seeking past it.
    #[error("{partition} cannot be read at offset {offset}: {refusal}")]
    Corrupt { partition: TopicPartition, offset: Offset, refusal: BatchRefusal },
    #[error("{partition}: {refusal}")]
    Refused { partition: TopicPartition, refusal: Refusal },
    /// The group does not want this member; subscribing again joins anew.
    #[error("group {group}: {refusal}")]
    Group { group: String, refusal: Refusal },
    /// A bounded read would wait for records that are not there.
    #[error("{partition} ends at offset {end}, before {until}")]
    BeyondEnd {
        partition: TopicPartition,
        /// Where the read was to end.
        until: Offset,
        /// Where the log ends, or what is committed of it.
        end: Offset,
    },
    #[error("{partition} is not assigned to this consumer")]
    NotAssigned { partition: TopicPartition },
    #[error("the consumer has no group: set one in its configuration")]
    NoGroup,
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ConsumeError {
    /// Whether the same may succeed later.
    pub(super) fn is_retriable(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.code.is_retriable(),
            Self::Client(error) => error.is_retriable(),
            _ => false,
        }
    }
}
