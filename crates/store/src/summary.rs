//! What a clean stop remembers of its logs, so that the next start reads nothing of them. Ours;
//! Kafka ignores the file.
//!
//! It is believed only as long as nobody else was here. Each time a broker (Kafka too) stops it
//! writes the clean stop's file and the checkpoints anew, so the summary names them as they were;
//! and a partition's directory that has gained, lost or renamed a file has another time.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use strandline_log::{
    DecidedTransaction, EpochCache, EpochStart, LogImage, ProducerSnapshot, ProducerStates, Segment,
};
use strandline_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::fault::Result;
use crate::format::clean_shutdown;
use crate::io::Io;
use crate::log_dir::Checkpoint;

pub(crate) const FILE_NAME: &str = ".strandline-summary";
const VERSION: u32 = 2;

#[derive(Default)]
pub(crate) struct Summary(BTreeMap<String, Remembered>);

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    witnesses: Vec<Witness>,
    partitions: BTreeMap<String, Remembered>,
}

/// A file that every stop writes.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Witness {
    name: String,
    bytes: u64,
    modified_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    dir_modified_at: i64,
    log_start: i64,
    recovery_point: i64,
    log_end: i64,
    segments: Vec<[i64; 13]>,
    epochs: Vec<(i32, i64)>,
    producers: Vec<[i64; 8]>,
    /// First offsets and markers.
    decided: Vec<(i64, i64)>,
}

impl Summary {
    /// What is remembered of the directory `name`, if it has not changed since.
    pub(crate) fn take(&mut self, name: &str, modified_at: Timestamp) -> Option<LogImage> {
        let remembered = self.0.remove(name)?;
        if remembered.dir_modified_at != modified_at.as_millis() {
            return None;
        }
        remembered.image()
    }
}

/// Without a file, or with one that does not fit, nothing is remembered.
pub(crate) async fn read(io: &Io, dir: &Path) -> Result<Summary> {
    let Some(bytes) = io.read_whole(&dir.join(FILE_NAME)).await? else {
        return Ok(Summary::default());
    };
    let Some((checksum, body)) = bytes.split_first_chunk() else { return Ok(Summary::default()) };
    if u32::from_be_bytes(*checksum) != crc_fast::crc32_iscsi(body) {
        return Ok(Summary::default());
    }
    let Ok(content) = serde_json::from_slice::<Content>(body) else {
        return Ok(Summary::default());
    };
    let is_believed = content.version == VERSION && content.witnesses == witnesses(io, dir).await?;
    Ok(if is_believed { Summary(content.partitions) } else { Summary::default() })
}

/// Call it last: it describes the other files as they stay.
pub(crate) async fn write(io: &Io, dir: &Path, images: &BTreeMap<String, LogImage>) -> Result<()> {
    let entries = io.list(dir).await?;
    let modified_at = |name: &str| {
        entries.iter().find(|entry| entry.is_dir && entry.name == name).map(|at| at.modified_at)
    };
    let remembered = images.iter().filter_map(|(name, image)| {
        Some((name.clone(), Remembered::new(image, modified_at(name)?)))
    });
    let content = Content {
        version: VERSION,
        witnesses: witnesses(io, dir).await?,
        partitions: remembered.collect(),
    };
    let body = serde_json::to_vec(&content).expect("numbers and text always have a JSON form");
    let mut bytes = crc_fast::crc32_iscsi(&body).to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    io.replace(&dir.join(FILE_NAME), bytes).await
}

async fn witnesses(io: &Io, dir: &Path) -> Result<Vec<Witness>> {
    let names = Checkpoint::ALL.map(Checkpoint::file_name);
    let is_witness = |name: &str| name == clean_shutdown::FILE_NAME || names.contains(&name);
    let entries = io.list(dir).await?.into_iter().filter(|entry| is_witness(&entry.name));
    Ok(entries
        .map(|entry| Witness {
            name: entry.name,
            bytes: entry.len,
            modified_at: entry.modified_at.as_millis(),
        })
        .collect())
}

impl Remembered {
    fn new(image: &LogImage, dir_modified_at: Timestamp) -> Self {
        Self {
            dir_modified_at: dir_modified_at.as_millis(),
            log_start: image.log_start.get(),
            recovery_point: image.recovery_point.get(),
            log_end: image.log_end.get(),
            segments: image.segments.iter().map(segment_numbers).collect(),
            epochs: image
                .epochs
                .entries()
                .iter()
                .map(|entry| (entry.epoch.get(), entry.start.get()))
                .collect(),
            producers: image.producers.snapshot().iter().map(producer_numbers).collect(),
            decided: image
                .producers
                .decided()
                .map(|it| (it.first_offset.get(), it.marker.get()))
                .collect(),
        }
    }

    /// `None` for numbers that no log has.
    fn image(&self) -> Option<LogImage> {
        let segments: Option<Vec<Segment>> = self.segments.iter().map(segment_of).collect();
        let producers: Option<Vec<ProducerSnapshot>> =
            self.producers.iter().map(producer_of).collect();
        let epochs = self
            .epochs
            .iter()
            .map(|&(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
        let segments = segments.filter(|segments| !segments.is_empty())?;
        let mut producers = ProducerStates::from_snapshot(&producers?, Timestamp(0), i64::MAX);
        for &(first_offset, marker) in &self.decided {
            let (first_offset, marker) = (Offset(first_offset), Offset(marker));
            producers.decide(DecidedTransaction { first_offset, marker });
        }
        let image = LogImage {
            segments,
            log_start: Offset(self.log_start),
            recovery_point: Offset(self.recovery_point),
            log_end: Offset(self.log_end),
            epochs: EpochCache::from_checkpoint(epochs),
            producers,
        };
        Some(image).filter(LogImage::is_sound)
    }
}

fn segment_numbers(segment: &Segment) -> [i64; 13] {
    [
        segment.base_offset.get(),
        segment.size_bytes.into(),
        segment.index_entries.into(),
        segment.time_index_entries.into(),
        segment.bytes_since_index_entry.into(),
        segment.first_timestamp.as_millis(),
        segment.created_at.as_millis(),
        segment.modified_at.as_millis(),
        segment.largest_timestamp.as_millis(),
        segment.offset_of_largest.get(),
        segment.last_time_index_timestamp.as_millis(),
        segment.aborted_transactions.into(),
        segment.last_aborted.get(),
    ]
}

fn segment_of(numbers: &[i64; 13]) -> Option<Segment> {
    let &[base, size, index, time_index, since, ..] = numbers;
    let &[.., first, created, modified, largest, at, last, aborted, last_aborted] = numbers;
    Some(Segment {
        base_offset: Offset(base),
        size_bytes: u32::try_from(size).ok()?,
        index_entries: u32::try_from(index).ok()?,
        time_index_entries: u32::try_from(time_index).ok()?,
        bytes_since_index_entry: u32::try_from(since).ok()?,
        first_timestamp: Timestamp(first),
        created_at: Timestamp(created),
        modified_at: Timestamp(modified),
        largest_timestamp: Timestamp(largest),
        offset_of_largest: Offset(at),
        last_time_index_timestamp: Timestamp(last),
        aborted_transactions: u32::try_from(aborted).ok()?,
        last_aborted: Offset(last_aborted),
    })
}

fn producer_numbers(producer: &ProducerSnapshot) -> [i64; 8] {
    [
        producer.producer_id.get(),
        producer.epoch.get().into(),
        producer.last_sequence.into(),
        producer.last_offset.get(),
        producer.offset_delta.into(),
        producer.timestamp.as_millis(),
        producer.coordinator_epoch.into(),
        producer.transaction_first_offset.get(),
    ]
}

fn producer_of(numbers: &[i64; 8]) -> Option<ProducerSnapshot> {
    let &[id, epoch, sequence, offset, delta, timestamp, coordinator_epoch, first] = numbers;
    Some(ProducerSnapshot {
        producer_id: ProducerId(id),
        epoch: ProducerEpoch(i16::try_from(epoch).ok()?),
        last_sequence: i32::try_from(sequence).ok()?,
        last_offset: Offset(offset),
        offset_delta: i32::try_from(delta).ok()?,
        timestamp: Timestamp(timestamp),
        coordinator_epoch: i32::try_from(coordinator_epoch).ok()?,
        transaction_first_offset: Offset(first),
    })
}
