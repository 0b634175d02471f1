// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;
use strandline_types::Uuid;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RemoteLogSegmentMetadataSnapshotRecord {
    pub segment_id: Uuid,
    pub start_offset: i64,
    pub end_offset: i64,
    pub broker_id: i32,
    pub max_timestamp_ms: i64,
    pub event_timestamp_ms: i64,
    pub segment_leader_epochs: Vec<SegmentLeaderEpochEntry>,
    pub segment_size_in_bytes: i32,
    pub custom_metadata: Option<Bytes>,
    pub remote_log_segment_state: i8,
    /// Tag 0.
    pub txn_index_empty: bool,
    pub unknown_tags: UnknownTags,
}

impl Message for RemoteLogSegmentMetadataSnapshotRecord {
    const NAME: &'static str = "RemoteLogSegmentMetadataSnapshotRecord";
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
            segment_id: reader.uuid()?,
            start_offset: reader.i64()?,
            end_offset: reader.i64()?,
            broker_id: reader.i32()?,
            max_timestamp_ms: reader.i64()?,
            event_timestamp_ms: reader.i64()?,
            segment_leader_epochs: reader.array(version, flexible)?,
            segment_size_in_bytes: reader.i32()?,
            custom_metadata: reader.nullable_bytes(flexible)?,
            remote_log_segment_state: reader.i8()?,
            txn_index_empty: false,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.txn_index_empty = reader.bool()?,
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
        writer.uuid(self.segment_id);
        writer.i64(self.start_offset);
        writer.i64(self.end_offset);
        writer.i32(self.broker_id);
        writer.i64(self.max_timestamp_ms);
        writer.i64(self.event_timestamp_ms);
        writer.array(&self.segment_leader_epochs, version, flexible)?;
        writer.i32(self.segment_size_in_bytes);
        writer.nullable_bytes(self.custom_metadata.as_deref(), flexible)?;
        writer.i8(self.remote_log_segment_state);
        let has_txn_index_empty = self.txn_index_empty;
        let mut tags = writer.tags(u32::from(has_txn_index_empty), &self.unknown_tags);
        if has_txn_index_empty {
            tags.begin(writer, 0)?;
            writer.bool(self.txn_index_empty);
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct SegmentLeaderEpochEntry {
    pub leader_epoch: i32,
    pub offset: i64,
    pub unknown_tags: UnknownTags,
}

impl Element for SegmentLeaderEpochEntry {
    fn min_size(_version: i16, _: bool) -> usize {
        13
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            leader_epoch: reader.i32()?,
            offset: reader.i64()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.leader_epoch);
        writer.i64(self.offset);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
