//! The coordinator's consent for each partition on which a transaction begins with this request.

use std::collections::BTreeMap;

use strandline_log::{Origin, VerificationGuard};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};

use super::{Checked, Refusal, Stage, Topic};
use crate::cx::Cx;
use crate::driver::verifier::{Question, Verdicts, may_change};

/// From this version on clients leave it to the brokers to add partitions to their transactions.
const FIRST_VERSION_THAT_ADDS: i16 = 12;
/// Since then clients know that a transaction may be beyond help while its producer is not.
const FIRST_VERSION_WITH_ABORTABLE: i16 = 11;

/// Refuses what may not be written, and marks what the coordinator has confirmed.
pub(super) async fn verify(cx: &Cx, transactional_id: String, topics: &mut [Topic]) {
    let Some(producer) = producer_of(topics) else { return };
    let adds = cx.version >= FIRST_VERSION_THAT_ADDS;
    let guards = begin(cx, topics, adds);
    if guards.is_empty() {
        return;
    }
    let mut partitions: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, index) in guards.keys() {
        partitions.entry(topic.clone()).or_default().push(*index);
    }
    let (producer_id, producer_epoch) = producer;
    let knows_abortable = cx.version >= FIRST_VERSION_WITH_ABORTABLE;
    let question = Question {
        transactional_id,
        producer_id,
        producer_epoch,
        partitions,
        adds,
        knows_abortable,
    };
    let _ordering = cx.session.queue.hold();
    let verdicts = cx.handles.verifier.ask(&question).await;
    conclude(topics, adds, &guards, &verdicts);
}

type Guards = BTreeMap<(String, i32), VerificationGuard>;

/// Of all transactional batches, which must have one. Those of several are refused.
fn producer_of(topics: &mut [Topic]) -> Option<(ProducerId, ProducerEpoch)> {
    let mut first = None;
    let mut is_one = true;
    for checked in transactional(topics) {
        let facts = &checked.batch.facts;
        let producer = (facts.producer_id, facts.producer_epoch);
        is_one &= *first.get_or_insert(producer) == producer;
    }
    if is_one {
        return first;
    }
    for stage in topics.iter_mut().flat_map(|it| &mut it.partitions).map(|it| &mut it.stage) {
        if matches!(stage, Stage::Checked(_)) {
            *stage = Stage::Refused(Refusal::SeveralProducers);
        }
    }
    None
}

fn transactional(topics: &[Topic]) -> impl Iterator<Item = &Checked> {
    topics.iter().flat_map(|topic| &topic.partitions).filter_map(|it| match &it.stage {
        Stage::Checked(checked) if checked.batch.facts.is_transactional => Some(checked),
        _ => None,
    })
}

fn begin(cx: &Cx, topics: &[Topic], adds: bool) -> Guards {
    let mut guards = Guards::new();
    for it in topics.iter().flat_map(|topic| &topic.partitions) {
        let (Stage::Checked(checked), Some(partition)) = (&it.stage, &it.partition) else {
            continue;
        };
        let facts = &checked.batch.facts;
        if !facts.is_transactional {
            continue;
        }
        if let Some(guard) = partition.begin_verification(cx.now, facts.into(), adds) {
            guards.insert((partition.name().topic.to_string(), it.index), guard);
        }
    }
    guards
}

fn conclude(
    topics: &mut [Topic],
    adds: bool,
    guards: &Guards,
    verdicts: &Result<Verdicts, ErrorCode>,
) {
    for it in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let (Stage::Checked(checked), Some(partition)) = (&mut it.stage, &it.partition) else {
            continue;
        };
        let topic = partition.name().topic.to_string();
        let Some(&guard) = guards.get(&(topic.clone(), it.index)) else { continue };
        let verdict = match verdicts {
            Ok(verdicts) => verdicts.get(&topic).and_then(|of_topic| of_topic.get(&it.index)),
            Err(code) => Some(code),
        };
        let verdict = verdict.copied().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
        if verdict == ErrorCode::NONE {
            checked.origin = Origin::Verified(guard);
            continue;
        }
        let keeps = adds && verdict == ErrorCode::CONCURRENT_TRANSACTIONS;
        let code = match verdict {
            _ if keeps => verdict,
            _ if may_change(verdict) => ErrorCode::NOT_ENOUGH_REPLICAS,
            _ => {
                partition.verification_refused(checked.batch.facts.producer_id, guard);
                verdict
            }
        };
        it.stage = Stage::Refused(Refusal::Unverified(code));
    }
}
