//! Hostile input: no bytes make a decoder panic, or take more than a small multiple of their own
//! length in memory; and whatever is understood can be said again.
#![allow(unsafe_code, reason = "an allocator that counts")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Read;

use bytes::Bytes;
use common::encode;
use strandline_wire::messages::{Message, MessageVisitor, visit_messages};
use strandline_wire::{DecodeError, Reader};

/// Live bytes of this thread and their highest mark.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // The thread's counters may be gone while it ends.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that `run` held at once beyond what was there before.
fn peak_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = run();
    (result, (PEAK.get() - before) as usize)
}

const MULTIPLE: usize = 20;
const BASE_BYTES: usize = 6 * 1024;

/// A small generator of numbers: the same ones in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }
}

fn try_decode<M: Message>(bytes: Vec<u8>, version: i16) {
    let bytes = Bytes::from(bytes);
    let (result, peak) = peak_of(|| M::decode(&mut Reader::new(&bytes), version));
    let name = M::NAME;
    assert!(
        peak <= MULTIPLE * bytes.len() + BASE_BYTES,
        "{name} version {version}: {peak} bytes for {}: {bytes:?}",
        bytes.len()
    );
    let Ok(message) = result else { return };
    let again = encode(&message, version).unwrap_or_else(|e| panic!("{name} {version}: {e}"));
    // Shorter than what came, if that had more behind its last field: so no budget.
    let mut reader = Reader::with_budget(&again, usize::MAX);
    let reread =
        M::decode(&mut reader, version).unwrap_or_else(|e| panic!("{name} {version}: {e}"));
    assert_eq!(reader.finish(), Ok(()), "{name} {version}");
    // Not by `==`, for which a NaN is not itself.
    assert_eq!(format!("{message:?}"), format!("{reread:?}"), "{name} version {version}");
}

/// Long runs of one byte make the largest arrays that the bytes can bear out; some others declare
/// lengths that nothing bears out.
#[test]
fn long_monotonous_frames() {
    struct Visit;
    impl MessageVisitor for Visit {
        fn visit<M: Message>(&mut self) {
            for version in M::VERSIONS.iter() {
                for byte in [0, 1, 2, 3, 0x10, 0x7f, 0x80, 0xff] {
                    try_decode::<M>(vec![byte; 40_000], version);
                }
                for length in [[0x7f, 0xff, 0xff, 0xff], [0, 0, 0x7f, 0xff], [0, 0, 0, 100]] {
                    try_decode::<M>(length.repeat(2_000), version);
                }
            }
        }
    }
    visit_messages(&mut Visit);
}

/// A frame that declares as many elements as it has bytes, all of them empty.
#[test]
fn arrays_of_minimal_elements() {
    struct Visit;
    impl MessageVisitor for Visit {
        fn visit<M: Message>(&mut self) {
            for version in M::VERSIONS.iter() {
                for skip in 0..12 {
                    for count in [1_000u32, 10_000, 19_000] {
                        let mut plain = vec![0; 20_000];
                        plain[skip..skip + 4].copy_from_slice(&count.to_be_bytes());
                        try_decode::<M>(plain, version);
                        let mut compact = vec![0; 20_000];
                        compact[skip] = count as u8 | 0x80;
                        compact[skip + 1] = (count >> 7) as u8 | 0x80;
                        compact[skip + 2] = (count >> 14) as u8;
                        try_decode::<M>(compact, version);
                    }
                }
            }
        }
    }
    visit_messages(&mut Visit);
}

#[test]
fn random_bytes() {
    struct Visit(Numbers);
    impl MessageVisitor for Visit {
        fn visit<M: Message>(&mut self) {
            for version in M::VERSIONS.iter() {
                for _ in 0..30 {
                    let length = self.0.below(300);
                    // Small numbers are likelier to be lengths that fit.
                    let limit = [4, 16, 256][self.0.below(3)];
                    let bytes = (0..length).map(|_| self.0.below(limit) as u8).collect();
                    try_decode::<M>(bytes, version);
                }
            }
        }
    }
    visit_messages(&mut Visit(Numbers(1)));
}

/// Real messages, damaged: bytes changed, cut off, repeated.
#[test]
fn damaged_messages() {
    struct Visit(Vec<(String, i16, Vec<u8>)>, Numbers);
    impl MessageVisitor for Visit {
        fn visit<M: Message>(&mut self) {
            let Self(vectors, numbers) = self;
            for (_, version, bytes) in vectors.iter().filter(|(name, ..)| name == M::NAME) {
                for _ in 0..20 {
                    let mut bytes = bytes.clone();
                    for _ in 0..=numbers.below(3) {
                        if bytes.is_empty() {
                            continue;
                        }
                        let place = numbers.below(bytes.len());
                        match numbers.below(4) {
                            0 => bytes[place] = numbers.below(256) as u8,
                            1 => bytes[place] ^= 1 << numbers.below(8),
                            2 => bytes.truncate(place),
                            _ => bytes.extend_from_within(place..),
                        }
                    }
                    try_decode::<M>(bytes, *version);
                }
            }
        }
    }
    visit_messages(&mut Visit(vectors(), Numbers(2)));
}

/// Name, version and bytes of every golden vector.
fn vectors() -> Vec<(String, i16, Vec<u8>)> {
    let packed = include_bytes!("../../../interop/golden/vectors.txt.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip of text");
    text.lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|words| words[0] == "message")
        .map(|words| {
            let digits: Vec<u8> =
                words[5].chars().filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
            let bytes = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            (words[1].to_owned(), words[2].parse().expect("a version"), bytes)
        })
        .collect()
}

#[test]
fn errors_are_small() {
    assert!(size_of::<DecodeError>() <= 32);
}
