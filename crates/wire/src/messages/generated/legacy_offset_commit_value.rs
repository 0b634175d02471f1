// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Message, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LegacyOffsetCommitValue {
    pub offset: i64,
    pub metadata: String,
    pub commit_timestamp: i64,
}

impl Message for LegacyOffsetCommitValue {
    const NAME: &'static str = "LegacyOffsetCommitValue";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        false
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        Ok(Self {
            offset: reader.i64()?,
            metadata: reader.string(flexible)?,
            commit_timestamp: reader.i64()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        writer.i64(self.offset);
        writer.string(&self.metadata, flexible)?;
        writer.i64(self.commit_timestamp);
        Ok(())
    }
}
