// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SaslHandshakeRequest {
    pub mechanism: String,
}

impl Message for SaslHandshakeRequest {
    const NAME: &'static str = "SaslHandshakeRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };

    fn flexible(_version: i16) -> bool {
        false
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        Ok(Self { mechanism: reader.string(flexible)? })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        writer.string(&self.mechanism, flexible)?;
        Ok(())
    }
}

impl Request for SaslHandshakeRequest {
    type Response = super::SaslHandshakeResponse;
    const KEY: ApiKey = ApiKey::SaslHandshake;
}
