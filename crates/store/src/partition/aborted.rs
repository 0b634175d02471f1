//! The `.txnindex` files: which transactions were aborted. Only a segment in which one was has such a
//! file, and only whoever reads committed records asks for it.

use std::io;

use bytes::Bytes;
use strandline_log::AbortedTransaction;
use strandline_ports::File;
use strandline_types::Offset;

use super::{FileKey, PartitionStore, ReadAnswer, ReadRequest, StoredSegment};
use crate::fault::{Context, Result, StoreFault};
use crate::format::names::FileKind;
use crate::format::transaction_index::{self, ENTRY_BYTES};

/// Entries that are read at once.
const PAGE_ENTRIES: u32 = 128;

impl PartitionStore {
    /// Adds entries to the index of the active segment. They count once what they speak of is
    /// published: a crash in between leaves entries without markers, which recovery finds.
    pub(super) async fn write_aborted(
        &self,
        segment: Offset,
        aborted: &[AbortedTransaction],
    ) -> Result<()> {
        if aborted.is_empty() {
            return Ok(());
        }
        let at = {
            let mut state = self.state();
            // The name may be new, and a sync of the segment must make it durable.
            state.dir_synced_upto = state.dir_synced_upto.min(segment);
            state.active().map_or(0, |active| active.aborted_transactions)
        };
        let key = index_of(segment);
        let file = self.file(key).await?;
        let bytes = Bytes::from(transaction_index::encode(aborted));
        let at = u64::from(at) * ENTRY_BYTES as u64;
        match file.write_at(at, vec![bytes]).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.write_failed(&file, key, at, error).await),
        }
    }

    /// [`Self::read`] for whoever reads committed records only, with the aborted transactions that
    /// have records in the answer.
    ///
    /// Both are of the same files. The index of a cleaned segment does not tell of a transaction
    /// whose records have gone with it: with records that were read before the swap, readers would
    /// take them for committed.
    ///
    /// # Errors
    /// When the disk refuses, or the log or an index is damaged.
    pub async fn read_committed(
        &self,
        request: ReadRequest,
    ) -> Result<Option<(ReadAnswer, Vec<AbortedTransaction>)>> {
        loop {
            let generation = self.generation();
            let Some(answer) = self.read(request).await? else { return Ok(None) };
            if answer.records.is_empty() {
                return Ok(Some((answer, Vec::new())));
            }
            let found = self.find_aborted(request.from, answer.next_offset).await;
            {
                let state = self.state();
                if state.segments.first().is_none_or(|first| first.base_offset > request.from) {
                    return Ok(None);
                }
                // Some files are shorter by now, and others are not: read when it is over.
                if state.is_being_cut {
                    return Ok(Some((ReadAnswer::empty(request.from), Vec::new())));
                }
                // What failed may have been an index that is shorter by now.
                if state.generation != generation {
                    continue;
                }
            }
            return Ok(Some((answer, self.judge_index(found)?)));
        }
    }

    /// Aborted transactions with records among the offsets `from..upto`, in the order of their
    /// markers. Those may lie behind `upto`.
    ///
    /// # Errors
    /// When the disk refuses, or an index is damaged.
    pub async fn aborted(&self, from: Offset, upto: Offset) -> Result<Vec<AbortedTransaction>> {
        self.judge_index(self.find_aborted(from, upto).await)
    }

    fn judge_index<T>(&self, found: Result<T>) -> Result<T> {
        match found {
            Err(fault @ StoreFault::Corrupt { .. }) => Err(fault),
            found => self.judge(found),
        }
    }

    /// As [`PartitionStore::aborted`], for whoever judges faults differently.
    pub(super) async fn find_aborted(
        &self,
        from: Offset,
        upto: Offset,
    ) -> Result<Vec<AbortedTransaction>> {
        let segments: Vec<StoredSegment> = {
            let state = self.state();
            let may_matter =
                |it: &&StoredSegment| it.aborted_transactions > 0 && it.last_aborted >= from;
            state.segments.iter().filter(may_matter).copied().collect()
        };
        let mut found = Vec::new();
        for segment in segments {
            let key = index_of(segment.base_offset);
            // Without a file the segment has gone, and whoever reads finds out.
            let Some(file) = self.existing_file(key).await? else { continue };
            let searched = self.io().run(move |_| {
                let mut found = Vec::new();
                let is_enough =
                    search(&*file, segment.aborted_transactions, from, upto, &mut found)?;
                Ok::<_, io::Error>((found, is_enough))
            });
            let path = self.file_path(key);
            match searched.await {
                Ok((more, is_enough)) => {
                    found.extend(more);
                    if is_enough {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let reason = error.to_string();
                    return Err(StoreFault::Corrupt { path, position: 0, reason });
                }
                Err(error) => return Err(error).context("read", &path),
            }
        }
        Ok(found)
    }
}

fn index_of(segment: Offset) -> FileKey {
    (segment, FileKind::TransactionIndex)
}

/// True when later segments need not be looked at.
fn search(
    file: &dyn File,
    count: u32,
    from: Offset,
    upto: Offset,
    found: &mut Vec<AbortedTransaction>,
) -> io::Result<bool> {
    let mut at = first_ending_behind(file, count, from)?;
    while at < count {
        let page = read_page(file, at, PAGE_ENTRIES.min(count - at))?;
        at += page.len() as u32;
        for entry in page {
            if entry.first_offset < upto {
                found.push(entry);
            }
            if entry.last_stable_offset >= upto {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Number of the first entry whose marker is at `from` or later: markers ascend.
fn first_ending_behind(file: &dyn File, count: u32, from: Offset) -> io::Result<u32> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = read_page(file, middle, 1)?.pop();
        if entry.is_some_and(|entry| entry.last_offset < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

fn read_page(file: &dyn File, at: u32, count: u32) -> io::Result<Vec<AbortedTransaction>> {
    let mut bytes = vec![0; count as usize * ENTRY_BYTES];
    let read = file.read_at(u64::from(at) * ENTRY_BYTES as u64, &mut bytes)?;
    if read < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    transaction_index::decode(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
