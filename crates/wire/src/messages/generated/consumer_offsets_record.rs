// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::framing::{encode_key, encode_value, read_pair};
use crate::messages::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataKey,
    ConsumerGroupPartitionMetadataValue, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue, GroupMetadataKey, GroupMetadataValue,
    LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitKey, OffsetCommitValue,
    ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue, ShareGroupMetadataKey,
    ShareGroupMetadataValue, ShareGroupStatePartitionMetadataKey,
    ShareGroupStatePartitionMetadataValue, ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue, ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue, StreamsGroupCurrentMemberAssignmentKey,
    StreamsGroupCurrentMemberAssignmentValue, StreamsGroupMemberMetadataKey,
    StreamsGroupMemberMetadataValue, StreamsGroupMetadataKey, StreamsGroupMetadataValue,
    StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue,
    StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue,
    StreamsGroupTopologyKey, StreamsGroupTopologyValue,
};
use crate::{DecodeError, EncodeError, Reader};

/// A key with its value; without one it is a tombstone.
#[derive(Clone, PartialEq, Debug)]
pub enum ConsumerOffsetsRecord {
    LegacyOffsetCommit(LegacyOffsetCommitKey, Option<LegacyOffsetCommitValue>),
    OffsetCommit(OffsetCommitKey, Option<OffsetCommitValue>),
    GroupMetadata(GroupMetadataKey, Option<GroupMetadataValue>),
    ConsumerGroupMetadata(ConsumerGroupMetadataKey, Option<ConsumerGroupMetadataValue>),
    ConsumerGroupPartitionMetadata(
        ConsumerGroupPartitionMetadataKey,
        Option<ConsumerGroupPartitionMetadataValue>,
    ),
    ConsumerGroupMemberMetadata(
        ConsumerGroupMemberMetadataKey,
        Option<ConsumerGroupMemberMetadataValue>,
    ),
    ConsumerGroupTargetAssignmentMetadata(
        ConsumerGroupTargetAssignmentMetadataKey,
        Option<ConsumerGroupTargetAssignmentMetadataValue>,
    ),
    ConsumerGroupTargetAssignmentMember(
        ConsumerGroupTargetAssignmentMemberKey,
        Option<ConsumerGroupTargetAssignmentMemberValue>,
    ),
    ConsumerGroupCurrentMemberAssignment(
        ConsumerGroupCurrentMemberAssignmentKey,
        Option<ConsumerGroupCurrentMemberAssignmentValue>,
    ),
    ShareGroupMemberMetadata(ShareGroupMemberMetadataKey, Option<ShareGroupMemberMetadataValue>),
    ShareGroupMetadata(ShareGroupMetadataKey, Option<ShareGroupMetadataValue>),
    ShareGroupTargetAssignmentMetadata(
        ShareGroupTargetAssignmentMetadataKey,
        Option<ShareGroupTargetAssignmentMetadataValue>,
    ),
    ShareGroupTargetAssignmentMember(
        ShareGroupTargetAssignmentMemberKey,
        Option<ShareGroupTargetAssignmentMemberValue>,
    ),
    ShareGroupCurrentMemberAssignment(
        ShareGroupCurrentMemberAssignmentKey,
        Option<ShareGroupCurrentMemberAssignmentValue>,
    ),
    ShareGroupStatePartitionMetadata(
        ShareGroupStatePartitionMetadataKey,
        Option<ShareGroupStatePartitionMetadataValue>,
    ),
    ConsumerGroupRegularExpression(
        ConsumerGroupRegularExpressionKey,
        Option<ConsumerGroupRegularExpressionValue>,
    ),
    StreamsGroupMetadata(StreamsGroupMetadataKey, Option<StreamsGroupMetadataValue>),
    StreamsGroupMemberMetadata(
        StreamsGroupMemberMetadataKey,
        Option<StreamsGroupMemberMetadataValue>,
    ),
    StreamsGroupTargetAssignmentMetadata(
        StreamsGroupTargetAssignmentMetadataKey,
        Option<StreamsGroupTargetAssignmentMetadataValue>,
    ),
    StreamsGroupTargetAssignmentMember(
        StreamsGroupTargetAssignmentMemberKey,
        Option<StreamsGroupTargetAssignmentMemberValue>,
    ),
    StreamsGroupCurrentMemberAssignment(
        StreamsGroupCurrentMemberAssignmentKey,
        Option<StreamsGroupCurrentMemberAssignmentValue>,
    ),
    StreamsGroupTopology(StreamsGroupTopologyKey, Option<StreamsGroupTopologyValue>),
    /// A key of a type or a value of a version we do not know, kept as they came.
    Unknown {
        key: Bytes,
        value: Option<Bytes>,
    },
}

impl ConsumerOffsetsRecord {
    pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, DecodeError> {
        let kind = Reader::new(key).i16()?;
        let known = match kind {
            0 => read_pair(key, value)?.map(|(key, value)| Self::LegacyOffsetCommit(key, value)),
            1 => read_pair(key, value)?.map(|(key, value)| Self::OffsetCommit(key, value)),
            2 => read_pair(key, value)?.map(|(key, value)| Self::GroupMetadata(key, value)),
            3 => read_pair(key, value)?.map(|(key, value)| Self::ConsumerGroupMetadata(key, value)),
            4 => read_pair(key, value)?
                .map(|(key, value)| Self::ConsumerGroupPartitionMetadata(key, value)),
            5 => read_pair(key, value)?
                .map(|(key, value)| Self::ConsumerGroupMemberMetadata(key, value)),
            6 => read_pair(key, value)?
                .map(|(key, value)| Self::ConsumerGroupTargetAssignmentMetadata(key, value)),
            7 => read_pair(key, value)?
                .map(|(key, value)| Self::ConsumerGroupTargetAssignmentMember(key, value)),
            8 => read_pair(key, value)?
                .map(|(key, value)| Self::ConsumerGroupCurrentMemberAssignment(key, value)),
            10 => read_pair(key, value)?
                .map(|(key, value)| Self::ShareGroupMemberMetadata(key, value)),
            11 => read_pair(key, value)?.map(|(key, value)| Self::ShareGroupMetadata(key, value)),
            12 => read_pair(key, value)?
                .map(|(key, value)| Self::ShareGroupTargetAssignmentMetadata(key, value)),
            13 => read_pair(key, value)?
                .map(|(key, value)| Self::ShareGroupTargetAssignmentMember(key, value)),
            14 => read_pair(key, value)?
                .map(|(key, value)| Self::ShareGroupCurrentMemberAssignment(key, value)),
            15 => read_pair(key, value)?
                .map(|(key, value)| Self::ShareGroupStatePartitionMetadata(key, value)),
            16 => read_pair(key, value)?
                .map(|(key, value)| Self::ConsumerGroupRegularExpression(key, value)),
            17 => read_pair(key, value)?.map(|(key, value)| Self::StreamsGroupMetadata(key, value)),
            19 => read_pair(key, value)?
                .map(|(key, value)| Self::StreamsGroupMemberMetadata(key, value)),
            20 => read_pair(key, value)?
                .map(|(key, value)| Self::StreamsGroupTargetAssignmentMetadata(key, value)),
            21 => read_pair(key, value)?
                .map(|(key, value)| Self::StreamsGroupTargetAssignmentMember(key, value)),
            22 => read_pair(key, value)?
                .map(|(key, value)| Self::StreamsGroupCurrentMemberAssignment(key, value)),
            23 => read_pair(key, value)?.map(|(key, value)| Self::StreamsGroupTopology(key, value)),
            _ => None,
        };
        Ok(known.unwrap_or_else(|| Self::Unknown { key: key.clone(), value: value.cloned() }))
    }

    pub fn encode_key(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::LegacyOffsetCommit(key, _) => encode_key(key, 0),
            Self::OffsetCommit(key, _) => encode_key(key, 1),
            Self::GroupMetadata(key, _) => encode_key(key, 2),
            Self::ConsumerGroupMetadata(key, _) => encode_key(key, 3),
            Self::ConsumerGroupPartitionMetadata(key, _) => encode_key(key, 4),
            Self::ConsumerGroupMemberMetadata(key, _) => encode_key(key, 5),
            Self::ConsumerGroupTargetAssignmentMetadata(key, _) => encode_key(key, 6),
            Self::ConsumerGroupTargetAssignmentMember(key, _) => encode_key(key, 7),
            Self::ConsumerGroupCurrentMemberAssignment(key, _) => encode_key(key, 8),
            Self::ShareGroupMemberMetadata(key, _) => encode_key(key, 10),
            Self::ShareGroupMetadata(key, _) => encode_key(key, 11),
            Self::ShareGroupTargetAssignmentMetadata(key, _) => encode_key(key, 12),
            Self::ShareGroupTargetAssignmentMember(key, _) => encode_key(key, 13),
            Self::ShareGroupCurrentMemberAssignment(key, _) => encode_key(key, 14),
            Self::ShareGroupStatePartitionMetadata(key, _) => encode_key(key, 15),
            Self::ConsumerGroupRegularExpression(key, _) => encode_key(key, 16),
            Self::StreamsGroupMetadata(key, _) => encode_key(key, 17),
            Self::StreamsGroupMemberMetadata(key, _) => encode_key(key, 19),
            Self::StreamsGroupTargetAssignmentMetadata(key, _) => encode_key(key, 20),
            Self::StreamsGroupTargetAssignmentMember(key, _) => encode_key(key, 21),
            Self::StreamsGroupCurrentMemberAssignment(key, _) => encode_key(key, 22),
            Self::StreamsGroupTopology(key, _) => encode_key(key, 23),
            Self::Unknown { key, .. } => Ok(key.clone()),
        }
    }

    /// `None` for a tombstone. An unknown value is written back as it came, whatever the
    /// version.
    pub fn encode_value(&self, version: i16) -> Result<Option<Bytes>, EncodeError> {
        match self {
            Self::LegacyOffsetCommit(_, value) => encode_value(value.as_ref(), version),
            Self::OffsetCommit(_, value) => encode_value(value.as_ref(), version),
            Self::GroupMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::ConsumerGroupMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::ConsumerGroupPartitionMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::ConsumerGroupMemberMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::ConsumerGroupTargetAssignmentMetadata(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::ConsumerGroupTargetAssignmentMember(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::ConsumerGroupCurrentMemberAssignment(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::ShareGroupMemberMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::ShareGroupMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::ShareGroupTargetAssignmentMetadata(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::ShareGroupTargetAssignmentMember(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::ShareGroupCurrentMemberAssignment(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::ShareGroupStatePartitionMetadata(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::ConsumerGroupRegularExpression(_, value) => encode_value(value.as_ref(), version),
            Self::StreamsGroupMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::StreamsGroupMemberMetadata(_, value) => encode_value(value.as_ref(), version),
            Self::StreamsGroupTargetAssignmentMetadata(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::StreamsGroupTargetAssignmentMember(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::StreamsGroupCurrentMemberAssignment(_, value) => {
                encode_value(value.as_ref(), version)
            }
            Self::StreamsGroupTopology(_, value) => encode_value(value.as_ref(), version),
            Self::Unknown { value, .. } => Ok(value.clone()),
        }
    }
}
