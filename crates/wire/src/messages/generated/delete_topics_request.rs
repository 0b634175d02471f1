// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1–6, flexible 4+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeleteTopicsRequest {
    /// Versions 6+.
    pub topics: Vec<DeleteTopicState>,
    /// Versions 1–5.
    pub topic_names: Vec<String>,
    pub timeout_ms: i32,
    pub unknown_tags: UnknownTags,
}

impl Message for DeleteTopicsRequest {
    const NAME: &'static str = "DeleteTopicsRequest";
    const VERSIONS: VersionRange = VersionRange { min: 1, max: 6 };

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            topics: if version >= 6 { reader.array(version, flexible)? } else { Vec::new() },
            topic_names: if version <= 5 { reader.array(version, flexible)? } else { Vec::new() },
            timeout_ms: reader.i32()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 6 {
            writer.array(&self.topics, version, flexible)?;
        } else if !self.topics.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "DeleteTopicsRequest",
                field: "topics",
                version,
            });
        }
        if version <= 5 {
            writer.array(&self.topic_names, version, flexible)?;
        }
        writer.i32(self.timeout_ms);
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 6+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeleteTopicState {
    pub name: Option<String>,
    pub topic_id: Uuid,
    pub unknown_tags: UnknownTags,
}

impl Element for DeleteTopicState {
    fn min_size(_version: i16, _: bool) -> usize {
        18
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.nullable_string(flexible)?,
            topic_id: reader.uuid()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.nullable_string(self.name.as_deref(), flexible)?;
        writer.uuid(self.topic_id);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for DeleteTopicsRequest {
    type Response = super::DeleteTopicsResponse;
    const KEY: ApiKey = ApiKey::DeleteTopics;
}
