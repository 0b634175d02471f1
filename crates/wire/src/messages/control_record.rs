//! Control records: what a log says about itself. Key: version and type; value: by type.

use bytes::Bytes;

use super::framing::{decode_prefixed, encode_prefixed};
use super::{
    EndTxnMarker, KRaftVersionRecord, LeaderChangeMessage, Message, SnapshotFooterRecord,
    SnapshotHeaderRecord, VotersRecord,
};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// The only record of a control batch, or one of several in the batches around a snapshot.
#[derive(Clone, PartialEq, Debug)]
pub enum ControlRecord {
    Abort(EndTxnMarker),
    Commit(EndTxnMarker),
    LeaderChange(LeaderChangeMessage),
    SnapshotHeader(SnapshotHeaderRecord),
    SnapshotFooter(SnapshotFooterRecord),
    KraftVersion(KRaftVersionRecord),
    KraftVoters(VotersRecord),
    /// A type we do not know, kept as it came.
    Unknown {
        key: Bytes,
        value: Bytes,
    },
}

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const LEADER_CHANGE: i16 = 2;
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const KRAFT_VERSION: i16 = 5;
const KRAFT_VOTERS: i16 = 6;

/// The version in which Kafka writes and reads every control record, key and value.
const VERSION: i16 = 0;

impl ControlRecord {
    pub fn decode(key: &Bytes, value: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(key);
        let _key_version = reader.i16()?;
        Ok(match reader.i16()? {
            ABORT => Self::Abort(decode_prefixed(value)?),
            COMMIT => Self::Commit(decode_prefixed(value)?),
            LEADER_CHANGE => Self::LeaderChange(read_value(value)?),
            SNAPSHOT_HEADER => Self::SnapshotHeader(read_value(value)?),
            SNAPSHOT_FOOTER => Self::SnapshotFooter(read_value(value)?),
            KRAFT_VERSION => Self::KraftVersion(read_value(value)?),
            KRAFT_VOTERS => Self::KraftVoters(read_value(value)?),
            _ => Self::Unknown { key: key.clone(), value: value.clone() },
        })
    }

    /// Key and value.
    pub fn encode(&self) -> Result<(Bytes, Bytes), EncodeError> {
        let (kind, value) = match self {
            Self::Abort(marker) => (ABORT, encode_prefixed(marker, VERSION)?),
            Self::Commit(marker) => (COMMIT, encode_prefixed(marker, VERSION)?),
            Self::LeaderChange(body) => (LEADER_CHANGE, write_value(body)?),
            Self::SnapshotHeader(body) => (SNAPSHOT_HEADER, write_value(body)?),
            Self::SnapshotFooter(body) => (SNAPSHOT_FOOTER, write_value(body)?),
            Self::KraftVersion(body) => (KRAFT_VERSION, write_value(body)?),
            Self::KraftVoters(body) => (KRAFT_VOTERS, write_value(body)?),
            Self::Unknown { key, value } => return Ok((key.clone(), value.clone())),
        };
        let mut key = Writer::with_capacity(4);
        key.i16(VERSION);
        key.i16(kind);
        Ok((key.into_bytes(), value))
    }
}

/// These values carry a version as their first field, not in front of the body.
fn read_value<M: Message>(value: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(value);
    let body = M::decode(&mut reader, VERSION)?;
    reader.finish()?;
    Ok(body)
}

fn write_value<M: Message>(body: &M) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    body.encode(&mut writer, VERSION)?;
    Ok(writer.into_bytes())
}
