//! How entries lie in record batches: those without a transaction share batches, a transaction's
//! share batches of its producer, and every marker is a control batch of its own.

use strandline_coordinator::{Core, Entry};
use strandline_types::{Compression, ProducerEpoch, ProducerId, Timestamp};
use strandline_wire::EncodeError;
use strandline_wire::records::{
    BatchBuilder, BatchOptions, BatchRefusal, InspectLimits, InspectedBatch, NewRecord,
    ProducerFields, inspect,
};

/// Why decided entries cannot be appended.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Batch(#[from] BatchRefusal),
}

/// As few batches as the order of the entries and `max.message.bytes` allow.
pub(super) fn batches<C: Core>(
    entries: &[Entry<C::Record>],
    timestamp: Timestamp,
    compression: Compression,
    bytes_max: usize,
) -> Result<Vec<InspectedBatch>, WriteError> {
    let mut packer = Packer { timestamp, compression, bytes_max, open: None, finished: Vec::new() };
    for entry in entries {
        match entry {
            Entry::Record(record) => packer.record::<C>(ProducerFields::NONE, record)?,
            Entry::InTransaction { producer_id, producer_epoch, record } => {
                packer.record::<C>(producer(*producer_id, *producer_epoch), record)?;
            }
            Entry::Marker { producer_id, producer_epoch, coordinator_epoch, is_commit, .. } => {
                let producer = producer(*producer_id, *producer_epoch);
                packer.marker(producer, *coordinator_epoch, *is_commit)?;
            }
        }
    }
    packer.close()?;
    Ok(packer.finished)
}

/// Coordinators' records have no sequence: nobody sends them twice.
fn producer(id: ProducerId, epoch: ProducerEpoch) -> ProducerFields {
    ProducerFields { id, epoch, base_sequence: -1 }
}

struct Packer {
    timestamp: Timestamp,
    compression: Compression,
    bytes_max: usize,
    /// The batch that may take more, and whose it is.
    open: Option<(ProducerFields, BatchBuilder)>,
    finished: Vec<InspectedBatch>,
}

impl Packer {
    fn record<C: Core>(
        &mut self,
        producer: ProducerFields,
        record: &C::Record,
    ) -> Result<(), WriteError> {
        let (key, value) = C::encode(record)?;
        let record = NewRecord {
            timestamp: self.timestamp,
            key: Some(&key),
            value: value.as_deref(),
            headers: &[],
        };
        let bytes_max = self.bytes_max;
        let has_room = |(whose, batch): &(ProducerFields, BatchBuilder)| {
            *whose == producer && batch.fits(&record, bytes_max)
        };
        if !self.open.as_ref().is_some_and(has_room) {
            self.close()?;
        }
        let options = BatchOptions {
            compression: self.compression.into(),
            producer,
            is_transactional: producer != ProducerFields::NONE,
            ..BatchOptions::default()
        };
        let (_, batch) = self.open.get_or_insert_with(|| (producer, BatchBuilder::new(options)));
        // One batch never holds more than a request asked for.
        batch.append(&record).map_err(|_| BatchRefusal::NoBatch)?;
        Ok(())
    }

    fn marker(
        &mut self,
        producer: ProducerFields,
        coordinator_epoch: i32,
        is_commit: bool,
    ) -> Result<(), WriteError> {
        self.close()?;
        let options = BatchOptions { producer, ..BatchOptions::default() };
        let batch =
            BatchBuilder::end_transaction(options, self.timestamp, is_commit, coordinator_epoch);
        self.finished.push(inspect(batch, &InspectLimits::default())?);
        Ok(())
    }

    fn close(&mut self) -> Result<(), WriteError> {
        if let Some((_, batch)) = self.open.take() {
            self.finished.push(inspect(batch.build(), &InspectLimits::default())?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strandline_coordinator::groups::{Record, Settings, Shard};
    use strandline_wire::messages::{OffsetCommitKey, OffsetCommitValue};

    use super::super::load::replay_batch;
    use super::*;

    fn commit(partition: i32, offset: i64) -> Record {
        let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition };
        Record::OffsetCommit(key, Some(OffsetCommitValue { offset, ..Default::default() }))
    }

    fn in_transaction(id: i64, record: Record) -> Entry<Record> {
        let (producer_id, producer_epoch) = (ProducerId(id), ProducerEpoch(3));
        Entry::InTransaction { producer_id, producer_epoch, record }
    }

    fn marker(id: i64, is_commit: bool) -> Entry<Record> {
        let (producer_id, producer_epoch) = (ProducerId(id), ProducerEpoch(3));
        let (coordinator_epoch, bumps_epoch) = (5, false);
        Entry::Marker { producer_id, producer_epoch, coordinator_epoch, is_commit, bumps_epoch }
    }

    #[test]
    fn entries_come_back_as_they_were_written() {
        let entries = [
            Entry::Record(commit(0, 1)),
            Entry::Record(commit(1, 1)),
            in_transaction(7, commit(0, 2)),
            in_transaction(7, commit(2, 2)),
            in_transaction(8, commit(0, 3)),
            Entry::Record(commit(3, 1)),
            marker(8, false),
            marker(7, true),
        ];
        let compression = Compression::default();
        let batches = batches::<Shard>(&entries, Timestamp(1), compression, 1 << 20).unwrap();
        let written = batches.iter().map(|it| {
            (it.facts.record_count, it.facts.producer_id.get(), it.facts.is_transactional)
        });
        let written: Vec<_> = written.collect();
        let expected = [
            (2, -1, false),
            (2, 7, true),
            (1, 8, true),
            (1, -1, false),
            (1, 8, true),
            (1, 7, true),
        ];
        assert_eq!(written, expected);

        let mut direct = Shard::new(Settings::default());
        entries.into_iter().try_for_each(|entry| direct.replay(entry)).unwrap();
        let mut read = Shard::new(Settings::default());
        for batch in batches {
            replay_batch(&mut read, &batch.bytes, &InspectLimits::default()).unwrap();
        }
        assert_eq!(read.durable(), direct.durable());
        let offset =
            |partition| Some(read.durable().offsets.get("g", "t", partition)?.offset.get());
        assert_eq!([0, 1, 2, 3].map(offset), [Some(2), Some(1), Some(2), Some(1)]);
    }
}
