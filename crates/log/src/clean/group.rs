//! Which segments become one.

use alloc::vec;
use alloc::vec::Vec;

use strandline_types::Offset;

use crate::segment::{INDEX_ENTRY_BYTES, TIME_INDEX_ENTRY_BYTES};
use crate::{LogConfig, Segment};

/// Groups neighbours as long as they fit, with their indexes, into one segment, as if nothing of them
/// went. `end` is where the last one ends.
pub fn groups(segments: &[Segment], end: Offset, config: &LogConfig) -> Vec<Vec<Segment>> {
    let mut groups: Vec<Vec<Segment>> = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let next = segments.get(at + 1).map_or(end, |next| next.base_offset);
        match groups.last_mut().filter(|group| fits(group, segment, next, config)) {
            Some(group) => group.push(*segment),
            None => groups.push(vec![*segment]),
        }
    }
    groups
}

fn fits(group: &[Segment], segment: &Segment, next: Offset, config: &LogConfig) -> bool {
    let all = || group.iter().chain([segment]);
    let sum = |part: fn(&Segment) -> u32| all().map(|it| u64::from(part(it))).sum::<u64>();
    let index_bytes_max = u64::from(config.segment_index_bytes);
    sum(|it| it.size_bytes) <= u64::from(config.segment_bytes)
        && sum(|it| it.index_entries) * u64::from(INDEX_ENTRY_BYTES) <= index_bytes_max
        && sum(|it| it.time_index_entries) * u64::from(TIME_INDEX_ENTRY_BYTES) <= index_bytes_max
        && group[0].can_hold(next - 1)
}
