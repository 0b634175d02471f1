//! What the cores know about a record batch: `wire` reads the bytes, checks them, and hands over
//! only this. So the log needs neither codecs nor checksums, and cannot be confused by them.

use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// The codec of a batch's records, attribute bits 0–2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    pub const fn from_attributes(attributes: i16) -> Option<Self> {
        match attributes & 0b111 {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Who dates the records: the producer, or the leader when it appends. Attribute bit 3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// What a control batch says. Types this version does not know are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ControlType {
    Abort { coordinator_epoch: i32 },
    Commit { coordinator_epoch: i32 },
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KraftVersion,
    KraftVoters,
    Other(i16),
}

/// One record batch of format 2 whose bytes have been checked: length, checksum, and (on the
/// produce path and in recovery) every record inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchFacts {
    /// As found in the bytes: 0 from a producer, the real one from a leader or a file.
    pub base_offset: Offset,
    pub last_offset_delta: i32,
    pub record_count: i32,
    /// Whole batch with its 61-byte header.
    pub size_bytes: u32,
    /// As found in the bytes; the leader's append overwrites it.
    pub leader_epoch: LeaderEpoch,
    pub compression: Compression,
    pub timestamp_type: TimestampType,
    pub is_transactional: bool,
    /// `Some` exactly for control batches; an emptied one is `Other(-1)`.
    pub control: Option<ControlType>,
    /// Set when the base timestamp is a delete horizon, attribute bit 6.
    pub has_delete_horizon: bool,
    pub base_timestamp: Timestamp,
    /// The largest timestamp of the records, −1 when none has one. Where only the header has been
    /// read, its claim.
    pub max_timestamp: Timestamp,
    /// Offset delta of the first record that carries the largest timestamp. Where only the header
    /// has been read, the last offset's.
    pub max_timestamp_delta: i32,
    /// The smallest timestamp of the records that have one (−1 is none), −1 when none has. Where
    /// only the header has been read, its base timestamp.
    pub min_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// −1 when the producer is not idempotent, and in control batches.
    pub base_sequence: i32,
    /// Index of the first record without a key: compacted topics refuse it.
    pub first_keyless: Option<i32>,
}

impl BatchFacts {
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub fn next_offset(&self) -> Offset {
        self.last_offset() + 1
    }

    /// Sequence number of the last record; sequences wrap from 2³¹−1 to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let sum = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        (sum % (i64::from(i32::MAX) + 1)) as i32
    }

    pub fn is_idempotent(&self) -> bool {
        self.producer_id != ProducerId::NONE
    }
}
