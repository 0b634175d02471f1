//! The producer: batches per partition, idempotent unless told otherwise.
//!
//! [`Producer::send`] waits only for room in the buffer; what it returns resolves when the record
//! is stored. Records of one partition are stored in the order of their sends.
//!
//! ```no_run
//! # async fn example(world: strandline_ports::World) -> Result<(), Box<dyn std::error::Error>> {
//! use strandline_client::{Client, ClientConfig};
//! use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
//!
//! let client = Client::new(world, ClientConfig::new("localhost:9092"));
//! let producer = Producer::new(client, ProducerConfig::default());
//! let record = ProducerRecord::new("flights").key("UA1545").value("EWR → IAH");
//! let delivery = producer.send(record).await?;
//! let delivered = delivery.await?;
//! println!("{} at offset {}", delivered.partition, delivered.offset);
//! producer.flush().await;
//! # Ok(())
//! # }
//! ```

mod batches;
mod enrolment;
mod error;
mod outcome;
mod partitioner;
mod sender;
mod transactional;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use strandline_ports::{Lane, timeout};
use strandline_types::{PartitionId, Timestamp, TopicPartition};
use strandline_wire::compression::CompressionChoice;
use strandline_wire::records::{Header, NewRecord};
use tokio::sync::{Notify, Semaphore};

use crate::cluster::{Channel, Client};
use crate::metadata::Topic;
use crate::sync::lock;
use batches::{Batches, Settings};
use enrolment::Enrolment;
pub use error::{AbortCause, ProduceError, TransactionError};
pub use outcome::{Delivered, Delivery};
use partitioner::Sticky;
pub use partitioner::partition_of_key;
pub use transactional::{Transaction, TransactionalConfig, TransactionalProducer};

/// What a record costs in the buffer besides its content.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// Who must have a record before it counts as stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// Nobody; offsets are unknown, and losses go unnoticed.
    None,
    Leader,
    /// Every replica in sync.
    All,
}

/// Kafka's settings of a producer, with its defaults.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    pub acks: Acks,
    /// Sequence numbers, so that a retry is never stored twice. Needs [`Acks::All`].
    pub is_idempotent: bool,
    pub compression: CompressionChoice,
    /// How long a batch waits for more records.
    pub linger: Duration,
    pub batch_bytes: usize,
    pub request_bytes_max: usize,
    /// Records that are not stored yet; beyond that, sending waits.
    pub buffer_bytes: usize,
    /// Requests on their way to one broker, and batches on their way to one partition.
    pub in_flight_max: usize,
    /// From a record's send to its success or failure.
    pub delivery_timeout: Duration,
    /// How long a send may wait for the topic and for room.
    pub block_max: Duration,
    /// Whether an unknown topic may be created by the broker.
    pub may_create_topics: bool,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            is_idempotent: true,
            compression: CompressionChoice::default(),
            linger: Duration::from_millis(5),
            batch_bytes: 16 << 10,
            request_bytes_max: 1 << 20,
            buffer_bytes: 32 << 20,
            in_flight_max: 5,
            delivery_timeout: Duration::from_secs(120),
            block_max: Duration::from_secs(60),
            may_create_topics: true,
        }
    }
}

/// A record to be produced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerRecord {
    pub topic: String,
    /// `None` leaves the choice to the key, or to chance.
    pub partition: Option<PartitionId>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// `None` is the time of the send.
    pub timestamp: Option<Timestamp>,
}

impl ProducerRecord {
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    #[must_use]
    pub fn partition(mut self, partition: PartitionId) -> Self {
        self.partition = Some(partition);
        self
    }

    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    #[must_use]
    pub fn header(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push((key.into(), Some(value.into())));
        self
    }

    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    fn buffer_bytes(&self) -> usize {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.iter().map(|(key, value)| key.len() + len(value) + 10);
        RECORD_OVERHEAD_BYTES + len(&self.key) + len(&self.value) + headers.sum::<usize>()
    }
}

/// Produces records; clones share the buffer. When the last is dropped, what is buffered is still
/// sent in the background: [`Producer::flush`] first to know what became of it.
#[derive(Clone)]
pub struct Producer(Arc<Handle>);

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let shared = &self.0;
        shared.is_closed.store(true, Ordering::Release);
        match shared.enrolment {
            // Nobody will end the transaction that they would begin.
            Some(_) => lock(&shared.batches).fail_all(&ProduceError::GivenUp),
            None => drop(lock(&shared.batches).force(shared.client.now())),
        }
        shared.to_send.notify_one();
    }
}

struct Shared {
    client: Client,
    config: ProducerConfig,
    channel: Channel,
    batches: Mutex<Batches>,
    sticky: Mutex<Sticky>,
    room: Semaphore,
    to_send: Notify,
    is_closed: AtomicBool,
    /// Of a transactional producer.
    enrolment: Option<Enrolment>,
}

impl Producer {
    pub fn new(client: Client, config: ProducerConfig) -> Self {
        Self::start(client, config, None)
    }

    fn start(client: Client, config: ProducerConfig, enrolment: Option<Enrolment>) -> Self {
        let is_idempotent = config.is_idempotent && config.acks == Acks::All;
        let settings = Settings {
            compression: config.compression,
            linger: config.linger,
            batch_bytes: config.batch_bytes.clamp(1, config.request_bytes_max),
            // The broker remembers five batches of an idempotent producer.
            in_flight_max: config.in_flight_max.clamp(1, if is_idempotent { 5 } else { 1 << 10 }),
            delivery_timeout: config.delivery_timeout,
            retry_backoff: client.config().retry_backoff,
            is_idempotent,
            is_transactional: enrolment.is_some(),
        };
        let shared = Arc::new(Shared {
            channel: client.new_channel(),
            batches: Mutex::new(Batches::new(settings)),
            sticky: Mutex::default(),
            room: Semaphore::new(config.buffer_bytes.min(Semaphore::MAX_PERMITS)),
            to_send: Notify::new(),
            is_closed: AtomicBool::new(false),
            client,
            config,
            enrolment,
        });
        let spawn = Arc::clone(&shared.client.world().spawn);
        spawn.spawn(Lane::Data, Box::pin(sender::run(Arc::clone(&shared))));
        Self(Arc::new(Handle(shared)))
    }

    pub fn client(&self) -> &Client {
        &self.0.0.client
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// Buffers the record, waiting while the buffer is full.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ProduceError> {
        let shared = &self.0.0;
        let bytes = record.buffer_bytes();
        let max = shared.config.request_bytes_max;
        if bytes > max {
            return Err(ProduceError::TooLarge { bytes, max });
        }
        let topic = match shared.client.known_topic(&record.topic) {
            Some(topic) => topic,
            None => shared.ask_for_topic(&record.topic).await?,
        };
        let partition = shared.choose_partition(&topic, &record, bytes)?;
        shared.reserve(bytes).await?;
        shared.append(partition, &record, bytes)
    }

    /// Sends what is buffered without lingering, and waits until each record sent before is stored
    /// or has failed.
    pub async fn flush(&self) {
        let shared = &self.0.0;
        let outcomes = lock(&shared.batches).force(shared.client.now());
        shared.to_send.notify_one();
        for outcome in outcomes {
            outcome.wait().await;
        }
    }
}

impl Shared {
    async fn ask_for_topic(&self, name: &str) -> Result<Arc<Topic>, ProduceError> {
        let mut backoff = self.client.backoff_until(self.client.now() + self.config.block_max);
        loop {
            match self.client.fresh_topic(name, self.config.may_create_topics).await {
                Ok(topic) if !topic.partitions.is_empty() => return Ok(topic),
                Ok(_) => {}
                Err(error) => {
                    backoff.pause(error).await?;
                }
            }
        }
    }

    fn choose_partition(
        &self,
        topic: &Topic,
        record: &ProducerRecord,
        bytes: usize,
    ) -> Result<TopicPartition, ProduceError> {
        let index = match (record.partition, &record.key) {
            (Some(chosen), _) => chosen,
            (None, Some(key)) => partition_of_key(key, topic.partitions.len()),
            (None, None) => {
                lock(&self.sticky).choose(topic, bytes, self.config.batch_bytes, || {
                    self.client.world().entropy.next_u64()
                })
            }
        };
        let partition = TopicPartition { topic: topic.name.clone(), partition: index };
        match topic.partition(index) {
            Some(_) => Ok(partition),
            None => {
                let count = topic.partitions.len();
                Err(ProduceError::NoSuchPartition { partition, count })
            }
        }
    }

    async fn reserve(&self, bytes: usize) -> Result<(), ProduceError> {
        let permits = bytes.min(self.config.buffer_bytes) as u32;
        if let Ok(permit) = self.room.try_acquire_many(permits) {
            permit.forget();
            return Ok(());
        }
        let clock = self.client.clock();
        let deadline = clock.now().instant + self.config.block_max;
        let after = self.config.block_max;
        match timeout(&**clock, deadline, self.room.acquire_many(permits)).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(())
            }
            Ok(Err(_)) => Err(ProduceError::Closed),
            Err(_) => Err(ProduceError::BufferFull { bytes, after }),
        }
    }

    fn append(
        &self,
        partition: TopicPartition,
        record: &ProducerRecord,
        bytes: usize,
    ) -> Result<Delivery, ProduceError> {
        let now = self.client.clock().now();
        let timestamp = record.timestamp.unwrap_or(now.timestamp);
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        let content = NewRecord {
            timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let bytes = bytes.min(self.config.buffer_bytes);
        let appended = lock(&self.batches)
            .append(now.instant, &partition, &content, bytes)
            .inspect_err(|_| self.room.add_permits(bytes))?;
        if appended.wakes_sender {
            self.to_send.notify_one();
        }
        Ok(Delivery { outcome: appended.outcome, index: appended.index, timestamp })
    }
}
