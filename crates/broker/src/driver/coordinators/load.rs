//! Reads a partition of a coordinator's topic into its core.

use bytes::Bytes;
use strandline_coordinator::{Core, Entry, Fault};
use strandline_replica::{ReadRefusal, Reader};
use strandline_store::StoreFault;
use strandline_types::{ControlType, LeaderEpoch};
use strandline_wire::records::{
    BatchHeader, BatchRefusal, ControlRecordError, InspectLimits, Records, batches, control_type,
};

use crate::driver::partition::{Partition, ReadAt};

/// What is read at once.
const CHUNK_BYTES: u32 = 4 << 20;

/// Why a log cannot be replayed.
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

pub(super) async fn replay<C: Core>(partition: &Partition, mut core: C) -> Result<C, LoadError> {
    let limits = InspectLimits::default();
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
            // The log ends in a hole, or in what a full disk refused and is to be taken out again.
            break;
        }
        for batch in batches(&partition.store().copied(read.records).await?) {
            replay_batch(&mut core, &batch.map_err(|_| LoadError::Cut)?, &limits)?;
        }
        from = read.next_offset;
    }
    Ok(core)
}

pub(super) fn replay_batch<C: Core>(
    core: &mut C,
    batch: &Bytes,
    limits: &InspectLimits,
) -> Result<(), LoadError> {
    let header = BatchHeader::parse(batch).ok_or(LoadError::Cut)?;
    let (producer_id, producer_epoch) = (header.producer_id(), header.producer_epoch());
    let records = Records::open(batch, limits)?;
    for record in &records {
        let record = record?;
        if header.is_control() {
            let (is_commit, coordinator_epoch) = match control_type(record.key, record.value)? {
                ControlType::Commit { coordinator_epoch } => (true, coordinator_epoch),
                ControlType::Abort { coordinator_epoch } => (false, coordinator_epoch),
                _ => continue,
            };
            core.replay(Entry::Marker {
                producer_id,
                producer_epoch,
                coordinator_epoch,
                is_commit,
                bumps_epoch: false,
            })?;
            continue;
        }
        // Copied, or a subscription of a few bytes would keep the whole chunk in memory.
        let Some(key) = record.key.map(Bytes::copy_from_slice) else { continue };
        let value = record.value.map(Bytes::copy_from_slice);
        let record = C::decode(&key, value.as_ref()).map_err(Fault::from)?;
        core.replay(match header.is_transactional() {
            true => Entry::InTransaction { producer_id, producer_epoch, record },
            false => Entry::Record(record),
        })?;
    }
    Ok(())
}
