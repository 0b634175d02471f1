//! Verification (KIP-890): a transaction may begin on a partition only after its coordinator has said
//! that the partition belongs to it. Otherwise a producer that comes too late would open one that
//! nobody ends, and no reader of committed records would get past it.
//!
//! Between the question and the append lies a round trip. A marker that is written meanwhile ends the
//! verification: what was confirmed is over.

use alloc::collections::BTreeMap;

use strandline_types::{BatchFacts, ProducerEpoch, ProducerId, Timestamp};

use crate::{AdmitRefusal, Log};

/// Says that the coordinator was asked for this partition and producer, and when. One that is used
/// after a marker fits no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerificationGuard(u64);

/// What is being verified, by producer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Verifications {
    by_producer: BTreeMap<ProducerId, Verification>,
    next_guard: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Verification {
    guard: VerificationGuard,
    epoch: ProducerEpoch,
    /// Of all batches that were to begin the transaction. If the first one's question fails and a
    /// later one's does not, the later one must not take its place.
    lowest_sequence: i32,
    /// The producer's epoch grows with each transaction, so that it always begins at sequence 0.
    bumps_epoch: bool,
    began_at: Timestamp,
}

impl Verifications {
    pub(crate) fn end(&mut self, producer: ProducerId) {
        self.by_producer.remove(&producer);
    }

    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.by_producer.retain(|_, it| now.millis_since(it.began_at) <= expiration_ms);
    }
}

impl Log {
    /// What a batch needs before it is admitted: `None` when its transaction is open here already, or
    /// nobody need be asked.
    pub fn begin_verification(
        &mut self,
        now: Timestamp,
        batch: &BatchFacts,
        bumps_epoch: bool,
    ) -> Option<VerificationGuard> {
        let (id, epoch) = (batch.producer_id, batch.producer_epoch);
        let is_needed = batch.is_transactional
            && self.config.verifies_transactions
            && !self.producers.has_open_transaction(id, epoch);
        if !is_needed {
            return None;
        }
        let verifications = &mut self.verifications;
        let known = verifications.by_producer.entry(id).or_insert_with(|| {
            verifications.next_guard += 1;
            Verification {
                guard: VerificationGuard(verifications.next_guard),
                epoch,
                lowest_sequence: batch.base_sequence,
                bumps_epoch,
                began_at: now,
            }
        });
        if epoch > known.epoch {
            (known.epoch, known.lowest_sequence) = (epoch, batch.base_sequence);
        } else if epoch == known.epoch {
            known.lowest_sequence = known.lowest_sequence.min(batch.base_sequence);
        }
        known.bumps_epoch = bumps_epoch;
        Some(known.guard)
    }

    /// The coordinator does not know of such a transaction, and will not.
    pub fn verification_refused(&mut self, producer: ProducerId, guard: VerificationGuard) {
        if self.verifications.by_producer.get(&producer).is_some_and(|it| it.guard == guard) {
            self.verifications.end(producer);
        }
    }

    /// Whether a client's transactional batch may be admitted.
    pub(crate) fn check_verified(
        &self,
        batch: &BatchFacts,
        guard: Option<VerificationGuard>,
    ) -> Result<(), AdmitRefusal> {
        let id = batch.producer_id;
        let verification = self.verifications.by_producer.get(&id);
        let out_of_order = |expected| AdmitRefusal::OutOfOrderSequence {
            producer_id: id,
            expected,
            found: batch.base_sequence,
        };
        if let Some(known) = verification {
            if known.epoch == batch.producer_epoch
                && batch.base_sequence > known.lowest_sequence
                && self.producers.is_new(id)
            {
                return Err(out_of_order(known.lowest_sequence));
            }
            if known.bumps_epoch && batch.base_sequence != 0 && self.producers.is_new(id) {
                return Err(out_of_order(0));
            }
        }
        let is_open = self.producers.has_open_transaction(id, batch.producer_epoch);
        let is_verified = guard.is_some() && verification.map(|it| it.guard) == guard;
        if is_open || is_verified || !self.config.verifies_transactions {
            return Ok(());
        }
        Err(AdmitRefusal::TransactionState)
    }
}
