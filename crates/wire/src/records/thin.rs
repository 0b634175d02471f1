//! What compaction leaves of a batch: some of its records, or only its header. Offsets, producer and
//! epoch stay what they were.

use bytes::Bytes;
use strandline_types::{Compression, Timestamp, TimestampType};

use super::header::{
    ATTRIBUTES, BASE_TIMESTAMP, BatchHeader, CHECKSUM, CONTROL, DELETE_HORIZON, HEADER_BYTES,
    LENGTH, LENGTH_END, LOG_APPEND_TIME, MAX_TIMESTAMP, RECORD_COUNT, TRANSACTIONAL,
};
use super::varint::{self, take_i64, take_nullable};
use super::{BatchRefusal, Records};
use crate::compression::{CompressionChoice, compress_into};

/// The batch with those of its `records` for which `kept` holds, in the same codec. A delete horizon
/// takes the place of the base timestamp (KIP-534), without changing when the records are dated.
///
/// Records are copied as they stand; only with a new horizon their timestamps are encoded anew.
///
/// # Errors
/// When the batch is not what its records were read from.
pub fn thin(
    batch: &[u8],
    records: &Records,
    kept: &[bool],
    delete_horizon: Option<Timestamp>,
) -> Result<Bytes, BatchRefusal> {
    let header = BatchHeader::parse(batch).ok_or(BatchRefusal::NoBatch)?;
    let codec = header
        .compression()
        .ok_or(BatchRefusal::UnknownCodec { id: header.attributes() & 0b111 })?;
    let base_timestamp = delete_horizon.unwrap_or(header.base_timestamp());
    let moved_by = header.base_timestamp().0.wrapping_sub(base_timestamp.0);
    let mut thinned = Vec::with_capacity(HEADER_BYTES + records.plain().len());
    thinned.extend_from_slice(header.bytes());
    let mut rest = &records.plain()[..];
    let mut count = 0;
    let mut max_timestamp = Timestamp::NONE;
    for (index, is_kept) in (0..).zip(kept) {
        let malformed = || BatchRefusal::MalformedRecord { index };
        let whole = rest;
        let content = take_nullable(&mut rest).flatten().ok_or_else(malformed)?;
        if !is_kept {
            continue;
        }
        let (attributes, mut after) = content.split_first().ok_or_else(malformed)?;
        let delta = take_i64(&mut after).ok_or_else(malformed)?;
        let created = Timestamp(header.base_timestamp().0.wrapping_add(delta));
        max_timestamp = max_timestamp.max(created);
        count += 1;
        if moved_by == 0 {
            thinned.extend_from_slice(&whole[..whole.len() - rest.len()]);
            continue;
        }
        let delta = delta.wrapping_add(moved_by);
        let len = 1 + varint::encoded_len(delta) + after.len();
        varint::write(len as i64, &mut thinned);
        thinned.push(*attributes);
        varint::write(delta, &mut thinned);
        thinned.extend_from_slice(after);
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        max_timestamp = header.max_timestamp();
    }
    if codec != Compression::None {
        let plain = std::mem::replace(&mut thinned, header.bytes().to_vec());
        let choice = CompressionChoice { codec, level: None };
        compress_into(choice, &plain[HEADER_BYTES..], &mut thinned);
    }
    let horizon = if delete_horizon.is_some() { DELETE_HORIZON } else { 0 };
    let fields = Fields {
        attributes: header.attributes() | horizon,
        base_timestamp,
        max_timestamp,
        record_count: count,
    };
    Ok(fields.seal(thinned))
}

/// The batch without its records.
///
/// # Errors
/// When there is no header.
pub fn emptied(batch: &[u8]) -> Result<Bytes, BatchRefusal> {
    let header = BatchHeader::parse(batch).ok_or(BatchRefusal::NoBatch)?;
    let fields = Fields {
        attributes: header.attributes() & (LOG_APPEND_TIME | TRANSACTIONAL | CONTROL),
        base_timestamp: Timestamp::NONE,
        max_timestamp: header.max_timestamp(),
        record_count: 0,
    };
    Ok(fields.seal(header.bytes().to_vec()))
}

/// What changes in a header.
struct Fields {
    attributes: i16,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    record_count: i32,
}

impl Fields {
    fn seal(self, mut batch: Vec<u8>) -> Bytes {
        let length = (batch.len() - LENGTH_END) as i32;
        let mut put = |position: usize, field: &[u8]| {
            batch[position..position + field.len()].copy_from_slice(field);
        };
        put(LENGTH, &length.to_be_bytes());
        put(ATTRIBUTES, &self.attributes.to_be_bytes());
        put(BASE_TIMESTAMP, &self.base_timestamp.0.to_be_bytes());
        put(MAX_TIMESTAMP, &self.max_timestamp.0.to_be_bytes());
        put(RECORD_COUNT, &self.record_count.to_be_bytes());
        let checksum = crc_fast::crc32_iscsi(&batch[ATTRIBUTES..]);
        batch[CHECKSUM..ATTRIBUTES].copy_from_slice(&checksum.to_be_bytes());
        batch.into()
    }
}

#[cfg(test)]
mod tests {
    use strandline_types::{Offset, ProducerEpoch, ProducerId};

    use super::*;
    use crate::records::{
        BatchBuilder, BatchOptions, Header, InspectLimits, NewRecord, ProducerFields, inspect,
        inspect_header,
    };

    fn batch(codec: Compression, log_append_time: Option<Timestamp>) -> Bytes {
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset(1_000),
            compression: CompressionChoice { codec, level: None },
            producer: ProducerFields {
                id: ProducerId(7),
                epoch: ProducerEpoch(3),
                base_sequence: 40,
            },
            log_append_time,
            ..BatchOptions::default()
        });
        for number in 0..20_u8 {
            let record = NewRecord {
                timestamp: Timestamp(100 + i64::from(number % 7)),
                key: Some(&[number]),
                value: (number % 3 > 0).then_some(&b"some value of some length"[..]),
                headers: &[Header { key: b"h", value: None }],
            };
            builder.append(&record).unwrap();
        }
        builder.build()
    }

    #[test]
    fn the_records_that_are_kept_are_as_they_were() {
        let limits = InspectLimits::default();
        let variants = Compression::ALL.map(|codec| (codec, None)).into_iter();
        let stamped = (Compression::Zstd, Some(Timestamp(5_000)));
        for (codec, log_append_time) in variants.chain([stamped]) {
            for horizon in [None, Some(Timestamp(9_999_999)), Some(Timestamp(5))] {
                let original = batch(codec, log_append_time);
                let records = Records::open(&original, &limits).unwrap();
                let kept: Vec<bool> = (0..20).map(|number| number % 4 == 1).collect();
                let thinned = thin(&original, &records, &kept, horizon).unwrap();
                let left = Records::open(&thinned, &limits).unwrap();
                let kept = records.iter().zip(&kept).filter(|(_, kept)| **kept);
                let expected: Vec<_> = kept.map(|(record, _)| record.unwrap()).collect();
                let found: Vec<_> = left.iter().map(Result::unwrap).collect();
                assert_eq!(found, expected, "{codec:?} {horizon:?}");
                let facts = inspect(thinned.clone(), &limits).unwrap().facts;
                let known = inspect_header(original).unwrap().facts;
                assert_eq!(facts.last_offset(), known.last_offset());
                assert_eq!(facts.last_sequence(), known.last_sequence());
                assert_eq!((facts.producer_id, facts.compression), (known.producer_id, codec));
                assert_eq!(facts.has_delete_horizon, horizon.is_some());
                let header = BatchHeader::parse(&thinned).unwrap();
                assert_eq!(horizon.unwrap_or(Timestamp(100)), header.base_timestamp());
                let newest = log_append_time.unwrap_or(Timestamp(106));
                assert_eq!(header.max_timestamp(), newest, "number 13 stays");
            }
        }
    }

    #[test]
    fn a_horizon_stays_when_more_records_go() {
        let limits = InspectLimits::default();
        let original = batch(Compression::Lz4, None);
        let records = Records::open(&original, &limits).unwrap();
        let once = thin(&original, &records, &[true; 20], Some(Timestamp(77))).unwrap();
        let records = Records::open(&once, &limits).unwrap();
        let mut kept = [false; 20];
        kept[3] = true;
        let twice = inspect(thin(&once, &records, &kept, None).unwrap(), &limits).unwrap();
        assert_eq!(twice.facts.base_timestamp, Timestamp(77));
        assert!(twice.facts.has_delete_horizon);
        assert_eq!((twice.facts.record_count, twice.facts.max_timestamp), (1, Timestamp(103)));
    }

    #[test]
    fn an_empty_batch_tells_of_its_producer() {
        let original = batch(Compression::Gzip, None);
        let known = inspect_header(original.clone()).unwrap().facts;
        let left = inspect_header(emptied(&original).unwrap()).unwrap().facts;
        assert_eq!((left.size_bytes, left.record_count), (HEADER_BYTES as u32, 0));
        assert_eq!(left.last_sequence(), known.last_sequence());
        assert_eq!(
            (left.base_offset, left.last_offset()),
            (known.base_offset, known.last_offset())
        );
        assert_eq!(left.max_timestamp, known.max_timestamp);
        assert_eq!(left.compression, Compression::None);
    }

    #[test]
    fn records_of_another_batch_are_refused() {
        let original = batch(Compression::None, None);
        let records = Records::open(&original, &InspectLimits::default()).unwrap();
        let refused = thin(&original, &records, &[true; 21], None);
        assert_eq!(refused, Err(BatchRefusal::MalformedRecord { index: 20 }));
    }
}
