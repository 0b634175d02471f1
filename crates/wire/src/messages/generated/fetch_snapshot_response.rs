// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::ErrorCode;

use crate::messages::{Element, Message, Records, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FetchSnapshotResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub topics: Vec<TopicSnapshot>,
    /// Versions 1+. Tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
    pub unknown_tags: UnknownTags,
}

impl Message for FetchSnapshotResponse {
    const NAME: &'static str = "FetchSnapshotResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.error_code()?,
            topics: reader.array(version, flexible)?,
            node_endpoints: Vec::new(),
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 if version >= 1 => this.node_endpoints = reader.array(version, flexible)?,
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.array(&self.topics, version, flexible)?;
        if version < 1 && !self.node_endpoints.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchSnapshotResponse",
                field: "node_endpoints",
                version,
            });
        }
        let has_node_endpoints = version >= 1 && !self.node_endpoints.is_empty();
        let mut tags = writer.tags(u32::from(has_node_endpoints), &self.unknown_tags);
        if has_node_endpoints {
            tags.begin(writer, 0)?;
            writer.array(&self.node_endpoints, version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicSnapshot {
    pub name: String,
    pub partitions: Vec<PartitionSnapshot>,
    pub unknown_tags: UnknownTags,
}

impl Element for TopicSnapshot {
    fn min_size(_version: i16, _: bool) -> usize {
        3
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.array(&self.partitions, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct PartitionSnapshot {
    pub index: i32,
    pub error_code: ErrorCode,
    pub snapshot_id: SnapshotId,
    /// Tag 0.
    pub current_leader: LeaderIdAndEpoch,
    pub size: i64,
    pub position: i64,
    pub unaligned_records: Records,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionSnapshot {
    fn min_size(_version: i16, _: bool) -> usize {
        37
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        let mut this = Self {
            index: reader.i32()?,
            error_code: reader.error_code()?,
            snapshot_id: SnapshotId::read(reader, version, flexible)?,
            current_leader: LeaderIdAndEpoch::default(),
            size: reader.i64()?,
            position: reader.i64()?,
            unaligned_records: reader.records(flexible)?,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.current_leader = LeaderIdAndEpoch::read(reader, version, flexible)?,
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.index);
        writer.error_code(self.error_code);
        self.snapshot_id.write(writer, version, flexible)?;
        writer.i64(self.size);
        writer.i64(self.position);
        if self.unaligned_records.is_null() {
            return Err(EncodeError::UnexpectedNull {
                message: "FetchSnapshotResponse",
                field: "unaligned_records",
                version,
            });
        }
        writer.records(&self.unaligned_records, flexible)?;
        let has_current_leader = self.current_leader != LeaderIdAndEpoch::default();
        let mut tags = writer.tags(u32::from(has_current_leader), &self.unknown_tags);
        if has_current_leader {
            tags.begin(writer, 0)?;
            self.current_leader.write(writer, version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
    pub unknown_tags: UnknownTags,
}

impl Element for SnapshotId {
    fn min_size(_version: i16, _: bool) -> usize {
        13
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            end_offset: reader.i64()?,
            epoch: reader.i32()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i64(self.end_offset);
        writer.i32(self.epoch);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub unknown_tags: UnknownTags,
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
