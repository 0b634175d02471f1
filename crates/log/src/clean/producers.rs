//! Which batches a recovery needs to know what the log knows of its producers: CLEAN-4.

use alloc::collections::BTreeMap;

use strandline_types::{BatchFacts, Bug, Offset, ProducerEpoch, ProducerId, planted};

use crate::ProducerSnapshot;

/// The live producers of a log.
#[derive(Debug)]
pub(super) struct Producers(BTreeMap<ProducerId, Needed>);

/// How one recognizes the batches of one producer that stay.
#[derive(Debug)]
enum Needed {
    /// There is only a marker, with the epoch that fences older ones.
    Marker(ProducerEpoch),
    /// One has the last sequence. Where that lies behind the end of the pass, and may be cut off yet,
    /// one has the last of those that stay then.
    Data { newest: Offset, before_end: Option<Offset> },
    /// As above, but the last one before the end was cleaned by an earlier pass, and which it is can
    /// only be told when it is too late. So all of those stay until the producer's newest is cleaned.
    AnyBeforeEnd { newest: Offset },
}

impl Producers {
    /// `surveyed` are the last batches among those that were never cleaned.
    pub(super) fn new(
        known: &[ProducerSnapshot],
        surveyed: BTreeMap<ProducerId, Offset>,
        end: Offset,
    ) -> Self {
        let needed = |producer: &ProducerSnapshot| {
            let newest = producer.last_offset;
            match surveyed.get(&producer.producer_id).copied() {
                _ if newest < Offset::ZERO => Needed::Marker(producer.epoch),
                None if newest >= end => Needed::AnyBeforeEnd { newest },
                before_end => Needed::Data { newest, before_end },
            }
        };
        Self(known.iter().map(|it| (it.producer_id, needed(it))).collect())
    }

    pub(super) fn need(&self, facts: &BatchFacts) -> bool {
        let last = facts.last_offset();
        match self.0.get(&facts.producer_id) {
            _ if planted(Bug::LastSequenceGoes) => false,
            None => false,
            Some(Needed::Marker(epoch)) => {
                facts.control.is_some() && facts.producer_epoch == *epoch
            }
            Some(_) if facts.control.is_some() => false,
            Some(Needed::Data { newest, before_end }) => {
                last == *newest || *before_end == Some(last)
            }
            Some(Needed::AnyBeforeEnd { newest }) => last <= *newest,
        }
    }
}
