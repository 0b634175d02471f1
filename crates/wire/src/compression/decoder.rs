//! Reads a compressed stream piece by piece, in contexts that are kept for the next stream.

use std::cell::Cell;

use strandline_types::Compression;

use super::{DecompressError, gzip, lz4, snappy, zstd};

/// Size of a piece for codecs that can stop anywhere (gzip, zstd).
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// A thread keeps its contexts between streams unless they grew beyond this.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

thread_local! {
    static IDLE: Cell<Option<Box<Contexts>>> = const { Cell::new(None) };
}

/// What is expensive to make and survives the stream: codec states and the output buffer.
#[derive(Default)]
pub(super) struct Contexts {
    /// Holds the piece. Its length is its high-water mark, so that it is zeroed only when it grows.
    pub(super) output: Vec<u8>,
    pub(super) gzip: Option<flate2::Decompress>,
    pub(super) snappy: snap::raw::Decoder,
    pub(super) zstd: Option<::zstd::zstd_safe::DCtx<'static>>,
}

impl Contexts {
    /// Room for a piece of `len` bytes, which the caller has already found plausible.
    pub(super) fn output(&mut self, len: usize) -> &mut [u8] {
        if self.output.len() < len {
            self.output.resize(len, 0);
        }
        &mut self.output[..len]
    }

    fn forget_what_grew(&mut self) {
        if self.output.capacity() > KEPT_BYTES {
            self.output = Vec::new();
        }
        if self.zstd.as_ref().is_some_and(|context| context.sizeof() > KEPT_BYTES) {
            self.zstd = None;
        }
    }
}

enum State {
    Gzip(gzip::Reader),
    Snappy(snappy::Reader),
    Lz4(lz4::Reader),
    Zstd(zstd::Reader),
}

/// One stream being read. [`Decoder::advance`] makes the next piece, [`Decoder::piece`] shows it.
pub struct Decoder<'a> {
    codec: Compression,
    /// `None` for [`Compression::None`], whose single piece is the input.
    state: Option<State>,
    input: &'a [u8],
    piece_len: usize,
    produced_bytes: u64,
    cap_bytes: u64,
    contexts: Option<Box<Contexts>>,
}

impl<'a> Decoder<'a> {
    /// Starts before the first piece. Reading fails once more than `cap_bytes` come out.
    pub fn open(codec: Compression, input: &'a [u8], cap_bytes: u64) -> Self {
        let state = match codec {
            Compression::None => None,
            Compression::Gzip => Some(State::Gzip(gzip::Reader::default())),
            Compression::Snappy => Some(State::Snappy(snappy::Reader::default())),
            Compression::Lz4 => Some(State::Lz4(lz4::Reader::default())),
            Compression::Zstd => Some(State::Zstd(zstd::Reader::default())),
        };
        let contexts = state.is_some().then(|| IDLE.take().unwrap_or_default());
        Self { codec, state, input, piece_len: 0, produced_bytes: 0, cap_bytes, contexts }
    }

    /// The bytes made by the last [`Decoder::advance`] that returned true.
    pub fn piece(&self) -> &[u8] {
        match &self.contexts {
            Some(contexts) => &contexts.output[..self.piece_len],
            None => &self.input[..self.piece_len],
        }
    }

    /// Makes the next piece, which is never empty; false at the end of the stream.
    pub fn advance(&mut self) -> Result<bool, DecompressError> {
        let codec = self.codec;
        let (Some(state), Some(contexts)) = (&mut self.state, &mut self.contexts) else {
            self.input = &self.input[self.piece_len..];
            self.piece_len = self.input.len();
            return Ok(self.piece_len > 0);
        };
        self.piece_len = 0;
        let left_bytes = self.cap_bytes - self.produced_bytes;
        let len = match state {
            State::Gzip(reader) => reader.next_piece(contexts, &mut self.input),
            State::Snappy(reader) => reader.next_piece(contexts, &mut self.input, left_bytes),
            State::Lz4(reader) => reader.next_piece(contexts, &mut self.input),
            State::Zstd(reader) => reader.next_piece(contexts, &mut self.input),
        }
        .map_err(|failure| match failure {
            Failure::Corrupt => DecompressError::Corrupt(codec),
            Failure::OverCap => DecompressError::TooLarge { codec, cap_bytes: self.cap_bytes },
        })?;
        if len as u64 > left_bytes {
            return Err(DecompressError::TooLarge { codec, cap_bytes: self.cap_bytes });
        }
        self.produced_bytes += len as u64;
        self.piece_len = len;
        Ok(len > 0)
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        if let Some(mut contexts) = self.contexts.take() {
            contexts.forget_what_grew();
            IDLE.set(Some(contexts));
        }
    }
}

/// What a codec's reader can say; the decoder adds which codec it was.
#[derive(Debug)]
pub(super) enum Failure {
    Corrupt,
    OverCap,
}

/// Cuts `len` bytes off the front of `input`.
pub(super) fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], Failure> {
    let (head, tail) = input.split_at_checked(len).ok_or(Failure::Corrupt)?;
    *input = tail;
    Ok(head)
}

pub(super) fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Failure> {
    let (head, tail) = input.split_first_chunk::<N>().ok_or(Failure::Corrupt)?;
    *input = tail;
    Ok(*head)
}
