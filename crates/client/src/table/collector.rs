//! Collects changes in bounded memory, and gives the newest back in order.

use std::io;
use std::path::PathBuf;

use strandline_ports::World;

use super::changes::{Change, Newest};
use super::spill::{Merge, Spill};
use crate::consumer::ConsumerRecord;

pub(super) struct Collector {
    world: World,
    dir: PathBuf,
    memory_bytes: usize,
    newest: Newest,
    spill: Option<Spill>,
}

impl Collector {
    pub(super) fn new(world: World, dir: PathBuf, memory_bytes: usize) -> Self {
        Self { world, dir, memory_bytes, newest: Newest::default(), spill: None }
    }

    pub(super) async fn add(&mut self, key: &[u8], record: &ConsumerRecord) -> io::Result<()> {
        self.newest.add(key, record);
        if self.newest.bytes() < self.memory_bytes { Ok(()) } else { self.spill().await }
    }

    async fn spill(&mut self) -> io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::create(&self.world, &self.dir).await?),
        };
        while let Some(change) = self.newest.pop_first() {
            spill.put(&change).await?;
        }
        spill.end_run().await
    }

    /// What was collected, and how many bytes of it went to the file.
    pub(super) async fn finish(mut self) -> io::Result<(Collected, u64)> {
        if self.spill.is_some() {
            self.spill().await?;
        }
        match self.spill {
            None => Ok((Collected::Memory(self.newest), 0)),
            Some(spill) => {
                let (merge, spilled_bytes) = spill.merge(self.memory_bytes).await?;
                Ok((Collected::File(merge), spilled_bytes))
            }
        }
    }
}

/// The newest change of each key in each partition, by key and partition.
pub(super) enum Collected {
    Memory(Newest),
    File(Merge),
}

impl Collected {
    pub(super) async fn next(&mut self) -> io::Result<Option<Change>> {
        match self {
            Self::Memory(newest) => Ok(newest.pop_first()),
            Self::File(merge) => merge.next().await,
        }
    }
}
