//! Random choices from one seed that came in with the input, so that a decision can be repeated.

use strandline_types::Uuid;

/// SplitMix64 over a 128-bit seed: good enough to spread replicas, and no two decisions share ids
/// because no two share a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
    salt: u64,
}

impl Random {
    pub(crate) fn new(seed: u128) -> Self {
        Self { state: seed as u64, salt: (seed >> 64) as u64 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state ^ self.salt;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is above 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// An id that Kafka's tools accept.
    pub(crate) fn uuid(&mut self) -> Uuid {
        loop {
            // The salt goes in whole: with 64 bits of state alone, ids of different decisions
            // would meet after some four billion of them.
            let bits = (u128::from(self.next() ^ self.salt.rotate_left(32)) << 64)
                | u128::from(self.next());
            if let Some(id) = Uuid::from_random(bits) {
                return id;
            }
        }
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
