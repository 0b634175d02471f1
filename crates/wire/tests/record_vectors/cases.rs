//! The batches that Kafka's classes and ours write for each other. The list and the rule for a
//! record's content stand a second time in `interop/records/src/RecordVectors.java`.

use bytes::Bytes;
use strandline_types::{Compression, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use strandline_wire::records::{BatchBuilder, BatchOptions, Header, NewRecord, ProducerFields};

pub(crate) const EPOCH_MS: i64 = 1_700_000_000_000;
pub(crate) const APPEND_TIME: Timestamp = Timestamp(EPOCH_MS + 123_456);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    One,
    Few,
    Many,
    Noise,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Plain,
    LogAppendTime,
    Transactional,
    CommitMarker,
    AbortMarker,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) codec: Compression,
    pub(crate) shape: Shape,
    pub(crate) kind: Kind,
    pub(crate) base_offset: Offset,
}

/// A record's content: timestamp, key, value, headers.
pub(crate) struct Content {
    pub(crate) timestamp: Timestamp,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Shape {
    fn count_and_value_len(self) -> (i32, i32) {
        match self {
            Self::One => (1, 10),
            Self::Few => (40, 30),
            Self::Many => (300, 600),
            Self::Noise => (1, 70_000),
        }
    }

    fn record(self, index: i32) -> Content {
        let mut state = index + 1;
        let value = (0..self.count_and_value_len().1).map(|at| {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            match self {
                Self::Noise => (state >> 16) as u8,
                _ => (index + at / 16) as u8,
            }
        });
        let headers =
            vec![(format!("h{index}").into_bytes(), Some(vec![index as u8])), (b"n".into(), None)];
        Content {
            timestamp: Timestamp(EPOCH_MS + i64::from(index) * 37 % 1000),
            key: (index % 3 != 2).then(|| format!("key-{index}").into_bytes()),
            value: (index % 5 != 4).then(|| value.collect()),
            headers: if index % 4 == 1 { headers } else { Vec::new() },
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |codec, shape, kind| {
        let base_offset = Offset(1000 * cases.len() as i64);
        cases.push(Case { codec, shape, kind, base_offset });
    };
    for codec in Compression::ALL {
        add(codec, Shape::One, Kind::Plain);
        add(codec, Shape::Few, Kind::Plain);
        if codec != Compression::None {
            add(codec, Shape::Many, Kind::Plain);
        }
        add(codec, Shape::Few, Kind::LogAppendTime);
        add(codec, Shape::Few, Kind::Transactional);
    }
    add(Compression::Lz4, Shape::Noise, Kind::Plain);
    add(Compression::None, Shape::One, Kind::CommitMarker);
    add(Compression::None, Shape::One, Kind::AbortMarker);
    cases
}

impl Case {
    pub(crate) fn is_marker(self) -> bool {
        matches!(self.kind, Kind::CommitMarker | Kind::AbortMarker)
    }

    pub(crate) fn contents(self) -> Vec<Content> {
        (0..self.shape.count_and_value_len().0).map(|index| self.shape.record(index)).collect()
    }

    pub(crate) fn build(self) -> Bytes {
        let is_idempotent = self.is_marker() || self.kind == Kind::Transactional;
        let base_sequence = if self.is_marker() { -1 } else { 11 };
        let producer = match is_idempotent {
            true => ProducerFields { id: ProducerId(77), epoch: ProducerEpoch(3), base_sequence },
            false => ProducerFields::NONE,
        };
        let options = BatchOptions {
            base_offset: self.base_offset,
            leader_epoch: LeaderEpoch(5),
            compression: self.codec.into(),
            producer,
            is_transactional: self.kind == Kind::Transactional,
            is_control: false,
            log_append_time: (self.kind == Kind::LogAppendTime).then_some(APPEND_TIME),
        };
        if self.is_marker() {
            let is_commit = self.kind == Kind::CommitMarker;
            return BatchBuilder::end_transaction(options, Timestamp(EPOCH_MS), is_commit, 9);
        }
        let mut builder = BatchBuilder::new(options);
        for content in self.contents() {
            let headers: Vec<_> = content
                .headers
                .iter()
                .map(|(key, value)| Header { key, value: value.as_deref() })
                .collect();
            let record = NewRecord {
                timestamp: content.timestamp,
                key: content.key.as_deref(),
                value: content.value.as_deref(),
                headers: &headers,
            };
            builder.append(&record).expect("the cases are small");
        }
        builder.build()
    }
}
