//! Reads a partition of `__consumer_offsets` into a shard.
//!
//! Offsets that a transaction committed (another broker may have written them) count once its
//! commit marker follows; until then, and after an abort, they do not.

use std::collections::BTreeMap;

use bytes::Bytes;
use strandline_coordinator::{Fault, Record, Settings, Shard};
use strandline_replica::{ReadRefusal, Reader};
use strandline_store::StoreFault;
use strandline_types::{ControlType, LeaderEpoch, ProducerId};
use strandline_wire::records::{
    BatchHeader, BatchRefusal, ControlRecordError, InspectLimits, Records, batches, control_type,
};

use crate::driver::partition::{Partition, ReadAt};

/// What is read at once.
const CHUNK_BYTES: u32 = 4 << 20;

/// Why a log cannot be made into a shard.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadRefusal),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Batch(#[from] BatchRefusal),
    #[error(transparent)]
    Control(#[from] ControlRecordError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("a batch is cut short")]
    Cut,
}

pub(super) async fn replay(partition: &Partition, settings: Settings) -> Result<Shard, LoadError> {
    let mut replay = Replay {
        shard: Shard::new(settings),
        open: BTreeMap::new(),
        limits: InspectLimits::default(),
    };
    let view = partition.view();
    let (mut from, end) = (view.log_start, view.log_end);
    while from < end {
        let read = ReadAt {
            from,
            max_bytes: CHUNK_BYTES,
            at_least_one_batch: true,
            reader: Reader::Follower,
            leader_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
        };
        let read = partition.read(read).await?;
        if read.records.is_empty() {
            break;
        }
        replay.batches(&partition.store().copied(read.records).await?)?;
        from = read.next_offset;
    }
    Ok(replay.shard)
}

struct Replay {
    shard: Shard,
    /// What transactions wrote whose markers have not come yet.
    open: BTreeMap<ProducerId, Vec<Record>>,
    limits: InspectLimits,
}

impl Replay {
    fn batches(&mut self, buffer: &Bytes) -> Result<(), LoadError> {
        for batch in batches(buffer) {
            self.batch(&batch.map_err(|_| LoadError::Cut)?)?;
        }
        Ok(())
    }

    fn batch(&mut self, batch: &Bytes) -> Result<(), LoadError> {
        let header = BatchHeader::parse(batch).ok_or(LoadError::Cut)?;
        let producer = header.producer_id();
        let records = Records::open(batch, &self.limits)?;
        for record in &records {
            let record = record?;
            if header.is_control() {
                match control_type(record.key, record.value)? {
                    ControlType::Commit { .. } => {
                        for record in self.open.remove(&producer).unwrap_or_default() {
                            self.shard.replay(record)?;
                        }
                    }
                    ControlType::Abort { .. } => drop(self.open.remove(&producer)),
                    _ => {}
                }
                continue;
            }
            // Copied, or a subscription of a few bytes would keep the whole chunk in memory.
            let Some(key) = record.key.map(Bytes::copy_from_slice) else { continue };
            let value = record.value.map(Bytes::copy_from_slice);
            let decoded = Record::decode(&key, value.as_ref()).map_err(Fault::from)?;
            if header.is_transactional() {
                self.open.entry(producer).or_default().push(decoded);
            } else {
                self.shard.replay(decoded)?;
            }
        }
        Ok(())
    }
}
