// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamsGroupMetadataValue {
    pub epoch: i32,
    pub metadata_hash: i64,
    /// Tag 0.
    pub validated_topology_epoch: i32,
    /// Tag 1.
    pub last_assignment_configs: Option<Vec<LastAssignmentConfig>>,
    pub unknown_tags: UnknownTags,
}

impl Default for StreamsGroupMetadataValue {
    fn default() -> Self {
        Self {
            epoch: 0,
            metadata_hash: 0,
            validated_topology_epoch: -1,
            last_assignment_configs: Some(Vec::new()),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for StreamsGroupMetadataValue {
    const NAME: &'static str = "StreamsGroupMetadataValue";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            epoch: reader.i32()?,
            metadata_hash: reader.i64()?,
            validated_topology_epoch: -1,
            last_assignment_configs: Some(Vec::new()),
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.validated_topology_epoch = reader.i32()?,
                1 => this.last_assignment_configs = reader.nullable_array(version, flexible)?,
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
        writer.i32(self.epoch);
        writer.i64(self.metadata_hash);
        let has_validated_topology_epoch = self.validated_topology_epoch != -1;
        let has_last_assignment_configs =
            self.last_assignment_configs.as_ref().is_none_or(|value| !value.is_empty());
        let mut tags = writer.tags(
            u32::from(has_validated_topology_epoch) + u32::from(has_last_assignment_configs),
            &self.unknown_tags,
        );
        if has_validated_topology_epoch {
            tags.begin(writer, 0)?;
            writer.i32(self.validated_topology_epoch);
            tags.end(writer);
        }
        if has_last_assignment_configs {
            tags.begin(writer, 1)?;
            writer.nullable_array(self.last_assignment_configs.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct LastAssignmentConfig {
    pub key: String,
    pub value: String,
    pub unknown_tags: UnknownTags,
}

impl Element for LastAssignmentConfig {
    fn min_size(_version: i16, _: bool) -> usize {
        3
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            key: reader.string(flexible)?,
            value: reader.string(flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.key, flexible)?;
        writer.string(&self.value, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
