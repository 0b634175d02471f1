// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;
use strandline_types::ErrorCode;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–9, flexible 6+.
#[derive(Clone, PartialEq, Debug)]
pub struct JoinGroupResponse {
    /// Versions 2+.
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub generation_id: i32,
    /// Versions 7+.
    pub protocol_type: Option<String>,
    /// Null in versions 7+.
    pub protocol_name: Option<String>,
    pub leader: String,
    /// Versions 9+.
    pub skip_assignment: bool,
    pub member_id: String,
    pub members: Vec<JoinGroupResponseMember>,
    pub unknown_tags: UnknownTags,
}

impl Default for JoinGroupResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(String::new()),
            leader: String::new(),
            skip_assignment: false,
            member_id: String::new(),
            members: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for JoinGroupResponse {
    const NAME: &'static str = "JoinGroupResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 9 };

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            throttle_time_ms: if version >= 2 { reader.i32()? } else { 0 },
            error_code: reader.error_code()?,
            generation_id: reader.i32()?,
            protocol_type: if version >= 7 { reader.nullable_string(flexible)? } else { None },
            protocol_name: match reader.nullable_string(flexible)? {
                None if version < 7 => return Err(DecodeError::UnexpectedNull),
                value => value,
            },
            leader: reader.string(flexible)?,
            skip_assignment: if version >= 9 { reader.bool()? } else { false },
            member_id: reader.string(flexible)?,
            members: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 2 {
            writer.i32(self.throttle_time_ms);
        }
        writer.error_code(self.error_code);
        writer.i32(self.generation_id);
        if version >= 7 {
            writer.nullable_string(self.protocol_type.as_deref(), flexible)?;
        }
        if version < 7 && self.protocol_name.is_none() {
            return Err(EncodeError::UnexpectedNull {
                message: "JoinGroupResponse",
                field: "protocol_name",
                version,
            });
        }
        writer.nullable_string(self.protocol_name.as_deref(), flexible)?;
        writer.string(&self.leader, flexible)?;
        if version >= 9 {
            writer.bool(self.skip_assignment);
        } else if self.skip_assignment {
            return Err(EncodeError::FieldNotInVersion {
                message: "JoinGroupResponse",
                field: "skip_assignment",
                version,
            });
        }
        writer.string(&self.member_id, flexible)?;
        writer.array(&self.members, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct JoinGroupResponseMember {
    pub member_id: String,
    /// Versions 5+.
    pub group_instance_id: Option<String>,
    pub metadata: Bytes,
    pub unknown_tags: UnknownTags,
}

impl Element for JoinGroupResponseMember {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=4 => 6,
            5 => 8,
            _ => 4,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            member_id: reader.string(flexible)?,
            group_instance_id: if version >= 5 { reader.nullable_string(flexible)? } else { None },
            metadata: reader.bytes(flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.member_id, flexible)?;
        if version >= 5 {
            writer.nullable_string(self.group_instance_id.as_deref(), flexible)?;
        }
        writer.bytes(&self.metadata, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
