//! Record batches of format 2 (KIP-98, KIP-82): the only format that is produced and served.
//!
//! [`inspect`] checks what a producer sent, [`inspect_header`] what a leader or a file already
//! vouches for; [`InspectedBatch::stamp`] gives an admitted batch its offsets without touching its
//! records; [`Records`] reads them, [`BatchBuilder`] writes them; [`thin`] takes some of them out.
//!
//! | offset | field | | offset | field |
//! |---|---|---|---|---|
//! | 0 | base offset, i64 | | 27 | base timestamp or delete horizon, i64 |
//! | 8 | bytes after this field, i32 | | 35 | largest timestamp, i64 |
//! | 12 | leader epoch, i32 | | 43 | producer id, i64 |
//! | 16 | magic, i8 = 2 | | 51 | producer epoch, i16 |
//! | 17 | CRC-32C of 21 to the end, u32 | | 53 | base sequence, i32 |
//! | 21 | attributes, i16 | | 57 | record count, i32 |
//! | 23 | last offset delta, i32 | | 61 | records, compressed as one block |

mod builder;
mod control;
mod header;
mod inspect;
mod read;
mod rebuild;
mod refusal;
mod stamp;
mod thin;
mod varint;
mod walk;

pub use builder::{
    BatchBuilder, BatchOptions, BatchOverflow, NewRecord, ProducerFields, with_producer,
};
pub use control::{
    ControlRecordError, control_key, control_type, decode_end_transaction, encode_end_transaction,
};
pub use header::{
    BatchHeader, BatchTail, Batches, HEADER_BYTES, SIZE_PREFIX_BYTES, batches, next_batch_size,
};
pub use inspect::{InspectLimits, InspectedBatch, check_checksum, inspect, inspect_header};
pub use read::{Header, Headers, Record, RecordIter, RecordRef, Records};
pub use refusal::BatchRefusal;
pub use stamp::StampedBatch;
pub use thin::{emptied, thin};
