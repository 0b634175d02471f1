// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::ErrorCode;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–6, flexible 2+.
#[derive(Clone, PartialEq, Debug)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Versions 6+.
    pub ongoing_txn_producer_id: i64,
    /// Versions 6+.
    pub ongoing_txn_producer_epoch: i16,
    pub unknown_tags: UnknownTags,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            producer_id: -1,
            producer_epoch: 0,
            ongoing_txn_producer_id: -1,
            ongoing_txn_producer_epoch: -1,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for InitProducerIdResponse {
    const NAME: &'static str = "InitProducerIdResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 6 };

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.error_code()?,
            producer_id: reader.i64()?,
            producer_epoch: reader.i16()?,
            ongoing_txn_producer_id: if version >= 6 { reader.i64()? } else { -1 },
            ongoing_txn_producer_epoch: if version >= 6 { reader.i16()? } else { -1 },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.i64(self.producer_id);
        writer.i16(self.producer_epoch);
        if version >= 6 {
            writer.i64(self.ongoing_txn_producer_id);
        } else if self.ongoing_txn_producer_id != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "InitProducerIdResponse",
                field: "ongoing_txn_producer_id",
                version,
            });
        }
        if version >= 6 {
            writer.i16(self.ongoing_txn_producer_epoch);
        } else if self.ongoing_txn_producer_epoch != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "InitProducerIdResponse",
                field: "ongoing_txn_producer_epoch",
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
