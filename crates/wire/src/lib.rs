//! Kafka's bytes: messages of every version, frames, record batches, compression.
#![forbid(unsafe_code)]

pub mod compression;
mod error;
pub mod frame;
pub mod messages;
mod reader;
pub mod records;
mod writer;

pub use error::{DecodeError, EncodeError};
pub use reader::Reader;
pub use writer::{Chunk, Gathered, Writer};
