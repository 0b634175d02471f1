// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::{ErrorCode, Uuid};

use crate::messages::{Element, Message, Records, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 4–18, flexible 12+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    /// Versions 7+.
    pub error_code: ErrorCode,
    /// Versions 7+.
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse>,
    /// Versions 16+. Tag 0.
    pub node_endpoints: Vec<NodeEndpoint>,
    pub unknown_tags: UnknownTags,
}

impl Message for FetchResponse {
    const NAME: &'static str = "FetchResponse";
    const VERSIONS: VersionRange = VersionRange { min: 4, max: 18 };

    fn flexible(version: i16) -> bool {
        version >= 12
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            throttle_time_ms: reader.i32()?,
            error_code: if version >= 7 { reader.error_code()? } else { ErrorCode::NONE },
            session_id: if version >= 7 { reader.i32()? } else { 0 },
            responses: reader.array(version, flexible)?,
            node_endpoints: Vec::new(),
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 16 => this.node_endpoints = reader.array(version, flexible)?,
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
        writer.i32(self.throttle_time_ms);
        if version >= 7 {
            writer.error_code(self.error_code);
        }
        if version >= 7 {
            writer.i32(self.session_id);
        } else if self.session_id != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchResponse",
                field: "session_id",
                version,
            });
        }
        writer.array(&self.responses, version, flexible)?;
        if version < 16 && !self.node_endpoints.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchResponse",
                field: "node_endpoints",
                version,
            });
        }
        if flexible {
            let has_node_endpoints = version >= 16 && !self.node_endpoints.is_empty();
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
pub struct FetchableTopicResponse {
    /// Versions 4–12.
    pub topic: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
    pub unknown_tags: UnknownTags,
}

impl Element for FetchableTopicResponse {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=11 => 6,
            12 => 3,
            _ => 18,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic: if version <= 12 { reader.string(flexible)? } else { String::new() },
            topic_id: if version >= 13 { reader.uuid()? } else { Uuid::ZERO },
            partitions: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        if version <= 12 {
            writer.string(&self.topic, flexible)?;
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: ErrorCode,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    /// Versions 5+.
    pub log_start_offset: i64,
    /// Versions 12+. Tag 0.
    pub diverging_epoch: EpochEndOffset,
    /// Versions 12+. Tag 1.
    pub current_leader: LeaderIdAndEpoch,
    /// Versions 12+. Tag 2.
    pub snapshot_id: SnapshotId,
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Versions 11+.
    pub preferred_read_replica: i32,
    pub records: Records,
    pub unknown_tags: UnknownTags,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: ErrorCode::NONE,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: Some(Vec::new()),
            preferred_read_replica: -1,
            records: Records::Null,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for PartitionData {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=4 => 30,
            5..=10 => 38,
            11 => 42,
            _ => 37,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        let mut this = Self {
            partition_index: reader.i32()?,
            error_code: reader.error_code()?,
            high_watermark: reader.i64()?,
            last_stable_offset: reader.i64()?,
            log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: reader.nullable_array(version, flexible)?,
            preferred_read_replica: if version >= 11 { reader.i32()? } else { -1 },
            records: reader.nullable_records(flexible)?,
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 12 => {
                        this.diverging_epoch = EpochEndOffset::read(reader, version, flexible)?
                    }
                    1 if version >= 12 => {
                        this.current_leader = LeaderIdAndEpoch::read(reader, version, flexible)?
                    }
                    2 if version >= 12 => {
                        this.snapshot_id = SnapshotId::read(reader, version, flexible)?
                    }
                    _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
                }
            }
        }
        Ok(this)
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.error_code(self.error_code);
        writer.i64(self.high_watermark);
        writer.i64(self.last_stable_offset);
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        writer.nullable_array(self.aborted_transactions.as_deref(), version, flexible)?;
        if version >= 11 {
            writer.i32(self.preferred_read_replica);
        } else if self.preferred_read_replica != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchResponse",
                field: "preferred_read_replica",
                version,
            });
        }
        writer.records(&self.records, flexible)?;
        if version < 12 && self.diverging_epoch != EpochEndOffset::default() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchResponse",
                field: "diverging_epoch",
                version,
            });
        }
        if version < 12 && self.current_leader != LeaderIdAndEpoch::default() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchResponse",
                field: "current_leader",
                version,
            });
        }
        if version < 12 && self.snapshot_id != SnapshotId::default() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchResponse",
                field: "snapshot_id",
                version,
            });
        }
        if flexible {
            let has_diverging_epoch =
                version >= 12 && self.diverging_epoch != EpochEndOffset::default();
            let has_current_leader =
                version >= 12 && self.current_leader != LeaderIdAndEpoch::default();
            let has_snapshot_id = version >= 12 && self.snapshot_id != SnapshotId::default();
            let mut tags = writer.tags(
                u32::from(has_diverging_epoch)
                    + u32::from(has_current_leader)
                    + u32::from(has_snapshot_id),
                &self.unknown_tags,
            );
            if has_diverging_epoch {
                tags.begin(writer, 0)?;
                self.diverging_epoch.write(writer, version, flexible)?;
                tags.end(writer);
            }
            if has_current_leader {
                tags.begin(writer, 1)?;
                self.current_leader.write(writer, version, flexible)?;
                tags.end(writer);
            }
            if has_snapshot_id {
                tags.begin(writer, 2)?;
                self.snapshot_id.write(writer, version, flexible)?;
                tags.end(writer);
            }
            tags.finish(writer);
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 12+.
#[derive(Clone, PartialEq, Debug)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
    pub unknown_tags: UnknownTags,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1, unknown_tags: UnknownTags::default() }
    }
}

impl Element for EpochEndOffset {
    fn min_size(_version: i16, _: bool) -> usize {
        13
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            epoch: reader.i32()?,
            end_offset: reader.i64()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.epoch);
        writer.i64(self.end_offset);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 12+.
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

/// Versions 12+.
#[derive(Clone, PartialEq, Debug)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
    pub unknown_tags: UnknownTags,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1, unknown_tags: UnknownTags::default() }
    }
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
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    pub unknown_tags: UnknownTags,
}

impl Element for AbortedTransaction {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=11 => 16,
            _ => 17,
        }
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            producer_id: reader.i64()?,
            first_offset: reader.i64()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i64(self.producer_id);
        writer.i64(self.first_offset);
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 16+.
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
