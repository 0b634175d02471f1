//! The loads. Producers send the same frame again and again: a broker checks and stores each time
//! what it would of new records, and the generator costs next to nothing.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};

use crate::conn::Conn;
use crate::requests::{self, check_produced, create_topic, fetched};

const BATCH_BYTES: usize = 64 * 1024;
const IN_FLIGHT: usize = 5;
const PARTITIONS: i32 = 4;
const CONNECTIONS: usize = 100;
/// What a fetch of the consuming load reads from.
const CONSUMED_TOPIC: &str = "bench-consumed";

pub(crate) struct Figures {
    pub(crate) requests: usize,
    pub(crate) records: usize,
    bytes: usize,
    took: Duration,
    /// Of single requests or records, ascending.
    latencies: Vec<Duration>,
}

impl Figures {
    fn new(
        requests: usize,
        records: usize,
        bytes: usize,
        took: Duration,
        latencies: Vec<Duration>,
    ) -> Self {
        let mut latencies = latencies;
        latencies.sort_unstable();
        Self { requests, records, bytes, took, latencies }
    }

    pub(crate) fn gib(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 30)
    }

    pub(crate) fn mib_per_second(&self) -> f64 {
        self.gib() * 1024.0 / self.took.as_secs_f64()
    }

    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * quantile) as usize;
        self.latencies.get(rank).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3)
    }

    pub(crate) fn line(&self) -> String {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| self.quantile_ms(quantile));
        format!(
            "requests={} records={} seconds={:.3} mib_per_s={:.1} p50_ms={p50:.3} p99_ms={p99:.3} p999_ms={p999:.3}",
            self.requests,
            self.records,
            self.took.as_secs_f64(),
            self.mib_per_second(),
        )
    }
}

pub(crate) fn fresh_topic() -> Result<String> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("bench-{nanos:x}"))
}

fn joined<T>(handle: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow!("a thread of the load has panicked"))?
}

/// One connection per partition, each with several requests in flight.
pub(crate) fn produce(address: &str, mib: usize, value_bytes: usize) -> Result<Figures> {
    let topic = fresh_topic()?;
    create_topic(address, &topic, PARTITIONS)?;
    produce_to(&vec![address.to_owned(); PARTITIONS as usize], &topic, mib, value_bytes)
}

/// The same, where each partition may have a leader of its own.
pub(crate) fn produce_to(
    leaders: &[String],
    topic: &str,
    mib: usize,
    value_bytes: usize,
) -> Result<Figures> {
    let records = (BATCH_BYTES / (value_bytes + 10)).max(1);
    let requests = (mib << 20) / (records * value_bytes) / leaders.len();
    let began = Instant::now();
    let latencies = thread::scope(|scope| {
        let threads: Vec<_> = leaders
            .iter()
            .enumerate()
            .map(|(index, leader)| {
                scope.spawn(move || {
                    let frame = requests::produce(topic, index as i32, records, value_bytes)?;
                    pipelined(leader, &frame, requests)
                })
            })
            .collect();
        threads.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?
    .concat();
    let took = began.elapsed();
    let requests = requests * leaders.len();
    let records = requests * records;
    Ok(Figures::new(requests, records, records * value_bytes, took, latencies))
}

fn pipelined(address: &str, frame: &[u8], requests: usize) -> Result<Vec<Duration>> {
    let mut conn = Conn::open(address)?;
    let mut sent: VecDeque<Instant> = VecDeque::new();
    let mut latencies = Vec::with_capacity(requests);
    for sending in 0..requests + IN_FLIGHT {
        if sending >= IN_FLIGHT
            && let Some(began) = sent.pop_front()
        {
            check_produced(&conn.receive()?)?;
            latencies.push(began.elapsed());
        }
        if sending < requests {
            sent.push_back(Instant::now());
            conn.send(frame)?;
        }
    }
    Ok(latencies)
}

/// Reads from memory what it first writes; the writing is not measured.
pub(crate) fn consume(address: &str, mib: usize) -> Result<Figures> {
    // Written once per broker: whoever measures processor time runs this load twice.
    let is_new = create_topic(address, CONSUMED_TOPIC, 1).is_ok();
    let records = BATCH_BYTES / (1024 + 10);
    if is_new {
        let frame = requests::produce(CONSUMED_TOPIC, 0, records, 1024)?;
        pipelined(address, &frame, (mib << 20) / (records * 1024))?;
    }
    let mut conn = Conn::open(address)?;
    let (mut offset, mut bytes, mut requests) = (0, 0, 0);
    let mut latencies = Vec::new();
    let began = Instant::now();
    while bytes < (mib << 20) * 95 / 100 {
        let asked = Instant::now();
        conn.send(&requests::fetch(CONSUMED_TOPIC, 0, offset, 1000)?)?;
        let (got, next) = fetched(&conn.receive()?)?;
        latencies.push(asked.elapsed());
        offset = next.context("there should be more records")?;
        bytes += got;
        requests += 1;
    }
    Ok(Figures::new(requests, offset as usize, bytes, began.elapsed(), latencies))
}

/// Each request waits for the answer to the one before.
pub(crate) fn one(address: &str, requests: usize) -> Result<Figures> {
    let topic = fresh_topic()?;
    create_topic(address, &topic, 1)?;
    let frame = requests::produce(&topic, 0, 1, 1024)?;
    let began = Instant::now();
    let latencies = in_turn(address, &frame, requests)?;
    Ok(Figures::new(requests, requests, requests * 1024, began.elapsed(), latencies))
}

fn in_turn(address: &str, frame: &[u8], requests: usize) -> Result<Vec<Duration>> {
    let mut conn = Conn::open(address)?;
    let mut latencies = Vec::with_capacity(requests);
    for _ in 0..requests {
        let sent = Instant::now();
        conn.send(frame)?;
        check_produced(&conn.receive()?)?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

pub(crate) fn many(address: &str, requests: usize) -> Result<Figures> {
    let topic = fresh_topic()?;
    create_topic(address, &topic, PARTITIONS)?;
    let each = requests / CONNECTIONS;
    let began = Instant::now();
    let latencies = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let topic = &topic;
                scope.spawn(move || {
                    let frame = requests::produce(topic, number as i32 % PARTITIONS, 1, 1024)?;
                    in_turn(address, &frame, each)
                })
            })
            .collect();
        threads.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?
    .concat();
    let requests = each * CONNECTIONS;
    Ok(Figures::new(requests, requests, requests * 1024, began.elapsed(), latencies))
}

/// Sends by the clock, and takes the time until a consumer that waits at the end has the record.
pub(crate) fn end_to_end(address: &str, records: usize) -> Result<Figures> {
    const INTERVAL: Duration = Duration::from_micros(500);
    let topic = fresh_topic()?;
    create_topic(address, &topic, 1)?;
    let frame = requests::produce(&topic, 0, 1, 1024)?;
    let (sent, times) = mpsc::channel::<Instant>();
    let began = Instant::now();
    let latencies = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut conn = Conn::open(address)?;
            let mut answers = conn.try_clone()?;
            let reader = scope
                .spawn(move || (0..records).try_for_each(|_| check_produced(&answers.receive()?)));
            for number in 0..records {
                let due = began + INTERVAL * number as u32;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // When it was due: a sender that was held up is no excuse.
                sent.send(due)?;
                conn.send(&frame)?;
            }
            joined(reader)
        });
        let (mut conn, mut offset) = (Conn::open(address)?, 0);
        let mut latencies = Vec::with_capacity(records);
        while latencies.len() < records {
            conn.send(&requests::fetch(&topic, 0, offset, 1000)?)?;
            let (_, next) = fetched(&conn.receive()?)?;
            let Some(next) = next else { continue };
            let now = Instant::now();
            for _ in offset..next {
                latencies.push(now.saturating_duration_since(times.recv()?));
            }
            offset = next;
        }
        joined(sender)?;
        anyhow::Ok(latencies)
    })?;
    Ok(Figures::new(records, records, records * 1024, began.elapsed(), latencies))
}
