// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Message, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct EndTxnMarker {
    pub coordinator_epoch: i32,
}

impl Message for EndTxnMarker {
    const NAME: &'static str = "EndTxnMarker";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        false
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        Ok(Self { coordinator_epoch: reader.i32()? })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        writer.i32(self.coordinator_epoch);
        Ok(())
    }
}
