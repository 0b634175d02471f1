//! Finds the unclean elections in the metadata log.

use bytes::Bytes;
use strandline_metadata::image::{LeaderRecoveryState, Partition};
use strandline_metadata::{Image, Record};
use strandline_types::{NodeId, PartitionId, TopicPartition};
use strandline_wire::records::{BatchHeader, InspectLimits, Records};

use crate::watch::Committed;

/// An election of a leader that was neither in the ISR nor in the ELR, nor came into the ISR by it.
pub(crate) struct UncleanElection {
    pub(crate) partition: TopicPartition,
    /// The leader epoch that it began.
    pub(crate) epoch: i32,
    /// Nobody is known to hold everything, and this one led last: any topic takes it back (KIP-966).
    pub(crate) is_of_last_known: bool,
}

/// All of a log; none when its beginning is gone.
pub(crate) fn unclean_elections(log: &Committed) -> Option<Vec<UncleanElection>> {
    let (mut image, mut next, mut found) = (Image::default(), 0, Vec::new());
    for (base, batch) in log {
        let header = BatchHeader::parse(batch)?;
        if *base != next {
            return None;
        }
        next = header.last_offset().get() + 1;
        if header.is_control() {
            continue;
        }
        for record in Records::open(batch, &InspectLimits::default()).ok()?.iter() {
            let record = record.ok()?;
            let change = Record::decode(&Bytes::copy_from_slice(record.value?)).ok()?;
            let changed = match &change {
                Record::PartitionChange(it) => Some((it.topic_id, PartitionId(it.partition_id))),
                _ => None,
            };
            let at = |image: &Image| {
                let (topic, index) = changed?;
                let name = image.topics.get(topic)?.name.to_string();
                let partition = image.topics.partition(topic, index)?.clone();
                Some((TopicPartition { topic: name, partition: index }, partition))
            };
            let before = at(&image);
            image.apply(change, record.offset).ok()?;
            if let (Some((_, before)), Some((partition, after))) = (before, at(&image)) {
                found.extend(is_unclean(&before, &after).then(|| UncleanElection {
                    partition,
                    epoch: after.leader_epoch.get(),
                    is_of_last_known: before.last_known_elr == [after.leader],
                }));
            }
        }
    }
    Some(found)
}

fn is_unclean(before: &Partition, after: &Partition) -> bool {
    let is_new = after.leader != NodeId::NONE && after.leader != before.leader;
    let is_eligible = before.isr.contains(&after.leader) || before.elr.contains(&after.leader);
    is_new && !is_eligible && !completes_move(before, after)
}

/// The former leader has let the last who was waited for into the ISR, and with that the move is
/// over: who leads from here on may have joined in this very moment.
fn completes_move(before: &Partition, after: &Partition) -> bool {
    let is_in = |id| after.replicas.contains(id);
    before.is_reassigning()
        && before.has_leader()
        && after.leader_recovery_state == LeaderRecoveryState::Recovered
        && before.adding_replicas.iter().all(is_in)
        && !before.removing_replicas.iter().any(is_in)
}
