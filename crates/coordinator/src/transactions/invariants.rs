//! What must hold of a transactional id after every decision.

use strandline_types::{ProducerEpoch, ProducerId};

use super::context::{Durable, Volatile};
use super::transaction::{State, Transaction};

/// Of one record after the other.
///
/// # Panics
/// When an invariant is broken: partitions would be told what contradicts what others were.
pub(crate) fn check_step(former: Option<&Transaction>, next: &Transaction) {
    let Some(former) = former else {
        assert_eq!(next.state, State::Empty, "TXN-3: it begins without a transaction");
        return;
    };
    match next.producer_id == former.producer_id {
        true => {
            assert!(next.producer_epoch >= former.producer_epoch, "TXN-1: the epoch goes back");
        }
        false => assert_eq!(next.producer_epoch, ProducerEpoch(0), "TXN-1: a new id has had none"),
    }
    let is_allowed = match former.state {
        State::Empty | State::CompleteCommit | State::CompleteAbort => {
            matches!(next.state, State::Empty | State::Ongoing | State::PrepareAbort)
        }
        State::Ongoing => next.state == State::Ongoing || next.state.is_prepared(),
        State::PrepareCommit => next.state == State::CompleteCommit,
        State::PrepareAbort => next.state == State::CompleteAbort,
    };
    let (from, to) = (former.state.name(), next.state.name());
    assert!(is_allowed, "TXN-2: what is decided stands, but {from} became {to}");
    if former.state == State::Ongoing {
        let keeps = |(topic, partitions): (&_, &alloc::collections::BTreeSet<i32>)| {
            next.partitions.get(topic).is_some_and(|kept| kept.is_superset(partitions))
        };
        assert!(former.partitions.iter().all(keeps), "TXN-3: a partition is forgotten");
        assert_eq!(former.started_at, next.started_at, "TXN-3: a transaction begins once");
    }
    if next.state.is_prepared() && former.state == State::Ongoing {
        assert_eq!(former.partitions, next.partitions, "TXN-3: its end names all partitions");
    }
}

/// Of what is so after a decision.
///
/// # Panics
/// When a transaction could stay open for ever.
pub(crate) fn check(transactional_id: &str, durable: &Durable, volatile: &Volatile) {
    let transaction = durable.transactions.get(transactional_id);
    let is = |state: fn(State) -> bool| transaction.is_some_and(|it| state(it.state));
    assert_eq!(
        is(|state| state == State::Ongoing),
        volatile.watched.contains(transactional_id),
        "TXN-5: exactly open transactions are watched"
    );
    let marking = volatile.markings.get(transactional_id);
    assert_eq!(
        is(State::is_prepared),
        marking.is_some_and(|marking| !marking.missing.is_empty()),
        "TXN-4: a transaction is complete when no partition misses its marker, and not before"
    );
    if let Some(transaction) = transaction.filter(|it| it.state.is_idle()) {
        assert!(transaction.partitions.is_empty(), "TXN-3: nothing is open");
        assert_eq!(transaction.next_producer_id, ProducerId::NONE, "TXN-1: ids change at ends");
    }
}
