// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::{ErrorCode, Uuid};

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1–6, flexible 4+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeleteTopicsResponse {
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult>,
    pub unknown_tags: UnknownTags,
}

impl Message for DeleteTopicsResponse {
    const NAME: &'static str = "DeleteTopicsResponse";
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
            throttle_time_ms: reader.i32()?,
            responses: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.throttle_time_ms);
        writer.array(&self.responses, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct DeletableTopicResult {
    /// Null in versions 6+.
    pub name: Option<String>,
    /// Versions 6+.
    pub topic_id: Uuid,
    pub error_code: ErrorCode,
    /// Versions 5+.
    pub error_message: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Default for DeletableTopicResult {
    fn default() -> Self {
        Self {
            name: Some(String::new()),
            topic_id: Uuid::ZERO,
            error_code: ErrorCode::NONE,
            error_message: None,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for DeletableTopicResult {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=4 => 4,
            5 => 5,
            _ => 21,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: match reader.nullable_string(flexible)? {
                None if version < 6 => return Err(DecodeError::UnexpectedNull),
                value => value,
            },
            topic_id: if version >= 6 { reader.uuid()? } else { Uuid::ZERO },
            error_code: reader.error_code()?,
            error_message: if version >= 5 { reader.nullable_string(flexible)? } else { None },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        if version < 6 && self.name.is_none() {
            return Err(EncodeError::UnexpectedNull {
                message: "DeleteTopicsResponse",
                field: "name",
                version,
            });
        }
        writer.nullable_string(self.name.as_deref(), flexible)?;
        if version >= 6 {
            writer.uuid(self.topic_id);
        }
        writer.error_code(self.error_code);
        if version >= 5 {
            writer.nullable_string(self.error_message.as_deref(), flexible)?;
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
