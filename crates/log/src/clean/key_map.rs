//! The newest offset of each key, in a bounded piece of memory.
//!
//! An entry takes 16 bytes, where Kafka's takes 24: 96 bits of the key's hash, and the offset as a
//! distance of 32 bits from the first one. Keys are never kept, so two keys with the same 96 bits
//! would be taken for one, and the older one's record be lost. How likely is that? A search compares
//! its 96 bits with those of the entries that it passes, at nine tenths of the places taken some 50 of
//! them: 50 · 2⁻⁹⁶ ≈ 6·10⁻²⁸ per search for a key that is not there. A pass over 7.5 million keys
//! (all that 128 MiB hold) and a hundred million records loses one with a probability of 7·10⁻²⁰; a
//! million such passes in a row, with 10⁻¹³. The hash is keyed anew for each pass, so nobody can
//! prepare keys for it.

use alloc::vec;
use alloc::vec::Vec;
use core::hint;

use strandline_types::{Bug, Offset, planted};

use super::HashKey;

const SLOT_BYTES: u64 = size_of::<u128>() as u64;
const DISTANCE_BITS: u32 = 32;
const DISTANCE_MASK: u128 = u32::MAX as u128;

/// Open addressing with linear probing. A slot is 0, or the low 96 bits of the hash, then the distance
/// plus 1. The place where a search begins comes from the high bits.
#[derive(Debug)]
pub(super) struct KeyMap {
    slots: Vec<u128>,
    taken: usize,
    taken_max: usize,
    /// The first offset that was put in; all others lie behind it.
    first: Option<Offset>,
    key: HashKey,
}

/// What stands for a key in this pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHash(u128);

/// What matters of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub offset: Offset,
    pub key: Option<KeyHash>,
    pub has_value: bool,
}

/// So many records are looked for together.
pub const TOGETHER: usize = 64;

impl HashKey {
    /// What stands for a key in the pass of this hash key.
    #[inline]
    pub fn stand_in(self, key: &[u8]) -> KeyHash {
        KeyHash(self.hash(key))
    }
}

/// There is no room for one more key, or its offset is too far from the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl KeyMap {
    /// Takes no more memory than `bytes`, nor than `keys_max` keys need. The memory is zeroed when it
    /// is first touched.
    pub(super) fn new(key: HashKey, bytes: u64, load_factor: f64, keys_max: u64) -> Self {
        let load_factor = load_factor.clamp(0.1, 0.95);
        let wanted = ((keys_max as f64 / load_factor) as u64).saturating_add(2);
        let slots = (bytes / SLOT_BYTES).clamp(2, wanted) as usize;
        // One place stays free, or a search for a key that is not there would never end.
        let taken_max = ((slots as f64 * load_factor) as usize).clamp(1, slots - 1);
        Self { slots: vec![0; slots], taken: 0, taken_max, first: None, key }
    }

    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// Bytes in which the map can lie.
    pub(super) fn size_bytes(&self) -> u64 {
        self.slots.len() as u64 * SLOT_BYTES
    }

    /// Every key comes as what stands for it under this one.
    pub(super) fn hash_key(&self) -> HashKey {
        self.key
    }

    /// Before several keys are looked for one by one, [`TOGETHER`] at most: the map is larger than the
    /// processor's caches, and the waits for its memory overlap here.
    pub(super) fn approach(&self, records: &[Seen]) {
        let keys = records.iter().filter_map(|record| record.key);
        let touched = keys.fold(0, |all, key| all ^ self.slots[self.place(key)]);
        hint::black_box(touched);
    }

    /// Offsets come in ascending order.
    pub(super) fn put(&mut self, key: KeyHash, offset: Offset) -> Result<(), Full> {
        let first = *self.first.get_or_insert(offset);
        let distance = u32::try_from(offset.since(first)).ok().and_then(|it| it.checked_add(1));
        let distance = u128::from(distance.ok_or(Full)?);
        let (slot, tag) = self.find(key);
        if self.slots[slot] == 0 {
            if self.taken == self.taken_max {
                return Err(Full);
            }
            self.taken += 1;
        }
        if self.slots[slot] == 0 || !planted(Bug::SurveyKeepsOldest) {
            self.slots[slot] = tag | distance;
        }
        Ok(())
    }

    pub(super) fn newest(&self, key: KeyHash) -> Option<Offset> {
        let (slot, _) = self.find(key);
        let distance = self.slots[slot] & DISTANCE_MASK;
        Some(self.first? + (i64::try_from(distance).ok()?.checked_sub(1)?)).filter(|_| distance > 0)
    }

    /// Where a search begins.
    #[inline]
    fn place(&self, key: KeyHash) -> usize {
        let high = (key.0 >> 64) as u64;
        ((u128::from(high) * self.slots.len() as u128) >> 64) as usize
    }

    /// The slot that holds the key, or the free one where it belongs; and the slot's upper part.
    #[inline]
    fn find(&self, key: KeyHash) -> (usize, u128) {
        let tag = key.0 << DISTANCE_BITS;
        let mut slot = self.place(key);
        loop {
            let found = self.slots[slot];
            if found == 0 || found & !DISTANCE_MASK == tag {
                return (slot, tag);
            }
            slot = if slot + 1 == self.slots.len() { 0 } else { slot + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey([1, 2]);

    fn map(keys: u64) -> KeyMap {
        KeyMap::new(KEY, 1 << 20, 0.9, keys)
    }

    fn stand_in(key: &[u8]) -> KeyHash {
        KEY.stand_in(key)
    }

    #[test]
    fn remembers_the_newest_offset_of_each_key_until_it_is_full() {
        let mut map = KeyMap::new(KEY, 16_000, 0.9, u64::MAX);
        for offset in 0..5_000_i64 {
            let key = (offset % 900).to_be_bytes();
            assert_eq!(map.put(stand_in(&key), Offset(offset + 7)), Ok(()));
        }
        assert_eq!((map.len(), map.size_bytes()), (900, 16_000));
        assert_eq!(map.put(stand_in(b"one more"), Offset(6_000)), Err(Full));
        for key in 0..900_i64 {
            let newest = (0..5_000).rev().find(|offset| offset % 900 == key).unwrap();
            assert_eq!(map.newest(stand_in(&key.to_be_bytes())), Some(Offset(newest + 7)));
        }
        assert_eq!(map.newest(stand_in(b"one more")), None);
        assert_eq!(
            map.put(stand_in(&0_i64.to_be_bytes()), Offset(6_001)),
            Ok(()),
            "a known key needs no room"
        );
    }

    #[test]
    fn takes_no_more_memory_than_its_keys_need() {
        assert!(map(100).size_bytes() < 2_000);
        assert!(map(0).newest(stand_in(b"nothing is there")).is_none());
        assert_eq!(map(u64::MAX).size_bytes(), 1 << 20);
    }

    #[test]
    fn offsets_too_far_from_the_first_are_for_the_next_pass() {
        let mut map = map(10);
        map.put(stand_in(b"a"), Offset(5)).unwrap();
        let last = Offset(5 + i64::from(u32::MAX) - 1);
        assert_eq!(map.put(stand_in(b"b"), last), Ok(()));
        assert_eq!(map.newest(stand_in(b"b")), Some(last));
        assert_eq!(map.put(stand_in(b"c"), last + 1), Err(Full));
    }
}
