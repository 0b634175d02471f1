// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct FetchSnapshotRequest {
    /// Tag 0.
    pub cluster_id: Option<String>,
    pub replica_id: i32,
    pub max_bytes: i32,
    pub topics: Vec<TopicSnapshot>,
    pub unknown_tags: UnknownTags,
}

impl Default for FetchSnapshotRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            max_bytes: 2147483647,
            topics: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for FetchSnapshotRequest {
    const NAME: &'static str = "FetchSnapshotRequest";
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
            cluster_id: None,
            replica_id: reader.i32()?,
            max_bytes: reader.i32()?,
            topics: reader.array(version, flexible)?,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.cluster_id = reader.nullable_string(flexible)?,
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
        writer.i32(self.replica_id);
        writer.i32(self.max_bytes);
        writer.array(&self.topics, version, flexible)?;
        let has_cluster_id = self.cluster_id.is_some();
        let mut tags = writer.tags(u32::from(has_cluster_id), &self.unknown_tags);
        if has_cluster_id {
            tags.begin(writer, 0)?;
            writer.nullable_string(self.cluster_id.as_deref(), flexible)?;
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
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub snapshot_id: SnapshotId,
    pub position: i64,
    /// Versions 1+. Tag 0.
    pub replica_directory_id: Uuid,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionSnapshot {
    fn min_size(_version: i16, _: bool) -> usize {
        30
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        let mut this = Self {
            partition: reader.i32()?,
            current_leader_epoch: reader.i32()?,
            snapshot_id: SnapshotId::read(reader, version, flexible)?,
            position: reader.i64()?,
            replica_directory_id: Uuid::ZERO,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 if version >= 1 => this.replica_directory_id = reader.uuid()?,
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition);
        writer.i32(self.current_leader_epoch);
        self.snapshot_id.write(writer, version, flexible)?;
        writer.i64(self.position);
        let has_replica_directory_id = version >= 1 && self.replica_directory_id != Uuid::ZERO;
        let mut tags = writer.tags(u32::from(has_replica_directory_id), &self.unknown_tags);
        if has_replica_directory_id {
            tags.begin(writer, 0)?;
            writer.uuid(self.replica_directory_id);
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

impl Request for FetchSnapshotRequest {
    type Response = super::FetchSnapshotResponse;
    const KEY: ApiKey = ApiKey::FetchSnapshot;
}
