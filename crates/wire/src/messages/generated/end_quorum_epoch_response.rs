// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::ErrorCode;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 1+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EndQuorumEpochResponse {
    pub error_code: ErrorCode,
    pub topics: Vec<TopicData>,
    /// Versions 1+. Tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
    pub unknown_tags: UnknownTags,
}

impl Message for EndQuorumEpochResponse {
    const NAME: &'static str = "EndQuorumEpochResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };

    fn flexible(version: i16) -> bool {
        version >= 1
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            error_code: reader.error_code()?,
            topics: reader.array(version, flexible)?,
            node_endpoints: Vec::new(),
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 1 => this.node_endpoints = reader.array(version, flexible)?,
                    _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
                }
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.error_code(self.error_code);
        writer.array(&self.topics, version, flexible)?;
        if version < 1 && !self.node_endpoints.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "EndQuorumEpochResponse",
                field: "node_endpoints",
                version,
            });
        }
        if flexible {
            let has_node_endpoints = version >= 1 && !self.node_endpoints.is_empty();
            let mut tags = writer.tags(u32::from(has_node_endpoints), &self.unknown_tags);
            if has_node_endpoints {
                tags.begin(writer, 0)?;
                writer.array(&self.node_endpoints, version, flexible)?;
                tags.end(writer);
            }
            tags.finish(writer);
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
    pub error_code: ErrorCode,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionData {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 14,
            _ => 15,
        }
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            partition_index: reader.i32()?,
            error_code: reader.error_code()?,
            leader_id: reader.i32()?,
            leader_epoch: reader.i32()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.error_code(self.error_code);
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
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
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: u16,
    pub unknown_tags: UnknownTags,
}

impl Element for NodeEndpoint {
    fn min_size(_version: i16, _: bool) -> usize {
        8
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            node_id: reader.i32()?,
            host: reader.string(flexible)?,
            port: reader.u16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.node_id);
        writer.string(&self.host, flexible)?;
        writer.u16(self.port);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
