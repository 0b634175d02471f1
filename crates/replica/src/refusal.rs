//! Answers that say no, with Kafka's code for each.

use strandline_log::{AdmitRefusal, DeleteRecordsRefusal};
use strandline_types::{ErrorCode, Offset};
use thiserror::Error;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ProduceRefusal {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("{in_sync} in-sync replicas, min.insync.replicas asks for {required}")]
    NotEnoughReplicas { in_sync: usize, required: usize },
    #[error("the partition went offline")]
    Offline,
    #[error(transparent)]
    Admit(#[from] AdmitRefusal),
}

impl ProduceRefusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Self::NotEnoughReplicas { .. } => ErrorCode::NOT_ENOUGH_REPLICAS,
            Self::Offline => ErrorCode::KAFKA_STORAGE_ERROR,
            Self::Admit(refusal) => refusal.code(),
        }
    }
}

/// A request's idea of the leader epoch is not ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum EpochRefusal {
    #[error("the request's leader epoch is older than the partition's")]
    Fenced,
    #[error("the request's leader epoch is newer than the partition's")]
    Unknown,
}

impl EpochRefusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Fenced => ErrorCode::FENCED_LEADER_EPOCH,
            Self::Unknown => ErrorCode::UNKNOWN_LEADER_EPOCH,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ReadRefusal {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("the partition is offline")]
    Offline,
    #[error(transparent)]
    Epoch(#[from] EpochRefusal),
    #[error("the new leader does not know yet how far the log is committed")]
    OffsetNotAvailable,
    #[error("offset {asked} lies outside {log_start} to {log_end}")]
    OffsetOutOfRange { asked: Offset, log_start: Offset, log_end: Offset },
}

impl ReadRefusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Self::Offline => ErrorCode::KAFKA_STORAGE_ERROR,
            Self::Epoch(refusal) => refusal.code(),
            Self::OffsetNotAvailable => ErrorCode::OFFSET_NOT_AVAILABLE,
            Self::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DeleteRefusal {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("the partition went offline")]
    Offline,
    #[error(transparent)]
    Records(#[from] DeleteRecordsRefusal),
}

impl DeleteRefusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Self::Offline => ErrorCode::KAFKA_STORAGE_ERROR,
            Self::Records(refusal) => refusal.code(),
        }
    }
}

/// What a leader sent contradicts what this follower knows. Nothing of it is taken, and nothing is
/// thrown away for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum FollowRefusal {
    #[error("the leader's batches do not continue this log: {0}")]
    OutOfOrder(#[from] AdmitRefusal),
    #[error("the leader parts from this log at {0}, where it ends")]
    NothingToCut(Offset),
    #[error(
        "the leader's log parts from this one at {to}, below the high watermark {high_watermark}, \
         though this replica is in the ISR"
    )]
    CutsCommitted { to: Offset, high_watermark: Offset },
}
