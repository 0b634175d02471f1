//! A partition that moves to another log dir of this node (KIP-113).

use strandline_store::{Relocation, StoreFault};
use tokio::sync::oneshot;

use super::{CheckpointWanted, Chore, Home, Partition};
use crate::dirs::DirIndex;

impl Partition {
    /// A copy is being made there, or is not any more.
    pub(crate) fn set_moves_to(&self, dir: Option<DirIndex>) {
        self.shown_mut().moves_to = dir;
    }

    /// Puts the copy in the place of the files, which from then on are nobody's; gives where they
    /// are. What the copy lacks is added while no append is under way: those that come meanwhile are
    /// written to the copy.
    ///
    /// # Errors
    /// When a disk refuses: then everything is as it was.
    pub(crate) async fn move_to(
        &self,
        copy: Relocation,
        dir: DirIndex,
    ) -> Result<Home, StoreFault> {
        let (sender, moved) = oneshot::channel();
        let after = {
            let mut core = self.core();
            core.add_chores([Chore::Move(Box::new(copy), dir, sender)]);
            self.route(&mut core, Vec::new(), Vec::new())
        };
        self.settle(after);
        moved.await.unwrap_or_else(|_| Err(StoreFault::Offline { path: self.store().path() }))
    }

    /// Holds the token. Until the copy has its name the old files are the partition; the new
    /// directory's checkpoints speak of it before it has, so that a crash finds both together.
    pub(super) async fn arrive(
        &self,
        mut copy: Relocation,
        dir: DirIndex,
    ) -> Result<Home, StoreFault> {
        let _files = self.files.lock().await;
        if self.view().is_offline {
            return Err(StoreFault::Offline { path: self.store().path() });
        }
        let epochs = self.with_log(|log| log.epochs().entries().to_vec());
        copy.complete(&epochs).await?;
        let (written, checkpointed) = oneshot::channel();
        // Without a receiver the node is stopping.
        let _ = self.context.checkpoints.send(CheckpointWanted { dir, written });
        let stopping = || StoreFault::Offline { path: self.store().path() };
        checkpointed.await.unwrap_or_else(|_| Err(stopping()))?;
        let store = copy.take_over(&self.name.to_string()).await?;
        let old = {
            let mut shown = self.shown_mut();
            shown.moves_to = None;
            std::mem::replace(&mut shown.home, Home { dir, store })
        };
        // There is room here, perhaps, and nobody else will say so.
        self.resume();
        Ok(old)
    }
}
