//! gzip (RFC 1952): members back to back. As in Java's reader, bytes after the last member that do
//! not begin another one are ignored.

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};

use super::decoder::{Contexts, Failure, PIECE_BYTES, take, take_array};

const MAGIC_AND_DEFLATE: [u8; 3] = [0x1f, 0x8b, 8];
const HAS_HEADER_CRC: u8 = 0b0_0010;
const HAS_EXTRA: u8 = 0b0_0100;
const HAS_NAME: u8 = 0b0_1000;
const HAS_COMMENT: u8 = 0b1_0000;

#[derive(Default)]
pub(super) struct Reader {
    member: Member,
    checksum: flate2::Crc,
}

#[derive(Default)]
enum Member {
    #[default]
    First,
    Inside,
    Between,
}

impl Reader {
    pub(super) fn next_piece(
        &mut self,
        contexts: &mut Contexts,
        input: &mut &[u8],
    ) -> Result<usize, Failure> {
        loop {
            match self.member {
                Member::Between if !input.starts_with(&MAGIC_AND_DEFLATE) => return Ok(0),
                Member::First | Member::Between => {
                    skip_header(input)?;
                    self.checksum.reset();
                    match &mut contexts.gzip {
                        Some(inflate) => inflate.reset(false),
                        empty => *empty = Some(Decompress::new(false)),
                    }
                    self.member = Member::Inside;
                }
                Member::Inside => {
                    let len = self.inflate(contexts, input)?;
                    if len > 0 {
                        return Ok(len);
                    }
                }
            }
        }
    }

    fn inflate(&mut self, contexts: &mut Contexts, input: &mut &[u8]) -> Result<usize, Failure> {
        contexts.output(PIECE_BYTES);
        let Contexts { output, gzip: Some(inflate), .. } = contexts else {
            return Err(Failure::Corrupt);
        };
        let (in_before, out_before) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress(input, &mut output[..PIECE_BYTES], FlushDecompress::None)
            .map_err(|_| Failure::Corrupt)?;
        let read = (inflate.total_in() - in_before) as usize;
        let len = (inflate.total_out() - out_before) as usize;
        take(input, read)?;
        self.checksum.update(&output[..len]);
        if status == Status::StreamEnd {
            let checksum = u32::from_le_bytes(take_array(input)?);
            let size = u32::from_le_bytes(take_array(input)?);
            if checksum != self.checksum.sum() || size != self.checksum.amount() {
                return Err(Failure::Corrupt);
            }
            self.member = Member::Between;
        } else if read == 0 && len == 0 {
            return Err(Failure::Corrupt);
        }
        Ok(len)
    }
}

fn skip_header(input: &mut &[u8]) -> Result<(), Failure> {
    let header = take(input, 10)?;
    let flags = header[3];
    if !header.starts_with(&MAGIC_AND_DEFLATE) {
        return Err(Failure::Corrupt);
    }
    if flags & HAS_EXTRA != 0 {
        let len = u16::from_le_bytes(take_array(input)?);
        take(input, usize::from(len))?;
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            let end = input.iter().position(|byte| *byte == 0).ok_or(Failure::Corrupt)?;
            take(input, end + 1)?;
        }
    }
    if flags & HAS_HEADER_CRC != 0 {
        take(input, 2)?;
    }
    Ok(())
}

/// A deflate state and the level it was made for.
pub(super) struct Deflate {
    level: u32,
    state: Compress,
}

pub(super) fn compress(
    kept: &mut Option<Deflate>,
    level: Option<i32>,
    input: &[u8],
    output: &mut Vec<u8>,
) {
    let level = match level {
        None | Some(-1) => 6,
        Some(level) => level.clamp(1, 9) as u32,
    };
    let deflate = match kept {
        Some(deflate) if deflate.level == level => {
            deflate.state.reset();
            deflate
        }
        other => other.insert(Deflate { level, state: Compress::new(Level::new(level), false) }),
    };
    output.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut rest = input;
    loop {
        output.reserve((rest.len() / 2).max(1024));
        let before = deflate.state.total_in();
        let status = deflate
            .state
            .compress_vec(rest, output, FlushCompress::Finish)
            .expect("deflate fails only on a misuse of its state");
        rest = &rest[(deflate.state.total_in() - before) as usize..];
        if status == Status::StreamEnd {
            break;
        }
    }
    let mut checksum = flate2::Crc::new();
    checksum.update(input);
    output.extend_from_slice(&checksum.sum().to_le_bytes());
    output.extend_from_slice(&checksum.amount().to_le_bytes());
}
