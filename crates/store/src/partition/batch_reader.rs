//! Reads a segment batch by batch, a window at a time. Blocking.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use strandline_ports::File;
use strandline_wire::records::{SIZE_PREFIX_BYTES, next_batch_size};

/// What is read at once, unless a batch is larger: the processor still has it near when its batches are
/// looked at.
const WINDOW_BYTES: usize = 256 * 1024;
/// Windows that are kept for the next ones.
const SPARES_MAX: usize = 2;

/// Batches that share the memory of the window that they were read with.
pub(super) struct BatchReader {
    position: u32,
    to: u32,
    window: Bytes,
    batch_bytes_max: usize,
    spares: Spares,
}

/// Memory of windows whose batches are gone. What was read before needs no zeros written over it.
type Spares = Arc<Mutex<Vec<Vec<u8>>>>;

/// A window, as long as somebody has a batch of it.
struct Window {
    bytes: Vec<u8>,
    read: usize,
    spares: Spares,
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.read]
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES_MAX {
            spares.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl BatchReader {
    /// `from` is where a batch begins.
    pub(super) fn new(from: u32, to: u32) -> Self {
        let (window, spares) = Default::default();
        Self { position: from, to, window, batch_bytes_max: usize::MAX, spares }
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
            self.read_window(file, WINDOW_BYTES.min(left))?;
        }
        let Ok(Some(size)) = next_batch_size(&self.window) else { return Ok(None) };
        if size > left.min(self.batch_bytes_max) {
            return Ok(None);
        }
        if self.window.len() < size {
            self.read_window(file, size.max(WINDOW_BYTES).min(left))?;
            if self.window.len() < size {
                return Ok(None);
            }
        }
        self.position += size as u32;
        Ok(Some(self.window.split_to(size)))
    }

    fn read_window(&mut self, file: &dyn File, len: usize) -> io::Result<()> {
        // Its memory may be the next one's.
        self.window = Bytes::new();
        let spare = self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = spare.filter(|it| it.len() >= len).unwrap_or_else(|| vec![0; len]);
        let read = file.read_at(self.position.into(), &mut bytes[..len])?;
        let spares = Arc::clone(&self.spares);
        self.window = Bytes::from_owner(Window { bytes, read, spares });
        Ok(())
    }
}
