//! Which partitions the open transaction spans, as far as its coordinator knows.
//!
//! The coordinator must know of a partition before a record of the transaction is stored there, or
//! nobody would tell the partition how it ended. Under protocol 1 the producer says so and waits for
//! the answer; under protocol 2 the partition's leader does, when the first record comes (KIP-890).

use std::collections::BTreeSet;
use std::sync::Mutex;

use strandline_types::TopicPartition;
use tokio::sync::Notify;

use super::batches::Identity;
use crate::sync::lock;

/// The finalized feature that says which protocol a cluster speaks.
pub(super) const FEATURE: &str = "transaction.version";
/// The level from which on it is protocol 2.
const LEVEL_OF_V2: i16 = 2;

/// How a producer and its coordinator tell each other of transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    V1,
    /// Each transaction has a producer epoch of its own, and partitions enrol themselves.
    V2,
}

impl Protocol {
    pub(super) fn of_level(level: i16) -> Self {
        if level >= LEVEL_OF_V2 { Self::V2 } else { Self::V1 }
    }

    /// By a newer Produce a producer says that it speaks protocol 2.
    pub(super) fn produce_version_max(self) -> i16 {
        self.version_max(11)
    }

    /// By a newer EndTxn, too.
    pub(super) fn end_version_max(self) -> i16 {
        self.version_max(4)
    }

    /// By a newer TxnOffsetCommit, too.
    pub(super) fn offsets_version_max(self) -> i16 {
        self.version_max(4)
    }

    fn version_max(self, of_v1: i16) -> i16 {
        if self == Self::V1 { of_v1 } else { i16::MAX }
    }
}

/// What the coordinator knows, or is asked to note.
pub(super) struct Enrolment {
    pub(super) transactional_id: String,
    pub(super) protocol: Protocol,
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Default)]
struct State {
    known: BTreeSet<TopicPartition>,
    is_asking: bool,
    /// There may be something for the coordinator to end.
    has_begun: bool,
    /// Nothing more is to become part of it.
    is_over: bool,
    /// How often offsets were sent, and how often their group has said that it has them.
    offsets_sent: u64,
    offsets_confirmed: u64,
}

/// Partitions that the coordinator must be asked to note, for the transaction of this identity.
pub(super) struct Question {
    pub(super) identity: Identity,
    pub(super) partitions: Vec<TopicPartition>,
}

impl Enrolment {
    pub(super) fn new(transactional_id: String, protocol: Protocol) -> Self {
        Self { transactional_id, protocol, state: Mutex::default(), answered: Notify::new() }
    }

    /// Forgets the last transaction, which is [over](Self::over).
    pub(super) fn begin(&self) {
        *lock(&self.state) = State::default();
    }

    /// The coordinator is about to hear of this transaction, from us or from a partition's leader.
    pub(super) fn begun(&self) {
        lock(&self.state).has_begun = true;
    }

    pub(super) fn has_begun(&self) -> bool {
        lock(&self.state).has_begun
    }

    /// Nothing more becomes part of the transaction from now on. Waits for what the coordinator is
    /// still being asked: heard after the end, that would open it again.
    pub(super) async fn over(&self) {
        lock(&self.state).is_over = true;
        loop {
            let answered = self.answered.notified();
            if !lock(&self.state).is_asking {
                return;
            }
            answered.await;
        }
    }

    /// Offsets that are not confirmed must keep the transaction from being committed, whether
    /// somebody waits for the answer or not.
    pub(super) fn offsets_sent(&self) {
        lock(&self.state).offsets_sent += 1;
    }

    pub(super) fn offsets_confirmed(&self) {
        lock(&self.state).offsets_confirmed += 1;
    }

    pub(super) fn misses_offsets(&self) -> bool {
        let state = lock(&self.state);
        state.offsets_confirmed < state.offsets_sent
    }

    /// Leaves those in `due` that may be sent to. The others are to be asked for, unless somebody
    /// else asks already.
    pub(super) fn admit(
        &self,
        due: &mut Vec<TopicPartition>,
        identity: Option<Identity>,
    ) -> Option<Question> {
        let mut state = lock(&self.state);
        if state.is_over {
            due.clear();
        }
        state.has_begun |= !due.is_empty();
        if self.protocol == Protocol::V2 {
            return None;
        }
        let unknown = due.extract_if(.., |partition| !state.known.contains(partition));
        let partitions: Vec<_> = unknown.collect();
        if partitions.is_empty() || state.is_asking {
            return None;
        }
        let identity = identity?;
        state.is_asking = true;
        Some(Question { identity, partitions })
    }

    pub(super) fn answered(&self, question: Question, is_noted: bool) {
        let mut state = lock(&self.state);
        state.is_asking = false;
        if is_noted {
            state.known.extend(question.partitions);
        }
        drop(state);
        self.answered.notify_waiters();
    }
}
