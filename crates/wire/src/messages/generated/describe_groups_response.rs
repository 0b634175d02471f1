// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;
use strandline_types::ErrorCode;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–6, flexible 5+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DescribeGroupsResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
    pub unknown_tags: UnknownTags,
}

impl Message for DescribeGroupsResponse {
    const NAME: &'static str = "DescribeGroupsResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 6 };

    fn flexible(version: i16) -> bool {
        version >= 5
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
            groups: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        writer.array(&self.groups, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct DescribedGroup {
    pub error_code: ErrorCode,
    /// Versions 6+.
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub protocol_type: String,
    pub protocol_data: String,
    pub members: Vec<DescribedGroupMember>,
    /// Versions 3+.
    pub authorized_operations: i32,
    pub unknown_tags: UnknownTags,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::NONE,
            error_message: None,
            group_id: String::new(),
            group_state: String::new(),
            protocol_type: String::new(),
            protocol_data: String::new(),
            members: Vec::new(),
            authorized_operations: -2147483648,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for DescribedGroup {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=2 => 14,
            3..=4 => 18,
            5 => 12,
            _ => 13,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            error_code: reader.error_code()?,
            error_message: if version >= 6 { reader.nullable_string(flexible)? } else { None },
            group_id: reader.string(flexible)?,
            group_state: reader.string(flexible)?,
            protocol_type: reader.string(flexible)?,
            protocol_data: reader.string(flexible)?,
            members: reader.array(version, flexible)?,
            authorized_operations: if version >= 3 { reader.i32()? } else { -2147483648 },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.error_code(self.error_code);
        if version >= 6 {
            writer.nullable_string(self.error_message.as_deref(), flexible)?;
        } else if self.error_message.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "DescribeGroupsResponse",
                field: "error_message",
                version,
            });
        }
        writer.string(&self.group_id, flexible)?;
        writer.string(&self.group_state, flexible)?;
        writer.string(&self.protocol_type, flexible)?;
        writer.string(&self.protocol_data, flexible)?;
        writer.array(&self.members, version, flexible)?;
        if version >= 3 {
            writer.i32(self.authorized_operations);
        } else if self.authorized_operations != -2147483648 {
            return Err(EncodeError::FieldNotInVersion {
                message: "DescribeGroupsResponse",
                field: "authorized_operations",
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

#[derive(Clone, PartialEq, Debug, Default)]
pub struct DescribedGroupMember {
    pub member_id: String,
    /// Versions 4+.
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub member_metadata: Bytes,
    pub member_assignment: Bytes,
    pub unknown_tags: UnknownTags,
}

impl Element for DescribedGroupMember {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=3 => 14,
            4 => 16,
            _ => 7,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            member_id: reader.string(flexible)?,
            group_instance_id: if version >= 4 { reader.nullable_string(flexible)? } else { None },
            client_id: reader.string(flexible)?,
            client_host: reader.string(flexible)?,
            member_metadata: reader.bytes(flexible)?,
            member_assignment: reader.bytes(flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.member_id, flexible)?;
        if version >= 4 {
            writer.nullable_string(self.group_instance_id.as_deref(), flexible)?;
        }
        writer.string(&self.client_id, flexible)?;
        writer.string(&self.client_host, flexible)?;
        writer.bytes(&self.member_metadata, flexible)?;
        writer.bytes(&self.member_assignment, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
