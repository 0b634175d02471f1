// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 2+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeleteRecordsRequest {
    pub topics: Vec<DeleteRecordsTopic>,
    pub timeout_ms: i32,
    pub unknown_tags: UnknownTags,
}

impl Message for DeleteRecordsRequest {
    const NAME: &'static str = "DeleteRecordsRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            topics: reader.array(version, flexible)?,
            timeout_ms: reader.i32()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.array(&self.topics, version, flexible)?;
        writer.i32(self.timeout_ms);
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeleteRecordsTopic {
    pub name: String,
    pub partitions: Vec<DeleteRecordsPartition>,
    pub unknown_tags: UnknownTags,
}

impl Element for DeleteRecordsTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=1 => 6,
            _ => 3,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
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
pub struct DeleteRecordsPartition {
    pub partition_index: i32,
    pub offset: i64,
    pub unknown_tags: UnknownTags,
}

impl Element for DeleteRecordsPartition {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=1 => 12,
            _ => 13,
        }
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            partition_index: reader.i32()?,
            offset: reader.i64()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.i64(self.offset);
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

impl Request for DeleteRecordsRequest {
    type Response = super::DeleteRecordsResponse;
    const KEY: ApiKey = ApiKey::DeleteRecords;
}
