//! Shared by the tests of the codec.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod leaves;

use bytes::Bytes;
use strandline_wire::messages::Message;
use strandline_wire::{DecodeError, EncodeError, Reader, Writer};

pub fn encode<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version)?;
    Ok(writer.finish().contiguous().expect("no external chunks"))
}

/// Reads all of the bytes.
pub fn decode<M: Message>(bytes: &Bytes, version: i16) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version)?;
    reader.finish()?;
    Ok(message)
}
