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
    AbortCause, Acks, Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord, Shared,
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

/// The one producer of a transactional id, with one transaction at a time. [`Self::settle`] it in
/// the end, if a transaction may have been dropped.
pub struct TransactionalProducer {
    producer: Producer,
    timeout: Duration,
    /// The last transaction did not come to an end that its coordinator has confirmed.
    is_unsettled: bool,
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
        let mut backoff = client.backoff();
        let level = loop {
            match transaction_level(&client, id).await {
                Ok(level) => break level,
                Err(error) => backoff.pause(error).await?,
            }
        };
        let enrolment = Enrolment::new(config.transactional_id, Protocol::of_level(level));
        let settings = ProducerConfig { acks: Acks::All, is_idempotent: true, ..config.producer };
        let producer = Producer::start(client, settings, Some(enrolment));
        lock(&producer.shared().batches).set_identity(identity);
        Ok(Self { producer, timeout: config.timeout, is_unsettled: false })
    }

    /// Begins a transaction, when the last one is settled.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub async fn begin(&mut self) -> Result<Transaction<'_>, TransactionError> {
        self.settle().await?;
        self.enrolment().begin();
        self.is_unsettled = true;
        Ok(Transaction { owner: self })
    }

    /// Has the last transaction aborted, if it was dropped or its end was not confirmed, and whatever
    /// is still under way of it refused. Before that, whoever reads what is committed waits for it:
    /// its own group too, which is to read again what the transaction was made of.
    ///
    /// # Errors
    /// When no coordinator answers, or this is a former producer by now.
    pub async fn settle(&mut self) -> Result<(), TransactionError> {
        if !self.is_unsettled {
            return Ok(());
        }
        let (shared, enrolment) = (self.shared(), self.enrolment());
        lock(&shared.batches).fail_all(&ProduceError::GivenUp);
        shared.free_room();
        enrolment.over().await;
        if enrolment.has_begun() {
            let next = match self.end(false).await {
                Ok(next) => next,
                // It never came to the coordinator, or has ended before.
                Err(error) if error.code() == Some(ErrorCode::INVALID_TXN_STATE) => None,
                Err(error) => return Err(error),
            };
            let next = match next {
                Some(next) => next,
                // What is under way has the epoch of the next transaction, unless that is another.
                None => {
                    let (id, former) = (&enrolment.transactional_id, Some(self.identity()));
                    init_producer_id(&shared.client, id, self.timeout, former).await?
                }
            };
            lock(&shared.batches).set_identity(next);
        }
        lock(&shared.batches).forget_failure();
        self.is_unsettled = false;
        Ok(())
    }

    fn shared(&self) -> &Shared {
        self.producer.shared()
    }

    fn enrolment(&self) -> &Enrolment {
        self.shared().enrolment.as_ref().expect("a transactional producer has one")
    }

    fn identity(&self) -> Identity {
        lock(&self.shared().batches).identity().expect("it was opened with one")
    }

    /// Tells the coordinator how the open transaction ends. Returns the identity of the next one,
    /// where that is another.
    async fn end(&self, is_commit: bool) -> Result<Option<Identity>, TransactionError> {
        let (enrolment, former) = (self.enrolment(), self.identity());
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
        let client = &self.shared().client;
        let response = client.call_coordinator_upto(upto, of, |_| request(), code).await?;
        check(&enrolment.transactional_id, response.error_code)?;
        // Before version 5 the answer names none.
        let is_given = enrolment.protocol == Protocol::V2 && response.producer_id >= 0;
        Ok(is_given.then_some(Identity {
            id: ProducerId(response.producer_id),
            epoch: ProducerEpoch(response.producer_epoch),
        }))
    }

    /// Why the open transaction must not be committed, if that is so.
    fn cause_of_abort(&self) -> Option<AbortCause> {
        let failure = lock(&self.shared().batches).failure().cloned();
        let misses_offsets = self.enrolment().misses_offsets();
        failure.map(AbortCause::Record).or(misses_offsets.then_some(AbortCause::Offsets))
    }
}

/// An open transaction. Dropped, it is aborted before the next one begins, or by its time-out.
#[must_use = "a transaction that is not committed is aborted"]
pub struct Transaction<'a> {
    owner: &'a mut TransactionalProducer,
}

impl Transaction<'_> {
    /// As [`Producer::send`]. A record that fails fails the transaction, and all that come after it.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ProduceError> {
        let batches = &self.owner.shared().batches;
        if lock(batches).failure().is_some() {
            return Err(ProduceError::GivenUp);
        }
        let sent = self.owner.producer.send(record).await;
        sent.inspect_err(|error| lock(batches).note_failure(error.clone()))
    }

    /// Commits what a group has read together with the transaction: `offsets` are the next records
    /// to be read. Refused when `member` is no longer of the group's present generation, so that
    /// nobody commits what another one does by now (KIP-447).
    ///
    /// # Errors
    /// The transaction can only be aborted then, as when nobody waits for the answer.
    pub async fn commit_offsets(
        &self,
        member: &GroupMember,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), TransactionError> {
        // Of an empty list the coordinator would not hear.
        if offsets.is_empty() {
            return Ok(());
        }
        let client = &self.owner.shared().client;
        let (enrolment, identity) = (self.owner.enrolment(), self.owner.identity());
        enrolment.begun();
        enrolment.offsets_sent();
        if enrolment.protocol == Protocol::V1 {
            add_offsets(client, enrolment, identity, member).await?;
        }
        let request = offsets_request(enrolment, identity, member, offsets);
        let code = |response: &TxnOffsetCommitResponse| {
            let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
            let mut codes = answers.map(|answer| answer.error_code);
            codes.find(|code| !code.is_none()).unwrap_or(ErrorCode::NONE)
        };
        let (upto, group) = (enrolment.protocol.offsets_version_max(), member.group.as_str());
        let response = client.call_coordinator_upto(upto, group, |_| request.clone(), code).await?;
        ClientError::check(format!("group {group}"), code(&response), None)?;
        enrolment.offsets_confirmed();
        Ok(())
    }

    /// Waits until all records are stored, and commits. If one is not, or offsets were not confirmed,
    /// the transaction is aborted.
    ///
    /// # Errors
    /// Only after [`TransactionError::InDoubt`] and [`TransactionError::Fenced`] may it have been
    /// committed, and the answer lost. Unless it is fenced the producer can go on.
    pub async fn commit(self) -> Result<(), TransactionError> {
        let owner = self.owner;
        if owner.cause_of_abort().is_none() {
            owner.producer.flush().await;
        }
        if let Some(cause) = owner.cause_of_abort() {
            return match owner.settle().await {
                Err(fenced @ TransactionError::Fenced { .. }) => Err(fenced),
                // Where the abort was not confirmed, it is settled before the next one begins.
                Ok(()) | Err(_) => Err(TransactionError::Aborted { cause }),
            };
        }
        if owner.enrolment().has_begun() {
            let ended = owner.end(true).await.map_err(|error| match error {
                // The coordinator has ended it by itself.
                TransactionError::Client(error)
                    if error.code() == Some(ErrorCode::INVALID_TXN_STATE) =>
                {
                    TransactionError::Aborted { cause: AbortCause::TimeOut }
                }
                // Whatever was said last, what was asked first may have been done.
                TransactionError::Client(last) => TransactionError::InDoubt { last },
                other => other,
            })?;
            if let Some(next) = ended {
                lock(&owner.shared().batches).set_identity(next);
            }
        }
        owner.is_unsettled = false;
        Ok(())
    }

    /// Has the coordinator abort it, whatever is still on its way.
    ///
    /// # Errors
    /// It is aborted all the same, by whoever comes next or by its time-out.
    pub async fn abort(self) -> Result<(), TransactionError> {
        self.owner.settle().await
    }
}

/// The finalized level of `transaction.version`, as the coordinator knows it.
async fn transaction_level(client: &Client, id: &str) -> Result<i16, ClientError> {
    let coordinator = client.coordinator(Coordinated::Transaction(id.to_owned())).await?;
    let connection = client.connection(coordinator, Channel::SHARED).await?;
    Ok(connection.versions().finalized(FEATURE))
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
