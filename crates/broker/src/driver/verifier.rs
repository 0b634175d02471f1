//! Asks transaction coordinators whether partitions belong to a transaction (KIP-890), or has them
//! added to it, before its first records are written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strandline_config::ProducerSettings;
use strandline_coordinator::partition_of;
use strandline_ports::Clock;
use strandline_types::{ErrorCode, NodeId, PartitionId, ProducerEpoch, ProducerId};
use strandline_wire::messages::AddPartitionsToTxnRequest;
use strandline_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};

use super::peers::Peers;
use crate::internal_topics::TRANSACTION_STATE;

/// See the module text. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Verifier {
    peers: Peers,
    clock: Arc<dyn Clock>,
    retry_pause: Duration,
    patience: Duration,
}

/// What is asked about a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) partitions: BTreeMap<String, Vec<i32>>,
    /// Partitions that do not belong to the transaction join it.
    pub(crate) adds: bool,
    /// The client knows that a transaction may be beyond help while its producer is not.
    pub(crate) knows_abortable: bool,
}

impl Question {
    /// The coordinator's word in one that the client knows.
    fn told(&self, verdict: ErrorCode) -> ErrorCode {
        match verdict {
            ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
            ErrorCode::TRANSACTION_ABORTABLE if !self.knows_abortable => {
                ErrorCode::INVALID_TXN_STATE
            }
            other => other,
        }
    }
}

/// What the coordinator says of each partition, in words that the client knows.
pub(crate) type Verdicts = BTreeMap<String, BTreeMap<i32, ErrorCode>>;

/// Whether a coordinator that was asked again might say something else.
pub(crate) fn may_change(verdict: ErrorCode) -> bool {
    matches!(
        verdict,
        ErrorCode::CONCURRENT_TRANSACTIONS
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR
            | ErrorCode::NETWORK_EXCEPTION
    )
}

impl Verifier {
    pub(crate) fn new(peers: Peers, clock: Arc<dyn Clock>, settings: &ProducerSettings) -> Self {
        let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Self {
            peers,
            clock,
            retry_pause: millis(settings.verification_retry_ms),
            patience: millis(settings.verification_retry_max_ms),
        }
    }

    /// # Errors
    /// The code that says why the coordinator gave no answer.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Verdicts, ErrorCode> {
        let give_up_at = self.clock.now().instant + self.patience;
        loop {
            let verdicts = self.ask_once(question).await?;
            // The transaction before this one is about to end. The client would only come back.
            let is_early = question.adds
                && verdicts
                    .values()
                    .flat_map(BTreeMap::values)
                    .any(|&code| code == ErrorCode::CONCURRENT_TRANSACTIONS);
            if !is_early || self.clock.now().instant + self.retry_pause > give_up_at {
                return Ok(verdicts);
            }
            self.clock.sleep(self.retry_pause).await;
        }
    }

    async fn ask_once(&self, question: &Question) -> Result<Verdicts, ErrorCode> {
        let coordinator = self
            .coordinator_of(&question.transactional_id)
            .ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
        let topics = question.partitions.iter().map(|(name, partitions)| AddPartitionsToTxnTopic {
            name: name.clone(),
            partitions: partitions.clone(),
            ..Default::default()
        });
        let request = AddPartitionsToTxnRequest {
            transactions: vec![AddPartitionsToTxnTransaction {
                transactional_id: question.transactional_id.clone(),
                producer_id: question.producer_id.get(),
                producer_epoch: question.producer_epoch.get(),
                verify_only: !question.adds,
                topics: topics.collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let response = self.peers.call(coordinator, request).await.map_err(|error| {
            tracing::debug!(%coordinator, %error, "cannot ask about a transaction");
            ErrorCode::NETWORK_EXCEPTION
        })?;
        if response.error_code != ErrorCode::NONE {
            return Err(response.error_code);
        }
        let results = response.results_by_transaction.into_iter();
        let results = results.filter(|it| it.transactional_id == question.transactional_id);
        let topics = results.flat_map(|it| it.topic_results).map(|topic| {
            let partitions = topic.results_by_partition.into_iter();
            let told = |it| question.told(it);
            let codes = partitions.map(|it| (it.partition_index, told(it.partition_error_code)));
            (topic.name, codes.collect())
        });
        Ok(topics.collect())
    }

    fn coordinator_of(&self, transactional_id: &str) -> Option<NodeId> {
        let image = self.peers.image();
        let topic = image.topics.by_name(TRANSACTION_STATE)?;
        let count = i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)?;
        let partition: PartitionId = partition_of(transactional_id, count);
        let leader = topic.partition(partition)?.leader;
        (leader != NodeId::NONE).then_some(leader)
    }
}
