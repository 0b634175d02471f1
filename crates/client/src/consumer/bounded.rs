//! A read with an end: batch is a stream that stops at a point that was fixed when it began.
//!
//! ```no_run
//! # async fn example(world: strandline_ports::World) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use strandline_client::consumer::{BoundedConfig, BoundedReader, Place};
//! use strandline_client::{Client, ClientConfig};
//!
//! let client = Client::new(world, ClientConfig::new("localhost:9092"));
//! let config = BoundedConfig { until: Place::End, ..BoundedConfig::default() };
//! let mut reader = BoundedReader::open(client, "flights", config).await?;
//! while !reader.is_done() {
//!     for record in reader.poll(Duration::from_secs(1), 500).await? {
//!         println!("{}-{} @{}", record.topic, record.partition, record.offset);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use strandline_types::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicPartition};

use super::{ConsumeError, Consumer, ConsumerConfig, ConsumerRecord, Reset};
use crate::admin::{ListedOffset, OffsetSpec};
use crate::cluster::Client;
use crate::error::ClientError;

/// A point in every partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Where the log begins.
    Beginning,
    /// Where it ends now; for a reader of what is committed, where the first open transaction
    /// begins (the last stable offset).
    End,
    Offset(Offset),
    /// The first record with this timestamp or a later one; without one, where the log ends now.
    Time(Timestamp),
}

/// What to read, and how far.
#[derive(Clone, Debug)]
pub struct BoundedConfig {
    /// How to fetch. Group and reset policy have no effect: a bounded read is no member of a
    /// group, and never goes back.
    pub consumer: ConsumerConfig,
    /// `None` for all partitions.
    pub partitions: Option<Vec<PartitionId>>,
    pub from: Place,
    /// Where partitions begin that do not begin at `from`.
    pub starts: BTreeMap<PartitionId, Offset>,
    /// The first offset that is not read any more.
    pub until: Place,
    /// Waits for records that are not there yet, instead of refusing an end beyond the log's.
    pub may_wait: bool,
}

impl Default for BoundedConfig {
    fn default() -> Self {
        Self {
            consumer: ConsumerConfig::default(),
            partitions: None,
            from: Place::Beginning,
            starts: BTreeMap::new(),
            until: Place::End,
            may_wait: false,
        }
    }
}

/// How far a bounded read has come, in offsets: compaction and transactions leave some of them
/// without a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    pub passed: u64,
    pub total: u64,
}

/// Reads partitions of one topic up to ends that are fixed when it opens.
///
/// An end is reached when the position has come to it, whether or not the offsets before it hold
/// records. What was read is never read again: a log that was truncated below the position, or
/// below the end, is an error. What retention deletes under the reader is passed over, like all
/// that was deleted before.
pub struct BoundedReader {
    consumer: Consumer,
    topic: String,
    spans: BTreeMap<PartitionId, Span>,
    may_wait: bool,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: Offset,
    position: Offset,
    end: Offset,
    /// Of the leader that said where its log ends.
    leader_epoch: LeaderEpoch,
}

impl Span {
    fn is_done(&self) -> bool {
        self.position >= self.end
    }
}

impl BoundedReader {
    /// Fixes where each partition begins and ends.
    ///
    /// # Errors
    /// [`ConsumeError::BeyondEnd`] when an end lies beyond the log's and the reader may not wait.
    pub async fn open(
        client: Client,
        topic: &str,
        config: BoundedConfig,
    ) -> Result<Self, ConsumeError> {
        let known = client.existing_topic(topic, false).await?;
        let all = || known.partitions.iter().map(|partition| partition.index).collect();
        let partitions: Vec<_> = config.partitions.unwrap_or_else(all);
        let consumer = ConsumerConfig { group: None, reset: Reset::None, ..config.consumer };
        let mut reader = Self {
            consumer: Consumer::new(client, consumer),
            topic: topic.to_owned(),
            spans: BTreeMap::new(),
            may_wait: config.may_wait,
        };
        let firsts = reader.list(&partitions, OffsetSpec::Earliest).await?;
        let lasts = reader.list(&partitions, OffsetSpec::Latest).await?;
        let from = reader.places(&partitions, config.from, &firsts, &lasts).await?;
        let until = reader.places(&partitions, config.until, &firsts, &lasts).await?;
        for (index, last) in &lasts {
            let start = config.starts.get(index).or(from.get(index)).copied();
            let first = firsts.get(index).map_or(Offset::ZERO, |first| first.offset);
            let start = start.unwrap_or(first).max(first);
            let end = until.get(index).copied().unwrap_or(last.offset);
            let leader_epoch = last.leader_epoch;
            reader.spans.insert(*index, Span { start, position: start, end, leader_epoch });
        }
        reader.check_ends(&lasts)?;
        reader.assign();
        for (index, span) in &reader.spans {
            if !span.is_done() {
                let partition = TopicPartition { topic: topic.to_owned(), partition: *index };
                reader.consumer.seek(&partition, span.position)?;
            }
        }
        Ok(reader)
    }

    /// Whether all ends are reached.
    pub fn is_done(&self) -> bool {
        self.spans.values().all(Span::is_done)
    }

    pub fn progress(&self) -> Progress {
        let between = |from: Offset, to: Offset| (to.get() - from.get()).max(0).cast_unsigned();
        self.spans.values().fold(Progress::default(), |sum, span| Progress {
            passed: sum.passed + between(span.start, span.position.min(span.end)),
            total: sum.total + between(span.start, span.end),
        })
    }

    /// Where another reader goes on: what was returned lies before, and nothing else. Past the end
    /// only where this one began behind it.
    pub fn positions(&self) -> BTreeMap<PartitionId, Offset> {
        let of = |(index, span): (&PartitionId, &Span)| {
            (*index, span.position.min(span.end.max(span.start)))
        };
        self.spans.iter().map(of).collect()
    }

    /// Why nothing comes at the moment, when brokers do not answer.
    pub fn trouble(&self) -> Option<ClientError> {
        self.consumer.trouble()
    }

    /// Returns up to `records_max` records as soon as there are some; none when `wait` is over, or
    /// when what came holds none that is to be returned.
    ///
    /// # Errors
    /// [`ConsumeError::Truncated`] or [`ConsumeError::BeyondEnd`] when the log is no longer the one
    /// that the read began with.
    pub async fn poll(
        &mut self,
        wait: Duration,
        records_max: usize,
    ) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        self.consumer.config.poll_records_max = records_max;
        let mut records = match self.consumer.poll(wait).await {
            Ok(records) => records,
            Err(ConsumeError::OutOfRange { partition, offset }) => {
                self.pass_over_deleted(partition, offset).await?;
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let has_waited = records.is_empty();
        records.retain(|record| {
            self.spans.get(&record.partition).is_some_and(|span| record.offset < span.end)
        });
        let has_moved = self.advance()?;
        if has_waited && !has_moved && !self.may_wait && self.trouble().is_none() {
            self.look_at_ends().await?;
        }
        Ok(records)
    }

    /// Takes over how far the consumer has come. Whether that is farther than before.
    fn advance(&mut self) -> Result<bool, ConsumeError> {
        let mut has_moved = false;
        let mut has_ended = false;
        for partition in self.consumer.assignment() {
            let position = self.consumer.position(&partition)?;
            let Some(span) = self.spans.get_mut(&partition.partition) else { continue };
            let position = position.unwrap_or(span.position);
            has_moved |= position > span.position;
            span.position = position;
            has_ended |= span.is_done();
        }
        if has_ended {
            self.assign();
        }
        Ok(has_moved)
    }

    /// What has reached its end is not fetched any more.
    fn assign(&mut self) {
        let left = self.spans.iter().filter(|(_, span)| !span.is_done());
        let left =
            left.map(|(index, _)| TopicPartition { topic: self.topic.clone(), partition: *index });
        self.consumer.assign(left.collect::<Vec<_>>());
    }

    async fn list(
        &self,
        partitions: &[PartitionId],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<PartitionId, ListedOffset>, ConsumeError> {
        let partition =
            |index: &PartitionId| TopicPartition { topic: self.topic.clone(), partition: *index };
        let partitions: Vec<_> = partitions.iter().map(partition).collect();
        let listed = self.consumer.listed(&partitions, spec).await?;
        Ok(listed.into_iter().map(|(partition, listed)| (partition.partition, listed)).collect())
    }

    /// The offsets that a place stands for. Times are looked up last, and count up to the ends
    /// that were seen before: what has come in between lies behind them.
    async fn places(
        &self,
        partitions: &[PartitionId],
        place: Place,
        firsts: &BTreeMap<PartitionId, ListedOffset>,
        lasts: &BTreeMap<PartitionId, ListedOffset>,
    ) -> Result<BTreeMap<PartitionId, Offset>, ConsumeError> {
        let timed = match place {
            Place::Time(at) => self.list(partitions, OffsetSpec::At(at)).await?,
            _ => BTreeMap::new(),
        };
        let of = |(index, last): (&PartitionId, &ListedOffset)| {
            let offset = match place {
                Place::Beginning => firsts.get(index)?.offset,
                Place::End => last.offset,
                Place::Offset(offset) => offset,
                Place::Time(_) => match timed.get(index)?.offset {
                    none if none < Offset::ZERO => last.offset,
                    found => found.min(last.offset),
                },
            };
            Some((*index, offset))
        };
        Ok(lasts.iter().filter_map(of).collect())
    }

    /// Whether the log still goes as far as was promised, now that nothing comes.
    async fn look_at_ends(&self) -> Result<(), ConsumeError> {
        let left = self.spans.iter().filter(|(_, span)| !span.is_done());
        let left: Vec<_> = left.map(|(index, _)| *index).collect();
        match self.list(&left, OffsetSpec::Latest).await {
            Ok(lasts) => self.check_ends(&lasts),
            Err(error) if error.is_retriable() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn check_ends(&self, lasts: &BTreeMap<PartitionId, ListedOffset>) -> Result<(), ConsumeError> {
        for (index, last) in lasts {
            let Some(span) = self.spans.get(index).filter(|span| !span.is_done()) else { continue };
            // A former leader that nobody hears any more may not have what the next one promised.
            if self.may_wait || last.leader_epoch < span.leader_epoch || last.offset >= span.end {
                continue;
            }
            let partition = TopicPartition { topic: self.topic.clone(), partition: *index };
            let (until, end) = (span.end, last.offset);
            return Err(ConsumeError::BeyondEnd { partition, until, end });
        }
        Ok(())
    }

    /// Goes on where the log begins now; an offset beyond its end is another matter.
    async fn pass_over_deleted(
        &mut self,
        partition: TopicPartition,
        offset: Offset,
    ) -> Result<(), ConsumeError> {
        let firsts = self.list(&[partition.partition], OffsetSpec::Earliest).await?;
        match firsts.get(&partition.partition) {
            Some(first) if first.offset > offset => self.consumer.seek(&partition, first.offset),
            _ => Err(ConsumeError::OutOfRange { partition, offset }),
        }
    }
}
