//! What is buffered and what is on its way, per partition: the pure core of the producer.
//!
//! Order and sequence numbers rest on two rules. A batch gets its sequence when it first goes out,
//! and keeps it. While a batch waits to be sent again, nothing newer goes out, and of several that
//! wait only the first does: so retries keep the order, and the broker sees no gap. When a batch is
//! given up, or the broker has lost our state, the partition goes on under the next producer epoch
//! with sequences from 0 (KIP-360). A batch of a transaction that is given up is the end of the
//! transaction: the coordinator gives the next epoch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use strandline_types::{
    ErrorCode, Instant, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition,
};
use strandline_wire::compression::CompressionChoice;
use strandline_wire::records::{
    BatchBuilder, BatchOptions, NewRecord, ProducerFields, with_producer,
};

use super::error::ProduceError;
use super::outcome::{Outcome, Stored};
use crate::cluster::BUSY_BACKOFF;
use crate::error::Refusal;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) compression: CompressionChoice,
    pub(super) linger: Duration,
    pub(super) batch_bytes: usize,
    pub(super) in_flight_max: usize,
    pub(super) delivery_timeout: Duration,
    pub(super) retry_backoff: Duration,
    pub(super) is_idempotent: bool,
    /// Implies the former.
    pub(super) is_transactional: bool,
}

/// What became of a batch that was sent.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Stored {
        base_offset: Offset,
        log_append_time: Timestamp,
    },
    Refused(Refusal),
    /// No answer: the batch may have been stored.
    Lost(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

pub(super) struct Batches {
    settings: Settings,
    identity: Option<Identity>,
    partitions: BTreeMap<TopicPartition, Queue>,
    next_token: u64,
    /// Buffer bytes of batches that have ended since somebody asked.
    freed_bytes: usize,
    /// Why the first batch was given up since somebody asked.
    failure: Option<ProduceError>,
}

#[derive(Default)]
struct Queue {
    open: VecDeque<Open>,
    /// In the order of their sequences.
    sent: VecDeque<Sent>,
    identity: Option<Identity>,
    next_sequence: i32,
    /// The broker and we disagree on sequences: once nothing is in flight, start over.
    must_restart: bool,
}

struct Open {
    builder: BatchBuilder,
    due_at: Instant,
    deadline: Instant,
    buffered_bytes: usize,
    outcome: Arc<Outcome>,
}

struct Sent {
    token: u64,
    bytes: Bytes,
    base_sequence: i32,
    record_count: i32,
    deadline: Instant,
    buffered_bytes: usize,
    outcome: Arc<Outcome>,
    /// `None` while in flight.
    retry_at: Option<Instant>,
    attempts: u32,
    last_error: String,
}

/// Where a record has gone into.
pub(super) struct Appended {
    pub(super) outcome: Arc<Outcome>,
    pub(super) index: i32,
    /// The sender may have something new to do.
    pub(super) wakes_sender: bool,
}

/// A batch to be sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Outgoing {
    pub(super) token: u64,
    pub(super) bytes: Bytes,
}

impl Batches {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            identity: None,
            partitions: BTreeMap::new(),
            next_token: 0,
            freed_bytes: 0,
            failure: None,
        }
    }

    pub(super) fn append(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        record: &NewRecord<'_>,
        buffered_bytes: usize,
    ) -> Result<Appended, ProduceError> {
        if !self.partitions.contains_key(partition) {
            self.partitions.insert(partition.clone(), Queue::default());
        }
        let queue = self.partitions.get_mut(partition).expect("it was put there above");
        let fits = queue
            .open
            .back()
            .is_some_and(|batch| batch.builder.fits(record, self.settings.batch_bytes));
        if !fits {
            queue.open.push_back(Open::new(&self.settings, now, partition.clone()));
        }
        let batch = queue.open.back_mut().expect("there is one by now");
        let index = batch.builder.append(record).map_err(|_| ProduceError::TooLarge {
            bytes: buffered_bytes,
            max: self.settings.batch_bytes,
        })?;
        batch.buffered_bytes += buffered_bytes;
        let is_full = batch.builder.size_bytes() >= self.settings.batch_bytes;
        let outcome = Arc::clone(&batch.outcome);
        Ok(Appended { outcome, index, wakes_sender: !fits || is_full })
    }

    pub(super) fn needs_identity(&self) -> bool {
        self.settings.is_idempotent && self.identity.is_none() && !self.is_empty()
    }

    /// Those of a transactional producer are the coordinator's, epochs too: sequences begin anew with
    /// each. Nothing is buffered then.
    pub(super) fn set_identity(&mut self, identity: Identity) {
        if self.settings.is_transactional && self.identity != Some(identity) {
            self.partitions.clear();
        }
        self.identity = Some(identity);
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.values().all(|queue| queue.open.is_empty() && queue.sent.is_empty())
    }

    /// Everything buffered is due at once; these are all batches that have not ended.
    pub(super) fn force(&mut self, now: Instant) -> Vec<Arc<Outcome>> {
        let mut outcomes = Vec::new();
        for queue in self.partitions.values_mut() {
            outcomes.extend(queue.sent.iter().map(|batch| Arc::clone(&batch.outcome)));
            for batch in &mut queue.open {
                batch.due_at = batch.due_at.min(now);
                outcomes.push(Arc::clone(&batch.outcome));
            }
        }
        outcomes
    }

    /// The partitions that have something to send.
    pub(super) fn due(&self, now: Instant) -> Vec<TopicPartition> {
        if self.settings.is_idempotent && self.identity.is_none() {
            return Vec::new();
        }
        let due = self
            .partitions
            .iter()
            .filter(|(_, queue)| queue.due_at(&self.settings).is_some_and(|at| at <= now));
        due.map(|(partition, _)| partition.clone()).collect()
    }

    /// When to look again, if nothing happens before.
    pub(super) fn next_due_at(&self) -> Instant {
        let times = self.partitions.values().flat_map(|queue| {
            let deadlines = queue.open.front().map(|batch| batch.deadline);
            let retries = queue.sent.iter().map(|batch| batch.deadline);
            queue.due_at(&self.settings).into_iter().chain(deadlines).chain(retries)
        });
        times.min().unwrap_or(Instant::NEVER)
    }

    /// Hands out the next batch of a partition that was due.
    pub(super) fn take(&mut self, partition: &TopicPartition) -> Option<Outgoing> {
        let queue = self.partitions.get_mut(partition)?;
        if queue.must_restart {
            if queue.sent.iter().any(|batch| batch.retry_at.is_none()) {
                return None;
            }
            queue.restart(&mut self.identity)?;
        }
        if let Some(batch) = queue.sent.iter_mut().find(|batch| batch.retry_at.is_some()) {
            batch.retry_at = None;
            return Some(Outgoing { token: batch.token, bytes: batch.bytes.clone() });
        }
        if queue.sent.is_empty() && queue.identity.map(|i| i.id) != self.identity.map(|i| i.id) {
            queue.identity = self.identity;
            queue.next_sequence = 0;
        }
        let batch = queue.open.pop_front()?;
        self.next_token += 1;
        let sent = batch.close(self.next_token, queue.identity, queue.next_sequence);
        queue.next_sequence = add_sequence(queue.next_sequence, sent.record_count);
        let outgoing = Outgoing { token: sent.token, bytes: sent.bytes.clone() };
        queue.sent.push_back(sent);
        Some(outgoing)
    }

    /// Takes in what became of a batch. True when the partition's leader should be looked up.
    pub(super) fn complete(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        token: u64,
        reply: Reply,
    ) -> bool {
        let is_stale = self.completed(now, partition, token, reply);
        self.give_up_what_is_doomed();
        is_stale
    }

    fn completed(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        token: u64,
        reply: Reply,
    ) -> bool {
        let Some(queue) = self.partitions.get_mut(partition) else { return false };
        let Some(index) = queue.sent.iter().position(|batch| batch.token == token) else {
            return false;
        };
        let (base_offset, log_append_time) = match reply {
            Reply::Stored { base_offset, log_append_time } => (base_offset, log_append_time),
            Reply::Refused(refusal) if refusal.code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER => {
                (Offset(-1), Timestamp::NONE)
            }
            Reply::Refused(refusal) => {
                return self.refused(now, partition, index, refusal);
            }
            Reply::Lost(error) => {
                queue.retry(now, index, &self.settings, error);
                return true;
            }
        };
        self.freed_bytes += queue.end(index, Ok(Stored { base_offset, log_append_time }));
        false
    }

    /// Why something was given up first since this was forgotten.
    pub(super) fn failure(&self) -> Option<&ProduceError> {
        self.failure.as_ref()
    }

    pub(super) fn forget_failure(&mut self) {
        self.failure = None;
    }

    /// Something was given up that never came to be a batch.
    pub(super) fn note_failure(&mut self, error: ProduceError) {
        self.failure.get_or_insert(error);
    }

    /// Of a transaction that will be aborted nobody should have to wait for the rest.
    fn give_up_what_is_doomed(&mut self) {
        if self.settings.is_transactional && self.failure.is_some() {
            self.fail_all(&ProduceError::GivenUp);
        }
    }

    fn refused(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        index: usize,
        refusal: Refusal,
    ) -> bool {
        let Some(queue) = self.partitions.get_mut(partition) else { return false };
        let lost_sequence = self.settings.is_idempotent
            && matches!(
                refusal.code,
                ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID
            );
        // Behind another batch it only says that the other one has not arrived.
        if lost_sequence && (index > 0 || self.settings.may_restart()) {
            queue.must_restart |= index == 0;
        } else if !refusal.code.is_retriable() {
            let is_last = index + 1 == queue.sent.len();
            if self.settings.is_idempotent && is_last && !queue.must_restart {
                queue.next_sequence = queue.sent[index].base_sequence;
            } else {
                queue.must_restart |= self.settings.may_restart();
            }
            let partition = partition.clone();
            let error = ProduceError::Refused { partition, refusal };
            self.failure.get_or_insert_with(|| error.clone());
            self.freed_bytes += queue.end(index, Err(error));
            return false;
        }
        queue.retry(now, index, &self.settings, refusal.to_string());
        if refusal.code == ErrorCode::CONCURRENT_TRANSACTIONS {
            let batch = &mut queue.sent[index];
            let pause = BUSY_BACKOFF * (1 << (batch.attempts - 1).min(7));
            batch.retry_at = batch.retry_at.min(Some(now + pause));
            return false;
        }
        true
    }

    /// Gives up what has waited too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let after = self.settings.delivery_timeout;
        for (partition, queue) in &mut self.partitions {
            let timed_out =
                |last: String| ProduceError::TimedOut { partition: partition.clone(), after, last };
            while queue.open.front().is_some_and(|batch| batch.deadline <= now) {
                let Some(batch) = queue.open.pop_front() else { break };
                let error = timed_out("no leader to send it to".into());
                self.failure.get_or_insert_with(|| error.clone());
                batch.outcome.resolve(Err(error));
                self.freed_bytes += batch.buffered_bytes;
            }
            while let Some(batch) = queue.sent.front().filter(|batch| batch.deadline <= now) {
                let error = timed_out(batch.last_error.clone());
                queue.must_restart |= self.settings.may_restart();
                self.failure.get_or_insert_with(|| error.clone());
                self.freed_bytes += queue.end(0, Err(error));
            }
        }
        self.give_up_what_is_doomed();
    }

    /// Fails everything that is left.
    pub(super) fn fail_all(&mut self, error: &ProduceError) {
        self.failure.get_or_insert_with(|| error.clone());
        for queue in self.partitions.values_mut() {
            for batch in queue.open.drain(..) {
                batch.outcome.resolve(Err(error.clone()));
                self.freed_bytes += batch.buffered_bytes;
            }
            for batch in queue.sent.drain(..) {
                batch.outcome.resolve(Err(error.clone()));
                self.freed_bytes += batch.buffered_bytes;
            }
        }
    }

    pub(super) fn take_freed_bytes(&mut self) -> usize {
        std::mem::take(&mut self.freed_bytes)
    }
}

impl Settings {
    /// Whether a partition may go on under an epoch of the producer's own.
    fn may_restart(&self) -> bool {
        self.is_idempotent && !self.is_transactional
    }
}

impl Queue {
    fn due_at(&self, settings: &Settings) -> Option<Instant> {
        if let Some(retry_at) = self.sent.iter().find_map(|batch| batch.retry_at) {
            // Those before it are in flight: it waits for them.
            let is_first = self.sent.front().is_some_and(|batch| batch.retry_at.is_some());
            return is_first.then_some(retry_at);
        }
        if self.sent.len() >= settings.in_flight_max || (self.must_restart && !self.sent.is_empty())
        {
            return None;
        }
        let batch = self.open.front()?;
        let is_full = self.open.len() > 1 || batch.builder.size_bytes() >= settings.batch_bytes;
        Some(if is_full { Instant::ZERO } else { batch.due_at })
    }

    /// Under the next epoch all sequences begin anew, those of waiting batches too. `None` when
    /// the epochs of this producer id are used up: another id must be asked for.
    fn restart(&mut self, newest: &mut Option<Identity>) -> Option<()> {
        let identity = match (self.identity, *newest) {
            (Some(mine), Some(newest)) if mine.id != newest.id => newest,
            (Some(mine), Some(_)) => match mine.epoch.get().checked_add(1) {
                Some(epoch) => Identity { epoch: ProducerEpoch(epoch), ..mine },
                None => {
                    *newest = None;
                    return None;
                }
            },
            (_, newest) => newest?,
        };
        self.identity = Some(identity);
        self.next_sequence = 0;
        self.must_restart = false;
        for batch in &mut self.sent {
            batch.base_sequence = self.next_sequence;
            let producer = fields(Some(identity), self.next_sequence);
            batch.bytes = with_producer(&batch.bytes, producer);
            self.next_sequence = add_sequence(self.next_sequence, batch.record_count);
        }
        Some(())
    }

    fn retry(&mut self, now: Instant, index: usize, settings: &Settings, error: String) {
        let batch = &mut self.sent[index];
        let pause = settings.retry_backoff * (1 << batch.attempts.min(3));
        batch.attempts += 1;
        batch.retry_at = Some(now + pause);
        batch.last_error = error;
    }

    /// Returns the buffer bytes that are free now.
    fn end(&mut self, index: usize, result: Result<Stored, ProduceError>) -> usize {
        let Some(batch) = self.sent.remove(index) else { return 0 };
        batch.outcome.resolve(result);
        batch.buffered_bytes
    }
}

impl Open {
    fn new(settings: &Settings, now: Instant, partition: TopicPartition) -> Self {
        let options = BatchOptions {
            compression: settings.compression,
            is_transactional: settings.is_transactional,
            ..BatchOptions::default()
        };
        Self {
            builder: BatchBuilder::new(options),
            due_at: now + settings.linger,
            deadline: now + settings.delivery_timeout,
            buffered_bytes: 0,
            outcome: Arc::new(Outcome::new(partition)),
        }
    }

    fn close(mut self, token: u64, identity: Option<Identity>, base_sequence: i32) -> Sent {
        let record_count = self.builder.record_count();
        self.builder.set_producer(fields(identity, base_sequence));
        Sent {
            token,
            bytes: self.builder.build(),
            base_sequence,
            record_count,
            deadline: self.deadline,
            buffered_bytes: self.buffered_bytes,
            outcome: self.outcome,
            retry_at: None,
            attempts: 0,
            last_error: "no answer".into(),
        }
    }
}

fn fields(identity: Option<Identity>, base_sequence: i32) -> ProducerFields {
    match identity {
        Some(Identity { id, epoch }) => ProducerFields { id, epoch, base_sequence },
        None => ProducerFields::NONE,
    }
}

/// Sequences wrap from 2³¹−1 to 0.
fn add_sequence(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
