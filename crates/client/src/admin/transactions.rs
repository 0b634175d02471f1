//! Transactions: who has one open, since when, where, and how to end it.

use std::time::Duration;

use strandline_types::{
    ErrorCode, NodeId, Offset, PartitionId, ProducerEpoch, ProducerId, Timestamp, TopicPartition,
};
use strandline_wire::messages::describe_transactions_response::TransactionState;
use strandline_wire::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use strandline_wire::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListTransactionsRequest, WriteTxnMarkersRequest,
};

use super::{Admin, PerItem};
use crate::cluster::Coordinated;
use crate::error::{ClientError, Refusal};

/// The state of a transaction whose producer may still write.
const ONGOING: &str = "Ongoing";
/// Of the producer that is made up only to fence another: it has no transactions.
const FENCING_TIMEOUT_MS: i32 = 1;

/// One row of the list of transactional ids.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TransactionListing {
    pub transactional_id: String,
    pub producer_id: ProducerId,
    /// As Kafka calls it: `Ongoing`, `CompleteCommit` and so on.
    pub state: String,
    pub coordinator: NodeId,
}

/// Which transactional ids to list; the default is all of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransactionFilter {
    /// Names of states; empty means any.
    pub states: Vec<String>,
    /// Only transactions that have been open for longer; brokers before Kafka 3.8 list all.
    pub open_longer_than: Option<Duration>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionDescription {
    pub transactional_id: String,
    pub coordinator: NodeId,
    pub state: String,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub timeout: Duration,
    /// Of the open transaction.
    pub started_at: Option<Timestamp>,
    /// What the open transaction spans.
    pub partitions: Vec<TopicPartition>,
}

impl TransactionDescription {
    /// Its producer may still write, and readers of committed records wait.
    pub fn is_open(&self) -> bool {
        self.state == ONGOING
    }
}

/// A transaction as a partition knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenTransaction {
    pub partition: TopicPartition,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// −1 before the first marker.
    pub coordinator_epoch: i32,
    pub first_offset: Offset,
}

impl Admin {
    /// Transactional ids of all coordinators, by name.
    pub async fn list_transactions(
        &self,
        filter: &TransactionFilter,
    ) -> Result<Vec<TransactionListing>, ClientError> {
        let duration = filter.open_longer_than.map(|it| i64::try_from(it.as_millis()));
        let request = |_| ListTransactionsRequest {
            state_filters: filter.states.clone(),
            duration_filter: duration.map_or(-1, |ms| ms.unwrap_or(i64::MAX)),
            ..Default::default()
        };
        let mut listed = Vec::new();
        for (broker, response) in self.ask_brokers(request).await? {
            let subject = format!("transactions of broker {broker}");
            ClientError::check(subject, response.error_code, None)?;
            listed.extend(response.transaction_states.into_iter().map(|it| TransactionListing {
                transactional_id: it.transactional_id,
                producer_id: ProducerId(it.producer_id),
                state: it.transaction_state,
                coordinator: broker,
            }));
        }
        listed.sort();
        Ok(listed)
    }

    pub async fn describe_transactions(
        &self,
        ids: &[String],
    ) -> Result<PerItem<String, TransactionDescription>, ClientError> {
        let mut results = Vec::new();
        for id in ids {
            let of = Coordinated::Transaction(id.clone());
            let code = |response: &DescribeTransactionsResponse| {
                response.transaction_states.first().map_or(ErrorCode::NONE, |it| it.error_code)
            };
            let request = || DescribeTransactionsRequest {
                transactional_ids: vec![id.clone()],
                ..Default::default()
            };
            let response = self.client.call_coordinator(of.clone(), |_| request(), code).await?;
            let coordinator = self.client.coordinator(of).await?;
            results.extend(
                response
                    .transaction_states
                    .into_iter()
                    .map(|state| (state.transactional_id.clone(), described(coordinator, state))),
            );
        }
        Ok(results)
    }

    /// Makes the present producer of a transactional id a former one: its open transaction is
    /// aborted, and whatever it does next fails.
    pub async fn fence_producer(&self, id: &str) -> Result<(), ClientError> {
        let request = || InitProducerIdRequest {
            transactional_id: Some(id.to_owned()),
            transaction_timeout_ms: FENCING_TIMEOUT_MS,
            ..Default::default()
        };
        let of = Coordinated::Transaction(id.to_owned());
        let code = |response: &InitProducerIdResponse| response.error_code;
        // Says that it is busy until the abort is complete.
        let response = self.client.call_coordinator(of, |_| request(), code).await?;
        ClientError::check(format!("transactional id {id}"), response.error_code, None)
    }

    /// The transactions that are open on these partitions, as their leaders know them.
    pub async fn open_transactions(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<PerItem<TopicPartition, Vec<OpenTransaction>>, ClientError> {
        let described = self.describe_producers(partitions).await?;
        let open = described.into_iter().map(|(partition, producers)| {
            let open = producers.map(|producers| {
                let open = producers.into_iter().filter_map(|it| {
                    let is_open = it.transaction_start_offset >= Offset::ZERO;
                    is_open.then(|| OpenTransaction {
                        partition: partition.clone(),
                        producer_id: it.id,
                        producer_epoch: ProducerEpoch(i16::try_from(it.epoch).unwrap_or(-1)),
                        coordinator_epoch: it.coordinator_epoch,
                        first_offset: it.transaction_start_offset,
                    })
                });
                open.collect()
            });
            (partition.clone(), open)
        });
        Ok(open.collect())
    }

    /// Ends a transaction on one partition, whatever its coordinator says. For one that hangs: its
    /// coordinator does not know of it any more.
    pub async fn abort_transaction(
        &self,
        transaction: &OpenTransaction,
    ) -> Result<(), ClientError> {
        let OpenTransaction { partition, producer_id, producer_epoch, coordinator_epoch, .. } =
            transaction;
        let marker = WritableTxnMarker {
            producer_id: producer_id.get(),
            producer_epoch: producer_epoch.get(),
            transaction_result: false,
            coordinator_epoch: (*coordinator_epoch).max(0),
            topics: vec![WritableTxnMarkerTopic {
                name: partition.topic.clone(),
                partition_indexes: vec![partition.partition.get()],
                ..Default::default()
            }],
            ..Default::default()
        };
        let request = |_: &[TopicPartition]| WriteTxnMarkersRequest {
            markers: vec![marker.clone()],
            ..Default::default()
        };
        let answers = self
            .ask_leaders(vec![partition.clone()], request, |response| {
                let topics = response.markers.into_iter().flat_map(|it| it.topics);
                let answers = topics.flat_map(|topic| {
                    topic.partitions.into_iter().map(move |it| {
                        let index = PartitionId(it.partition_index);
                        let subject =
                            TopicPartition { topic: topic.name.clone(), partition: index };
                        (subject, Refusal::check(it.error_code, None))
                    })
                });
                answers.collect()
            })
            .await?;
        let subject = format!("the transaction on {partition}");
        match answers.into_iter().next() {
            Some((_, Ok(()))) => Ok(()),
            Some((_, Err(refusal))) => Err(ClientError::refused(subject, refusal.code)),
            None => Err(ClientError::NotAnswered { subject }),
        }
    }
}

fn described(
    coordinator: NodeId,
    state: TransactionState,
) -> Result<TransactionDescription, Refusal> {
    Refusal::check(state.error_code, None)?;
    let partitions = state.topics.into_iter().flat_map(|topic| {
        let name = topic.topic;
        topic
            .partitions
            .into_iter()
            .map(move |index| TopicPartition { topic: name.clone(), partition: PartitionId(index) })
    });
    let started_at = Timestamp(state.transaction_start_time_ms);
    Ok(TransactionDescription {
        partitions: partitions.collect(),
        transactional_id: state.transactional_id,
        coordinator,
        state: state.transaction_state,
        producer_id: ProducerId(state.producer_id),
        producer_epoch: ProducerEpoch(state.producer_epoch),
        timeout: Duration::from_millis(u64::try_from(state.transaction_timeout_ms).unwrap_or(0)),
        started_at: (started_at >= Timestamp(0)).then_some(started_at),
    })
}
