// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ShareGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub member_epoch: i32,
    pub rack_id: Option<String>,
    pub subscribed_topic_names: Option<Vec<String>>,
    pub unknown_tags: UnknownTags,
}

impl Message for ShareGroupHeartbeatRequest {
    const NAME: &'static str = "ShareGroupHeartbeatRequest";
    const VERSIONS: VersionRange = VersionRange { min: 1, max: 1 };

    fn flexible(version: i16) -> bool {
        version >= 0
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            group_id: reader.string(flexible)?,
            member_id: reader.string(flexible)?,
            member_epoch: reader.i32()?,
            rack_id: reader.nullable_string(flexible)?,
            subscribed_topic_names: reader.nullable_array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.string(&self.group_id, flexible)?;
        writer.string(&self.member_id, flexible)?;
        writer.i32(self.member_epoch);
        writer.nullable_string(self.rack_id.as_deref(), flexible)?;
        writer.nullable_array(self.subscribed_topic_names.as_deref(), version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for ShareGroupHeartbeatRequest {
    type Response = super::ShareGroupHeartbeatResponse;
    const KEY: ApiKey = ApiKey::ShareGroupHeartbeat;
}
