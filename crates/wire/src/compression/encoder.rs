//! Compresses one block of records, in contexts that each thread keeps.

use std::cell::Cell;

use lz4_flex::block::CompressTable;
use strandline_types::Compression;
use zstd::zstd_safe::CCtx;

use super::{CompressionChoice, gzip, lz4, snappy, zstd as zstandard};

/// A zstd context at high levels takes hundreds of MiB; beyond this it is not kept.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

thread_local! {
    static IDLE: Cell<Option<Box<Contexts>>> = const { Cell::new(None) };
}

struct Contexts {
    gzip: Option<gzip::Deflate>,
    snappy: snap::raw::Encoder,
    lz4: CompressTable,
    zstd: Option<CCtx<'static>>,
}

impl Default for Contexts {
    fn default() -> Self {
        let snappy = snap::raw::Encoder::new();
        Self { gzip: None, snappy, lz4: CompressTable::large(), zstd: None }
    }
}

/// Appends `input`, compressed as chosen, to `output`.
pub fn compress_into(choice: CompressionChoice, input: &[u8], output: &mut Vec<u8>) {
    if choice.codec == Compression::None {
        output.extend_from_slice(input);
        return;
    }
    let mut contexts = IDLE.take().unwrap_or_default();
    match choice.codec {
        Compression::None => {}
        Compression::Gzip => gzip::compress(&mut contexts.gzip, choice.level, input, output),
        Compression::Snappy => snappy::compress(&mut contexts.snappy, input, output),
        Compression::Lz4 => lz4::compress(&mut contexts.lz4, input, output),
        Compression::Zstd => zstandard::compress(&mut contexts.zstd, choice.level, input, output),
    }
    if contexts.zstd.as_ref().is_some_and(|context| context.sizeof() > KEPT_BYTES) {
        contexts.zstd = None;
    }
    IDLE.set(Some(contexts));
}
