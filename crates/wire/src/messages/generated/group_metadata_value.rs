// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–4, flexible 4+.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupMetadataValue {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// Versions 2+.
    pub current_state_timestamp: i64,
    pub members: Vec<MemberMetadata>,
    pub unknown_tags: UnknownTags,
}

impl Default for GroupMetadataValue {
    fn default() -> Self {
        Self {
            protocol_type: String::new(),
            generation: 0,
            protocol: Some(String::new()),
            leader: Some(String::new()),
            current_state_timestamp: -1,
            members: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for GroupMetadataValue {
    const NAME: &'static str = "GroupMetadataValue";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 4 };

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            protocol_type: reader.string(flexible)?,
            generation: reader.i32()?,
            protocol: reader.nullable_string(flexible)?,
            leader: reader.nullable_string(flexible)?,
            current_state_timestamp: if version >= 2 { reader.i64()? } else { -1 },
            members: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.string(&self.protocol_type, flexible)?;
        writer.i32(self.generation);
        writer.nullable_string(self.protocol.as_deref(), flexible)?;
        writer.nullable_string(self.leader.as_deref(), flexible)?;
        if version >= 2 {
            writer.i64(self.current_state_timestamp);
        }
        writer.array(&self.members, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct MemberMetadata {
    pub member_id: String,
    /// Versions 3+.
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Versions 1+.
    pub rebalance_timeout: i32,
    pub session_timeout: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
    pub unknown_tags: UnknownTags,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        Self {
            member_id: String::new(),
            group_instance_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout: -1,
            session_timeout: 0,
            subscription: Bytes::new(),
            assignment: Bytes::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for MemberMetadata {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 18,
            1..=2 => 22,
            3 => 24,
            _ => 15,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            member_id: reader.string(flexible)?,
            group_instance_id: if version >= 3 { reader.nullable_string(flexible)? } else { None },
            client_id: reader.string(flexible)?,
            client_host: reader.string(flexible)?,
            rebalance_timeout: if version >= 1 { reader.i32()? } else { -1 },
            session_timeout: reader.i32()?,
            subscription: reader.bytes(flexible)?,
            assignment: reader.bytes(flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.member_id, flexible)?;
        if version >= 3 {
            writer.nullable_string(self.group_instance_id.as_deref(), flexible)?;
        }
        writer.string(&self.client_id, flexible)?;
        writer.string(&self.client_host, flexible)?;
        if version >= 1 {
            writer.i32(self.rebalance_timeout);
        }
        writer.i32(self.session_timeout);
        writer.bytes(&self.subscription, flexible)?;
        writer.bytes(&self.assignment, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
