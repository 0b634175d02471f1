// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–3, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct BrokerRegistrationChangeRecord {
    pub broker_id: i32,
    pub broker_epoch: i64,
    /// Tag 0.
    pub fenced: i8,
    /// Versions 1+. Tag 1.
    pub in_controlled_shutdown: i8,
    /// Versions 2+. Tag 2.
    pub log_dirs: Vec<Uuid>,
    /// Versions 3+. Tag 3.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
    pub unknown_tags: UnknownTags,
}

impl Message for BrokerRegistrationChangeRecord {
    const NAME: &'static str = "BrokerRegistrationChangeRecord";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 3 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            broker_id: reader.i32()?,
            broker_epoch: reader.i64()?,
            fenced: 0,
            in_controlled_shutdown: 0,
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.fenced = reader.i8()?,
                1 if version >= 1 => this.in_controlled_shutdown = reader.i8()?,
                2 if version >= 2 => this.log_dirs = reader.array(version, flexible)?,
                3 if version >= 3 => {
                    this.cordoned_log_dirs = reader.nullable_array(version, flexible)?
                }
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.broker_id);
        writer.i64(self.broker_epoch);
        if version < 1 && self.in_controlled_shutdown != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "BrokerRegistrationChangeRecord",
                field: "in_controlled_shutdown",
                version,
            });
        }
        if version < 2 && !self.log_dirs.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "BrokerRegistrationChangeRecord",
                field: "log_dirs",
                version,
            });
        }
        if version < 3 && self.cordoned_log_dirs.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "BrokerRegistrationChangeRecord",
                field: "cordoned_log_dirs",
                version,
            });
        }
        let has_fenced = self.fenced != 0;
        let has_in_controlled_shutdown = version >= 1 && self.in_controlled_shutdown != 0;
        let has_log_dirs = version >= 2 && !self.log_dirs.is_empty();
        let has_cordoned_log_dirs = version >= 3 && self.cordoned_log_dirs.is_some();
        let mut tags = writer.tags(
            u32::from(has_fenced)
                + u32::from(has_in_controlled_shutdown)
                + u32::from(has_log_dirs)
                + u32::from(has_cordoned_log_dirs),
            &self.unknown_tags,
        );
        if has_fenced {
            tags.begin(writer, 0)?;
            writer.i8(self.fenced);
            tags.end(writer);
        }
        if has_in_controlled_shutdown {
            tags.begin(writer, 1)?;
            writer.i8(self.in_controlled_shutdown);
            tags.end(writer);
        }
        if has_log_dirs {
            tags.begin(writer, 2)?;
            writer.array(&self.log_dirs, version, flexible)?;
            tags.end(writer);
        }
        if has_cordoned_log_dirs {
            tags.begin(writer, 3)?;
            writer.nullable_array(self.cordoned_log_dirs.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}
