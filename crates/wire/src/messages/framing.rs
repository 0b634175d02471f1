//! How messages are stored in records: with their version, and where several kinds share a topic
//! with their type, in front.

use bytes::Bytes;

use super::Message;
use crate::{DecodeError, EncodeError, Reader, Writer};

/// The version as two bytes, then the body.
pub fn encode_prefixed<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(version);
    message.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

/// Reads what [`encode_prefixed`] wrote, all of it.
pub fn decode_prefixed<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    let message = M::decode(&mut reader, version)?;
    reader.finish()?;
    Ok(message)
}

/// Reads what may come from a newer peer, as group members read each other's subscriptions: a
/// version above ours is read as our newest, and what follows is skipped.
pub fn decode_forward<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?.min(M::VERSIONS.max);
    M::decode(&mut reader, version)
}

/// The frame of the metadata log's records. Version 0 was a preview's.
const FRAME_VERSION: u32 = 1;

/// Frame version, type and version as variable-length numbers, then the body (KIP-631).
pub(crate) fn encode_framed<M: Message>(
    message: &M,
    kind: i16,
    version: i16,
) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.unsigned_varint(FRAME_VERSION);
    writer.unsigned_varint(kind as u32);
    writer.unsigned_varint(version as u32);
    message.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

/// Reads the frame: type and version.
pub(crate) fn read_frame(reader: &mut Reader<'_>) -> Result<(i16, i16), DecodeError> {
    let frame_version = reader.unsigned_varint()?;
    if frame_version != FRAME_VERSION {
        return Err(DecodeError::UnknownFrameVersion(frame_version));
    }
    let mut number = || {
        let value = reader.unsigned_varint()?;
        i16::try_from(value).map_err(|_| DecodeError::VarintOverflow)
    };
    Ok((number()?, number()?))
}

/// Reads a body to its last byte; `None` when we do not know the version.
pub(crate) fn read_known<M: Message>(
    mut reader: Reader<'_>,
    version: i16,
) -> Result<Option<M>, DecodeError> {
    if !M::VERSIONS.contains(version) {
        return Ok(None);
    }
    let message = M::decode(&mut reader, version)?;
    reader.finish()?;
    Ok(Some(message))
}

/// The version of every key: what stands in front of a key is the type, and keys never change.
const KEY_VERSION: i16 = 0;

/// A key of a coordinator's topic: its type as two bytes, then the body.
pub(crate) fn encode_key<K: Message>(key: &K, kind: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(kind);
    key.encode(&mut writer, KEY_VERSION)?;
    Ok(writer.into_bytes())
}

/// A key whose type has been looked at, and its value; `None` when we do not know the value's
/// version.
pub(crate) fn read_pair<K: Message, V: Message>(
    key: &Bytes,
    value: Option<&Bytes>,
) -> Result<Option<(K, Option<V>)>, DecodeError> {
    let mut reader = Reader::new(key);
    let _kind = reader.i16()?;
    let key = K::decode(&mut reader, KEY_VERSION)?;
    reader.finish()?;
    let Some(value) = value else { return Ok(Some((key, None))) };
    let mut reader = Reader::new(value);
    let version = reader.i16()?;
    Ok(read_known(reader, version)?.map(|value| (key, Some(value))))
}

pub(crate) fn encode_value<V: Message>(
    value: Option<&V>,
    version: i16,
) -> Result<Option<Bytes>, EncodeError> {
    value.map(|value| encode_prefixed(value, version)).transpose()
}
