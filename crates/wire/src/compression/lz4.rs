//! The lz4 frame format, as far as Kafka has it: version 1, independent blocks, one frame.
//!
//! Written are 64 KiB blocks without checksums. Linked blocks, dictionaries and a second frame are
//! refused or ignored exactly as Java does, because Java's consumers could not read them.

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use super::decoder::{Contexts, Failure, take, take_array};
use super::xxh32::xxh32;

const MAGIC: u32 = 0x184D_2204;
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 0b0010_0000;
const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const RESERVED_FLAGS: u8 = 0b0000_0011;
/// In the block descriptor: 4 is 64 KiB, each step four times more, 7 is 4 MiB.
const BLOCK_SIZE_CODES: std::ops::RangeInclusive<u8> = 4..=7;
const STORED: u32 = 1 << 31;
const BLOCK_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Reader {
    frame: Frame,
}

#[derive(Default)]
enum Frame {
    #[default]
    Before,
    Inside {
        block_bytes_max: usize,
        flags: u8,
    },
    After,
}

impl Reader {
    pub(super) fn next_piece(
        &mut self,
        contexts: &mut Contexts,
        input: &mut &[u8],
    ) -> Result<usize, Failure> {
        loop {
            match self.frame {
                Frame::Before => self.frame = read_header(input)?,
                Frame::After => return Ok(0),
                Frame::Inside { block_bytes_max, flags } => {
                    let size = u32::from_le_bytes(take_array(input)?);
                    if size == 0 {
                        if flags & CONTENT_CHECKSUM != 0 {
                            take(input, 4)?;
                        }
                        self.frame = Frame::After;
                        continue;
                    }
                    let len = read_block(contexts, input, size, block_bytes_max, flags)?;
                    if len > 0 {
                        return Ok(len);
                    }
                }
            }
        }
    }
}

fn read_header(input: &mut &[u8]) -> Result<Frame, Failure> {
    if u32::from_le_bytes(take_array(input)?) != MAGIC {
        return Err(Failure::Corrupt);
    }
    let descriptor = *input;
    let [flags, block] = take_array(input)?;
    let version_and_mode = flags & (VERSION_MASK | INDEPENDENT_BLOCKS | RESERVED_FLAGS);
    if version_and_mode != VERSION | INDEPENDENT_BLOCKS || block & 0b1000_1111 != 0 {
        return Err(Failure::Corrupt);
    }
    let size_code = block >> 4;
    if !BLOCK_SIZE_CODES.contains(&size_code) {
        return Err(Failure::Corrupt);
    }
    if flags & CONTENT_SIZE != 0 {
        take(input, 8)?;
    }
    let described = &descriptor[..descriptor.len() - input.len()];
    let [checksum] = take_array(input)?;
    if checksum != (xxh32(described) >> 8) as u8 {
        return Err(Failure::Corrupt);
    }
    Ok(Frame::Inside { block_bytes_max: 1 << (8 + 2 * size_code), flags })
}

fn read_block(
    contexts: &mut Contexts,
    input: &mut &[u8],
    size: u32,
    block_bytes_max: usize,
    flags: u8,
) -> Result<usize, Failure> {
    let is_stored = size & STORED != 0;
    let size = (size & !STORED) as usize;
    if size > block_bytes_max {
        return Err(Failure::Corrupt);
    }
    let block = take(input, size)?;
    if flags & BLOCK_CHECKSUMS != 0 && u32::from_le_bytes(take_array(input)?) != xxh32(block) {
        return Err(Failure::Corrupt);
    }
    if is_stored {
        contexts.output(size).copy_from_slice(block);
        return Ok(size);
    }
    // One byte of lz4 yields at most 255: a tiny block need not buy a 4 MiB buffer.
    let room = block_bytes_max.min(size.saturating_mul(255));
    decompress_into(block, contexts.output(room)).map_err(|_| Failure::Corrupt)
}

pub(super) fn compress(table: &mut CompressTable, input: &[u8], output: &mut Vec<u8>) {
    let descriptor = [VERSION | INDEPENDENT_BLOCKS, 4 << 4];
    output.extend_from_slice(&MAGIC.to_le_bytes());
    output.extend_from_slice(&descriptor);
    output.push((xxh32(&descriptor) >> 8) as u8);
    for block in input.chunks(BLOCK_BYTES) {
        let start = output.len();
        output.resize(start + 4 + get_maximum_output_size(block.len()), 0);
        let len = compress_into_with_table(block, &mut output[start + 4..], table)
            .expect("the output has room for the worst case");
        let size = match len < block.len() {
            true => len as u32,
            false => {
                output[start + 4..start + 4 + block.len()].copy_from_slice(block);
                block.len() as u32 | STORED
            }
        };
        output[start..start + 4].copy_from_slice(&size.to_le_bytes());
        output.truncate(start + 4 + (size & !STORED) as usize);
    }
    output.extend_from_slice(&0u32.to_le_bytes());
}
