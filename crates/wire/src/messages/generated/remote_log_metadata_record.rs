// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::framing::{encode_framed, read_frame, read_known};
use crate::messages::{
    RemoteLogSegmentMetadataRecord, RemoteLogSegmentMetadataSnapshotRecord,
    RemoteLogSegmentMetadataUpdateRecord, RemotePartitionDeleteMetadataRecord,
};
use crate::{DecodeError, EncodeError, Reader};

#[derive(Clone, PartialEq, Debug)]
pub enum RemoteLogMetadataRecord {
    RemoteLogSegmentMetadata(RemoteLogSegmentMetadataRecord),
    RemoteLogSegmentMetadataUpdate(RemoteLogSegmentMetadataUpdateRecord),
    RemotePartitionDeleteMetadata(RemotePartitionDeleteMetadataRecord),
    RemoteLogSegmentMetadataSnapshot(RemoteLogSegmentMetadataSnapshotRecord),
    /// Of a type or version we do not know, kept as it came.
    Unknown(Bytes),
}

impl RemoteLogMetadataRecord {
    pub fn decode(value: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(value);
        let (kind, version) = read_frame(&mut reader)?;
        let known = match kind {
            0 => read_known(reader, version)?.map(Self::RemoteLogSegmentMetadata),
            1 => read_known(reader, version)?.map(Self::RemoteLogSegmentMetadataUpdate),
            2 => read_known(reader, version)?.map(Self::RemotePartitionDeleteMetadata),
            3 => read_known(reader, version)?.map(Self::RemoteLogSegmentMetadataSnapshot),
            _ => None,
        };
        Ok(known.unwrap_or_else(|| Self::Unknown(value.clone())))
    }

    /// An unknown record is written back as it came, whatever the version.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        match self {
            Self::RemoteLogSegmentMetadata(body) => encode_framed(body, 0, version),
            Self::RemoteLogSegmentMetadataUpdate(body) => encode_framed(body, 1, version),
            Self::RemotePartitionDeleteMetadata(body) => encode_framed(body, 2, version),
            Self::RemoteLogSegmentMetadataSnapshot(body) => encode_framed(body, 3, version),
            Self::Unknown(value) => Ok(value.clone()),
        }
    }
}
