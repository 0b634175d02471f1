//! Zstandard frames (RFC 8878), through the reference library.
//!
//! A frame may ask for a window of up to 128 MiB, the reference's own limit and Java's. The window
//! is reserved, not touched, until output fills it, and that is capped.

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, compress_bound,
};

use super::decoder::{Contexts, Failure, PIECE_BYTES};

#[derive(Default)]
pub(super) struct Reader {
    has_begun: bool,
    is_inside_frame: bool,
}

impl Reader {
    pub(super) fn next_piece(
        &mut self,
        contexts: &mut Contexts,
        input: &mut &[u8],
    ) -> Result<usize, Failure> {
        contexts.output(PIECE_BYTES);
        let Contexts { output, zstd, .. } = contexts;
        let context = match zstd {
            Some(context) => context,
            None => zstd.insert(DCtx::try_create().ok_or(Failure::Corrupt)?),
        };
        if !self.has_begun {
            context.reset(ResetDirective::SessionOnly).map_err(|_| Failure::Corrupt)?;
            self.has_begun = true;
            // No frame at all is no records, as Kafka's reader sees it.
            self.is_inside_frame = !input.is_empty();
        }
        loop {
            // Between frames, at the end of the input, the stream ends.
            if input.is_empty() && !self.is_inside_frame {
                return Ok(0);
            }
            let mut source = InBuffer::around(input);
            let mut target = OutBuffer::around(&mut output[..PIECE_BYTES]);
            let wanted = context
                .decompress_stream(&mut target, &mut source)
                .map_err(|_| Failure::Corrupt)?;
            let (read, len) = (source.pos(), target.pos());
            *input = &input[read..];
            self.is_inside_frame = wanted != 0;
            if len > 0 {
                return Ok(len);
            }
            if read == 0 {
                return Err(Failure::Corrupt);
            }
        }
    }
}

pub(super) fn compress(
    kept: &mut Option<CCtx<'static>>,
    level: Option<i32>,
    input: &[u8],
    output: &mut Vec<u8>,
) {
    let context = kept.get_or_insert_with(CCtx::create);
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL).clamp(-131_072, 22);
    context
        .set_parameter(CParameter::CompressionLevel(level))
        .expect("the level is within the library's range");
    let start = output.len();
    output.resize(start + compress_bound(input.len()), 0);
    let len = context
        .compress2(&mut output[start..], input)
        .expect("the output has room for the worst case");
    output.truncate(start + len);
}
