//! Writes fields into one growing buffer; record bytes are only noted, never copied.

use bytes::Bytes;
use strandline_types::{ErrorCode, Uuid};

use crate::EncodeError;
use crate::frame::SIZE_BYTES;
use crate::messages::{Element, Records, UnknownTag, UnknownTags};

/// A piece of what goes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chunk {
    Bytes(Bytes),
    /// `len` bytes that the sender finds under `id`, such as a range of a segment file.
    External {
        id: u32,
        len: u32,
    },
}

impl Chunk {
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External { len, .. } => *len as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What was written, in order, ready for a gathering write.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Gathered {
    pub chunks: Vec<Chunk>,
    pub len: u64,
}

impl Gathered {
    /// Everything in one piece, copied if there are several; `None` when some of it is external.
    pub fn contiguous(mut self) -> Option<Bytes> {
        if let [Chunk::Bytes(_)] = self.chunks[..]
            && let Some(Chunk::Bytes(bytes)) = self.chunks.pop()
        {
            return Some(bytes);
        }
        let mut all = Vec::with_capacity(self.len as usize);
        for chunk in &self.chunks {
            let Chunk::Bytes(bytes) = chunk else { return None };
            all.extend_from_slice(bytes);
        }
        Some(all.into())
    }
}

#[derive(Default)]
pub struct Writer {
    buffer: Vec<u8>,
    /// Chunks that go out ahead of the buffer's byte at this position.
    noted: Vec<(usize, Chunk)>,
    noted_len: u64,
}

/// The tagged fields of one structure, known ones and kept unknown ones, in ascending order.
pub(crate) struct TagWriter<'a> {
    unknown: &'a [UnknownTag],
    value_start: usize,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// Bytes written so far, noted chunks included.
    pub fn len(&self) -> u64 {
        self.buffer.len() as u64 + self.noted_len
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves room for the size of the frame that [`Writer::finish_frame`] fills in.
    pub(crate) fn for_frame(capacity: usize) -> Self {
        let mut writer = Self::with_capacity(capacity);
        writer.i32(0);
        writer
    }

    pub(crate) fn finish_frame(mut self) -> Result<Gathered, EncodeError> {
        let size = self.len() - SIZE_BYTES as u64;
        let size = i32::try_from(size).map_err(|_| EncodeError::TooLong(size))?;
        self.buffer[..SIZE_BYTES].copy_from_slice(&size.to_be_bytes());
        Ok(self.finish())
    }

    /// What was written, when no chunk was noted.
    pub(crate) fn into_bytes(self) -> Bytes {
        debug_assert!(self.noted.is_empty());
        Bytes::from(self.buffer)
    }

    pub fn finish(self) -> Gathered {
        let len = self.len();
        let mut chunks = Vec::with_capacity(2 * self.noted.len() + 1);
        let buffer = Bytes::from(self.buffer);
        let mut from = 0;
        for (to, chunk) in self.noted {
            if to > from {
                chunks.push(Chunk::Bytes(buffer.slice(from..to)));
                from = to;
            }
            chunks.push(chunk);
        }
        if buffer.len() > from {
            chunks.push(Chunk::Bytes(buffer.slice(from..)));
        }
        Gathered { chunks, len }
    }

    pub fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub fn bool(&mut self, value: bool) {
        self.buffer.push(u8::from(value));
    }

    pub fn i8(&mut self, value: i8) {
        self.put(&value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.put(&value.to_be_bytes());
    }

    pub fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.put(&value.to_be_bytes());
    }

    pub fn f64(&mut self, value: f64) {
        self.put(&value.to_be_bytes());
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.put(&value.0);
    }

    pub fn error_code(&mut self, value: ErrorCode) {
        self.i16(value.0);
    }

    pub fn unsigned_varint(&mut self, value: u32) {
        let (bytes, len) = varint(value);
        self.put(&bytes[..len]);
    }

    fn length(&mut self, length: usize, flexible: bool) -> Result<(), EncodeError> {
        let length = i32::try_from(length).map_err(|_| EncodeError::TooLong(length as u64))?;
        if flexible {
            self.unsigned_varint(length as u32 + 1);
        } else {
            self.i32(length);
        }
        Ok(())
    }

    fn null(&mut self, flexible: bool) {
        if flexible {
            self.unsigned_varint(0);
        } else {
            self.i32(-1);
        }
    }

    pub fn string(&mut self, value: &str, flexible: bool) -> Result<(), EncodeError> {
        let length =
            i16::try_from(value.len()).map_err(|_| EncodeError::StringTooLong(value.len()))?;
        if flexible {
            self.unsigned_varint(length as u32 + 1);
        } else {
            self.i16(length);
        }
        self.put(value.as_bytes());
        Ok(())
    }

    pub fn nullable_string(
        &mut self,
        value: Option<&str>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => return self.string(value, flexible),
            None if flexible => self.unsigned_varint(0),
            None => self.i16(-1),
        }
        Ok(())
    }

    pub fn bytes(&mut self, value: &[u8], flexible: bool) -> Result<(), EncodeError> {
        self.length(value.len(), flexible)?;
        self.put(value);
        Ok(())
    }

    pub fn nullable_bytes(
        &mut self,
        value: Option<&[u8]>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => return self.bytes(value, flexible),
            None => self.null(flexible),
        }
        Ok(())
    }

    pub(crate) fn records(&mut self, value: &Records, flexible: bool) -> Result<(), EncodeError> {
        match value {
            Records::Null => self.null(flexible),
            Records::Bytes(bytes) => {
                self.length(bytes.len(), flexible)?;
                self.note(Chunk::Bytes(bytes.clone()));
            }
            Records::Chunks(chunks) => {
                self.length(value.len(), flexible)?;
                for chunk in chunks {
                    self.note(chunk.clone());
                }
            }
        }
        Ok(())
    }

    /// Lets a chunk follow what has been written so far.
    pub fn note(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.noted_len += chunk.len() as u64;
            self.noted.push((self.buffer.len(), chunk));
        }
    }

    pub(crate) fn array<T: Element>(
        &mut self,
        values: &[T],
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        self.length(values.len(), flexible)?;
        self.buffer.reserve(values.len() * T::min_size(version, flexible));
        values.iter().try_for_each(|value| value.write(self, version, flexible))
    }

    pub(crate) fn nullable_array<T: Element>(
        &mut self,
        values: Option<&[T]>,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match values {
            Some(values) => return self.array(values, version, flexible),
            None => self.null(flexible),
        }
        Ok(())
    }

    /// Says whether a nullable structure follows.
    pub(crate) fn present(&mut self, present: bool) {
        self.i8(if present { 1 } else { -1 });
    }

    /// Says whether a nullable structure in a tagged field follows.
    pub(crate) fn tag_present(&mut self, present: bool) {
        self.unsigned_varint(u32::from(present));
    }

    /// A section in which every tag is unknown.
    pub(crate) fn unknown_tags(&mut self, kept: &UnknownTags) -> Result<(), EncodeError> {
        self.tags(0, kept).finish(self);
        Ok(())
    }

    pub(crate) fn tags<'a>(&mut self, known: u32, kept: &'a UnknownTags) -> TagWriter<'a> {
        let unknown = kept.as_slice();
        self.unsigned_varint(known + unknown.len() as u32);
        TagWriter { unknown, value_start: 0 }
    }
}

impl TagWriter<'_> {
    /// Writes the unknown tags that come first, then opens `tag`.
    pub(crate) fn begin(&mut self, writer: &mut Writer, tag: u32) -> Result<(), EncodeError> {
        while let [first, rest @ ..] = self.unknown {
            if first.tag == tag {
                return Err(EncodeError::TagOutOfOrder(tag));
            }
            if first.tag > tag {
                break;
            }
            put_unknown(writer, first);
            self.unknown = rest;
        }
        writer.unsigned_varint(tag);
        self.value_start = writer.buffer.len();
        Ok(())
    }

    /// Closes the open tag: its size goes in front of the value that has just been written.
    pub(crate) fn end(&mut self, writer: &mut Writer) {
        let size = writer.buffer.len() - self.value_start;
        let (bytes, len) = varint(size as u32);
        writer.put(&bytes[..len]);
        writer.buffer[self.value_start..].rotate_right(len);
    }

    pub(crate) fn finish(self, writer: &mut Writer) {
        for tag in self.unknown {
            put_unknown(writer, tag);
        }
    }
}

fn put_unknown(writer: &mut Writer, unknown: &UnknownTag) {
    writer.unsigned_varint(unknown.tag);
    writer.unsigned_varint(unknown.bytes.len() as u32);
    writer.put(&unknown.bytes);
}

fn varint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    (bytes, len + 1)
}
