//! The load: producers that send when they are due, and a reader that takes the time.
//!
//! With a rate a record is due by the schedule, whatever became of those before it: a broker that
//! stands still for a second delays a second's records, and each of them is counted as late. The
//! record carries the moment it was due, so that its reader knows.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_client::consumer::{ConsumeError, Consumer, ConsumerConfig, Reset};
use strandline_client::producer::{
    Delivery, ProduceError, Producer, ProducerConfig, ProducerRecord, TransactionError,
    TransactionalConfig, TransactionalProducer,
};
use strandline_client::{Client, ClientConfig};
use strandline_ports::{Clock, World, timeout, watch};
use strandline_types::{Instant, Offset, PartitionId, TopicPartition};
use tokio::sync::mpsc;

use super::histogram::Histogram;
use crate::failure::Failure;
use crate::tasks::task;

/// Bytes of a value that say when it was due.
pub(super) const STAMP_BYTES: usize = 8;
/// The stamp of what is sent to warm up.
const UNMEASURED: u64 = u64::MAX;
/// Records of one producer and partition whose delivery is awaited.
const AWAITED_MAX: usize = 10_000;
/// Records that are due and not taken yet, before the schedule waits; they stay due when they were.
const DUE_MAX: usize = 10_000;
const POLL: Duration = Duration::from_millis(100);
/// Records that one poll returns at most.
const POLL_RECORDS_MAX: usize = 10_000;

/// What to send.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) topic: String,
    pub(super) partitions: i32,
    pub(super) producers: usize,
    pub(super) value_bytes: usize,
    /// Records a second of all producers; `None` for as many as the broker takes.
    pub(super) rate: Option<f64>,
    pub(super) records: Option<u64>,
    pub(super) duration: Duration,
    pub(super) producer: ProducerConfig,
    /// In transactions, one after the other, of so long each.
    pub(super) commit_every: Option<Duration>,
}

/// How far one side has come, seen by whoever shows it.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) records: AtomicU64,
    latencies: Mutex<Histogram>,
}

impl Side {
    fn take(&self, latency: Duration) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.latencies().record(latency);
    }

    fn latencies(&self) -> MutexGuard<'_, Histogram> {
        // What one panicked over stays readable: the panic itself is told elsewhere.
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> Histogram {
        self.latencies().clone()
    }
}

/// One run, shared by its tasks.
#[derive(Default)]
pub(super) struct Run {
    pub(super) produced: Side,
    /// Counts transactions.
    pub(super) committed: Side,
    pub(super) consumed: Side,
    /// Set to end the sending early.
    pub(super) is_over: AtomicBool,
    /// Records that were taken from the schedule.
    taken: AtomicU64,
}

/// Sends it all; returns from when to when, once everything sent is confirmed.
pub(super) async fn produce(
    world: &World,
    bootstrap: &str,
    load: &Load,
    run: &Arc<Run>,
) -> Result<(Instant, Instant), Failure> {
    let mut sources = Vec::new();
    for number in 0..load.producers {
        let client = Client::new(world.clone(), ClientConfig::new(bootstrap));
        sources.push(Source::open(client, load, run, number).await?);
    }
    let clock = Arc::clone(&world.clock);
    let began = clock.now().instant;
    let ends = began + if load.records.is_some() { Duration::MAX } else { load.duration };
    let mut dues = schedule(&clock, load, run, began, ends).into_iter().flatten();
    let mut running = Vec::new();
    for (source, outlet) in sources {
        running.push(task(world, source.send_all(outlet, dues.next(), ends)));
    }
    let mut failed = None;
    for source in running {
        failed = source.await.err().or(failed);
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok((began, clock.now().instant)),
    }
}

fn not_sent(error: ProduceError) -> Failure {
    Failure::new("a record was not stored").because(&error)
}

fn not_committed(error: TransactionError) -> Failure {
    Failure::new("a transaction was not committed").because(&error)
}

/// The moments at which one producer sends.
type Due = mpsc::Receiver<Instant>;

/// Says who sends when. On a thread of its own, whose sleep is far finer than a task's.
fn schedule(
    clock: &Arc<dyn Clock>,
    load: &Load,
    run: &Arc<Run>,
    began: Instant,
    ends: Instant,
) -> Option<Vec<Due>> {
    let interval = 1e9 / load.rate?;
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..load.producers).map(|_| mpsc::channel(DUE_MAX)).unzip();
    let (clock, run) = (Arc::clone(clock), Arc::clone(run));
    let records = load.records.unwrap_or(u64::MAX);
    #[expect(clippy::disallowed_methods, reason = "it keeps time for the world to be measured")]
    std::thread::spawn(move || {
        for number in 0..records {
            let due = began + Duration::from_nanos((number as f64 * interval) as u64);
            if due >= ends || run.is_over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(due.since(clock.now().instant));
            // Whoever does not take it has failed, which is told there.
            if senders[number as usize % senders.len()].blocking_send(due).is_err() {
                return;
            }
        }
    });
    Some(receivers)
}

/// Ends when all of one producer and partition is stored.
type Confirmed = Pin<Box<dyn Future<Output = Result<(), ProduceError>> + Send>>;

/// What a producer sends by.
enum Outlet {
    Plain(Producer),
    InTransactions(TransactionalProducer, Duration),
}

/// One producer.
struct Source {
    clock: Arc<dyn Clock>,
    load: Load,
    run: Arc<Run>,
    filler: Filler,
    /// Who waits for deliveries, by partition: those of one partition come in order.
    awaited: Vec<mpsc::Sender<(Instant, Delivery)>>,
    confirmed: Vec<Confirmed>,
    sent: usize,
}

impl Source {
    /// With everything that a first record would have to wait for.
    async fn open(
        client: Client,
        load: &Load,
        run: &Arc<Run>,
        number: usize,
    ) -> Result<(Self, Outlet), Failure> {
        let world = client.world().clone();
        let mut filler = Filler(number as u64 + 1);
        let mut warm = |partition| {
            let value = filler.value(UNMEASURED, load.value_bytes);
            ProducerRecord::new(&*load.topic).value(value).partition(PartitionId(partition))
        };
        let config = load.producer.clone();
        let outlet = match load.commit_every {
            None => {
                let producer = Producer::new(client, config);
                for partition in 0..load.partitions {
                    let delivery = producer.send(warm(partition)).await.map_err(not_sent)?;
                    delivery.await.map_err(not_sent)?;
                }
                Outlet::Plain(producer)
            }
            Some(every) => {
                let id = format!("{}-{number}", load.topic);
                let config =
                    TransactionalConfig { producer: config, ..TransactionalConfig::new(id) };
                let opened = TransactionalProducer::open(client, config).await;
                let mut producer = opened.map_err(not_committed)?;
                let transaction = producer.begin().await.map_err(not_committed)?;
                for partition in 0..load.partitions {
                    drop(transaction.send(warm(partition)).await.map_err(not_sent)?);
                }
                transaction.commit().await.map_err(not_committed)?;
                Outlet::InTransactions(producer, every)
            }
        };
        let (mut awaited, mut confirmed) = (Vec::new(), Vec::new());
        for _ in 0..load.partitions {
            let (sender, deliveries) = mpsc::channel(AWAITED_MAX);
            awaited.push(sender);
            let confirm = confirm(Arc::clone(&world.clock), Arc::clone(run), deliveries);
            confirmed.push(Box::pin(task(&world, confirm)) as Confirmed);
        }
        let (load, run, clock) = (load.clone(), Arc::clone(run), Arc::clone(&world.clock));
        let sent = 0;
        Ok((Self { clock, load, run, filler, awaited, confirmed, sent }, outlet))
    }

    async fn send_all(
        mut self,
        outlet: Outlet,
        mut due: Option<Due>,
        ends: Instant,
    ) -> Result<(), Failure> {
        match outlet {
            Outlet::Plain(producer) => {
                while let Some(due) = self.next(due.as_mut(), ends).await {
                    let (partition, record) = self.record(due);
                    let delivery = producer.send(record).await.map_err(not_sent)?;
                    if self.awaited[partition].send((due, delivery)).await.is_err() {
                        break;
                    }
                }
                producer.flush().await;
            }
            Outlet::InTransactions(producer, every) => {
                self.send_in_transactions(producer, every, due, ends).await?;
            }
        }
        drop(self.awaited);
        for confirmed in self.confirmed {
            confirmed.await.map_err(not_sent)?;
        }
        Ok(())
    }

    async fn send_in_transactions(
        &mut self,
        mut producer: TransactionalProducer,
        every: Duration,
        mut due: Option<Due>,
        ends: Instant,
    ) -> Result<(), Failure> {
        let clock = Arc::clone(&self.clock);
        let mut is_over = false;
        while !is_over {
            let transaction = producer.begin().await.map_err(not_committed)?;
            let until = clock.now().instant + every;
            let sent_before = self.sent;
            while clock.now().instant < until {
                // Until then nothing may be due.
                let next = timeout(&*clock, until, self.next(due.as_mut(), ends)).await;
                let Ok(next) = next else { break };
                let Some(due) = next else {
                    is_over = true;
                    break;
                };
                let (partition, record) = self.record(due);
                let delivery = transaction.send(record).await.map_err(not_sent)?;
                if self.awaited[partition].send((due, delivery)).await.is_err() {
                    is_over = true;
                    break;
                }
            }
            let began = clock.now().instant;
            transaction.commit().await.map_err(not_committed)?;
            // Of an empty one nobody hears.
            if self.sent > sent_before {
                self.run.committed.take(clock.now().instant.since(began));
            }
        }
        Ok(())
    }

    /// A record and its partition. As a producer without keys does it: a batch here, the next batch
    /// there.
    fn record(&mut self, due: Instant) -> (usize, ProducerRecord) {
        let per_batch = (self.load.producer.batch_bytes / self.load.value_bytes).max(1);
        let partition = self.sent / per_batch % self.awaited.len();
        self.sent += 1;
        let value = self.filler.value(due.as_nanos(), self.load.value_bytes);
        let record = ProducerRecord::new(&*self.load.topic).value(value);
        (partition, record.partition(PartitionId(partition as i32)))
    }

    /// When the next record is due; `None` when there is none.
    async fn next(&mut self, due: Option<&mut Due>, ends: Instant) -> Option<Instant> {
        if let Some(due) = due {
            return due.recv().await;
        }
        let now = self.clock.now().instant;
        let is_over = now >= ends || self.run.is_over.load(Ordering::Relaxed);
        let taken = self.run.taken.fetch_add(1, Ordering::Relaxed);
        (!is_over && taken < self.load.records.unwrap_or(u64::MAX)).then_some(now)
    }
}

async fn confirm(
    clock: Arc<dyn Clock>,
    run: Arc<Run>,
    mut deliveries: mpsc::Receiver<(Instant, Delivery)>,
) -> Result<(), ProduceError> {
    while let Some((due, delivery)) = deliveries.recv().await {
        delivery.await?;
        run.produced.take(clock.now().instant.since(due));
    }
    Ok(())
}

/// Values of digits that do not repeat: they compress to a half, as text does.
struct Filler(u64);

impl Filler {
    fn value(&mut self, stamp: u64, bytes: usize) -> Vec<u8> {
        let mut value = Vec::with_capacity(bytes + 16);
        value.extend(stamp.to_be_bytes());
        while value.len() < bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            value.extend(
                (0..16).map(|digit| b"0123456789abcdef"[(self.0 >> (4 * digit)) as usize & 15]),
            );
        }
        value.truncate(bytes);
        value
    }
}

pub(super) type Ends = BTreeMap<TopicPartition, Offset>;

/// Reads the topic from its beginning up to the ends, once they are known; returns when it
/// began and when it had the last record.
pub(super) async fn consume(
    client: Client,
    load: Load,
    run: Arc<Run>,
    ends: watch::Receiver<Option<Ends>>,
) -> Result<(Instant, Instant), ConsumeError> {
    let clock = Arc::clone(client.clock());
    let config = ConsumerConfig {
        reset: Reset::Earliest,
        is_read_committed: load.commit_every.is_some(),
        poll_records_max: POLL_RECORDS_MAX,
        ..ConsumerConfig::default()
    };
    let mut consumer = Consumer::new(client, config);
    consumer.assign(partitions(&load));
    let began = clock.now().instant;
    let mut last = began;
    loop {
        let records = consumer.poll(POLL).await?;
        let now = clock.now().instant;
        last = if records.is_empty() { last } else { now };
        for record in &records {
            let stamp = record.value.as_deref().and_then(|value| value.first_chunk());
            let Some(due) = stamp.map(|stamp| u64::from_be_bytes(*stamp)) else { continue };
            if due != UNMEASURED {
                run.consumed.take(now.since(Instant::from_nanos(due)));
            }
        }
        let has_reached = |(partition, end): (&TopicPartition, &Offset)| {
            consumer.position(partition).ok().flatten().is_some_and(|position| position >= *end)
        };
        if ends.borrow().as_ref().is_some_and(|ends| ends.iter().all(has_reached)) {
            return Ok((began, last));
        }
    }
}

pub(super) fn partitions(load: &Load) -> impl Iterator<Item = TopicPartition> {
    let topic = load.topic.clone();
    (0..load.partitions)
        .map(move |index| TopicPartition { topic: topic.clone(), partition: PartitionId(index) })
}
