//! Which batches belong to aborted transactions, and which markers have outlived their data.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use strandline_types::{BatchFacts, Bug, ControlType, Offset, ProducerId, planted};

use crate::AbortedTransaction;

/// What a batch is to its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// None, or of one that committed.
    Data,
    /// Of one that was aborted: it was never to be seen.
    AbortedData,
    /// `outlived` when no data of its transaction is left before it. An abort is told with the entry
    /// of the `.txnindex` that readers find it by, if there is one.
    Marker { outlived: bool, aborted: Option<AbortedTransaction> },
    /// What this version does not know.
    Unknown,
}

/// The transactions of a log, segment by segment and batch by batch.
///
/// An entry of an index speaks of the offsets from its first to its last alone: taken further, one
/// that is left over would let a pass drop what the same producer committed later.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Where the last segment begins.
    segment: Option<Offset>,
    /// The aborted ones that lie ahead, the next one last.
    ahead: Vec<AbortedTransaction>,
    aborted: BTreeMap<ProducerId, Aborted>,
    /// Producers with data of a transaction that was not aborted.
    committed: BTreeSet<ProducerId>,
}

#[derive(Debug)]
struct Aborted {
    transaction: AbortedTransaction,
    has_data: bool,
}

impl Transactions {
    /// `aborted` are the transactions with offsets in the segment that is next. There may be millions in
    /// a log: only those of one segment are held at a time.
    pub(super) fn begin_segment(&mut self, base_offset: Offset, aborted: Vec<AbortedTransaction>) {
        // What reaches into this segment from one before it was told with that one.
        let is_first = self.segment.replace(base_offset).is_none();
        let is_new = |it: &AbortedTransaction| is_first || it.first_offset >= base_offset;
        self.ahead.extend(aborted.into_iter().filter(is_new));
        self.ahead.sort_unstable_by_key(|it| core::cmp::Reverse(it.first_offset));
    }

    pub(super) fn batch(&mut self, facts: &BatchFacts) -> Part {
        self.advance(facts.last_offset());
        match facts.control {
            None if !facts.is_transactional => Part::Data,
            None => match self.aborted.get_mut(&facts.producer_id) {
                Some(aborted)
                    if facts.base_offset < aborted.transaction.last_offset
                        && !planted(Bug::AbortedIsData) =>
                {
                    aborted.has_data = true;
                    Part::AbortedData
                }
                _ => {
                    self.committed.insert(facts.producer_id);
                    Part::Data
                }
            },
            Some(ControlType::Abort { .. }) => {
                let aborted = self.aborted.remove(&facts.producer_id);
                let aborted = aborted.filter(|it| it.transaction.last_offset == facts.base_offset);
                let outlived = aborted.as_ref().is_none_or(|it| !it.has_data);
                Part::Marker { outlived, aborted: aborted.map(|it| it.transaction) }
            }
            Some(ControlType::Commit { .. }) => {
                let outlived = !self.committed.remove(&facts.producer_id);
                Part::Marker { outlived, aborted: None }
            }
            // One that was emptied before: its record is gone already.
            Some(_) if facts.record_count == 0 => Part::Marker { outlived: true, aborted: None },
            Some(_) => Part::Unknown,
        }
    }

    fn advance(&mut self, upto: Offset) {
        while let Some(transaction) = self.ahead.pop_if(|next| next.first_offset <= upto) {
            // A producer has one transaction at a time: what came before has ended.
            let begun = Aborted { transaction, has_data: false };
            self.aborted.insert(transaction.producer_id, begun);
        }
    }
}
