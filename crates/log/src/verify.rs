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

/// How many producers' verifications a log keeps. While no coordinator answers nothing ends them, and
/// a client may make up as many producer ids as it likes.
const MAX_VERIFICATIONS: usize = 10_000;

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

/// What is to be written first in a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionStart {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// −1 for a coordinator's records, which have none.
    pub base_sequence: i32,
}

impl From<&BatchFacts> for TransactionStart {
    fn from(batch: &BatchFacts) -> Self {
        Self {
            producer_id: batch.producer_id,
            producer_epoch: batch.producer_epoch,
            base_sequence: batch.base_sequence,
        }
    }
}

impl Verifications {
    /// A marker is written. Where it has the epoch of the producer's next transaction, that one may be
    /// waiting for its coordinator's consent already.
    pub(crate) fn end_by(&mut self, marker: &BatchFacts, bumps_epoch: bool) {
        let is_of_next = |it: &Verification| bumps_epoch && it.epoch >= marker.producer_epoch;
        if !self.by_producer.get(&marker.producer_id).is_some_and(is_of_next) {
            self.end(marker.producer_id);
        }
    }

    /// The oldest gives way: what it was to admit is refused, and may be tried again.
    fn make_room_for(&mut self, producer: ProducerId) {
        let kept = &mut self.by_producer;
        if kept.len() < MAX_VERIFICATIONS || kept.contains_key(&producer) {
            return;
        }
        let oldest = kept.iter().min_by_key(|(_, it)| it.guard.0).map(|(&id, _)| id);
        oldest.and_then(|id| kept.remove(&id));
    }

    fn end(&mut self, producer: ProducerId) {
        self.by_producer.remove(&producer);
    }

    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.by_producer.retain(|_, it| now.millis_since(it.began_at) <= expiration_ms);
    }
}

impl Log {
    /// What is needed before it is admitted: `None` when its transaction is open here already, or
    /// nobody need be asked.
    pub fn begin_verification(
        &mut self,
        now: Timestamp,
        start: TransactionStart,
        bumps_epoch: bool,
    ) -> Option<VerificationGuard> {
        let TransactionStart { producer_id: id, producer_epoch: epoch, base_sequence } = start;
        if !self.config.verifies_transactions || self.producers.has_open_transaction(id, epoch) {
            return None;
        }
        let verifications = &mut self.verifications;
        verifications.make_room_for(id);
        let known = verifications.by_producer.entry(id).or_insert_with(|| {
            verifications.next_guard += 1;
            Verification {
                guard: VerificationGuard(verifications.next_guard),
                epoch,
                lowest_sequence: base_sequence,
                bumps_epoch,
                began_at: now,
            }
        });
        if epoch > known.epoch {
            (known.epoch, known.lowest_sequence) = (epoch, base_sequence);
        } else if epoch == known.epoch {
            known.lowest_sequence = known.lowest_sequence.min(base_sequence);
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

    /// Whether it may be written now. Of what comes from clients a batch's sequence is checked besides.
    pub fn check_verified(
        &self,
        start: TransactionStart,
        guard: Option<VerificationGuard>,
    ) -> Result<(), AdmitRefusal> {
        let TransactionStart { producer_id: id, producer_epoch: epoch, base_sequence } = start;
        self.producers.check_epoch(id, epoch)?;
        let verification = self.verifications.by_producer.get(&id);
        if let Some(known) = verification.filter(|_| self.producers.is_new(id)) {
            let overtakes = known.epoch == epoch && base_sequence > known.lowest_sequence;
            if overtakes || (known.bumps_epoch && base_sequence > 0) {
                let expected = if known.bumps_epoch { 0 } else { known.lowest_sequence };
                let (producer_id, found) = (id, base_sequence);
                return Err(AdmitRefusal::OutOfOrderSequence { producer_id, expected, found });
            }
        }
        let is_verified = guard.is_some() && verification.map(|it| it.guard) == guard;
        if is_verified
            || self.producers.has_open_transaction(id, epoch)
            || !self.config.verifies_transactions
        {
            return Ok(());
        }
        Err(AdmitRefusal::TransactionState)
    }

    /// Whether a coordinator may end a producer's transaction, see [`crate::Origin::Marker`].
    pub fn check_marker(
        &self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        coordinator_epoch: i32,
        bumps_epoch: bool,
    ) -> Result<(), AdmitRefusal> {
        let producers = &self.producers;
        producers.check_marker(producer_id, producer_epoch, coordinator_epoch, bumps_epoch)
    }
}
