// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UserScramCredentialRecord {
    pub name: String,
    pub mechanism: i8,
    pub salt: Bytes,
    pub stored_key: Bytes,
    pub server_key: Bytes,
    pub iterations: i32,
    pub unknown_tags: UnknownTags,
}

impl Message for UserScramCredentialRecord {
    const NAME: &'static str = "UserScramCredentialRecord";
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
            name: reader.string(flexible)?,
            mechanism: reader.i8()?,
            salt: reader.bytes(flexible)?,
            stored_key: reader.bytes(flexible)?,
            server_key: reader.bytes(flexible)?,
            iterations: reader.i32()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.string(&self.name, flexible)?;
        writer.i8(self.mechanism);
        writer.bytes(&self.salt, flexible)?;
        writer.bytes(&self.stored_key, flexible)?;
        writer.bytes(&self.server_key, flexible)?;
        writer.i32(self.iterations);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
