//! EndTxn: a transaction is committed or aborted. Decided here, it is so, whatever fails later.
//!
//! Up to version 1 of the protocol the epoch stays, so a retry looks like the first attempt, and the
//! last end tells whether the answer may be repeated. From version 2 on every end bumps the epoch
//! before the markers: who comes with the epoch before it has not heard the answer, and who comes
//! with the present one means the next transaction. That one may have got no further than a
//! partition's leader, who did not tell of it: an abort is granted though nothing is open, and
//! bumps the epoch, so that what is on its way to that leader is refused there.

use strandline_types::{ProducerEpoch, ProducerId};

use super::api::Issued;
use super::context::Context;
use super::refusal::Refusal;
use super::transaction::{FIRST_VERSION_THAT_BUMPS, LAST_EPOCH, State, Transaction};
use super::{markers, time_out};
use crate::contract::Ticket;

/// What the producer wants.
pub(crate) struct End {
    pub(crate) producer: (ProducerId, ProducerEpoch),
    pub(crate) is_commit: bool,
    pub(crate) client_version: i16,
    pub(crate) fresh: Option<ProducerId>,
}

pub(crate) fn decide(ctx: &mut Context<'_>, ticket: Ticket, transactional_id: &str, end: &End) {
    let issued = match end.client_version {
        FIRST_VERSION_THAT_BUMPS.. => {
            let issued = end_and_bump(ctx, transactional_id, end);
            if issued == Err(Refusal::InvalidState) {
                confirm(ctx, transactional_id);
            }
            issued
        }
        _ => end_as_it_is(ctx, transactional_id, end),
    };
    ctx.issue(ticket, issued.unwrap_or_else(Issued::Refused));
}

/// TXN-7: what is so is written once more, and said when that has committed. The producer has told no
/// coordinator which partitions take part: their leaders have, and perhaps another one than this, which
/// coordinates no more and has not heard of it. It would call a transaction that is open there none, and
/// the producer would give itself up.
fn confirm(ctx: &mut Context<'_>, id: &str) {
    let present = ctx.durable.transactions.get(id).cloned();
    ctx.append(id, present.as_ref());
}

/// By the rules up to version 1.
fn end_as_it_is(ctx: &mut Context<'_>, id: &str, end: &End) -> Result<Issued, Refusal> {
    let (producer_id, producer_epoch) = end.producer;
    let transaction = ctx.of_producer(id, producer_id)?;
    if transaction.producer_epoch != producer_epoch {
        return Err(Refusal::Fenced);
    }
    match (transaction.state, end.is_commit) {
        (State::Ongoing, _) => {
            let next = Transaction { client_version: 0, ..transaction.clone() };
            prepare(ctx, id, next, end.is_commit);
        }
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => {}
        (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
            return Err(Refusal::Concurrent);
        }
        _ => return Err(Refusal::InvalidState),
    }
    Ok(Issued::To(producer_id, producer_epoch))
}

/// By the rules from version 2 on.
fn end_and_bump(ctx: &mut Context<'_>, id: &str, end: &End) -> Result<Issued, Refusal> {
    let (producer_id, producer_epoch) = end.producer;
    if id.is_empty() {
        return Err(Refusal::EmptyId);
    }
    let transaction = ctx.durable.transactions.get(id).ok_or(Refusal::WrongProducerId)?;
    let present = transaction.producer_epoch;
    let is_new_id = transaction.previous_producer_id == producer_id
        && producer_epoch == LAST_EPOCH
        && present == ProducerEpoch(0);
    if !is_new_id {
        ctx.of_producer(id, producer_id)?;
    }
    let is_bumped = i32::from(present.get()) == i32::from(producer_epoch.get()) + 1;
    let is_retry = is_bumped || is_new_id;
    if transaction.state.is_prepared() && producer_epoch == present {
        // It has heard of the last end, and ends the next before the markers are written: when it
        // aborts what never reached a partition.
        return Err(Refusal::Concurrent);
    }
    let is_valid = match transaction.state {
        State::Empty | State::Ongoing => producer_epoch == present,
        State::PrepareCommit | State::PrepareAbort => is_bumped,
        State::CompleteCommit | State::CompleteAbort => is_retry || producer_epoch == present,
    };
    if !is_valid {
        return Err(Refusal::Fenced);
    }
    match (transaction.state, end.is_commit) {
        (State::Ongoing, _) => {}
        (State::CompleteCommit, true) | (State::CompleteAbort, false) if is_retry => {
            return Ok(Issued::To(transaction.producer_id, present));
        }
        (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
            return Err(Refusal::Concurrent);
        }
        (State::Empty | State::CompleteCommit | State::CompleteAbort, false) if !is_retry => {}
        _ => return Err(Refusal::InvalidState),
    }
    let transaction = transaction.clone();
    Ok(match bump_and_prepare(ctx, id, &transaction, end.is_commit, end.fresh) {
        Some((producer_id, producer_epoch)) => {
            assert!(producer_epoch <= LAST_EPOCH, "TXN-6: who has the last epoch cannot be fenced");
            Issued::To(producer_id, producer_epoch)
        }
        None => Issued::NeedsProducerId,
    })
}

/// Aborts an open transaction whose producer is not to go on: it has been replaced, or has run out
/// of time. False when that takes a fresh producer id.
pub(crate) fn fence(
    ctx: &mut Context<'_>,
    id: &str,
    transaction: &Transaction,
    fresh: Option<ProducerId>,
) -> bool {
    if ctx.own_version() >= FIRST_VERSION_THAT_BUMPS {
        return bump_and_prepare(ctx, id, transaction, false, fresh).is_some();
    }
    let next = Transaction {
        producer_epoch: bumped(transaction.producer_epoch),
        client_version: 0,
        ..transaction.clone()
    };
    ctx.volatile.last_epochs.remove(id);
    prepare(ctx, id, next, false);
    true
}

/// Under which id and epoch the producer goes on; `None` when that takes a fresh producer id.
fn bump_and_prepare(
    ctx: &mut Context<'_>,
    id: &str,
    transaction: &Transaction,
    is_commit: bool,
    fresh: Option<ProducerId>,
) -> Option<(ProducerId, ProducerEpoch)> {
    let former_epoch = transaction.producer_epoch;
    let next_producer_id = match former_epoch >= LAST_EPOCH {
        true => fresh?,
        false => ProducerId::NONE,
    };
    let mut next = Transaction {
        producer_epoch: bumped(former_epoch),
        next_producer_id,
        client_version: FIRST_VERSION_THAT_BUMPS,
        ..transaction.clone()
    };
    if transaction.state != State::Ongoing {
        // Who knows when it began, if it did.
        next.started_at = ctx.moment.now.timestamp;
    }
    ctx.volatile.last_epochs.insert(id.into(), former_epoch);
    let issued = next.completed();
    prepare(ctx, id, next, is_commit);
    Some((issued.producer_id, issued.producer_epoch))
}

fn bumped(epoch: ProducerEpoch) -> ProducerEpoch {
    ProducerEpoch(epoch.get().saturating_add(1))
}

fn prepare(ctx: &mut Context<'_>, id: &str, mut next: Transaction, is_commit: bool) {
    next.state = match is_commit {
        true => State::PrepareCommit,
        false => State::PrepareAbort,
    };
    ctx.write(id, next);
    time_out::unwatch(ctx, id);
    markers::send(ctx, id);
}
