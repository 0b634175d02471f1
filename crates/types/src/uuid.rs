//! Kafka's 128-bit ids (topics, directories, incarnations), printed as 22 characters of
//! unpadded url-safe base64.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// A 128-bit id. Random ones come from the Entropy port, see [`Uuid::from_random`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// Absent; also a directory that a replica is migrating to.
    pub const ZERO: Self = Self([0; 16]);
    /// Reserved as a topic id: `__cluster_metadata`. Reserved as a directory id: unassigned.
    pub const ONE: Self = Self::from_u128(1);
    /// Reserved as a directory id: lost, the replica's directory is offline.
    pub const LOST_DIR: Self = Self::from_u128(2);

    pub const fn from_u128(value: u128) -> Self {
        Self(value.to_be_bytes())
    }

    /// Shapes 128 random bits into a version 4 id. `None` for the draws Kafka's tools refuse: the
    /// first 100 numbers are reserved, and a leading `-` reads as a flag on a command line.
    pub fn from_random(bits: u128) -> Option<Self> {
        let mut bytes = bits.to_be_bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Self(bytes);
        (bytes[0] >> 2 != 62).then_some(id)
    }

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(22);
        for chunk in self.0.chunks(3) {
            let mut word = [0u8; 4];
            word[1..=chunk.len()].copy_from_slice(chunk);
            let word = u32::from_be_bytes(word);
            for sextet in 0..=chunk.len() {
                let index = (word >> (18 - 6 * sextet)) & 0x3f;
                text.push(char::from(ALPHABET[index as usize]));
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of url-safe base64 that hold 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadUuid;

impl fmt::Display for BadUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected 22 characters of url-safe base64, such as J8qXRwI-Qyiz8x4WlgO7bA")
    }
}

impl core::error::Error for BadUuid {}

impl FromStr for Uuid {
    type Err = BadUuid;

    fn from_str(text: &str) -> Result<Self, BadUuid> {
        // Kafka prints without padding but accepts it.
        let text = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if text.len() != 22 {
            return Err(BadUuid);
        }
        let mut bytes = [0u8; 18];
        for (quad, out) in text.chunks(4).zip(bytes.chunks_mut(3)) {
            let mut word = 0u32;
            for (i, digit) in quad.iter().enumerate() {
                let value = ALPHABET.iter().position(|a| a == digit).ok_or(BadUuid)?;
                word |= (value as u32) << (18 - 6 * i);
            }
            out.copy_from_slice(&word.to_be_bytes()[1..]);
        }
        let (id, rest) = bytes.split_at(16);
        if rest != [0, 0] {
            return Err(BadUuid);
        }
        Ok(Self(id.try_into().map_err(|_| BadUuid)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn prints_as_kafka_does_and_reads_back() {
        for (id, text) in [
            (Uuid::ZERO, "AAAAAAAAAAAAAAAAAAAAAA"),
            (Uuid::ONE, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (Uuid([0xff; 16]), "_____________________w"),
        ] {
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
        }
    }

    #[test]
    fn refuses_what_is_not_an_id() {
        for text in
            ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA!", "AAAAAAAAAAAAAAAAAAAAAB"]
        {
            assert_eq!(text.parse::<Uuid>(), Err(BadUuid), "{text}");
        }
    }

    #[test]
    fn random_ids_are_version_4_and_never_start_with_a_dash() {
        assert_eq!(Uuid::from_random(62 << 122), None);
        let id = Uuid::from_random(u128::MAX).map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some("________T_-__________w"));
    }
}
