// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::{ErrorCode, Uuid};

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 3–13, flexible 9+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProduceResponse {
    pub responses: Vec<TopicProduceResponse>,
    pub throttle_time_ms: i32,
    /// Versions 10+. Tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
    pub unknown_tags: UnknownTags,
}

impl Message for ProduceResponse {
    const NAME: &'static str = "ProduceResponse";
    const VERSIONS: VersionRange = VersionRange { min: 3, max: 13 };

    fn flexible(version: i16) -> bool {
        version >= 9
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            responses: reader.array(version, flexible)?,
            throttle_time_ms: reader.i32()?,
            node_endpoints: Vec::new(),
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 10 => this.node_endpoints = reader.array(version, flexible)?,
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
        writer.array(&self.responses, version, flexible)?;
        writer.i32(self.throttle_time_ms);
        if version < 10 && !self.node_endpoints.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "ProduceResponse",
                field: "node_endpoints",
                version,
            });
        }
        if flexible {
            let has_node_endpoints = version >= 10 && !self.node_endpoints.is_empty();
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
pub struct TopicProduceResponse {
    /// Versions 3–12.
    pub name: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse>,
    pub unknown_tags: UnknownTags,
}

impl Element for TopicProduceResponse {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=8 => 6,
            9..=12 => 3,
            _ => 18,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: if version <= 12 { reader.string(flexible)? } else { String::new() },
            topic_id: if version >= 13 { reader.uuid()? } else { Uuid::ZERO },
            partition_responses: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        if version <= 12 {
            writer.string(&self.name, flexible)?;
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partition_responses, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct PartitionProduceResponse {
    pub index: i32,
    pub error_code: ErrorCode,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    /// Versions 5+.
    pub log_start_offset: i64,
    /// Versions 8+.
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// Versions 8+.
    pub error_message: Option<String>,
    /// Versions 10+. Tag 0.
    pub current_leader: LeaderIdAndEpoch,
    pub unknown_tags: UnknownTags,
}

impl Default for PartitionProduceResponse {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: ErrorCode::NONE,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for PartitionProduceResponse {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=4 => 22,
            5..=7 => 30,
            8 => 36,
            _ => 33,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        let mut this = Self {
            index: reader.i32()?,
            error_code: reader.error_code()?,
            base_offset: reader.i64()?,
            log_append_time_ms: reader.i64()?,
            log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
            record_errors: if version >= 8 { reader.array(version, flexible)? } else { Vec::new() },
            error_message: if version >= 8 { reader.nullable_string(flexible)? } else { None },
            current_leader: LeaderIdAndEpoch::default(),
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 10 => {
                        this.current_leader = LeaderIdAndEpoch::read(reader, version, flexible)?
                    }
                    _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
                }
            }
        }
        Ok(this)
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.index);
        writer.error_code(self.error_code);
        writer.i64(self.base_offset);
        writer.i64(self.log_append_time_ms);
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        if version >= 8 {
            writer.array(&self.record_errors, version, flexible)?;
        }
        if version >= 8 {
            writer.nullable_string(self.error_message.as_deref(), flexible)?;
        }
        if version < 10 && self.current_leader != LeaderIdAndEpoch::default() {
            return Err(EncodeError::FieldNotInVersion {
                message: "ProduceResponse",
                field: "current_leader",
                version,
            });
        }
        if flexible {
            let has_current_leader =
                version >= 10 && self.current_leader != LeaderIdAndEpoch::default();
            let mut tags = writer.tags(u32::from(has_current_leader), &self.unknown_tags);
            if has_current_leader {
                tags.begin(writer, 0)?;
                self.current_leader.write(writer, version, flexible)?;
                tags.end(writer);
            }
            tags.finish(writer);
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 8+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct BatchIndexAndErrorMessage {
    pub batch_index: i32,
    pub batch_index_error_message: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Element for BatchIndexAndErrorMessage {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            batch_index: reader.i32()?,
            batch_index_error_message: reader.nullable_string(flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.batch_index);
        writer.nullable_string(self.batch_index_error_message.as_deref(), flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 10+.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub unknown_tags: UnknownTags,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1, unknown_tags: UnknownTags::default() }
    }
}

impl Element for LeaderIdAndEpoch {
    fn min_size(_version: i16, _: bool) -> usize {
        9
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            leader_id: reader.i32()?,
            leader_epoch: reader.i32()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 10+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Element for NodeEndpoint {
    fn min_size(_version: i16, _: bool) -> usize {
        11
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            node_id: reader.i32()?,
            host: reader.string(flexible)?,
            port: reader.i32()?,
            rack: reader.nullable_string(flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.node_id);
        writer.string(&self.host, flexible)?;
        writer.i32(self.port);
        writer.nullable_string(self.rack.as_deref(), flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
