// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::ErrorCode;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub is_caught_up: bool,
    pub is_fenced: bool,
    pub should_shut_down: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for BrokerHeartbeatResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            is_caught_up: false,
            is_fenced: true,
            should_shut_down: false,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for BrokerHeartbeatResponse {
    const NAME: &'static str = "BrokerHeartbeatResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        Ok(Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.error_code()?,
            is_caught_up: reader.bool()?,
            is_fenced: reader.bool()?,
            should_shut_down: reader.bool()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        writer.i32(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.bool(self.is_caught_up);
        writer.bool(self.is_fenced);
        writer.bool(self.should_shut_down);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
