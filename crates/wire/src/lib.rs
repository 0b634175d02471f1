//! Kafka's bytes: messages of every version, frames, record batches, compression.
#![forbid(unsafe_code)]
