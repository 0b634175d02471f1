//! From the bytes of a fetch answer to records.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use strandline_types::{
    ControlType, LeaderEpoch, Offset, PartitionId, ProducerId, Timestamp, TopicPartition,
};
use strandline_wire::messages::fetch_response::AbortedTransaction;
use strandline_wire::records::{
    BatchHeader, BatchRefusal, BatchTail, Batches, InspectLimits, Records, batches, check_checksum,
    control_type,
};

use super::error::ConsumeError;

/// A record that was read. Key, value and headers share the memory of their batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerRecord {
    pub topic: Arc<str>,
    pub partition: PartitionId,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// What one fetch brought of one partition, opened batch by batch as it is read.
pub(super) struct Buffered {
    pub(super) partition: TopicPartition,
    /// Where reading continues.
    pub(super) position: Offset,
    /// Of the batch before `position`, also when all in it was left out; `None` before the first.
    pub(super) leader_epoch: Option<LeaderEpoch>,
    topic: Arc<str>,
    batches: Batches,
    ready: VecDeque<ConsumerRecord>,
    /// Where reading continues when `ready` is empty.
    after_batch: Offset,
    aborted: Aborted,
}

/// Which batches belong to aborted transactions. Nothing is left out unless a list was given.
struct Aborted {
    /// By first offset.
    upcoming: VecDeque<AbortedTransaction>,
    open: BTreeSet<ProducerId>,
}

impl Buffered {
    pub(super) fn new(
        partition: TopicPartition,
        position: Offset,
        bytes: &Bytes,
        mut aborted: Vec<AbortedTransaction>,
    ) -> Self {
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Self {
            topic: partition.topic.as_str().into(),
            partition,
            position,
            leader_epoch: None,
            batches: batches(bytes),
            ready: VecDeque::new(),
            after_batch: position,
            aborted: Aborted { upcoming: aborted.into(), open: BTreeSet::new() },
        }
    }

    /// The next record; `None` when all is read.
    pub(super) fn next(&mut self) -> Result<Option<ConsumerRecord>, ConsumeError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.position = record.offset + 1;
                return Ok(Some(record));
            }
            self.position = self.position.max(self.after_batch);
            match self.batches.next() {
                Some(Ok(batch)) => self.open(&batch).map_err(|refusal| self.corrupt(refusal))?,
                // The answer was cut at its size limit: the next one brings the rest.
                None | Some(Err(BatchTail::Incomplete { .. })) => return Ok(None),
                Some(Err(BatchTail::Corrupt(refusal))) => return Err(self.corrupt(refusal)),
            }
        }
    }

    fn corrupt(&self, refusal: BatchRefusal) -> ConsumeError {
        let (partition, offset) = (self.partition.clone(), self.position);
        ConsumeError::Corrupt { partition, offset, refusal }
    }

    fn open(&mut self, batch: &Bytes) -> Result<(), BatchRefusal> {
        let header = BatchHeader::parse(batch).ok_or(BatchRefusal::NoBatch)?;
        check_checksum(batch)?;
        self.after_batch = header.last_offset() + 1;
        self.leader_epoch = Some(header.leader_epoch());
        self.aborted.advance(header.last_offset());
        if header.is_control() {
            return self.aborted.end(&header, batch);
        }
        if header.is_transactional() && self.aborted.open.contains(&header.producer_id()) {
            return Ok(());
        }
        let records = Records::open(batch, &InspectLimits::default())?;
        let leader_epoch = header.leader_epoch();
        for record in &records {
            let record = record?;
            // A fetch may begin in the middle of a batch.
            if record.offset < self.position {
                continue;
            }
            let shared = records.share(&record);
            self.ready.push_back(ConsumerRecord {
                topic: Arc::clone(&self.topic),
                partition: self.partition.partition,
                offset: shared.offset,
                leader_epoch,
                timestamp: shared.timestamp,
                key: shared.key,
                value: shared.value,
                headers: shared.headers,
            });
        }
        Ok(())
    }
}

impl Aborted {
    fn advance(&mut self, last_offset: Offset) {
        while let Some(next) = self.upcoming.front().filter(|t| t.first_offset <= last_offset.get())
        {
            self.open.insert(ProducerId(next.producer_id));
            self.upcoming.pop_front();
        }
    }

    /// A marker ends the transaction of its producer.
    fn end(&mut self, header: &BatchHeader<'_>, batch: &Bytes) -> Result<(), BatchRefusal> {
        let records = Records::open(batch, &InspectLimits::default())?;
        let Some(marker) = records.iter().next().transpose()? else { return Ok(()) };
        let is_abort =
            matches!(control_type(marker.key, marker.value), Ok(ControlType::Abort { .. }));
        if is_abort {
            self.open.remove(&header.producer_id());
        }
        Ok(())
    }
}
