//! Which partition a record goes to: by its key as Kafka's own clients do, else in turns of a
//! batch's worth (KIP-794).

use std::collections::BTreeMap;

use strandline_types::PartitionId;

use crate::metadata::Topic;

/// The partition of a key: the same as every Kafka client computes.
pub fn partition_of_key(key: &[u8], partitions: usize) -> PartitionId {
    let positive = murmur2(key) & 0x7fff_ffff;
    PartitionId((positive as usize % partitions.max(1)) as i32)
}

/// MurmurHash2, 32 bits, with Kafka's seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Where records without a key go now.
#[derive(Default)]
pub(super) struct Sticky {
    turns: BTreeMap<String, Turn>,
}

struct Turn {
    partition: PartitionId,
    bytes_left: usize,
}

impl Sticky {
    /// Stays with a partition for `turn_bytes`, then draws another of those that have a leader.
    pub(super) fn choose(
        &mut self,
        topic: &Topic,
        bytes: usize,
        turn_bytes: usize,
        random: impl FnOnce() -> u64,
    ) -> PartitionId {
        if let Some(turn) = self.turns.get_mut(&topic.name)
            && turn.bytes_left > 0
            && topic.partition(turn.partition).is_some_and(|partition| partition.leader.is_some())
        {
            turn.bytes_left = turn.bytes_left.saturating_sub(bytes);
            return turn.partition;
        }
        let led: Vec<_> = topic.partitions.iter().filter(|p| p.leader.is_some()).collect();
        let count = if led.is_empty() { topic.partitions.len() } else { led.len() };
        let index = (random() % count.max(1) as u64) as usize;
        let partition = led.get(index).map_or(PartitionId(index as i32), |p| p.index);
        let turn = Turn { partition, bytes_left: turn_bytes.saturating_sub(bytes) };
        self.turns.insert(topic.name.clone(), turn);
        partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_kafka_clients_do() {
        // From org.apache.kafka.common.utils.Utils.murmur2 of kafka-clients 4.3.1.
        for (key, hash) in MURMUR2_VECTORS {
            assert_eq!(murmur2(key) as i32, *hash, "{key:?}");
        }
    }

    const MURMUR2_VECTORS: &[(&[u8], i32)] = &[
        (b"", 275_646_681),
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        (b"abc", 479_470_107),
    ];
}
