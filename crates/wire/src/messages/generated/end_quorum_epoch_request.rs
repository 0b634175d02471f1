// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 1+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EndQuorumEpochRequest {
    pub cluster_id: Option<String>,
    pub topics: Vec<TopicData>,
    /// Versions 1+.
    pub leader_endpoints: Vec<LeaderEndpoint>,
    pub unknown_tags: UnknownTags,
}

impl Message for EndQuorumEpochRequest {
    const NAME: &'static str = "EndQuorumEpochRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };

    fn flexible(version: i16) -> bool {
        version >= 1
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            cluster_id: reader.nullable_string(flexible)?,
            topics: reader.array(version, flexible)?,
            leader_endpoints: if version >= 1 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_string(self.cluster_id.as_deref(), flexible)?;
        writer.array(&self.topics, version, flexible)?;
        if version >= 1 {
            writer.array(&self.leader_endpoints, version, flexible)?;
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
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
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 6,
            _ => 3,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic_name: reader.string(flexible)?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.topic_name, flexible)?;
        writer.array(&self.partitions, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct PartitionData {
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    /// Versions 0.
    pub preferred_successors: Vec<i32>,
    /// Versions 1+.
    pub preferred_candidates: Vec<ReplicaInfo>,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionData {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 16,
            _ => 14,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            partition_index: reader.i32()?,
            leader_id: reader.i32()?,
            leader_epoch: reader.i32()?,
            preferred_successors: if version <= 0 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            preferred_candidates: if version >= 1 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        if version <= 0 {
            writer.array(&self.preferred_successors, version, flexible)?;
        }
        if version >= 1 {
            writer.array(&self.preferred_candidates, version, flexible)?;
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 1+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ReplicaInfo {
    pub candidate_id: i32,
    pub candidate_directory_id: Uuid,
    pub unknown_tags: UnknownTags,
}

impl Element for ReplicaInfo {
    fn min_size(_version: i16, _: bool) -> usize {
        21
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            candidate_id: reader.i32()?,
            candidate_directory_id: reader.uuid()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.candidate_id);
        writer.uuid(self.candidate_directory_id);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 1+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LeaderEndpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub unknown_tags: UnknownTags,
}

impl Element for LeaderEndpoint {
    fn min_size(_version: i16, _: bool) -> usize {
        5
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            host: reader.string(flexible)?,
            port: reader.u16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.string(&self.host, flexible)?;
        writer.u16(self.port);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for EndQuorumEpochRequest {
    type Response = super::EndQuorumEpochResponse;
    const KEY: ApiKey = ApiKey::EndQuorumEpoch;
}
