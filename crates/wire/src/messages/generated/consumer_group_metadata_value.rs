// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConsumerGroupMetadataValue {
    pub epoch: i32,
    /// Tag 0.
    pub metadata_hash: i64,
    pub unknown_tags: UnknownTags,
}

impl Message for ConsumerGroupMetadataValue {
    const NAME: &'static str = "ConsumerGroupMetadataValue";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let mut this =
            Self { epoch: reader.i32()?, metadata_hash: 0, unknown_tags: UnknownTags::default() };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.metadata_hash = reader.i64()?,
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        writer.i32(self.epoch);
        let has_metadata_hash = self.metadata_hash != 0;
        let mut tags = writer.tags(u32::from(has_metadata_hash), &self.unknown_tags);
        if has_metadata_hash {
            tags.begin(writer, 0)?;
            writer.i64(self.metadata_hash);
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}
