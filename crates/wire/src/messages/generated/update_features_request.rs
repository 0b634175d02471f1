// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct UpdateFeaturesRequest {
    pub timeout_ms: i32,
    pub feature_updates: Vec<FeatureUpdateKey>,
    /// Versions 1+.
    pub validate_only: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for UpdateFeaturesRequest {
    fn default() -> Self {
        Self {
            timeout_ms: 60000,
            feature_updates: Vec::new(),
            validate_only: false,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for UpdateFeaturesRequest {
    const NAME: &'static str = "UpdateFeaturesRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            timeout_ms: reader.i32()?,
            feature_updates: reader.array(version, flexible)?,
            validate_only: if version >= 1 { reader.bool()? } else { false },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.timeout_ms);
        writer.array(&self.feature_updates, version, flexible)?;
        if version >= 1 {
            writer.bool(self.validate_only);
        } else if self.validate_only {
            return Err(EncodeError::FieldNotInVersion {
                message: "UpdateFeaturesRequest",
                field: "validate_only",
                version,
            });
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct FeatureUpdateKey {
    pub feature: String,
    pub max_version_level: i16,
    /// Versions 0.
    pub allow_downgrade: bool,
    /// Versions 1+.
    pub upgrade_type: i8,
    pub unknown_tags: UnknownTags,
}

impl Default for FeatureUpdateKey {
    fn default() -> Self {
        Self {
            feature: String::new(),
            max_version_level: 0,
            allow_downgrade: false,
            upgrade_type: 1,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for FeatureUpdateKey {
    fn min_size(_version: i16, _: bool) -> usize {
        5
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            feature: reader.string(flexible)?,
            max_version_level: reader.i16()?,
            allow_downgrade: if version <= 0 { reader.bool()? } else { false },
            upgrade_type: if version >= 1 { reader.i8()? } else { 1 },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.feature, flexible)?;
        writer.i16(self.max_version_level);
        if version <= 0 {
            writer.bool(self.allow_downgrade);
        } else if self.allow_downgrade {
            return Err(EncodeError::FieldNotInVersion {
                message: "UpdateFeaturesRequest",
                field: "allow_downgrade",
                version,
            });
        }
        if version >= 1 {
            writer.i8(self.upgrade_type);
        } else if self.upgrade_type != 1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "UpdateFeaturesRequest",
                field: "upgrade_type",
                version,
            });
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for UpdateFeaturesRequest {
    type Response = super::UpdateFeaturesResponse;
    const KEY: ApiKey = ApiKey::UpdateFeatures;
}
