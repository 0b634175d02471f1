// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DelegationTokenRecord {
    pub owner: String,
    pub requester: String,
    pub renewers: Vec<String>,
    pub issue_timestamp: i64,
    pub max_timestamp: i64,
    pub expiration_timestamp: i64,
    pub token_id: String,
    pub unknown_tags: UnknownTags,
}

impl Message for DelegationTokenRecord {
    const NAME: &'static str = "DelegationTokenRecord";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            owner: reader.string(flexible)?,
            requester: reader.string(flexible)?,
            renewers: reader.array(version, flexible)?,
            issue_timestamp: reader.i64()?,
            max_timestamp: reader.i64()?,
            expiration_timestamp: reader.i64()?,
            token_id: reader.string(flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.string(&self.owner, flexible)?;
        writer.string(&self.requester, flexible)?;
        writer.array(&self.renewers, version, flexible)?;
        writer.i64(self.issue_timestamp);
        writer.i64(self.max_timestamp);
        writer.i64(self.expiration_timestamp);
        writer.string(&self.token_id, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
