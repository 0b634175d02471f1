//! SipHash-2-4 with 128 bits of output (Aumasson and Bernstein): a keyed function, so whoever
//! chooses the keys of records cannot choose two that are taken for one.

/// The secret that a hash depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashKey(pub [u64; 2]);

struct State([u64; 4]);

impl State {
    #[inline]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *c = c.wrapping_add(*d);
        *b = b.rotate_left(13) ^ *a;
        *d = d.rotate_left(16) ^ *c;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*b);
        *a = a.wrapping_add(*d);
        *b = b.rotate_left(17) ^ *c;
        *d = d.rotate_left(21) ^ *a;
        *c = c.rotate_left(32);
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn squeeze(&mut self) -> u64 {
        (0..4).for_each(|_| self.round());
        self.0.iter().fold(0, |all, word| all ^ word)
    }
}

impl HashKey {
    #[inline]
    pub(super) fn hash(self, bytes: &[u8]) -> u128 {
        let [first, second] = self.0;
        let mut state = State([
            first ^ 0x736f_6d65_7073_6575,
            second ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            first ^ 0x6c79_6765_6e65_7261,
            second ^ 0x7465_6462_7974_6573,
        ]);
        let (words, rest) = bytes.as_chunks();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = bytes.len() as u8;
        state.absorb(u64::from_le_bytes(last));
        state.0[2] ^= 0xee;
        let low = state.squeeze();
        state.0[1] ^= 0xdd;
        let high = state.squeeze();
        u128::from(high) << 64 | u128::from(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the authors' list, for the messages of no byte and of the byte 0.
    #[test]
    fn hashes_what_the_authors_publish() {
        let bytes: [u8; 16] = core::array::from_fn(|at| at as u8);
        let (words, _) = bytes.as_chunks();
        let key = HashKey([u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]);
        let published = ["a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45"];
        for (len, expected) in published.into_iter().enumerate() {
            let hashed = u128::from_str_radix(expected, 16).unwrap().swap_bytes();
            assert_eq!(key.hash(&bytes[..len]), hashed, "{len} bytes");
        }
    }
}
