// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct VoteRequest {
    pub cluster_id: Option<String>,
    /// Versions 1+.
    pub voter_id: i32,
    pub topics: Vec<TopicData>,
    pub unknown_tags: UnknownTags,
}

impl Default for VoteRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            voter_id: -1,
            topics: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for VoteRequest {
    const NAME: &'static str = "VoteRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            cluster_id: reader.nullable_string(flexible)?,
            voter_id: if version >= 1 { reader.i32()? } else { -1 },
            topics: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_string(self.cluster_id.as_deref(), flexible)?;
        if version >= 1 {
            writer.i32(self.voter_id);
        }
        writer.array(&self.topics, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicData {
    pub topic_name: String,
    pub partitions: Vec<PartitionData>,
    pub unknown_tags: UnknownTags,
}

impl Element for TopicData {
    fn min_size(_version: i16, _: bool) -> usize {
        3
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic_name: reader.string(flexible)?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.topic_name, flexible)?;
        writer.array(&self.partitions, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct PartitionData {
    pub partition_index: i32,
    pub replica_epoch: i32,
    pub replica_id: i32,
    /// Versions 1+.
    pub replica_directory_id: Uuid,
    /// Versions 1+.
    pub voter_directory_id: Uuid,
    pub last_offset_epoch: i32,
    pub last_offset: i64,
    /// Versions 2+.
    pub pre_vote: bool,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionData {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 25,
            1 => 57,
            _ => 58,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            partition_index: reader.i32()?,
            replica_epoch: reader.i32()?,
            replica_id: reader.i32()?,
            replica_directory_id: if version >= 1 { reader.uuid()? } else { Uuid::ZERO },
            voter_directory_id: if version >= 1 { reader.uuid()? } else { Uuid::ZERO },
            last_offset_epoch: reader.i32()?,
            last_offset: reader.i64()?,
            pre_vote: if version >= 2 { reader.bool()? } else { false },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, _flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.i32(self.replica_epoch);
        writer.i32(self.replica_id);
        if version >= 1 {
            writer.uuid(self.replica_directory_id);
        }
        if version >= 1 {
            writer.uuid(self.voter_directory_id);
        }
        writer.i32(self.last_offset_epoch);
        writer.i64(self.last_offset);
        if version >= 2 {
            writer.bool(self.pre_vote);
        } else if self.pre_vote {
            return Err(EncodeError::FieldNotInVersion {
                message: "VoteRequest",
                field: "pre_vote",
                version,
            });
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for VoteRequest {
    type Response = super::VoteResponse;
    const KEY: ApiKey = ApiKey::Vote;
}
