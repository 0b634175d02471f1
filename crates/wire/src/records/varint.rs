//! Zigzag variable-length integers, least significant group first.

/// The longest encodings of an i32 and an i64.
pub(super) const VARINT_BYTES_MAX: usize = 5;
pub(super) const VARLONG_BYTES_MAX: usize = 10;

pub(super) fn decode_i32(raw: u64) -> i32 {
    let raw = raw as u32;
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

pub(super) fn decode_i64(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// The groups at the front of `bytes` and how many bytes they take; `None` when no group within
/// the first `bytes_max` ends the number.
#[inline]
pub(super) fn read_raw(bytes: &[u8], bytes_max: usize) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((u64::from(first), 1));
    }
    let mut raw = u64::from(first & 0x7f);
    for (index, byte) in bytes.iter().take(bytes_max).enumerate().skip(1) {
        raw |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Some((raw, index + 1));
        }
    }
    None
}

/// Takes the groups off the front of `bytes`.
#[inline]
pub(super) fn take_raw(bytes: &mut &[u8], bytes_max: usize) -> Option<u64> {
    let (raw, len) = read_raw(bytes, bytes_max)?;
    *bytes = &bytes[len..];
    Some(raw)
}

#[inline]
pub(super) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    take_raw(bytes, VARINT_BYTES_MAX).map(decode_i32)
}

#[inline]
pub(super) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    take_raw(bytes, VARLONG_BYTES_MAX).map(decode_i64)
}

/// Takes a length and as many bytes; a negative length stands for null.
#[inline]
pub(super) fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match usize::try_from(take_i32(bytes)?) {
        Ok(len) => bytes.split_off(..len).map(Some),
        Err(_) => Some(None),
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes that `value` takes; the same for an i32 and the i64 of equal value.
pub(super) fn encoded_len(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(super) fn write(value: i64, output: &mut Vec<u8>) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        output.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    output.push(raw as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(value: i64, small: i32) {
            for value in [value, i64::from(small), i64::from(small as i8)] {
                let mut bytes = Vec::new();
                write(value, &mut bytes);
                prop_assert_eq!(bytes.len(), encoded_len(value));
                let (raw, len) = read_raw(&bytes, VARLONG_BYTES_MAX).unwrap();
                prop_assert_eq!((decode_i64(raw), len), (value, bytes.len()));
                if let Ok(value) = i32::try_from(value) {
                    let (raw, _) = read_raw(&bytes, VARINT_BYTES_MAX).unwrap();
                    prop_assert_eq!(decode_i32(raw), value);
                }
                prop_assert_eq!(read_raw(&bytes[..bytes.len() - 1], VARLONG_BYTES_MAX), None);
            }
        }
    }

    #[test]
    fn known_bytes_and_overlong_numbers() {
        let mut bytes = Vec::new();
        write(-1, &mut bytes);
        write(64, &mut bytes);
        assert_eq!(bytes, [0x01, 0x80, 0x01]);
        assert_eq!(read_raw(&[0x80; 12], VARINT_BYTES_MAX), None);
        assert_eq!(read_raw(&[0x80; 12], VARLONG_BYTES_MAX), None);
    }
}
