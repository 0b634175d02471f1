//! Batches written, inspected, stamped, rebuilt and read again; and batches damaged on purpose.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::prelude::*;
use strandline_types::{
    Compression, ControlType, ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp,
    TimestampType,
};
use strandline_wire::compression::{CompressionChoice, DecompressError, compress_into, decompress};
use strandline_wire::records::{
    BatchBuilder, BatchHeader, BatchOptions, BatchRefusal, BatchTail, HEADER_BYTES, Header,
    InspectLimits, InspectedBatch, NewRecord, ProducerFields, Record, Records, batches, inspect,
    inspect_header,
};

const LIMITS: InspectLimits = InspectLimits {
    expanded_bytes_max: 64 << 20,
    expansion_ratio_max: 1_000,
    expanded_bytes_free: 1 << 20,
};

/// What a test says about a record: offset delta, timestamp, key, value, headers.
#[derive(Clone, Debug)]
struct Given {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Given {
    fn of(timestamp: i64, key: Option<&str>, value: &[u8]) -> Self {
        let key = key.map(|key| key.as_bytes().to_vec());
        Self { timestamp, key, value: Some(value.to_vec()), headers: Vec::new() }
    }
}

fn build_at(options: BatchOptions, records: &[(i32, Given)]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (delta, given) in records {
        let headers: Vec<_> = given
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref() })
            .collect();
        let record = NewRecord {
            timestamp: Timestamp(given.timestamp),
            key: given.key.as_deref(),
            value: given.value.as_deref(),
            headers: &headers,
        };
        builder.append_at(*delta, &record).unwrap();
    }
    builder.build()
}

fn build(options: BatchOptions, records: &[Given]) -> Bytes {
    build_at(options, &(0..).zip(records.iter().cloned()).collect::<Vec<_>>())
}

fn with_codec(codec: Compression) -> BatchOptions {
    BatchOptions { compression: codec.into(), ..BatchOptions::default() }
}

fn read_all(batch: &Bytes) -> Vec<Record> {
    let records = Records::open(batch, &LIMITS).unwrap();
    records.iter().map(|record| records.share(&record.unwrap())).collect()
}

fn given_record() -> impl Strategy<Value = Given> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    let patterned = (any::<u8>(), 0..3000usize).prop_map(|(byte, len)| vec![byte; len]);
    (
        -1..5_000_000_000_000i64,
        proptest::option::of(bytes()),
        proptest::option::of(prop_oneof![bytes(), patterned]),
        proptest::collection::vec(("[a-z]{0,8}", proptest::option::of(bytes())), 0..3),
    )
        .prop_map(|(timestamp, key, value, headers)| Given { timestamp, key, value, headers })
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(&Compression::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_written_is_read(
        codec in codec(),
        given in proptest::collection::vec(given_record(), 1..60),
        base_offset in 0..i64::MAX / 2,
    ) {
        let options = BatchOptions { base_offset: Offset(base_offset), ..with_codec(codec) };
        let batch = build(options, &given);
        let inspected = inspect(batch.clone(), &LIMITS).unwrap();
        let timestamps: Vec<i64> = given.iter().map(|record| record.timestamp).collect();
        let max = *timestamps.iter().max().unwrap();
        let facts = &inspected.facts;
        prop_assert!(inspected.offsets_are_dense);
        prop_assert_eq!(facts.record_count as usize, given.len());
        prop_assert_eq!(facts.last_offset_delta as usize, given.len() - 1);
        prop_assert_eq!(facts.size_bytes as usize, batch.len());
        prop_assert_eq!(facts.compression, codec);
        prop_assert_eq!(facts.max_timestamp, Timestamp(max));
        if max >= 0 {
            let first = timestamps.iter().position(|timestamp| *timestamp == max).unwrap();
            prop_assert_eq!(facts.max_timestamp_delta as usize, first);
        }
        let min = timestamps.iter().filter(|timestamp| **timestamp != -1).min();
        prop_assert_eq!(facts.min_timestamp, Timestamp(min.copied().unwrap_or(-1)));
        let keyless = given.iter().position(|record| record.key.is_none());
        prop_assert_eq!(facts.first_keyless, keyless.map(|index| index as i32));

        for (index, (record, given)) in read_all(&batch).into_iter().zip(&given).enumerate() {
            prop_assert_eq!(record.offset, Offset(base_offset + index as i64));
            prop_assert_eq!(record.timestamp, Timestamp(given.timestamp));
            prop_assert_eq!(record.key.as_deref(), given.key.as_deref());
            prop_assert_eq!(record.value.as_deref(), given.value.as_deref());
            let headers: Vec<_> = record
                .headers
                .into_iter()
                .map(|(key, value)| {
                    (String::from_utf8(key.to_vec()).unwrap(), value.map(|value| value.to_vec()))
                })
                .collect();
            prop_assert_eq!(&headers, &given.headers);
        }
    }

    #[test]
    fn any_codec_carries_any_bytes(
        codec in codec(),
        level in proptest::option::of(-5..25i32),
        blocks in proptest::collection::vec((any::<u8>(), 0..200_000usize, any::<bool>()), 0..4),
        seed: u64,
    ) {
        let mut state = seed | 1;
        let mut plain = Vec::new();
        for (byte, len, is_random) in blocks {
            plain.extend((0..len).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if is_random { (state >> 33) as u8 } else { byte }
            }));
        }
        // The highest zstd levels take seconds in a test build.
        let level = level.map(|level| level.min(12));
        let mut packed = Vec::new();
        compress_into(CompressionChoice { codec, level }, &plain, &mut packed);
        let packed = Bytes::from(packed);
        prop_assert_eq!(&decompress(codec, &packed, plain.len() as u64).unwrap(), &plain);
        if !plain.is_empty() && codec != Compression::None {
            let cap_bytes = plain.len() as u64 - 1;
            prop_assert_eq!(
                decompress(codec, &packed, cap_bytes),
                Err(DecompressError::TooLarge { codec, cap_bytes })
            );
        }
    }

    /// A flipped bit is noticed, or lies in the twelve bytes that the leader writes anyway.
    #[test]
    fn a_flipped_bit_is_noticed(
        codec in codec(),
        given in proptest::collection::vec(given_record(), 1..8),
        at: proptest::sample::Index,
        bit in 0..8u32,
    ) {
        let batch = build(with_codec(codec), &given);
        let before = inspect(batch.clone(), &LIMITS).unwrap();
        let mut damaged = batch.to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        match inspect(damaged.into(), &LIMITS) {
            Err(_) => {}
            Ok(after) => {
                prop_assert!(at < 8 || (12..16).contains(&at), "byte {at} is covered");
                let mut facts = after.facts;
                facts.base_offset = before.facts.base_offset;
                facts.leader_epoch = before.facts.leader_epoch;
                prop_assert_eq!(facts, before.facts);
            }
        }
    }

    /// The same damage with the checksum made right again, as an attacker would: walking and
    /// reading agree on what is a record, and neither panics.
    #[test]
    fn forged_batches_are_read_as_they_are_walked(
        codec in codec(),
        given in proptest::collection::vec(given_record(), 1..8),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in 0..40usize,
    ) {
        let mut forged = build(with_codec(codec), &given).to_vec();
        forged.truncate(forged.len().saturating_sub(cut).max(HEADER_BYTES));
        for (at, byte) in damage {
            let at = 21 + at.index(forged.len() - 21);
            forged[at] = byte;
        }
        let forged = seal(forged);
        let inspected = inspect(forged.clone(), &LIMITS);
        let read = Records::open(&forged, &LIMITS)
            .and_then(|records| records.iter().try_for_each(|record| record.map(|_| ())));
        let Ok(()) = read else { prop_assert!(inspected.is_err()); return Ok(()) };
        let inspected = match inspected {
            // A record that ends where the batch does not, seen from the two sides.
            Err(BatchRefusal::MalformedRecord { index: 0 })
                if forged[22] & 0b10_0000 != 0 => return Ok(()),
            other => other,
        };
        prop_assert!(inspected.is_ok(), "{inspected:?}");
        prop_assert!(inspected.unwrap().rebuild(Compression::Lz4.into(), &LIMITS).is_ok());
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..400), codec in codec()) {
        let noise = Bytes::from(noise);
        prop_assert!(inspect(noise.clone(), &LIMITS).is_err());
        let _ = Records::open(&noise, &LIMITS);
        let _ = decompress(codec, &noise, 1 << 20);
        for batch in batches(&noise) {
            prop_assert!(batch.is_err());
        }
    }
}

/// Writes length and checksum so that only the content can be wrong.
fn seal(mut batch: Vec<u8>) -> Bytes {
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let checksum = crc_fast::crc32_iscsi(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch.into()
}

fn sample(codec: Compression) -> Bytes {
    let given: Vec<_> = (0..100)
        .map(|index| Given::of(1_000 + index % 7, Some("key"), format!("v{index}").as_bytes()))
        .collect();
    build(with_codec(codec), &given)
}

fn patched(batch: &Bytes, position: usize, field: &[u8]) -> Bytes {
    let mut batch = batch.to_vec();
    batch[position..position + field.len()].copy_from_slice(field);
    seal(batch)
}

fn refusal(batch: Bytes) -> BatchRefusal {
    inspect(batch, &LIMITS).unwrap_err()
}

#[test]
fn each_cause_has_its_refusal_and_code() {
    use BatchRefusal::*;
    let batch = sample(Compression::None);
    let size = batch.len();
    let two = Bytes::from([&batch[..], &batch[..]].concat());
    let mut bad_magic = batch.to_vec();
    bad_magic[16] = 7;
    let mut old_magic = batch.to_vec();
    old_magic[16] = 1;
    let mut short = batch.to_vec();
    short[8..12].copy_from_slice(&48i32.to_be_bytes());
    let mut flipped = batch.to_vec();
    flipped[size - 1] ^= 1;
    let claimed = BatchHeader::parse(&batch).unwrap().checksum();
    let computed = crc_fast::crc32_iscsi(&flipped[21..]);
    let missing = MissingRecord { index: 100, count: 101 };
    for (bytes, expected, code) in [
        (Bytes::new(), NoBatch, ErrorCode::INVALID_RECORD),
        (batch.slice(..11), NoBatch, ErrorCode::INVALID_RECORD),
        (batch.slice(..size - 1), NoBatch, ErrorCode::INVALID_RECORD),
        (two, ExtraBatch, ErrorCode::INVALID_RECORD),
        (old_magic.into(), OldFormat { magic: 1 }, ErrorCode::INVALID_RECORD),
        (bad_magic.into(), UnknownFormat { magic: 7 }, ErrorCode::CORRUPT_MESSAGE),
        (short.into(), BadLength { length: 48 }, ErrorCode::CORRUPT_MESSAGE),
        (flipped.into(), ChecksumMismatch { claimed, computed }, ErrorCode::CORRUPT_MESSAGE),
        (
            patched(&batch, 21, &5i16.to_be_bytes()),
            UnknownCodec { id: 5 },
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ),
        (
            patched(&batch, 57, &(-1i32).to_be_bytes()),
            NegativeCount { count: -1 },
            ErrorCode::INVALID_RECORD,
        ),
        (patched(&batch, 57, &101i32.to_be_bytes()), missing, ErrorCode::INVALID_RECORD),
        (
            patched(&batch, 57, &99i32.to_be_bytes()),
            TrailingBytes { count: 99 },
            ErrorCode::INVALID_RECORD,
        ),
        (patched(&batch, 61, &[0xff; 10]), MalformedRecord { index: 0 }, ErrorCode::INVALID_RECORD),
    ] {
        let refusal = refusal(bytes);
        assert_eq!((refusal, refusal.code()), (expected, code));
    }
}

/// The codes are what Apache Kafka 4.3.1 answered when it was sent the same.
#[test]
fn what_cannot_be_decompressed_is_an_unknown_error() {
    for codec in Compression::ALL.into_iter().skip(1) {
        let batch = sample(codec);
        let with_body = |body: &[u8]| {
            let size = (49 + body.len()) as i32;
            let whole = Bytes::from([&batch[..HEADER_BYTES], body].concat());
            refusal(patched(&whole, 8, &size.to_be_bytes()))
        };
        let body = &batch[HEADER_BYTES..];
        let garbage = [0xde, 0xad, 0xbe, 0xef].repeat(50);
        for bad in [&body[..body.len() / 2], &body[..body.len() - 1], &body[..3], &garbage] {
            let refusal = with_body(bad);
            assert_eq!(refusal, BatchRefusal::Decompress(DecompressError::Corrupt(codec)));
            assert_eq!(refusal.code(), ErrorCode::UNKNOWN_SERVER_ERROR);
        }
        let expected = match codec {
            Compression::Zstd => ErrorCode::INVALID_RECORD,
            _ => ErrorCode::UNKNOWN_SERVER_ERROR,
        };
        assert_eq!(with_body(&[]).code(), expected, "{codec:?} of nothing");
    }
}

#[test]
fn a_cut_batch_behind_the_first_is_ignored() {
    let batch = sample(Compression::None);
    let with_tail = Bytes::from([&batch[..], &batch[..40]].concat());
    assert_eq!(inspect(with_tail, &LIMITS).unwrap().bytes, batch);
}

#[test]
fn a_run_of_batches_ends_whole_cut_or_corrupt() {
    let batch = sample(Compression::Lz4);
    let run = Bytes::from([&batch[..], &batch[..]].concat());
    let good = || vec![Ok(batch.clone()), Ok(batch.clone())];
    assert_eq!(batches(&run).collect::<Vec<_>>(), good());

    let tail = |bytes: &[u8]| {
        let run = Bytes::from([&run[..], bytes].concat());
        let mut all: Vec<_> = batches(&run).collect();
        let last = all.pop().unwrap();
        assert_eq!(all, good());
        last.unwrap_err()
    };
    let needed_bytes = Some(batch.len());
    assert_eq!(
        tail(&batch[..16]),
        BatchTail::Incomplete { available_bytes: 16, needed_bytes: None }
    );
    assert_eq!(tail(&batch[..60]), BatchTail::Incomplete { available_bytes: 60, needed_bytes });
    assert_eq!(tail(&[0; 12]), BatchTail::Corrupt(BatchRefusal::BadLength { length: 0 }));
}

#[test]
fn bombs_are_refused_by_ratio_and_by_size() {
    for codec in Compression::ALL.into_iter().skip(1) {
        let value = vec![0; 8 << 20];
        let batch = build(with_codec(codec), &[Given::of(1, Some("k"), &value)]);
        let by_size =
            InspectLimits { expanded_bytes_max: 4 << 20, expansion_ratio_max: 1 << 20, ..LIMITS };
        let too_large =
            |cap_bytes| BatchRefusal::Decompress(DecompressError::TooLarge { codec, cap_bytes });
        assert_eq!(inspect(batch.clone(), &by_size), Err(too_large(4 << 20)));
        assert_eq!(too_large(0).code(), ErrorCode::MESSAGE_TOO_LARGE);
        let by_ratio = InspectLimits { expansion_ratio_max: 10, ..LIMITS };
        let cap = by_ratio.cap_bytes(batch.len() - HEADER_BYTES);
        assert!(cap < 8 << 20);
        assert_eq!(inspect(batch.clone(), &by_ratio), Err(too_large(cap)));
        assert!(Records::open(&batch, &by_ratio).is_err());
        let generous = InspectLimits { expansion_ratio_max: 1_000_000, ..LIMITS };
        assert!(inspect(batch, &generous).is_ok());
    }
}

#[test]
fn stamping_touches_no_record_and_keeps_the_checksum_while_it_can() {
    for codec in Compression::ALL {
        let inspected = inspect(sample(codec), &LIMITS).unwrap();
        let stamped = inspected.stamp(Offset(4_711), LeaderEpoch(9), None);
        assert_eq!(stamped.records.as_ptr(), inspected.bytes[HEADER_BYTES..].as_ptr());
        assert_eq!(stamped.header[16..], inspected.bytes[16..HEADER_BYTES]);
        let reread = inspect(stamped.to_bytes(), &LIMITS).unwrap();
        let mut facts = inspected.facts.clone();
        (facts.base_offset, facts.leader_epoch) = (Offset(4_711), LeaderEpoch(9));
        assert_eq!(reread.facts, facts);

        let now = Timestamp(99_999);
        let stamped = inspected.stamp(Offset(5), LeaderEpoch(1), Some(now));
        assert_eq!(stamped.records.as_ptr(), inspected.bytes[HEADER_BYTES..].as_ptr());
        let facts = inspect(stamped.to_bytes(), &LIMITS).unwrap().facts;
        assert_eq!(
            (facts.timestamp_type, facts.max_timestamp),
            (TimestampType::LogAppendTime, now)
        );
        assert!(read_all(&stamped.to_bytes()).iter().all(|record| record.timestamp == now));
    }
}

#[test]
fn a_wrong_claim_of_the_largest_timestamp_is_corrected() {
    let forged = patched(&sample(Compression::Zstd), 35, &77_777i64.to_be_bytes());
    let inspected = inspect(forged, &LIMITS).unwrap();
    assert_eq!(inspected.facts.max_timestamp, Timestamp(1_006));
    assert_eq!(inspected.facts.max_timestamp_delta, 6);
    let stamped = inspected.stamp(Offset(1), LeaderEpoch(1), None).to_bytes();
    let trusted = inspect_header(stamped).unwrap();
    assert_eq!(trusted.facts.max_timestamp, Timestamp(1_006));
}

#[test]
fn rebuilding_changes_codec_and_offsets_only() {
    let producer = ProducerFields { id: ProducerId(5), epoch: ProducerEpoch(2), base_sequence: 40 };
    let sparse = |codec: Compression| {
        let given = |timestamp| Given {
            headers: vec![("h".into(), Some(vec![1])), ("n".into(), None)],
            ..Given::of(timestamp, None, b"value")
        };
        let records = [(0, given(10)), (3, given(30)), (7, given(30))];
        let options = BatchOptions { producer, is_transactional: true, ..with_codec(codec) };
        inspect(build_at(options, &records), &LIMITS).unwrap()
    };
    let content = |batch: &InspectedBatch| -> Vec<_> {
        let records = read_all(&batch.bytes).into_iter();
        records.map(|r| (r.timestamp, r.key, r.value, r.headers)).collect()
    };
    for from in Compression::ALL {
        for to in Compression::ALL {
            let dense = inspect(sample(from), &LIMITS).unwrap();
            let rebuilt = dense.rebuild(to.into(), &LIMITS).unwrap();
            assert_eq!(rebuilt, inspect(rebuilt.bytes.clone(), &LIMITS).unwrap());
            assert_eq!(rebuilt.facts.compression, to);
            assert_eq!(content(&rebuilt), content(&dense));

            let sparse = sparse(from);
            assert!(!sparse.offsets_are_dense);
            let rebuilt = sparse.rebuild(to.into(), &LIMITS).unwrap();
            assert_eq!(rebuilt, inspect(rebuilt.bytes.clone(), &LIMITS).unwrap());
            assert!(rebuilt.offsets_are_dense);
            assert_eq!((rebuilt.facts.last_offset_delta, rebuilt.facts.base_sequence), (2, 40));
            assert_eq!(content(&rebuilt), content(&sparse));
        }
    }
}

#[test]
fn control_batches_say_what_they_are() {
    let options = BatchOptions {
        base_offset: Offset(17),
        producer: ProducerFields { id: ProducerId(3), epoch: ProducerEpoch(1), base_sequence: -1 },
        ..BatchOptions::default()
    };
    let commit = BatchBuilder::end_transaction(options, Timestamp(5), true, 8);
    let facts = inspect_header(commit).unwrap().facts;
    assert_eq!(facts.control, Some(ControlType::Commit { coordinator_epoch: 8 }));
    assert!(facts.is_transactional);
    assert_eq!((facts.last_offset(), facts.base_sequence), (Offset(17), -1));

    let options = BatchOptions { is_control: true, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    builder.append_control(Timestamp(1), ControlType::LeaderChange, b"body").unwrap();
    let leader_change = inspect_header(builder.build()).unwrap();
    assert_eq!(leader_change.facts.control, Some(ControlType::LeaderChange));

    let mut keyless = BatchBuilder::new(options);
    keyless.append(&NewRecord::default()).unwrap();
    let refusal = inspect_header(keyless.build()).unwrap_err();
    assert_eq!(refusal, BatchRefusal::MalformedRecord { index: 0 });
}

#[test]
fn an_empty_batch_is_a_header() {
    let empty = BatchBuilder::new(with_codec(Compression::Gzip)).build();
    assert_eq!(empty.len(), HEADER_BYTES);
    assert_eq!(inspect_header(empty.clone()).unwrap().facts.record_count, 0);
    assert_eq!(read_all(&empty), []);
}

#[test]
fn a_producer_learns_when_a_batch_is_full() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let record = NewRecord { value: Some(&[7; 200]), ..NewRecord::default() };
    assert!(builder.fits(&record, 10), "the first record always fits");
    let mut bytes_max = 1_000;
    while builder.fits(&record, bytes_max) {
        builder.append(&record).unwrap();
    }
    assert!(builder.size_bytes() <= bytes_max);
    bytes_max = builder.size_bytes() + 1;
    let tiny = NewRecord::default();
    assert!(!builder.fits(&tiny, bytes_max));
    builder.append(&tiny).unwrap();
    assert_eq!(builder.append_at(1, &tiny), Err(strandline_wire::records::BatchOverflow));
    assert_eq!(builder.size_bytes(), builder.build().len());
}

#[test]
fn snappy_is_read_in_both_framings() {
    let plain = Bytes::from(vec![b'x'; 100_000]);
    let mut xerial = Vec::new();
    compress_into(Compression::Snappy.into(), &plain, &mut xerial);
    let twice = Bytes::from([&xerial[..], &xerial[..]].concat());
    assert_eq!(decompress(Compression::Snappy, &twice, 1 << 20).unwrap().len(), 200_000);
    let bare = Bytes::from(snap::raw::Encoder::new().compress_vec(&plain).unwrap());
    assert_eq!(decompress(Compression::Snappy, &bare, 1 << 20).unwrap(), plain);
    // A bare block whose length promises 4 GiB allocates nothing.
    let promise = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    assert!(decompress(Compression::Snappy, &promise, u64::MAX).is_err());
}
