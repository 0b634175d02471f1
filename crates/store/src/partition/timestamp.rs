//! From a time to an offset (KIP-33, KIP-734).

use std::sync::Arc;

use bytes::Bytes;
use strandline_ports::File;
use strandline_types::{LeaderEpoch, Offset, Timestamp};
use strandline_wire::records::{InspectLimits, Records};

use super::PartitionStore;
use super::lookup::{Access, Head, LookupError, SegmentView, read_exact};
use crate::fault::Result;
use crate::format::names::FileKind;
use crate::format::time_index;

/// A record by its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

impl PartitionStore {
    /// The first record at or after `from` in the segment at `segment` whose timestamp is at least
    /// `target`.
    ///
    /// # Errors
    /// When the disk refuses or the log is damaged.
    pub async fn find_timestamp(
        &self,
        segment: Offset,
        target: Timestamp,
        from: Offset,
    ) -> Result<Option<TimestampOffset>> {
        let time_index = self.existing_file((segment, FileKind::TimeIndex)).await?;
        self.search(segment, move |view| {
            let floor = floor_time(view, time_index.as_ref(), target)?;
            let position = view.floor_offset(Access::Blocking, floor.max(from))?;
            let mut heads = view.heads(Access::Blocking);
            let wanted = |head: &Head| head.max_timestamp >= target && head.last_offset >= from;
            let mut position = position;
            while let Some(head) = heads.find(position, wanted)? {
                let is_match = |timestamp, offset| timestamp >= target && offset >= from;
                if let Some(found) = first_record(view, &head, is_match)? {
                    return Ok(Some(found));
                }
                position = head.end();
            }
            Ok(None)
        })
        .await
    }

    /// The first record with the largest timestamp of the batch that ends at `last_offset`.
    ///
    /// # Errors
    /// When the disk refuses or the log is damaged.
    pub async fn largest_timestamp(
        &self,
        segment: Offset,
        last_offset: Offset,
    ) -> Result<Option<TimestampOffset>> {
        self.search(segment, move |view| {
            let position = view.floor_offset(Access::Blocking, last_offset)?;
            let head = view
                .heads(Access::Blocking)
                .find(position, |head| head.last_offset >= last_offset)?;
            let Some(head) = head else { return Ok(None) };
            first_record(view, &head, |timestamp, _| timestamp >= head.max_timestamp)
        })
        .await
    }

    async fn search<T: Send + 'static>(
        &self,
        segment: Offset,
        search: impl FnOnce(&SegmentView) -> std::result::Result<Option<T>, LookupError>
        + Send
        + 'static,
    ) -> Result<Option<T>> {
        let view = self.view(segment).await?.filter(|view| view.base_offset == segment);
        let Some(view) = view else { return Ok(None) };
        match self.io().run(move |_| search(&view)).await {
            Err(LookupError::Shorter) => Ok(None),
            found => found.map_err(|error| self.lookup_fault(error, segment)),
        }
    }
}

/// Offset of the last time index entry that is not above `target`. Entries in memory only are
/// overlooked: the search just begins earlier.
fn floor_time(
    view: &SegmentView,
    index: Option<&Arc<dyn File>>,
    target: Timestamp,
) -> std::result::Result<Offset, LookupError> {
    let Some(index) = index else { return Ok(view.base_offset) };
    let (mut low, mut high) = (0, view.time_index_entries);
    let mut found = view.base_offset;
    while low < high {
        let middle = low + (high - low) / 2;
        let mut bytes = [0; time_index::ENTRY_BYTES];
        let position = u64::from(middle) * time_index::ENTRY_BYTES as u64;
        read_exact(&**index, Access::Blocking, position, &mut bytes)?;
        let entry = time_index::decode_entry(&bytes);
        if entry.timestamp <= target {
            found = view.base_offset + i64::from(entry.relative_offset);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

fn first_record(
    view: &SegmentView,
    head: &Head,
    is_match: impl Fn(Timestamp, Offset) -> bool,
) -> std::result::Result<Option<TimestampOffset>, LookupError> {
    let corrupt = |reason: String| LookupError::Corrupt { position: head.position, reason };
    let mut bytes = vec![0; head.size_bytes as usize];
    read_exact(&*view.log, Access::Blocking, head.position.into(), &mut bytes)?;
    let records = Records::open(&Bytes::from(bytes), &InspectLimits::default())
        .map_err(|refusal| corrupt(refusal.to_string()))?;
    for record in records.iter() {
        let record = record.map_err(|refusal| corrupt(refusal.to_string()))?;
        if is_match(record.timestamp, record.offset) {
            let (timestamp, offset) = (record.timestamp, record.offset);
            return Ok(Some(TimestampOffset {
                timestamp,
                offset,
                leader_epoch: head.leader_epoch,
            }));
        }
    }
    Ok(None)
}
