//! The table that a log of changes stands for at a moment: the newest value of every key, a null
//! value for a key that was deleted.
//!
//! The log is read once. Newest values are held sorted by key; when they reach
//! [`TableConfig::memory_bytes`] they are written as a sorted run to a temporary file, and at the
//! end the runs are merged: so a table may be larger than memory, and comes sorted by key.
//!
//! Within a partition the later offset is the newer, as for Kafka's log cleaner. A key should be
//! in one partition only; one that is in several, because partitions were added for example, has
//! one row all the same, by the later timestamp, in a tie by the higher partition. Such keys are
//! counted, and so are records without a key, which are in no row.
//!
//! A log that is compacted keeps only the newest value: a moment before the cleaner's last run is
//! shown without the keys that have changed since.
//!
//! ```no_run
//! # async fn example(world: strandline_ports::World) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use strandline_client::table::{TableConfig, TableReader};
//! use strandline_client::{Client, ClientConfig};
//!
//! let client = Client::new(world, ClientConfig::new("localhost:9092"));
//! let mut reader = TableReader::open(client, "board", TableConfig::new("/tmp")).await?;
//! while !reader.is_done() {
//!     reader.poll(Duration::from_secs(1)).await?;
//!     println!("{:?}", reader.progress());
//! }
//! let mut table = reader.finish().await?;
//! while let Some(row) = table.next().await? {
//!     println!("{:?} is {:?} since {:?}", row.key, row.value, row.timestamp);
//! }
//! println!("{:?}", table.summary());
//! # Ok(())
//! # }
//! ```

mod changes;
mod collector;
mod spill;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use strandline_types::{Offset, PartitionId, Timestamp};

use crate::cluster::Client;
use crate::consumer::{
    BoundedConfig, BoundedReader, ConsumeError, ConsumerConfig, Place, Progress,
};
use crate::error::ClientError;
use crate::producer::partition_of_key;
use changes::Change;
use collector::{Collected, Collector};

/// Records that one poll takes in at most.
const POLL_RECORDS_MAX: usize = 500;

/// Which rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rows {
    All,
    /// Of one key, read only in the partition where Kafka's default partitioner puts it.
    Of(Bytes),
    /// Of one key, wherever it is.
    OfAnywhere(Bytes),
}

#[derive(Clone, Debug)]
pub struct TableConfig {
    pub rows: Rows,
    /// The moment: changes before this place count.
    pub at: Place,
    /// Leaves out changes of transactions that are open or aborted.
    pub is_read_committed: bool,
    /// What newest values may take, with what it costs to keep them sorted, before they go to the
    /// file; merging takes no more, unless two changes are larger. Fetching takes as much again
    /// for each broker (at least 1 MiB, at most 50), and the batch being read.
    pub memory_bytes: usize,
    /// Where the temporary file goes. It needs room for what is in no key's newest value in memory
    /// yet: at most all changes, uncompressed.
    pub spill_dir: PathBuf,
}

impl TableConfig {
    /// All rows as of now, in 64 MiB.
    pub fn new(spill_dir: impl Into<PathBuf>) -> Self {
        Self {
            rows: Rows::All,
            at: Place::End,
            is_read_committed: false,
            memory_bytes: 64 << 20,
            spill_dir: spill_dir.into(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error(transparent)]
    Consume(#[from] ConsumeError),
    #[error("the temporary file in {} fails: {error}", dir.display())]
    Spill { dir: PathBuf, error: io::Error },
}

impl TableError {
    fn spill(dir: &Path, error: io::Error) -> Self {
        Self::Spill { dir: dir.to_owned(), error }
    }
}

/// One key and its newest value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub key: Bytes,
    pub value: Bytes,
    /// Where the value comes from.
    pub partition: PartitionId,
    pub offset: Offset,
    pub timestamp: Timestamp,
}

/// What was counted on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Records with a key that was asked for.
    pub changes: u64,
    /// Records without a key: they are in no row.
    pub keyless: u64,
    pub rows: u64,
    /// Keys whose newest value is null.
    pub deleted: u64,
    /// Keys that more than one partition has.
    pub in_several_partitions: u64,
    /// Written to the temporary file.
    pub spilled_bytes: u64,
}

/// Reads the changes of a topic.
pub struct TableReader {
    reader: BoundedReader,
    rows: Rows,
    collector: Collector,
    dir: PathBuf,
    summary: Summary,
}

impl TableReader {
    /// Fixes the moment.
    ///
    /// # Errors
    /// [`ConsumeError::BeyondEnd`] when the moment is an offset beyond the end of a partition.
    pub async fn open(
        client: Client,
        topic: &str,
        config: TableConfig,
    ) -> Result<Self, TableError> {
        let partitions = match &config.rows {
            Rows::Of(key) => {
                let topic = client.existing_topic(topic, false).await;
                let topic = topic.map_err(ConsumeError::from)?;
                Some(vec![partition_of_key(key, topic.partitions.len())])
            }
            Rows::All | Rows::OfAnywhere(_) => None,
        };
        let consumer = ConsumerConfig {
            is_read_committed: config.is_read_committed,
            fetch_bytes_max: config.memory_bytes.clamp(1 << 20, 50 << 20) as i32,
            ..ConsumerConfig::default()
        };
        let until = config.at;
        let bounded = BoundedConfig { consumer, partitions, until, ..BoundedConfig::default() };
        let world = client.world().clone();
        let reader = BoundedReader::open(client, topic, bounded).await?;
        let TableConfig { rows, spill_dir: dir, memory_bytes, .. } = config;
        let collector = Collector::new(world, dir.clone(), memory_bytes);
        Ok(Self { reader, rows, collector, dir, summary: Summary::default() })
    }

    /// Whether all changes before the moment are read.
    pub fn is_done(&self) -> bool {
        self.reader.is_done()
    }

    pub fn progress(&self) -> Progress {
        self.reader.progress()
    }

    /// Why nothing comes at the moment, when brokers do not answer.
    pub fn trouble(&self) -> Option<ClientError> {
        self.reader.trouble()
    }

    /// Takes in changes as soon as there are some, or none when `wait` is over.
    ///
    /// # Errors
    /// As [`BoundedReader::poll`], or when the temporary file fails.
    pub async fn poll(&mut self, wait: Duration) -> Result<(), TableError> {
        for record in self.reader.poll(wait, POLL_RECORDS_MAX).await? {
            let Some(key) = &record.key else {
                self.summary.keyless += 1;
                continue;
            };
            if matches!(&self.rows, Rows::Of(of) | Rows::OfAnywhere(of) if of != key) {
                continue;
            }
            self.summary.changes += 1;
            let added = self.collector.add(key, &record).await;
            added.map_err(|error| TableError::spill(&self.dir, error))?;
        }
        Ok(())
    }

    /// The table, once everything is read: now, as far as it is not.
    ///
    /// # Errors
    /// As [`TableReader::poll`].
    pub async fn finish(mut self) -> Result<Table, TableError> {
        while !self.is_done() {
            self.poll(Duration::from_secs(1)).await?;
        }
        let Self { collector, dir, summary, .. } = self;
        let collected = collector.finish().await;
        let (changes, spilled_bytes) = collected.map_err(|error| TableError::spill(&dir, error))?;
        Ok(Table { changes, ahead: None, dir, summary: Summary { spilled_bytes, ..summary } })
    }
}

/// The rows of a table, in the order of their keys.
pub struct Table {
    changes: Collected,
    /// The first change of the next key.
    ahead: Option<Change>,
    dir: PathBuf,
    summary: Summary,
}

impl Table {
    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// When the temporary file fails.
    pub async fn next(&mut self) -> Result<Option<Row>, TableError> {
        while let Some(newest) = self.next_key().await? {
            let Change { key, partition, offset, timestamp, value } = newest;
            let Some(value) = value else {
                self.summary.deleted += 1;
                continue;
            };
            self.summary.rows += 1;
            let (key, value) = (key.into(), value.into());
            return Ok(Some(Row { key, value, partition, offset, timestamp }));
        }
        Ok(None)
    }

    /// What has been counted so far; rows as far as they were taken.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// What counts of the next key, whichever partitions have it.
    async fn next_key(&mut self) -> Result<Option<Change>, TableError> {
        let first = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => self.next_change().await?,
        };
        let Some(mut newest) = first else { return Ok(None) };
        let mut is_in_several = false;
        while let Some(next) = self.next_change().await? {
            if next.key != newest.key {
                self.ahead = Some(next);
                break;
            }
            is_in_several = true;
            // Partitions ascend, so that the higher one wins a tie.
            if next.timestamp >= newest.timestamp {
                newest = next;
            }
        }
        self.summary.in_several_partitions += u64::from(is_in_several);
        Ok(Some(newest))
    }

    async fn next_change(&mut self) -> Result<Option<Change>, TableError> {
        self.changes.next().await.map_err(|error| TableError::spill(&self.dir, error))
    }
}
