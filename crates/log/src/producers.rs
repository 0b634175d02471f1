//! What a partition remembers of its idempotent producers (KIP-98): enough to answer a repeated
//! batch with its first offset, to refuse a gap, and to fence an older incarnation.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use strandline_types::{
    BatchFacts, Bug, ControlType, Offset, ProducerEpoch, ProducerId, Timestamp, planted,
};

use crate::AdmitRefusal;

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

/// All producers a partition knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerStates(
    // Boxed: a node of the map holds eleven entries, most partitions have one producer or none.
    BTreeMap<ProducerId, Box<Producer>>,
);

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
            states.0.insert(entry.producer_id, Box::new(producer));
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
        self.0.iter().map(|(&id, producer)| entry(id, producer)).collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets producers that have been silent for longer than `expiration_ms` and have no open
    /// transaction. Silence is measured in the time their records carry, as Kafka measures it.
    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.0.retain(|_, producer| {
            producer.transaction_first_offset.is_some()
                || now.millis_since(producer.last_timestamp) <= expiration_ms
        });
    }

    /// Offsets (first, last) and timestamp of the remembered batch that `batch` repeats.
    pub(crate) fn repeated(&self, batch: &BatchFacts) -> Option<(Offset, Offset, Timestamp)> {
        let producer = self.0.get(&batch.producer_id)?;
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
        let Some(producer) = self.0.get(&batch.producer_id) else { return Ok(()) };
        if batch.producer_epoch < producer.epoch {
            return Err(AdmitRefusal::ProducerFenced {
                producer_id: batch.producer_id,
                current: producer.epoch,
                found: batch.producer_epoch,
            });
        }
        producer.check_sequence(batch)?;
        if producer.transaction_first_offset.is_some() && !batch.is_transactional {
            return Err(AdmitRefusal::TransactionState);
        }
        Ok(())
    }

    /// Takes in a batch as it stands in the log.
    pub(crate) fn apply(
        &mut self,
        batch: &BatchFacts,
        base_offset: Offset,
        max_timestamp: Timestamp,
    ) {
        if !batch.is_idempotent() {
            return;
        }
        let producer = self
            .0
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
                }
            }
            Some(
                ControlType::Abort { coordinator_epoch }
                | ControlType::Commit { coordinator_epoch },
            ) => {
                producer.coordinator_epoch = coordinator_epoch;
                producer.transaction_first_offset = None;
            }
            Some(_) => {}
        }
    }
}
