//! The budget of the produce path: no allocation per record, and none per batch once the thread's
//! codec contexts exist.
#![allow(unsafe_code, reason = "a counting allocator is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use strandline_types::{Compression, LeaderEpoch, Offset, Timestamp};
use strandline_wire::records::{BatchBuilder, BatchOptions, InspectLimits, NewRecord, inspect};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count_one() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

fn allocations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = ALLOCATIONS.with(Cell::get);
    let result = work();
    (result, ALLOCATIONS.with(Cell::get) - before)
}

fn batch(codec: Compression, records: i32) -> Bytes {
    let options = BatchOptions { compression: codec.into(), ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for index in 0..records {
        let value = [index as u8; 500];
        let timestamp = Timestamp(i64::from(index));
        let key = Some(&b"key"[..]);
        let record = NewRecord { timestamp, key, value: Some(&value), headers: &[] };
        builder.append(&record).expect("the batch is small");
    }
    builder.build()
}

#[test]
fn inspection_allocates_nothing() {
    let limits = InspectLimits::default();
    for codec in Compression::ALL {
        inspect(batch(codec, 1_000), &limits).expect("the batch is sound");
        // The system's zstd and zlib states, made above, stay with the thread.
        for records in [1, 1_000] {
            let batch = batch(codec, records);
            // Sharing a vector for the first time makes its reference count.
            let shared = batch.clone();
            let (inspected, allocations) = allocations_of(|| inspect(batch, &limits));
            let inspected = inspected.expect("the batch is sound");
            assert_eq!(allocations, 0, "{codec:?}, {records} records");
            let (stamped, allocations) =
                allocations_of(|| inspected.stamp(Offset(1), LeaderEpoch(1), None));
            assert!(allocations <= 2, "a new header and its reference count");
            drop((stamped, shared));
        }
    }
}
