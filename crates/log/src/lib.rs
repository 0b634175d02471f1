//! One partition's log as decisions: admit, roll, retain, clean, truncate, recover.
//!
//! The log here is state and plans, never bytes and never files. `wire` has checked a batch and
//! hands over its [`BatchFacts`](strandline_types::BatchFacts); the log answers with an
//! [`Admission`]: which offsets, which file at which position, which index entries. Whoever holds
//! the files obeys the plan and reports back with [`Log::written`] and [`Log::synced`].
//!
//! Rules are Apache Kafka's (KIP-98 for producers, KIP-101 and KIP-279 for leader epochs, KIP-33
//! for the time index).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod admit;
pub mod clean;
mod config;
mod epochs;
mod log;
mod plan;
mod producers;
mod recover;
mod retain;
mod segment;
mod sync;
mod truncate;
mod verify;

pub use admit::AdmitRefusal;
pub use config::LogConfig;
pub use epochs::{EpochCache, EpochEnd, EpochStart};
pub use log::{Log, LogImage};
pub use plan::{
    AbortedTransaction, Admission, Admitted, Appended, ClosePlan, CloseSegment, Deletion,
    Duplicate, IndexEntry, Origin, Roll, RollReason, Stamp, SyncPlan, TimeIndexEntry,
};
pub use producers::{DecidedTransaction, ProducerSnapshot, ProducerStates};
pub use recover::{
    IndexListing, Listing, RebuiltIndexes, Recovered, Recovery, RecoveryFault, RecoveryStep,
    Repair, ScanRange, SegmentListing, TransactionListing,
};
pub use retain::{DeleteRecordsRefusal, LogStart};
pub use segment::Segment;
pub use truncate::StartOver;
pub use verify::{TransactionStart, VerificationGuard};
