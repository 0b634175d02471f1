//! Snapshots of the metadata log as bytes (KIP-630, KIP-853): a control batch with the header and
//! who votes, batches of records, a control batch with the footer. `bootstrap.checkpoint` is one,
//! without voters.

use bytes::Bytes;
use strandline_quorum::{ControlRecord, Membership, VoterSet};
use strandline_types::{LeaderEpoch, Offset, Timestamp};
use strandline_wire::messages::{self, SnapshotFooterRecord, SnapshotHeaderRecord};
use strandline_wire::records::{BatchHeader, BatchTail, InspectLimits, Records, batches, inspect};

use super::control::{self, Place, RECORD_OVERHEAD_BYTES};

/// Kafka's largest batch in a snapshot.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The content of a snapshot.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Snapshot {
    /// Time of the newest record that went into it.
    pub(crate) last_timestamp: Timestamp,
    /// `None` with static voters, and in `bootstrap.checkpoint`.
    pub(crate) membership: Option<Membership>,
    /// Framed metadata records.
    pub(crate) records: Vec<Bytes>,
}

/// Why bytes are no snapshot.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SnapshotDamage {
    #[error("byte {position}: {reason}")]
    Batch { position: usize, reason: String },
    #[error("the header record is missing")]
    NoHeader,
    #[error("the footer record is missing: the snapshot was not finished")]
    NoFooter,
}

impl Snapshot {
    /// The batches back to back, dated `now`.
    pub(crate) fn encode(&self, epoch: LeaderEpoch, now: Timestamp) -> Vec<Bytes> {
        let mut next = Place { base_offset: Offset::ZERO, epoch, timestamp: now };
        let header = SnapshotHeaderRecord {
            last_contained_log_timestamp: self.last_timestamp.as_millis(),
            ..Default::default()
        };
        let mut head = vec![messages::ControlRecord::SnapshotHeader(header)];
        if let Some(membership) = &self.membership {
            head.push(control::kraft_version(membership.kraft_version));
            head.push(control::kraft_voters(&membership.voters));
        }
        let mut pieces = vec![control::control_batch(next, &head)];
        next.base_offset = next.base_offset + head.len() as i64;
        let mut rest = self.records.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(fitting(rest));
            // A record that fits no batch fits no log either.
            let batch = control::data_batch(next, some).expect("records of the log fit a batch");
            pieces.push(batch);
            next.base_offset = next.base_offset + some.len() as i64;
            rest = others;
        }
        let footer = messages::ControlRecord::SnapshotFooter(SnapshotFooterRecord::default());
        pieces.push(control::control_batch(next, &[footer]));
        pieces
    }

    /// Reads a whole snapshot; every checksum and record is checked.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, SnapshotDamage> {
        let mut reading = Reading::default();
        let mut position = 0;
        for batch in batches(bytes) {
            let damage = |reason: String| SnapshotDamage::Batch { position, reason };
            let batch = batch.map_err(|tail| damage(tell_tail(tail)))?;
            let len = batch.len();
            reading.batch(batch).map_err(damage)?;
            position += len;
        }
        let last_timestamp = reading.last_timestamp.ok_or(SnapshotDamage::NoHeader)?;
        if !reading.is_finished {
            return Err(SnapshotDamage::NoFooter);
        }
        let membership = reading
            .voters
            .map(|voters| Membership { kraft_version: reading.kraft_version, voters });
        Ok(Self { last_timestamp, membership, records: reading.records })
    }
}

/// What the header record says, given the first batch or more.
pub(super) fn last_timestamp_in(head: &Bytes) -> Option<Timestamp> {
    let first = batches(head).next()?.ok()?;
    let mut reading = Reading::default();
    reading.batch(first).ok()?;
    reading.last_timestamp
}

/// How a file ends that should end with a whole batch.
pub(super) fn tell_tail(tail: BatchTail) -> String {
    match tail {
        BatchTail::Corrupt(refusal) => refusal.to_string(),
        BatchTail::Incomplete { available_bytes, needed_bytes: Some(needed) } => {
            format!("a batch of {needed} bytes is cut after {available_bytes}")
        }
        BatchTail::Incomplete { available_bytes, needed_bytes: None } => {
            format!("{available_bytes} bytes are no batch")
        }
    }
}

/// How many of the first records go into one batch; at least one.
fn fitting(records: &[Bytes]) -> usize {
    let mut bytes = 0;
    let fits = |record: &&Bytes| {
        bytes += record.len() + RECORD_OVERHEAD_BYTES;
        bytes <= BATCH_BYTES_MAX
    };
    records.iter().take_while(fits).count().max(1)
}

#[derive(Default)]
struct Reading {
    last_timestamp: Option<Timestamp>,
    kraft_version: i16,
    voters: Option<VoterSet>,
    records: Vec<Bytes>,
    is_finished: bool,
}

impl Reading {
    fn batch(&mut self, batch: Bytes) -> Result<(), String> {
        if self.is_finished {
            return Err("a batch after the footer".into());
        }
        let values = read_batch(batch)?;
        match values {
            BatchContent::Data(records) => {
                if self.last_timestamp.is_none() {
                    return Err("records before the header".into());
                }
                self.records.extend(records);
            }
            BatchContent::Control(records) => {
                for record in records {
                    self.control(&record);
                }
            }
        }
        Ok(())
    }

    fn control(&mut self, record: &messages::ControlRecord) {
        match record {
            messages::ControlRecord::SnapshotHeader(header) => {
                self.last_timestamp = Some(Timestamp(header.last_contained_log_timestamp));
            }
            messages::ControlRecord::SnapshotFooter(_) => self.is_finished = true,
            other => match control::decode(other) {
                Some(ControlRecord::KraftVersion(level)) => self.kraft_version = level,
                Some(ControlRecord::Voters(voters)) => self.voters = Some(voters),
                Some(ControlRecord::LeaderChange(_)) | None => {}
            },
        }
    }
}

/// What is in a batch of the metadata log or of a snapshot.
pub(super) enum BatchContent {
    Control(Vec<messages::ControlRecord>),
    /// Values of records.
    Data(Vec<Bytes>),
}

/// Checks and reads one batch.
pub(super) fn read_batch(batch: Bytes) -> Result<BatchContent, String> {
    let limits = InspectLimits::default();
    let header = BatchHeader::parse(&batch).ok_or("no batch header")?;
    let is_control = header.is_control();
    let inspected = inspect(batch, &limits).map_err(|refusal| refusal.to_string())?;
    let records = Records::open(&inspected.bytes, &limits).map_err(|error| error.to_string())?;
    let mut values = Vec::new();
    let mut controls = Vec::new();
    for record in &records {
        let record = records.share(&record.map_err(|error| error.to_string())?);
        let value = record.value.ok_or("a record without a value")?;
        if is_control {
            let key = record.key.ok_or("a control record without a key")?;
            let decoded = messages::ControlRecord::decode(&key, &value);
            controls.push(decoded.map_err(|error| error.to_string())?);
        } else {
            values.push(value);
        }
    }
    Ok(if is_control { BatchContent::Control(controls) } else { BatchContent::Data(values) })
}
