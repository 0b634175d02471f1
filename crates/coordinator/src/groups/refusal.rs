//! Why a request is not granted.

use strandline_types::ErrorCode;

/// Every refusal of a classic group, with the code that clients read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the group id must not be empty")]
    InvalidGroupId,
    #[error("the session timeout is outside the broker's limits")]
    InvalidSessionTimeout,
    #[error("the group has no such member")]
    UnknownMember,
    #[error("join again with the member id that comes with this answer")]
    MemberIdRequired,
    #[error("another member has taken over this group.instance.id")]
    FencedInstance,
    #[error("the generation is not the group's current one")]
    IllegalGeneration,
    #[error("the member has no protocol in common with the group")]
    InconsistentProtocol,
    #[error("the group is rebalancing: join again")]
    RebalanceInProgress,
    #[error("the group has as many members as group.max.size allows")]
    GroupFull,
    #[error("the group does not exist")]
    GroupNotFound,
    #[error("the group has members")]
    NonEmptyGroup,
    #[error("the group consumes this topic")]
    SubscribedToTopic,
    #[error("the metadata of the offset is longer than offset.metadata.max.bytes")]
    MetadataTooLarge,
    #[error("the group's record is larger than its topic's max.message.bytes")]
    RecordTooLarge,
}

impl Refusal {
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::INVALID_GROUP_ID,
            Self::InvalidSessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
            Self::UnknownMember => ErrorCode::UNKNOWN_MEMBER_ID,
            Self::MemberIdRequired => ErrorCode::MEMBER_ID_REQUIRED,
            Self::FencedInstance => ErrorCode::FENCED_INSTANCE_ID,
            Self::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
            Self::InconsistentProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
            Self::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
            Self::GroupFull => ErrorCode::GROUP_MAX_SIZE_REACHED,
            Self::GroupNotFound => ErrorCode::GROUP_ID_NOT_FOUND,
            Self::NonEmptyGroup => ErrorCode::NON_EMPTY_GROUP,
            Self::SubscribedToTopic => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
            Self::MetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
            Self::RecordTooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
        }
    }
}
