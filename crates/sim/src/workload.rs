//! Clients of a scenario: producers of numbered values, and readers who believe nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use strandline_ports::World;
use strandline_ports::watch;
use strandline_types::{Compression, ErrorCode, Instant, ProducerEpoch, ProducerId, Timestamp};
use strandline_wire::compression::CompressionChoice;
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use strandline_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::{
    FetchRequest, InitProducerIdRequest, ListOffsetsRequest, ProduceRequest, Records as RecordBytes,
};
use strandline_wire::records::{
    BatchBuilder, BatchHeader, BatchOptions, BatchTail, InspectLimits, NewRecord, ProducerFields,
    Records, batches, inspect,
};

use crate::client::{Client, ClientError};
use crate::guide::Guide;
use crate::oracle::{Oracle, PartitionKey, Value};
use crate::rng::Rng;

const PRODUCE_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 12;
const LATEST: i64 = -1;
/// So many times are looked up in a log that was read.
const LOOKUPS: u32 = 3;
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// What the clients of a scenario share.
pub(crate) struct Field {
    pub(crate) oracle: Mutex<Oracle>,
    /// Closed from a power loss until everything that is left has been read.
    pub(crate) gate: watch::Sender<bool>,
    /// Nothing more goes wrong: now everything must go on.
    pub(crate) is_calm: AtomicBool,
    pub(crate) is_over: AtomicBool,
    /// Where brokers listen.
    ports: Vec<u16>,
    /// How often a broker has been started.
    pub(crate) starts: AtomicU64,
    next_producer: AtomicU32,
}

impl Field {
    pub(crate) fn new(ports: Vec<u16>) -> Self {
        Self {
            ports,
            oracle: Mutex::default(),
            gate: watch::channel(true).0,
            is_calm: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            starts: AtomicU64::new(0),
            next_producer: AtomicU32::new(0),
        }
    }

    /// A broker is started.
    pub(crate) fn started(&self) {
        self.starts.fetch_add(1, Relaxed);
    }

    /// Where any broker listens.
    pub(crate) fn port(&self) -> u16 {
        self.ports[0]
    }

    /// As clients want to be told.
    pub(crate) fn bootstrap(&self) -> String {
        let servers: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        servers.join(",")
    }

    /// A client of one partition, and how it finds its leader.
    fn client(&self, world: &World, key: PartitionKey, name: &str) -> (Client, Guide) {
        (Client::new(world.clone(), self.ports[0], name), Guide::new(&self.ports, key))
    }

    pub(crate) fn oracle(&self) -> MutexGuard<'_, Oracle> {
        self.oracle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// From now on nothing is sent until what is left has been read.
    pub(crate) fn power_lost(&self) {
        self.gate.send_replace(false);
        self.oracle().power_lost();
    }

    async fn pass(&self) {
        // The gate lives as long as the field.
        let _ = self.gate.subscribe().wait_for(|is_open| *is_open).await;
    }
}

/// How a producer works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerPlan {
    pub(crate) key: PartitionKey,
    pub(crate) is_idempotent: bool,
    pub(crate) acks: i16,
    /// What is acked stays, as far as the topic promises.
    pub(crate) is_promised: bool,
    /// Batches under way at once.
    pub(crate) window: usize,
    pub(crate) batch_records_max: u64,
    pub(crate) padding_max: u64,
    pub(crate) pause_max: Duration,
}

pub(crate) fn topic_name(topic: usize) -> String {
    format!("topic-{topic}")
}

/// The other way round.
pub(crate) fn topic_of(name: &str) -> Option<usize> {
    name.strip_prefix("topic-")?.parse().ok()
}

struct Batch {
    first_number: u32,
    count: u32,
    bytes: Bytes,
}

/// Sends values until the scenario is over. An idempotent producer repeats what was not answered;
/// another one leaves it and goes on under a new number, because its stragglers may come later.
pub(crate) struct Producer {
    field: Arc<Field>,
    world: World,
    client: Client,
    guide: Guide,
    rng: Rng,
    plan: ProducerPlan,
    number: u32,
    next_value: u32,
    identity: Option<(ProducerId, ProducerEpoch)>,
    next_sequence: i32,
    pending: VecDeque<Batch>,
    /// The broker's start since which it knows every batch that it may be sent again; `None` when
    /// that is not sure.
    known_since: Option<u64>,
    /// The leader epoch that it knew of at the last ack; -1 before the first.
    acked_epoch: i32,
    /// How often brokers had been started when the batches under way were sent.
    sent_at: u64,
}

impl Producer {
    pub(crate) fn new(field: &Arc<Field>, world: &World, rng: Rng, plan: ProducerPlan) -> Self {
        let (client, guide) = field.client(world, plan.key, "producer");
        let mut producer = Self {
            field: Arc::clone(field),
            world: world.clone(),
            client,
            guide,
            rng,
            plan,
            number: 0,
            next_value: 0,
            identity: None,
            next_sequence: 0,
            pending: VecDeque::new(),
            known_since: None,
            acked_epoch: -1,
            sent_at: 0,
        };
        producer.begin_anew();
        producer
    }

    pub(crate) async fn run(mut self) {
        while !self.field.is_over() || !self.pending.is_empty() {
            self.field.pass().await;
            let worked = self.work().await;
            let longest = match worked {
                Ok(()) => self.plan.pause_max,
                Err(Trouble::Lost) => Duration::from_millis(100),
            };
            if worked.is_err() {
                self.client.hang_up();
                self.guide.doubt();
                if !self.plan.is_idempotent {
                    self.begin_anew();
                }
            }
            let nanos = self.rng.between(1, longest.as_nanos().max(1) as u64);
            self.world.clock.sleep(Duration::from_nanos(nanos)).await;
        }
    }

    /// Whatever was under way may or may not be in the log.
    fn begin_anew(&mut self) {
        self.number = self.field.next_producer.fetch_add(1, Relaxed);
        self.next_value = 0;
        self.identity = None;
        self.next_sequence = 0;
        self.pending.clear();
    }

    async fn work(&mut self) -> Result<(), Trouble> {
        self.guide.turn(&mut self.client, &mut self.rng).await?;
        if self.plan.is_idempotent && self.identity.is_none() {
            let request = InitProducerIdRequest {
                transactional_id: None,
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            };
            let asked_at = self.field.starts.load(Relaxed);
            let answer = self.client.ask(&request, 4).await?;
            if answer.error_code != ErrorCode::NONE {
                return Err(Trouble::Lost);
            }
            self.known_since = Some(asked_at);
            self.identity =
                Some((ProducerId(answer.producer_id), ProducerEpoch(answer.producer_epoch)));
        }
        while self.pending.len() < self.plan.window && !self.field.is_over() {
            let batch = self.next_batch();
            self.pending.push_back(batch);
        }
        self.client.connect().await?;
        self.sent_at = self.field.starts.load(Relaxed);
        // Nothing may be said to a broker whose losses have not been counted.
        if !*self.field.gate.borrow() {
            return Ok(());
        }
        for index in 0..self.pending.len() {
            let request = self.request(self.pending[index].bytes.clone());
            self.client.send(&request, PRODUCE_VERSION).await?;
        }
        if self.plan.acks == 0 {
            self.pending.clear();
            return Ok(());
        }
        while !self.pending.is_empty() {
            let answer = self.client.receive::<ProduceRequest>(PRODUCE_VERSION).await?;
            let answer = &answer.responses[0].partition_responses[0];
            self.answered(answer.error_code, answer.base_offset)?;
        }
        Ok(())
    }

    fn answered(&mut self, code: ErrorCode, base_offset: i64) -> Result<(), Trouble> {
        let Some(batch) = self.pending.front() else { return Ok(()) };
        let key = self.plan.key;
        if code == ErrorCode::NONE {
            let values: Vec<Value> = (batch.first_number..batch.first_number + batch.count)
                .map(|number| Value { producer: self.number, number })
                .collect();
            let now = self.world.clock.now().instant;
            if self.plan.is_promised {
                let when = (now, self.guide.epoch());
                self.field.oracle().acked(key, when, base_offset, &values);
            }
            // An answer may come from a broker that has been started again since.
            self.known_since = Some(self.sent_at);
            self.acked_epoch = self.guide.epoch();
            self.pending.pop_front();
            return Ok(());
        }
        match code {
            // A power loss took batches that were acked, and with them the sequence. Or the broker was
            // started, or its disk full, with several batches in flight: a snapshot knows only the
            // last one of a producer, and those before it look new when they are sent again.
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => {
                if self.known_since == Some(self.field.starts.load(Relaxed)) {
                    let detail = format!("producer {} hears of a gap", self.number);
                    let epoch = self.acked_epoch;
                    self.field.oracle().missed("WORLD-15", key, epoch, detail);
                }
                self.begin_anew();
            }
            code if code.is_retriable() => {
                self.known_since = None;
                // Nothing was appended, and nobody sends it again.
                if code == ErrorCode::NOT_ENOUGH_REPLICAS && !self.plan.is_idempotent {
                    for number in batch.first_number..batch.first_number + batch.count {
                        let value = Value { producer: self.number, number };
                        self.field.oracle().refused(key, value);
                    }
                }
            }
            code => {
                let detail = format!("{key:?}: produce was refused with {code}");
                self.field.oracle().violate("WORLD-10", detail);
                self.begin_anew();
            }
        }
        Err(Trouble::Lost)
    }

    fn next_batch(&mut self) -> Batch {
        let count = self.rng.between(1, self.plan.batch_records_max) as u32;
        let first_number = self.next_value;
        self.next_value += count;
        let base_sequence = self.next_sequence;
        self.next_sequence += count as i32;
        let producer = match self.identity {
            Some((id, epoch)) => ProducerFields { id, epoch, base_sequence },
            None => ProducerFields::NONE,
        };
        let codec = CODECS[self.rng.below(2 * CODECS.len() as u64) as usize % CODECS.len()];
        let compression = CompressionChoice { codec, level: None };
        let mut batch =
            BatchBuilder::new(BatchOptions { producer, compression, ..BatchOptions::default() });
        let timestamp: Timestamp = self.world.clock.now().timestamp;
        for number in first_number..first_number + count {
            let value = Value { producer: self.number, number };
            self.field.oracle().sent(self.plan.key, value);
            let padding = self.rng.below(self.plan.padding_max + 1) as usize;
            let content = encode(value, padding);
            let record = NewRecord { timestamp, value: Some(&content), ..NewRecord::default() };
            batch.append(&record).expect("it is small");
        }
        Batch { first_number, count, bytes: batch.build() }
    }

    fn request(&self, batch: Bytes) -> ProduceRequest {
        let data = PartitionProduceData {
            index: self.plan.key.index,
            records: RecordBytes::Bytes(batch),
            ..Default::default()
        };
        let topic = TopicProduceData {
            name: topic_name(self.plan.key.topic),
            partition_data: vec![data],
            ..Default::default()
        };
        ProduceRequest {
            transactional_id: None,
            acks: self.plan.acks,
            timeout_ms: 30_000,
            topic_data: vec![topic],
            ..Default::default()
        }
    }
}

/// Why a client has to try again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Lost,
}

impl From<ClientError> for Trouble {
    fn from(_: ClientError) -> Self {
        Self::Lost
    }
}

/// Reads one partition, forward, and now and then from its beginning.
pub(crate) struct Reader {
    field: Arc<Field>,
    world: World,
    client: Client,
    guide: Guide,
    rng: Rng,
    key: PartitionKey,
    /// The partition may lose its tail when the power goes.
    may_lose: bool,
    losses: u64,
    position: i64,
    high_watermark: i64,
    /// Of the last batch that was read.
    read_epoch: i32,
    read: Vec<(i64, Value)>,
    /// The timestamps of what was read.
    times: Vec<(i64, Timestamp)>,
}

impl Reader {
    pub(crate) fn new(
        field: &Arc<Field>,
        world: &World,
        rng: Rng,
        key: PartitionKey,
        may_lose: bool,
    ) -> Self {
        let (client, guide) = field.client(world, key, "reader");
        Self {
            field: Arc::clone(field),
            world: world.clone(),
            client,
            guide,
            rng,
            key,
            may_lose,
            losses: 0,
            position: 0,
            high_watermark: 0,
            read_epoch: -1,
            read: Vec::new(),
            times: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        while !self.field.is_over() {
            self.field.pass().await;
            if self.work().await.is_err() {
                self.lost();
                let millis = self.rng.between(1, 100);
                self.world.clock.sleep(Duration::from_millis(millis)).await;
            }
            self.read.clear();
            self.times.clear();
        }
    }

    /// Nobody answers: somebody else may.
    pub(crate) fn lost(&mut self) {
        self.client.hang_up();
        self.guide.doubt();
        self.high_watermark = 0;
    }

    async fn work(&mut self) -> Result<(), Trouble> {
        self.guide.turn(&mut self.client, &mut self.rng).await?;
        self.client.connect().await?;
        if !*self.field.gate.borrow() {
            return Ok(());
        }
        let losses = self.field.oracle().power_losses;
        let has_lost = self.may_lose && losses > self.losses;
        self.losses = losses;
        if has_lost || self.rng.one_in(40) {
            self.position = 0;
        }
        let min_bytes = self.rng.between(1, 10_000) as i32;
        self.fetch(500, min_bytes).await
    }

    /// The whole log as it stands now.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub(crate) async fn read_whole(&mut self) -> Result<Vec<(i64, Value)>, Trouble> {
        let end = self.offset_at(LATEST).await?;
        self.position = 0;
        self.read.clear();
        self.times.clear();
        while self.position < end {
            self.fetch(0, 1).await?;
        }
        Ok(std::mem::take(&mut self.read))
    }

    /// Waits at the end of the log for the next record.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub(crate) async fn wait_for_more(&mut self, max_wait: Duration) -> Result<(), Trouble> {
        let end = self.offset_at(LATEST).await?;
        self.position = end;
        while self.position == end {
            self.fetch(max_wait.as_millis() as i32, 1).await?;
        }
        Ok(())
    }

    /// Asks for the first record of some times on, and compares with the log that was read.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub(crate) async fn look_up_times(&mut self) -> Result<(), Trouble> {
        for _ in 0..LOOKUPS {
            self.look_up_time().await?;
        }
        Ok(())
    }

    async fn look_up_time(&mut self) -> Result<(), Trouble> {
        if self.times.is_empty() {
            return Ok(());
        }
        let chosen = self.rng.below(self.times.len() as u64) as usize;
        let target = self.times[chosen].1.as_millis() + self.rng.below(2) as i64;
        let found = self.offset_at(target).await?;
        let first = self.times.iter().find(|(_, time)| time.as_millis() >= target);
        let is_right = match first {
            Some((offset, _)) => found == *offset,
            // Or a record that came since.
            None => found == -1 || found >= self.position,
        };
        if !is_right {
            let detail = format!("{:?}: {found} is the first at {target}, not {first:?}", self.key);
            self.field.oracle().violate("WORLD-16", detail);
        }
        Ok(())
    }

    async fn offset_at(&mut self, timestamp: i64) -> Result<i64, Trouble> {
        self.guide.turn(&mut self.client, &mut self.rng).await?;
        let partition = ListOffsetsPartition {
            partition_index: self.key.index,
            current_leader_epoch: self.guide.epoch(),
            timestamp,
            ..Default::default()
        };
        let topic = ListOffsetsTopic {
            name: topic_name(self.key.topic),
            partitions: vec![partition],
            ..Default::default()
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = self.client.ask(&request, 7).await?;
        let partition = &answer.topics[0].partitions[0];
        match partition.error_code {
            ErrorCode::NONE => Ok(partition.offset),
            _ => Err(Trouble::Lost),
        }
    }

    async fn fetch(&mut self, max_wait_ms: i32, min_bytes: i32) -> Result<(), Trouble> {
        let partition = FetchPartition {
            partition: self.key.index,
            current_leader_epoch: self.guide.epoch(),
            fetch_offset: self.position,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: self.rng.between(1, 64 * 1024) as i32,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: topic_name(self.key.topic),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms,
            min_bytes,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let mut answer = self.client.ask(&request, FETCH_VERSION).await?;
        if answer.error_code != ErrorCode::NONE {
            return Err(Trouble::Lost);
        }
        let partition = answer.responses.remove(0).partitions.remove(0);
        match partition.error_code {
            ErrorCode::NONE => self.take(partition.high_watermark, partition.records),
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let detail = format!("{} is out of range", self.position);
                let epoch = self.read_epoch;
                self.field.oracle().missed("WORLD-1", self.key, epoch, detail);
                self.position = 0;
            }
            _ => return Err(Trouble::Lost),
        }
        Ok(())
    }

    fn take(&mut self, high_watermark: i64, records: RecordBytes) {
        let (key, field) = (self.key, Arc::clone(&self.field));
        let now = self.world.clock.now().instant;
        let mut oracle = field.oracle();
        let before = std::mem::replace(&mut self.high_watermark, high_watermark);
        if high_watermark < before {
            let detail = format!("{key:?}: high watermark {high_watermark} after {before}");
            oracle.violate("WORLD-8", detail);
        }
        let RecordBytes::Bytes(bytes) = records else { return };
        for batch in batches(&bytes) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(BatchTail::Incomplete { .. }) => break,
                Err(tail) => {
                    oracle.violate("WORLD-7", format!("{key:?} at {}: {tail:?}", self.position));
                    break;
                }
            };
            if let Err(refusal) = inspect(batch.clone(), &InspectLimits::default()) {
                oracle.violate("WORLD-7", format!("{key:?} at {}: {refusal}", self.position));
                break;
            }
            let Some(header) = BatchHeader::parse(&batch) else { break };
            let (first, last) = (header.base_offset().get(), header.last_offset().get());
            if first > self.position || last < self.position {
                let detail = format!("{key:?}: {first} to {last} follow {}", self.position);
                oracle.violate("WORLD-5", detail);
            }
            if last >= high_watermark {
                let detail = format!("{key:?}: {last} served, high watermark {high_watermark}");
                oracle.violate("WORLD-8", detail);
            }
            self.read_epoch = header.leader_epoch().get();
            self.take_records(&mut oracle, now, &batch);
        }
    }

    fn take_records(&mut self, oracle: &mut Oracle, now: Instant, batch: &Bytes) {
        let key = self.key;
        let Ok(records) = Records::open(batch, &InspectLimits::default()) else { return };
        for record in records.iter().flatten() {
            let offset = record.offset.get();
            if offset < self.position {
                continue;
            }
            if offset > self.position {
                let detail = format!("{key:?}: {offset} follows {}", self.position);
                oracle.violate("WORLD-5", detail);
            }
            self.position = offset + 1;
            match record.value.and_then(decode) {
                Some(value) => {
                    oracle.read(key, (now, self.read_epoch), offset, value);
                    self.read.push((offset, value));
                    self.times.push((offset, record.timestamp));
                }
                None => {
                    oracle.violate("WORLD-6", format!("{key:?}: nobody wrote what {offset} is"))
                }
            }
        }
    }
}

/// The numbers, then padding that they determine.
fn encode(value: Value, padding: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + padding);
    bytes.extend(value.producer.to_be_bytes());
    bytes.extend(value.number.to_be_bytes());
    bytes.resize(8 + padding, value.number as u8);
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Value> {
    let (producer, rest) = bytes.split_first_chunk()?;
    let (number, padding) = rest.split_first_chunk()?;
    let (producer, number) = (u32::from_be_bytes(*producer), u32::from_be_bytes(*number));
    let is_whole = padding.iter().all(|byte| *byte == number as u8);
    is_whole.then_some(Value { producer, number })
}
