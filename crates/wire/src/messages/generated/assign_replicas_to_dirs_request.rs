// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct AssignReplicasToDirsRequest {
    pub broker_id: i32,
    pub broker_epoch: i64,
    pub directories: Vec<DirectoryData>,
    pub unknown_tags: UnknownTags,
}

impl Default for AssignReplicasToDirsRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            broker_epoch: -1,
            directories: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for AssignReplicasToDirsRequest {
    const NAME: &'static str = "AssignReplicasToDirsRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            broker_id: reader.i32()?,
            broker_epoch: reader.i64()?,
            directories: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.broker_id);
        writer.i64(self.broker_epoch);
        writer.array(&self.directories, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct DirectoryData {
    pub id: Uuid,
    pub topics: Vec<TopicData>,
    pub unknown_tags: UnknownTags,
}

impl Element for DirectoryData {
    fn min_size(_version: i16, _: bool) -> usize {
        18
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            id: reader.uuid()?,
            topics: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.uuid(self.id);
        writer.array(&self.topics, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
    pub unknown_tags: UnknownTags,
}

impl Element for TopicData {
    fn min_size(_version: i16, _: bool) -> usize {
        18
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic_id: reader.uuid()?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.uuid(self.topic_id);
        writer.array(&self.partitions, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct PartitionData {
    pub partition_index: i32,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionData {
    fn min_size(_version: i16, _: bool) -> usize {
        5
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self { partition_index: reader.i32()?, unknown_tags: reader.unknown_tags()? })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for AssignReplicasToDirsRequest {
    type Response = super::AssignReplicasToDirsResponse;
    const KEY: ApiKey = ApiKey::AssignReplicasToDirs;
}
