// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OffsetDeleteRequest {
    pub group_id: String,
    pub topics: Vec<OffsetDeleteRequestTopic>,
}

impl Message for OffsetDeleteRequest {
    const NAME: &'static str = "OffsetDeleteRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        false
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        Ok(Self { group_id: reader.string(flexible)?, topics: reader.array(version, flexible)? })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        writer.string(&self.group_id, flexible)?;
        writer.array(&self.topics, version, flexible)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct OffsetDeleteRequestTopic {
    pub name: String,
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

impl Element for OffsetDeleteRequestTopic {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self { name: reader.string(flexible)?, partitions: reader.array(version, flexible)? })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.array(&self.partitions, version, flexible)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct OffsetDeleteRequestPartition {
    pub partition_index: i32,
}

impl Element for OffsetDeleteRequestPartition {
    fn min_size(_version: i16, _: bool) -> usize {
        4
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self { partition_index: reader.i32()? })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        Ok(())
    }
}

impl Request for OffsetDeleteRequest {
    type Response = super::OffsetDeleteResponse;
    const KEY: ApiKey = ApiKey::OffsetDelete;
}
