// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–6, flexible 2+.
#[derive(Clone, PartialEq, Debug)]
pub struct InitProducerIdRequest {
    pub transactional_id: Option<String>,
    pub transaction_timeout_ms: i32,
    /// Versions 3+.
    pub producer_id: i64,
    /// Versions 3+.
    pub producer_epoch: i16,
    /// Versions 6+.
    pub enable_2pc: bool,
    /// Versions 6+.
    pub keep_prepared_txn: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for InitProducerIdRequest {
    fn default() -> Self {
        Self {
            transactional_id: Some(String::new()),
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
            enable_2pc: false,
            keep_prepared_txn: false,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for InitProducerIdRequest {
    const NAME: &'static str = "InitProducerIdRequest";
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
            transactional_id: reader.nullable_string(flexible)?,
            transaction_timeout_ms: reader.i32()?,
            producer_id: if version >= 3 { reader.i64()? } else { -1 },
            producer_epoch: if version >= 3 { reader.i16()? } else { -1 },
            enable_2pc: if version >= 6 { reader.bool()? } else { false },
            keep_prepared_txn: if version >= 6 { reader.bool()? } else { false },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_string(self.transactional_id.as_deref(), flexible)?;
        writer.i32(self.transaction_timeout_ms);
        if version >= 3 {
            writer.i64(self.producer_id);
        } else if self.producer_id != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "InitProducerIdRequest",
                field: "producer_id",
                version,
            });
        }
        if version >= 3 {
            writer.i16(self.producer_epoch);
        } else if self.producer_epoch != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "InitProducerIdRequest",
                field: "producer_epoch",
                version,
            });
        }
        if version >= 6 {
            writer.bool(self.enable_2pc);
        } else if self.enable_2pc {
            return Err(EncodeError::FieldNotInVersion {
                message: "InitProducerIdRequest",
                field: "enable_2pc",
                version,
            });
        }
        if version >= 6 {
            writer.bool(self.keep_prepared_txn);
        } else if self.keep_prepared_txn {
            return Err(EncodeError::FieldNotInVersion {
                message: "InitProducerIdRequest",
                field: "keep_prepared_txn",
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

impl Request for InitProducerIdRequest {
    type Response = super::InitProducerIdResponse;
    const KEY: ApiKey = ApiKey::InitProducerId;
}
