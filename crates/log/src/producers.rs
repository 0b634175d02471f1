//! What a partition remembers of its idempotent producers (KIP-98): enough to answer a repeated
//! batch with its first offset, to refuse a gap, and to fence an older incarnation.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use strandline_types::{
    BatchFacts, Bug, ControlType, Offset, ProducerEpoch, ProducerId, Timestamp, planted,
};

use crate::{AbortedTransaction, AdmitRefusal};

/// A producer may have this many requests in flight, so as many may come again.
const REMEMBERED_BATCHES: usize = 5;

/// One entry of a `.snapshot` file. Of the remembered batches only the newest survives in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerSnapshot {
    pub producer_id: ProducerId,
    pub epoch: ProducerEpoch,
    /// −1 when no batch is remembered, as in the next three.
    pub last_sequence: i32,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: Timestamp,
    /// −1 when no transaction marker was seen.
    pub coordinator_epoch: i32,
    /// −1 when no transaction is open.
    pub transaction_first_offset: Offset,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct RememberedBatch {
    last_sequence: i32,
    last_offset: Offset,
    offset_delta: i32,
    timestamp: Timestamp,
}

impl RememberedBatch {
    fn first_sequence(&self) -> i32 {
        // Sequences wrap: the one before 0 is 2³¹−1.
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        if first >= 0 { first as i32 } else { (first + i64::from(i32::MAX) + 1) as i32 }
    }

    fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Producer {
    epoch: ProducerEpoch,
    coordinator_epoch: i32,
    last_timestamp: Timestamp,
    transaction_first_offset: Option<Offset>,
    remembered: u8,
    /// The first `remembered` count, oldest first.
    batches: [RememberedBatch; REMEMBERED_BATCHES],
}

impl Producer {
    fn new(epoch: ProducerEpoch) -> Self {
        let none = RememberedBatch {
            last_sequence: -1,
            last_offset: Offset(-1),
            offset_delta: 0,
            timestamp: Timestamp::NONE,
        };
        Self {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_first_offset: None,
            remembered: 0,
            batches: [none; REMEMBERED_BATCHES],
        }
    }

    fn batches(&self) -> &[RememberedBatch] {
        &self.batches[..usize::from(self.remembered)]
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.remembered = 0;
        }
    }

    fn remember(&mut self, batch: RememberedBatch) {
        let most = REMEMBERED_BATCHES - usize::from(planted(Bug::FourBatchesRemembered));
        if usize::from(self.remembered) == most {
            self.batches[..most].rotate_left(1);
        } else {
            self.remembered += 1;
        }
        self.batches[usize::from(self.remembered) - 1] = batch;
    }

    fn check_sequence(&self, batch: &BatchFacts) -> Result<(), AdmitRefusal> {
        let gap = |expected| {
            Err(AdmitRefusal::OutOfOrderSequence {
                producer_id: batch.producer_id,
                expected,
                found: batch.base_sequence,
            })
        };
        if batch.producer_epoch != self.epoch {
            return if batch.base_sequence == 0 { Ok(()) } else { gap(0) };
        }
        let last = self.batches().last().map_or(-1, |batch| batch.last_sequence);
        let next = if last == i32::MAX { 0 } else { last + 1 };
        if batch.base_sequence == next { Ok(()) } else { gap(next) }
    }
}

/// All producers a partition knows, and their transactions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerStates {
    // Boxed: a node of the map holds eleven entries, most partitions have one producer or none.
    by_id: BTreeMap<ProducerId, Box<Producer>>,
    /// First offsets of the open transactions.
    open: BTreeSet<(Offset, ProducerId)>,
    /// Transactions whose marker may not be committed yet, in the order of the markers. One that
    /// began before an earlier one hides it: it is waited for longer.
    decided: VecDeque<DecidedTransaction>,
}

/// A transaction whose marker is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecidedTransaction {
    pub first_offset: Offset,
    pub marker: Offset,
}

impl ProducerStates {
    /// Entries that have expired by `now` are left out.
    pub fn from_snapshot(entries: &[ProducerSnapshot], now: Timestamp, expiration_ms: i64) -> Self {
        let mut states = Self::default();
        for entry in entries {
            let mut producer = Producer::new(entry.epoch);
            producer.coordinator_epoch = entry.coordinator_epoch;
            producer.last_timestamp = entry.timestamp;
            if entry.transaction_first_offset >= Offset::ZERO {
                producer.transaction_first_offset = Some(entry.transaction_first_offset);
            }
            let first_offset = entry.last_offset.0.checked_sub(i64::from(entry.offset_delta));
            // What no log could have written (a damaged file with a right checksum) is left out.
            if first_offset.is_some_and(|first| (0..=entry.last_offset.0).contains(&first))
                && entry.last_offset < Offset(i64::MAX)
            {
                producer.remember(RememberedBatch {
                    last_sequence: entry.last_sequence,
                    last_offset: entry.last_offset,
                    offset_delta: entry.offset_delta,
                    timestamp: entry.timestamp,
                });
            }
            if let Some(first) = producer.transaction_first_offset {
                states.open.insert((first, entry.producer_id));
            }
            states.by_id.insert(entry.producer_id, Box::new(producer));
        }
        states.expire(now, expiration_ms);
        states
    }

    /// In order of producer id.
    pub fn snapshot(&self) -> Vec<ProducerSnapshot> {
        if planted(Bug::SnapshotsAreEmpty) {
            return Vec::new();
        }
        let entry = |producer_id: ProducerId, producer: &Producer| {
            let last = producer.batches().last();
            ProducerSnapshot {
                producer_id,
                epoch: producer.epoch,
                last_sequence: last.map_or(-1, |batch| batch.last_sequence),
                last_offset: last.map_or(Offset(-1), |batch| batch.last_offset),
                offset_delta: last.map_or(0, |batch| batch.offset_delta),
                timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_first_offset: producer.transaction_first_offset.unwrap_or(Offset(-1)),
            }
        };
        self.by_id.iter().map(|(&id, producer)| entry(id, producer)).collect()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Forgets producers that have been silent for longer than `expiration_ms` and have no open
    /// transaction. Silence is measured in the time their records carry, as Kafka measures it.
    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.by_id.retain(|_, producer| {
            producer.transaction_first_offset.is_some()
                || now.millis_since(producer.last_timestamp) <= expiration_ms
        });
    }

    /// Offsets (first, last) and timestamp of the remembered batch that `batch` repeats.
    pub(crate) fn repeated(&self, batch: &BatchFacts) -> Option<(Offset, Offset, Timestamp)> {
        let producer = self.by_id.get(&batch.producer_id)?;
        if producer.epoch != batch.producer_epoch {
            return None;
        }
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        let same = |known: &&RememberedBatch| {
            known.last_sequence == last && known.first_sequence() == first
        };
        let known = producer.batches().iter().find(same)?;
        Some((known.first_offset(), known.last_offset, known.timestamp))
    }

    /// Whether a client's batch may follow what is known of its producer.
    pub(crate) fn check(&self, batch: &BatchFacts) -> Result<(), AdmitRefusal> {
        // Without state (expired, or deleted with its records) any sequence may come.
        let Some(producer) = self.by_id.get(&batch.producer_id) else { return Ok(()) };
        self.check_epoch(batch.producer_id, batch.producer_epoch)?;
        producer.check_sequence(batch)?;
        if producer.transaction_first_offset.is_some() && !batch.is_transactional {
            return Err(AdmitRefusal::TransactionState);
        }
        Ok(())
    }

    /// Whether the producer has a transaction open in this epoch.
    pub(crate) fn has_open_transaction(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.by_id.get(&id).is_some_and(|producer| {
            producer.transaction_first_offset.is_some() && producer.epoch == epoch
        })
    }

    /// Whether a batch may begin its producer's memory: nothing is known that it could contradict.
    pub(crate) fn is_new(&self, id: ProducerId) -> bool {
        self.by_id.get(&id).is_none_or(|producer| producer.remembered == 0)
    }

    /// Whether a transaction's marker may be appended. Where the coordinator bumps the epoch with each
    /// transaction (KIP-890), only a marker that comes again carries the epoch of records.
    pub(crate) fn check_marker(
        &self,
        id: ProducerId,
        epoch: ProducerEpoch,
        coordinator_epoch: i32,
        bumps_epoch: bool,
    ) -> Result<(), AdmitRefusal> {
        self.check_epoch(id, epoch)?;
        let Some(producer) = self.by_id.get(&id) else { return Ok(()) };
        if bumps_epoch && self.has_open_transaction(id, epoch) {
            return Err(fenced(id, producer.epoch, epoch));
        }
        if coordinator_epoch < producer.coordinator_epoch {
            return Err(AdmitRefusal::CoordinatorFenced {
                current: producer.coordinator_epoch,
                found: coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Whether a producer is the newest that has its id.
    pub(crate) fn check_epoch(
        &self,
        id: ProducerId,
        epoch: ProducerEpoch,
    ) -> Result<(), AdmitRefusal> {
        match self.by_id.get(&id) {
            Some(producer) if epoch < producer.epoch => Err(fenced(id, producer.epoch, epoch)),
            _ => Ok(()),
        }
    }

    /// Where the earliest transaction begins that is open, or whose marker is not committed.
    pub(crate) fn first_unstable(&self) -> Option<Offset> {
        let open = self.open.first().map(|(first, _)| *first);
        let open = open.filter(|_| !planted(Bug::OpenIsStable));
        let decided = self.decided.front().map(|decided| decided.first_offset);
        open.into_iter().chain(decided).min()
    }

    /// Everything before `high_watermark` is committed, markers included.
    pub(crate) fn committed(&mut self, high_watermark: Offset) {
        while self.decided.front().is_some_and(|decided| decided.marker < high_watermark) {
            self.decided.pop_front();
        }
        if self.decided.is_empty() {
            self.decided = VecDeque::new();
        }
    }

    /// Transactions whose markers may not be committed, as far as they matter.
    pub fn decided(&self) -> impl Iterator<Item = DecidedTransaction> + use<'_> {
        self.decided.iter().copied()
    }

    /// Waits for a marker to be committed. To be called in the order of the markers.
    pub fn decide(&mut self, transaction: DecidedTransaction) {
        while self.decided.back().is_some_and(|it| it.first_offset >= transaction.first_offset) {
            self.decided.pop_back();
        }
        self.decided.push_back(transaction);
    }

    /// Takes in a batch as it stands in the log. Gives the transaction that it aborted.
    pub(crate) fn apply(
        &mut self,
        batch: &BatchFacts,
        base_offset: Offset,
        max_timestamp: Timestamp,
    ) -> Option<AbortedTransaction> {
        if !batch.is_idempotent() {
            return None;
        }
        let producer = self
            .by_id
            .entry(batch.producer_id)
            .or_insert_with(|| Box::new(Producer::new(batch.producer_epoch)));
        producer.enter_epoch(batch.producer_epoch);
        producer.last_timestamp = max_timestamp;
        match batch.control {
            None => {
                producer.remember(RememberedBatch {
                    last_sequence: batch.last_sequence(),
                    last_offset: base_offset + i64::from(batch.last_offset_delta),
                    offset_delta: batch.last_offset_delta,
                    timestamp: max_timestamp,
                });
                if batch.is_transactional && producer.transaction_first_offset.is_none() {
                    producer.transaction_first_offset = Some(base_offset);
                    self.open.insert((base_offset, batch.producer_id));
                }
                None
            }
            Some(
                control @ (ControlType::Abort { coordinator_epoch }
                | ControlType::Commit { coordinator_epoch }),
            ) => {
                producer.coordinator_epoch = coordinator_epoch;
                let first_offset = producer.transaction_first_offset.take()?;
                self.open.remove(&(first_offset, batch.producer_id));
                if !planted(Bug::MarkerCountsEarly) {
                    self.decide(DecidedTransaction { first_offset, marker: base_offset });
                }
                let is_abort = matches!(control, ControlType::Abort { .. });
                is_abort.then(|| self.aborted(batch.producer_id, first_offset, base_offset))
            }
            Some(_) => None,
        }
    }

    fn aborted(
        &self,
        producer_id: ProducerId,
        first_offset: Offset,
        marker: Offset,
    ) -> AbortedTransaction {
        let next_open = self.open.first().map(|(first, _)| *first);
        let last_stable_offset = next_open.unwrap_or(marker + 1);
        AbortedTransaction { producer_id, first_offset, last_offset: marker, last_stable_offset }
    }
}

fn fenced(producer_id: ProducerId, current: ProducerEpoch, found: ProducerEpoch) -> AdmitRefusal {
    AdmitRefusal::ProducerFenced { producer_id, current, found }
}
