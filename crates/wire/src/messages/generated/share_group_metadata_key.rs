// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Message, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ShareGroupMetadataKey {
    pub group_id: String,
}

impl Message for ShareGroupMetadataKey {
    const NAME: &'static str = "ShareGroupMetadataKey";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        false
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        Ok(Self { group_id: reader.string(flexible)? })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        writer.string(&self.group_id, flexible)?;
        Ok(())
    }
}
