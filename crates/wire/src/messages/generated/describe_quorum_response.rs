// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::{ErrorCode, Uuid};

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribeQuorumResponse {
    pub error_code: ErrorCode,
    /// Versions 2+.
    pub error_message: Option<String>,
    pub topics: Vec<TopicData>,
    /// Versions 2+.
    pub nodes: Vec<Node>,
    pub unknown_tags: UnknownTags,
}

impl Default for DescribeQuorumResponse {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::NONE,
            error_message: Some(String::new()),
            topics: Vec::new(),
            nodes: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for DescribeQuorumResponse {
    const NAME: &'static str = "DescribeQuorumResponse";
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
            error_code: reader.error_code()?,
            error_message: if version >= 2 {
                reader.nullable_string(flexible)?
            } else {
                Some(String::new())
            },
            topics: reader.array(version, flexible)?,
            nodes: if version >= 2 { reader.array(version, flexible)? } else { Vec::new() },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.error_code(self.error_code);
        if version >= 2 {
            writer.nullable_string(self.error_message.as_deref(), flexible)?;
        }
        writer.array(&self.topics, version, flexible)?;
        if version >= 2 {
            writer.array(&self.nodes, version, flexible)?;
        } else if !self.nodes.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "DescribeQuorumResponse",
                field: "nodes",
                version,
            });
        }
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

#[derive(Clone, PartialEq, Debug)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: ErrorCode,
    /// Versions 2+.
    pub error_message: Option<String>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Vec<ReplicaState>,
    pub observers: Vec<ReplicaState>,
    pub unknown_tags: UnknownTags,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: ErrorCode::NONE,
            error_message: Some(String::new()),
            leader_id: 0,
            leader_epoch: 0,
            high_watermark: 0,
            current_voters: Vec::new(),
            observers: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for PartitionData {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=1 => 25,
            _ => 26,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            partition_index: reader.i32()?,
            error_code: reader.error_code()?,
            error_message: if version >= 2 {
                reader.nullable_string(flexible)?
            } else {
                Some(String::new())
            },
            leader_id: reader.i32()?,
            leader_epoch: reader.i32()?,
            high_watermark: reader.i64()?,
            current_voters: reader.array(version, flexible)?,
            observers: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.error_code(self.error_code);
        if version >= 2 {
            writer.nullable_string(self.error_message.as_deref(), flexible)?;
        }
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.i64(self.high_watermark);
        writer.array(&self.current_voters, version, flexible)?;
        writer.array(&self.observers, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 2+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Node {
    pub node_id: i32,
    pub listeners: Vec<Listener>,
    pub unknown_tags: UnknownTags,
}

impl Element for Node {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            node_id: reader.i32()?,
            listeners: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.node_id);
        writer.array(&self.listeners, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 2+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub unknown_tags: UnknownTags,
}

impl Element for Listener {
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

#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaState {
    pub replica_id: i32,
    /// Versions 2+.
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    /// Versions 1+.
    pub last_fetch_timestamp: i64,
    /// Versions 1+.
    pub last_caught_up_timestamp: i64,
    pub unknown_tags: UnknownTags,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: 0,
            replica_directory_id: Uuid::ZERO,
            log_end_offset: 0,
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: -1,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for ReplicaState {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 13,
            1 => 29,
            _ => 45,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            replica_id: reader.i32()?,
            replica_directory_id: if version >= 2 { reader.uuid()? } else { Uuid::ZERO },
            log_end_offset: reader.i64()?,
            last_fetch_timestamp: if version >= 1 { reader.i64()? } else { -1 },
            last_caught_up_timestamp: if version >= 1 { reader.i64()? } else { -1 },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, _flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.replica_id);
        if version >= 2 {
            writer.uuid(self.replica_directory_id);
        } else if self.replica_directory_id != Uuid::ZERO {
            return Err(EncodeError::FieldNotInVersion {
                message: "DescribeQuorumResponse",
                field: "replica_directory_id",
                version,
            });
        }
        writer.i64(self.log_end_offset);
        if version >= 1 {
            writer.i64(self.last_fetch_timestamp);
        }
        if version >= 1 {
            writer.i64(self.last_caught_up_timestamp);
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
