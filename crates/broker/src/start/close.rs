//! Closes all partitions at a clean stop. Each waits for its own sync, so many go at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use strandline_log::LogImage;
use strandline_ports::{Lane, World};
use strandline_store::StoreFault;
use tokio::sync::mpsc;

use crate::dirs::DirIndex;
use crate::partitions::Held;

/// Partitions that are closed at the same time.
const CLOSING_MAX: usize = 16;

/// How the partitions of one directory were closed.
#[derive(Default)]
pub(super) struct ClosedDir {
    images: BTreeMap<String, LogImage>,
    first_fault: Option<StoreFault>,
}

impl ClosedDir {
    /// `None` stands for a log that was not open.
    pub(super) fn add(&mut self, name: String, closed: Result<Option<LogImage>, StoreFault>) {
        match closed {
            Ok(image) => self.images.extend(image.map(|image| (name, image))),
            Err(fault) => _ = self.first_fault.get_or_insert(fault),
        }
    }

    /// What the next start may take for granted.
    ///
    /// # Errors
    /// When not all of it was closed: then it must not be told that all was.
    pub(super) fn images(self) -> Result<BTreeMap<String, LogImage>, StoreFault> {
        match self.first_fault {
            None => Ok(self.images),
            Some(fault) => Err(fault),
        }
    }
}

type Outcome = (Held, Result<LogImage, StoreFault>);

pub(super) async fn close_all(
    world: &World,
    partitions: Vec<Held>,
) -> BTreeMap<DirIndex, ClosedDir> {
    let workers = CLOSING_MAX.min(partitions.len());
    let queue = Arc::new(Mutex::new(VecDeque::from(partitions)));
    let (closed_in, mut closed) = mpsc::unbounded_channel();
    for _ in 0..workers {
        let worker = close_queued(Arc::clone(&queue), closed_in.clone());
        world.spawn.spawn(Lane::Data, Box::pin(worker));
    }
    drop(closed_in);
    let mut dirs: BTreeMap<DirIndex, ClosedDir> = BTreeMap::new();
    while let Some((held, outcome)) = closed.recv().await {
        let name = held.partition.name().to_string();
        dirs.entry(held.dir).or_default().add(name, outcome.map(Some));
    }
    dirs
}

async fn close_queued(queue: Arc<Mutex<VecDeque<Held>>>, out: mpsc::UnboundedSender<Outcome>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(held) = next else { return };
        let outcome = held.partition.close().await;
        // The receiver waits for all of them.
        let _ = out.send((held, outcome));
    }
}
