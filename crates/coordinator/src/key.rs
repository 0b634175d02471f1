//! Which partition of its coordinators' topic is responsible for a name.

use strandline_types::PartitionId;

/// Java's `String.hashCode` over UTF-16 units, its sign dropped the way Kafka does (the smallest
/// number has no absolute value: it counts as 0), modulo the partition count.
///
/// # Panics
/// When there are no partitions.
pub fn partition_of(key: &str, partition_count: i32) -> PartitionId {
    let hash = key
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    PartitionId(hash.checked_abs().unwrap_or(0) % partition_count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `Utils.abs(id.hashCode()) % 50`.
    #[test]
    fn as_java_does() {
        for (key, partition) in [
            ("", 0),
            ("a", 47),
            ("console-consumer-1", 24),
            ("polygenelubricants", 0), // i32::MIN
            ("grüße", 23),
            ("🦀", 2),
        ] {
            assert_eq!(partition_of(key, 50), PartitionId(partition), "{key}");
        }
    }
}
