//! Reads a segment batch by batch, a window at a time. Blocking.

use std::io;

use bytes::Bytes;
use strandline_ports::File;
use strandline_wire::records::{SIZE_PREFIX_BYTES, next_batch_size};

/// What is read at once, unless a batch is larger.
const WINDOW_BYTES: usize = 1024 * 1024;

/// Batches that share the memory of the window that they were read with.
pub(super) struct BatchReader {
    position: u32,
    to: u32,
    window: Bytes,
    batch_bytes_max: usize,
}

impl BatchReader {
    /// `from` is where a batch begins.
    pub(super) fn new(from: u32, to: u32) -> Self {
        Self { position: from, to, window: Bytes::new(), batch_bytes_max: usize::MAX }
    }

    /// Takes no larger batch for one.
    pub(super) fn with_limit(mut self, batch_bytes_max: usize) -> Self {
        self.batch_bytes_max = batch_bytes_max;
        self
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> u32 {
        self.position
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.position >= self.to
    }

    /// `None` at the end, and where no whole batch stands: then the position stays.
    pub(super) fn next(&mut self, file: &dyn File) -> io::Result<Option<Bytes>> {
        if self.is_at_end() {
            return Ok(None);
        }
        let left = (self.to - self.position) as usize;
        if self.window.len() < SIZE_PREFIX_BYTES.min(left) {
            self.window = read_window(file, self.position, WINDOW_BYTES.min(left))?;
        }
        let Ok(Some(size)) = next_batch_size(&self.window) else { return Ok(None) };
        if size > left.min(self.batch_bytes_max) {
            return Ok(None);
        }
        if self.window.len() < size {
            self.window = read_window(file, self.position, size.max(WINDOW_BYTES).min(left))?;
            if self.window.len() < size {
                return Ok(None);
            }
        }
        self.position += size as u32;
        Ok(Some(self.window.split_to(size)))
    }
}

fn read_window(file: &dyn File, position: u32, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    let count = file.read_at(position.into(), &mut bytes)?;
    bytes.truncate(count);
    Ok(Bytes::from(bytes))
}
