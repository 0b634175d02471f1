//! AddOffsetsToTxn: the transaction will commit offsets of a group, so the group's partition of
//! `__consumer_offsets` belongs to it.

use strandline_coordinator::transactions::Request;
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};
use strandline_wire::messages::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult;
use strandline_wire::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::find_coordinator;
use crate::cx::Cx;
use crate::fencing::fenced;
use crate::internal_topics::CONSUMER_OFFSETS;
use crate::session::Hangup;

const FIRST_VERSION_THAT_KNOWS_FENCING: i16 = 2;

pub(crate) async fn handle(
    cx: &Cx,
    request: AddOffsetsToTxnRequest,
) -> Result<AddOffsetsToTxnResponse, Hangup> {
    let code = add(cx, request).await.err().unwrap_or(ErrorCode::NONE);
    let error_code = fenced(code, cx.version >= FIRST_VERSION_THAT_KNOWS_FENCING);
    Ok(AddOffsetsToTxnResponse { error_code, ..Default::default() })
}

async fn add(cx: &Cx, request: AddOffsetsToTxnRequest) -> Result<(), ErrorCode> {
    let transactional_id = request.transactional_id;
    if transactional_id.is_empty() {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    find_coordinator::create_if_missing(cx, CONSUMER_OFFSETS).await;
    let partition = cx.handles.groups.partition_of(&request.group_id);
    let partition = partition.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?.partition;
    let key = transactional_id.clone();
    let add = Request::AddPartitions {
        transactional_id,
        producer: (ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch)),
        topics: vec![(CONSUMER_OFFSETS.into(), vec![partition.get()])],
        client_version: 0,
    };
    let answer: Vec<AddPartitionsToTxnTopicResult> =
        cx.handles.transactions.ask(&key, cx.caller(), add).await?;
    let mut results = answer.iter().flat_map(|topic| &topic.results_by_partition);
    let code = results.next().map_or(ErrorCode::NONE, |result| result.partition_error_code);
    if code.is_none() { Ok(()) } else { Err(code) }
}
