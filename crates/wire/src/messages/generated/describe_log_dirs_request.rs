// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1–5, flexible 2+.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribeLogDirsRequest {
    pub topics: Option<Vec<DescribableLogDirTopic>>,
    pub unknown_tags: UnknownTags,
}

impl Default for DescribeLogDirsRequest {
    fn default() -> Self {
        Self { topics: Some(Vec::new()), unknown_tags: UnknownTags::default() }
    }
}

impl Message for DescribeLogDirsRequest {
    const NAME: &'static str = "DescribeLogDirsRequest";
    const VERSIONS: VersionRange = VersionRange { min: 1, max: 5 };

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            topics: reader.nullable_array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_array(self.topics.as_deref(), version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct DescribableLogDirTopic {
    pub topic: String,
    pub partitions: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Element for DescribableLogDirTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=1 => 6,
            _ => 3,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic: reader.string(flexible)?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.topic, flexible)?;
        writer.array(&self.partitions, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

impl Request for DescribeLogDirsRequest {
    type Response = super::DescribeLogDirsResponse;
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
}
