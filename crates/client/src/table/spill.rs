//! Sorted runs of changes in a temporary file, and their merge.
//!
//! A change in the file, numbers little-endian: the lengths of key and value (u32 each; the
//! largest for null), partition (i32), offset and timestamp (i64 each), key, value.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use strandline_ports::{File, OpenMode, World, blocking};
use strandline_types::{Offset, PartitionId, Timestamp};

use super::changes::Change;

const HEAD_BYTES: usize = 4 + 4 + 4 + 8 + 8;
const NULL: u32 = u32::MAX;
/// What is written, or read of one run, at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Runs that are merged at once, however much memory there is.
const FAN_IN_MAX: usize = 1024;

pub(super) struct Spill {
    world: World,
    file: Arc<dyn File>,
    runs: VecDeque<Range<u64>>,
    /// Where the run that is being written begins.
    run_start: u64,
    /// How far the file is written.
    written: u64,
    chunk: Vec<u8>,
    /// The largest change.
    change_bytes_max: usize,
}

impl Spill {
    /// The file has no name for longer than a moment, so that it is gone when the process is,
    /// however that ends.
    pub(super) async fn create(world: &World, dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("strandline-table-{:016x}", world.entropy.next_u64()));
        let disk = Arc::clone(&world.disk);
        let open = move || {
            let file = disk.open(&path, OpenMode::CreateNew)?;
            disk.remove_file(&path)?;
            Ok::<_, io::Error>(file)
        };
        let file = blocking(&world.spawn, open).await?;
        Ok(Self {
            world: world.clone(),
            file,
            runs: VecDeque::new(),
            run_start: 0,
            written: 0,
            chunk: Vec::new(),
            change_bytes_max: 0,
        })
    }

    /// Continues the run with a change that stands behind all that it has.
    pub(super) async fn put(&mut self, change: &Change) -> io::Result<()> {
        let value_len = change.value.as_ref().map_or(NULL, |value| value.len() as u32);
        let before = self.chunk.len();
        self.chunk.put_u32_le(change.key.len() as u32);
        self.chunk.put_u32_le(value_len);
        self.chunk.put_i32_le(change.partition.get());
        self.chunk.put_i64_le(change.offset.get());
        self.chunk.put_i64_le(change.timestamp.as_millis());
        self.chunk.put_slice(&change.key);
        self.chunk.put_slice(change.value.as_deref().unwrap_or_default());
        self.change_bytes_max = self.change_bytes_max.max(self.chunk.len() - before);
        if self.chunk.len() >= CHUNK_BYTES { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.chunk);
        let (position, len) = (self.written, chunk.len() as u64);
        self.file.write_at(position, vec![chunk.into()]).await?;
        self.written += len;
        Ok(())
    }

    pub(super) async fn end_run(&mut self) -> io::Result<()> {
        self.write().await?;
        if self.written > self.run_start {
            self.runs.push_back(self.run_start..self.written);
            self.run_start = self.written;
        }
        Ok(())
    }

    /// The newest changes of all runs, and how many bytes were written in all. Merges some runs
    /// into one before, as long as all of them would take more than `memory_bytes`.
    pub(super) async fn merge(mut self, memory_bytes: usize) -> io::Result<(Merge, u64)> {
        let each = CHUNK_BYTES + 2 * self.change_bytes_max;
        let fan_in = (memory_bytes / each).clamp(2, FAN_IN_MAX);
        while self.runs.len() > fan_in {
            let some = self.runs.drain(..fan_in).collect();
            let mut merge = self.open(some).await?;
            while let Some(change) = merge.next().await? {
                self.put(&change).await?;
            }
            self.end_run().await?;
        }
        let all = self.runs.drain(..).collect();
        Ok((self.open(all).await?, self.written))
    }

    async fn open(&self, runs: Vec<Range<u64>>) -> io::Result<Merge> {
        let open = |left: Range<u64>| Run {
            world: self.world.clone(),
            file: Arc::clone(&self.file),
            left,
            chunk: Vec::new(),
            at: 0,
        };
        let mut merge =
            Merge { runs: runs.into_iter().map(open).collect(), heads: BinaryHeap::new() };
        for index in 0..merge.runs.len() {
            merge.refill(index).await?;
        }
        Ok(merge)
    }
}

/// Runs read side by side.
pub(super) struct Merge {
    runs: Vec<Run>,
    /// The next change of each run that has one, and which run that is.
    heads: BinaryHeap<Reverse<(Change, usize)>>,
}

impl Merge {
    /// The newest change of the next key and partition.
    pub(super) async fn next(&mut self) -> io::Result<Option<Change>> {
        let Some(mut newest) = self.pop().await? else { return Ok(None) };
        while let Some(Reverse((next, _))) = self.heads.peek()
            && (&next.key, next.partition) == (&newest.key, newest.partition)
        {
            // Offsets ascend.
            newest = self.pop().await?.unwrap_or(newest);
        }
        Ok(Some(newest))
    }

    async fn pop(&mut self) -> io::Result<Option<Change>> {
        let Some(Reverse((change, run))) = self.heads.pop() else { return Ok(None) };
        self.refill(run).await?;
        Ok(Some(change))
    }

    async fn refill(&mut self, index: usize) -> io::Result<()> {
        if let Some(change) = self.runs[index].next().await? {
            self.heads.push(Reverse((change, index)));
        }
        Ok(())
    }
}

struct Run {
    world: World,
    file: Arc<dyn File>,
    /// What is not read yet.
    left: Range<u64>,
    chunk: Vec<u8>,
    /// How much of the chunk is taken.
    at: usize,
}

impl Run {
    async fn next(&mut self) -> io::Result<Option<Change>> {
        if self.at == self.chunk.len() && self.left.is_empty() {
            return Ok(None);
        }
        let mut head = self.have(HEAD_BYTES).await?;
        let (key_len, value_len) = (head.get_u32_le() as usize, head.get_u32_le());
        let partition = PartitionId(head.get_i32_le());
        let (offset, timestamp) = (Offset(head.get_i64_le()), Timestamp(head.get_i64_le()));
        let value_bytes = if value_len == NULL { 0 } else { value_len as usize };
        let whole = self.have(HEAD_BYTES + key_len + value_bytes).await?;
        let (key, value) = whole[HEAD_BYTES..].split_at(key_len);
        let (key, value) = (Box::from(key), Box::from(value));
        self.at += HEAD_BYTES + key_len + value_bytes;
        let value = (value_len != NULL).then_some(value);
        Ok(Some(Change { key, partition, offset, timestamp, value }))
    }

    /// The next `len` bytes, read if they are not here yet.
    async fn have(&mut self, len: usize) -> io::Result<&[u8]> {
        let here = self.chunk.len() - self.at;
        if here < len {
            let missing = (len - here) as u64;
            let in_file = self.left.end - self.left.start;
            if missing > in_file {
                let what = "a change in the temporary file is longer than the file";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            self.chunk.drain(..self.at);
            self.at = 0;
            self.read(missing.max(CHUNK_BYTES as u64).min(in_file) as usize).await?;
        }
        Ok(&self.chunk[self.at..self.at + len])
    }

    async fn read(&mut self, len: usize) -> io::Result<()> {
        let (file, position) = (Arc::clone(&self.file), self.left.start);
        let mut chunk = std::mem::take(&mut self.chunk);
        let read = move || -> io::Result<Vec<u8>> {
            let here = chunk.len();
            chunk.resize(here + len, 0);
            let read = file.read_at(position, &mut chunk[here..])?;
            if read == len { Ok(chunk) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        };
        self.chunk = blocking(&self.world.spawn, read).await?;
        self.left.start += len as u64;
        Ok(())
    }
}
