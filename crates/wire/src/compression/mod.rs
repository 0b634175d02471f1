//! The codecs of record batches: gzip, snappy in Xerial framing, lz4 frames, zstd.
//!
//! Writing produces what Kafka's Java client writes. Reading goes piece by piece through
//! [`Decoder`], which never holds more than one piece, stops at a cap given by the caller, and
//! believes no length before it has been compared with the bytes that are there.

mod decoder;
mod encoder;
mod gzip;
mod lz4;
mod snappy;
mod xxh32;
mod zstd;

use bytes::Bytes;
use strandline_types::Compression;

pub use decoder::Decoder;
pub use encoder::compress_into;

/// What to compress with: `compression.type` and the level setting of that codec.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CompressionChoice {
    pub codec: Compression,
    /// `None` is the codec's default: gzip −1 (which means 6), lz4 9, zstd 3. Levels outside the
    /// codec's range are brought to its nearest end. Snappy has none, and lz4 always takes the
    /// fast path: its level is accepted because Kafka has the setting, and changes no byte.
    pub level: Option<i32>,
}

impl From<Compression> for CompressionChoice {
    fn from(codec: Compression) -> Self {
        Self { codec, level: None }
    }
}

/// Why compressed bytes could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecompressError {
    #[error("the {} stream is corrupt or cut", .0.name())]
    Corrupt(Compression),
    #[error("the {} stream holds more than {cap_bytes} bytes", .codec.name())]
    TooLarge { codec: Compression, cap_bytes: u64 },
}

/// The whole of a stream at once. `None` returns the input itself. More than `cap_bytes` is refused
/// before they are made.
pub fn decompress(
    codec: Compression,
    input: &Bytes,
    cap_bytes: u64,
) -> Result<Bytes, DecompressError> {
    if codec == Compression::None {
        return Ok(input.clone());
    }
    // A typical ratio, within the cap: the vector grows with what is really there.
    let guess = (input.len() as u64).saturating_mul(3).min(cap_bytes).min(1 << 20);
    let mut output = Vec::with_capacity(guess as usize);
    let mut decoder = Decoder::open(codec, input, cap_bytes);
    while decoder.advance()? {
        output.extend_from_slice(decoder.piece());
    }
    Ok(output.into())
}
