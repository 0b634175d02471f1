//! Snappy as Java writes it: the Xerial stream header, then blocks with a length in front. Some
//! clients write one bare snappy block instead; Java's reader takes both, so do we.

use super::decoder::{Contexts, Failure, take, take_array};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const VERSION: i32 = 1;
/// What a chunk length reads as where another stream header begins.
const NEXT_STREAM: i32 = i32::from_be_bytes([MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3]]);
/// Bytes of plain text in a block, Java's default.
const BLOCK_BYTES: usize = 32 * 1024;
/// A copy of 64 bytes takes 3, so no block grows by more than 22.
const GROWTH_MAX: usize = 22;

#[derive(Default)]
pub(super) struct Reader {
    framing: Framing,
}

#[derive(Default)]
enum Framing {
    #[default]
    Unknown,
    Xerial,
    Bare,
}

impl Reader {
    pub(super) fn next_piece(
        &mut self,
        contexts: &mut Contexts,
        input: &mut &[u8],
        left_bytes: u64,
    ) -> Result<usize, Failure> {
        if matches!(self.framing, Framing::Unknown) {
            self.framing = match input.starts_with(&MAGIC) {
                true => Framing::Xerial,
                false => Framing::Bare,
            };
            match self.framing {
                Framing::Xerial => skip_header(input)?,
                _ if input.is_empty() => return Err(Failure::Corrupt),
                _ => {}
            }
        }
        while !input.is_empty() {
            let block = match self.framing {
                Framing::Xerial => {
                    if input.starts_with(&NEXT_STREAM.to_be_bytes()) {
                        skip_header(input)?;
                        continue;
                    }
                    let len = i32::from_be_bytes(take_array(input)?);
                    take(input, usize::try_from(len).map_err(|_| Failure::Corrupt)?)?
                }
                _ => core::mem::take(input),
            };
            let len = decompress_block(contexts, block, left_bytes)?;
            if len > 0 {
                return Ok(len);
            }
        }
        Ok(0)
    }
}

fn skip_header(input: &mut &[u8]) -> Result<(), Failure> {
    let magic: [u8; 8] = take_array(input)?;
    let _version: [u8; 4] = take_array(input)?;
    let readable_from = i32::from_be_bytes(take_array(input)?);
    match magic == MAGIC && readable_from <= VERSION {
        true => Ok(()),
        false => Err(Failure::Corrupt),
    }
}

fn decompress_block(
    contexts: &mut Contexts,
    block: &[u8],
    left_bytes: u64,
) -> Result<usize, Failure> {
    let len = snap::raw::decompress_len(block).map_err(|_| Failure::Corrupt)?;
    if len > block.len().saturating_mul(GROWTH_MAX) {
        return Err(Failure::Corrupt);
    }
    if len as u64 > left_bytes {
        return Err(Failure::OverCap);
    }
    contexts.output(len);
    let Contexts { output, snappy, .. } = contexts;
    snappy.decompress(block, &mut output[..len]).map_err(|_| Failure::Corrupt)
}

pub(super) fn compress(encoder: &mut snap::raw::Encoder, input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&MAGIC);
    output.extend_from_slice(&VERSION.to_be_bytes());
    output.extend_from_slice(&VERSION.to_be_bytes());
    for block in input.chunks(BLOCK_BYTES) {
        let start = output.len();
        output.resize(start + 4 + snap::raw::max_compress_len(block.len()), 0);
        let len = encoder
            .compress(block, &mut output[start + 4..])
            .expect("the output has room for the worst case");
        output[start..start + 4].copy_from_slice(&(len as i32).to_be_bytes());
        output.truncate(start + 4 + len);
    }
}
