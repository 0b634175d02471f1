//! From a decided end to a complete one: every partition gets its marker.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use strandline_types::{Bug, planted};

use super::Topics;
use super::api::{Action, Effect, Markers};
use super::context::Context;
use super::transaction::State;

/// One sending of a transaction's markers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Marking {
    pub(crate) sending: u128,
    pub(crate) missing: BTreeMap<String, BTreeSet<i32>>,
}

/// Has the markers sent of an end that has just been written.
pub(crate) fn send(ctx: &mut Context<'_>, id: &str) {
    let Some(transaction) = ctx.durable.transactions.get(id) else { return };
    let missing = transaction.partitions.clone();
    if missing.is_empty() {
        return complete(ctx, id);
    }
    // Nothing else can tell two transactions of one epoch from each other: what is heard late of the
    // first must not complete the second.
    let sending = ctx.moment.seed;
    let markers = Markers {
        transactional_id: id.into(),
        sending,
        producer_id: transaction.producer_id,
        producer_epoch: transaction.producer_epoch,
        is_commit: transaction.state == State::PrepareCommit,
        coordinator_epoch: ctx.coordinator_epoch,
        transaction_version: transaction.client_version,
        topics: transaction.topics(),
    };
    ctx.volatile.markings.insert(id.into(), Marking { sending, missing });
    ctx.effects.push(Effect::AfterCommit(Action::SendMarkers(markers)));
}

/// These partitions have theirs.
pub(crate) fn marked(ctx: &mut Context<'_>, id: &str, sending: u128, topics: &Topics) {
    let markings = &mut ctx.volatile.markings;
    let Some(marking) = markings.get_mut(id).filter(|it| it.sending == sending) else { return };
    for (topic, partitions) in topics {
        let Some(missing) = marking.missing.get_mut(topic) else { continue };
        missing.retain(|partition| !partitions.contains(partition));
        if missing.is_empty() {
            marking.missing.remove(topic);
        }
    }
    if marking.missing.is_empty() || planted(Bug::OneMarkerCompletes) {
        complete(ctx, id);
    }
}

fn complete(ctx: &mut Context<'_>, id: &str) {
    ctx.volatile.markings.remove(id);
    if let Some(completed) = ctx.durable.transactions.get(id).map(|it| it.completed()) {
        ctx.write(id, completed);
    }
}
