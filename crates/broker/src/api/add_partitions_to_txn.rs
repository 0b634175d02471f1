//! AddPartitionsToTxn: clients name one transaction; brokers, from version 4 on, several, and may
//! ask only whether partitions belong to them.

use strandline_coordinator::transactions::{Request, Topics};
use strandline_metadata::Image;
use strandline_types::{ErrorCode, PartitionId, ProducerEpoch, ProducerId};
use strandline_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use strandline_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use strandline_wire::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use crate::cx::Cx;
use crate::fencing::fenced;
use crate::session::Hangup;

const FIRST_VERSION_THAT_KNOWS_FENCING: i16 = 2;
const FIRST_VERSION_WITH_BATCHES: i16 = 4;

pub(crate) async fn handle(
    cx: &Cx,
    request: AddPartitionsToTxnRequest,
) -> Result<AddPartitionsToTxnResponse, Hangup> {
    let mut response = AddPartitionsToTxnResponse::default();
    if cx.version < FIRST_VERSION_WITH_BATCHES {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            topics: request.v3_and_below_topics,
            ..Default::default()
        };
        response.results_by_topic_v3_and_below = results(cx, transaction).await;
        return Ok(response);
    }
    for transaction in request.transactions {
        let transactional_id = transaction.transactional_id.clone();
        let topic_results = results(cx, transaction).await;
        response.results_by_transaction.push(AddPartitionsToTxnResult {
            transactional_id,
            topic_results,
            ..Default::default()
        });
    }
    Ok(response)
}

async fn results(
    cx: &Cx,
    transaction: AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let AddPartitionsToTxnTransaction { transactional_id, producer_id, producer_epoch, .. } =
        transaction;
    let topics: Topics = transaction.topics.into_iter().map(named).collect();
    if let Some(refused) = unknown(&cx.image(), &topics) {
        return refused;
    }
    let asked = topics.clone();
    let producer = (ProducerId(producer_id), ProducerEpoch(producer_epoch));
    let key = transactional_id.clone();
    let request = match transaction.verify_only {
        true => Request::VerifyPartitions { transactional_id, producer, topics },
        false => {
            let client_version = if cx.version >= FIRST_VERSION_WITH_BATCHES { 2 } else { 0 };
            Request::AddPartitions { transactional_id, producer, topics, client_version }
        }
    };
    let answer: Result<Vec<AddPartitionsToTxnTopicResult>, _> = match key.is_empty() {
        true => Err(ErrorCode::INVALID_REQUEST),
        false => cx.handles.transactions.ask(&key, cx.caller(), request).await,
    };
    let mut results = answer.unwrap_or_else(|code| each(&asked, |_, _| code));
    let knows_fencing = cx.version >= FIRST_VERSION_THAT_KNOWS_FENCING;
    for partition in results.iter_mut().flat_map(|topic| &mut topic.results_by_partition) {
        partition.partition_error_code = fenced(partition.partition_error_code, knows_fencing);
    }
    results
}

fn named(topic: AddPartitionsToTxnTopic) -> (String, Vec<i32>) {
    (topic.name, topic.partitions)
}

/// Nothing is added when some partition does not exist: its marker could never be written.
fn unknown(image: &Image, topics: &Topics) -> Option<Vec<AddPartitionsToTxnTopicResult>> {
    let exists = |topic: &str, index: i32| {
        let topic = image.topics.by_name(topic);
        topic.is_some_and(|topic| topic.partition(PartitionId(index)).is_some())
    };
    let all_exist =
        topics.iter().all(|(name, partitions)| partitions.iter().all(|it| exists(name, *it)));
    let code = |name: &str, index| match exists(name, index) {
        true => ErrorCode::OPERATION_NOT_ATTEMPTED,
        false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    };
    (!all_exist).then(|| each(topics, code))
}

fn each(
    topics: &Topics,
    code: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |(name, partitions): &(String, Vec<i32>)| {
        let of_partition = |&partition_index: &i32| AddPartitionsToTxnPartitionResult {
            partition_index,
            partition_error_code: code(name, partition_index),
            ..Default::default()
        };
        AddPartitionsToTxnTopicResult {
            name: name.clone(),
            results_by_partition: partitions.iter().map(of_partition).collect(),
            ..Default::default()
        }
    };
    topics.iter().map(of_topic).collect()
}
