// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;
use strandline_types::ErrorCode;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1–3, flexible 2+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CreateDelegationTokenResponse {
    pub error_code: ErrorCode,
    pub principal_type: String,
    pub principal_name: String,
    /// Versions 3+.
    pub token_requester_principal_type: String,
    /// Versions 3+.
    pub token_requester_principal_name: String,
    pub issue_timestamp_ms: i64,
    pub expiry_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub token_id: String,
    pub hmac: Bytes,
    pub throttle_time_ms: i32,
    pub unknown_tags: UnknownTags,
}

impl Message for CreateDelegationTokenResponse {
    const NAME: &'static str = "CreateDelegationTokenResponse";
    const VERSIONS: VersionRange = VersionRange { min: 1, max: 3 };

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            error_code: reader.error_code()?,
            principal_type: reader.string(flexible)?,
            principal_name: reader.string(flexible)?,
            token_requester_principal_type: if version >= 3 {
                reader.string(flexible)?
            } else {
                String::new()
            },
            token_requester_principal_name: if version >= 3 {
                reader.string(flexible)?
            } else {
                String::new()
            },
            issue_timestamp_ms: reader.i64()?,
            expiry_timestamp_ms: reader.i64()?,
            max_timestamp_ms: reader.i64()?,
            token_id: reader.string(flexible)?,
            hmac: reader.bytes(flexible)?,
            throttle_time_ms: reader.i32()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.error_code(self.error_code);
        writer.string(&self.principal_type, flexible)?;
        writer.string(&self.principal_name, flexible)?;
        if version >= 3 {
            writer.string(&self.token_requester_principal_type, flexible)?;
        } else if !self.token_requester_principal_type.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "CreateDelegationTokenResponse",
                field: "token_requester_principal_type",
                version,
            });
        }
        if version >= 3 {
            writer.string(&self.token_requester_principal_name, flexible)?;
        } else if !self.token_requester_principal_name.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "CreateDelegationTokenResponse",
                field: "token_requester_principal_name",
                version,
            });
        }
        writer.i64(self.issue_timestamp_ms);
        writer.i64(self.expiry_timestamp_ms);
        writer.i64(self.max_timestamp_ms);
        writer.string(&self.token_id, flexible)?;
        writer.bytes(&self.hmac, flexible)?;
        writer.i32(self.throttle_time_ms);
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
