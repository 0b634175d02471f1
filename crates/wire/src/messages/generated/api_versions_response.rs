// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::ErrorCode;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–4, flexible 3+.
#[derive(Clone, PartialEq, Debug)]
pub struct ApiVersionsResponse {
    pub error_code: ErrorCode,
    pub api_keys: Vec<ApiVersion>,
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 3+. Tag 0.
    pub supported_features: Vec<SupportedFeatureKey>,
    /// Versions 3+. Tag 1.
    pub finalized_features_epoch: i64,
    /// Versions 3+. Tag 2.
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// Versions 3+. Tag 3.
    pub zk_migration_ready: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for ApiVersionsResponse {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::NONE,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for ApiVersionsResponse {
    const NAME: &'static str = "ApiVersionsResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 4 };

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            error_code: reader.error_code()?,
            api_keys: reader.array(version, flexible)?,
            throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 3 => {
                        this.supported_features = reader.array(version, flexible)?
                    }
                    1 if version >= 3 => this.finalized_features_epoch = reader.i64()?,
                    2 if version >= 3 => {
                        this.finalized_features = reader.array(version, flexible)?
                    }
                    3 if version >= 3 => this.zk_migration_ready = reader.bool()?,
                    _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
                }
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.error_code(self.error_code);
        writer.array(&self.api_keys, version, flexible)?;
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        if flexible {
            let has_supported_features = version >= 3 && !self.supported_features.is_empty();
            let has_finalized_features_epoch = version >= 3 && self.finalized_features_epoch != -1;
            let has_finalized_features = version >= 3 && !self.finalized_features.is_empty();
            let has_zk_migration_ready = version >= 3 && self.zk_migration_ready;
            let mut tags = writer.tags(
                u32::from(has_supported_features)
                    + u32::from(has_finalized_features_epoch)
                    + u32::from(has_finalized_features)
                    + u32::from(has_zk_migration_ready),
                &self.unknown_tags,
            );
            if has_supported_features {
                tags.begin(writer, 0)?;
                writer.array(&self.supported_features, version, flexible)?;
                tags.end(writer);
            }
            if has_finalized_features_epoch {
                tags.begin(writer, 1)?;
                writer.i64(self.finalized_features_epoch);
                tags.end(writer);
            }
            if has_finalized_features {
                tags.begin(writer, 2)?;
                writer.array(&self.finalized_features, version, flexible)?;
                tags.end(writer);
            }
            if has_zk_migration_ready {
                tags.begin(writer, 3)?;
                writer.bool(self.zk_migration_ready);
                tags.end(writer);
            }
            tags.finish(writer);
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for ApiVersion {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=2 => 6,
            _ => 7,
        }
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            api_key: reader.i16()?,
            min_version: reader.i16()?,
            max_version: reader.i16()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i16(self.api_key);
        writer.i16(self.min_version);
        writer.i16(self.max_version);
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 3+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SupportedFeatureKey {
    pub name: String,
    pub min_version: i16,
    pub max_version: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for SupportedFeatureKey {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            min_version: reader.i16()?,
            max_version: reader.i16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.i16(self.min_version);
        writer.i16(self.max_version);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 3+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FinalizedFeatureKey {
    pub name: String,
    pub max_version_level: i16,
    pub min_version_level: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for FinalizedFeatureKey {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            max_version_level: reader.i16()?,
            min_version_level: reader.i16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.i16(self.max_version_level);
        writer.i16(self.min_version_level);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
