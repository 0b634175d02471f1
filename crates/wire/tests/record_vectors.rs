//! Reads the batches that Kafka's own classes wrote, and compares ours with them.
//! `interop/records/run.sh` is the other direction.

#[path = "record_vectors/cases.rs"]
mod cases;

use bytes::Bytes;
use cases::{APPEND_TIME, Case, Kind, Shape, cases};
use strandline_types::{Compression, ControlType, TimestampType};
use strandline_wire::records::{
    HEADER_BYTES, InspectLimits, Records, batches, inspect, inspect_header,
};

const KAFKA: &[u8] = include_bytes!("record_vectors/kafka-clients-4.3.1.batches");

#[test]
fn every_batch_of_kafka_is_read_as_it_was_meant() {
    let batches: Vec<_> = batches(&Bytes::from_static(KAFKA)).map(Result::unwrap).collect();
    assert_eq!(batches.len(), cases().len());
    for (case, batch) in cases().into_iter().zip(batches) {
        check(case, batch);
    }
}

#[track_caller]
fn check(case: Case, batch: Bytes) {
    let ours = case.build();
    let limits = InspectLimits::default();
    let kafkas = inspect(batch.clone(), &limits).expect("Kafka's batches are sound");
    let mut facts = inspect(ours.clone(), &limits).expect("our batches are sound").facts;
    facts.size_bytes = kafkas.facts.size_bytes;
    assert_eq!(kafkas.facts, facts, "{case:?}");
    assert!(kafkas.offsets_are_dense);
    match case.codec {
        Compression::None => assert_eq!(batch, ours, "{case:?}"),
        // The compressed bytes are the compressor's choice; all that frames them is not.
        Compression::Gzip => assert_eq!(batch[HEADER_BYTES..][..9], ours[HEADER_BYTES..][..9]),
        Compression::Snappy => assert_eq!(batch[HEADER_BYTES..][..16], ours[HEADER_BYTES..][..16]),
        Compression::Lz4 => assert_eq!(batch[HEADER_BYTES..][..7], ours[HEADER_BYTES..][..7]),
        Compression::Zstd => assert_eq!(batch[HEADER_BYTES..][..4], ours[HEADER_BYTES..][..4]),
    }
    if case.shape == Shape::Noise {
        assert_eq!(batch, ours, "stored lz4 blocks leave no choice");
    }
    if case.is_marker() {
        let coordinator_epoch = 9;
        let control = match case.kind {
            Kind::CommitMarker => ControlType::Commit { coordinator_epoch },
            _ => ControlType::Abort { coordinator_epoch },
        };
        let facts = inspect_header(batch).expect("Kafka's markers are sound").facts;
        assert_eq!(facts.control, Some(control));
        return;
    }
    let records = Records::open(&batch, &limits).expect("Kafka's batches are sound");
    let contents = case.contents();
    assert_eq!(records.count() as usize, contents.len());
    for (index, (record, content)) in (0..).zip(records.iter().zip(contents)) {
        let record = record.expect("Kafka's records are sound");
        let is_dated = facts.timestamp_type == TimestampType::LogAppendTime;
        let timestamp = if is_dated { APPEND_TIME } else { content.timestamp };
        assert_eq!((record.offset, record.timestamp), (case.base_offset + index, timestamp));
        assert_eq!(record.key, content.key.as_deref());
        assert_eq!(record.value, content.value.as_deref());
        let headers: Vec<_> =
            record.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
        assert_eq!(headers, content.headers);
    }
}
