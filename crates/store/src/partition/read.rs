//! Reads: whole batches from an offset on, as bytes of the tail cache or as a range of a file.

use std::sync::Arc;

use bytes::Bytes;
use strandline_ports::File;
use strandline_types::Offset;

use super::lookup::{Access, Head, LookupError, SegmentView};
use super::{PartitionStore, TailBatch};
use crate::fault::{Context, Result, StoreFault};
use crate::io::Io;

/// What is read at once to bring cold pages into memory.
const WARM_BYTES: usize = 128 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    /// The first batch of the answer holds this offset, or the first one after it.
    pub from: Offset,
    /// No batch of the answer reaches this offset: the high watermark, the last stable offset, or
    /// the log's end.
    pub upto: Offset,
    pub max_bytes: u32,
    /// Give the first batch even if it is larger than `max_bytes`.
    pub at_least_one_batch: bool,
}

/// Whole batches that stand back to back in one segment.
#[derive(Clone)]
pub struct ReadAnswer {
    pub records: Records,
    /// Where to read on.
    pub next_offset: Offset,
}

#[derive(Clone)]
pub enum Records {
    Empty,
    /// The very bytes that were received.
    Memory(Vec<Bytes>),
    File(FileRange),
}

/// Batches in a file. Its pages were in memory a moment ago. The file stays readable when its
/// segment is deleted; when it is truncated meanwhile, a send ends early and the connection must be
/// closed.
#[derive(Clone)]
pub struct FileRange {
    pub file: Arc<dyn File>,
    pub position: u64,
    pub len: u32,
}

impl Records {
    pub fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Memory(pieces) => pieces.iter().map(Bytes::len).sum(),
            Self::File(range) => range.len as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ReadAnswer {
    pub(super) fn empty(next_offset: Offset) -> Self {
        Self { records: Records::Empty, next_offset }
    }
}

impl FileRange {
    /// Copies the batches out of the file, for whoever cannot send a file.
    ///
    /// # Errors
    /// When the device fails, or the file was truncated.
    pub async fn read(&self, io: &Io) -> std::io::Result<Bytes> {
        let range = self.clone();
        io.run(move |_| {
            let mut bytes = vec![0; range.len as usize];
            let count = range.file.read_at(range.position, &mut bytes)?;
            if count < bytes.len() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Bytes::from(bytes))
        })
        .await
    }

    /// At most `len` bytes from `from` on; `None` behind the end.
    pub fn slice(&self, from: u32, len: u32) -> Option<Self> {
        let left = self.len.checked_sub(from)?;
        let position = self.position + u64::from(from);
        Some(Self { file: Arc::clone(&self.file), position, len: len.min(left) })
    }

    fn is_cached(&self) -> bool {
        self.file.is_cached(self.position, self.len.into())
    }

    /// Brings the pages into memory. Blocking.
    fn warm(&self) -> std::io::Result<()> {
        let mut scratch = vec![0; WARM_BYTES.min(self.len as usize)];
        let end = self.position + u64::from(self.len);
        let mut position = self.position;
        while position < end {
            let len = scratch.len().min((end - position) as usize);
            match self.file.read_at(position, &mut scratch[..len])? {
                0 => break,
                count => position += count as u64,
            }
        }
        Ok(())
    }
}

/// What a lookup in one segment found.
enum Located {
    Range {
        position: u32,
        len: u32,
        next_offset: Offset,
    },
    /// There are no such batches, or none that may be shown.
    Nothing,
    /// The segment ends before the offset: its last batches were compacted away.
    NextSegment,
}

impl PartitionStore {
    /// Reads from one segment. `None` when the offset lies before the first segment: it was deleted
    /// since the caller looked at the log's start.
    ///
    /// # Errors
    /// When the disk refuses or the log is damaged.
    pub async fn read(&self, request: ReadRequest) -> Result<Option<ReadAnswer>> {
        if let Some(answer) = self.read_tail(&request) {
            return Ok(Some(answer));
        }
        let mut from = request.from;
        loop {
            let Some(view) = self.view(from).await? else { return Ok(None) };
            let (view, located) = self.locate(view, ReadRequest { from, ..request }).await;
            match located {
                Ok(Located::Range { position, len, next_offset }) => {
                    let file = Arc::clone(&view.log);
                    let range = FileRange { file, position: position.into(), len };
                    let range = self.warmed(range, view.base_offset).await?;
                    return Ok(Some(ReadAnswer { records: Records::File(range), next_offset }));
                }
                Ok(Located::Nothing) => return Ok(Some(ReadAnswer::empty(request.from))),
                Ok(Located::NextSegment) if view.end > from && view.end < request.upto => {
                    from = view.end;
                }
                Ok(Located::NextSegment) | Err(LookupError::Shorter) => {
                    return Ok(Some(ReadAnswer::empty(request.from)));
                }
                Err(_) if view.generation != self.state().generation => {
                    return Ok(Some(ReadAnswer::empty(request.from)));
                }
                Err(error) => return Err(self.lookup_fault(error, view.base_offset)),
            }
        }
    }

    /// Copies what was read into one buffer, for whoever decodes it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn copied(&self, records: Records) -> Result<Bytes> {
        match records {
            Records::Empty => Ok(Bytes::new()),
            Records::Memory(pieces) => Ok(pieces.concat().into()),
            Records::File(range) => {
                let read = range.read(self.io()).await;
                self.judge(read.context("read", &self.path()))
            }
        }
    }

    /// Without any wait or system call: `None` when the batches are not in the tail cache.
    pub fn read_tail(&self, request: &ReadRequest) -> Option<ReadAnswer> {
        let state = self.state();
        if request.from >= state.end || request.from >= request.upto {
            return Some(ReadAnswer::empty(request.from));
        }
        if state.tail.front()?.base_offset > request.from {
            return None;
        }
        let first = state.tail.partition_point(|batch| batch.next_offset <= request.from);
        let mut pieces = Vec::new();
        let mut bytes_left = request.max_bytes as usize;
        let mut next_offset = request.from;
        for batch in state.tail.range(first..) {
            let TailBatch { header, records, .. } = batch;
            let is_wanted_anyway = pieces.is_empty() && request.at_least_one_batch;
            if batch.next_offset > request.upto
                || (batch.size_bytes() > bytes_left && !is_wanted_anyway)
            {
                break;
            }
            pieces.push(header.clone());
            pieces.push(records.clone());
            bytes_left = bytes_left.saturating_sub(batch.size_bytes());
            next_offset = batch.next_offset;
        }
        let records = if pieces.is_empty() { Records::Empty } else { Records::Memory(pieces) };
        Some(ReadAnswer { records, next_offset })
    }

    /// From memory if possible, else on the pool.
    async fn locate(
        &self,
        view: SegmentView,
        request: ReadRequest,
    ) -> (SegmentView, std::result::Result<Located, LookupError>) {
        match locate(&view, Access::Cached, &request) {
            Err(LookupError::Cold) => {
                self.io()
                    .run(move |_| {
                        let located = locate(&view, Access::Blocking, &request);
                        (view, located)
                    })
                    .await
            }
            located => (view, located),
        }
    }

    async fn warmed(&self, range: FileRange, base_offset: Offset) -> Result<FileRange> {
        if range.is_cached() {
            return Ok(range);
        }
        let cold = range.clone();
        let warmed = self.io().run(move |_| cold.warm()).await;
        let path = self.file_path(super::log_of(base_offset));
        self.judge(warmed.context("read", &path))?;
        Ok(range)
    }

    pub(super) fn lookup_fault(&self, error: LookupError, base_offset: Offset) -> StoreFault {
        let path = self.file_path(super::log_of(base_offset));
        match error {
            LookupError::Corrupt { position, reason } => {
                StoreFault::Corrupt { path, position: position.into(), reason }
            }
            LookupError::Io(error) => {
                self.shared.health.is_broken();
                StoreFault::Io { action: "read", path, source: Arc::new(error) }
            }
            LookupError::Cold | LookupError::Shorter => StoreFault::Corrupt {
                path,
                position: 0,
                reason: "the file is shorter than its segment".into(),
            },
        }
    }
}

fn locate(
    view: &SegmentView,
    access: Access,
    request: &ReadRequest,
) -> std::result::Result<Located, LookupError> {
    let mut heads = view.heads(access);
    let floor = view.floor_offset(access, request.from)?;
    let Some(first) = heads.find(floor, |head| head.last_offset >= request.from)? else {
        return Ok(Located::NextSegment);
    };
    let limit = if request.upto >= view.end {
        view.size_bytes
    } else {
        let floor = view.floor_offset(access, request.upto)?.max(first.position);
        let beyond = heads.find(floor, |head| head.last_offset >= request.upto)?;
        beyond.map_or(view.size_bytes, |head| head.position)
    };
    if first.position >= limit {
        return Ok(Located::Nothing);
    }
    let end = end_of_range(view, &mut heads, access, &first, limit, request)?;
    if end == first.position {
        return Ok(Located::Nothing);
    }
    let next_offset = match heads.at(end)? {
        Some(next) => next.base_offset,
        None => view.end,
    };
    Ok(Located::Range { position: first.position, len: end - first.position, next_offset })
}

/// The last batch boundary within the size limit.
fn end_of_range(
    view: &SegmentView,
    heads: &mut super::lookup::Heads<'_>,
    access: Access,
    first: &Head,
    limit: u32,
    request: &ReadRequest,
) -> std::result::Result<u32, LookupError> {
    let size_limit = first.position.saturating_add(request.max_bytes);
    if size_limit >= limit {
        return Ok(limit);
    }
    if first.end() > size_limit {
        return Ok(if request.at_least_one_batch { first.end() } else { first.position });
    }
    let mut end = view.floor_position(access, size_limit)?.max(first.end());
    while let Some(head) = heads.at(end)?.filter(|head| head.end() <= size_limit) {
        end = head.end();
    }
    Ok(end)
}
