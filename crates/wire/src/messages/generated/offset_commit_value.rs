// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–4, flexible 4+.
#[derive(Clone, PartialEq, Debug)]
pub struct OffsetCommitValue {
    pub offset: i64,
    /// Versions 3+.
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp: i64,
    /// Versions 1.
    pub expire_timestamp: i64,
    /// Versions 4+. Tag 0.
    pub topic_id: Uuid,
    pub unknown_tags: UnknownTags,
}

impl Default for OffsetCommitValue {
    fn default() -> Self {
        Self {
            offset: 0,
            leader_epoch: -1,
            metadata: String::new(),
            commit_timestamp: 0,
            expire_timestamp: -1,
            topic_id: Uuid::ZERO,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for OffsetCommitValue {
    const NAME: &'static str = "OffsetCommitValue";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 4 };

    fn flexible(version: i16) -> bool {
        version >= 4
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            offset: reader.i64()?,
            leader_epoch: if version >= 3 { reader.i32()? } else { -1 },
            metadata: reader.string(flexible)?,
            commit_timestamp: reader.i64()?,
            expire_timestamp: if version == 1 { reader.i64()? } else { -1 },
            topic_id: Uuid::ZERO,
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 4 => this.topic_id = reader.uuid()?,
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
        writer.i64(self.offset);
        if version >= 3 {
            writer.i32(self.leader_epoch);
        }
        writer.string(&self.metadata, flexible)?;
        writer.i64(self.commit_timestamp);
        if version == 1 {
            writer.i64(self.expire_timestamp);
        }
        if flexible {
            let has_topic_id = version >= 4 && self.topic_id != Uuid::ZERO;
            let mut tags = writer.tags(u32::from(has_topic_id), &self.unknown_tags);
            if has_topic_id {
                tags.begin(writer, 0)?;
                writer.uuid(self.topic_id);
                tags.end(writer);
            }
            tags.finish(writer);
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
