//! Transactions: what is sent in one is read as a whole or not at all, with what it read from.
//!
//! ```no_run
//! # async fn example(world: strandline_ports::World) -> Result<(), Box<dyn std::error::Error>> {
//! use strandline_client::{Client, ClientConfig};
//! use strandline_client::producer::{ProducerRecord, TransactionalConfig, TransactionalProducer};
//!
//! let client = Client::new(world, ClientConfig::new("localhost:9092"));
//! let config = TransactionalConfig::new("payroll");
//! let mut producer = TransactionalProducer::open(client, config).await?;
//! let transaction = producer.begin().await?;
//! let _ = transaction.send(ProducerRecord::new("accounts").key("ann").value("+100")).await?;
//! let _ = transaction.send(ProducerRecord::new("accounts").key("bob").value("-100")).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use strandline_types::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use strandline_wire::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, EndTxnRequest, EndTxnResponse,
    InitProducerIdRequest, InitProducerIdResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
    txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
};

use super::batches::Identity;
use super::enrolment::{Enrolment, FEATURE, Protocol};
use super::{
    Acks, Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord, Shared,
    TransactionError,
};
use crate::admin::CommittedOffset;
use crate::admin::offsets::by_topic;
use crate::cluster::{Channel, Client, Coordinated};
use crate::consumer::GroupMember;
use crate::error::{ClientError, Refusal};
use crate::sync::lock;

/// Kafka's settings of a transactional producer, with its defaults.
#[derive(Clone, Debug)]
pub struct TransactionalConfig {
    /// Who opens a producer with it makes all earlier ones former ones.
    pub transactional_id: String,
    /// A transaction that is open for longer is aborted, and its producer with it.
    pub timeout: Duration,
    /// Always idempotent, with [`Acks::All`].
    pub producer: ProducerConfig,
}

impl TransactionalConfig {
    pub fn new(transactional_id: impl Into<String>) -> Self {
        Self {
            transactional_id: transactional_id.into(),
            timeout: Duration::from_secs(60),
            producer: ProducerConfig::default(),
        }
    }
}

/// The one producer of a transactional id, with one transaction at a time. [`Self::close`] it in the
/// end, if a transaction may have been dropped.
pub struct TransactionalProducer {
    producer: Producer,
    timeout: Duration,
    /// The last transaction did not come to an end that its coordinator has confirmed.
    must_renew: bool,
}

impl TransactionalProducer {
    /// Fences whoever had the transactional id before, and ends what that one left open.
    ///
    /// # Errors
    /// When no coordinator answers, or it refuses.
    pub async fn open(
        client: Client,
        config: TransactionalConfig,
    ) -> Result<Self, TransactionError> {
        let id = &config.transactional_id;
        let identity = init_producer_id(&client, id, config.timeout, None).await?;
        let coordinator = client.coordinator(Coordinated::Transaction(id.clone())).await?;
        let connection = client.connection(coordinator, Channel::SHARED).await?;
        let protocol = Protocol::of_level(connection.versions().finalized(FEATURE));
        let enrolment = Enrolment::new(config.transactional_id, protocol);
        let settings = ProducerConfig { acks: Acks::All, is_idempotent: true, ..config.producer };
        let producer = Producer::start(client, settings, Some(enrolment));
        lock(&producer.shared().batches).set_identity(identity);
        Ok(Self { producer, timeout: config.timeout, must_renew: false })
    }

    /// Begins a transaction. One that was dropped without an end is aborted first.
    ///
    /// # Errors
    /// When there was such a one and it cannot be aborted.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, TransactionError> {
        if self.must_renew {
            self.renew().await?;
        }
        self.enrolment().begin();
        self.must_renew = true;
        Ok(Transaction { owner: self })
    }

    /// Has what a dropped transaction may have left open aborted: its readers need not wait for the
    /// time-out then.
    ///
    /// # Errors
    /// When it cannot be aborted now.
    pub async fn close(mut self) -> Result<(), TransactionError> {
        match self.must_renew && self.enrolment().has_begun() {
            true => self.renew().await,
            false => Ok(()),
        }
    }

    /// Has the coordinator end what may be open, and give the next epoch: what is still under way
    /// of the former one comes too late then.
    async fn renew(&mut self) -> Result<(), TransactionError> {
        let shared = self.shared();
        let id = &self.enrolment().transactional_id;
        lock(&shared.batches).fail_all(&ProduceError::GivenUp);
        shared.free_room();
        let former = lock(&shared.batches).identity();
        let identity = init_producer_id(&shared.client, id, self.timeout, former).await?;
        let mut batches = lock(&shared.batches);
        batches.set_identity(identity);
        let _ = batches.take_failure();
        drop(batches);
        self.must_renew = false;
        Ok(())
    }

    fn shared(&self) -> &Shared {
        self.producer.shared()
    }

    fn enrolment(&self) -> &Enrolment {
        self.shared().enrolment.as_ref().expect("a transactional producer has one")
    }

    /// Tells the coordinator how the open transaction ends.
    async fn end(&mut self, is_commit: bool) -> Result<(), TransactionError> {
        let (shared, enrolment) = (self.shared(), self.enrolment());
        let Some(former) = lock(&shared.batches).identity() else { return Ok(()) };
        if enrolment.has_begun() {
            let request = || EndTxnRequest {
                transactional_id: enrolment.transactional_id.clone(),
                producer_id: former.id.0,
                producer_epoch: former.epoch.0,
                committed: is_commit,
                ..Default::default()
            };
            let of = Coordinated::Transaction(enrolment.transactional_id.clone());
            let code = |response: &EndTxnResponse| response.error_code;
            let upto = enrolment.protocol.end_version_max();
            let response =
                shared.client.call_coordinator_upto(upto, of, |_| request(), code).await?;
            check(&enrolment.transactional_id, response.error_code)?;
            if enrolment.protocol == Protocol::V2 {
                let (id, epoch) = (response.producer_id, response.producer_epoch);
                let next = Identity { id: ProducerId(id), epoch: ProducerEpoch(epoch) };
                lock(&shared.batches).set_identity(next);
            }
        }
        self.must_renew = false;
        Ok(())
    }

    /// Under protocol 1 a batch of an aborted transaction that comes late has the epoch of the next
    /// one: so that is given another.
    async fn abort(&mut self) -> Result<(), TransactionError> {
        lock(&self.shared().batches).fail_all(&ProduceError::GivenUp);
        self.shared().free_room();
        let protocol = self.enrolment().protocol;
        self.end(false).await?;
        let _ = lock(&self.shared().batches).take_failure();
        self.must_renew = protocol == Protocol::V1;
        Ok(())
    }
}

/// An open transaction. Dropped, it is aborted before the next one begins, or by its time-out.
#[must_use = "a transaction that is not committed is aborted"]
pub struct Transaction<'a> {
    owner: &'a mut TransactionalProducer,
}

impl Transaction<'_> {
    /// As [`Producer::send`]. A record that fails fails the transaction.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ProduceError> {
        self.owner.producer.send(record).await
    }

    /// Commits what a group has read together with the transaction: `offsets` are the next records
    /// to be read. Refused when `member` is no longer of the group's present generation, so that
    /// nobody commits what another one does by now (KIP-447).
    ///
    /// # Errors
    /// The transaction can only be aborted then.
    pub async fn commit_offsets(
        &self,
        member: &GroupMember,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), TransactionError> {
        let shared = self.owner.shared();
        let enrolment = self.owner.enrolment();
        let Some(identity) = lock(&shared.batches).identity() else { return Ok(()) };
        enrolment.begun();
        if enrolment.protocol == Protocol::V1 {
            add_offsets(&shared.client, enrolment, identity, member).await?;
        }
        let request = offsets_request(enrolment, identity, member, offsets);
        let code = |response: &TxnOffsetCommitResponse| {
            let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
            let mut codes = answers.map(|answer| answer.error_code);
            codes.find(|code| !code.is_none()).unwrap_or(ErrorCode::NONE)
        };
        let (upto, group) = (enrolment.protocol.offsets_version_max(), member.group.as_str());
        let response =
            shared.client.call_coordinator_upto(upto, group, |_| request.clone(), code).await?;
        ClientError::check(format!("group {group}"), code(&response), None)?;
        Ok(())
    }

    /// Waits until all records are stored, and commits. If one is not, the transaction is aborted.
    ///
    /// # Errors
    /// Only after [`TransactionError::InDoubt`] and [`TransactionError::Fenced`] may it have been
    /// committed, and its answer lost.
    pub async fn commit(self) -> Result<(), TransactionError> {
        self.owner.producer.flush().await;
        let failure = lock(&self.owner.shared().batches).take_failure();
        if let Some(cause) = failure {
            return match self.owner.abort().await {
                Err(fenced @ TransactionError::Fenced { .. }) => Err(fenced),
                // Where the abort was not confirmed, the next transaction begins with one.
                Ok(()) | Err(_) => Err(TransactionError::Aborted { cause }),
            };
        }
        self.owner.end(true).await.map_err(|error| match error {
            TransactionError::Client(last) if last.is_retriable() => {
                TransactionError::InDoubt { last }
            }
            other => other,
        })
    }

    /// Has the coordinator abort it, whatever is still on its way.
    ///
    /// # Errors
    /// It is aborted all the same, by whoever comes next or by its time-out.
    pub async fn abort(self) -> Result<(), TransactionError> {
        self.owner.abort().await
    }
}

/// A producer id and epoch; those after `former` if they are given, else those of a new producer.
async fn init_producer_id(
    client: &Client,
    id: &str,
    timeout: Duration,
    former: Option<Identity>,
) -> Result<Identity, TransactionError> {
    let request = || InitProducerIdRequest {
        transactional_id: Some(id.to_owned()),
        transaction_timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        producer_id: former.map_or(-1, |it| it.id.0),
        producer_epoch: former.map_or(-1, |it| it.epoch.0),
        ..Default::default()
    };
    let of = Coordinated::Transaction(id.to_owned());
    let code = |response: &InitProducerIdResponse| response.error_code;
    let response = client.call_coordinator(of, |_| request(), code).await?;
    check(id, response.error_code)?;
    Ok(Identity {
        id: ProducerId(response.producer_id),
        epoch: ProducerEpoch(response.producer_epoch),
    })
}

async fn add_offsets(
    client: &Client,
    enrolment: &Enrolment,
    identity: Identity,
    member: &GroupMember,
) -> Result<(), TransactionError> {
    let request = || AddOffsetsToTxnRequest {
        transactional_id: enrolment.transactional_id.clone(),
        producer_id: identity.id.0,
        producer_epoch: identity.epoch.0,
        group_id: member.group.clone(),
        ..Default::default()
    };
    let of = Coordinated::Transaction(enrolment.transactional_id.clone());
    let code = |response: &AddOffsetsToTxnResponse| response.error_code;
    let response = client.call_coordinator(of, |_| request(), code).await?;
    check(&enrolment.transactional_id, response.error_code)
}

fn offsets_request(
    enrolment: &Enrolment,
    identity: Identity,
    member: &GroupMember,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> TxnOffsetCommitRequest {
    let partitions: Vec<_> = offsets.keys().cloned().collect();
    let topics = by_topic(&partitions).into_iter().map(|(name, indexes)| {
        let partitions = indexes.into_iter().filter_map(|partition| {
            let offset = offsets.get(&TopicPartition { topic: name.to_owned(), partition })?;
            Some(TxnOffsetCommitRequestPartition {
                partition_index: partition.get(),
                committed_offset: offset.offset.get(),
                committed_leader_epoch: offset.leader_epoch.get(),
                committed_metadata: Some(offset.metadata.clone()),
                ..Default::default()
            })
        });
        let partitions = partitions.collect();
        TxnOffsetCommitRequestTopic { name: name.to_owned(), partitions, ..Default::default() }
    });
    TxnOffsetCommitRequest {
        transactional_id: enrolment.transactional_id.clone(),
        group_id: member.group.clone(),
        producer_id: identity.id.0,
        producer_epoch: identity.epoch.0,
        generation_id: member.committer.generation_id,
        member_id: member.committer.member_id.clone(),
        group_instance_id: member.committer.instance_id.clone(),
        topics: topics.collect(),
        ..Default::default()
    }
}

/// What a coordinator says of a producer.
fn check(id: &str, code: ErrorCode) -> Result<(), TransactionError> {
    match code {
        ErrorCode::NONE => Ok(()),
        ErrorCode::PRODUCER_FENCED
        | ErrorCode::INVALID_PRODUCER_EPOCH
        | ErrorCode::INVALID_PRODUCER_ID_MAPPING => {
            Err(TransactionError::Fenced { transactional_id: id.to_owned() })
        }
        code => {
            let subject = format!("transactional id {id}");
            Err(ClientError::refused(subject, Refusal::from(code)).into())
        }
    }
}
