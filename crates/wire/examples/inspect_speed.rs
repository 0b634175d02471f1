//! How fast batches are checked, on one thread: `cargo run --release -p strandline-wire --example
//! inspect_speed`. For each codec: full inspection of 64 KiB batches of 1 KiB records and of 100 B
//! records, the trusted path that stops at the checksum, and the checksum alone. The best of many
//! rounds, in GB of plain records per second.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measuring tool")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use strandline_types::{Compression, Timestamp};
use strandline_wire::records::{
    BatchBuilder, BatchOptions, InspectLimits, NewRecord, inspect, inspect_header,
};

const PLAIN_BYTES: usize = 64 * 1024;

/// Half text, half noise, so that compressors have something to find and something to keep.
fn batch(codec: Compression, record_bytes: usize) -> (Bytes, usize) {
    let options = BatchOptions { compression: codec.into(), ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let mut state = 1u64;
    loop {
        let value: Vec<u8> = (0..record_bytes - 15)
            .map(|at| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if at % 64 < 32 {
                    b"the quick brown fox jumps over.."[at % 32]
                } else {
                    (state >> 40) as u8
                }
            })
            .collect();
        let record = NewRecord {
            timestamp: Timestamp(builder.record_count().into()),
            key: Some(b"key-0001"),
            value: Some(&value),
            headers: &[],
        };
        if !builder.fits(&record, PLAIN_BYTES) {
            let plain_bytes = builder.size_bytes();
            return (builder.build(), plain_bytes);
        }
        builder.append(&record).expect("the batch is small");
    }
}

fn gigabytes_per_second(bytes: usize, mut work: impl FnMut()) -> f64 {
    const ROUNDS: usize = 200;
    const CALLS: usize = 20;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        (0..CALLS).for_each(|_| work());
        best = best.min(start.elapsed().as_secs_f64() / CALLS as f64);
    }
    bytes as f64 / best / 1e9
}

fn main() {
    let limits = InspectLimits::default();
    println!(
        "{:<8}{:>8}{:>8}{:>10}{:>10}{:>10}",
        "codec", "record", "bytes", "inspect", "header", "crc"
    );
    for record_bytes in [1024, 100] {
        for codec in Compression::ALL {
            let (batch, plain_bytes) = batch(codec, record_bytes);
            let full = gigabytes_per_second(plain_bytes, || {
                black_box(inspect(batch.clone(), &limits)).expect("the batch is sound");
            });
            let header = gigabytes_per_second(plain_bytes, || {
                black_box(inspect_header(batch.clone())).expect("the batch is sound");
            });
            let crc = gigabytes_per_second(plain_bytes, || {
                black_box(crc_fast::crc32_iscsi(black_box(&batch)));
            });
            let (name, len) = (codec.name(), batch.len());
            println!("{name:<8}{record_bytes:>8}{len:>8}{full:>10.2}{header:>10.2}{crc:>10.2}");
        }
    }
}
