//! InitProducerId: a producer takes a transactional id over, and whoever had it is fenced.

use alloc::collections::BTreeMap;

use strandline_types::{Bug, ProducerEpoch, ProducerId, Timestamp, planted};

use super::api::Issued;
use super::context::Context;
use super::end_txn;
use super::refusal::Refusal;
use super::transaction::{LAST_EPOCH, State, Transaction};
use crate::contract::Ticket;

/// What the producer says of itself.
pub(crate) struct Newcomer {
    pub(crate) timeout_ms: i32,
    pub(crate) expected: Option<(ProducerId, ProducerEpoch)>,
    pub(crate) fresh: Option<ProducerId>,
}

pub(crate) fn decide(
    ctx: &mut Context<'_>,
    ticket: Ticket,
    transactional_id: &str,
    newcomer: &Newcomer,
) {
    let issued = init(ctx, transactional_id, newcomer).unwrap_or_else(Issued::Refused);
    ctx.issue(ticket, issued);
}

fn init(ctx: &mut Context<'_>, id: &str, newcomer: &Newcomer) -> Result<Issued, Refusal> {
    if id.is_empty() {
        return Err(Refusal::EmptyId);
    }
    if newcomer.timeout_ms <= 0 || newcomer.timeout_ms > ctx.settings.timeout_max_ms {
        return Err(Refusal::InvalidTimeout);
    }
    let Some(transaction) = ctx.durable.transactions.get(id).cloned() else {
        let Some(fresh) = newcomer.fresh else { return Ok(Issued::NeedsProducerId) };
        return Ok(give(ctx, id, newcomer, None, (fresh, ProducerEpoch(0)), None));
    };
    let last_epoch = ctx.volatile.last_epochs.get(id).copied();
    if let Some((expected_id, expected_epoch)) = newcomer.expected {
        let was_rotated = expected_id == transaction.previous_producer_id
            && expected_epoch >= LAST_EPOCH
            && expected_id != ProducerId::NONE;
        let will_have_it = expected_id == transaction.next_producer_id;
        if expected_id != transaction.producer_id && !was_rotated && !will_have_it {
            return Err(Refusal::Fenced);
        }
        // A zombie must not abort the transaction of whoever fenced it. Where one is open, its
        // producer has heard the last epoch.
        if transaction.state == State::Ongoing && expected_epoch != transaction.producer_epoch {
            return Err(Refusal::Fenced);
        }
    }
    match transaction.state {
        State::PrepareCommit | State::PrepareAbort => Err(Refusal::Concurrent),
        State::Ongoing => match end_txn::fence(ctx, id, &transaction, newcomer.fresh) {
            true => Err(Refusal::Concurrent),
            false => Ok(Issued::NeedsProducerId),
        },
        State::Empty | State::CompleteCommit | State::CompleteAbort => {
            take_over(ctx, id, newcomer, transaction, last_epoch)
        }
    }
}

/// Nothing is open: the next epoch is the newcomer's.
fn take_over(
    ctx: &mut Context<'_>,
    id: &str,
    newcomer: &Newcomer,
    transaction: Transaction,
    last_epoch: Option<ProducerEpoch>,
) -> Result<Issued, Refusal> {
    let (producer_id, epoch) = (transaction.producer_id, transaction.producer_epoch);
    let expected_epoch = newcomer.expected.map(|(_, epoch)| epoch);
    match expected_epoch {
        Some(expected) if expected != epoch => match last_epoch == Some(expected) {
            // It has not heard the answer.
            true if epoch <= LAST_EPOCH => {
                let same = (producer_id, epoch);
                Ok(give(ctx, id, newcomer, Some(transaction), same, last_epoch))
            }
            _ => Err(Refusal::Fenced),
        },
        _ if epoch >= LAST_EPOCH => {
            let Some(fresh) = newcomer.fresh else { return Ok(Issued::NeedsProducerId) };
            let first = (fresh, ProducerEpoch(0));
            Ok(give(ctx, id, newcomer, Some(transaction), first, expected_epoch))
        }
        _ => {
            let step = i16::from(!planted(Bug::NewcomerKeepsEpoch));
            let next = (producer_id, ProducerEpoch(epoch.get() + step));
            Ok(give(ctx, id, newcomer, Some(transaction), next, expected_epoch))
        }
    }
}

fn give(
    ctx: &mut Context<'_>,
    id: &str,
    newcomer: &Newcomer,
    former: Option<Transaction>,
    (producer_id, producer_epoch): (ProducerId, ProducerEpoch),
    last_epoch: Option<ProducerEpoch>,
) -> Issued {
    let transaction = Transaction {
        producer_id,
        producer_epoch,
        previous_producer_id: ProducerId::NONE,
        next_producer_id: ProducerId::NONE,
        timeout_ms: newcomer.timeout_ms,
        state: State::Empty,
        partitions: BTreeMap::new(),
        started_at: Timestamp::NONE,
        updated_at: ctx.moment.now.timestamp,
        client_version: former.map_or(0, |former| former.client_version),
    };
    match last_epoch {
        Some(epoch) => drop(ctx.volatile.last_epochs.insert(id.into(), epoch)),
        None => drop(ctx.volatile.last_epochs.remove(id)),
    }
    ctx.write(id, transaction);
    assert!(producer_epoch <= LAST_EPOCH, "TXN-6: who has the last epoch cannot be fenced");
    Issued::To(producer_id, producer_epoch)
}
