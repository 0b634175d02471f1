// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–5, flexible 4+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LeaveGroupRequest {
    pub group_id: String,
    /// Versions 0–2.
    pub member_id: String,
    /// Versions 3+.
    pub members: Vec<MemberIdentity>,
    pub unknown_tags: UnknownTags,
}

impl Message for LeaveGroupRequest {
    const NAME: &'static str = "LeaveGroupRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 5 };

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            group_id: reader.string(flexible)?,
            member_id: if version <= 2 { reader.string(flexible)? } else { String::new() },
            members: if version >= 3 { reader.array(version, flexible)? } else { Vec::new() },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.string(&self.group_id, flexible)?;
        if version <= 2 {
            writer.string(&self.member_id, flexible)?;
        } else if !self.member_id.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "LeaveGroupRequest",
                field: "member_id",
                version,
            });
        }
        if version >= 3 {
            writer.array(&self.members, version, flexible)?;
        } else if !self.members.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "LeaveGroupRequest",
                field: "members",
                version,
            });
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 3+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MemberIdentity {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    /// Versions 5+.
    pub reason: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Element for MemberIdentity {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=3 => 4,
            4 => 3,
            _ => 4,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            member_id: reader.string(flexible)?,
            group_instance_id: reader.nullable_string(flexible)?,
            reason: if version >= 5 { reader.nullable_string(flexible)? } else { None },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.member_id, flexible)?;
        writer.nullable_string(self.group_instance_id.as_deref(), flexible)?;
        if version >= 5 {
            writer.nullable_string(self.reason.as_deref(), flexible)?;
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

impl Request for LeaveGroupRequest {
    type Response = super::LeaveGroupResponse;
    const KEY: ApiKey = ApiKey::LeaveGroup;
}
