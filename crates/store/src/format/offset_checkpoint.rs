//! One offset per partition of a log dir: `recovery-point-offset-checkpoint`,
//! `log-start-offset-checkpoint`, `replication-offset-checkpoint` (high watermarks) and
//! `cleaner-offset-checkpoint`.

use std::collections::BTreeMap;

use strandline_types::{Offset, PartitionId, TopicPartition};

use super::{FormatError, text_checkpoint};

pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// # Errors
/// When a line is not `topic partition offset`, the count is wrong, or the version unknown.
pub fn decode(bytes: &[u8]) -> Result<Offsets, FormatError> {
    let mut offsets = Offsets::new();
    text_checkpoint::decode(bytes, |words| {
        let &[topic, partition, offset] = words else { return None };
        let partition = PartitionId(partition.parse().ok()?);
        let offset = Offset(offset.parse().ok()?);
        offsets.insert(TopicPartition { topic: topic.to_owned(), partition }, offset);
        Some(())
    })?;
    Ok(offsets)
}

pub fn encode(offsets: &Offsets) -> Vec<u8> {
    let lines =
        offsets.iter().map(|(at, offset)| format!("{} {} {offset}", at.topic, at.partition));
    text_checkpoint::encode(offsets.len(), lines)
}
