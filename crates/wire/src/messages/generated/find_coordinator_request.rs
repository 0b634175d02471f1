// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–6, flexible 3+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FindCoordinatorRequest {
    /// Versions 0–3.
    pub key: String,
    /// Versions 1+.
    pub key_type: i8,
    /// Versions 4+.
    pub coordinator_keys: Vec<String>,
    pub unknown_tags: UnknownTags,
}

impl Message for FindCoordinatorRequest {
    const NAME: &'static str = "FindCoordinatorRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 6 };

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            key: if version <= 3 { reader.string(flexible)? } else { String::new() },
            key_type: if version >= 1 { reader.i8()? } else { 0 },
            coordinator_keys: if version >= 4 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version <= 3 {
            writer.string(&self.key, flexible)?;
        } else if !self.key.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorRequest",
                field: "key",
                version,
            });
        }
        if version >= 1 {
            writer.i8(self.key_type);
        } else if self.key_type != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorRequest",
                field: "key_type",
                version,
            });
        }
        if version >= 4 {
            writer.array(&self.coordinator_keys, version, flexible)?;
        } else if !self.coordinator_keys.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorRequest",
                field: "coordinator_keys",
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

impl Request for FindCoordinatorRequest {
    type Response = super::FindCoordinatorResponse;
    const KEY: ApiKey = ApiKey::FindCoordinator;
}
