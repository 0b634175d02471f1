//! An ordered map whose clones share their content.
//!
//! A published image must stay as it is while the next one is built, and a change of one partition
//! among a hundred thousand must not copy the others. Entries live in sorted chunks behind `Arc`s
//! under one spine of pointers: a clone is one reference count, the first write after it copies the
//! spine and one chunk, and a comparison of two versions skips every chunk they still share.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;

/// Entries per chunk at most; a full chunk splits in half.
const CHUNK_MAX: usize = 64;

type Chunk<K, V> = Vec<(K, V)>;

/// See the module text. No chunk is ever empty.
pub struct SharedMap<K, V> {
    spine: Arc<Vec<Arc<Chunk<K, V>>>>,
    len: usize,
}

/// Where a key is, or where it would be inserted.
struct Slot {
    chunk: usize,
    entry: Result<usize, usize>,
}

impl<K: Ord, V> SharedMap<K, V> {
    pub fn new() -> Self {
        Self { spine: Arc::default(), len: 0 }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Slot
    where
        K: Borrow<Q>,
    {
        let after = self
            .spine
            .partition_point(|chunk| chunk.first().is_some_and(|(first, _)| first.borrow() <= key));
        let chunk = after.saturating_sub(1);
        let entry = match self.spine.get(chunk) {
            Some(entries) => entries.binary_search_by(|(k, _)| k.borrow().cmp(key)),
            None => Err(0),
        };
        Slot { chunk, entry }
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let slot = self.find(key);
        let entry = slot.entry.ok()?;
        self.spine.get(slot.chunk)?.get(entry).map(|(_, value)| value)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).entry.is_ok()
    }

    /// All entries, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.spine.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// Entries from `key` on (inclusive), ascending.
    pub fn iter_from<Q: Ord + ?Sized>(&self, key: &Q) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let slot = self.find(key);
        let skip = slot.entry.unwrap_or_else(|entry| entry);
        let chunks = self.spine.get(slot.chunk..).unwrap_or_default();
        chunks.iter().flat_map(|chunk| chunk.iter()).skip(skip).map(|(key, value)| (key, value))
    }

    /// Calls `report` with each key whose value is absent on one side, or not the `same` on both.
    pub fn for_each_change<'a>(
        old: &'a Self,
        new: &'a Self,
        same: impl Fn(&V, &V) -> bool,
        mut report: impl FnMut(&'a K, Option<&'a V>, Option<&'a V>),
    ) {
        if Arc::ptr_eq(&old.spine, &new.spine) {
            return;
        }
        let (mut old, mut new) = (Cursor::new(&old.spine), Cursor::new(&new.spine));
        loop {
            if old.skip_shared_chunk(&mut new) {
                continue;
            }
            let order = match (old.entry(), new.entry()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((before, _)), Some((after, _))) => before.cmp(after),
            };
            let before = if order.is_le() { old.take() } else { None };
            let after = if order.is_ge() { new.take() } else { None };
            match (before, after) {
                (Some((_, before)), Some((_, after))) if same(before, after) => {}
                (Some((key, before)), after) => report(key, Some(before), after.map(|(_, v)| v)),
                (None, Some((key, after))) => report(key, None, Some(after)),
                (None, None) => return,
            }
        }
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// The value, for writing: what other clones see stays as it is.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let slot = self.find(key);
        let entry = slot.entry.ok()?;
        let chunk = Arc::make_mut(&mut self.spine).get_mut(slot.chunk)?;
        Arc::make_mut(chunk).get_mut(entry).map(|(_, value)| value)
    }

    /// Inserts or replaces; returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let slot = self.find(&key);
        let spine = Arc::make_mut(&mut self.spine);
        let Some(chunk) = spine.get_mut(slot.chunk) else {
            spine.push(Arc::new(Vec::from([(key, value)])));
            self.len += 1;
            return None;
        };
        let chunk = Arc::make_mut(chunk);
        match slot.entry {
            Ok(entry) => return Some(core::mem::replace(&mut chunk[entry].1, value)),
            Err(entry) => chunk.insert(entry, (key, value)),
        }
        self.len += 1;
        if chunk.len() > CHUNK_MAX {
            // Keys that only ever grow (partition numbers, names with a counter) fill chunks to the
            // brim when the split leaves the old chunk whole.
            let grows_at_end = slot.entry == Err(CHUNK_MAX);
            let upper = chunk.split_off(if grows_at_end { CHUNK_MAX } else { CHUNK_MAX / 2 });
            spine.insert(slot.chunk + 1, Arc::new(upper));
        }
        None
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let slot = self.find(key);
        let entry = slot.entry.ok()?;
        let spine = Arc::make_mut(&mut self.spine);
        let chunk = Arc::make_mut(spine.get_mut(slot.chunk)?);
        let (_, value) = chunk.remove(entry);
        if chunk.is_empty() {
            spine.remove(slot.chunk);
        }
        self.len -= 1;
        Some(value)
    }
}

/// A position in a spine, able to jump over whole chunks.
struct Cursor<'a, K, V> {
    spine: &'a [Arc<Chunk<K, V>>],
    entry: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn new(spine: &'a [Arc<Chunk<K, V>>]) -> Self {
        Self { spine, entry: 0 }
    }

    fn entry(&self) -> Option<&'a (K, V)> {
        self.spine.first()?.get(self.entry)
    }

    fn take(&mut self) -> Option<&'a (K, V)> {
        let (chunk, rest) = self.spine.split_first()?;
        let entry = chunk.get(self.entry)?;
        self.entry += 1;
        if self.entry == chunk.len() {
            (self.spine, self.entry) = (rest, 0);
        }
        Some(entry)
    }

    /// Steps both over a chunk that they share, if both stand at the start of it.
    fn skip_shared_chunk(&mut self, other: &mut Self) -> bool {
        let (Some((mine, my_rest)), Some((theirs, their_rest))) =
            (self.spine.split_first(), other.spine.split_first())
        else {
            return false;
        };
        let shared = self.entry == 0 && other.entry == 0 && Arc::ptr_eq(mine, theirs);
        if shared {
            (self.spine, other.spine) = (my_rest, their_rest);
        }
        shared
    }
}

impl<K: Ord, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self { spine: self.spine.clone(), len: self.len }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.spine, &other.spine)
            || (self.len == other.len && self.iter().eq(other.iter()))
    }
}

impl<K: Ord, V: Eq> Eq for SharedMap<K, V> {}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        /// Against the standard map, with a clone kept and compared after every step.
        #[test]
        fn behaves_as_an_ordered_map(
            steps in prop::collection::vec((0u16..400, any::<Option<u8>>()), 0..600),
            keep_at in 0usize..600,
        ) {
            let mut map = SharedMap::new();
            let mut model = BTreeMap::new();
            let mut kept = (map.clone(), model.clone());
            for (i, (key, value)) in steps.into_iter().enumerate() {
                let (got, expected) = match value {
                    Some(value) => (map.insert(key, value), model.insert(key, value)),
                    None => (map.remove(&key), model.remove(&key)),
                };
                prop_assert_eq!(got, expected);
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert!(map.iter_from(&key).eq(model.range(key..)));
                if i == keep_at {
                    kept = (map.clone(), model.clone());
                }
            }
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(kept.0.iter().eq(kept.1.iter()));

            let mut changed = BTreeMap::new();
            SharedMap::for_each_change(&kept.0, &map, |a, b| a == b, |key, old, new| {
                changed.insert(*key, (old.copied(), new.copied()));
            });
            let mut expected = BTreeMap::new();
            for key in kept.1.keys().chain(model.keys()) {
                let pair = (kept.1.get(key).copied(), model.get(key).copied());
                if pair.0 != pair.1 {
                    expected.insert(*key, pair);
                }
            }
            prop_assert_eq!(changed, expected);
        }
    }
}
