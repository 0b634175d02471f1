// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::framing::{encode_key, encode_value, read_pair};
use crate::messages::{TransactionLogKey, TransactionLogValue};
use crate::{DecodeError, EncodeError, Reader};

/// A key with its value; without one it is a tombstone.
#[derive(Clone, PartialEq, Debug)]
pub enum TransactionStateRecord {
    TransactionLog(TransactionLogKey, Option<TransactionLogValue>),
    /// A key of a type or a value of a version we do not know, kept as they came.
    Unknown {
        key: Bytes,
        value: Option<Bytes>,
    },
}

impl TransactionStateRecord {
    pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, DecodeError> {
        let kind = Reader::new(key).i16()?;
        let known = match kind {
            0 => read_pair(key, value)?.map(|(key, value)| Self::TransactionLog(key, value)),
            _ => None,
        };
        Ok(known.unwrap_or_else(|| Self::Unknown { key: key.clone(), value: value.cloned() }))
    }

    pub fn encode_key(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::TransactionLog(key, _) => encode_key(key, 0),
            Self::Unknown { key, .. } => Ok(key.clone()),
        }
    }

    /// `None` for a tombstone. An unknown value is written back as it came, whatever the
    /// version.
    pub fn encode_value(&self, version: i16) -> Result<Option<Bytes>, EncodeError> {
        match self {
            Self::TransactionLog(_, value) => encode_value(value.as_ref(), version),
            Self::Unknown { value, .. } => Ok(value.clone()),
        }
    }
}
