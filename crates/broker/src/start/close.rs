//! A clean stop of what lies on disk. Each partition waits for its own sync, so many are closed at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use strandline_log::LogImage;
use strandline_ports::{Lane, World};
use strandline_store::{Checkpoint, StoreFault};
use strandline_types::BrokerEpoch;
use tokio::sync::mpsc;

use super::broker_role::BrokerRole;
use super::control::Control;
use super::node::Node;
use crate::dirs::DirIndex;
use crate::driver::quorum;
use crate::partitions::Held;

/// Partitions that are closed at the same time.
const CLOSING_MAX: usize = 16;

/// How the partitions of one directory were closed.
#[derive(Default)]
struct ClosedDir {
    images: BTreeMap<String, LogImage>,
    first_fault: Option<StoreFault>,
}

impl ClosedDir {
    /// `None` stands for a log that was not open.
    fn add(&mut self, name: String, closed: Result<Option<LogImage>, StoreFault>) {
        match closed {
            Ok(image) => self.images.extend(image.map(|image| (name, image))),
            Err(fault) => _ = self.first_fault.get_or_insert(fault),
        }
    }

    /// What the next start may take for granted.
    ///
    /// # Errors
    /// When not all of it was closed: then it must not be told that all was.
    fn images(self) -> Result<BTreeMap<String, LogImage>, StoreFault> {
        match self.first_fault {
            None => Ok(self.images),
            Some(fault) => Err(fault),
        }
    }
}

/// Leaves everything on disk as the next start may take it.
///
/// # Errors
/// The first fault. What it does not touch is left clean all the same.
pub(super) async fn close(
    node: &Node,
    control: &Control,
    broker: Option<&BrokerRole>,
) -> Result<(), StoreFault> {
    let mut open = broker.map(|it| it.partitions.all()).unwrap_or_default();
    open.retain(|held| node.dirs.get(held.partition.dir()).is_usable());
    let mut closed = close_all(&node.world, open).await;
    let metadata = control.quorum.stop().await.transpose();
    let mut first_fault = None;
    for (index, dir) in node.dirs.iter().filter(|(_, dir)| dir.is_usable()) {
        let mut closed = closed.remove(&index).unwrap_or_default();
        if index == node.metadata_dir {
            closed.add(quorum::METADATA_DIR.into(), metadata.clone());
        }
        // The next start recovers this directory; that is no reason to recover the others.
        if let Err(fault) = finish(node, broker, index, closed).await {
            tracing::error!(dir = %dir.log.path().display(), %fault, "no clean stop");
            first_fault.get_or_insert(fault);
        }
    }
    first_fault.map_or(Ok(()), Err)
}

async fn finish(
    node: &Node,
    broker: Option<&BrokerRole>,
    index: DirIndex,
    closed: ClosedDir,
) -> Result<(), StoreFault> {
    let mut epoch = BrokerEpoch::NONE;
    if let Some(broker) = broker {
        for kind in Checkpoint::ALL {
            broker.upkeep.checkpoint(index, kind).await?;
        }
        epoch = *broker.lifecycle.broker_epoch.borrow();
    }
    node.dirs.get(index).log.finish(epoch, &closed.images()?).await
}

type Outcome = (Held, Result<LogImage, StoreFault>);

async fn close_all(world: &World, partitions: Vec<Held>) -> BTreeMap<DirIndex, ClosedDir> {
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
        dirs.entry(held.partition.dir()).or_default().add(name, outcome.map(Some));
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
