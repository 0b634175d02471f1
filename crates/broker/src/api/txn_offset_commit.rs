//! TxnOffsetCommit: offsets that count with a producer's transaction. The group's partition of
//! `__consumer_offsets` takes part in the transaction like any other.

use std::collections::BTreeMap;

use strandline_coordinator::groups::Request;
use strandline_log::{TransactionStart, VerificationGuard};
use strandline_types::{ErrorCode, PartitionId, ProducerEpoch, ProducerId, TopicIdPartition};
use strandline_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use strandline_wire::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::cx::Cx;
use crate::driver::verifier::{Question, may_change};
use crate::internal_topics::CONSUMER_OFFSETS;
use crate::session::Hangup;

/// From this version on the coordinator adds its partition to the transaction itself.
const FIRST_VERSION_THAT_ADDS: i16 = 5;
const FIRST_VERSION_WITH_ABORTABLE: i16 = 4;
const FIRST_VERSION_THAT_WAITS_FOR_LOADING: i16 = 2;

pub(crate) async fn handle(
    cx: &Cx,
    mut request: TxnOffsetCommitRequest,
) -> Result<TxnOffsetCommitResponse, Hangup> {
    let mut response = TxnOffsetCommitResponse { topics: check(cx, &mut request), ..Default::default() };
    if request.topics.is_empty() {
        return Ok(response);
    }
    let answer = commit(cx, request).await.map_err(|code| match code {
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
            if cx.version < FIRST_VERSION_THAT_WAITS_FOR_LOADING =>
        {
            ErrorCode::COORDINATOR_NOT_AVAILABLE
        }
        // Clients come again for it, and not for what it says.
        ErrorCode::NETWORK_EXCEPTION => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        other => other,
    });
    let failure = answer.as_ref().err().copied().unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
    let answered = answer.map(|answer| answer.topics).unwrap_or_default();
    // The coordinator answers in the order of what it was asked.
    let mut codes = answered.iter().flat_map(|topic| &topic.partitions).map(|it| it.error_code);
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in partitions.filter(|partition| partition.error_code.is_none()) {
        partition.error_code = codes.next().unwrap_or(failure);
    }
    Ok(response)
}

/// Takes partitions that do not exist out of the request, and prepares the answer to all of them.
fn check(cx: &Cx, request: &mut TxnOffsetCommitRequest) -> Vec<TxnOffsetCommitResponseTopic> {
    let image = cx.image();
    let check = |topic: &mut strandline_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic| {
        let found = image.topics.by_name(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        topic.partitions.retain(|partition| {
            let partition_index = partition.partition_index;
            let exists =
                found.is_some_and(|topic| topic.partition(PartitionId(partition_index)).is_some());
            let error_code = match exists {
                true => ErrorCode::NONE,
                false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            partitions.push(TxnOffsetCommitResponsePartition {
                partition_index,
                error_code,
                ..Default::default()
            });
            exists
        });
        let name = topic.name.clone();
        TxnOffsetCommitResponseTopic { name, partitions, ..Default::default() }
    };
    let answers = request.topics.iter_mut().map(check).collect();
    request.topics.retain(|topic| !topic.partitions.is_empty());
    answers
}

async fn commit(
    cx: &Cx,
    request: TxnOffsetCommitRequest,
) -> Result<TxnOffsetCommitResponse, ErrorCode> {
    if request.group_id.is_empty() {
        return Err(ErrorCode::INVALID_GROUP_ID);
    }
    let groups = &cx.handles.groups;
    let id = groups.partition_of(&request.group_id).ok_or(ErrorCode::NOT_COORDINATOR)?;
    let start = TransactionStart {
        producer_id: ProducerId(request.producer_id),
        producer_epoch: ProducerEpoch(request.producer_epoch),
        base_sequence: -1,
    };
    let guard = verified(cx, &request, id, start).await?;
    let request = Request::TxnOffsetCommit(request);
    groups
        .ask_shard(id, cx.caller(), request, |partition| {
            partition
                .with_log(|log| log.check_verified(start, guard))
                .map_err(|refusal| refusal.code())
        })
        .await
}

/// The coordinator's consent that the transaction goes on in this partition, where it is needed.
async fn verified(
    cx: &Cx,
    request: &TxnOffsetCommitRequest,
    id: TopicIdPartition,
    start: TransactionStart,
) -> Result<Option<VerificationGuard>, ErrorCode> {
    let Some(held) = cx.handles.partitions.get(id) else {
        return Err(ErrorCode::NOT_COORDINATOR);
    };
    let adds = cx.version >= FIRST_VERSION_THAT_ADDS;
    let Some(guard) = held.partition.begin_verification(cx.now, start, adds) else {
        return Ok(None);
    };
    let index = id.partition.get();
    let question = Question {
        transactional_id: request.transactional_id.clone(),
        producer_id: start.producer_id,
        producer_epoch: start.producer_epoch,
        partitions: BTreeMap::from([(CONSUMER_OFFSETS.to_owned(), vec![index])]),
        adds,
        knows_abortable: cx.version >= FIRST_VERSION_WITH_ABORTABLE,
    };
    let verdicts = cx.handles.verifier.ask(&question).await;
    let verdict = match &verdicts {
        Ok(verdicts) => verdicts.get(CONSUMER_OFFSETS).and_then(|it| it.get(&index)).copied(),
        Err(code) => Some(*code),
    };
    match verdict.unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR) {
        ErrorCode::NONE => Ok(Some(guard)),
        code => {
            if !may_change(code) {
                held.partition.verification_refused(start.producer_id, guard);
            }
            Err(code)
        }
    }
}
