// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerHeartbeatRequest {
    pub broker_id: i32,
    pub broker_epoch: i64,
    pub current_metadata_offset: i64,
    pub want_fence: bool,
    pub want_shut_down: bool,
    /// Versions 1+. Tag 0.
    pub offline_log_dirs: Vec<Uuid>,
    /// Versions 2+. Tag 1.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
    pub unknown_tags: UnknownTags,
}

impl Default for BrokerHeartbeatRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            broker_epoch: -1,
            current_metadata_offset: 0,
            want_fence: false,
            want_shut_down: false,
            offline_log_dirs: Vec::new(),
            cordoned_log_dirs: None,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for BrokerHeartbeatRequest {
    const NAME: &'static str = "BrokerHeartbeatRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            broker_id: reader.i32()?,
            broker_epoch: reader.i64()?,
            current_metadata_offset: reader.i64()?,
            want_fence: reader.bool()?,
            want_shut_down: reader.bool()?,
            offline_log_dirs: Vec::new(),
            cordoned_log_dirs: None,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 if version >= 1 => this.offline_log_dirs = reader.array(version, flexible)?,
                1 if version >= 2 => {
                    this.cordoned_log_dirs = reader.nullable_array(version, flexible)?
                }
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.broker_id);
        writer.i64(self.broker_epoch);
        writer.i64(self.current_metadata_offset);
        writer.bool(self.want_fence);
        writer.bool(self.want_shut_down);
        if version < 1 && !self.offline_log_dirs.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "BrokerHeartbeatRequest",
                field: "offline_log_dirs",
                version,
            });
        }
        if version < 2 && self.cordoned_log_dirs.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "BrokerHeartbeatRequest",
                field: "cordoned_log_dirs",
                version,
            });
        }
        let has_offline_log_dirs = version >= 1 && !self.offline_log_dirs.is_empty();
        let has_cordoned_log_dirs = version >= 2 && self.cordoned_log_dirs.is_some();
        let mut tags = writer.tags(
            u32::from(has_offline_log_dirs) + u32::from(has_cordoned_log_dirs),
            &self.unknown_tags,
        );
        if has_offline_log_dirs {
            tags.begin(writer, 0)?;
            writer.array(&self.offline_log_dirs, version, flexible)?;
            tags.end(writer);
        }
        if has_cordoned_log_dirs {
            tags.begin(writer, 1)?;
            writer.nullable_array(self.cordoned_log_dirs.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

impl Request for BrokerHeartbeatRequest {
    type Response = super::BrokerHeartbeatResponse;
    const KEY: ApiKey = ApiKey::BrokerHeartbeat;
}
