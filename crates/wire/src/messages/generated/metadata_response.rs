// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::{ErrorCode, Uuid};

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–13, flexible 9+.
#[derive(Clone, PartialEq, Debug)]
pub struct MetadataResponse {
    /// Versions 3+.
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker>,
    /// Versions 2+.
    pub cluster_id: Option<String>,
    /// Versions 1+.
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic>,
    /// Versions 8–10.
    pub cluster_authorized_operations: i32,
    /// Versions 13+.
    pub error_code: ErrorCode,
    pub unknown_tags: UnknownTags,
}

impl Default for MetadataResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: -2147483648,
            error_code: ErrorCode::NONE,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for MetadataResponse {
    const NAME: &'static str = "MetadataResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 13 };

    fn flexible(version: i16) -> bool {
        version >= 9
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            throttle_time_ms: if version >= 3 { reader.i32()? } else { 0 },
            brokers: reader.array(version, flexible)?,
            cluster_id: if version >= 2 { reader.nullable_string(flexible)? } else { None },
            controller_id: if version >= 1 { reader.i32()? } else { -1 },
            topics: reader.array(version, flexible)?,
            cluster_authorized_operations: if (8..=10).contains(&version) {
                reader.i32()?
            } else {
                -2147483648
            },
            error_code: if version >= 13 { reader.error_code()? } else { ErrorCode::NONE },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 3 {
            writer.i32(self.throttle_time_ms);
        }
        writer.array(&self.brokers, version, flexible)?;
        if version >= 2 {
            writer.nullable_string(self.cluster_id.as_deref(), flexible)?;
        }
        if version >= 1 {
            writer.i32(self.controller_id);
        }
        writer.array(&self.topics, version, flexible)?;
        if (8..=10).contains(&version) {
            writer.i32(self.cluster_authorized_operations);
        } else if self.cluster_authorized_operations != -2147483648 {
            return Err(EncodeError::FieldNotInVersion {
                message: "MetadataResponse",
                field: "cluster_authorized_operations",
                version,
            });
        }
        if version >= 13 {
            writer.error_code(self.error_code);
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
pub struct MetadataResponseBroker {
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    /// Versions 1+.
    pub rack: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Element for MetadataResponseBroker {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 10,
            1..=8 => 12,
            _ => 11,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            node_id: reader.i32()?,
            host: reader.string(flexible)?,
            port: reader.i32()?,
            rack: if version >= 1 { reader.nullable_string(flexible)? } else { None },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.node_id);
        writer.string(&self.host, flexible)?;
        writer.i32(self.port);
        if version >= 1 {
            writer.nullable_string(self.rack.as_deref(), flexible)?;
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct MetadataResponseTopic {
    pub error_code: ErrorCode,
    /// Null in versions 12+.
    pub name: Option<String>,
    /// Versions 10+.
    pub topic_id: Uuid,
    /// Versions 1+.
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    /// Versions 8+.
    pub topic_authorized_operations: i32,
    pub unknown_tags: UnknownTags,
}

impl Default for MetadataResponseTopic {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::NONE,
            name: Some(String::new()),
            topic_id: Uuid::ZERO,
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: -2147483648,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for MetadataResponseTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 8,
            1..=7 => 9,
            8 => 13,
            9 => 10,
            _ => 26,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            error_code: reader.error_code()?,
            name: match reader.nullable_string(flexible)? {
                None if version < 12 => return Err(DecodeError::UnexpectedNull),
                value => value,
            },
            topic_id: if version >= 10 { reader.uuid()? } else { Uuid::ZERO },
            is_internal: if version >= 1 { reader.bool()? } else { false },
            partitions: reader.array(version, flexible)?,
            topic_authorized_operations: if version >= 8 { reader.i32()? } else { -2147483648 },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.error_code(self.error_code);
        if version < 12 && self.name.is_none() {
            return Err(EncodeError::UnexpectedNull {
                message: "MetadataResponse",
                field: "name",
                version,
            });
        }
        writer.nullable_string(self.name.as_deref(), flexible)?;
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        if version >= 1 {
            writer.bool(self.is_internal);
        }
        writer.array(&self.partitions, version, flexible)?;
        if version >= 8 {
            writer.i32(self.topic_authorized_operations);
        } else if self.topic_authorized_operations != -2147483648 {
            return Err(EncodeError::FieldNotInVersion {
                message: "MetadataResponse",
                field: "topic_authorized_operations",
                version,
            });
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct MetadataResponsePartition {
    pub error_code: ErrorCode,
    pub partition_index: i32,
    pub leader_id: i32,
    /// Versions 7+.
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    /// Versions 5+.
    pub offline_replicas: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::NONE,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for MetadataResponsePartition {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=4 => 18,
            5..=6 => 22,
            7..=8 => 26,
            _ => 18,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            error_code: reader.error_code()?,
            partition_index: reader.i32()?,
            leader_id: reader.i32()?,
            leader_epoch: if version >= 7 { reader.i32()? } else { -1 },
            replica_nodes: reader.array(version, flexible)?,
            isr_nodes: reader.array(version, flexible)?,
            offline_replicas: if version >= 5 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.error_code(self.error_code);
        writer.i32(self.partition_index);
        writer.i32(self.leader_id);
        if version >= 7 {
            writer.i32(self.leader_epoch);
        }
        writer.array(&self.replica_nodes, version, flexible)?;
        writer.array(&self.isr_nodes, version, flexible)?;
        if version >= 5 {
            writer.array(&self.offline_replicas, version, flexible)?;
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
