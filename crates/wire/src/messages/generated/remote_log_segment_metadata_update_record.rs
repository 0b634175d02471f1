// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;
use strandline_types::Uuid;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RemoteLogSegmentMetadataUpdateRecord {
    pub remote_log_segment_id: RemoteLogSegmentIdEntry,
    pub broker_id: i32,
    pub event_timestamp_ms: i64,
    pub custom_metadata: Option<Bytes>,
    pub remote_log_segment_state: i8,
    pub unknown_tags: UnknownTags,
}

impl Message for RemoteLogSegmentMetadataUpdateRecord {
    const NAME: &'static str = "RemoteLogSegmentMetadataUpdateRecord";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            remote_log_segment_id: RemoteLogSegmentIdEntry::read(reader, version, flexible)?,
            broker_id: reader.i32()?,
            event_timestamp_ms: reader.i64()?,
            custom_metadata: reader.nullable_bytes(flexible)?,
            remote_log_segment_state: reader.i8()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        self.remote_log_segment_id.write(writer, version, flexible)?;
        writer.i32(self.broker_id);
        writer.i64(self.event_timestamp_ms);
        writer.nullable_bytes(self.custom_metadata.as_deref(), flexible)?;
        writer.i8(self.remote_log_segment_state);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct RemoteLogSegmentIdEntry {
    pub topic_id_partition: TopicIdPartitionEntry,
    pub id: Uuid,
    pub unknown_tags: UnknownTags,
}

impl Element for RemoteLogSegmentIdEntry {
    fn min_size(_version: i16, _: bool) -> usize {
        39
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic_id_partition: TopicIdPartitionEntry::read(reader, version, flexible)?,
            id: reader.uuid()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        self.topic_id_partition.write(writer, version, flexible)?;
        writer.uuid(self.id);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicIdPartitionEntry {
    pub name: String,
    pub id: Uuid,
    pub partition: i32,
    pub unknown_tags: UnknownTags,
}

impl Element for TopicIdPartitionEntry {
    fn min_size(_version: i16, _: bool) -> usize {
        22
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            id: reader.uuid()?,
            partition: reader.i32()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.uuid(self.id);
        writer.i32(self.partition);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
