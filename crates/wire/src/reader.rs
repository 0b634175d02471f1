//! Reads fields from one frame, and never trusts a length.
//!
//! A length is believed only as far as the bytes that are left can bear it out, and whatever is
//! built from them is charged to a budget proportional to the frame: a 100 MiB frame of zeros that
//! declares 100 Mi topics passes the first check and would take gigabytes without the second.

use bytes::Bytes;
use strandline_types::{ErrorCode, Uuid};

use crate::DecodeError;
use crate::messages::{Element, Records, UnknownTags};

/// Decoded memory allowed per byte of the frame. Real messages need at most 6: a fetch answer of
/// empty partitions, each 37 bytes on the wire and some 200 decoded.
const BUDGET_PER_BYTE: usize = 16;
/// Decoded memory allowed on top, so that a tiny message is never refused.
const BUDGET_BASE_BYTES: usize = 4096;

/// A cursor over one frame. Byte fields come out as slices of it, never as copies.
pub struct Reader<'a> {
    frame: &'a Bytes,
    /// What has not been read, up to the end of the frame or of the open tagged field.
    left: &'a [u8],
    budget_bytes: usize,
}

/// Progress through one section of tagged fields.
pub(crate) struct Tags<'a> {
    count: u32,
    /// The smallest number that the next tag may have; past `u32::MAX` none may follow.
    next: u64,
    /// What follows the open tag; `None` before the first.
    behind: Option<&'a [u8]>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a Bytes) -> Self {
        let budget = bytes.len().saturating_mul(BUDGET_PER_BYTE).saturating_add(BUDGET_BASE_BYTES);
        Self::with_budget(bytes, budget)
    }

    /// Decoded values may take `budget_bytes` of memory in all; slices of the frame are free.
    pub fn with_budget(bytes: &'a Bytes, budget_bytes: usize) -> Self {
        Self { frame: bytes, left: bytes, budget_bytes }
    }

    pub fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Everything not read so far.
    pub fn rest(&mut self) -> Bytes {
        self.frame.slice_ref(core::mem::take(&mut self.left))
    }

    /// Refuses bytes behind the last field.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(u32::try_from(left).unwrap_or(u32::MAX))),
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget_bytes = self.budget_bytes.checked_sub(bytes).ok_or(DecodeError::OverBudget)?;
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, left) = self.left.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.left = left;
        Ok(*head)
    }

    fn take_slice(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, left) = self.left.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.left = left;
        Ok(head)
    }

    /// The next `len` bytes, as a slice of the frame.
    pub fn slice(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        Ok(self.frame.slice_ref(self.take_slice(len)?))
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.take()?))
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_be_bytes(self.take()?))
    }

    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid(self.take()?))
    }

    pub fn error_code(&mut self) -> Result<ErrorCode, DecodeError> {
        Ok(ErrorCode(self.i16()?))
    }

    /// Seven bits per byte, least significant first.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        // Nearly all are lengths below 127 and tag counts of 0.
        if let [byte @ 0..=0x7f, left @ ..] = self.left {
            self.left = left;
            return Ok(u32::from(*byte));
        }
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::VarintOverflow);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintOverflow)
    }

    /// A compact length is stored plus one, so that 0 can mean null.
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            return self.compact_length();
        }
        plain_length(self.i32()?)
    }

    pub fn string(&mut self, flexible: bool) -> Result<String, DecodeError> {
        self.nullable_string(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>, DecodeError> {
        let length =
            if flexible { self.compact_length()? } else { plain_length(i32::from(self.i16()?))? };
        let Some(length) = length else { return Ok(None) };
        if length > i16::MAX as usize {
            return Err(DecodeError::StringTooLong(length as u32));
        }
        let bytes = self.take_slice(length)?;
        let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::BadUtf8)?;
        self.charge(length)?;
        Ok(Some(text.to_owned()))
    }

    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        self.nullable_bytes(flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.length(flexible)? {
            Some(length) => self.slice(length).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn records(&mut self, flexible: bool) -> Result<Records, DecodeError> {
        self.bytes(flexible).map(Records::Bytes)
    }

    pub(crate) fn nullable_records(&mut self, flexible: bool) -> Result<Records, DecodeError> {
        Ok(self.nullable_bytes(flexible)?.map_or(Records::Null, Records::Bytes))
    }

    pub(crate) fn array<T: Element>(
        &mut self,
        version: i16,
        flexible: bool,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(version, flexible)?.ok_or(DecodeError::UnexpectedNull)
    }

    pub(crate) fn nullable_array<T: Element>(
        &mut self,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.length(flexible)? else { return Ok(None) };
        if count > self.remaining() / T::min_size(version, flexible) {
            return Err(DecodeError::ArrayTooLong(u32::try_from(count).unwrap_or(u32::MAX)));
        }
        self.charge(count.saturating_mul(size_of::<T>()))?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(self, version, flexible)?);
        }
        Ok(Some(elements))
    }

    /// Whether a nullable structure follows.
    pub(crate) fn present(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? >= 0)
    }

    /// Whether a nullable structure in a tagged field follows.
    pub(crate) fn tag_present(&mut self) -> Result<bool, DecodeError> {
        Ok(self.unsigned_varint()? != 0)
    }

    pub(crate) fn tags(&mut self) -> Result<Tags<'a>, DecodeError> {
        let count = self.unsigned_varint()?;
        Ok(Tags { count, next: 0, behind: None })
    }

    /// Opens the next tagged field: until the following call nothing behind its value can be read.
    pub(crate) fn next_tag(&mut self, tags: &mut Tags<'a>) -> Result<Option<u32>, DecodeError> {
        if let Some(behind) = tags.behind.take() {
            if !self.left.is_empty() {
                return Err(DecodeError::TagTooLong);
            }
            self.left = behind;
        }
        if tags.count == 0 {
            return Ok(None);
        }
        tags.count -= 1;
        let tag = self.unsigned_varint()?;
        if u64::from(tag) < tags.next {
            return Err(DecodeError::TagOutOfOrder(tag));
        }
        tags.next = u64::from(tag) + 1;
        let size = self.unsigned_varint()? as usize;
        let value = self.take_slice(size)?;
        tags.behind = Some(core::mem::replace(&mut self.left, value));
        Ok(Some(tag))
    }

    /// Keeps the open tagged field as raw bytes.
    pub(crate) fn keep_tag(&mut self, kept: &mut UnknownTags, tag: u32) -> Result<(), DecodeError> {
        self.charge(UnknownTags::COST_BYTES)?;
        let bytes = self.rest();
        kept.push(tag, bytes);
        Ok(())
    }

    /// A section in which every tag is unknown.
    pub(crate) fn unknown_tags(&mut self) -> Result<UnknownTags, DecodeError> {
        let mut kept = UnknownTags::default();
        let mut tags = self.tags()?;
        while let Some(tag) = self.next_tag(&mut tags)? {
            self.keep_tag(&mut kept, tag)?;
        }
        Ok(kept)
    }
}

fn plain_length(length: i32) -> Result<Option<usize>, DecodeError> {
    match length {
        -1 => Ok(None),
        0.. => Ok(Some(length as usize)),
        _ => Err(DecodeError::NegativeLength(length)),
    }
}
