//! Walks the records of a batch without copying or allocating: their shape, not their content.

use super::BatchRefusal;
use super::varint::{
    VARINT_BYTES_MAX, VARLONG_BYTES_MAX, decode_i32, decode_i64, read_raw, take_i32, take_i64,
    take_nullable,
};
use crate::compression::{Decoder, DecompressError};

/// What a record says about itself besides its content.
pub(super) struct RecordShape {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
}

impl RecordShape {
    /// `content` is the record without its length; `None` when it is anything else.
    fn of(mut content: &[u8]) -> Option<Self> {
        content.split_off_first()?;
        let timestamp_delta = take_i64(&mut content)?;
        let offset_delta = take_i32(&mut content)?;
        let has_key = take_nullable(&mut content)?.is_some();
        take_nullable(&mut content)?;
        let header_count = u32::try_from(take_i32(&mut content)?).ok()?;
        for _ in 0..header_count {
            take_nullable(&mut content)??;
            take_nullable(&mut content)?;
        }
        content.is_empty().then_some(Self { timestamp_delta, offset_delta, has_key })
    }
}

/// Reads records off a stream that arrives in pieces; a record may span any number of them.
pub(super) struct Walk<'a> {
    decoder: Decoder<'a>,
    /// Within the decoder's piece.
    position: usize,
    /// Bytes of the pieces before.
    passed_bytes: u64,
}

enum Stop {
    End,
    Malformed,
    Decompress(DecompressError),
}

impl From<DecompressError> for Stop {
    fn from(error: DecompressError) -> Self {
        Self::Decompress(error)
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(decoder: Decoder<'a>) -> Self {
        Self { decoder, position: 0, passed_bytes: 0 }
    }

    /// The record with this index, of `count`.
    pub(super) fn next(&mut self, index: i32, count: i32) -> Result<RecordShape, BatchRefusal> {
        self.read_record().map_err(|stop| match stop {
            Stop::End => BatchRefusal::MissingRecord { index, count },
            Stop::Malformed => BatchRefusal::MalformedRecord { index },
            Stop::Decompress(error) => BatchRefusal::Decompress(error),
        })
    }

    /// To be called after the last record: there must be nothing behind it.
    pub(super) fn finish(mut self, count: i32) -> Result<(), BatchRefusal> {
        match self.fill()? {
            true => Err(BatchRefusal::TrailingBytes { count }),
            false => Ok(()),
        }
    }

    /// A record that lies in the piece as a whole, as nearly all do, is read as one slice.
    fn read_record(&mut self) -> Result<RecordShape, Stop> {
        let mut here = &self.decoder.piece()[self.position..];
        let before = here.len();
        match take_nullable(&mut here) {
            Some(Some(content)) => {
                self.position += before - here.len();
                RecordShape::of(content).ok_or(Stop::Malformed)
            }
            _ => self.read_record_across_pieces(),
        }
    }

    #[cold]
    fn read_record_across_pieces(&mut self) -> Result<RecordShape, Stop> {
        let length = self.read_i32()?;
        let end = self.offset() + u64::try_from(length).map_err(|_| Stop::Malformed)?;
        self.skip(1)?;
        let timestamp_delta = self.read_i64()?;
        let offset_delta = self.read_i32()?;
        let has_key = self.skip_nullable(end)?;
        self.skip_nullable(end)?;
        let header_count = self.read_i32()?;
        if header_count < 0 {
            return Err(Stop::Malformed);
        }
        for _ in 0..header_count {
            let has_name = self.skip_nullable(end)?;
            if !has_name {
                return Err(Stop::Malformed);
            }
            self.skip_nullable(end)?;
        }
        if self.offset() != end {
            return Err(Stop::Malformed);
        }
        Ok(RecordShape { timestamp_delta, offset_delta, has_key })
    }

    fn offset(&self) -> u64 {
        self.passed_bytes + self.position as u64
    }

    /// Skips a length and as many bytes, which must lie before `end`; false when the length is
    /// negative, which stands for null.
    fn skip_nullable(&mut self, end: u64) -> Result<bool, Stop> {
        let Ok(len) = u64::try_from(self.read_i32()?) else { return Ok(false) };
        if self.offset() + len > end {
            return Err(Stop::Malformed);
        }
        self.skip(len)?;
        Ok(true)
    }

    fn skip(&mut self, len: u64) -> Result<(), Stop> {
        let mut left = len;
        loop {
            let here = (self.decoder.piece().len() - self.position) as u64;
            if left <= here {
                self.position += left as usize;
                return Ok(());
            }
            left -= here;
            self.position += here as usize;
            if !self.fill()? {
                return Err(Stop::End);
            }
        }
    }

    /// Makes sure that a byte stands at the position; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, DecompressError> {
        let len = self.decoder.piece().len();
        if self.position < len {
            return Ok(true);
        }
        let has_more = self.decoder.advance()?;
        self.passed_bytes += len as u64;
        self.position = 0;
        Ok(has_more)
    }

    fn read_i32(&mut self) -> Result<i32, Stop> {
        self.read_raw(VARINT_BYTES_MAX).map(decode_i32)
    }

    fn read_i64(&mut self) -> Result<i64, Stop> {
        self.read_raw(VARLONG_BYTES_MAX).map(decode_i64)
    }

    #[inline]
    fn read_raw(&mut self, bytes_max: usize) -> Result<u64, Stop> {
        let here = &self.decoder.piece()[self.position..];
        if let Some((raw, len)) = read_raw(here, bytes_max) {
            self.position += len;
            return Ok(raw);
        }
        if here.len() >= bytes_max {
            return Err(Stop::Malformed);
        }
        self.read_raw_across_pieces(bytes_max)
    }

    #[cold]
    fn read_raw_across_pieces(&mut self, bytes_max: usize) -> Result<u64, Stop> {
        let mut bytes = [0; VARLONG_BYTES_MAX];
        for len in 0..bytes_max {
            if !self.fill()? {
                return Err(Stop::End);
            }
            bytes[len] = self.decoder.piece()[self.position];
            self.position += 1;
            if bytes[len] < 0x80 {
                let number = read_raw(&bytes[..=len], bytes_max);
                return number.map(|(raw, _)| raw).ok_or(Stop::Malformed);
            }
        }
        Err(Stop::Malformed)
    }
}
