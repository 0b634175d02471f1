//! Transactions: who may produce under a transactional id, what its open transaction spans, and
//! how it ends.
//!
//! *Durable* is the latest record of each transactional id. *Volatile* are the epoch before the
//! last bump (it tells retries of InitProducerId from zombies), which markers are missing, and
//! which open transactions are watched.
//!
//! A decision counts at once, and nobody hears of it, nor is a marker sent, before it has
//! committed. So there is no state between the states in which others would have to be put off: who
//! asks while a record is on its way is answered as if it had arrived, later than that record.
//! Clients see CONCURRENT_TRANSACTIONS only while markers are missing, or when the answer to
//! InitProducerId is that their predecessor's transaction is being aborted. If a record cannot be
//! written, the shard is loaded again: an epoch that nobody was told may then be given a second
//! time, to whoever asks next.
//!
//! A new leader writes each end again that it finds decided, and sends markers when that has
//! committed. The record that it read need not have: markers that spoke of it would commit in one
//! partition what the next leader, without that record, aborts in another.

mod add_partitions;
mod api;
mod context;
mod describe;
mod end_txn;
mod expire_ids;
mod init_producer_id;
mod invariants;
mod list;
mod markers;
mod refusal;
mod shard;
mod time_out;
mod transaction;

pub use api::{
    Action, Effect, Entry, Event, Input, Issued, Markers, Request, Response, Settings, Timer,
    Topics, TransactionListing,
};
pub use context::{Durable, Record};
pub use refusal::Refusal;
pub use shard::Shard;
pub use transaction::{State, Transaction};
