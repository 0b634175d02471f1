//! A transaction that stays open longer than its producer said is aborted. Each has a timer of its
//! own, on the clock that never jumps; what a new leader finds open is given what is left by the
//! wall clock, and never more than all.

use core::time::Duration;

use strandline_types::{ProducerId, Timestamp};

use super::api::{Action, Effect, Timer};
use super::context::Context;
use super::end_txn;
use super::transaction::{State, Transaction};

/// When no producer id was to be had.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn watch(ctx: &mut Context<'_>, id: &str) {
    let Some(transaction) = ctx.durable.transactions.get(id) else { return };
    let open_for_ms = ctx.moment.now.timestamp.millis_since(transaction.started_at).max(0);
    let left_ms = i64::from(transaction.timeout_ms).saturating_sub(open_for_ms).max(0);
    arm(ctx, id, Duration::from_millis(left_ms.unsigned_abs()));
}

pub(crate) fn unwatch(ctx: &mut Context<'_>, id: &str) {
    if ctx.volatile.watched.remove(id) {
        ctx.effects.push(Effect::Cancel(Timer::TimeOut(id.into())));
    }
}

pub(crate) fn fire(ctx: &mut Context<'_>, id: &str) {
    ctx.volatile.watched.remove(id);
    let Some(transaction) = open(ctx, id) else { return };
    if !end_txn::fence(ctx, id, &transaction, None) {
        arm(ctx, id, RETRY_PAUSE);
        let (transactional_id, started_at) = (id.into(), transaction.started_at);
        ctx.effects.push(Effect::Act(Action::FetchProducerId { transactional_id, started_at }));
    }
}

/// Here is the producer id under which it can be aborted. It may have ended in the meantime, and the
/// next have begun.
pub(crate) fn go_on(ctx: &mut Context<'_>, id: &str, started_at: Timestamp, fresh: ProducerId) {
    if let Some(transaction) = open(ctx, id).filter(|it| it.started_at == started_at) {
        end_txn::fence(ctx, id, &transaction, Some(fresh));
    }
}

fn open(ctx: &Context<'_>, id: &str) -> Option<Transaction> {
    ctx.durable.transactions.get(id).filter(|it| it.state == State::Ongoing).cloned()
}

fn arm(ctx: &mut Context<'_>, id: &str, left: Duration) {
    ctx.volatile.watched.insert(id.into());
    let at = ctx.moment.now.instant + left;
    ctx.effects.push(Effect::Arm(Timer::TimeOut(id.into()), at));
}
