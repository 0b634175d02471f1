//! Forgets transactional ids under which nothing has happened for
//! `transactional.id.expiration.ms`.

use alloc::string::String;
use alloc::vec::Vec;

use super::api::{Effect, Timer};
use super::context::Context;

pub(crate) fn fire(ctx: &mut Context<'_>) {
    let now = ctx.moment.now.timestamp;
    let expired = ctx.durable.transactions.iter().filter(|(_, transaction)| {
        transaction.state.is_idle()
            && now.millis_since(transaction.updated_at) >= ctx.settings.id_expiration_ms
    });
    let expired: Vec<String> = expired.map(|(id, _)| id.clone()).collect();
    for id in expired {
        ctx.volatile.last_epochs.remove(&id);
        ctx.append(&id, None);
    }
    arm(ctx);
}

pub(crate) fn arm(ctx: &mut Context<'_>) {
    let at = ctx.moment.now.instant + ctx.settings.expiry_check_interval;
    ctx.effects.push(Effect::Arm(Timer::ExpireIds, at));
}
