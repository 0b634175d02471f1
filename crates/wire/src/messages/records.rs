//! The record bytes inside a produce request or a fetch answer.

use bytes::Bytes;

use crate::Chunk;

/// Record batches back to back. Decoding gives `Bytes`, a slice of the frame; an answer may gather
/// them from memory and files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Records {
    #[default]
    Null,
    Bytes(Bytes),
    Chunks(Vec<Chunk>),
}

impl Records {
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Chunks(chunks) => chunks.iter().map(Chunk::len).sum(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}
