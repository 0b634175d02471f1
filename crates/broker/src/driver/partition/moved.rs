//! A partition that moves to another log dir of this node (KIP-113).

use std::path::PathBuf;

use strandline_store::{Relocation, StoreFault};
use strandline_types::Uuid;
use tokio::sync::oneshot;

use super::{CheckpointWanted, Chore, Home, Partition};
use crate::dirs::DirIndex;

/// A copy that is to take the place of the partition's files.
pub(crate) struct Arrival {
    pub(crate) copy: Relocation,
    pub(crate) dir: DirIndex,
    /// Tells the old directory's next name from all others.
    pub(crate) unique: Uuid,
}

/// What became of it.
pub(crate) enum Arrived {
    /// The old files have this path, for somebody to remove. `None` when a disk refused too late to
    /// stay: the partition has moved, and is offline, because the old directory still has its name.
    There(Option<PathBuf>),
    /// More is to be copied than appends may wait for.
    NotYet(Box<Relocation>),
}

impl Partition {
    /// A copy is being made there, or is not any more.
    pub(crate) fn set_moves_to(&self, dir: Option<DirIndex>) {
        self.shown_mut().moves_to = dir;
    }

    /// Puts the copy in the place of the files. The little that it lacks is added while no append is
    /// under way: those that come meanwhile are written to the copy.
    ///
    /// # Errors
    /// When a disk refuses, or the partition is offline or closed: then everything is as it was.
    pub(crate) async fn move_to(&self, arrival: Arrival) -> Result<Arrived, StoreFault> {
        let (sender, moved) = oneshot::channel();
        let after = {
            let mut core = self.core();
            core.add_chores([Chore::Move(Box::new(arrival), sender)]);
            self.route(&mut core, Vec::new(), Vec::new())
        };
        self.settle(after);
        moved.await.unwrap_or_else(|_| Err(self.offline()))
    }

    /// Holds the token. Until the copy has its name the old files are the partition; the new
    /// directory's checkpoints speak of it before it has, so that a crash finds both together.
    pub(super) async fn arrive(&self, arrival: Arrival) -> Result<Arrived, StoreFault> {
        let Arrival { mut copy, dir, unique } = arrival;
        let _files = self.files.lock().await;
        self.check_may_arrive()?;
        let epochs = self.with_log(|log| log.epochs().entries().to_vec());
        if !copy.complete(&epochs).await? {
            return Ok(Arrived::NotYet(Box::new(copy)));
        }
        let (written, checkpointed) = oneshot::channel();
        // Without a receiver the node is stopping.
        let _ = self.context.checkpoints.send(CheckpointWanted { dir, written });
        checkpointed.await.unwrap_or_else(|_| Err(self.offline()))?;
        // The directory that it leaves may have failed meanwhile, and what lay there is offline.
        self.check_may_arrive()?;
        let store = copy.take_over(&self.name, unique).await?;
        let is_durable = store.is_usable();
        let old = {
            let mut shown = self.shown_mut();
            shown.moves_to = None;
            std::mem::replace(&mut shown.home, Home { dir, store })
        };
        // While the token is held: a start that finds the new directory broken must not go on with an
        // old one that lacks what was acknowledged since.
        let left = match is_durable {
            true => old.store.set_deleted(&self.name, unique).await,
            false => Err(self.offline()),
        };
        match left {
            Ok(path) => {
                // There is room here, perhaps, and nobody else will say so.
                self.resume();
                Ok(Arrived::There(Some(path)))
            }
            Err(fault) => {
                self.fault(&fault);
                Ok(Arrived::There(None))
            }
        }
    }
    fn check_may_arrive(&self) -> Result<(), StoreFault> {
        let may_not = self.view().is_offline || self.core().is_closed;
        if may_not { Err(self.offline()) } else { Ok(()) }
    }
}
