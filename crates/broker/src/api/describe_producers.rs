//! DescribeProducers (KIP-664): the idempotent producers that a partition remembers.

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::{ErrorCode, LeaderEpoch, Uuid};
use strandline_wire::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use strandline_wire::messages::{DescribeProducersRequest, DescribeProducersResponse};

use crate::cx::Cx;
use crate::partitions::find;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeProducersRequest,
) -> Result<DescribeProducersResponse, Hangup> {
    // Repeated, a partition with many producers would fill the memory.
    let mut seen: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    let topics = request.topics.into_iter().map(|topic| {
        let seen = seen.entry(topic.name.clone()).or_default();
        let indexes = topic.partition_indexes.iter().filter(|index| seen.insert(**index));
        let partitions = indexes.map(|index| describe(cx, &topic.name, *index)).collect();
        TopicResponse { name: topic.name, partitions, ..Default::default() }
    });
    Ok(DescribeProducersResponse { topics: topics.collect(), ..Default::default() })
}

fn describe(cx: &Cx, topic: &str, partition_index: i32) -> PartitionResponse {
    match active_producers(cx, topic, partition_index) {
        Ok(active_producers) => {
            PartitionResponse { partition_index, active_producers, ..Default::default() }
        }
        Err(error_code) => PartitionResponse { partition_index, error_code, ..Default::default() },
    }
}

fn active_producers(
    cx: &Cx,
    topic: &str,
    partition: i32,
) -> Result<Vec<ProducerState>, ErrorCode> {
    let held = find(cx, topic, Uuid::ZERO, partition).map_err(|refusal| refusal.code())?;
    let leads = held.partition.view().check_leader(LeaderEpoch::NONE);
    leads.map_err(|refusal| refusal.code())?;
    let remembered = held.partition.with_log(|log| log.producers().snapshot());
    let states = remembered.into_iter().map(|producer| ProducerState {
        producer_id: producer.producer_id.get(),
        producer_epoch: i32::from(producer.epoch.get()),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.timestamp.as_millis(),
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_first_offset.get(),
        ..Default::default()
    });
    Ok(states.collect())
}
