//! Batches from producers, leaders and files. The input is taken as it is, and again with its
//! length and checksum made right, so that the fuzzer reaches what stands behind them.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use strandline_types::{Compression, LeaderEpoch, Offset};
use strandline_wire::records::{
    BatchRefusal, InspectLimits, Records, batches, inspect, inspect_header,
};

const LIMITS: InspectLimits = InspectLimits {
    expanded_bytes_max: 1 << 20,
    expansion_ratio_max: 100,
    expanded_bytes_free: 1 << 16,
};

fuzz_target!(|input: &[u8]| {
    check(Bytes::copy_from_slice(input));
    check(sealed(input.to_vec()));
});

fn check(input: Bytes) {
    for batch in batches(&input).flatten() {
        let _ = inspect_header(batch);
    }
    let _ = read(&input);
    let Ok(inspected) = inspect(input, &LIMITS) else { return };
    read(&inspected.bytes).expect("what was accepted can be read");
    let stamped = inspected.stamp(Offset(1_000), LeaderEpoch(1), None).to_bytes();
    let again = inspect(stamped, &LIMITS).expect("a stamped batch is sound");
    assert_eq!(again.facts.base_offset, Offset(1_000));
    assert_eq!(again.facts.max_timestamp, inspected.facts.max_timestamp);

    let rebuilt = inspected.rebuild(Compression::Lz4.into(), &LIMITS).expect("it was read above");
    assert_eq!(rebuilt.facts.record_count, inspected.facts.record_count);
    let generous = InspectLimits { expanded_bytes_max: 1 << 24, ..InspectLimits::default() };
    inspect(rebuilt.bytes, &generous).expect("a rebuilt batch is sound");
}

fn read(batch: &Bytes) -> Result<(), BatchRefusal> {
    Records::open(batch, &LIMITS)?.iter().try_for_each(|record| record.map(|_| ()))
}

fn sealed(mut batch: Vec<u8>) -> Bytes {
    if batch.len() >= 61 {
        let length = (batch.len() - 12) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[16] = 2;
        let checksum = crc_fast::crc32_iscsi(&batch[21..]);
        batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    }
    batch.into()
}
